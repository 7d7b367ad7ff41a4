import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { mintKey, prefixOf } from '../../src/access/key-format.ts'
import { countKeys, issueKey, listKeys, revokeAllKeys, revokeKey } from '../../src/access/key-store.ts'
import type { MintedKey } from '../../src/access/keys.ts'
import { insertTenant } from '../../src/access/tenants.ts'
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
      await countKeys(mine.db, [mine.id, other.id, 't_none']),
      new Map([
        [mine.id, 3],
        [other.id, 1],
      ]),
    )
  })

  test('a key is revoked only by its own tenant, once, and stays in the list', async () => {
    const mine = await tenantWithKeys(2)
    const other = await tenantWithKeys(1)
    const [prefix] = mine.prefixes
    const first = new Date('2026-11-20T12:00:00Z')
    const revoke = (tenantId: string, at: Date) => mine.db.transaction((tx) => revokeKey(tx, tenantId, prefix, at))
    assert.equal(await revoke(other.id, first), false)
    assert.equal((await countKeys(mine.db, [mine.id])).get(mine.id), 2)
    assert.equal(await revoke(mine.id, first), true)
    assert.equal(await revoke(mine.id, new Date('2026-11-21T12:00:00Z')), true)
    const { rows } = await listKeys(mine.db, mine.id, { limit: 10, offset: 0 })
    assert.deepEqual(rows.find((row) => row.prefix === prefix)?.revokedAt, first)
    assert.equal((await countKeys(mine.db, [mine.id])).get(mine.id), 1)
  })

  test('all keys of one tenant are revoked at once, and no other', async () => {
    const mine = await tenantWithKeys(3)
    const other = await tenantWithKeys(2)
    await mine.db.transaction((tx) => revokeAllKeys(tx, mine.id, new Date()))
    assert.deepEqual(await countKeys(mine.db, [mine.id, other.id]), new Map([[other.id, 2]]))
  })
})
