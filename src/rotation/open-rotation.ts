/** Rotation of master keys and data keys, on the database itself: no master key is ever sent anywhere. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { recordChange } from '../audit/record-change.ts'
import { createSeal } from '../audit/seal.ts'
import type { StoreConfig } from '../config.ts'
import { createDataKeys } from '../crypto/data-keys.ts'
import { createKeyProvider } from '../crypto/key-provider.ts'
import { createKeyring } from '../crypto/keyring.ts'
import { masterKeyId, parseMasterKeys } from '../crypto/master-key.ts'
import { createRewrap } from '../crypto/rewrap.ts'
import { connect, type Database, type Tx } from '../db/connect.ts'
import { pendingMigrations } from '../db/migrate.ts'
import { ensurePartitions } from '../db/partitions.ts'
import { databaseErrorCode, isUnavailable } from '../db/unavailable.ts'
import { newId } from '../ids.ts'
import { tooOld, withoutAny } from './live.ts'
import { retireOld } from './retire-old.ts'
import { rotateDataKeys } from './rotate-data-keys.ts'

/** Why it cannot be done, as a sentence for whoever asked for it. */
export class CannotRotate extends Error {}

/** Writes the record of a step in the transaction of that step. */
export type RecordStep = (tx: Tx, action: string, subject: string, details: Record<string, unknown>) => Promise<void>

export type Rotation = Awaited<ReturnType<typeof openRotation>>

/**
 * Opens the database of the settings. `newKey`, a master key as it stands in the settings, is then the current one, else the first of the settings is.
 * Throws CannotRotate. Close it when done.
 */
export async function openRotation(config: StoreConfig, newKey: string | null) {
  if (config.masterKeys.length === 0) throw new CannotRotate('EARTHFLOW_MASTER_KEY is missing: it opens what is to be rotated.')
  const fresh = newKey === null ? [] : [parseNewKey(newKey)]
  const known = new Set(fresh.map(masterKeyId))
  const provider = createKeyProvider([...fresh, ...config.masterKeys.filter((key) => !known.has(masterKeyId(key)))])
  const database = await open(config)
  const { db } = database
  try {
    if ((await pendingMigrations(database)) > 0)
      throw new CannotRotate('The database is not of this version; start Earthflow on it once, which brings it there.')
    await createKeyring(db, config.masterKeys)
      .verify()
      .catch((error: Error) => Promise.reject(error.message.startsWith('EARTHFLOW_MASTER_KEY') ? new CannotRotate(error.message) : error))
  } catch (error) {
    await database.close()
    throw error
  }
  const rewrap = createRewrap(db, provider)

  return {
    /** Wraps every data key under the current master key too. */
    async rotateMaster({ isDryRun }: { isDryRun: boolean }) {
      let wrapped = 0
      const record = isDryRun ? null : await recorder()
      while (record) {
        const some = await rewrap.some((tx, dataKeys) => record(tx, 'master_key.rotate', rewrap.masterKey, { data_keys: dataKeys }))
        if (some === 0) break
        wrapped += some
      }
      return { masterKey: rewrap.masterKey, wrapped, ...(await rewrap.count()), tooOld: await tooOld(db) }
    },

    /** Takes every wrapping away that is not the current master key's, or says why not. */
    retireOld: async ({ isDryRun }: { isDryRun: boolean }) =>
      retireOld(database, { masterKey: rewrap.masterKey, isDryRun, record: isDryRun ? null : await recorder() }),

    /** New data keys for all that may have new ones, and every stored secret sealed again. Throws CannotRotate where a live process could not open them. */
    async rotateDataKeys({ isDryRun }: { isDryRun: boolean }) {
      const blind = [...(await tooOld(db)), ...(await withoutAny(db, await createDataKeys(db, provider).wrappedUnder()))]
      if (blind.length > 0) throw new CannotRotate(blind.join('\n'))
      return rotateDataKeys(db, provider, { isDryRun, record: isDryRun ? null : await recorder() })
    },

    close: () => database.close(),
  }

  async function recorder(): Promise<RecordStep> {
    const at = new Date()
    await ensurePartitions(database, at)
    const seal = createSeal(await createKeyring(db, provider).sealKey())
    const requestId = newId('req')
    return (tx, action, subject, details) =>
      recordChange(tx, { action, subject, details, actor: 'system', keyPrefix: null, tenantId: null, requestId, at }, seal)
  }
}

function parseNewKey(text: string): Buffer {
  try {
    const [key, ...others] = parseMasterKeys(text.trim())
    if (key && others.length === 0) return key
  } catch (error) {
    throw new CannotRotate(error instanceof Error ? error.message.replace('EARTHFLOW_MASTER_KEY', 'The new key') : 'The new key is none.')
  }
  throw new CannotRotate('One new key is needed, not several.')
}

async function open({ database, dataDir }: StoreConfig): Promise<Database> {
  if (database.kind === 'postgres') return connect(database)
  const dir = join(dataDir, 'database')
  if (!existsSync(dir)) throw new CannotRotate(`There is no database in ${dir}; set DATABASE_URL, or EARTHFLOW_DATA_DIR to the folder of this installation.`)
  try {
    return await connect({ kind: 'embedded', dir })
  } catch (error) {
    throw new CannotRotate(`${error instanceof Error ? error.message : ''} Nothing else may use the embedded database meanwhile: stop Earthflow first.`)
  }
}

/** Never quotes what the database was given. */
export function sentenceFor(error: unknown): string {
  if (error instanceof CannotRotate) return error.message
  if (isUnavailable(error)) return 'The database does not answer; check DATABASE_URL or POSTGRES_HOST. Nothing is lost: the same command goes on where it was.'
  const code = databaseErrorCode(error)
  if (code !== undefined) return `The database refuses (${code}); check DATABASE_URL or POSTGRES_USER and POSTGRES_PASSWORD.`
  return error instanceof Error ? error.message : 'Something unexpected happened.'
}
