import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { type Management, manage } from './management.ts'

const fields = { name: 'openai', dialects: ['openai-chat'], base_url: 'https://api.openai.com/v1/', credential: 'sk-marked-credential' }

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: Management
  before(async () => {
    database = await open()
    api = manage(database)
  })
  beforeEach(() => database.sql`truncate upstreams`)
  after(() => database.drop())

  test('an upstream is created with the defaults, and its credential is for calls only', async () => {
    const { status, json } = await api.ask('POST', '/v1/upstreams', { body: fields })
    assert.equal(status, 201)
    assert.deepEqual(
      { ...json, created_at: 0 },
      {
        name: 'openai',
        tenant_id: null,
        dialects: ['openai-chat'],
        base_url: 'https://api.openai.com/v1',
        credential_mode: 'stored',
        credential_set: true,
        models: ['*'],
        priority: 0,
        weight: 1,
        region: null,
        timeouts: {},
        prices: [],
        active: true,
        created_at: 0,
        status: null,
      },
    )
    const rows = await database.sql`select upstreams.*, (select json_agg(audit_entries) from audit_entries) as log from upstreams`
    const said = [await api.ask('GET', '/v1/upstreams'), await api.ask('GET', '/v1/upstreams/openai')].map((answer) => answer.json)
    assert.doesNotMatch(JSON.stringify([json, rows, said]), /sk-marked/)
    assert.deepEqual(
      (await api.upstreams.load()).map(({ name, credential }) => [name, credential]),
      [['openai', 'sk-marked-credential']],
    )
  })

  test('a patch changes what it names, and removes a credential only when told to', async () => {
    await api.ask('POST', '/v1/upstreams', { body: fields })
    const credentialNow = async () => (await api.upstreams.load())[0].credential
    const patched = await api.ask('PATCH', '/v1/upstreams/openai', { body: { priority: 5, timeouts: { idle_seconds: 30 } } })
    assert.deepEqual([patched.json.priority, patched.json.timeouts, patched.json.base_url], [5, { idle_seconds: 30 }, 'https://api.openai.com/v1'])
    assert.equal(await credentialNow(), 'sk-marked-credential')
    await api.ask('PATCH', '/v1/upstreams/openai', { body: { credential: 'sk-new' } })
    assert.equal(await credentialNow(), 'sk-new')
    assert.equal((await api.ask('PATCH', '/v1/upstreams/openai', { body: { credential: null } })).json.credential_set, false)
    assert.equal(await credentialNow(), null)
    await api.ask('PATCH', '/v1/upstreams/openai', { body: { credential: 'sk-new' } })
    assert.equal((await api.ask('PATCH', '/v1/upstreams/openai', { body: { credential_mode: 'passthrough' } })).json.credential_set, false)
  })

  test('a credential does not follow an upstream to another host unless it is given again', async () => {
    await api.ask('POST', '/v1/upstreams', { body: fields })
    const move = (more: object) => api.ask('PATCH', '/v1/upstreams/openai', { body: { base_url: 'https://api.example.com/v1', ...more } })
    assert.deepEqual([(await move({})).status, (await move({})).json.context.field], [422, 'credential'])
    assert.equal((await api.ask('PATCH', '/v1/upstreams/openai', { body: { base_url: 'https://api.openai.com/v2' } })).status, 200)
    assert.equal((await move({ credential: 'sk-other' })).json.base_url, 'https://api.example.com/v1')
  })

  test('a private address is refused when an upstream is changed, as when it is created', async () => {
    await api.ask('POST', '/v1/upstreams', { body: fields })
    for (const base_url of ['https://169.254.169.254/', 'https://inside.example.com/', 'http://api.openai.com/v1', 'sandbox:']) {
      const { status, json } = await api.ask('PATCH', '/v1/upstreams/openai', { body: { base_url, credential: 'x' } })
      assert.deepEqual([status, json.error], [422, 'CONFIG_ERROR'], base_url)
    }
  })

  test('a name is taken once for the installation and once for each tenant', async () => {
    const { id } = await api.createTenant()
    const create = (body: object, tenant?: string) => api.ask('POST', '/v1/upstreams', { body, ...(tenant !== undefined && { tenant }) })
    assert.equal((await create(fields)).status, 201)
    assert.equal((await create(fields, id)).json.tenant_id, id)
    for (const again of [await create(fields), await create({ ...fields, tenant_id: id })])
      assert.deepEqual([again.status, again.json.error], [409, 'CONFLICT'])
    assert.equal((await create({ ...fields, name: 'x', tenant_id: 't_none' })).status, 404)
    assert.equal((await api.ask('GET', '/v1/upstreams')).json.total, 2)
    assert.equal((await api.ask('GET', '/v1/upstreams', { tenant: id })).json.total, 1)
    assert.equal((await api.ask('DELETE', '/v1/upstreams/openai', { tenant: id })).status, 204)
    assert.deepEqual([(await api.ask('GET', '/v1/upstreams/openai', { tenant: id })).status, (await api.ask('GET', '/v1/upstreams/openai')).status], [404, 200])
  })

  test('prices are kept in their order, and what a GET answered can be sent back', async () => {
    const prices = [
      { model: 'gpt-5*', input: 1.25, output: 10 },
      { model: '*', input: 0, output: 0.000001 },
    ]
    const made = (await api.ask('POST', '/v1/upstreams', { body: { ...fields, prices } })).json
    assert.deepEqual(made.prices, prices)
    assert.deepEqual((await api.upstreams.load())[0].prices, prices)
    const again = await api.ask('PATCH', '/v1/upstreams/openai', { body: { ...made, credential_set: false, prices: [] } })
    assert.deepEqual([again.status, again.json], [200, { ...made, prices: [] }])
    for (const field of ['name', 'tenant_id']) {
      const { status, json } = await api.ask('PATCH', '/v1/upstreams/openai', { body: { [field]: 'other' } })
      assert.deepEqual([status, json.context.field], [400, field])
    }
  })

  test('a price may name what costs apart; nothing costs less than nothing or more than a million, and nothing else has a price', async () => {
    const price = { model: 'gpt-5*', input: 1.25, output: 10, cached_input: 0, cache_write: 1_000_000, reasoning: 12, audio_input: 32, audio_output: 64 }
    const made = await api.ask('POST', '/v1/upstreams', { body: { ...fields, prices: [price] } })
    assert.deepEqual([made.status, made.json.prices], [201, [price]])
    assert.deepEqual((await api.upstreams.load())[0].prices, [price])
    for (const [member, value] of [
      ['cached_input', -0.01],
      ['cache_write', 1_000_001],
      ['reasoning', '1'],
      ['audio_input', null],
      ['video', 1],
    ] as const) {
      const { status, json } = await api.ask('PATCH', '/v1/upstreams/openai', { body: { prices: [{ ...price, [member]: value }] } })
      assert.deepEqual([status, json.context.field], [400, `prices.0.${member}`])
    }
  })

  test('a check asks with the stored credential and shows none of it', async () => {
    await api.ask('POST', '/v1/upstreams', { body: fields })
    const { status, json } = await api.ask('POST', '/v1/upstreams/openai/check')
    assert.deepEqual([status, json.ok, json.status], [200, false, null])
    assert.match(json.problem, /may not be called/)
  })
})
