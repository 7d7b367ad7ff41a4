/** The record of an administrative change. It commits with the change it tells of, or not at all. */
import type { Db, Tx } from '../db/connect.ts'
import { and, desc, eq, isNull, like, sql } from '../db/drizzle.ts'
import { auditEntries } from '../db/schema.ts'
import { type AuditEntry, emptyEntry } from './entry.ts'
import { toRow } from './row.ts'
import type { Seal } from './seal.ts'

export interface Change {
  /** `admin`, `system`, or the prefix of a key. */
  actor: string
  /** The prefix of the key that was used, if it was a tenant's. */
  keyPrefix: string | null
  /** What was done: `tenant.create`. */
  action: string
  /** Null where it concerns the whole installation. */
  tenantId: string | null
  /** What it was done to: an id, a name, a prefix. Never a secret. */
  subject: string
  requestId: string
  at: Date
  /** Of the record, where something names it. */
  auditId?: string
  /** What else is to be said of it. Never a secret, nor what calls say. */
  details?: Record<string, unknown>
}

/** Writes the record in the transaction of the change. It gets its place in the chain with the next checkpoint. */
export async function recordChange(
  tx: Tx,
  { actor, keyPrefix, action, tenantId, subject, requestId, at, auditId, details = {} }: Change,
  seal: Seal,
): Promise<void> {
  const entry: AuditEntry = {
    ...emptyEntry({ at: at.getTime(), kind: 'change', reason: action }),
    ...(auditId === undefined ? {} : { audit_id: auditId }),
    tenant_id: tenantId,
    request_id: requestId,
    key_prefix: keyPrefix,
    metadata: { ...details, actor, subject },
  }
  await tx.insert(auditEntries).values({ ...toRow(entry), seal: seal(entry) })
}

/**
 * Who last did something of this kind (`upstream` for `upstream.create`, `upstream.update` …) to something of the installation's; undefined where the log
 * does not tell.
 */
export async function lastActorOn(db: Db, kind: string, subject: string): Promise<string | undefined> {
  const { timestamp, auditId, metadata, reason, tenantId } = auditEntries
  const isIt = and(isNull(tenantId), eq(auditEntries.kind, 'change'), like(reason, `${kind}.%`), sql`${metadata}->>'subject' = ${subject}`)
  const [row] = await db.select({ metadata }).from(auditEntries).where(isIt).orderBy(desc(timestamp), desc(auditId)).limit(1)
  return typeof row?.metadata?.actor === 'string' ? row.metadata.actor : undefined
}
