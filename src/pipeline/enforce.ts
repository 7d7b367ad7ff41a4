import type { Caller, ModelCall } from '../call.ts'
import { Refusal } from '../errors.ts'
import type { Verdict } from '../rules/compile.ts'
import { placesIn } from '../rules/places.ts'
import { redact } from '../rules/redact.ts'
import type { Facts, Stage } from './stage.ts'

/** Acts on the verdict: blocks, cuts, or lets the very bytes through that came. */
export const enforce: Stage<'caller' | 'call' | 'admission' | 'verdict', 'outbound' | 'originals'> = (known) => {
  const decision = act(known)
  const { envelope } = known.dialect
  if (!envelope || decision instanceof Refusal) return decision
  return { ...decision, outbound: envelope.compose(decision.outbound, known.admission.speaks.dialect.name) }
}

function act({ caller, call, verdict }: Pick<Facts, 'caller' | 'call' | 'verdict'>): Refusal | Pick<Facts, 'outbound' | 'originals'> {
  switch (verdict.action) {
    case 'BLOCK':
      return new Refusal('blocked_by_rule', `Blocked by policy: ${names(verdict)}.`, { context: { param: placeOf(call, verdict) } })
    case 'ESCALATE':
      return needsApproval(caller, names(verdict))
    case 'REDACT': {
      const result = redact(call, verdict)
      if ('outbound' in result) return result
      return new Refusal(
        'cannot_redact',
        `Blocked by policy: ${names(verdict)}. What it redacts stands at ${result.cannot}, where a placeholder would break the call.`,
        {
          context: { param: result.cannot },
        },
      )
    }
    case 'ALLOW':
    case 'WARN':
      return { outbound: call.body, originals: null }
    default:
      return verdict.action satisfies never
  }
}

/** A session that holds nothing is told that nobody will be asked. */
const needsApproval = ({ session }: Caller, rules: string): Refusal =>
  session?.holdsNothing
    ? new Refusal('blocked_by_rule', `Blocked by policy: ${rules}. The call would need an approval, and its session allows none.`)
    : new Refusal('approval_required', `This call needs an approval: ${rules}.`)

/** Where the first thing stands for which a call is blocked; null where the rule asks only who and where. */
const placeOf = (call: ModelCall, verdict: Verdict): string | null => {
  const spans = verdict.findings.find(({ rule, mode }) => mode === 'enforce' && rule.action === verdict.action)?.spans ?? []
  return placesIn(call)(spans, 1)[0] ?? null
}

/** Each once: presets share rules. */
const names = ({ findings, action }: Verdict): string => {
  const matched = findings.filter(({ rule, mode }) => mode === 'enforce' && rule.action === action)
  return [...new Set(matched.map(({ rule }) => `'${rule.name}'`))].join(', ')
}
