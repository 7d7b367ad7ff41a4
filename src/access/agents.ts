/** The rows of agents. Whoever writes announces a change of 'keys' at the end of the transaction: what calls know of an agent, they know by its key. */
import type { Agent, QuarantineRules } from '../call.ts'
import type { Db, Tx } from '../db/connect.ts'
import { and, count, desc, eq, getTableColumns, isNotNull, isNull } from '../db/drizzle.ts'
import { agents, type QuarantineFields, quarantines } from '../db/schema.ts'
import { newId } from '../ids.ts'
import { limitSetOf } from './limit-set.ts'

type Row = typeof agents.$inferSelect
/** `quarantined`: it has a quarantine that nobody released. */
export type AgentRow = Row & { quarantined: boolean }

/** What an administrator says of an agent. */
export type AgentFields = Omit<typeof agents.$inferInsert, 'id' | 'tenantId' | 'createdAt'>

export const agentStatuses = ['active', 'quarantined', 'inactive'] as const
export type AgentStatus = (typeof agentStatuses)[number]

/** What bounds the lists and the budgets of one tenant. Inactive ones do not count. */
export const AGENTS_PER_TENANT_MAX = 1_000
/** For agents whose thresholds name no window. */
export const WINDOW_SECONDS_DEFAULT = 3_600

export async function insertAgent(tx: Tx, tenantId: string, fields: AgentFields): Promise<AgentRow> {
  const [row] = await tx
    .insert(agents)
    .values({ ...fields, id: newId('agent'), tenantId })
    .returning()
  return { ...row, quarantined: false }
}

/** Newest first; a null tenant means every one. */
export async function listAgents(
  db: Db | Tx,
  tenantId: string | null,
  { status, limit, offset }: { status?: AgentStatus | undefined; limit: number; offset: number },
): Promise<{ rows: AgentRow[]; total: number }> {
  const which = and(ownedBy(tenantId), status && isIn[status])
  const [counted] = await db.select({ total: count() }).from(agents).leftJoin(quarantines, isOpen).where(which)
  const rows = await withQuarantine(db).where(which).orderBy(desc(agents.createdAt), desc(agents.id)).limit(limit).offset(offset)
  return { rows: rows.map(toRow), total: counted.total }
}

export async function findAgent(db: Db | Tx, tenantId: string | null, id: string): Promise<AgentRow | undefined> {
  const [row] = await withQuarantine(db)
    .where(and(ownedBy(tenantId), eq(agents.id, id)))
    .limit(1)
  return row && toRow(row)
}

/** Also deactivates (`active: false`), and brings back, an agent; the fields left out stay as they are. */
export async function changeAgent(tx: Tx, tenantId: string, id: string, fields: Partial<AgentFields>): Promise<AgentRow | undefined> {
  if (Object.keys(fields).length > 0)
    await tx
      .update(agents)
      .set(fields)
      .where(and(ownedBy(tenantId), eq(agents.id, id)))
  return findAgent(tx, tenantId, id)
}

/** How many of a tenant's agents are active. */
export async function countAgents(db: Db | Tx, tenantId: string): Promise<number> {
  const [{ total }] = await db
    .select({ total: count() })
    .from(agents)
    .where(and(ownedBy(tenantId), eq(agents.active, true)))
  return total
}

export const statusOf = ({ active, quarantined }: Pick<AgentRow, 'active' | 'quarantined'>): AgentStatus =>
  !active ? 'inactive' : quarantined ? 'quarantined' : 'active'

/** What calls need of an agent. */
export const agentOf = (row: Row, quarantined: boolean): Agent => ({
  id: row.id,
  name: row.name,
  limits: row.limits && limitSetOf(row.limits),
  allowedModels: row.allowedModels,
  quarantined,
  quarantine: row.quarantine && quarantineRulesOf(row.quarantine),
})

const quarantineRulesOf = (fields: QuarantineFields): QuarantineRules => ({
  blocks: fields.blocks ?? null,
  errors: fields.errors ?? null,
  repeats: fields.repeats ?? null,
  spendFactor: fields.spend_factor ?? null,
  windowSeconds: fields.window_seconds ?? WINDOW_SECONDS_DEFAULT,
})

/** Of an agent, its quarantine that nobody released; there is at most one. */
export const isOpen = and(eq(quarantines.tenantId, agents.tenantId), eq(quarantines.agentId, agents.id), isNull(quarantines.releasedAt))

const isIn = {
  active: and(eq(agents.active, true), isNull(quarantines.id)),
  quarantined: and(eq(agents.active, true), isNotNull(quarantines.id)),
  inactive: eq(agents.active, false),
} satisfies Record<AgentStatus, unknown>

const ownedBy = (tenantId: string | null) => (tenantId === null ? undefined : eq(agents.tenantId, tenantId))

const withQuarantine = (db: Db | Tx) =>
  db
    .select({ ...getTableColumns(agents), quarantineId: quarantines.id })
    .from(agents)
    .leftJoin(quarantines, isOpen)
    .$dynamic()

const toRow = ({ quarantineId, ...row }: Row & { quarantineId: string | null }): AgentRow => ({ ...row, quarantined: quarantineId !== null })
