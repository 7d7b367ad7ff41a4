/** The metrics of all processes together. What was once told of a process stays in the sum when it ends. */
import { endedFigures, type Figures, pageOf } from '../telemetry/sum-figures.ts'
import type { Child } from './crew.ts'
import { SILENT_MS_MAX } from './watch.ts'

export interface SumOptions {
  /** Those that have something to tell. */
  serving: () => readonly Child[]
  /** The primary's own. */
  own: () => Promise<Figures>
  later: (ms: number, work: () => void) => () => void
  /** Milliseconds, monotonic. */
  now: () => number
  report: (error: unknown) => void
}

/** How long all of them together may take to tell. Of who has not by then counts what it told last; where it never did, or too long ago, there is no sum. */
const ROUND_MS_MAX = 1_000

interface Round {
  ask: number
  missing: Set<Child>
  /** Every one has told; or false, in time not. */
  done: (isWhole: boolean) => void
}

export function createSum({ serving, own, later, now, report }: SumOptions) {
  /** What each told last. */
  const latest = new Map<Child, { figures: Figures; at: number }>()
  /** These have told their last, and need not be asked any more. */
  const finished = new Set<Child>()
  /** What is said of these counts already. */
  const gone = new WeakSet<Child>()
  let past: Promise<Figures | null> = Promise.resolve(null)
  let asks = 0
  let round: Round | undefined
  let running: Promise<string | null> | undefined
  let next: Promise<string | null> | undefined

  function heardFrom(child: Child): void {
    if (round?.missing.delete(child) && round.missing.size === 0) round.done(true)
  }

  async function whole(): Promise<string | null> {
    const { promise, resolve: done } = Promise.withResolvers<boolean>()
    const asked = serving().filter((child) => !finished.has(child))
    round = { ask: ++asks, missing: new Set(asked), done }
    const callOff = later(ROUND_MS_MAX, () => done(false))
    if (asked.length === 0) done(true)
    for (const child of asked) child.tell({ say: 'figures', ask: round.ask })
    const isWhole = await promise
    callOff()
    const { missing } = round
    round = undefined
    if (!isWhole && ![...missing].every(isKnown)) return null
    const mine = await own()
    // Taken in one go: a process that ends is either in the one or in the other.
    const [living, ended] = [[...latest.values()].map(({ figures }) => figures), past]
    return pageOf([mine, ...living], await ended)
  }

  const isKnown = (child: Child): boolean => now() - (latest.get(child)?.at ?? Number.NEGATIVE_INFINITY) <= SILENT_MS_MAX

  function giveUp<Instead>(error: unknown, instead: Instead): Instead {
    report(error)
    return instead
  }

  const begin = (): Promise<string | null> =>
    (running = whole()
      .catch((error: unknown) => giveUp(error, null))
      .finally(() => {
        running = undefined
      }))

  return {
    /** The page; null where nothing is known of somebody. However many ask, there is one round after the other, and each begins after whoever waits for it has asked. */
    page(): Promise<string | null> {
      if (!running) return begin()
      return (next ??= running.then(() => {
        next = undefined
        return begin()
      }))
    },
    /** Lets it tell, for no page. */
    ask: (child: Child): void => child.tell({ say: 'figures', ask: ++asks }),
    /** `ask` is null where these are its last. */
    told(child: Child, ask: number | null, figures: Figures): void {
      if (gone.has(child)) return
      latest.set(child, { figures, at: now() })
      if (ask === null) finished.add(child)
      if (ask === null || ask === round?.ask) heardFrom(child)
    },
    ended(child: Child): void {
      const last = latest.get(child)?.figures
      gone.add(child)
      latest.delete(child)
      finished.delete(child)
      if (last) past = past.then((before) => endedFigures(before, last).catch((error: unknown) => giveUp(error, before)))
      heardFrom(child)
    },
  }
}
export type Sum = ReturnType<typeof createSum>
