/** The audit table's columns as a jsonb_to_recordset list, and the one statement part that turns entries into rows. */
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

/** Entries as JSON PostgreSQL takes: jsonb knows neither NUL nor half a surrogate pair. */
export function toJson(values: readonly object[]): string {
  const json = JSON.stringify(values)
  // Both come out of JSON.stringify as escapes, so that the rare case is seen in the text and only then paid for.
  return /\\u(?:0000|d[89a-f])/.test(json) ? JSON.stringify(storable(values)) : json
}

/** Names of members too: a caller's metadata has whatever names it likes. A number that JSON does not have is null, as JSON.stringify writes it. */
export function storable(value: unknown): unknown {
  if (typeof value === 'string') return storableText(value)
  if (typeof value === 'number' && !Number.isFinite(value)) return null
  if (Array.isArray(value)) return value.map(storable)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [storableText(name), storable(member)]))
}

const storableText = (text: string): string => text.replaceAll('\0', '\uFFFD').toWellFormed()
