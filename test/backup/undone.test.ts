import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { createArchive, openArchive } from '../../src/backup/archive.ts'
import { end, headerOf, paddingOf } from '../../src/backup/tar.ts'
import { connect } from '../../src/db/connect.ts'
import { sql } from '../../src/db/drizzle.ts'
import { lockDirectory } from '../../src/db/lock.ts'
import { migrate } from '../../src/db/migrate.ts'
import { emptyPlace, runBackup, runRestore, withoutDumps } from './installations.ts'

const dir = mkdtempSync(join(tmpdir(), 'earthflow-undone-'))
const good = join(dir, 'good.tar')

before(async () => {
  const { place, dataDir, remove } = await emptyPlace('pglite')
  const database = await connect({ kind: 'embedded', dir: join(dataDir, 'database') })
  await migrate(database)
  await database.close()
  const spool = join(dataDir, 'spool', 'proc_a')
  mkdirSync(spool, { recursive: true })
  writeFileSync(join(spool, '000000000001.spool'), '')
  const { code, error } = await runBackup(['--output', good], place)
  assert.deepEqual([code, error], [0, ''])
  await remove()
})
after(() => rmSync(dir, { recursive: true, force: true }))

const packed = (name: string, content: string): Buffer => {
  const bytes = Buffer.byteLength(content)
  return gzipSync(Buffer.concat([headerOf({ name, bytes, isFolder: false }, new Date()), Buffer.from(content), paddingOf(bytes), end()]))
}

/** The good archive with other content in one of its files, or without it, and a manifest that is right for it. */
async function otherwise(name: string, content: Buffer | null): Promise<string> {
  const path = join(dir, 'other.tar')
  rmSync(path, { force: true })
  const archive = await openArchive(good)
  const { format: _, files, ...facts } = archive.manifest
  const other = await createArchive(path)
  for (const file of files) {
    if (file.name !== name) await other.add(file.name, archive.read(file.name))
    else if (content !== null) await other.add(name, [content])
  }
  await other.publish(facts)
  await archive.close()
  return path
}

/** An installation that is there already: what stands for its database. */
async function installed() {
  const to = await emptyPlace('pglite')
  const database = join(to.dataDir, 'database')
  mkdirSync(database)
  writeFileSync(join(database, 'mine'), '')
  return { ...to, files: () => [readdirSync(to.dataDir).filter((name) => name !== 'spool'), readdirSync(database)] }
}

for (const [what, name, content, why] of [
  ['a database that cannot be opened', 'database.tar.gz', packed('PG_VERSION', '99\n'), /^What was restored cannot be opened; all is as it was\./],
  ['spools that are not there', 'spool.tar.gz', null, /spool\.tar\.gz is missing/],
  ['spools that would be written elsewhere', 'spool.tar.gz', packed('../elsewhere', 'x'), /outside of its folder/],
  ['checkpoints that are none', 'checkpoints.json', Buffer.from('{"checkpoints":[{}]}'), /checkpoints\.json holds no checkpoints/],
] as const) {
  test(`with ${what} all is as it was before`, async () => {
    const to = await installed()
    try {
      const { code, error } = await runRestore([await otherwise(name, content), '--force'], to.place)
      assert.equal(code, 1)
      assert.match(error, why)
      assert.deepEqual(to.files(), [['database'], ['mine']])
    } finally {
      await to.remove()
    }
  })
}

test('where spools cannot be put back the database is as it was before, and the same backup is restored once they can', async () => {
  const to = await installed()
  const spool = join(to.dataDir, 'spool')
  writeFileSync(spool, 'no folder')
  try {
    const { code, error } = await runRestore([good, '--force'], to.place)
    assert.deepEqual([code, error.startsWith(`${spool} cannot be read or written`)], [1, true], error)
    assert.deepEqual(to.files(), [['database'], ['mine']])
    rmSync(spool)
    assert.deepEqual(await runRestore([good, '--force'], to.place).then(({ code, out }) => [code, /1 spools of processes were put back/.test(out)]), [0, true])
    assert.deepEqual(readdirSync(spool), ['proc_a'])
  } finally {
    await to.remove()
  }
})

test('two restores at once are refused: each would undo what the other did', async () => {
  const to = await installed()
  const lock = lockDirectory(join(to.dataDir, 'database.restoring'))
  try {
    assert.match((await runRestore([good, '--force'], to.place)).error, /is in use by process \d+/)
    assert.deepEqual(to.files()[1], ['mine'])
  } finally {
    lock.release()
    await to.remove()
  }
})

test('on PostgreSQL neither two restores nor a restore and the start of an Earthflow come together', { skip: withoutDumps }, async () => {
  const to = await emptyPlace('postgres')
  const database = await connect({ kind: 'postgres', url: to.databaseUrl })
  const path = join(dir, 'postgres.tar')
  try {
    await migrate(database)
    assert.equal((await runBackup(['--output', path], to.place)).code, 0)
    for (const lock of [0x6561_7274_0001, 0x6561_7274_000a]) {
      await database.apart(async (db) => {
        await db.execute(sql`select pg_advisory_lock(${lock}::bigint)`)
        assert.match((await runRestore([path, '--force'], to.place)).error, /^Another restore is under way on this database, or an Earthflow starts on it/)
      })
    }
    assert.equal((await database.sql`select from information_schema.schemata where schema_name like 'earthflow_replaced%'`).length, 0, 'nothing was moved')
    assert.equal((await runRestore([path, '--force'], to.place)).code, 0)
  } finally {
    await database.close()
    await to.remove()
  }
})

test('what is no file is no backup, and nobody waits for what may come out of it', async () => {
  const to = await emptyPlace('pglite')
  const pipe = join(dir, 'pipe')
  execFileSync('mkfifo', [pipe])
  for (const path of [pipe, dir]) assert.equal((await runRestore([path], to.place)).error, `${path} is no file: name the backup itself.\n`)
  await to.remove()
})
