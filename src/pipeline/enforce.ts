import { Refusal } from '../errors.ts'
import type { Verdict } from '../rules/compile.ts'
import { redact } from '../rules/redact.ts'
import type { Stage } from './stage.ts'

/** Acts on the verdict: blocks, cuts, or lets the very bytes through that came. */
export const enforce: Stage<'call' | 'verdict', 'outbound'> = ({ call, verdict }) => {
  switch (verdict.action) {
    case 'BLOCK':
      return new Refusal('blocked_by_rule', `Blocked by policy: ${names(verdict)}.`)
    case 'ESCALATE':
      return new Refusal('approval_required', `This call needs an approval: ${names(verdict)}.`)
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
      return { outbound: call.body }
    default:
      return verdict.action satisfies never
  }
}

const names = (verdict: Verdict): string =>
  verdict.findings
    .filter(({ rule, mode }) => mode === 'enforce' && rule.action === verdict.action)
    .map(({ rule }) => `'${rule.name}'`)
    .join(', ')
