import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { changeTenant, findTenant, insertTenant, listTenants, type TenantFields } from '../../src/access/tenants.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'

const fields: TenantFields = { name: 'Acme', rulesPreset: 'default', maxRequestsPerMinute: 60, allowedModels: ['gpt-*'], contactEmail: 'a@acme.example' }

forEachEngine((_engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  after(() => database.drop())

  test('a tenant is found as it was created, changed as asked, and nothing else changes', async () => {
    const { db } = database
    const created = await db.transaction((tx) => insertTenant(tx, fields))
    assert.match(created.id, /^t_[0-9a-z]{26}$/)
    assert.deepEqual(await findTenant(db, created.id), created)
    const changed = await db.transaction((tx) => changeTenant(tx, created.id, { allowedModels: null }))
    assert.deepEqual(changed, { ...created, allowedModels: null })
    assert.deepEqual(await db.transaction((tx) => changeTenant(tx, created.id, {})), changed)
    assert.equal(await db.transaction((tx) => changeTenant(tx, 't_none', { name: 'x' })), undefined)
    assert.equal(await findTenant(db, 't_none'), undefined)
  })

  test('lists are newest first, by page, and can leave inactive tenants out', async () => {
    const { db, sql } = database
    await sql`truncate tenants cascade`
    const ids: string[] = []
    for (const name of ['a', 'b', 'c']) ids.unshift((await db.transaction((tx) => insertTenant(tx, { ...fields, name }))).id)
    await db.transaction((tx) => changeTenant(tx, ids[1], { active: false }))
    const page = await listTenants(db, { limit: 2, offset: 1 })
    assert.deepEqual([page.total, page.rows.map(({ id }) => id)], [3, ids.slice(1)])
    const active = await listTenants(db, { active: true, limit: 10, offset: 0 })
    assert.deepEqual([active.total, active.rows.map(({ id }) => id)], [2, [ids[0], ids[2]]])
  })
})
