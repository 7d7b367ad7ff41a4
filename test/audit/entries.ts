/** Rows of the audit log for tests that read it. */
import type { Db } from '../../src/db/connect.ts'
import { auditEntries } from '../../src/db/schema.ts'
import { newId } from '../../src/ids.ts'

type Row = typeof auditEntries.$inferInsert

/** Writes exchanges, ALLOW and completed unless said otherwise, and returns their ids. */
export async function insertEntries(db: Db, rows: readonly Partial<Row>[]): Promise<string[]> {
  const whole = rows.map((row): Row => {
    const timestamp = row.timestamp ?? new Date('2026-11-20T12:00:00Z')
    return {
      auditId: newId('aud', timestamp.getTime()),
      timestamp,
      kind: 'exchange',
      tenantId: 't_1',
      requestId: newId('req', timestamp.getTime()),
      status: 'ALLOW',
      outcome: 'completed',
      ...row,
    }
  })
  await db.insert(auditEntries).values(whole)
  return whole.map(({ auditId }) => auditId)
}
