/** Keys as an administrator has them: where they may be used, for which models, with which certificate, and how that is changed. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { whyNotFrom } from '../../src/access/place.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { type Management, manage } from './management.ts'

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: Management
  let tenant: { id: string; key: string }
  before(async () => {
    database = await open()
    api = manage(database)
    tenant = await api.createTenant()
  })
  after(() => database.drop())

  const keysOf = (id = tenant.id): string => `/v1/tenants/${id}/keys`
  const issue = async (body: Record<string, unknown>) => (await api.ask('POST', keysOf(), { body: { name: 'k', ...body } })).json

  test('a key is issued with its place, its models and its certificate, and the list shows them', async () => {
    const restricted = { allowed_addresses: ['10.0.0.0/8', '2001:db8::1'], allowed_models: ['gpt-*'], client_certificate: 'uri:spiffe://example.com/robot' }
    const made = await issue(restricted)
    const { api_key, ...told } = made
    const [listed] = (await api.ask('GET', keysOf())).json.keys
    assert.deepEqual(listed, { ...told, successor: null, last_used_at: null, revoked_at: null })
    assert.deepEqual({ ...restricted, ...listed }, listed)
    const caller = await api.keys.find(api_key)
    assert.deepEqual([caller?.allowedAddresses, caller?.allowedModels, caller?.clientCertificate], Object.values(restricted))
    const [plain] = [await issue({})]
    assert.deepEqual([plain.allowed_addresses, plain.allowed_models, plain.client_certificate], [null, null, null])
  })

  test('one certificate is one live key: 409 for a second, until the first is revoked; who showed it before is known at once', async () => {
    assert.equal(await api.keys.findByCertificate(['cn:once']), null)
    const made = await issue({ client_certificate: 'cn:once' })
    assert.equal((await api.keys.findByCertificate(['dns:x', 'cn:once']))?.keyPrefix, made.prefix)
    assert.equal((await api.keys.findByCertificate(['cn:once']))?.keyPrefix, made.prefix)
    const other = await api.createTenant()
    const again = () => api.ask('POST', keysOf(other.id), { body: { client_certificate: 'cn:once' } })
    const refused = await again()
    assert.deepEqual([refused.status, refused.json.context.field], [409, 'client_certificate'])
    await api.ask('DELETE', `${keysOf()}/${made.prefix}`)
    assert.equal(await api.keys.findByCertificate(['cn:once']), null)
    assert.equal((await again()).status, 201)
  })

  test('a change counts for the next call; what is not named stays, and null takes a restriction away', async () => {
    const made = await issue({ allowed_models: ['gpt-*'] })
    const path = `${keysOf()}/${made.prefix}`
    const peer = { address: '192.0.2.1', certificate: null }
    const before = await api.keys.find(made.api_key)
    assert.ok(before)
    assert.equal(whyNotFrom(before, peer), null)
    const body = { name: 'renamed', allowed_addresses: ['10.0.0.0/8'], limits: { max_requests_per_minute: 5 }, expires_at: '2030-01-01T00:00:00.000Z' }
    const changed = await api.ask('PATCH', path, { body })
    assert.equal(changed.status, 200)
    assert.deepEqual([changed.json.name, changed.json.allowed_models, changed.json.expires_at], ['renamed', ['gpt-*'], body.expires_at])
    assert.equal(changed.json.limits.max_requests_per_minute, 5)
    const after = await api.keys.find(made.api_key)
    assert.equal(after && whyNotFrom(after, peer)?.reason, 'address_not_allowed')
    const freed = await api.ask('PATCH', path, { body: { allowed_addresses: null, allowed_models: null, limits: null, expires_at: null } })
    assert.deepEqual(
      [freed.json.allowed_addresses, freed.json.allowed_models, freed.json.limits, freed.json.expires_at, freed.json.name],
      [null, null, null, null, 'renamed'],
    )
    const [record] = await database.sql`select reason from audit_entries where tenant_id = ${tenant.id} and reason = 'key.update' limit 1`
    assert.ok(record, 'the change is on record')
  })

  test('nobody changes what is not theirs, is revoked, or is not for changing', async () => {
    const made = await issue({})
    const other = await api.createTenant()
    const path = `${keysOf()}/${made.prefix}`
    const status = async (to: string, body: object, key?: string): Promise<number> => (await api.ask('PATCH', to, { body, ...(key && { key }) })).status
    assert.equal(await status(`${keysOf(other.id)}/${made.prefix}`, { name: 'x' }), 404)
    assert.equal(await status(`${keysOf('t_none')}/${made.prefix}`, { name: 'x' }), 404)
    assert.equal(await status(`${keysOf()}/ef_live_00000000`, { name: 'x' }), 404)
    assert.equal(await status(`${keysOf()}/x'--`, { name: 'x' }), 404)
    assert.equal(await status(path, { name: 'x' }, tenant.key), 403)
    for (const body of [
      { scopes: ['audit:read'] },
      { client_certificate: 'cn:x' },
      { agent_id: null },
      { expires_at: '2020-01-01T00:00:00Z' },
      { allowed_addresses: [] },
      { name: null },
    ])
      assert.equal(await status(path, body), 400, JSON.stringify(body))
    await api.ask('DELETE', path)
    assert.equal(await status(path, { name: 'x' }), 409)
  })

  test('a key that has ended, or whose place another has taken, is brought back by no change', async () => {
    const [expired, replaced] = [await issue({}), await issue({})]
    await database.sql`update api_keys set expires_at = '2020-01-01' where prefix = ${expired.prefix}`
    await database.sql`update api_keys set successor = ${expired.prefix} where prefix = ${replaced.prefix}`
    for (const { prefix } of [expired, replaced])
      for (const body of [{ expires_at: null }, { expires_at: '2099-01-01T00:00:00Z' }, { name: 'x' }])
        assert.equal((await api.ask('PATCH', `${keysOf()}/${prefix}`, { body })).status, 409, JSON.stringify(body))
    const rows = await database.sql`select name, expires_at from api_keys where prefix in ${database.sql([expired.prefix, replaced.prefix])}`
    assert.ok(rows.every(({ name }) => name !== 'x'))
  })

  test('places, models and certificates that are none are refused by name', async () => {
    const wrong: [string, unknown][] = [
      ...['10.0.0.0/33', 'localhost', '10.0.0', '::/129', '10.0.0.0/8/8', ''].map((one): [string, unknown] => [
        'allowed_addresses.0',
        { allowed_addresses: [one] },
      ]),
      ['allowed_addresses', { allowed_addresses: [] }],
      ['allowed_addresses', { allowed_addresses: Array.from({ length: 101 }, (_, i) => `10.0.0.${i}`) }],
      ['allowed_models.0', { allowed_models: ['gpt 5'] }],
      ...['robot', 'CN=robot', 'uri:', 'cn:a\nb', `cn:${'x'.repeat(1_000)}`].map((one): [string, unknown] => [
        'client_certificate',
        { client_certificate: one },
      ]),
    ]
    for (const [field, body] of wrong) {
      const { status, json } = await api.ask('POST', keysOf(), { body })
      assert.deepEqual([status, json.context.field], [400, field], JSON.stringify(body).slice(0, 80))
    }
  })
})
