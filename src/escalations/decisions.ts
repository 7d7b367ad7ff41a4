/** What people see of calls that wait for them, and what they decide. Whoever writes announces a change of 'escalations' at the end of the transaction. */
import { destroyHeldKeys } from '../crypto/held-keys.ts'
import type { Db, Tx } from '../db/connect.ts'
import { and, count, desc, eq, getTableColumns, sql } from '../db/drizzle.ts'
import { escalations, sessions } from '../db/schema.ts'
import { APPROVED_SECONDS } from './bounds.ts'
import { callerLives } from './expire.ts'
import { type EscalationRow, newestVersion, type Status, statusNow } from './use.ts'

export type { EscalationRow }
export const statuses = ['pending', 'approved', 'denied', 'expired'] as const satisfies readonly Status[]

/** Without what the call says, which is long. */
export type EscalationFacts = Omit<EscalationRow, 'content'>

const { content: _, ...facts } = { ...getTableColumns(escalations), status: statusNow }

/** Newest first; a null tenant means every one. */
export async function listEscalations(
  db: Db | Tx,
  tenantId: string | null,
  { status, limit, offset }: { status?: Status | undefined; limit: number; offset: number },
): Promise<{ rows: EscalationFacts[]; total: number }> {
  const which = and(ownedBy(tenantId), status === undefined ? undefined : sql`${statusNow} = ${status}`)
  const [counted] = await db.select({ total: count() }).from(escalations).where(which)
  const rows = await db.select(facts).from(escalations).where(which).orderBy(desc(escalations.createdAt), desc(escalations.id)).limit(limit).offset(offset)
  return { rows, total: counted.total }
}

export async function findEscalation(db: Db | Tx, tenantId: string | null, id: string): Promise<EscalationFacts | undefined> {
  return (await db.select(facts).from(escalations).where(isIt(tenantId, id)))[0]
}

/** With what it says, if that is still there, and nobody decides about it until the transaction ends. Undefined where there is none. */
export async function lockEscalation(tx: Tx, tenantId: string | null, id: string): Promise<EscalationRow | undefined> {
  const [row] = await tx
    .select({ ...facts, content: escalations.content })
    .from(escalations)
    .where(isIt(tenantId, id))
    .for('update')
  return row
}

export interface Verdict {
  status: 'approved' | 'denied'
  by: string
  comment: string | null
}

/** By whom the session was made in which the call was made; null where it was made with a key, which is nobody's in particular. */
export async function personBehind(tx: Tx, { tenantId, keyPrefix }: Pick<EscalationRow, 'tenantId' | 'keyPrefix'>): Promise<string | null> {
  const isIts = and(eq(sessions.id, keyPrefix), eq(sessions.tenantId, tenantId))
  const [session] = await tx.select({ createdBy: sessions.createdBy }).from(sessions).where(isIts)
  return session?.createdBy ?? null
}

/**
 * Decides about one that is locked and pending; what it says is destroyed with its key. A decision under rules that have changed since, or for somebody who
 * may call no more, decides nothing: the row has then expired, for the call that is sent again is another one.
 */
export async function decide(tx: Tx, { id, tenantId }: Pick<EscalationRow, 'id' | 'tenantId'>, { status, by, comment }: Verdict): Promise<EscalationFacts> {
  await destroyHeldKeys(tx, [id])
  const isInForce = sql`${escalations.policyVersion} = ${newestVersion(tenantId)}`
  const [decided] = await tx
    .update(escalations)
    .set({
      status,
      content: null,
      decidedAt: sql`now()`,
      decidedBy: by,
      comment,
      ...(status === 'approved' && { expiresAt: sql`now() + make_interval(secs => ${APPROVED_SECONDS})` }),
    })
    .where(and(eq(escalations.id, id), isInForce, callerLives))
    .returning(facts)
  if (decided) return decided
  const [voided] = await tx.update(escalations).set({ status: 'expired', content: null, expiresAt: sql`now()` }).where(eq(escalations.id, id)).returning(facts)
  return voided!
}

const isIt = (tenantId: string | null, id: string) => and(ownedBy(tenantId), eq(escalations.id, id))
const ownedBy = (tenantId: string | null) => (tenantId === null ? undefined : eq(escalations.tenantId, tenantId))
