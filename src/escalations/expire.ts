import { destroyHeldKeys, destroyOrphans } from '../crypto/held-keys.ts'
import { announce } from '../db/changes.ts'
import type { Db, Tx } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'
import { escalations } from '../db/schema.ts'
import { KEPT_DAYS } from './bounds.ts'

/** What is written down of one that expired, in the transaction in which it did. */
export interface Expired {
  action: 'escalation.expire'
  tenantId: string
  /** The id of the escalation. */
  subject: string
  details: { request_id: string; audit_id: string }
}

/** Rows of one transaction; a pending one may hold megabytes, which are only given up here. */
const BATCH = 100

/**
 * Whether whoever made the call may still make calls: a key of its line, or the session, lives, and so does the tenant. Nobody else could use an approval.
 */
export const callerLives = sql`exists (select from tenants where tenants.id = ${escalations.tenantId} and tenants.active) and (
  exists (select from sessions where sessions.id = ${escalations.keyPrefix} and sessions.tenant_id = ${escalations.tenantId}
    and sessions.ended_at is null and sessions.expires_at > now())
  or exists (select from api_keys sent join api_keys own on own.tenant_id = sent.tenant_id
    and coalesce(own.successor, own.prefix) = coalesce(sent.successor, sent.prefix)
    where sent.prefix = ${escalations.keyPrefix} and sent.tenant_id = ${escalations.tenantId}
    and own.revoked_at is null and (own.expires_at is null or own.expires_at > now())))`

/** Ends all whose time is over, or whose callers may call no more: what they say is destroyed. Any number of processes may do it at once. Answers how many there were. */
export async function expireLate(db: Db, record: (tx: Tx, expired: Expired) => Promise<void>): Promise<number> {
  for (let all = 0; ; ) {
    const expired = await db.transaction((tx) => expireSome(tx, record))
    all += expired
    if (expired < BATCH) return all
  }
}

async function expireSome(tx: Tx, record: (tx: Tx, expired: Expired) => Promise<void>): Promise<number> {
  const late = sql`(select ${escalations.id} from ${escalations} where ${escalations.content} is not null
    and (${escalations.expiresAt} <= now() or not (${callerLives})) order by ${escalations.expiresAt} limit ${BATCH} for update skip locked)`
  const rows = await tx
    .update(escalations)
    .set({ status: 'expired', content: null })
    .where(sql`${escalations.id} in ${late}`)
    .returning({ id: escalations.id, tenantId: escalations.tenantId, requestId: escalations.requestId, auditId: escalations.auditId })
  if (rows.length === 0) return 0
  const ids = rows.map(({ id }) => id)
  await destroyHeldKeys(tx, ids)
  for (const row of rows) await record(tx, expiredOf(row))
  await announce(tx, 'escalations', null)
  return rows.length
}

export const expiredOf = ({ id, tenantId, requestId, auditId }: { id: string; tenantId: string; requestId: string; auditId: string }): Expired => ({
  action: 'escalation.expire',
  tenantId,
  subject: id,
  details: { request_id: requestId, audit_id: auditId },
})

/** Deletes rows that nobody need read any more, and keys of what is not there. */
export async function prune(db: Db): Promise<void> {
  await db.transaction(async (tx) => {
    const old = sql`(select id from escalations where created_at < now() - make_interval(days => ${KEPT_DAYS}) and content is null limit ${BATCH})`
    const rows = await tx.delete(escalations).where(sql`${escalations.id} in ${old}`).returning({ id: escalations.id })
    await destroyHeldKeys(
      tx,
      rows.map(({ id }) => id),
    )
    await destroyOrphans(tx, sql`select id from escalations where content is not null`)
  })
}
