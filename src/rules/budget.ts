/** How much of the event loop's time one request may spend on patterns. Parsing, probing and compiling them cannot be interrupted, only not begun. */
import { RuleError } from './rule-error.ts'

/** One for all rules of a request: what is spent for one is gone for the others. */
export interface RuleBudget {
  msLeft: number
  patternsLeft: number
  /** Of all patterns checked so far. Times the length of a text it bounds what searching it may cost. */
  instructions: number
}

/** Checking the patterns of one request. Ordinary ones take some milliseconds each while the engine is cold, and all of a preset must fit on a slow machine. */
export const CHECK_MS_MAX = 1_000
export const PATTERNS_PER_REQUEST_MAX = 100

export const checkBudget = (): RuleBudget => ({ msLeft: CHECK_MS_MAX, patternsLeft: PATTERNS_PER_REQUEST_MAX, instructions: 0 })
/** For what was checked when it was written, such as the policy in force. */
export const withoutBudget = (): RuleBudget => ({ msLeft: Infinity, patternsLeft: Infinity, instructions: 0 })

/**
 * Milliseconds of this thread's own processor time, to the system's tick of some: on a busy machine the clock on the wall would count others' work too.
 */
export function threadMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

/** Takes what was spent since `begin` (of threadMs), and throws a RuleError of reason `config` where that was more than there was. */
export function spend(budget: RuleBudget, begin: number, path: string): void {
  budget.msLeft -= threadMs() - begin
  if (budget.msLeft < 0) throw new RuleError('config', path, 'The patterns take too long to prepare; make them narrower, or send fewer rules at once.')
}

/** Counts one more pattern. Throws a RuleError of reason `config` beyond the bound. */
export function countPattern(budget: RuleBudget, path: string): void {
  if (--budget.patternsLeft < 0) throw new RuleError('config', path, `One request may hold at most ${PATTERNS_PER_REQUEST_MAX} patterns.`)
}
