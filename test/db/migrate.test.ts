import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { connect, type Database } from '../../src/db/connect.ts'
import { migrate, pendingMigrations } from '../../src/db/migrate.ts'
import { ensurePartitions } from '../../src/db/partitions.ts'
import * as schema from '../../src/db/schema.ts'
import { createBareServerDatabase, forEachEngine, type TestDatabase, withoutServer } from './engines.ts'

const readJson = async (path: string) => JSON.parse(await readFile(new URL(`../../drizzle/meta/${path}`, import.meta.url), 'utf8'))

async function appliedMigrations(database: Database): Promise<number> {
  const [row] = await database.sql`select count(*)::int as applied from drizzle.__drizzle_migrations`
  return row!.applied
}

forEachEngine((_, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  after(() => database.drop())

  test('migrating a migrated database changes nothing', async () => {
    const applied = await appliedMigrations(database)
    await migrate(database)
    assert.equal(await appliedMigrations(database), applied)
    assert.equal(await pendingMigrations(database), 0)
  })

  test('a database that lacks the last migration says so', async () => {
    const [last] = await database.sql`delete from drizzle.__drizzle_migrations where id = (select max(id) from drizzle.__drizzle_migrations) returning *`
    assert.equal(await pendingMigrations(database), 1)
    await database.sql`insert into drizzle.__drizzle_migrations ${database.sql(last!)}`
  })

  test('partitions for three months are made once, across the turn of a year', async () => {
    const made = await ensurePartitions(database, new Date('2031-11-30T23:59:59.999Z'))
    assert.deepEqual(made, { created: ['audit_entries_2031_11', 'audit_entries_2031_12', 'audit_entries_2032_01'], skipped: [] })
    assert.deepEqual(await ensurePartitions(database, new Date('2031-12-01T00:00:00Z')), { created: ['audit_entries_2032_02'], skipped: [] })
  })

  test('a row goes to the partition of its month, and to the default partition where there is none', async () => {
    await ensurePartitions(database, new Date('2033-05-10T00:00:00Z'))
    await record('aud_may', '2033-05-31T23:59:59.999Z')
    await record('aud_june', '2033-06-01T00:00:00.000Z')
    await record('aud_later', '2039-01-01T00:00:00.000Z')
    const rows = await database.sql`select audit_id, tableoid::regclass::text as home from audit_entries order by timestamp`
    assert.deepEqual(
      rows.map(({ audit_id, home }) => [audit_id, home]),
      [
        ['aud_may', 'audit_entries_2033_05'],
        ['aud_june', 'audit_entries_2033_06'],
        ['aud_later', 'audit_entries_default'],
      ],
    )
  })

  test('a month whose rows are already in the default partition is left there, and reported', async () => {
    await record('aud_early', '2045-02-03T00:00:00.000Z')
    const report = await ensurePartitions(database, new Date('2045-01-01T00:00:00Z'))
    assert.deepEqual(report.created, ['audit_entries_2045_01', 'audit_entries_2045_03'])
    assert.deepEqual(report.skipped, [{ partition: 'audit_entries_2045_02', why: 'default partition holds rows of this month' }])
    const [row] = await database.sql`select count(*)::int as rows from audit_entries where audit_id = 'aud_early'`
    assert.equal(row!.rows, 1)
  })

  async function record(auditId: string, at: string): Promise<void> {
    await database.db
      .insert(schema.auditEntries)
      .values({ auditId, timestamp: new Date(at), kind: 'exchange', requestId: 'req_1', outcome: 'completed', status: 'ALLOW' })
  }
})

describe('on an empty database', () => {
  test('four processes that migrate a server at once all succeed, and each migration ran once', { skip: withoutServer }, async () => {
    const { url, drop } = await createBareServerDatabase()
    const databases = await Promise.all([1, 2, 3, 4].map(() => connect({ kind: 'postgres', url })))
    try {
      const { entries } = await readJson('_journal.json')
      assert.equal(await pendingMigrations(databases[0]!), entries.length)
      await Promise.all(databases.map(migrate))
      assert.equal(await appliedMigrations(databases[0]!), entries.length)
    } finally {
      await Promise.all(databases.map((database) => database.close()))
      await drop()
    }
  })

  test('an embedded database starts empty, and may be migrated four times at once', async () => {
    const root = await mkdtemp(join(tmpdir(), 'earthflow-test-'))
    const database = await connect({ kind: 'embedded', dir: join(root, 'new', 'db') })
    try {
      const { entries } = await readJson('_journal.json')
      assert.equal(await pendingMigrations(database), entries.length)
      await Promise.all([1, 2, 3, 4].map(() => migrate(database)))
      assert.equal(await appliedMigrations(database), entries.length)
    } finally {
      await database.close()
      await rm(root, { recursive: true })
    }
  })
})

test('drizzle/ holds everything that schema.ts says', async () => {
  const { generateDrizzleJson, generateMigration } = await import('drizzle-kit/api')
  const { entries } = await readJson('_journal.json')
  const snapshot = await readJson(`${String(entries.at(-1).idx).padStart(4, '0')}_snapshot.json`)
  assert.deepEqual(await generateMigration(snapshot, generateDrizzleJson(schema, snapshot.id)), [])
})
