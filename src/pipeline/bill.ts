import { chargesOf } from '../budgets/charges.ts'
import type { BudgetCharge, Usage } from '../call.ts'
import type { Exchange, Outcome } from './stage.ts'
import type { PartlyKnown } from './status.ts'

/** What an exchange used and cost. */
export interface Bill {
  /** Null: nothing of it reached a provider, or the provider counts nothing here. */
  usage: Usage | null
  /** Nano-dollars; null with usage: the model has no known price. */
  nano: number | null
  charges: BudgetCharge[]
}

const NOTHING: Bill = { usage: null, nano: null, charges: [] }

/** Before an exchange has ended (`outcome` null) this is what it may cost at most, which is what a crash leaves on its record. */
export function billOf(known: PartlyKnown, outcome: Outcome | null): Bill {
  const { admission, trace, arrivedAt } = known
  if (!admission) return NOTHING
  const { budgets, expected } = admission
  const worked = trace.attempts.findLastIndex((attempt) => !isRefusal(attempt))
  const usage = outcome === null ? (expected?.usage ?? null) : usageOf(known, outcome, worked)
  if (usage === null) return NOTHING
  const tokens = usage.input_tokens + usage.output_tokens
  const nano = outcome === null ? (expected?.nano ?? null) : (trace.asked[worked]?.costOf(known.call?.models ?? [], usage, arrivedAt) ?? null)
  return { usage, nano, charges: chargesOf(budgets, { nano, tokens }, arrivedAt) }
}

/**
 * What the provider counted. Where it did not come to that, or the answer broke off, the call's own estimate and what was relayed, and never nothing: who
 * hangs up early has still had it. `worked` is the attempt that counts; nothing was relayed of one that was given up for another.
 */
function usageOf({ admission, trace }: PartlyKnown, outcome: Outcome, worked: number): Usage | null {
  if (worked < 0) return null
  const isLast = worked === trace.attempts.length - 1
  const told = isLast ? trace.usage : null
  const expected = admission?.expected
  if (!expected) return told
  // In the background a provider goes on, whoever left, and another call fetches what it said.
  const isBackground = !told && admission.speaks.dialect.name === 'openai-responses' && BACKGROUND.test(trace.ends)
  const relayed = isLast ? Math.max(trace.relayed?.tokens ?? 0, isBackground ? expected.usage.output_tokens : 0) : 0
  const isWhole = outcome.kind === 'completed'
  // A provider that counted no input, or no output of a text that came, has not counted.
  if (told && told.input_tokens > 0 && (relayed <= told.output_tokens || (isWhole && told.output_tokens > 0))) return told
  return {
    ...told,
    input_tokens: told?.input_tokens || expected.usage.input_tokens,
    output_tokens: Math.max(relayed, told?.output_tokens ?? 0),
    estimated: true,
  }
}

/** The provider said no, or was never reached: it charges nothing for that. One that did not answer in time, or was left, may have worked all the while. */
const isRefusal = ({ status, error }: Exchange['trace']['attempts'][number]): boolean => (status === null ? !MAY_HAVE_WORKED.test(error ?? '') : status >= 300)

/** How a response says so of itself; within a text, its quotes would be escaped. */
const BACKGROUND = /"background"\s*:\s*true/
const MAY_HAVE_WORKED = /^(?:UND_ERR_(?:HEADERS|BODY)_TIMEOUT|CLIENT_LEFT)$/
