import { chargesOf } from '../budgets/charges.ts'
import type { BudgetCharge, Usage } from '../call.ts'
import { isRefusal } from '../upstreams/tries.ts'
import type { Upstream } from '../upstreams/upstream.ts'
import type { Outcome } from './stage.ts'
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

/** Before an exchange has ended (`outcome` null) this is what it may cost at most, which is what a crash leaves on its record; nothing while a person is waited for. */
export function billOf(known: PartlyKnown, outcome: Outcome | null): Bill {
  const { admission, arrivedAt, call, outbound } = known
  if (!admission || (outcome === null && !outbound)) return NOTHING
  const { expected } = admission
  const works = outcome === null ? [] : worksOf(known, outcome)
  const usage = outcome === null ? (expected?.usage ?? null) : totalOf(works)
  if (usage === null) return NOTHING
  const nano = outcome === null ? (expected?.nano ?? null) : costOf(works, call?.models ?? [], arrivedAt)
  const { budgets } = admission
  const charges = budgets.length === 0 ? [] : chargesOf(budgets, { nano, tokens: usage.input_tokens + usage.output_tokens }, arrivedAt)
  return { usage, nano, charges }
}

/** Nano-dollars of what has a known price; null where nothing has. */
function costOf(works: readonly Work[], models: readonly string[], arrivedAt: number): number | null {
  let sum: number | null = null
  for (const { by, usage } of works) {
    const cost = by.costOf(models, usage, arrivedAt)
    if (cost !== null) sum = (sum ?? 0) + cost
  }
  return sum
}

/** What one provider did for the call. */
interface Work {
  by: Upstream
  usage: Usage
}

/** Of every attempt that may have set a provider to work: only the last was answered, and one that was given up for another had read the call at least. */
function worksOf(known: PartlyKnown, outcome: Outcome): Work[] {
  const { attempts, asked } = known.trace
  const expected = known.admission?.expected
  const works: Work[] = []
  for (const [i, attempt] of attempts.entries()) {
    const by = asked[i]
    if (!by || isRefusal(attempt)) continue
    const usage =
      i === attempts.length - 1
        ? usageOf(known, outcome)
        : expected && { input_tokens: expected.usage.input_tokens, output_tokens: 0, estimated: true as const }
    if (usage) works.push({ by, usage })
  }
  return works
}

/** All together. Of several all but the last are estimated, and so is the sum. */
function totalOf(works: readonly Work[]): Usage | null {
  const last = works.at(-1)
  if (!last || works.length === 1) return last?.usage ?? null
  const sum = (of: 'input_tokens' | 'output_tokens'): number => works.reduce((all, { usage }) => all + usage[of], 0)
  return { ...last.usage, input_tokens: sum('input_tokens'), output_tokens: sum('output_tokens'), estimated: true }
}

/**
 * What the provider counted. Where it did not come to that, or the answer broke off, the call's own estimate and what was relayed, and never nothing: who
 * hangs up early has still had it.
 */
function usageOf({ admission, trace }: PartlyKnown, outcome: Outcome): Usage | null {
  const told = trace.usage
  const expected = admission?.expected
  if (!expected) return null // what a provider tells where no model works, it counted for another call
  const isWhole = outcome.kind === 'completed'
  // A provider that counted no input, or no output of a text that came, has not counted. Of nearly all replies their text is not read for it.
  if (told && told.input_tokens > 0 && isWhole && told.output_tokens > 0) return told
  const { dialect, path } = admission.speaks
  // In the background a provider goes on, whoever left, and another call fetches what it said.
  const isBackground = dialect.name === 'openai-responses' && BACKGROUND.test(trace.ends)
  const isUnread = trace.relayed !== null && trace.attempts.at(-1)?.status != null && (trace.relayed.isUnreadable || WORDLESS.test(path))
  const atLeast = !told && (isBackground || isUnread) ? expected.usage.output_tokens : 0
  const relayed = Math.max(trace.relayed?.tokens ?? 0, atLeast)
  if (told && told.input_tokens > 0 && relayed <= told.output_tokens) return told
  return {
    ...told,
    input_tokens: told?.input_tokens || expected.usage.input_tokens,
    output_tokens: Math.max(relayed, told?.output_tokens ?? 0),
    estimated: true,
  }
}

/** What is answered in sound or pictures, whatever they are wrapped in. */
const WORDLESS = /\/(?:audio\/speech|images\/(?:generations|edits|variations))$/
/** How a response says so of itself; within a text, its quotes would be escaped. */
const BACKGROUND = /"background"\s*:\s*true/
