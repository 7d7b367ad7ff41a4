/** The record of an administrative change, and the events that tell of it. They commit with the change, or not at all. */
import type { Db, Tx } from '../db/connect.ts'
import { and, desc, eq, gte, inArray, isNull, sql } from '../db/drizzle.ts'
import { tell } from '../db/outbox.ts'
import { auditEntries } from '../db/schema.ts'
import { newId } from '../ids.ts'
import { newEventsOf } from '../webhooks/event.ts'
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

/** What the program changes by itself, as a change. */
export const bySystem = <What extends Pick<Change, 'action' | 'tenantId' | 'subject' | 'details'>>(what: What, at: Date = new Date()) => ({
  ...what,
  actor: 'system',
  keyPrefix: null,
  requestId: newId('req', at.getTime()),
  at,
})

/** Writes the record in the transaction of the change, and tells who listens. It gets its place in the chain with the next checkpoint. */
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
  await tell(tx, newEventsOf(entry))
}

/** Whoever looks whether something is on record already, and records it otherwise, does so alone. */
const ONCE_LOCK = 0x6561_7274_0009

/**
 * The same in a transaction of its own, and only where no entry since then, of whichever process, says the same (action, subject and details) of the
 * installation. Resolves with whether it is new.
 */
export async function recordOnce(db: Db, change: Change & { tenantId: null }, since: Date, seal: Seal): Promise<boolean> {
  const { kind, tenantId, reason, metadata, timestamp } = auditEntries
  const said = JSON.stringify({ ...change.details, subject: change.subject })
  const isIt = and(isNull(tenantId), gte(timestamp, since), eq(kind, 'change'), eq(reason, change.action), sql`${metadata} @> ${said}::text::jsonb`)
  return db.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${ONCE_LOCK}::bigint)`)
    const [known] = await tx.select({ id: auditEntries.auditId }).from(auditEntries).where(isIt).limit(1)
    if (!known) await recordChange(tx, change, seal)
    return known === undefined
  })
}

/** Entries that are looked through for what was said last, newest first: a tenant's calls are among them. */
const LOOKED_AT_MAX = 10_000

export interface LastChange {
  action: string
  /** Beside who did it to what. */
  details: Record<string, unknown>
}

/** Which of these actions was the last on something of a tenant's, or of the installation's; undefined where none of its newest entries tells. */
export async function lastChange(
  db: Db,
  { tenantId, subject, actions }: { tenantId: string | null; subject: string; actions: readonly string[] },
): Promise<LastChange | undefined> {
  const { kind, reason, metadata, timestamp } = auditEntries
  const newest = db
    .select({ kind, reason, metadata })
    .from(auditEntries)
    .where(tenantId === null ? isNull(auditEntries.tenantId) : eq(auditEntries.tenantId, tenantId))
    .orderBy(desc(timestamp))
    .limit(LOOKED_AT_MAX)
    .as('newest')
  const isIt = and(eq(newest.kind, 'change'), inArray(newest.reason, [...actions]), sql`${newest.metadata}->>'subject' = ${subject}`)
  const [row] = await db.select({ reason: newest.reason, metadata: newest.metadata }).from(newest).where(isIt).limit(1)
  if (!row?.metadata) return undefined
  const { actor: _, subject: __, ...details } = row.metadata
  return { action: row.reason ?? '', details }
}

/** What people do to something of which there are many. */
const deeds = ['create', 'update', 'delete']

/** Who last created, changed or deleted something of this kind (`upstream` for `upstream.create`) of the installation's; undefined where the log does not tell. */
export async function lastActorOn(db: Db, kind: string, subject: string): Promise<string | undefined> {
  const { timestamp, auditId, metadata, reason, tenantId } = auditEntries
  const isIt = and(
    isNull(tenantId),
    eq(auditEntries.kind, 'change'),
    inArray(
      reason,
      deeds.map((deed) => `${kind}.${deed}`),
    ),
    sql`${metadata}->>'subject' = ${subject}`,
  )
  const [row] = await db.select({ metadata }).from(auditEntries).where(isIt).orderBy(desc(timestamp), desc(auditId)).limit(1)
  return typeof row?.metadata?.actor === 'string' ? row.metadata.actor : undefined
}
