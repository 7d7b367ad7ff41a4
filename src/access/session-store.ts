/** The rows of sessions, and of what keeps new ones from being made. Whoever ends any announces a change of 'sessions' at the end of the transaction. */
import type { Db, Tx } from '../db/connect.ts'
import { and, count, desc, eq, gt, inArray, isNotNull, isNull, lte, or, sql } from '../db/drizzle.ts'
import { apiKeys, sessionLocks, sessions } from '../db/schema.ts'
import { SESSION_SECONDS_MAX } from './profiles.ts'
import type { MintedSession } from './sessions.ts'

export type SessionRow = typeof sessions.$inferSelect

/** Live ones. */
export const SESSIONS_PER_TENANT_MAX = 10_000
/** In one statement. */
const REMOVED_AT_ONCE_MAX = 10_000
/** In one call, which then says how many; the next one goes on. */
const REMOVED_MAX = 100_000

/** pg_advisory_xact_lock: who makes a session shares it, who locks or unlocks has it alone. So no session that is being made outlives a lock. */
const SESSIONS_LOCK = 0x6561_7274_0005
/** The "tenant" whose lock is everybody's. */
const INSTALLATION = ''

/** Whose sessions are meant; a null tenant means every one's, a key those that were made with it. */
export interface Owner {
  tenantId: string | null
  keyId?: string | undefined
}

const ownedBy = ({ tenantId, keyId }: Owner) =>
  and(tenantId === null ? undefined : eq(sessions.tenantId, tenantId), keyId === undefined ? undefined : eq(sessions.keyId, keyId))
/** None is older than the longest may live: with that the index finds them. */
const isLive = (at: Date) =>
  and(isNull(sessions.endedAt), gt(sessions.expiresAt, at), gt(sessions.createdAt, new Date(at.getTime() - (SESSION_SECONDS_MAX + 1) * 1_000)))
const isOver = (at: Date) => or(isNotNull(sessions.endedAt), lte(sessions.expiresAt, at))

/** The row of a key that may still be used, by the part of it that is shown. */
export async function findKeyId(db: Db | Tx, tenantId: string, prefix: string): Promise<string | undefined> {
  const [row] = await db
    .select({ id: apiKeys.id })
    .from(apiKeys)
    .where(and(eq(apiKeys.tenantId, tenantId), eq(apiKeys.prefix, prefix), isNull(apiKeys.revokedAt)))
  return row?.id
}

/** Whether sessions may not be made now. Until the transaction ends that stays so: who wants to lock waits. */
export async function isLocked(tx: Tx, tenantId: string): Promise<boolean> {
  await tx.execute(sql`select pg_advisory_xact_lock_shared(${SESSIONS_LOCK}::bigint)`)
  return (await locksOn(tx, tenantId)).length > 0
}

export async function insertSession(
  tx: Tx,
  tenantId: string,
  { id, profile, createdAt, expiresAt }: MintedSession,
  { keyId, createdBy }: { keyId: string | null; createdBy: string },
): Promise<void> {
  await tx.insert(sessions).values({ id, tenantId, profile, keyId, createdBy, createdAt, expiresAt })
}

export async function countLive(tx: Tx, tenantId: string, at: Date): Promise<number> {
  const [counted] = await tx
    .select({ total: count() })
    .from(sessions)
    .where(and(ownedBy({ tenantId }), isLive(at)))
  return counted.total
}

/** Newest first: those that are live at that moment, or those that are over. */
export async function listSessions(
  db: Db,
  owner: Owner,
  { active, at, limit, offset }: { active: boolean; at: Date; limit: number; offset: number },
): Promise<{ rows: SessionRow[]; total: number }> {
  const which = and(ownedBy(owner), active ? isLive(at) : isOver(at))
  const [counted] = await db.select({ total: count() }).from(sessions).where(which)
  const rows = await db.select().from(sessions).where(which).orderBy(desc(sessions.createdAt), desc(sessions.id)).limit(limit).offset(offset)
  return { rows, total: counted.total }
}

export async function findSession(db: Db | Tx, owner: Owner, id: string): Promise<SessionRow | undefined> {
  const [row] = await db
    .select()
    .from(sessions)
    .where(and(ownedBy(owner), eq(sessions.id, id)))
  return row
}

/** Which of these have not been ended, as far as there are rows of them. Whether their time is over is for whoever knows it. */
export async function openAmong(db: Db, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await db
    .select({ id: sessions.id })
    .from(sessions)
    .where(and(inArray(sessions.id, [...ids]), isNull(sessions.endedAt)))
  return new Set(rows.map(({ id }) => id))
}

/** Ends those that a person made without a key: what they began does not outlive what they may. */
export async function endSessionsOf(tx: Tx, createdBy: string, at: Date): Promise<void> {
  await tx
    .update(sessions)
    .set({ endedAt: at })
    .where(and(eq(sessions.createdBy, createdBy), isNull(sessions.keyId), isLive(at)))
}

/** Ending it again changes nothing. */
export async function endSession(tx: Tx, tenantId: string, id: string, at: Date): Promise<void> {
  await tx
    .update(sessions)
    .set({ endedAt: at })
    .where(and(ownedBy({ tenantId }), eq(sessions.id, id), isNull(sessions.endedAt)))
}

/** Ends all live sessions, of a tenant or (null) of every one, and lets none be made until it is unlocked. How many were ended. */
export async function lockSessions(tx: Tx, tenantId: string | null, { by, at }: { by: string; at: Date }): Promise<number> {
  await tx.execute(sql`select pg_advisory_xact_lock(${SESSIONS_LOCK}::bigint)`)
  await tx
    .insert(sessionLocks)
    .values({ tenantId: tenantId ?? INSTALLATION, lockedBy: by, lockedAt: at })
    .onConflictDoNothing()
  const { count: ended } = await tx
    .update(sessions)
    .set({ endedAt: at })
    .where(and(ownedBy({ tenantId }), isLive(at)))
  return ended
}

/** Lets sessions be made again; false where a tenant's would stay locked because the whole installation is. */
export async function unlockSessions(tx: Tx, tenantId: string | null): Promise<boolean> {
  await tx.execute(sql`select pg_advisory_xact_lock(${SESSIONS_LOCK}::bigint)`)
  if (tenantId !== null && (await locksOn(tx, tenantId)).includes(INSTALLATION)) return false
  await tx.delete(sessionLocks).where(eq(sessionLocks.tenantId, tenantId ?? INSTALLATION))
  return true
}

/** Removes rows of sessions that are over, of a tenant or (null) of every one, and says how many. */
export async function removeOver(tx: Tx, tenantId: string | null, at: Date): Promise<number> {
  let removed = 0
  while (removed < REMOVED_MAX) {
    const some = tx
      .select({ id: sessions.id })
      .from(sessions)
      .where(and(ownedBy({ tenantId }), isOver(at)))
      .limit(REMOVED_AT_ONCE_MAX)
      .for('update', { skipLocked: true }) // two that clear away at once do not wait for each other
    const { count: gone } = await tx.delete(sessions).where(inArray(sessions.id, some))
    removed += gone
    if (gone < REMOVED_AT_ONCE_MAX) break
  }
  return removed
}

const locksOn = async (tx: Tx, tenantId: string): Promise<string[]> =>
  (
    await tx
      .select()
      .from(sessionLocks)
      .where(inArray(sessionLocks.tenantId, [INSTALLATION, tenantId]))
  ).map((lock) => lock.tenantId)
