import type { ModelCall } from '../call.ts'
import { Refusal } from '../errors.ts'
import type { Verdict } from '../rules/compile.ts'
import { placesIn } from '../rules/places.ts'
import { redact } from '../rules/redact.ts'
import { type Holding, hold } from './hold.ts'
import type { Exchange, Facts, Stage } from './stage.ts'

type Known = Exchange & Pick<Facts, 'caller' | 'call' | 'admission' | 'verdict'>
type Enforced = Pick<Facts, 'outbound' | 'originals'>

/** Acts on the verdict: blocks, cuts, asks a person, or lets the very bytes through that came. */
export const enforce =
  (holding: Holding): Stage<'caller' | 'call' | 'admission' | 'verdict', 'outbound' | 'originals'> =>
  (known) => {
    const decision = act(holding, known)
    return decision instanceof Promise ? decision.then((decided) => composed(known, decided)) : composed(known, decision)
  }

function composed({ dialect: { envelope }, admission }: Known, decision: Refusal | Enforced): Refusal | Enforced {
  if (!envelope || decision instanceof Refusal) return decision
  return { ...decision, outbound: envelope.compose(decision.outbound, admission.speaks.dialect.name) }
}

function act(holding: Holding, known: Known): Refusal | Enforced | Promise<Refusal | Enforced> {
  const { caller, call, verdict } = known
  switch (verdict.action) {
    case 'BLOCK':
      return new Refusal('blocked_by_rule', `Blocked by policy: ${names(verdict)}.`, { context: { param: placeOf(call, verdict) } })
    case 'ESCALATE':
      if (caller.session?.holdsNothing) return noneAllowed(names(verdict))
      return hold(holding, known, names(verdict)).then((refusal) => refusal ?? asItCame(call))
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
      return asItCame(call)
    default:
      return verdict.action satisfies never
  }
}

const asItCame = ({ body }: ModelCall): Enforced => ({ outbound: body, originals: null })

/** A session that holds nothing is told that nobody will be asked. */
const noneAllowed = (rules: string): Refusal =>
  new Refusal('blocked_by_rule', `Blocked by policy: ${rules}. The call would need an approval, and its session allows none.`)

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
