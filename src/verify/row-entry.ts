/** A row as the database holds it, columns in the API's names, as the entry the API gives: what its leaf was made of. */
import type { AuditEntry } from '../audit/entry.ts'

/** What a column without a value means; of all others, null. */
const absent = {
  attempts: [],
  stream: false,
  rules_evaluated: 0,
  rules_triggered: [],
  findings: [],
  metadata: {},
  uninspected_bytes: 0,
  budgets: [],
} satisfies Partial<AuditEntry>

const USD_PLACES = 9

/** Throws where the timestamp is none; whatever else is wrong makes another leaf. */
export function entryOfRow(row: Readonly<Record<string, unknown>>): AuditEntry {
  const entry: Record<string, unknown> = { ...row, timestamp: new Date(String(row.timestamp)).toISOString() }
  for (const [name, value] of Object.entries(absent)) entry[name] ??= value
  if (typeof entry.cost_usd === 'number') entry.cost_usd = entry.cost_usd.toFixed(USD_PLACES)
  if (typeof entry.uninspected_bytes === 'string') entry.uninspected_bytes = Number(entry.uninspected_bytes)
  return entry as unknown as AuditEntry
}
