/** What the management API answers, as far as these pages read it. */

export interface Counts {
  requests: number
  allowed: number
  warned: number
  redacted: number
  escalated: number
  blocked: number
  rejected: number
}

export interface Stats {
  period: { from: string; to: string }
  totals: Counts
  block_rate: number
  top_triggered_rules: readonly { rule_id: string; count: number }[]
  series: readonly (Counts & { start: string })[]
}

export interface Quantiles {
  p50: number
  p95: number
  p99: number
}

export interface Finding {
  rule_id: string
  action: string
  mode: 'enforce' | 'shadow'
  on: 'call' | 'reply'
  count: number
  where: readonly string[]
}

export interface Attempt {
  upstream: string
  status: number | null
  error: string | null
  ms: number
}

export interface Entry {
  audit_id: string
  timestamp: string
  kind: 'exchange' | 'change' | 'chain'
  tenant_id: string | null
  request_id: string
  agent_id: string | null
  key_prefix: string | null
  user_id: string | null
  status: string | null
  outcome: string
  reason: string | null
  dialect: string | null
  endpoint: string | null
  model: string | null
  upstream: string | null
  attempts: readonly Attempt[]
  stream: boolean
  rules_evaluated: number
  rules_triggered: readonly string[]
  findings: readonly Finding[]
  policy_version: number | null
  metadata: Readonly<Record<string, unknown>>
  prompt_hash: string | null
  forwarded_hash: string | null
  uninspected_bytes: number
  degraded: string | null
  usage: (Readonly<Record<string, number | boolean>> & { input_tokens: number; output_tokens: number }) | null
  cost_usd: string | null
  budgets: readonly { budget_id: string; window: string; amount: number }[]
  latency_ms: number | null
  upstream_ms: number | null
  first_byte_ms: number | null
  overhead_ms: number | null
  http_status: number | null
  escalation_id: string | null
  approved_by: string | null
  held_audit_id: string | null
}

export interface Entries {
  entries: readonly Entry[]
  total: number
  limit: number
  offset: number
  next_cursor: string | null
}

export interface Summary {
  period: { from: string; to: string }
  totals: Counts
  block_rate: number
  error_rate: number
  latency_ms: Quantiles | null
  overhead_ms: Quantiles | null
  sampled: number
  today: { requests: number; input_tokens: number; output_tokens: number; cost_usd: string }
  top_triggered_rules: readonly { rule_id: string; name: string | null; count: number }[]
  escalations_pending: number
  open_calls: number | null
  newest: readonly Entry[] | null
}

export interface Proof {
  audit_id: string
  chain: {
    writer_id: string
    seq: number
    tenant_prev: number
    payload_hash: string
    erased_by: string | null
    index: number | null
    tree_size: number | null
    path: readonly string[] | null
  } | null
  note: string | null
  public_key: string
}

export interface Rule {
  id: string
  tenant_id: string
  name: string
  condition: Readonly<Record<string, unknown>>
  action: string
  priority: number
  mode: 'enforce' | 'shadow'
  reversible: boolean
  active: boolean
  preset: string | null
  metadata: Readonly<Record<string, unknown>>
  created_at: string
  updated_at: string
}

export interface Rules {
  rules: readonly Rule[]
  total: number
  limit: number
  offset: number
}

export interface PresetRule {
  name: string
  action: string
  priority: number
  mode: string
  condition: Readonly<Record<string, unknown>>
}

export interface Presets {
  presets: readonly { name: string; about: string; rules: readonly PresetRule[] }[]
}

export interface MemberChange {
  path: string
  from?: unknown
  to?: unknown
}

export interface PolicyDiff {
  added: readonly { rule_id: string | null; name: string }[]
  removed: readonly { rule_id: string | null; name: string }[]
  changed: readonly { rule_id: string; name: string; diff: readonly MemberChange[] }[]
  dictionaries: {
    added: readonly string[]
    removed: readonly string[]
    changed: readonly { name: string; terms_added: number; terms_removed: number; case_sensitive: boolean }[]
  }
}

export interface Versions {
  versions: readonly { version: number; created_by: string; created_at: string }[]
  total: number
  limit: number
  offset: number
}

export interface Trial {
  status: string
  rules_evaluated: number
  triggered_rules: readonly {
    rule_id: string
    name: string
    action: string
    mode: string
    matched_field: string | null
    spans: readonly { field: string; start: number; end: number }[]
  }[]
  redacted_text: string | null
  cannot_redact: string | null
  response: {
    status: string
    triggered_rules: readonly { rule_id: string; name: string; action: string; mode: string; count: number }[]
    stopped: string | null
    redacted_text: string | null
  } | null
  policy_version: number | null
}
