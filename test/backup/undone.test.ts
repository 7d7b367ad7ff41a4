import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { createArchive, openArchive } from '../../src/backup/archive.ts'
import { end, headerOf, paddingOf } from '../../src/backup/tar.ts'
import { connect } from '../../src/db/connect.ts'
import { migrate } from '../../src/db/migrate.ts'
import { emptyPlace, runBackup, runRestore } from './installations.ts'

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
