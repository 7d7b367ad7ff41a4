/** Brings the database to the shape of this version. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Database } from './connect.ts'
import { runMigrations, sql } from './drizzle.ts'
import { databaseErrorCode } from './unavailable.ts'

const FOLDER = fileURLToPath(new URL('../../drizzle', import.meta.url))
/** pg_advisory_lock: one process migrates, the others wait and then find nothing to do. */
export const MIGRATION_LOCK = 0x6561_7274_0001
/** For another process's migrations, and for any table a migration wants. */
const LOCK_WAIT_MS = 60_000

/** Applies what is missing of `drizzle/`, in one transaction. Safe to call from several processes at once, and again; throws when another one holds the lock for a minute. */
export async function migrate(database: Database): Promise<void> {
  await database.apart(async (db) => {
    await db.execute(sql`select set_config('lock_timeout', ${String(LOCK_WAIT_MS)}, false)`)
    await db.execute(sql`select pg_advisory_lock(${MIGRATION_LOCK}::bigint)`)
    try {
      await runMigrations(db, { migrationsFolder: FOLDER })
    } finally {
      await db.execute(sql`select pg_advisory_unlock(${MIGRATION_LOCK}::bigint)`)
    }
  })
}

/** How many migrations of this version the database lacks. */
export async function pendingMigrations(database: Database): Promise<number> {
  const last = await lastApplied(database)
  return (await migrationTimes()).filter((when) => when > last).length
}

/** Of this version, oldest first, as drizzle-kit numbers them: milliseconds since 1970. */
export async function migrationTimes(): Promise<number[]> {
  const journal: { entries: { when: number }[] } = JSON.parse(await readFile(`${FOLDER}/meta/_journal.json`, 'utf8'))
  return journal.entries.map(({ when }) => when)
}

const NO_SUCH_TABLE = '42P01'
const NO_SUCH_SCHEMA = '3F000'

async function lastApplied(database: Database): Promise<number> {
  try {
    const [row] = await database.sql<{ last: string | null }[]>`select max(created_at) as last from drizzle.__drizzle_migrations`
    return Number(row?.last ?? 0)
  } catch (error) {
    const code = databaseErrorCode(error)
    if (code === NO_SUCH_TABLE || code === NO_SUCH_SCHEMA) return 0
    throw error
  }
}
