/** The tenant's word about what no rule can read: media, and files that are no text. Signatures and ciphertext of providers pass. */
import type { ModelCall, Tenant } from '../call.ts'
import type { Verdict } from './policy.ts'
import { type Rule, severity } from './rule.ts'

const UNINSPECTABLE = 'uninspectable'

/** What stands in the record like a rule, for calls and replies alike; null where the tenant lets everything pass in silence. */
export function uninspectableRule({ uninspectable }: Tenant): Rule | null {
  return uninspectable === 'allow' ? null : rules[uninspectable]
}

const ruleOf = (action: Rule['action']): Rule => ({
  id: UNINSPECTABLE,
  name: 'What cannot be inspected',
  condition: { any: [] },
  action,
  priority: 0,
  mode: 'enforce',
  reversible: false,
  active: true,
  preset: null,
  metadata: {},
})
const rules = { warn: ruleOf('WARN'), block: ruleOf('BLOCK') }

/** The verdict with that word added, if the call carries any such thing. */
export function withUninspectable(verdict: Verdict, { opaqueBytes }: ModelCall, tenant: Tenant): Verdict {
  const rule = opaqueBytes > 0 ? uninspectableRule(tenant) : null
  if (!rule) return verdict
  const action = severity[rule.action] > severity[verdict.action] ? rule.action : verdict.action
  const redactions = action === 'REDACT' ? verdict.redactions : []
  return { ...verdict, action, redactions, findings: [...verdict.findings, { rule, mode: rule.mode, spans: [] }] }
}
