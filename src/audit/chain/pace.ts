/** Work that is done when somebody asks for it, soon after but not too often. Nothing runs while nobody asks. */

export interface Pace {
  /** Asks for the work. Whoever asks while it is being done gets it once more. */
  nudge(): void
  /** Resolves when what is under way is done; nothing is begun any more. */
  stop(): Promise<void>
}

export interface PaceOptions {
  /** Resolves with whether it wants to be done again although nobody asks. Never rejects. */
  work: () => Promise<boolean>
  /** From the beginning of one to the beginning of the next. */
  everyMs: number
  /** Milliseconds of any clock. */
  now: () => number
}

export function createPace({ work, everyMs, now }: PaceOptions): Pace {
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let isWanted = false
  let isStopped = false
  let begunAt = Number.NEGATIVE_INFINITY

  function plan(): void {
    if (isStopped || timer || running) return
    // A clock that was set back makes nobody wait longer.
    const wait = Math.min(Math.max(begunAt + everyMs - now(), 0), everyMs)
    timer = setTimeout(begin, wait).unref()
  }

  function begin(): void {
    timer = undefined
    isWanted = false
    begunAt = now()
    running = work().then((isAgain) => {
      running = undefined
      if (isAgain || isWanted) plan()
    })
  }

  return {
    nudge() {
      isWanted = true
      plan()
    },
    async stop() {
      isStopped = true
      clearTimeout(timer)
      await running
    },
  }
}
