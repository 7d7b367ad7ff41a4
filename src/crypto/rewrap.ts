/** Rotation of master keys, as far as the rows of data keys go: a wrapping more for each of them, and later all others away. */
import type { Db, Tx } from '../db/connect.ts'
import { asc, not, sql } from '../db/drizzle.ts'
import { dataKeys } from '../db/schema.ts'
import { createDataKeys, holdMasterKeys, isWrappedBy, wrappingContext } from './data-keys.ts'
import type { KeyProvider } from './key-provider.ts'

export interface WrappingCounts {
  /** How many data keys there are. */
  dataKeys: number
  /** How many of them the current master key does not open. */
  lacking: number
  /** By the id of another master key, how many it opens. */
  old: Record<string, number>
}

/** Writes down, in the transaction in which they are wrapped, how many data keys were. */
export type RecordWrapped = (tx: Tx, wrapped: number) => Promise<void>

export interface Rewrap {
  /** The id of the current master key, under which data keys are wrapped. */
  readonly masterKey: string
  /**
   * Adds a wrapping to data keys that lack it, at most BATCH of them, in one transaction with the record of it: interrupted anywhere it goes on where it
   * was, and again it does nothing. Tells how many lacked it; 0: none does. Throws where a data key is wrapped under none of the master keys at hand.
   */
  some(record: RecordWrapped | null): Promise<number>
  count(): Promise<WrappingCounts>
}

/** Data keys that are wrapped in one transaction. */
export const BATCH = 50

export function createRewrap(db: Db, provider: KeyProvider): Rewrap {
  const data = createDataKeys(db, provider)
  const [masterKey] = provider.ids

  return {
    masterKey,
    async some(record) {
      const lacking = await db
        .select()
        .from(dataKeys)
        .where(not(isWrappedBy([masterKey])))
        .orderBy(asc(dataKeys.id))
        .limit(BATCH)
      if (lacking.length === 0) return 0
      const wrapped = await Promise.all(
        lacking.map(async (row) => ({ id: row.id, wrapped: await provider.wrap((await data.unwrap(row)).key, wrappingContext(row)) })),
      )
      await db.transaction(async (tx) => {
        const written = await tx.execute(sql`
          update data_keys set wrappings = data_keys.wrappings || jsonb_build_object(${masterKey}::text, fresh.wrapped)
          from jsonb_to_recordset(${JSON.stringify(wrapped)}::text::jsonb) as fresh(id text, wrapped text)
          where data_keys.id = fresh.id and not data_keys.wrappings ? ${masterKey} returning data_keys.id`)
        if (written.length > 0) await record?.(tx, written.length)
      })
      return lacking.length
    },
    count: () => countWrappings(db, masterKey),
  }
}

async function countWrappings(db: Db | Tx, masterKey: string): Promise<WrappingCounts> {
  const [counts] = await db.execute<{ all: number; lacking: number }>(sql`
    select count(*)::int as all, count(*) filter (where not wrappings ? ${masterKey})::int as lacking from data_keys`)
  const rows = await db.execute<{ id: string; total: number }>(sql`
    select by.id, count(*)::int as total from data_keys, jsonb_object_keys(wrappings) as by(id) where by.id <> ${masterKey} group by by.id order by by.id`)
  return { dataKeys: counts?.all ?? 0, lacking: counts?.lacking ?? 0, old: Object.fromEntries(rows.map(({ id, total }) => [id, total])) }
}

/**
 * Takes away every wrapping that is not the master key's, unless there is a reason against it: reasons are looked for when nobody can make data keys or
 * begin any more. All or nothing. Answers how it stood before.
 */
export async function retireOthers(
  tx: Tx,
  masterKey: string,
  { reasons, isDryRun }: { reasons(counts: WrappingCounts): Promise<readonly string[]>; isDryRun: boolean },
): Promise<{ counts: WrappingCounts; refused: readonly string[] }> {
  await holdMasterKeys(tx)
  const counts = await countWrappings(tx, masterKey)
  const refused = await reasons(counts)
  if (refused.length === 0 && !isDryRun) {
    await tx.execute(sql`
      update data_keys set wrappings = jsonb_build_object(${masterKey}::text, wrappings -> ${masterKey}::text)
      where wrappings - ${masterKey}::text <> '{}'::jsonb and wrappings ? ${masterKey}::text`)
  }
  return { counts, refused }
}
