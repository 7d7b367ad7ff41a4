import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { insertEntries } from '../audit/entries.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { type Management, manage, NOW } from './management.ts'

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: Management
  before(async () => {
    database = await open()
    api = manage(database)
  })
  after(() => database.drop())

  const row = (tenantId: string, userId: string, daysAgo = 0) => ({
    tenantId,
    userId,
    metadata: { user: userId },
    timestamp: new Date(NOW - daysAgo * 86_400_000),
  })
  const users = async (tenantId: string): Promise<(string | null)[]> =>
    (await api.ask('GET', '/v1/audit', { tenant: tenantId })).json.entries.map((entry: { user_id: string | null }) => entry.user_id)

  test('the administrator takes a user out of a tenant’s log; the log says that, and not who it was', async () => {
    const [one, other] = [await api.createTenant(), await api.createTenant()]
    await insertEntries(database.db, [row(one.id, 'ann'), row(one.id, 'bob', 1), row(one.id, 'ann', 2), row(other.id, 'ann')])
    const { status, json } = await api.ask('POST', `/v1/audit/erasures?tenant_id=${one.id}`, { body: { user_id: 'ann' } })
    assert.deepEqual([status, json], [200, { erased: 2, pending: 0 }])
    assert.deepEqual([await users(one.id), await users(other.id)], [[null, 'bob', null], ['ann']])
    const { json: changes } = await api.ask('GET', '/v1/audit?kind=change&limit=1', { tenant: one.id })
    const [{ audit_id, reason, metadata }] = changes.entries
    assert.deepEqual([reason, metadata], ['audit.erase', { actor: 'admin', subject: 'user', entries: 2, leaves: {} }])
    const erased = await database.sql`select distinct erased_by from audit_entries where erased_by is not null`
    assert.deepEqual([...erased], [{ erased_by: audit_id }])
    assert.deepEqual((await api.ask('POST', '/v1/audit/erasures', { body: { user_id: 'ann' }, tenant: one.id })).json, { erased: 0, pending: 0 })
  })

  test('a time limits it', async () => {
    const { id } = await api.createTenant()
    await insertEntries(database.db, [row(id, 'ann'), row(id, 'ann', 5), row(id, 'ann', 10)])
    const body = { user_id: 'ann', from: '2026-11-14', to: '2026-11-16' }
    assert.deepEqual((await api.ask('POST', '/v1/audit/erasures', { tenant: id, body })).json, { erased: 1, pending: 0 })
    assert.deepEqual(await users(id), ['ann', null, 'ann'])
  })

  test('a tenant is named, a user is named, and no key of a tenant may do it', async () => {
    const { id, key } = await api.createTenant()
    const refused = async (ask: Parameters<Management['ask']>[2]): Promise<unknown> => {
      const { status, json } = await api.ask('POST', '/v1/audit/erasures', ask)
      return [status, json.context.field ?? json.context.scope]
    }
    assert.deepEqual(await refused({ body: { user_id: 'ann' } }), [400, 'tenant_id'])
    assert.deepEqual(await refused({ key, body: { user_id: 'ann' } }), [403, 'audit:erase'])
    assert.deepEqual(await refused({ tenant: id, body: {} }), [400, 'user_id'])
    assert.deepEqual(await refused({ tenant: id, body: { user_id: '' } }), [400, 'user_id'])
    assert.deepEqual(await refused({ tenant: id, body: { user_id: 'ann', form: '2026-11-01' } }), [400, 'form'])
    assert.deepEqual(await refused({ tenant: id, body: { user_id: 'ann', from: '2026-11-02', to: '2026-11-02' } }), [400, 'from'])
    // Rounded up to days or hours, the last moment that can be written would be one that cannot.
    const last = '9999-12-31T23:59:59Z'
    assert.equal((await api.ask('POST', '/v1/audit/erasures', { tenant: id, body: { user_id: 'ann', from: last } })).status, 200)
    for (const group of ['hour', 'day', 'week'])
      assert.equal((await api.ask('GET', `/v1/audit/stats?from=9999-12-31&to=${last}&group_by=${group}`, { tenant: id })).status, 200, group)
  })
})
