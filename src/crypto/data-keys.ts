/** The rows of data keys: made, read and opened here, and bound to their id, purpose and tenant. */
import { randomBytes } from 'node:crypto'
import type { SQL } from 'drizzle-orm'
import type { Db, Tx } from '../db/connect.ts'
import { and, desc, eq, isNull, not, sql } from '../db/drizzle.ts'
import { dataKeys } from '../db/schema.ts'
import { newId } from '../ids.ts'
import type { KeyProvider } from './key-provider.ts'

/** `held:…` is for one thing that is kept for a while, see held-keys.ts. */
export type Purpose = 'sessions' | 'logins' | 'secrets' | 'redaction' | 'hashes' | 'seals' | 'checkpoints' | 'pepper' | `held:${string}`
export type DataKey = { id: string; key: Buffer; version: number }
export type DataKeyRow = typeof dataKeys.$inferSelect

const KEY_BYTES = 32
/** Of one owner and purpose, the newest that are read at once. Others, which something still needs, are found by their id. */
export const VERSIONS_MAX = 100
/** Data keys that are made in one transaction. */
const MADE_MAX = 50
/** pg_advisory_xact_lock: shared by who makes data keys or looks whether it can open them, alone for who retires master keys. */
const MASTER_KEYS_LOCK = 0x6561_7274_0006

/** Until the transaction ends, no master key is retired. */
export const keepMasterKeys = async (tx: Tx): Promise<void> => void (await tx.execute(sql`select pg_advisory_xact_lock_shared(${MASTER_KEYS_LOCK}::bigint)`))
/** Until the transaction ends, nobody makes a data key, and every process that begins waits before it looks whether it opens them all. */
export const holdMasterKeys = async (tx: Tx): Promise<void> => void (await tx.execute(sql`select pg_advisory_xact_lock(${MASTER_KEYS_LOCK}::bigint)`))

/** Whether a row is wrapped under one of these master keys. */
export const isWrappedBy = (ids: readonly string[]) =>
  sql`${dataKeys.wrappings} ?| array[${sql.join(
    ids.map((id) => sql`${id}`),
    sql`, `,
  )}]::text[]`

/** What a wrapped data key is bound to. */
export const wrappingContext = ({ id, purpose, tenantId }: Pick<DataKeyRow, 'id' | 'purpose' | 'tenantId'>): string =>
  JSON.stringify(['data key', purpose, tenantId, id])

export type Wanted = Pick<DataKeyRow, 'tenantId' | 'version'> & { purpose: Purpose }

const ownedBy = (purpose: string, tenantId: string | null) =>
  and(eq(dataKeys.purpose, purpose), tenantId === null ? isNull(dataKeys.tenantId) : eq(dataKeys.tenantId, tenantId))

export const freshKey = (): Pick<DataKey, 'id' | 'key'> => ({ id: newId('dk'), key: randomBytes(KEY_BYTES) })

export function createDataKeys(db: Db, provider: KeyProvider) {
  return {
    /** Newest first. */
    versions: (purpose: Purpose, tenantId: string | null): Promise<DataKeyRow[]> =>
      db.select().from(dataKeys).where(ownedBy(purpose, tenantId)).orderBy(desc(dataKeys.version)).limit(VERSIONS_MAX),

    /** Whatever its version; undefined where this owner has none of that id. */
    find: async (purpose: Purpose, tenantId: string | null, id: string): Promise<DataKeyRow | undefined> =>
      (
        await db
          .select()
          .from(dataKeys)
          .where(and(eq(dataKeys.id, id), ownedBy(purpose, tenantId)))
      )[0],

    unwrap,

    /** Of the master keys at hand, those under which a new data key is wrapped. */
    wrappedUnder: () => idsInUse(db),

    /**
     * Stores a new random key as this version, unless another process was first: what is stored counts. It is wrapped under the current master key, and
     * under every other one that is still in use, so that processes which have only that can open it. Call it outside any transaction.
     */
    make: async (purpose: Purpose, tenantId: string | null, version: number): Promise<void> => void (await makeAll([{ purpose, tenantId, version }])),
    makeAll,

    /** Stores a key in the transaction of what it encrypts, wrapped like every other. */
    async keep(tx: Tx, wanted: Wanted, dataKey: Pick<DataKey, 'id' | 'key'>): Promise<void> {
      await keepMasterKeys(tx)
      await refuseForeign(tx)
      await tx.insert(dataKeys).values(await rowOf(wanted, await idsInUse(tx), dataKey))
    },

    /**
     * Throws a sentence for the operator when the master keys do not open every data key of this database, or when the current one is not in use and would
     * come, or come back, into use unnoticed. Waits for a retirement that is under way.
     */
    verify: (): Promise<void> =>
      db.transaction(async (tx) => {
        await keepMasterKeys(tx)
        await refuseForeign(tx)
        const [any] = await tx.select().from(dataKeys).limit(1)
        if (!any) return
        await unwrap(any)
      }),
  }

  /** The same of several, each of which is told of in the transaction in which it is made. Answers how many were. */
  async function makeAll(wanted: readonly Wanted[], record?: (tx: Tx, made: number) => Promise<void>): Promise<number> {
    let all = 0
    for (let i = 0; i < wanted.length; i += MADE_MAX) {
      all += await db.transaction(async (tx) => {
        await keepMasterKeys(tx)
        await refuseForeign(tx)
        const under = await idsInUse(tx)
        const rows = await Promise.all(wanted.slice(i, i + MADE_MAX).map((one) => rowOf(one, under, freshKey())))
        const made = await tx.insert(dataKeys).values(rows).onConflictDoNothing().returning({ id: dataKeys.id })
        if (made.length > 0) await record?.(tx, made.length)
        return made.length
      })
    }
    return all
  }

  async function rowOf(wanted: Wanted, under: readonly string[], { id, key }: Pick<DataKey, 'id' | 'key'>): Promise<typeof dataKeys.$inferInsert> {
    const wrappings: Record<string, string> = {}
    for (const by of under) wrappings[by] = await provider.wrap(key, wrappingContext({ id, ...wanted }), by)
    return { id, ...wanted, wrappings }
  }

  async function unwrap(row: DataKeyRow): Promise<DataKey> {
    const by = provider.ids.find((id) => Object.hasOwn(row.wrappings, id))
    if (by === undefined) throw doesNotOpen(row)
    return { id: row.id, key: await provider.unwrap(row.wrappings[by], wrappingContext(row)), version: row.version }
  }

  /** A process that slept while its master key was retired must not go on with it. */
  async function refuseForeign(tx: Tx): Promise<void> {
    const foreign = await first(tx, not(isWrappedBy(provider.ids)))
    if (foreign) throw doesNotOpen(foreign)
  }

  async function idsInUse(from: Db | Tx): Promise<string[]> {
    const [current, ...others] = provider.ids
    const inUse = [current]
    for (const id of others) if (await first(from, isWrappedBy([id]))) inUse.push(id)
    return inUse
  }

  async function first(from: Db | Tx, which: SQL): Promise<DataKeyRow | undefined> {
    return (await from.select().from(dataKeys).where(which).limit(1))[0]
  }

  function doesNotOpen({ wrappings }: DataKeyRow): Error {
    return new Error(
      `EARTHFLOW_MASTER_KEY does not open this database: it was encrypted with master key ${Object.keys(wrappings).join(' or ')}, and the setting holds ${provider.ids.join(', ')}. Put the key it was made with back into the list.`,
    )
  }
}
