/** How the sandbox's models behave: most answer, some teach a client what a bad day looks like. */
export type Behaviour =
  | { kind: 'answers' }
  | { kind: 'refuses'; status: 429 | 500 }
  /** Thinks before the first byte of the answer, and pauses before each piece of a stream. */
  | { kind: 'slow'; thinkMs: number; pauseMs: number }
  /** Dies half way, without an end. */
  | { kind: 'cut' }

/** The models worth listing; any other name that begins with `sandbox-` answers like `sandbox`. */
export const models = ['sandbox', 'sandbox-429', 'sandbox-500', 'sandbox-slow', 'sandbox-cut'] as const

const SLOW_MS = 2000
const SLOW_MS_MAX = 600_000
const PAUSE_MS_MAX = 1000

/** Null for a model the sandbox does not have. `sandbox-slow-<ms>` thinks as long as it says. */
export function behaviourOf(model: string): Behaviour | null {
  if (model !== 'sandbox' && !model.startsWith('sandbox-')) return null
  if (model === 'sandbox-429') return { kind: 'refuses', status: 429 }
  if (model === 'sandbox-500') return { kind: 'refuses', status: 500 }
  if (model === 'sandbox-cut') return { kind: 'cut' }
  const slow = /^sandbox-slow(?:-(\d+))?$/.exec(model)
  if (!slow) return { kind: 'answers' }
  const thinkMs = Math.min(Number(slow[1] ?? SLOW_MS), SLOW_MS_MAX)
  return { kind: 'slow', thinkMs, pauseMs: Math.min(thinkMs / 10, PAUSE_MS_MAX) }
}
