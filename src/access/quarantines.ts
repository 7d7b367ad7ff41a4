/** The rows of quarantines. Whoever writes announces a change of 'keys' at the end of the transaction. */
import type { Db, Tx } from '../db/connect.ts'
import { and, count, desc, eq, isNotNull, isNull, max } from '../db/drizzle.ts'
import { quarantines } from '../db/schema.ts'
import { newId } from '../ids.ts'

export type QuarantineRow = typeof quarantines.$inferSelect

export const quarantineStatuses = ['open', 'released'] as const
type QuarantineStatus = (typeof quarantineStatuses)[number]

export type NewQuarantine = Pick<QuarantineRow, 'tenantId' | 'agentId' | 'reason' | 'createdBy' | 'createdAt'>

/** Undefined where the agent is in quarantine already: then that one stays as it is. The agent must be the tenant's. */
export async function openQuarantine(tx: Tx, fields: NewQuarantine): Promise<QuarantineRow | undefined> {
  const [row] = await tx
    .insert(quarantines)
    .values({ ...fields, id: newId('quar', fields.createdAt.getTime()) })
    .onConflictDoNothing()
    .returning()
  return row
}

/** By its own id, or by its agent's, of which the open one is meant. Undefined where there is none; not `released` where somebody was first. */
export async function releaseQuarantine(
  tx: Tx,
  tenantId: string,
  id: string,
  { releasedBy, releasedAt, comment }: { releasedBy: string; releasedAt: Date; comment: string | null },
): Promise<{ row: QuarantineRow; released: boolean } | undefined> {
  const row = (await findQuarantine(tx, tenantId, id)) ?? (await findOpenQuarantine(tx, tenantId, id))
  if (!row) return undefined
  const [after] = await tx
    .update(quarantines)
    .set({ releasedBy, releasedAt, comment })
    .where(and(ownedBy(tenantId), eq(quarantines.id, row.id), isNull(quarantines.releasedAt)))
    .returning()
  return after ? { row: after, released: true } : { row, released: false }
}

/** Newest first; a null tenant means every one. */
export async function listQuarantines(
  db: Db | Tx,
  tenantId: string | null,
  { status, agentId, limit, offset }: { status?: QuarantineStatus | undefined; agentId?: string | undefined; limit: number; offset: number },
): Promise<{ rows: QuarantineRow[]; total: number }> {
  const which = and(ownedBy(tenantId), status && isIn[status], agentId === undefined ? undefined : eq(quarantines.agentId, agentId))
  const [counted] = await db.select({ total: count() }).from(quarantines).where(which)
  const rows = await db.select().from(quarantines).where(which).orderBy(desc(quarantines.createdAt), desc(quarantines.id)).limit(limit).offset(offset)
  return { rows, total: counted.total }
}

export const findOpenQuarantine = (db: Db | Tx, tenantId: string, agentId: string): Promise<QuarantineRow | undefined> =>
  firstOf(db, and(ownedBy(tenantId), eq(quarantines.agentId, agentId), isIn.open))

/** When the agent was last released; null: never. */
export async function lastReleaseOf(db: Db | Tx, tenantId: string, agentId: string): Promise<Date | null> {
  const [{ at }] = await db
    .select({ at: max(quarantines.releasedAt) })
    .from(quarantines)
    .where(and(ownedBy(tenantId), eq(quarantines.agentId, agentId)))
  return at
}

const findQuarantine = (db: Db | Tx, tenantId: string, id: string): Promise<QuarantineRow | undefined> =>
  firstOf(db, and(ownedBy(tenantId), eq(quarantines.id, id)))

async function firstOf(db: Db | Tx, which: ReturnType<typeof and>): Promise<QuarantineRow | undefined> {
  return (await db.select().from(quarantines).where(which).limit(1))[0]
}

const isIn = { open: isNull(quarantines.releasedAt), released: isNotNull(quarantines.releasedAt) } satisfies Record<QuarantineStatus, unknown>
const ownedBy = (tenantId: string | null) => (tenantId === null ? undefined : eq(quarantines.tenantId, tenantId))
