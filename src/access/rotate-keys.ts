/** Gives keys successors with the same rights. Whoever does so announces a change of 'keys' for each tenant at the end of the transaction. */
import type { Db, Tx } from '../db/connect.ts'
import { and, asc, count, eq, gt, inArray, isNull, lt, or, sql } from '../db/drizzle.ts'
import { apiKeys, tenants } from '../db/schema.ts'
import { newId } from '../ids.ts'
import type { MintedKey } from './keys.ts'

/** Keys that get a successor in one transaction, and in one answer. */
export const ROTATED_MAX = 1_000

export interface RotationReach {
  /** Null: every tenant's. */
  tenantId: string | null
  /** Only keys that were issued before: what a rotation issues itself is none of those it is for. By the database's clock. */
  createdBefore: Date
}

/** A key, and the prefix of the one that takes its place. */
export interface Rotated {
  tenantId: string
  prefix: string
  name: string
  successor: MintedKey
}

/** By the database's clock, as `created_at` is. */
export async function databaseNow(db: Db): Promise<Date> {
  const [row] = await db.execute<{ now: number }>(sql`select floor(extract(epoch from clock_timestamp()) * 1000)::float8 as now`)
  return new Date(row?.now ?? 0)
}

/** Keys that open something and have no successor, oldest first. `at`: those that have expired by then are left alone. */
export async function listRotatable(
  db: Db | Tx,
  reach: RotationReach,
  { at, limit }: { at: Date; limit: number },
): Promise<Pick<Rotated, 'tenantId' | 'prefix' | 'name'>[]> {
  const { tenantId, prefix, name } = apiKeys
  return db
    .select({ tenantId, prefix, name })
    .from(apiKeys)
    .innerJoin(tenants, ofActiveTenant)
    .where(isReached(reach, at))
    .orderBy(...oldestFirst)
    .limit(limit)
}

export async function countRotatable(db: Db | Tx, reach: RotationReach, at: Date): Promise<number> {
  const [counted] = await db.select({ total: count() }).from(apiKeys).innerJoin(tenants, ofActiveTenant).where(isReached(reach, at))
  return counted.total
}

/**
 * Replaces as many keys as there are new ones, at most ROTATED_MAX. The old ones end after so many seconds, with 0 at once, and so do those which they
 * replaced themselves. These name the newest of their line from then on, by which it is known whose budgets, limits and rules hold for it.
 */
export async function replaceKeys(
  tx: Tx,
  reach: RotationReach,
  { minted, at, endAfterSeconds }: { minted: readonly MintedKey[]; at: Date; endAfterSeconds: number },
): Promise<Rotated[]> {
  const limit = Math.min(minted.length, ROTATED_MAX)
  const tenantIds = await lockTenants(tx, new Set((await listRotatable(tx, reach, { at, limit })).map(({ tenantId }) => tenantId)))
  const found = await tx
    .select({ key: apiKeys })
    .from(apiKeys)
    .innerJoin(tenants, ofActiveTenant)
    .where(and(isReached(reach, at), inArray(apiKeys.tenantId, tenantIds)))
    .orderBy(...oldestFirst)
    .limit(limit)
    .for('update', { of: apiKeys })
  if (found.length === 0) return []
  const pairs = found.map(({ key }, i) => ({ key, successor: minted[i] }))
  const rows = JSON.stringify(pairs.map(({ key, successor }) => ({ id: key.id, tenant_id: key.tenantId, prefix: key.prefix, successor: successor.prefix })))
  const replaced = sql`jsonb_to_recordset(${rows}::text::jsonb) as replaced(id text, tenant_id text, prefix text, successor text)`
  const end =
    endAfterSeconds === 0
      ? sql`revoked_at = coalesce(api_keys.revoked_at, ${at.toISOString()}::timestamptz)`
      : sql`expires_at = least(api_keys.expires_at, ${new Date(at.getTime() + endAfterSeconds * 1_000).toISOString()}::timestamptz)`
  // Before its successor is there: of one client certificate there is one key without a successor.
  await tx.execute(sql`update api_keys set successor = replaced.successor, ${end} from ${replaced} where api_keys.id = replaced.id`)
  await tx.execute(sql`
    update api_keys set successor = replaced.successor, ${end} from ${replaced}
    where api_keys.tenant_id = replaced.tenant_id and api_keys.successor = replaced.prefix`)
  await tx.insert(apiKeys).values(pairs.map(({ key, successor }) => successorOf(key, successor)))
  return pairs.map(({ key: { tenantId, prefix, name }, successor }) => ({ tenantId, prefix, name, successor }))
}

/**
 * Before their keys, as everybody does: a tenant, or an agent of it, that is being deleted then either has no key any more, or revokes the successors too.
 * In the order of their ids, so that nobody waits in a circle.
 */
async function lockTenants(tx: Tx, ids: ReadonlySet<string>): Promise<string[]> {
  if (ids.size === 0) return []
  const rows = await tx
    .select({ id: tenants.id })
    .from(tenants)
    .where(inArray(tenants.id, [...ids]))
    .orderBy(asc(tenants.id))
    .for('no key update')
  return rows.map(({ id }) => id)
}

/** All that the old one may, whatever columns say that. */
function successorOf(key: typeof apiKeys.$inferSelect, { prefix, hash, pepperId }: MintedKey): typeof apiKeys.$inferInsert {
  const { createdAt: _createdAt, ...rights } = key
  return { ...rights, id: newId('key'), prefix, hash, pepperId, successor: null, lastUsedAt: null, revokedAt: null }
}

const ofActiveTenant = and(eq(tenants.id, apiKeys.tenantId), eq(tenants.active, true))
const oldestFirst = [asc(apiKeys.createdAt), asc(apiKeys.id)]

const isReached = ({ tenantId, createdBefore }: RotationReach, at: Date) =>
  and(
    tenantId === null ? undefined : eq(apiKeys.tenantId, tenantId),
    isNull(apiKeys.revokedAt),
    isNull(apiKeys.successor),
    or(isNull(apiKeys.expiresAt), gt(apiKeys.expiresAt, at)),
    lt(apiKeys.createdAt, createdBefore),
  )
