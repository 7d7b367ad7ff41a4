import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { createDataKeys } from '../../src/crypto/data-keys.ts'
import { encrypt } from '../../src/crypto/envelope.ts'
import { createKeyProvider } from '../../src/crypto/key-provider.ts'
import { createKeyring, NEWEST_MS } from '../../src/crypto/keyring.ts'
import { generateMasterKey, parseMasterKeys } from '../../src/crypto/master-key.ts'
import { placeIn, sealedColumns } from '../../src/crypto/sealed-columns.ts'
import type { Db } from '../../src/db/connect.ts'
import { dataKeys } from '../../src/db/schema.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'

const masterKey = () => parseMasterKeys(generateMasterKey())[0]!
const secret = 'sk-0123456789'
const place = placeIn(sealedColumns[0]!, 'up_1')
const cannot = (error: Error) => error.message === 'A sealed value cannot be opened.' && !String(error.cause).includes(secret)

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let reads = 0
  before(async () => {
    database = await open()
  })
  beforeEach(async () => {
    await database.db.delete(dataKeys)
  })
  after(() => database.drop())

  const counting = () =>
    new Proxy(database.db, {
      get: (target, name, receiver) => {
        if (name === 'select') reads++
        return Reflect.get(target, name, receiver)
      },
    }) as Db
  const clock = { now: 0 }
  const given = (key = masterKey()) => {
    clock.now = 0
    return {
      ring: createKeyring(counting(), [key], () => clock.now),
      other: createKeyring(database.db, [key], () => clock.now),
      data: createDataKeys(database.db, createKeyProvider([key])),
    }
  }

  test('a ciphertext moved to another row, column, table, tenant or purpose does not open', async () => {
    const { ring } = given()
    const sealed = await ring.seal('t_1', place, secret)
    for (const tenant of ['t_2', null]) await ring.seal(tenant, place, 'other')
    const moved: [tenant: string | null, place: string][] = [
      ['t_1', 'upstreams.credential.up_2'],
      ['t_1', 'upstreams.region.up_1'],
      ['t_1', 'webhooks.credential.up_1'],
      ['t_1', 'upstreams.credential.up_1 '],
      ['t_2', place],
      ['t_unknown', place],
      [null, place],
    ]
    for (const [tenant, where] of moved) await assert.rejects(ring.open(tenant, where, sealed), cannot)
    // A wrapped data key is no secret of the tenant, nor is what another purpose's key encrypts.
    const [row] = await database.db.select().from(dataKeys)
    for (const wrapped of Object.values(row!.wrappings)) await assert.rejects(ring.open('t_1', place, wrapped), cannot)
    const pepper = await ring.pepper()
    await assert.rejects(ring.open(null, place, await encrypt(Buffer.from(secret), pepper, JSON.stringify([place, null]))), cannot)
    assert.equal(await ring.open('t_1', place, sealed), secret)
  })

  test('every flipped bit, every cut, and the key of another version give the same clean error', async () => {
    const { ring, data } = given()
    const sealed = await ring.seal('t_1', place, secret)
    const parts = sealed.split('.')
    for (const [i, part] of parts.entries()) {
      if (part === '') continue
      for (let at = 0; at < part.length; at += 7) {
        const bytes = Buffer.from(part, 'base64url')
        const byte = Math.floor((at * 6) / 8)
        bytes[byte] = (bytes[byte] ?? 0) ^ (1 << (at % 8))
        await assert.rejects(ring.open('t_1', place, parts.with(i, bytes.toString('base64url')).join('.')), cannot)
      }
    }
    for (let length = 0; length < sealed.length; length += 11) await assert.rejects(ring.open('t_1', place, sealed.slice(0, length)), cannot)
    await data.make('secrets', 't_1', 2)
    const [newest] = await data.versions('secrets', 't_1')
    const header = JSON.parse(Buffer.from(parts[0]!, 'base64url').toString()) as Record<string, unknown>
    const claiming = parts.with(0, Buffer.from(JSON.stringify({ ...header, kid: newest!.id })).toString('base64url')).join('.')
    await assert.rejects(ring.open('t_1', place, claiming), cannot)
    assert.equal(await ring.open('t_1', place, sealed), secret)
  })

  test('a value opens under whichever version sealed it; sealing turns to a new one within a minute', async () => {
    const { ring, other, data } = given()
    const one = await ring.seal('t_1', place, secret)
    await data.make('secrets', 't_1', 2)
    const two = await other.seal('t_1', place, secret)
    assert.notEqual(kidOf(two), kidOf(one))
    for (const each of [ring, other]) for (const sealed of [one, two]) assert.equal(await each.open('t_1', place, sealed), secret)
    assert.equal(kidOf(await ring.seal('t_1', place, secret)), kidOf(two), 'it has heard of it by opening')

    await data.make('secrets', 't_1', 3)
    assert.equal(kidOf(await ring.seal('t_1', place, secret)), kidOf(two), 'for a while')
    clock.now += NEWEST_MS
    assert.notEqual(kidOf(await ring.seal('t_1', place, secret)), kidOf(two))
  })

  test('keys of sessions and logins are found by id, invented ids cost one query in ten seconds, and a new version is known at once', async () => {
    const { ring, other, data } = given()
    for (const [purpose, keyOf] of [
      ['sessions', 'sessionKey'],
      ['logins', 'loginKey'],
    ] as const) {
      const one = await ring[keyOf]()
      assert.deepEqual(await other[keyOf](one.id), one)
      await data.make(purpose, null, 2)
      const [row] = await data.versions(purpose, null)
      const two = await other[keyOf](row!.id)
      assert.ok(two && two.id !== one.id && !two.key.equals(one.key))
      assert.deepEqual(await ring[keyOf](two.id), two, 'another process made it')
      assert.deepEqual(await ring[keyOf](one.id), one, 'what was signed before')
      assert.deepEqual(await ring[keyOf](), two)
      const before = reads
      const invented = await Promise.all(Array.from({ length: 50 }, (_, i) => ring[keyOf](`dk_invented${i}`)))
      for (let i = 0; i < 50; i++) invented.push(await ring[keyOf](`dk_others${i}`))
      assert.ok(invented.every((key) => key === null))
      assert.ok(reads - before <= 2, `${reads - before} reads`)
      clock.now += 10_000
      assert.equal(await ring[keyOf]('dk_again'), null)
      assert.ok(reads - before <= 3)
      assert.equal(await ring[keyOf]((await ring.pepper()).id), null, 'a key of another purpose')
    }
  })

  test('what was made with keys that have one version for ever stays what it is', async () => {
    const { ring, other } = given()
    const keys = (of: typeof ring) => Promise.all([of.redactionKey('t_1'), of.hashKey('t_1'), of.sealKey(), of.checkpointKey()])
    const first = await keys(ring)
    clock.now += 100 * NEWEST_MS
    const before = reads
    assert.deepEqual(await keys(ring), first)
    assert.equal(reads, before, 'nor is it read again')
    assert.deepEqual(await keys(other), first)
    assert.equal(new Set(first.map((key) => key.toString('hex'))).size, 4)
  })
})

const kidOf = (sealed: string): unknown => (JSON.parse(Buffer.from(sealed.split('.')[0]!, 'base64url').toString()) as { kid: unknown }).kid

describe('the form of sealed values', () => {
  // Whoever draws 48 bits ten thousand times meets one of them again once in five million runs.
  test('10,000 texts sealed under one key have IVs of 96 bits of which no half ever comes again', async () => {
    const key = { id: 'dk_1', key: Buffer.alloc(32, 9) }
    const halves = new Set<string>()
    for (let i = 0; i < 10_000; i += 500) {
      for (const sealed of await Promise.all(Array.from({ length: 500 }, () => encrypt(Buffer.from('x'), key, 'c')))) {
        const iv = Buffer.from(sealed.split('.')[2]!, 'base64url')
        assert.equal(iv.length, 12)
        halves.add(`first ${iv.toString('hex', 0, 6)}`).add(`second ${iv.toString('hex', 6)}`)
      }
    }
    assert.equal(halves.size, 20_000)
  })
})
