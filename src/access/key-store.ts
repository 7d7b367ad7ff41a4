/** The rows of API keys. None of these ever returns a hash. Whoever revokes or changes one announces a change of 'keys' at the end of the transaction. */
import type { Db, Tx } from '../db/connect.ts'
import { and, count, desc, eq, gt, inArray, isNull, or } from '../db/drizzle.ts'
import { apiKeys, type LimitFields } from '../db/schema.ts'
import { newId } from '../ids.ts'
import type { MintedKey } from './keys.ts'
import type { TenantScope } from './scopes.ts'

export interface KeyRow {
  prefix: string
  name: string
  scopes: string[]
  agentId: string | null
  limits: LimitFields | null
  allowedAddresses: string[] | null
  allowedModels: string[] | null
  clientCertificate: string | null
  /** The prefix of the key that takes its place. */
  successor: string | null
  expiresAt: Date | null
  createdAt: Date
  lastUsedAt: Date | null
  revokedAt: Date | null
}

/** What bounds the lookups, lists and revocations of one tenant. */
export const KEYS_PER_TENANT_MAX = 1_000

export interface NewKey {
  name: string
  scopes: readonly TenantScope[]
  expiresAt: Date | null
  /** Whose key it is, where it is an agent's: one of the same tenant. */
  agentId?: string | null
  /** Of this key; null: what the tenant gives each. */
  limits?: LimitFields | null
  /** Null: it may be used from anywhere. */
  allowedAddresses?: string[] | null
  /** Null: whatever the tenant may use. */
  allowedModels?: string[] | null
  /** The name in a client certificate that must be shown with it, and that stands for it where no key is sent; null: none. */
  clientCertificate?: string | null
}

/** What of a key may change; what is left out stays. */
export type KeyChange = Partial<Pick<KeyRow, 'name' | 'limits' | 'allowedAddresses' | 'allowedModels' | 'expiresAt'>>

/** The index by which no two live keys have one certificate. */
export const CERTIFICATE_INDEX = 'api_keys_certificate'

const shown = {
  prefix: apiKeys.prefix,
  name: apiKeys.name,
  scopes: apiKeys.scopes,
  agentId: apiKeys.agentId,
  limits: apiKeys.limits,
  allowedAddresses: apiKeys.allowedAddresses,
  allowedModels: apiKeys.allowedModels,
  clientCertificate: apiKeys.clientCertificate,
  successor: apiKeys.successor,
  expiresAt: apiKeys.expiresAt,
  createdAt: apiKeys.createdAt,
  lastUsedAt: apiKeys.lastUsedAt,
  revokedAt: apiKeys.revokedAt,
}

export async function issueKey(tx: Tx, tenantId: string, minted: MintedKey, fresh: NewKey): Promise<KeyRow> {
  const { prefix, hash, pepperId } = minted
  const { scopes, agentId = null, limits = null, allowedAddresses = null, allowedModels = null, clientCertificate = null } = fresh
  const { name, expiresAt } = fresh
  const [row] = await tx
    .insert(apiKeys)
    .values({
      ...{ id: newId('key'), tenantId, prefix, hash, pepperId, name, scopes: [...scopes], expiresAt },
      ...{ agentId, limits, allowedAddresses, allowedModels, clientCertificate },
    })
    .returning(shown)
  return row
}

/** Newest first, revoked ones too. */
export async function listKeys(
  db: Db | Tx,
  tenantId: string,
  { limit, offset }: { limit: number; offset: number },
): Promise<{ rows: KeyRow[]; total: number }> {
  const mine = eq(apiKeys.tenantId, tenantId)
  const [counted] = await db.select({ total: count() }).from(apiKeys).where(mine)
  const rows = await db.select(shown).from(apiKeys).where(mine).orderBy(desc(apiKeys.createdAt), desc(apiKeys.id)).limit(limit).offset(offset)
  return { rows, total: counted.total }
}

/**
 * Undefined where the tenant has no such key. One that has ended, by `at` (revoked or expired), or that has a successor, stays as it is. Limits hold for its
 * whole line: also for the keys whose place it took.
 */
export async function changeKey(tx: Tx, tenantId: string, prefix: string, fields: KeyChange, at: Date): Promise<KeyRow | undefined> {
  const mine = and(eq(apiKeys.tenantId, tenantId), eq(apiKeys.prefix, prefix))
  const isUsable = and(isNull(apiKeys.revokedAt), isUnexpired(at))
  if (Object.keys(fields).length > 0) {
    const changed = await tx
      .update(apiKeys)
      .set(fields)
      .where(and(mine, isNull(apiKeys.successor), isUsable))
      .returning({ limits: apiKeys.limits })
    if (changed[0] && fields.limits !== undefined)
      await tx
        .update(apiKeys)
        .set(changed[0])
        .where(and(eq(apiKeys.tenantId, tenantId), eq(apiKeys.successor, prefix), isUsable))
  }
  const [row] = await tx.select(shown).from(apiKeys).where(mine).limit(1)
  return row
}

/** Whether the tenant has such a key; revoking it again changes nothing. */
export async function revokeKey(tx: Tx, tenantId: string, prefix: string, at: Date): Promise<boolean> {
  const mine = and(eq(apiKeys.tenantId, tenantId), eq(apiKeys.prefix, prefix))
  const revoked = await tx
    .update(apiKeys)
    .set({ revokedAt: at })
    .where(and(mine, isNull(apiKeys.revokedAt)))
    .returning({ prefix: apiKeys.prefix })
  return revoked.length > 0 || (await tx.select({ prefix: apiKeys.prefix }).from(apiKeys).where(mine)).length > 0
}

/** Those of the tenant; of one agent of it, where one is named. */
export async function revokeAllKeys(tx: Tx, tenantId: string, at: Date, agentId?: string): Promise<void> {
  const which = agentId === undefined ? undefined : eq(apiKeys.agentId, agentId)
  await tx
    .update(apiKeys)
    .set({ revokedAt: at })
    .where(and(eq(apiKeys.tenantId, tenantId), which, isNull(apiKeys.revokedAt)))
}

/** How many keys of each tenant can be used, by `at`: neither revoked nor expired. One with a successor, which ends soon, is not counted beside it. */
export async function countKeys(db: Db | Tx, tenantIds: readonly string[], at: Date): Promise<Map<string, number>> {
  if (tenantIds.length === 0) return new Map()
  const rows = await db
    .select({ tenantId: apiKeys.tenantId, total: count() })
    .from(apiKeys)
    .where(and(inArray(apiKeys.tenantId, [...tenantIds]), isNull(apiKeys.revokedAt), isNull(apiKeys.successor), isUnexpired(at)))
    .groupBy(apiKeys.tenantId)
  return new Map(rows.map(({ tenantId, total }) => [tenantId, total]))
}

const isUnexpired = (at: Date) => or(isNull(apiKeys.expiresAt), gt(apiKeys.expiresAt, at))
