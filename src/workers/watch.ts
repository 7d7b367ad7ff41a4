/** Notices workers that hang: the primary asks each now and then how it is, and ends one that answers nothing for long, which is then replaced as ever. */
import type { Child } from './crew.ts'

/** Between two questions to each worker. */
const ASK_EVERY_MS = 10_000
/** Nothing heard from a worker for so long: it hangs. */
export const SILENT_MS_MAX = 60_000
/** Counted in questions rather than by a clock, so that a machine that was frozen as a whole, primary included, does not lose all its workers at once. */
const UNANSWERED_MAX = SILENT_MS_MAX / ASK_EVERY_MS

export interface WatchOptions {
  /** Those that are ready, or about to end. */
  serving: () => readonly Child[]
  ask: (child: Child) => void
  later: (ms: number, work: () => void) => void
  /** Is told of each that is ended. */
  hangs: (child: Child) => void
}

export function createWatch({ serving, ask, later, hangs }: WatchOptions) {
  const unanswered = new WeakMap<Child, number>()
  let isWatching = false

  function round(): void {
    const children = serving()
    isWatching = children.length > 0
    for (const child of children) {
      const asked = unanswered.get(child) ?? 0
      unanswered.set(child, asked + 1)
      if (asked < UNANSWERED_MAX) ask(child)
      else {
        hangs(child)
        child.kill()
      }
    }
    if (isWatching) later(ASK_EVERY_MS, round)
  }

  return {
    /** It lives: whatever it said. Watches from the first time on for as long as there are workers. */
    heard(child: Child): void {
      unanswered.delete(child)
      if (isWatching) return
      isWatching = true
      later(ASK_EVERY_MS, round)
    },
  }
}
