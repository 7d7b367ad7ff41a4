import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { issueKey } from '../../src/access/key-store.ts'
import { createKeys } from '../../src/access/keys.ts'
import { insertTenant } from '../../src/access/tenants.ts'
import { createDataKeys } from '../../src/crypto/data-keys.ts'
import { createKeyProvider } from '../../src/crypto/key-provider.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import type { Db } from '../../src/db/connect.ts'
import { Failure } from '../../src/errors.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'

forEachEngine((_engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  beforeEach(() => database.sql`truncate data_keys, tenants cascade`)
  after(() => database.drop())

  const provider = createKeyProvider([Buffer.alloc(32, 7)])
  const keysNow = (db: Db = database.db) =>
    createKeys({ db, keyring: createKeyring(database.db, provider), now: Date.now, defaultRequestsPerMinute: 1, kind: 'live' })
  const issue = async (): Promise<string> => {
    const minted = await keysNow().mint()
    await database.db.transaction(async (tx) => {
      const { id } = await insertTenant(tx, { name: 'Acme' })
      await issueKey(tx, id, minted, { name: 'k', scopes: ['proxy:write'], expiresAt: null })
    })
    return minted.key
  }
  const newPepper = async (): Promise<string> => {
    const data = createDataKeys(database.db, provider)
    await data.make('pepper', null, 2)
    return (await data.versions('pepper', null))[0]!.id
  }
  const stored = async () => (await database.sql<{ hash: string; pepper_id: string }[]>`select hash, pepper_id from api_keys`)[0]!

  test('a key goes on opening after the pepper was replaced, is hashed anew once it was right, and does not need the old pepper then', async () => {
    const key = await issue()
    const old = await stored()
    const newest = await newPepper()
    const keys = keysNow()
    assert.ok(await keys.find(key))
    assert.deepEqual(await stored(), old, 'not before the chores')
    await keys.flushUse()
    const renewed = await stored()
    assert.equal(renewed.pepper_id, newest)
    assert.notEqual(renewed.hash, old.hash)
    await database.sql`delete from data_keys where id = ${old.pepper_id}`
    assert.ok(await keysNow().find(key))
    assert.equal(await keysNow().find((await keysNow().mint()).key), null)
  })

  test('no hash is made anew under a pepper that is not there any more, nor under an older one', async () => {
    const key = await issue()
    const old = await stored()
    const middle = await newPepper()
    const keys = keysNow()
    assert.ok(await keys.find(key))
    await createDataKeys(database.db, provider).make('pepper', null, 3)
    await database.sql`delete from data_keys where id = ${middle}`
    await keys.flushUse()
    assert.deepEqual(await stored(), old)
    assert.ok(await keysNow().find(key))

    const behind = keysNow()
    await behind.mint() // knows of no newer one for a minute
    await createDataKeys(database.db, provider).make('pepper', null, 4)
    const ahead = keysNow()
    await ahead.find(key)
    await ahead.flushUse()
    const renewed = await stored()
    assert.notDeepEqual(renewed, old)
    assert.ok(await behind.find(key))
    await behind.flushUse()
    assert.deepEqual(await stored(), renewed)
  })

  test('hashes that could not be written are dropped, and made again when their keys are looked up', async () => {
    const key = await issue()
    const old = await stored()
    await newPepper()
    let isAway = true
    const db = new Proxy(database.db, {
      get: (target, name, receiver) => (name === 'execute' && isAway ? () => Promise.reject(new Error('away')) : Reflect.get(target, name, receiver)),
    })
    const keys = keysNow(db)
    assert.ok(await keys.find(key))
    await assert.rejects(keys.flushUse(), /away/)
    isAway = false
    await keys.flushUse()
    assert.deepEqual(await stored(), old)
    keys.forget(null)
    assert.ok(await keys.find(key))
    await keys.flushUse()
    assert.notDeepEqual(await stored(), old)
  })

  test('a key that has ended opens nothing, also when its pepper is gone', async () => {
    const key = await issue()
    await newPepper()
    await database.sql`delete from data_keys where version = 1`
    for (const ended of [
      { revoked_at: new Date(), expires_at: null },
      { revoked_at: null, expires_at: new Date(Date.now() - 1) },
    ]) {
      await database.sql`update api_keys set ${database.sql(ended)}`
      assert.equal(await keysNow().find(key), null)
    }
  })

  test('a wrong key with the prefix of a right one renews nothing', async () => {
    const key = await issue()
    const old = await stored()
    await newPepper()
    const { mintKey, prefixOf } = await import('../../src/access/key-format.ts')
    const wrong = mintKey('live')
    await database.sql`update api_keys set prefix = ${prefixOf(wrong)}`
    const keys = keysNow()
    assert.equal(await keys.find(wrong), null)
    await keys.flushUse()
    assert.deepEqual(await stored(), old)
    assert.equal(await keys.find(key), null)
  })

  test('a hash that was changed since it was right is left alone', async () => {
    const key = await issue()
    await newPepper()
    const keys = keysNow()
    assert.ok(await keys.find(key))
    await database.sql`update api_keys set hash = 'another'`
    await keys.flushUse()
    assert.equal((await stored()).hash, 'another')
  })

  test('a key whose pepper is not there is no wrong key: that is an outage', async () => {
    const key = await issue()
    await newPepper()
    await database.sql`delete from data_keys where version = 1`
    await assert.rejects(
      async () => keysNow().find(key),
      (error) => error instanceof Failure && error.reason === 'unavailable',
    )
  })
})
