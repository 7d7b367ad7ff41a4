import assert from 'node:assert/strict'
import { after, before, beforeEach, mock, test } from 'node:test'
import { inspect } from 'node:util'
import { CompactEncrypt, decodeProtectedHeader } from 'jose'
import { createDataKeys, VERSIONS_MAX } from '../../src/crypto/data-keys.ts'
import { createKeyProvider } from '../../src/crypto/key-provider.ts'
import { createKeyring, NEWEST_MS } from '../../src/crypto/keyring.ts'
import { generateMasterKey, masterKeyId, parseMasterKeys } from '../../src/crypto/master-key.ts'
import { connect } from '../../src/db/connect.ts'
import { dataKeys } from '../../src/db/schema.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'

const masterKey = () => parseMasterKeys(generateMasterKey())[0]!
const place = 'upstreams.credential:up_1'
const secret = 'sk-ünïcode-0123456789'

forEachEngine((engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  beforeEach(async () => {
    await database.db.delete(dataKeys)
  })
  after(() => database.drop())

  const keyring = (...masters: Buffer[]) => createKeyring(database.db, masters)

  test('what is sealed opens again, in another process too, and never looks the same twice', async () => {
    const master = masterKey()
    const ring = keyring(master)
    const [one, two] = await Promise.all([ring.seal('t_1', place, secret), ring.seal('t_1', place, secret)])
    assert.notEqual(one, two)
    assert.equal(await ring.open('t_1', place, one), secret)
    assert.equal(await keyring(master).open('t_1', place, two), secret)
    assert.equal(await ring.open(null, place, await ring.seal(null, place, '')), '')
  })

  test('a sealed value opens only for its tenant and its place', async () => {
    const ring = keyring(masterKey())
    const sealed = await ring.seal('t_1', place, secret)
    await ring.seal('t_2', place, 'other')
    await ring.seal(null, place, 'other')
    const attempts: [tenant: string | null, place: string][] = [
      ['t_2', place],
      [null, place],
      ['t_1', 'upstreams.credential:up_2'],
      ['t_3', place],
    ]
    for (const [tenant, where] of attempts) await assert.rejects(ring.open(tenant, where, sealed), /cannot be opened/)
  })

  test('each tenant has one key for its placeholders, the same in every process, and none of the keys that seal', async () => {
    const master = masterKey()
    const keys = await Promise.all([keyring(master).redactionKey('t_1'), keyring(master).redactionKey('t_1'), keyring(master).redactionKey('t_2')])
    assert.deepEqual(keys[0], keys[1])
    assert.notDeepEqual(keys[0], keys[2])
    assert.equal(keys[0].length, 32)
    await keyring(master).seal('t_1', place, secret)
    assert.deepEqual((await database.db.select().from(dataKeys)).map(({ purpose }) => purpose).sort(), ['redaction', 'redaction', 'secrets'])
  })

  test('opening a value of a tenant without a key makes none', async () => {
    const ring = keyring(masterKey())
    await assert.rejects(ring.open('t_1', place, 'x'), /cannot be opened/)
    assert.equal(await database.db.$count(dataKeys), 0)
  })

  test('a changed, cut, foreign or unencrypted value is refused without being shown', async () => {
    const ring = keyring(masterKey())
    const sealed = await ring.seal('t_1', place, secret)
    const parts = sealed.split('.')
    const { kid } = decodeProtectedHeader(sealed)
    const ctx = JSON.stringify([place, 't_1'])
    const forged = await new CompactEncrypt(Buffer.from(secret))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: String(kid), ctx })
      .encrypt(Buffer.alloc(32, 1))
    const flipped = [...parts.slice(0, 3), (parts[3]![0] === 'A' ? 'B' : 'A') + parts[3]!.slice(1), parts[4]].join('.')
    for (const value of ['', secret, 'a.b.c.d.e', sealed.slice(0, -4), flipped, forged]) {
      await assert.rejects(ring.open('t_1', place, value), (error) => /cannot be opened/.test(String(error)) && !inspect(error, { depth: 9 }).includes(secret))
    }
  })

  test('a stored data key that was moved to another tenant does not open', async () => {
    const master = masterKey()
    const sealed = await keyring(master).seal('t_1', place, secret)
    await database.sql`update data_keys set tenant_id = 't_2'`
    await assert.rejects(keyring(master).open('t_2', place, sealed), /cannot be opened/)
  })

  test('several processes that need a key for the first time end up with one', async () => {
    const master = masterKey()
    const others = engine === 'postgres' ? await Promise.all([1, 2, 3].map(() => connect(database.options))) : [database, database, database]
    const rings = others.map(({ db }) => createKeyring(db, [master]))
    const sealed = await Promise.all([...rings, ...rings].map((ring) => ring.seal('t_1', place, secret)))
    const peppers = await Promise.all(rings.map((ring) => ring.pepper()))
    assert.equal(await database.db.$count(dataKeys), 2)
    assert.equal(new Set(peppers.map(({ id, key }) => id + key.toString('hex'))).size, 1)
    for (const value of sealed) assert.equal(await keyring(master).open('t_1', place, value), secret)
    if (engine === 'postgres') await Promise.all(others.map((other) => other.close()))
  })

  test('any listed master key opens; a new data key is wrapped by the first, and by the others for as long as one of them is in use', async () => {
    const [old, current] = [masterKey(), masterKey()]
    const sealed = await keyring(old).seal('t_1', place, secret)
    const ring = keyring(current, old)
    assert.equal(await ring.open('t_1', place, sealed), secret)
    await ring.seal('t_2', place, secret)
    const rows = await database.db.select().from(dataKeys)
    assert.deepEqual(Object.fromEntries(rows.map(({ tenantId, wrappings }) => [tenantId, Object.keys(wrappings)])), {
      t_1: [masterKeyId(old)],
      t_2: [masterKeyId(current), masterKeyId(old)].sort(),
    })
    await ring.verify()
    await database.db.delete(dataKeys)
    await keyring(current, old).seal('t_3', place, secret)
    assert.deepEqual(
      (await database.db.select().from(dataKeys)).map(({ wrappings }) => Object.keys(wrappings)),
      [[masterKeyId(current)]],
    )
  })

  test('a database made with another master key is refused at the start, naming both by their ids only', async () => {
    const [made, given] = [masterKey(), masterKey()]
    await keyring(given).verify()
    const sealed = await keyring(made).seal('t_1', place, secret)
    const [foreign] = await database.db.delete(dataKeys).returning()
    await keyring(given).pepper()
    await database.db.insert(dataKeys).values(foreign!)
    const wrong = (error: Error) => {
      assert.match(error.message, /^EARTHFLOW_MASTER_KEY does not open this database/)
      assert.ok(error.message.includes(masterKeyId(made)) && error.message.includes(masterKeyId(given)))
      const shown = inspect(error, { depth: 9 })
      for (const key of [made, given]) for (const form of ['base64url', 'base64', 'hex'] as const) assert.ok(!shown.includes(key.toString(form).slice(0, 16)))
      return true
    }
    await assert.rejects(keyring(given).verify(), wrong)
    await assert.rejects(keyring(given).open('t_1', place, sealed), wrong)
    // Nor does it make anything that those who can open the rest could not.
    await assert.rejects(keyring(given).seal('t_2', place, secret), wrong)
    await keyring(made, given).verify()
  })

  test('a data key is found by its id whatever newer ones there are, and only by its own owner', async () => {
    const master = masterKey()
    const oldest = await keyring(master).pepper()
    const sealed = await keyring(master).seal('t_1', place, secret)
    const versions = Array.from({ length: VERSIONS_MAX + 1 }, (_, i) => i + 2)
    const data = createDataKeys(database.db, createKeyProvider([master]))
    await data.makeAll(
      versions.flatMap((version) => [
        { purpose: 'pepper' as const, tenantId: null, version },
        { purpose: 'secrets' as const, tenantId: 't_1', version },
      ]),
    )
    const ring = keyring(master)
    assert.equal((await ring.pepper()).version, VERSIONS_MAX + 2)
    for (const _ of ['first', 'again']) assert.deepEqual(await ring.pepper(oldest.id), oldest)
    assert.equal(await ring.open('t_1', place, sealed), secret)
    assert.equal(await ring.pepper(String(decodeProtectedHeader(sealed).kid)), null)
    assert.equal(await ring.pepper('dk_none'), null)
    assert.equal((await ring.pepper()).version, VERSIONS_MAX + 2, 'an old one that was found is not the newest')
  })

  test('a process that slept reads again which key is the newest, and so does one whose clock was put back', async () => {
    const master = masterKey()
    const data = createDataKeys(database.db, createKeyProvider([master]))
    const ring = keyring(master)
    mock.timers.enable({ apis: ['Date'], now: 1_000_000_000 })
    try {
      assert.equal((await ring.pepper()).version, 1)
      await data.make('pepper', null, 2)
      assert.equal((await ring.pepper()).version, 1, 'not every time')
      mock.timers.setTime(1_000_000_000 + NEWEST_MS)
      assert.equal((await ring.pepper()).version, 2)
      await data.make('pepper', null, 3)
      mock.timers.setTime(5)
      assert.equal((await ring.pepper()).version, 3)
    } finally {
      mock.timers.reset()
    }
  })

  test('a list may begin with a new master key that opens nothing yet: what is made then is opened by those who have only the old one', async () => {
    const [old, fresh] = [masterKey(), masterKey()]
    const { id } = await keyring(old).pepper()
    const both = keyring(fresh, old)
    await both.verify()
    assert.equal((await both.pepper()).id, id)
    const sealed = await both.seal('t_fresh', place, secret)
    assert.equal(await keyring(old).open('t_fresh', place, sealed), secret)
  })

  test('neither the secret nor a key stands in the database', async () => {
    const master = masterKey()
    const ring = keyring(master)
    await ring.seal('t_1', place, secret)
    const { key } = await ring.pepper()
    const stored = JSON.stringify(await database.db.select().from(dataKeys))
    for (const form of ['hex', 'base64url', 'base64'] as const) assert.ok(!stored.includes(key.toString(form)) && !stored.includes(master.toString(form)))
    assert.ok(!stored.includes(secret))
  })

  // PGlite would take 5 s for it and has nothing to add.
  if (engine === 'postgres') {
    test('more tenants than keys are kept in memory keep working', async () => {
      const ring = keyring(masterKey())
      const first = await ring.seal('t_first', place, secret)
      for (let i = 0; i < 1_010; i += 10) await Promise.all(Array.from({ length: 10 }, (_, k) => ring.seal(`t_${i + k}`, place, 'x')))
      assert.equal(await ring.open('t_first', place, first), secret)
    })
  }
})
