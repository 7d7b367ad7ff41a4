import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import type { StoreConfig } from '../../src/config.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { generateMasterKey, masterKeyId, parseMasterKeys } from '../../src/crypto/master-key.ts'
import { connect } from '../../src/db/connect.ts'
import { processes } from '../../src/db/schema.ts'
import { CannotRotate, openRotation, sentenceFor } from '../../src/rotation/open-rotation.ts'
import { createEmbeddedDatabase, forEachEngine, openTestDatabase, withoutServer } from '../db/engines.ts'

const keysOf = (...texts: string[]): Buffer[] => texts.flatMap((text) => parseMasterKeys(text))
const place = 'upstreams.credential.up_1'

forEachEngine((engine) => {
  test('a master key is replaced step by step, each step on record, and none of the secrets is lost', async () => {
    const given = await openTestDatabase(engine)
    const [old, fresh] = [generateMasterKey(), generateMasterKey()]
    const dataDir = mkdtempSync(join(tmpdir(), 'earthflow-rotation-'))
    let database: StoreConfig['database'] = { kind: 'embedded' }
    const sealed = await createKeyring(given.db, keysOf(old)).seal('t_1', place, 'secret')
    if (given.url !== undefined) database = { kind: 'postgres', url: given.url, tls: false, poolMax: 2 }
    const settings = (...texts: string[]): StoreConfig => ({ dataDir, masterKeys: keysOf(...texts), database, hashPrompts: true, hashMode: 'sha256' })
    if (engine === 'pglite') {
      await given.close()
      renameSync(given.dir!, join(dataDir, 'database'))
    }
    const [oldId, freshId] = keysOf(old, fresh).map(masterKeyId) as [string, string]
    try {
      // An embedded database takes long to open: all steps in one go. As commands they are in the proof `master-rotation`.
      const rotation = await openRotation(settings(old), `${fresh}\n`)
      const dry = await rotation.rotateMaster({ isDryRun: true })
      assert.deepEqual(dry, { masterKey: freshId, wrapped: 0, dataKeys: 1, lacking: 1, old: { [oldId]: 1 }, tooOld: [] })
      assert.equal((await rotation.retireOld({ isDryRun: false })).refused.length, 1)
      const done = await rotation.rotateMaster({ isDryRun: false })
      assert.ok(done.wrapped >= 1 && done.lacking === 0)
      assert.equal((await rotation.rotateMaster({ isDryRun: false })).wrapped, 0)
      assert.deepEqual((await rotation.retireOld({ isDryRun: true })).old, { [oldId]: 2 })
      assert.deepEqual((await rotation.retireOld({ isDryRun: false })).refused, [])
      assert.deepEqual(await rotation.rotateDataKeys({ isDryRun: false }), { made: 0, resealed: 0, unopened: 0, deleted: 0 })
      await rotation.close()
      const refused = (error: unknown): boolean => error instanceof CannotRotate && /does not open this database/.test(error.message)
      if (engine === 'postgres') await assert.rejects(openRotation(settings(old), fresh), refused)

      const again = await connect(database.kind === 'postgres' ? database : { kind: 'embedded', dir: join(dataDir, 'database') })
      assert.equal(await createKeyring(again.db, keysOf(fresh)).open('t_1', place, sealed), 'secret')
      const records = await again.sql`select reason, metadata from audit_entries where kind = 'change' order by reason desc`
      assert.deepEqual(
        records.map(({ reason, metadata }) => [reason, metadata.subject, metadata.actor]),
        [
          ['master_key.rotate', freshId, 'system'],
          ['master_key.retire', freshId, 'system'],
        ],
      )
      await again.close()
    } finally {
      if (given.dir !== undefined) rmSync(dirname(given.dir), { recursive: true, force: true })
      else await given.drop()
      rmSync(dataDir, { recursive: true, force: true })
    }
  })
})

