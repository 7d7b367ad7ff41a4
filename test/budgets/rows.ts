/** Budgets for tests, and what their windows hold. */
import type { Budget } from '../../src/budgets/budget.ts'
import { connect, type Database } from '../../src/db/connect.ts'
import { budgets, tenants } from '../../src/db/schema.ts'
import { newId } from '../../src/ids.ts'
import type { TestDatabase } from '../db/engines.ts'

/** A tenant with budgets: hard ones for itself, in tokens of the month, unless said otherwise. */
export async function tenantWith({ db }: Pick<Database, 'db'>, ...rows: Partial<Budget>[]): Promise<{ tenantId: string; budgets: Budget[] }> {
  const tenantId = newId('t')
  await db.insert(tenants).values({ id: tenantId, name: tenantId })
  const whole = rows.map(
    (row): Budget => ({ id: newId('budget'), tenantId, scope: 'tenant', scopeId: tenantId, amount: 5, unit: 'tokens', window: 'month', mode: 'hard', ...row }),
  )
  if (whole.length > 0) await db.insert(budgets).values(whole)
  return { tenantId, budgets: whole }
}

/** All windows of a budget together. */
export async function standingOf({ sql }: Pick<Database, 'sql'>, { id }: Pick<Budget, 'id'>): Promise<{ spent: number; reserved: number }> {
  const [row] =
    await sql`select coalesce(sum(spent), 0)::float8 as spent, coalesce(sum(reserved), 0)::float8 as reserved from budget_windows where budget_id = ${id}`
  return { spent: row.spent, reserved: row.reserved }
}

/** The database as another process has it: with connections of its own, where the engine allows any. */
export async function asOtherProcess(database: TestDatabase): Promise<Pick<Database, 'db' | 'sql' | 'close'>> {
  return database.engine === 'postgres' ? connect(database.options) : { ...database, close: async () => {} }
}
