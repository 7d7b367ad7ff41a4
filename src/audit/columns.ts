/** The audit table's columns as a jsonb_to_recordset list: what turns entries into rows. */
import type { AuditEntry } from './entry.ts'

/** API name and PostgreSQL type; names and columns are the same. */
export const columns = {
  audit_id: 'text',
  timestamp: 'timestamptz',
  kind: 'text',
  tenant_id: 'text',
  request_id: 'text',
  agent_id: 'text',
  key_prefix: 'text',
  user_id: 'text',
  status: 'text',
  outcome: 'text',
  reason: 'text',
  dialect: 'text',
  endpoint: 'text',
  model: 'text',
  upstream: 'text',
  attempts: 'jsonb',
  stream: 'boolean',
  rules_evaluated: 'integer',
  rules_triggered: 'jsonb',
  findings: 'jsonb',
  policy_version: 'integer',
  metadata: 'jsonb',
  prompt_hash: 'text',
  forwarded_hash: 'text',
  uninspected_bytes: 'bigint',
  degraded: 'text',
  usage: 'jsonb',
  cost_usd: 'numeric',
  budgets: 'jsonb',
  latency_ms: 'integer',
  upstream_ms: 'integer',
  first_byte_ms: 'integer',
  overhead_ms: 'integer',
  http_status: 'integer',
  escalation_id: 'text',
  approved_by: 'text',
  held_audit_id: 'text',
} as const satisfies Record<keyof AuditEntry, string>

/** What a row says beside its entry: its place in the chain. */
export const placeColumns = { writer_id: 'text', seq: 'bigint', tenant_prev: 'bigint', salt: 'text', payload_hash: 'text' } as const

const quoted = Object.keys(columns).map((name) => `"${name}"`)
/** `"audit_id", "timestamp", …` */
export const columnNames = quoted.join(', ')
/** The same of a table with a name: `r."audit_id", …` */
export const columnsOf = (alias: string): string => quoted.map((name) => `${alias}.${name}`).join(', ')
/** `"audit_id" text, "timestamp" timestamptz, …` */
export const columnTypes = Object.values(columns)
  .map((type, i) => `${quoted[i]} ${type}`)
  .join(', ')

/** The names of the columns of a place, of a table with a name or none, and their types. */
export const placeNames = Object.keys(placeColumns).join(', ')
export const placesOf = (alias: string): string =>
  Object.keys(placeColumns)
    .map((name) => `${alias}.${name}`)
    .join(', ')
export const placeTypes = Object.entries(placeColumns)
  .map(([name, type]) => `${name} ${type}`)
  .join(', ')
