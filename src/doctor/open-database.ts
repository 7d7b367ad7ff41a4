/** The database of this installation, to be looked at. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { connect, type Database } from '../db/connect.ts'
import { pendingMigrations } from '../db/migrate.ts'
import { databaseErrorCode, isUnavailable } from '../db/unavailable.ts'
import { type Finding, fail, many, warn } from './check.ts'

/** Null, with the reason, where its tables cannot be looked at. Nothing is migrated or written. Close the database when done. */
export async function openDatabase(config: Pick<Config, 'database' | 'dataDir'>): Promise<{ database: Database } | { database: null; finding: Finding }> {
  const closed = (finding: Finding) => ({ database: null, finding })
  const dir = join(config.dataDir, 'database')
  if (config.database.kind === 'embedded' && !existsSync(dir)) return closed(warn(`There is no database in ${config.dataDir} yet: start Earthflow once.`))
  let database: Database | undefined
  try {
    database = await connect(config.database.kind === 'embedded' ? { kind: 'embedded', dir } : config.database)
    const pending = await pendingMigrations(database)
    if (pending === 0) return { database }
    await database.close()
    return closed(fail(`The database lacks ${many(pending, 'migration')} of this version: start Earthflow on it once, which brings it there.`))
  } catch (error) {
    await database?.close().catch(() => {})
    return closed(whyNot(error, config.database.kind))
  }
}

function whyNot(error: unknown, kind: Config['database']['kind']): Finding {
  if (error instanceof Error && 'holder' in error) return warn('The embedded database is in use by Earthflow itself: stop it to have all checks made.')
  if (kind === 'embedded') return fail('The embedded database cannot be opened: look at the folder `database` in EARTHFLOW_DATA_DIR.')
  const code = databaseErrorCode(error)
  if (isUnavailable(error)) return fail('The database does not answer: check DATABASE_URL or POSTGRES_HOST.')
  if (code?.startsWith('28')) return fail('The database refuses the role or its password: check DATABASE_URL or POSTGRES_USER and POSTGRES_PASSWORD.')
  if (code === '3D000') return fail('The database server has no such database: create it, or correct DATABASE_URL or POSTGRES_DB.')
  return fail(`The database cannot be looked at${code === undefined ? '' : ` (${code})`}: check DATABASE_URL.`)
}
