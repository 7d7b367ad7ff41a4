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
 * Runs work that takes less than a turn at once, as long as such work together takes no longer in one round of the event loop. Of all that takes longer one piece gets a turn each time the event loop goes round, so that however much
 * there is, nothing else waits longer than for one. Throws, or rejects, once nobody waits for the result any more.
 */
export type Turns = <Result>(steps: Steps<Result>, waiting: Waiting | null) => Result | Promise<Result>

export function createTurns(): Turns {
  const open: (() => void)[] = []
  let scheduled = false
  let spentMs = 0 // on first turns since the event loop last went round
  const schedule = (): void => {
    if (scheduled || (open.length === 0 && spentMs === 0)) return
    scheduled = true
    setImmediate(() => {
      scheduled = false
      spentMs = 0
      open.shift()?.()
      schedule()
    })
  }
  return (steps, waiting) => {
    if (spentMs < TURN_MS) {
      const begin = performance.now()
      const first = turn(steps)
      spentMs += performance.now() - begin
      schedule()
      if (first.done) return first.value
    }
    return new Promise((resolve, reject) => {
      const next = (): void => {
        try {
          if (waiting?.gone) throw nobodyWaits()
          const step = turn(steps)
          if (step.done) resolve(step.value)
          else open.push(next)
        } catch (error) {
          reject(error)
        }
      }
      open.push(next)
      schedule()
    })
  }
}

export const nobodyWaits = (): Failure => new Failure('unavailable', new Error('Whoever asked has left.'))

function turn<Result>(steps: Steps<Result>): IteratorResult<undefined, Result> {
  const until = performance.now() + TURN_MS
  for (;;) {
    const step = steps.next()
    if (step.done || performance.now() >= until) return step
  }
}
