/**
 * Encryption of what is kept for a while and must then be gone: each has a data key of its own, which no process keeps in memory and which is deleted with
 * it. The rows of these keys are wrapped, and counted, like all others.
 */
import { promisify } from 'node:util'
import { constants, deflateRaw, inflateRaw } from 'node:zlib'
import type { SQL } from 'drizzle-orm'
import type { Db, Tx } from '../db/connect.ts'
import { and, eq, inArray, sql } from '../db/drizzle.ts'
import { dataKeys } from '../db/schema.ts'
import { createDataKeys, freshKey, type Purpose } from './data-keys.ts'
import { cannotBeOpened, decrypt, encrypt, keyIdOf } from './envelope.ts'
import type { KeyProvider } from './key-provider.ts'

/** What a key is for: the id of its one thing, and whose that is. */
export interface HeldOwner {
  id: string
  tenantId: string
}

export interface HeldKeys {
  /** Packs and encrypts under a new key. Needs no database until `keep`, which stores the key in the transaction that stores the text. */
  seal(owner: HeldOwner, plaintext: string): Promise<{ sealed: string; keep(tx: Tx): Promise<void> }>
  /** Throws, without saying what it found, where the key is gone or the text was sealed for something else. */
  open(tx: Tx, owner: HeldOwner, sealed: string): Promise<string>
}

const pack = promisify(deflateRaw)
const unpack = promisify(inflateRaw)
/** More than anything that is held has, whatever was written in its place. */
const PLAIN_BYTES_MAX = 128 << 20

const purposeOf = (id: string): Purpose => `held:${id}`
const contextOf = ({ id, tenantId }: HeldOwner): string => JSON.stringify([purposeOf(id), tenantId])

export function createHeldKeys(db: Db, provider: KeyProvider): HeldKeys {
  const data = createDataKeys(db, provider)
  return {
    async seal(owner, plaintext) {
      const dataKey = freshKey()
      const packed = await pack(plaintext, { level: constants.Z_BEST_SPEED })
      const sealed = await encrypt(packed, dataKey, contextOf(owner))
      return { sealed, keep: (tx) => data.keep(tx, { purpose: purposeOf(owner.id), tenantId: owner.tenantId, version: 1 }, dataKey) }
    },
    async open(tx, owner, sealed) {
      const isIts = and(eq(dataKeys.purpose, purposeOf(owner.id)), eq(dataKeys.tenantId, owner.tenantId))
      const [row] = await tx.select().from(dataKeys).where(isIts)
      if (!row || row.id !== keyIdOf(sealed)) throw cannotBeOpened()
      const { key } = await data.unwrap(row)
      const packed = await decrypt(sealed, key, contextOf(owner))
      return (await unpack(packed, { maxOutputLength: PLAIN_BYTES_MAX })).toString()
    },
  }
}

/** Deletes the keys of these: what they encrypted cannot be read any more, wherever a copy of it lies. */
export async function destroyHeldKeys(tx: Tx, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await tx.delete(dataKeys).where(inArray(dataKeys.purpose, ids.map(purposeOf)))
}

/** Deletes keys of what is not there any more. `kept`: a query for the ids of what is. */
export const destroyOrphans = async (tx: Tx, kept: SQL): Promise<void> =>
  void (await tx.execute(sql`delete from data_keys where purpose like 'held:%' and substr(purpose, 6) not in (${kept})`))
