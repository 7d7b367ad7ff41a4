/** Work in steps: whoever runs it decides after each whether others come first. */
import { Failure } from '../../errors.ts'

/** Work that may be left for a while wherever it yields. */
export type Steps<Result> = Generator<undefined, Result>

/** Whoever waits for the result of work that takes several turns. */
export interface Waiting {
  readonly gone: boolean
  /** Tells when it has left; asked for only where something has to be waited for. */
  readonly signal: AbortSignal
}

/** Milliseconds of work without a break. */
const TURN_MS = 8

export function atOnce<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}

/**
 * Runs work that takes less than a turn at once, as long as such work together takes no longer in one round of the event loop; what is beyond that is begun in
 * the next, first come first served. Of all that takes longer one piece gets a turn each time the event loop goes round, so that however much there is, nothing
 * else waits longer than for three turns. Throws, or rejects, once nobody waits for the result any more.
 */
export type Turns = <Result>(steps: Steps<Result>, waiting: Waiting | null) => Result | Promise<Result>

export function createTurns(): Turns {
  const unbegun: (() => void)[] = []
  const begun: (() => void)[] = []
  let scheduled = false
  let spentMs = 0 // on first turns since the event loop last went round
  const schedule = (): void => {
    if (scheduled || (unbegun.length === 0 && begun.length === 0 && spentMs === 0)) return
    scheduled = true
    setImmediate(() => {
      scheduled = false
      spentMs = 0
      while (spentMs < TURN_MS && unbegun.length > 0) {
        const begin = performance.now()
        unbegun.shift()?.()
        spentMs += performance.now() - begin
      }
      begun.shift()?.()
      schedule()
    })
  }
  return (steps, waiting) => {
    if (unbegun.length === 0 && spentMs < TURN_MS) {
      const begin = performance.now()
      try {
        const first = turn(steps, begin)
        if (first.done) return first.value
      } finally {
        spentMs += performance.now() - begin
        schedule()
      }
      return new Promise((resolve, reject) => {
        begun.push(piece(steps, waiting, resolve, reject))
        schedule()
      })
    }
    return new Promise((resolve, reject) => {
      unbegun.push(piece(steps, waiting, resolve, reject))
      schedule()
    })
  }

  function piece<Result>(steps: Steps<Result>, waiting: Waiting | null, resolve: (result: Result) => void, reject: (error: unknown) => void): () => void {
    const next = (): void => {
      try {
        if (waiting?.gone) throw nobodyWaits()
        const step = turn(steps, performance.now())
        if (step.done) resolve(step.value)
        else begun.push(next)
      } catch (error) {
        reject(error)
      }
    }
    return next
  }
}

export const nobodyWaits = (): Failure => new Failure('unavailable', new Error('Whoever asked has left.'))

/** `begin` is now. */
function turn<Result>(steps: Steps<Result>, begin: number): IteratorResult<undefined, Result> {
  for (;;) {
    const step = steps.next()
    if (step.done || performance.now() >= begin + TURN_MS) return step
  }
}
