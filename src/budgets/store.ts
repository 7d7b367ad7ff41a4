/** The rows of budgets. Whoever writes announces a change of 'budgets' at the end of the transaction. `tenantId` null is for the administrator and means every tenant. */
import type { Db, Tx } from '../db/connect.ts'
import { and, count, desc, eq, inArray, sql } from '../db/drizzle.ts'
import { agents, apiKeys, budgets, budgetWindows } from '../db/schema.ts'
import { newId } from '../ids.ts'
import type { Budget } from './budget.ts'
import { type Window, windowAt, windows } from './window.ts'

/** What bounds the memory of a process and the charges of a call. */
export const BUDGETS_PER_TENANT_MAX = 1_000

/** A budget with how it stands in its present window. */
export interface BudgetState extends Budget {
  createdAt: Date
  spent: number
  reserved: number
  resetsAt: Date
}

export interface BudgetFilter {
  id?: string | undefined
  scope?: Budget['scope'] | undefined
  /** One, or several. */
  scopeId?: string | readonly string[] | undefined
}

/** Newest first. `at` (milliseconds since 1970) says which window is the present one. Without a limit all are read, for one tenant and few scopes. */
export async function listBudgets(
  db: Db | Tx,
  tenantId: string | null,
  filter: BudgetFilter,
  { at, limit = BUDGETS_PER_TENANT_MAX, offset = 0 }: { at: number; limit?: number; offset?: number },
): Promise<{ rows: BudgetState[]; total: number }> {
  const which = conditions(tenantId, filter)
  const [counted] = await db.select({ total: count() }).from(budgets).where(which)
  const rows = await db
    .select({ budget: budgets, spent: budgetWindows.spent, reserved: budgetWindows.reserved })
    .from(budgets)
    .leftJoin(budgetWindows, and(eq(budgetWindows.budgetId, budgets.id), eq(budgetWindows.startsAt, presentStart(at))))
    .where(which)
    .orderBy(desc(budgets.createdAt), desc(budgets.id))
    .limit(limit)
    .offset(offset)
  const stateOf = ({ budget, spent, reserved }: (typeof rows)[number]): BudgetState => ({
    ...budget,
    spent: spent ?? 0,
    reserved: reserved ?? 0,
    resetsAt: windowAt(budget.window, at).resetsAt,
  })
  return { rows: rows.map(stateOf), total: counted.total }
}

export async function findBudget(db: Db | Tx, tenantId: string | null, id: string, at: number): Promise<BudgetState | undefined> {
  return (await listBudgets(db, tenantId, { id }, { at, limit: 1 })).rows[0]
}

export async function insertBudget(tx: Tx, fields: Omit<Budget, 'id'>, at: number): Promise<BudgetState> {
  const [row] = await tx
    .insert(budgets)
    .values({ id: newId('budget', at), ...fields })
    .returning()
  return { ...row, spent: 0, reserved: 0, resetsAt: windowAt(row.window, at).resetsAt }
}

/** Undefined where the tenant has no such budget. */
export async function changeBudget(
  tx: Tx,
  tenantId: string | null,
  id: string,
  fields: { amount?: number | undefined; mode?: Budget['mode'] | undefined },
  at: number,
): Promise<BudgetState | undefined> {
  const { amount, mode } = fields
  if (amount !== undefined || mode !== undefined) {
    await tx
      .update(budgets)
      .set({ ...(amount !== undefined && { amount }), ...(mode !== undefined && { mode }) })
      .where(conditions(tenantId, { id }))
  }
  return findBudget(tx, tenantId, id, at)
}

/** What was spent of it stays until the sweep of the audit log, in whose way nothing is here: calls of it may be settled at this moment. */
export async function removeBudget(tx: Tx, tenantId: string | null, id: string): Promise<boolean> {
  return (await tx.delete(budgets).where(conditions(tenantId, { id })).returning({ id: budgets.id })).length > 0
}

export async function countBudgets(tx: Tx, tenantId: string): Promise<number> {
  return (await tx.select({ total: count() }).from(budgets).where(eq(budgets.tenantId, tenantId)))[0].total
}

/** Whether there is somebody a budget could be for. Users are whoever callers say they are. */
export async function hasPayer(db: Db | Tx, tenantId: string, { scope, scopeId }: Pick<Budget, 'scope' | 'scopeId'>): Promise<boolean> {
  if (scope === 'tenant') return scopeId === tenantId
  if (scope === 'user') return true
  const rows =
    scope === 'agent'
      ? await db
          .select({ id: agents.id })
          .from(agents)
          .where(and(eq(agents.tenantId, tenantId), eq(agents.id, scopeId)))
      : await db
          .select({ id: apiKeys.id })
          .from(apiKeys)
          .where(and(eq(apiKeys.tenantId, tenantId), eq(apiKeys.prefix, scopeId)))
  return rows.length > 0
}

function conditions(tenantId: string | null, { id, scope, scopeId }: BudgetFilter) {
  return and(
    tenantId === null ? undefined : eq(budgets.tenantId, tenantId),
    id === undefined ? undefined : eq(budgets.id, id),
    scope === undefined ? undefined : eq(budgets.scope, scope),
    scopeId === undefined ? undefined : inArray(budgets.scopeId, [scopeId].flat() as string[]),
  )
}

const presentStart = (at: number) => {
  const startOf = (window: Window) => sql`when ${window} then ${windowAt(window, at).startsAt.toISOString()}::timestamptz`
  return sql`case ${budgets.window} ${sql.join(windows.map(startOf), sql` `)} end`
}
