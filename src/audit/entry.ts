/** An audit row, in the names the API uses. It never holds text of a call or a reply. */
import type { BudgetCharge, Usage } from '../call.ts'
import { newId } from '../ids.ts'

export type Status = 'ALLOW' | 'WARN' | 'REDACT' | 'ESCALATE' | 'BLOCK' | 'REJECTED'

/** What a rule found: where and how often, never what. `where` names the place in the body, such as `messages[2].content`. */
export interface AuditFinding {
  rule_id: string
  action: string
  mode: 'enforce' | 'shadow'
  on: 'call' | 'reply'
  count: number
  where: string[]
}

/** One try to reach a provider. `error` is a code such as ECONNREFUSED. */
export interface Attempt {
  upstream: string
  status: number | null
  error: string | null
  ms: number
}

export interface AuditEntry {
  audit_id: string
  /** ISO 8601, when the call began. */
  timestamp: string
  /** `chain`: what the log tells of itself. */
  kind: 'exchange' | 'change' | 'chain'
  tenant_id: string | null
  request_id: string
  agent_id: string | null
  key_prefix: string | null
  user_id: string | null
  status: Status | null
  outcome: 'completed' | 'refused' | 'cancelled' | 'failed' | 'cut_by_drain' | 'unknown'
  reason: string | null
  dialect: string | null
  endpoint: string | null
  model: string | null
  upstream: string | null
  attempts: Attempt[]
  stream: boolean
  rules_evaluated: number
  rules_triggered: string[]
  findings: AuditFinding[]
  policy_version: number | null
  metadata: Record<string, unknown>
  /** `sha256:` and hex. */
  prompt_hash: string | null
  forwarded_hash: string | null
  uninspected_bytes: number
  degraded: string | null
  usage: Usage | null
  /** A decimal number with at most nine places; null where a price is not known. */
  cost_usd: string | null
  /** What the call was charged to; before it ended, what it may be charged to at most. */
  budgets: BudgetCharge[]
  latency_ms: number | null
  upstream_ms: number | null
  first_byte_ms: number | null
  overhead_ms: number | null
  http_status: number | null
  /** Of a call that a rule wanted a person to decide about: what was held of it, if anything. */
  escalation_id: string | null
  /** Who approved it; null: nobody did. */
  approved_by: string | null
  /** Where a call uses the approval of an earlier one: the entry of that. */
  held_audit_id: string | null
}

/** An entry of something that is no exchange. `at` is milliseconds since 1970, `reason` what was done. */
export const emptyEntry = ({ at, kind, reason }: { at: number; kind: 'change' | 'chain'; reason: string }): AuditEntry => ({
  audit_id: newId('aud', at),
  timestamp: new Date(at).toISOString(),
  kind,
  tenant_id: null,
  request_id: newId('req', at),
  agent_id: null,
  key_prefix: null,
  user_id: null,
  status: null,
  outcome: 'completed',
  reason,
  dialect: null,
  endpoint: null,
  model: null,
  upstream: null,
  attempts: [],
  stream: false,
  rules_evaluated: 0,
  rules_triggered: [],
  findings: [],
  policy_version: null,
  metadata: {},
  prompt_hash: null,
  forwarded_hash: null,
  uninspected_bytes: 0,
  degraded: null,
  usage: null,
  cost_usd: null,
  budgets: [],
  latency_ms: null,
  upstream_ms: null,
  first_byte_ms: null,
  overhead_ms: null,
  http_status: null,
  escalation_id: null,
  approved_by: null,
  held_audit_id: null,
})
