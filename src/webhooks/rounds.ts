/** Work in rounds: one at a time, another where somebody said meanwhile that there is more, and again after a pause where one failed. */

/** Pauses after rounds that failed, doubling. */
const PAUSE_MS = { first: 250, most: 15_000 }
const TIMER_MS_MAX = 2 ** 31 - 1

export interface RoundsOptions {
  round(): Promise<void>
  /** A time has come for which somebody asked. */
  onTime(): void
  /** A round failed, and the one before it did not. */
  failed(error: unknown): void
  /** Milliseconds of a clock that only goes forward. */
  now(): number
}

/** Does nothing before `start`, nor after `stop`. */
export function createRounds({ round, onTime, failed, now }: RoundsOptions) {
  let isOn = false
  let isWoken = false
  let running: Promise<void> | undefined
  let failures = 0
  let timer: NodeJS.Timeout | undefined
  let timerAt = Number.POSITIVE_INFINITY

  function wake(): void {
    if (!isOn) return
    isWoken = true
    running ??= run().finally(() => {
      running = undefined
      if (isWoken) wake()
    })
  }

  async function run(): Promise<void> {
    while (isWoken && isOn) {
      isWoken = false
      try {
        await round()
        failures = 0
      } catch (error) {
        if (failures === 0) failed(error)
        isWoken = false
        timeIn(Math.min(PAUSE_MS.first * 2 ** failures++, PAUSE_MS.most))
      }
    }
  }

  function timeIn(ms: number): void {
    const at = now() + ms
    if (!isOn || at >= timerAt) return
    clearTimeout(timer)
    timerAt = at
    timer = setTimeout(
      () => {
        timerAt = Number.POSITIVE_INFINITY
        onTime()
      },
      Math.min(Math.max(0, Math.ceil(ms)), TIMER_MS_MAX),
    ).unref()
  }

  return {
    start(): void {
      isOn = true
    },
    /** There is something to do. */
    wake,
    /** Calls `onTime` in so many milliseconds, unless it comes sooner. */
    timeIn,
    /** Resolves when the round under way is over. */
    async stop(): Promise<void> {
      isOn = false
      isWoken = false
      clearTimeout(timer)
      await running
    },
  }
}
