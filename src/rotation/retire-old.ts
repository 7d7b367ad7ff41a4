import { retireOthers } from '../crypto/rewrap.ts'
import type { Database } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'
import { liveProcesses } from '../db/processes.ts'
import { databaseErrorCode } from '../db/unavailable.ts'
import type { RecordStep } from './open-rotation.ts'

/** How long it waits for those who make data keys at this moment. */
const LOCK_MS = 10_000
const LOCK_NOT_AVAILABLE = '55P03'

export interface Retired {
  masterKey: string
  dataKeys: number
  /** By the id of another master key, from how many data keys its wrapping was taken, or would be. */
  old: Record<string, number>
  /** Why nothing was taken. */
  refused: readonly string[]
}

/**
 * One transaction. Nothing is taken while a live process has another current master key, since it would go on wrapping under that, or while a data key lacks
 * a wrapping under this one. A process registers before it looks whether it can open everything, for which it waits for the end of this.
 */
export async function retireOld(
  database: Pick<Database, 'apart'>,
  { masterKey, isDryRun, record, lockMs = LOCK_MS }: { masterKey: string; isDryRun: boolean; record: RecordStep | null; lockMs?: number },
): Promise<Retired> {
  const retiring = database.apart((db) =>
    db.transaction(async (tx) => {
      await tx.execute(sql`select set_config('lock_timeout', ${String(lockMs)}, true)`)
      const { counts, refused } = await retireOthers(tx, masterKey, {
        isDryRun,
        async reasons({ lacking }) {
          const others = (await liveProcesses(tx)).filter(({ masterKeys }) => masterKeys[0] !== masterKey)
          return [
            ...others.map(
              ({ id, host, pid, masterKeys }) =>
                `Process ${id} (${pid} on ${host}) is alive, and its current master key is ${masterKeys[0] ?? 'not known'}, not ${masterKey}.`,
            ),
            ...(lacking > 0 ? [`${lacking} data keys are not wrapped under master key ${masterKey} yet.`] : []),
          ]
        },
      })
      const old = Object.keys(counts.old)
      if (refused.length === 0 && old.length > 0) await record?.(tx, 'master_key.retire', masterKey, { retired: old })
      return { masterKey, dataKeys: counts.dataKeys, old: counts.old, refused }
    }),
  )
  return retiring.catch((error: unknown) => {
    if (databaseErrorCode(error) !== LOCK_NOT_AVAILABLE) throw error
    const busy = `For ${lockMs / 1_000} s somebody was making data keys, starting, or retiring a master key. Run it again.`
    return { masterKey, dataKeys: 0, old: {}, refused: [busy] }
  })
}
