/** The database of this installation, and the keys its log is verified with. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { StoreConfig } from '../config.ts'
import { createKeyring } from '../crypto/keyring.ts'
import { connect, type Database } from '../db/connect.ts'
import { pendingMigrations } from '../db/migrate.ts'
import { auditLog } from '../db/schema.ts'
import { type NoteKey, noteKeyOfSeed } from './signed-note.ts'
import { Unusable } from './unusable.ts'

export interface OpenLog {
  database: Database
  /** Who may sign checkpoints. */
  keys: readonly NoteKey[]
  /** Of rows that are chained later; null where no master key is set. */
  sealKey: Buffer | null
}

/** `given`: what --public-key says; null: the key is this installation's. Throws Unusable where it cannot be verified. Close the database when done. */
export async function openLog(config: StoreConfig, given: readonly NoteKey[] | null): Promise<OpenLog> {
  if (given === null && config.masterKeys.length === 0)
    throw new Unusable('EARTHFLOW_MASTER_KEY is missing, which the key of the checkpoints is kept under: set it, or say --public-key.')
  const isEmbedded = config.database.kind === 'embedded'
  // What connecting throws is a sentence of ours; PostgreSQL is only asked later.
  const database = await connect(config.database.kind === 'postgres' ? config.database : { kind: 'embedded', dir: embeddedIn(config.dataDir) }).catch(
    ({ message }: Error) => Promise.reject(new Unusable(isEmbedded ? `${message} Nothing else may use it meanwhile: stop Earthflow first.` : message)),
  )
  try {
    if ((await pendingMigrations(database)) > 0) throw new Unusable('The database is not of this version; start Earthflow on it once, which brings it there.')
    return { database, ...(await keysIn(database, config, given)) }
  } catch (error) {
    await database.close()
    throw error
  }
}

function embeddedIn(dataDir: string): string {
  const dir = join(dataDir, 'database')
  if (existsSync(dir)) return dir
  throw new Unusable(`There is no database in ${dir}; set DATABASE_URL, or EARTHFLOW_DATA_DIR to the folder of this installation.`)
}

async function keysIn({ db }: Database, { masterKeys }: StoreConfig, given: readonly NoteKey[] | null): Promise<Omit<OpenLog, 'database'>> {
  if (masterKeys.length === 0) return { keys: given ?? [], sealKey: null }
  const keyring = createKeyring(db, masterKeys)
  await keyring.verify().catch((error: Error) => Promise.reject(error.message.startsWith('EARTHFLOW_MASTER_KEY') ? new Unusable(error.message) : error))
  const sealKey = await keyring.sealKey()
  if (given) return { keys: given, sealKey }
  const [log] = await db.select().from(auditLog).limit(1)
  if (!log) throw new Unusable('The audit log has no name: the row of audit_log is gone. Say --public-key.')
  return { keys: [noteKeyOfSeed(log.origin, await keyring.checkpointKey())], sealKey }
}
