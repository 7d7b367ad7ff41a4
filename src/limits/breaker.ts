/** Notices that Redis is away, so that nobody waits for it in vain, and that it is back. */

/** So many failures within so much time, and it is away. */
const FAILURES = 3
const WINDOW_MS = 1_000
const PROBE_EVERY_MS = 500
/** A Redis that takes longer to answer is still away. */
const PROBE_MS_MAX = 50

export interface BreakerOptions {
  /** Milliseconds, from a clock that does not jump. */
  now: () => number
  /** Asks Redis for something only a healthy one does. Must end, however long it takes: one is under way at a time, so that a hanging connection falls silent. */
  probe: () => Promise<unknown>
  /** `cause` is the failure that was one too many. */
  onChange: (isAway: boolean, cause: unknown) => void
}

export type Breaker = ReturnType<typeof createBreaker>

export function createBreaker({ now, probe, onChange }: BreakerOptions) {
  let failedAt: number[] = []
  let isAway = false
  let isClosed = false
  let timer: NodeJS.Timeout | undefined

  function probeSoon(): void {
    if (!isClosed) timer = setTimeout(ask, PROBE_EVERY_MS).unref()
  }

  async function ask(): Promise<void> {
    const begunAt = now()
    try {
      await probe()
    } catch {
      return probeSoon()
    }
    if (isClosed) return
    if (now() - begunAt > PROBE_MS_MAX) return probeSoon()
    isAway = false
    onChange(false, null)
  }

  return {
    get isAway(): boolean {
      return isAway
    },
    failed(cause: unknown): void {
      if (isAway || isClosed) return
      failedAt = [...failedAt, now()].slice(-FAILURES)
      if (failedAt.length < FAILURES || now() - failedAt[0] > WINDOW_MS) return
      failedAt = []
      isAway = true
      onChange(true, cause)
      probeSoon()
    },
    close(): void {
      isClosed = true
      clearTimeout(timer)
    },
  }
}
