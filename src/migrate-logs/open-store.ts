/** The database of this installation, as far as a log is imported into it. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createHashOf, type HashOf } from '../audit/prompt-hash.ts'
import { createSeal, type Seal } from '../audit/seal.ts'
import type { StoreConfig } from '../config.ts'
import { createKeyring } from '../crypto/keyring.ts'
import { connect, type Database } from '../db/connect.ts'
import { pendingMigrations } from '../db/migrate.ts'
import { Impossible } from './impossible.ts'

export interface Store {
  database: Database
  hashOf: HashOf
  seal: Seal
}

/** Throws Impossible where it is not the database of an Earthflow of this version. Close the database when done. */
export async function openStore(config: StoreConfig): Promise<Store> {
  const isEmbedded = config.database.kind === 'embedded'
  // What connecting throws is a sentence of ours; PostgreSQL is only asked later.
  const database = await connect(config.database.kind === 'postgres' ? config.database : { kind: 'embedded', dir: embeddedIn(config.dataDir) }).catch(
    ({ message }: Error) => Promise.reject(new Impossible(isEmbedded ? `${message} Nothing else may use it during an import: stop Earthflow first.` : message)),
  )
  try {
    if ((await pendingMigrations(database)) > 0) throw new Impossible('The database is not of this version; start Earthflow on it once, which brings it there.')
    return { database, ...(await keysIn(database, config)) }
  } catch (error) {
    await database.close()
    throw error
  }
}

function embeddedIn(dataDir: string): string {
  const dir = join(dataDir, 'database')
  if (existsSync(dir)) return dir
  throw new Impossible(`There is no database in ${dir}; set DATABASE_URL, or EARTHFLOW_DATA_DIR to the folder of this installation.`)
}

async function keysIn(database: Database, { hashMode: mode, masterKeys }: StoreConfig): Promise<Omit<Store, 'database'>> {
  if (masterKeys.length === 0) throw new Impossible('EARTHFLOW_MASTER_KEY is missing: it opens the keys that rows are sealed and prompts hashed with.')
  const keyring = createKeyring(database.db, masterKeys)
  await keyring.verify().catch((error: Error) => Promise.reject(error.message.startsWith('EARTHFLOW_MASTER_KEY') ? new Impossible(error.message) : error))
  return { hashOf: createHashOf({ mode, keyOf: (tenantId) => keyring.hashKey(tenantId) }), seal: createSeal(await keyring.sealKey()) }
}
