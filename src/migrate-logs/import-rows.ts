/** Writes rows into the audit log of this installation: each once, however often it is given. Nothing is charged for them. */
import { columnNames, columnTypes } from '../audit/columns.ts'
import type { AuditEntry } from '../audit/entry.ts'
import { recordChange } from '../audit/record-change.ts'
import type { Seal } from '../audit/seal.ts'
import type { Db } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'
import { tenants } from '../db/schema.ts'
import { newId } from '../ids.ts'

export interface ImportOptions {
  /** Of a connection whose statements may take long: a row may be as long as a line. */
  db: Db
  /** What is imported, for the record of it. */
  subject: string
  /** So that the next checkpoint takes the rows into the chain. */
  seal: Seal
  now: () => number
}

/** Adds rows, each given as JSON, and says how many were not there yet. A tenant's first rows come with a record of the import, in the same transaction. */
export function createImport({ db, subject, seal, now }: ImportOptions): (rows: readonly string[]) => Promise<number> {
  const recorded = new Set<string>()
  const sealed = (row: string): string => {
    const entry = JSON.parse(row) as AuditEntry
    return JSON.stringify({ ...entry, seal: seal(entry) })
  }
  return (rows) =>
    db.transaction(async (tx) => {
      const added = await tx.execute<{ tenant_id: string }>(sql`
        insert into audit_entries (${sql.raw(columnNames)}, seal)
        select ${sql.raw(columnNames)}, seal from jsonb_to_recordset(${`[${rows.map(sealed).join(',')}]`}::text::jsonb) as r(${sql.raw(columnTypes)}, seal text)
        on conflict do nothing returning tenant_id`)
      const at = new Date(now())
      for (const tenantId of new Set(added.map(({ tenant_id }) => tenant_id)).difference(recorded)) {
        const requestId = newId('req', at.getTime())
        await recordChange(tx, { actor: 'admin', keyPrefix: null, action: 'audit.import', tenantId, subject, requestId, at }, seal)
        recorded.add(tenantId)
      }
      return added.length
    })
}

/** Finds tenants of this installation by id or name: the id, or a sentence that says why there is none. */
export async function createTenantFinder(db: Db): Promise<(word: string) => { id: string } | string> {
  const ids = new Map<string, string | null>()
  const rows = await db.select({ id: tenants.id, name: tenants.name }).from(tenants)
  for (const { id, name } of rows) ids.set(name, ids.has(name) ? null : id)
  for (const { id } of rows) ids.set(id, id)
  return (word) => {
    const id = ids.get(word)
    if (typeof id === 'string') return { id }
    return id === null ? 'several tenants of this installation have the name of its tenant' : 'its tenant is none of this installation'
  }
}
