import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { mintKey, prefixOf } from '../../src/access/key-format.ts'
import { CERTIFICATE_INDEX, changeKey, countKeys, issueKey, listKeys, revokeAllKeys, revokeKey } from '../../src/access/key-store.ts'
import type { MintedKey } from '../../src/access/keys.ts'
import { insertTenant } from '../../src/access/tenants.ts'
import { eq, inArray } from '../../src/db/drizzle.ts'
import { apiKeys } from '../../src/db/schema.ts'
import { violatedUnique } from '../../src/db/unavailable.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'

const mint = (): MintedKey => {
  const key = mintKey('live')
  return { key, prefix: prefixOf(key), hash: randomBytes(32).toString('base64url'), pepperId: 'dk_1' }
}

forEachEngine((_engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  after(() => database.drop())

  const tenantWithKeys = async (count: number) => {
    const { db } = database
    const fields = { name: 'Acme', rulesPreset: null, maxRequestsPerMinute: null, allowedModels: null, contactEmail: null }
    const { id } = await db.transaction((tx) => insertTenant(tx, fields))
    const minted = Array.from({ length: count }, mint)
    for (const one of minted) await db.transaction((tx) => issueKey(tx, id, one, { name: 'key', scopes: ['proxy:write'], expiresAt: null }))
    return { db, id, prefixes: minted.map(({ prefix }) => prefix) }
  }

  test("lists and counts stay with the tenant's own keys", async () => {
    const mine = await tenantWithKeys(3)
    const other = await tenantWithKeys(1)
    const page = await listKeys(mine.db, mine.id, { limit: 2, offset: 1 })
    assert.equal(page.total, 3)
    assert.deepEqual(
      page.rows.map(({ prefix }) => prefix),
      [mine.prefixes[1], mine.prefixes[0]],
    )
    assert.deepEqual(
      await countKeys(mine.db, [mine.id, other.id, 't_none'], new Date()),
      new Map([
        [mine.id, 3],
        [other.id, 1],
      ]),
    )
  })

  test('only keys that can be used are counted: none that has expired, is revoked or was replaced', async () => {
    const { db, id, prefixes } = await tenantWithKeys(4)
    const at = new Date('2026-11-20T12:00:00Z')
    const set = (i: number, fields: object) => db.update(apiKeys).set(fields).where(eq(apiKeys.prefix, prefixes[i]!))
    await set(0, { expiresAt: at })
    await set(1, { expiresAt: new Date(at.getTime() + 1) })
    await set(2, { revokedAt: at })
    assert.deepEqual(await countKeys(db, [id], at), new Map([[id, 2]]))
    await set(3, { successor: prefixes[1] })
    assert.deepEqual(await countKeys(db, [id], at), new Map([[id, 1]]))
  })

  test('limits that are set of a key hold for those whose place it took, and which have not ended; nothing else does', async () => {
    const { db, id, prefixes } = await tenantWithKeys(4)
    const [first, second, newest, other] = prefixes
    const at = new Date()
    await db
      .update(apiKeys)
      .set({ successor: newest! })
      .where(inArray(apiKeys.prefix, [first!, second!]))
    await db.update(apiKeys).set({ revokedAt: at }).where(eq(apiKeys.prefix, first!))
    await db.transaction((tx) => changeKey(tx, id, newest!, { name: 'new', limits: { max_requests_per_minute: 7 } }, at))
    const rows = async () =>
      new Map((await listKeys(db, id, { limit: 9, offset: 0 })).rows.map((row) => [row.prefix, [row.name, row.limits?.max_requests_per_minute]]))
    assert.deepEqual(
      await rows(),
      new Map([
        [other, ['key', undefined]],
        [newest, ['new', 7]],
        [second, ['key', 7]],
        [first, ['key', undefined]],
      ]),
    )
    await db.transaction((tx) => changeKey(tx, id, newest!, { limits: null }, at))
    assert.deepEqual((await rows()).get(second!), ['key', undefined])
    await db.transaction((tx) => changeKey(tx, id, second!, { limits: { max_requests_per_minute: 9 } }, at))
    assert.deepEqual((await rows()).get(first!), ['key', undefined], 'a replaced key stays as it is')
  })

  test('a key is revoked only by its own tenant, once, and stays in the list', async () => {
    const mine = await tenantWithKeys(2)
    const other = await tenantWithKeys(1)
    const [prefix] = mine.prefixes
    const first = new Date('2026-11-20T12:00:00Z')
    const revoke = (tenantId: string, at: Date) => mine.db.transaction((tx) => revokeKey(tx, tenantId, prefix, at))
    assert.equal(await revoke(other.id, first), false)
    assert.equal((await countKeys(mine.db, [mine.id], new Date())).get(mine.id), 2)
    assert.equal(await revoke(mine.id, first), true)
    assert.equal(await revoke(mine.id, new Date('2026-11-21T12:00:00Z')), true)
    const { rows } = await listKeys(mine.db, mine.id, { limit: 10, offset: 0 })
    assert.deepEqual(rows.find((row) => row.prefix === prefix)?.revokedAt, first)
    assert.equal((await countKeys(mine.db, [mine.id], new Date())).get(mine.id), 1)
  })

  test('a key changes as its own tenant says, in what is named; a revoked one stays as it is', async () => {
    const mine = await tenantWithKeys(1)
    const other = await tenantWithKeys(1)
    const [prefix] = mine.prefixes
    const changeAs = (tenantId: string, fields: Parameters<typeof changeKey>[3]) =>
      mine.db.transaction((tx) => changeKey(tx, tenantId, prefix, fields, new Date()))
    assert.equal(await changeAs(other.id, { name: 'theirs' }), undefined)
    const changed = await changeAs(mine.id, { allowedAddresses: ['10.0.0.0/8'], allowedModels: ['gpt-*'] })
    assert.deepEqual([changed?.name, changed?.allowedAddresses, changed?.allowedModels], ['key', ['10.0.0.0/8'], ['gpt-*']])
    assert.deepEqual((await changeAs(mine.id, { allowedAddresses: null }))?.allowedModels, ['gpt-*'])
    assert.equal((await changeAs(mine.id, {}))?.allowedAddresses, null)
    await mine.db.transaction((tx) => revokeKey(tx, mine.id, prefix, new Date()))
    assert.equal((await changeAs(mine.id, { name: 'late' }))?.name, 'key')
  })

  test('no two live keys have one certificate, whoever’s they are', async () => {
    const mine = await tenantWithKeys(0)
    const other = await tenantWithKeys(0)
    const issue = (tenantId: string) =>
      mine.db.transaction((tx) => issueKey(tx, tenantId, mint(), { name: 'k', scopes: ['proxy:write'], expiresAt: null, clientCertificate: 'cn:robot' }))
    const first = await issue(mine.id)
    assert.equal(first.clientCertificate, 'cn:robot')
    await assert.rejects(issue(other.id), (error) => violatedUnique(error) === CERTIFICATE_INDEX)
    await mine.db.transaction((tx) => revokeKey(tx, mine.id, first.prefix, new Date()))
    await issue(other.id)
  })

  test('all keys of one tenant are revoked at once, and no other', async () => {
    const mine = await tenantWithKeys(3)
    const other = await tenantWithKeys(2)
    await mine.db.transaction((tx) => revokeAllKeys(tx, mine.id, new Date()))
    assert.deepEqual(await countKeys(mine.db, [mine.id, other.id], new Date()), new Map([[other.id, 2]]))
  })
})
