import type { HeldKeys } from '../crypto/held-keys.ts'
import type { Db, Tx } from '../db/connect.ts'
import { and, desc, eq, gt, inArray, isNull, or, sql } from '../db/drizzle.ts'
import { tell } from '../db/outbox.ts'
import { escalations } from '../db/schema.ts'
import { newId } from '../ids.ts'
import {
  BODY_BYTES_MAX,
  BYTES_MAX,
  CALLER_PENDING_MAX,
  CONTENT_BYTES_MAX,
  DENIED_SECONDS,
  PENDING_MAX,
  PENDING_SECONDS,
  TENANT_BYTES_MAX,
  TENANT_PENDING_MAX,
} from './bounds.ts'
import type { HeldCall, Refused } from './held-call.ts'
import { isInTime, isOfCall, type Status, statusNow } from './use.ts'

/** pg_advisory_xact_lock: calls are held one after the other, so that the bounds hold for all of them together. */
const HOLD_LOCK = 0x6561_7274_0007

/** A few megabytes may take longer than an ordinary statement. */
const STATEMENT_MS = 10_000

/** The record about this very call that is pending, approved and not used, or denied a while ago, if there is one. */
export async function findRecord(db: Db, call: HeldCall): Promise<{ id: string; status: Status } | undefined> {
  const { id, status, usedAt, decidedAt, createdAt } = escalations
  const [row] = await db
    .select({ id, status: statusNow })
    .from(escalations)
    .where(
      and(
        isOfCall(call),
        isNull(usedAt),
        or(
          and(inArray(status, ['pending', 'approved']), isInTime),
          and(eq(status, 'denied'), gt(decidedAt, sql`now() - make_interval(secs => ${DENIED_SECONDS})`)),
        ),
        gt(createdAt, sql`now() - interval '1 day'`), // none of them is older; the index is by that
      ),
    )
    .orderBy(desc(sql`${status} = 'approved'`), desc(createdAt))
    .limit(1)
  return row
}

/**
 * Makes the record, with the content sealed under a key of its own, and tells of it: one transaction. Answers `joined` where an identical call was faster,
 * or there is a record whose time is over and which has not been cleared away.
 */
export async function makeRecord(db: Db, heldKeys: HeldKeys, call: HeldCall): Promise<Refused | 'joined'> {
  if (call.bodyBytes > BODY_BYTES_MAX) return { why: 'too_large', id: null }
  const id = newId('esc')
  const { tenantId } = call
  const early = await whyFull(db, call, call.bodyBytes) // before anything is encrypted
  if (early) return { why: early, id: null }
  const { content, bodyBytes: _, ...fields } = call
  const said = content()
  if (Buffer.byteLength(said) > CONTENT_BYTES_MAX) return { why: 'too_large', id: null }
  const { sealed, keep } = await heldKeys.seal({ id, tenantId }, said)
  return db.transaction(async (tx) => {
    await tx.execute(sql`select set_config('statement_timeout', ${String(STATEMENT_MS)}, true)`)
    await tx.execute(sql`select pg_advisory_xact_lock(${HOLD_LOCK}::bigint)`)
    const full = await whyFull(tx, call, sealed.length)
    if (full) return { why: full, id: null }
    const [row] = await tx
      .insert(escalations)
      .values({ ...fields, id, content: sealed, contentBytes: sealed.length, expiresAt: sql`now() + make_interval(secs => ${PENDING_SECONDS})` })
      .onConflictDoNothing()
      .returning({ createdAt: escalations.createdAt, expiresAt: escalations.expiresAt })
    if (!row) return 'joined'
    await keep(tx)
    await tell(tx, [
      {
        event_id: newId('evt'),
        type: 'ESCALATE',
        tenant_id: tenantId,
        request_id: call.requestId,
        at: row.createdAt.toISOString(),
        data: dataOf(id, call, row.expiresAt),
        subject: null,
      },
    ])
    return { why: 'pending', id }
  })
}

const dataOf = (id: string, call: HeldCall, expiresAt: Date): Record<string, unknown> => ({
  escalation_id: id,
  audit_id: call.auditId,
  key_prefix: call.keyPrefix,
  agent_id: call.agentId,
  user_id: call.userId,
  model: call.model,
  dialect: call.dialect,
  endpoint: call.endpoint,
  rules_triggered: call.rulesTriggered.slice(0, RULES_MAX),
  policy_version: call.policyVersion,
  body_hash: call.bodyHash,
  expires_at: expiresAt.toISOString(),
})
/** What an event says at most of the rules that found something. */
const RULES_MAX = 50

/** What is not cleared away yet takes room like what is pending. */
async function whyFull(db: Db | Tx, { tenantId, caller }: HeldCall, bytes: number): Promise<'caller_full' | 'tenant_full' | 'full' | null> {
  const mine = sql`tenant_id = ${tenantId}`
  const [held] = await db.execute<{ all: number; bytes: string; mine: number; my_bytes: string; own: number }>(sql`
    select count(*)::int as all, coalesce(sum(content_bytes), 0) as bytes, (count(*) filter (where ${mine}))::int as mine,
      coalesce(sum(content_bytes) filter (where ${mine}), 0) as my_bytes, (count(*) filter (where ${mine} and caller = ${caller}))::int as own
    from escalations where content is not null`)
  if (held.own >= CALLER_PENDING_MAX) return 'caller_full'
  if (held.mine >= TENANT_PENDING_MAX || Number(held.my_bytes) + bytes > TENANT_BYTES_MAX) return 'tenant_full'
  return held.all >= PENDING_MAX || Number(held.bytes) + bytes > BYTES_MAX ? 'full' : null
}
