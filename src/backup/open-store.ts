/** The database of this installation, as far as it is backed up, restored or migrated. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Told } from '../cli/told.ts'
import type { StoreConfig } from '../config.ts'
import { connect, type Database } from '../db/connect.ts'
import { databaseErrorCode, isUnavailable } from '../db/unavailable.ts'

export const embeddedIn = (dataDir: string): string => join(dataDir, 'database')

/** Throws Told where an embedded one is not there, unless it `mayBeMade`, or is in use. PostgreSQL is only asked later. Close it when done. */
export async function openStore({ database, dataDir }: Pick<StoreConfig, 'database' | 'dataDir'>, { mayBeMade = false } = {}): Promise<Database> {
  if (database.kind === 'postgres') return connect(database)
  const dir = embeddedIn(dataDir)
  if (!mayBeMade && !existsSync(dir))
    throw new Told(`There is no database in ${dir}; set DATABASE_URL, or EARTHFLOW_DATA_DIR to the folder of this installation.`)
  try {
    return await connect({ kind: 'embedded', dir })
  } catch (error) {
    throw new Told(`${error instanceof Error ? error.message : ''} Nothing else may use the embedded database meanwhile: stop Earthflow first.`)
  }
}

const SQLSTATE = /^[0-9A-Z]{5}$/

/** Null for what the database has nothing to do with. Never quotes what it was given. */
export function sentenceForDatabase(error: unknown): string | null {
  if (isUnavailable(error)) return 'The database does not answer; check DATABASE_URL or POSTGRES_HOST.'
  const code = databaseErrorCode(error) ?? ''
  return SQLSTATE.test(code) ? `The database refuses (${code}); check DATABASE_URL or POSTGRES_USER and POSTGRES_PASSWORD.` : null
}
