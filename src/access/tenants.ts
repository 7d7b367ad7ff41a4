/** The rows of tenants. Whoever writes announces a change of 'tenants' at the end of the transaction. */
import type { Tenant } from '../call.ts'
import type { Db, Tx } from '../db/connect.ts'
import { and, count, desc, eq } from '../db/drizzle.ts'
import { tenants } from '../db/schema.ts'
import { newId } from '../ids.ts'
import { limitsOfEach } from './limit-set.ts'

export type TenantRow = typeof tenants.$inferSelect

/** What an administrator says of a tenant. What is left out of a new one becomes the column's default: no limit, no preset. */
export type TenantFields = Omit<typeof tenants.$inferInsert, 'id' | 'createdAt'>

export async function insertTenant(tx: Tx, fields: TenantFields): Promise<TenantRow> {
  const [row] = await tx
    .insert(tenants)
    .values({ id: newId('t'), ...fields })
    .returning()
  return row
}

/** Newest first: one, or where none is named all of them. */
export async function listTenants(
  db: Db | Tx,
  { tenantId = null, active, limit, offset }: { tenantId?: string | null; active?: boolean | undefined; limit: number; offset: number },
): Promise<{ rows: TenantRow[]; total: number }> {
  const which = and(tenantId === null ? undefined : eq(tenants.id, tenantId), active === undefined ? undefined : eq(tenants.active, active))
  const [counted] = await db.select({ total: count() }).from(tenants).where(which)
  const rows = await db.select().from(tenants).where(which).orderBy(desc(tenants.createdAt), desc(tenants.id)).limit(limit).offset(offset)
  return { rows, total: counted.total }
}

export async function findTenant(db: Db | Tx, tenantId: string): Promise<TenantRow | undefined> {
  return (await db.select().from(tenants).where(eq(tenants.id, tenantId)).limit(1))[0]
}

/** Also deactivates (`active: false`), and brings back, a tenant; the fields left out stay as they are. */
export async function changeTenant(tx: Tx, tenantId: string, fields: Partial<TenantFields>): Promise<TenantRow | undefined> {
  if (Object.keys(fields).length === 0) return findTenant(tx, tenantId)
  const [row] = await tx.update(tenants).set(fields).where(eq(tenants.id, tenantId)).returning()
  return row
}

/** The same, and every other change of this tenant waits until the transaction ends. */
export async function lockTenant(tx: Tx, tenantId: string): Promise<TenantRow | undefined> {
  return (await tx.select().from(tenants).where(eq(tenants.id, tenantId)).for('no key update'))[0]
}

/** What calls need of a tenant. `defaultRequestsPerMinute` is the installation's. */
export const tenantOf = (row: TenantRow, defaultRequestsPerMinute: number): Tenant => ({
  id: row.id,
  limits: {
    requestsPerMinute: row.maxRequestsPerMinute ?? defaultRequestsPerMinute,
    requestsPerDay: row.maxRequestsPerDay,
    tokensPerMinute: row.maxTokensPerMinute,
    tokensPerDay: row.maxTokensPerDay,
    concurrency: row.maxConcurrency,
  },
  limitsOfEach: limitsOfEach(row.limits),
  limitsWithoutRedis: row.limitsWithoutRedis,
  allowedModels: row.allowedModels,
  allowedRegions: row.allowedRegions,
  uninspectable: row.uninspectable,
  streamStop: row.streamStop,
  auditDurability: row.auditDurability,
  defaultMaxOutputTokens: row.defaultMaxOutputTokens,
  escalationWaitSeconds: row.escalationWaitSeconds,
})
