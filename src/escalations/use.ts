import type { Db, Tx } from '../db/connect.ts'
import { and, eq, gt, isNull, or, sql } from '../db/drizzle.ts'
import { escalations } from '../db/schema.ts'
import type { Answer, HeldCall, Refused } from './held-call.ts'

export type EscalationRow = typeof escalations.$inferSelect
export type Status = EscalationRow['status']

/** The version of the tenant's policy that is in force. */
export const newestVersion = (tenantId: unknown) =>
  sql<number>`(select coalesce(max(policy_versions.version), 0) from policy_versions where policy_versions.tenant_id = ${tenantId})`

export const isInTime = gt(escalations.expiresAt, sql`now()`)

/**
 * Uses an approval for exactly this call, in one statement, so that of however many only one does; the same exchange may ask again. An approval is for one
 * caller, one call and one version of the policy: any change of them voids it.
 */
export async function useApproval(db: Db, id: string, call: HeldCall): Promise<Answer> {
  const isUnused = and(isNull(escalations.usedAt), isInTime)
  const [used] = await db
    .update(escalations)
    .set({ usedAt: sql`now()`, usedBy: call.auditId })
    .where(
      and(
        eq(escalations.id, id),
        isOfCall(call),
        eq(escalations.policyVersion, newestVersion(call.tenantId)),
        eq(escalations.status, 'approved'),
        or(isUnused, eq(escalations.usedBy, call.auditId)), // the answer to the same exchange may have been lost: that must not cost it its approval
      ),
    )
    .returning({ auditId: escalations.auditId, decidedBy: escalations.decidedBy })
  if (!used) return whyNot(db, id, call)
  return { why: null, id, approvedBy: used.decidedBy ?? '', heldAuditId: used.auditId === call.auditId ? null : used.auditId }
}

/**
 * Whoever used it has sent nothing, and never will. By whom it was used is asked of the locked row: a use that is being committed is waited for, and given
 * back as well.
 */
export async function giveBack(db: Db, id: string, { tenantId, auditId }: Pick<HeldCall, 'tenantId' | 'auditId'>): Promise<void> {
  const { usedAt, usedBy } = escalations
  await db
    .update(escalations)
    .set({ usedAt: sql`case when ${usedBy} = ${auditId} then null else ${usedAt} end`, usedBy: sql`nullif(${usedBy}, ${auditId})` })
    .where(and(eq(escalations.id, id), eq(escalations.tenantId, tenantId)))
}

/** The same call of the same caller, judged by the same policy. */
export const isOfCall = ({ tenantId, caller, callHash, policyVersion }: HeldCall) =>
  and(eq(escalations.tenantId, tenantId), eq(escalations.caller, caller), eq(escalations.callHash, callHash), eq(escalations.policyVersion, policyVersion))

/** An id of another call, caller or tenant tells as little as one that does not exist. */
async function whyNot(db: Db, id: string, call: HeldCall): Promise<Refused> {
  const [row] = await db
    .select({ status: statusNow, usedAt: escalations.usedAt, isInForce: sql<boolean>`${escalations.policyVersion} = ${newestVersion(call.tenantId)}` })
    .from(escalations)
    .where(and(eq(escalations.id, id), isOfCall(call)))
  if (!row) return { why: 'another', id: null }
  if (row.status === 'approved' && row.usedAt !== null) return { why: 'used', id }
  if (!row.isInForce && row.status !== 'denied') return { why: 'another', id: null }
  // Between the two statements it may have been approved: then it is to be asked for again.
  return { why: row.status, id }
}

/** What it is, whether or not somebody has come by since its time was over; an approval that nobody used in time has expired as well. */
export const statusNow = sql<Status>`case when ${escalations.status} in ('pending', 'approved') and ${escalations.usedAt} is null
  and ${escalations.expiresAt} <= now() then 'expired' else ${escalations.status} end`

/** What has become of these. One that is not there any more has expired. */
export async function statesOf(db: Db | Tx, ids: readonly string[]): Promise<ReadonlyMap<string, Status>> {
  const wanted = sql`jsonb_array_elements_text(${JSON.stringify(ids)}::text::jsonb)`
  const rows = await db.select({ id: escalations.id, status: statusNow }).from(escalations).where(sql`${escalations.id} in (select ${wanted})`)
  const found = new Map(rows.map(({ id, status }) => [id, status]))
  return new Map(ids.map((id) => [id, found.get(id) ?? 'expired']))
}