test('data keys are not rotated while a live process could not go along, and it is said which', { skip: withoutServer }, async () => {
  const given = await openTestDatabase('postgres')
  const [old, fresh] = [generateMasterKey(), generateMasterKey()]
  const [oldId, freshId] = keysOf(old, fresh).map(masterKeyId) as [string, string]
  const database = { kind: 'postgres' as const, url: given.url!, tls: false, poolMax: 2 }
  const settings = (...texts: string[]): StoreConfig => ({ dataDir: '.', masterKeys: keysOf(...texts), database, hashPrompts: true, hashMode: 'sha256' })
  const alive = (id: string, ...masterKeys: string[]) => given.db.insert(processes).values({ id, host: 'h', pid: 7, version: '2', masterKeys })
  try {
    await createKeyring(given.db, keysOf(old)).pepper()
    await given.sql`update data_keys set created_at = now() - interval '2 hours'`
    await using closing = new AsyncDisposableStack()
    const rotation = await openRotation(settings(old), null)
    closing.defer(() => rotation.close())
    const refused = async (isDryRun: boolean): Promise<string> =>
      sentenceFor(
        await rotation.rotateDataKeys({ isDryRun }).then(
          () => assert.fail('it was done'),
          (error: unknown) => error,
        ),
      )
    await alive('proc_ready', freshId, oldId)
    await alive('proc_of_before')
    await alive('proc_alone', freshId)
    for (const isDryRun of [true, false])
      assert.deepEqual(
        (await refused(isDryRun)).split('\n').map((sentence) => sentence.slice(0, 44)),
        ['Process proc_of_before (7 on h) is of an old', 'Process proc_alone (7 on h) is alive with ma'],
      )
    assert.equal((await given.sql`select 1 from data_keys where version > 1 or purpose <> 'pepper'`).length, 0)
    await given.sql`delete from processes where id = 'proc_alone'`
    const master = await openRotation(settings(old), fresh)
    closing.defer(() => master.close())
    const { lacking, tooOld } = await master.rotateMaster({ isDryRun: false })
    assert.equal(lacking, 0, 'beside whatever runs')
    assert.match(tooOld.join(), /^Process proc_of_before \(7 on h\) is of an older version of Earthflow/)
    await given.sql`update processes set heartbeat_at = now() - interval '2 minutes' where id = 'proc_of_before'`
    assert.equal((await rotation.rotateDataKeys({ isDryRun: false })).made, 1)
    const records = await given.sql`select reason from audit_entries where kind = 'change' order by timestamp, audit_id`
    assert.deepEqual(
      records.map(({ reason }) => reason),
      ['master_key.rotate', 'data_keys.rotate'],
    )
  } finally {
    await given.drop()
  }
})

test('what cannot be rotated is said in a sentence that quotes no key', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'earthflow-rotation-'))
  const key = generateMasterKey()
  const settings = (more: Partial<StoreConfig> = {}): StoreConfig => ({
    dataDir,
    masterKeys: keysOf(key),
    database: { kind: 'embedded' },
    hashPrompts: true,
    hashMode: 'sha256',
    ...more,
  })
  const refuses = (config: StoreConfig, newKey: string | null, sentence: RegExp) =>
    assert.rejects(openRotation(config, newKey), (error) => {
      assert.match(sentenceFor(error), sentence)
      assert.ok(!inspect(error, { depth: 9 }).includes('typed-by-somebody') && !inspect(error).includes(key.slice(0, 20)))
      return true
    })
  try {
    await refuses(settings({ masterKeys: [] }), null, /^EARTHFLOW_MASTER_KEY is missing/)
    await refuses(settings(), 'typed-by-somebody', /^The new key must be 32 random bytes/)
    await refuses(settings(), `${key},${generateMasterKey()}`, /^One new key is needed/)
    await refuses(settings(), '', /^The new key must be/)
    await refuses(settings(), null, /^There is no database in .*; set DATABASE_URL/)
    await refuses(
      settings({ database: { kind: 'postgres', url: 'postgres://x:typed-by-somebody@127.0.0.1:9/x', tls: false, poolMax: 1 } }),
      null,
      /^The database does not answer/,
    )
    const dir = join(dataDir, 'database')
    await createEmbeddedDatabase(dir)
    const held = await connect({ kind: 'embedded', dir })
    await refuses(settings(), null, /is in use by process \d+.*stop Earthflow first/)
    await held.close()
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
})
