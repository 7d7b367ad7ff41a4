import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { tenantNamed } from '../harness/nouns.ts'
import { type Management, manage } from './management.ts'

const unlimited = { max_requests_per_minute: null, max_requests_per_day: null, max_tokens_per_minute: null, max_tokens_per_day: null, max_concurrency: null }
const noLimits = { requestsPerMinute: null, requestsPerDay: null, tokensPerMinute: null, tokensPerDay: null, concurrency: null }

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: Management
  before(async () => {
    database = await open()
    api = manage(database)
  })
  after(() => database.drop())

  test('a tenant is born with a key that works at once, rules and a policy, and the key is shown only then', async () => {
    const { status, json } = await api.ask('POST', '/v1/tenants', { body: { name: 'Acme', contact_email: 'ops@acme.example' } })
    assert.equal(status, 201)
    assert.match(json.api_key, /^ef_test_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}$/)
    assert.deepEqual(
      { ...json, api_key: null, tenant_id: null, created_at: null },
      {
        tenant_id: null,
        name: 'Acme',
        rules_preset: 'default',
        max_requests_per_minute: 1_000,
        max_requests_per_day: null,
        max_tokens_per_minute: null,
        max_tokens_per_day: null,
        max_concurrency: null,
        limits: null,
        default_max_output_tokens: null,
        limits_without_redis: 'local',
        contact_email: 'ops@acme.example',
        allowed_models: null,
        allowed_regions: null,
        uninspectable: 'warn',
        stream_stop: 'hard',
        audit_durability: null,
        audit_retention_days: null,
        escalation_wait_seconds: 0,
        forward_proxy_credentials: false,
        active: true,
        created_at: null,
        api_key_count: 1,
        api_key: null,
      },
    )
    const caller = await api.keys.find(json.api_key)
    assert.deepEqual([...(caller?.scopes ?? [])], ['proxy:write', 'rules:read', 'rules:write', 'audit:read'])
    const policy = await api.policies.of(json.tenant_id)
    assert.equal(policy?.version, 1)
    assert.ok((policy?.rules.length ?? 0) > 0)
    const again = await api.ask('GET', `/v1/tenants/${json.tenant_id}`)
    assert.equal(JSON.stringify(again.json).includes(json.api_key), false)
  })

  test('without a preset a tenant has an empty policy, not none', async () => {
    const { id } = await api.createTenant({ rules_preset: null })
    const policy = await api.policies.of(id)
    assert.deepEqual([policy?.version, policy?.rules.length], [1, 0])
  })

  test('an unknown preset creates nothing', async () => {
    const before = (await api.ask('GET', '/v1/tenants')).json.total
    const { status, json } = await api.ask('POST', '/v1/tenants', { body: { name: 'Acme', rules_preset: 'astrology' } })
    assert.deepEqual([status, json.error, json.context.field], [422, 'CONFIG_ERROR', 'rules_preset'])
    assert.equal((await api.ask('GET', '/v1/tenants')).json.total, before)
  })

  test('a patch changes what it names, and the next call sees it', async () => {
    const { id, key } = await api.createTenant()
    assert.equal((await api.keys.find(key))?.tenant.limits.requestsPerMinute, 1_000)
    const patched = await api.ask('PATCH', `/v1/tenants/${id}`, { body: { max_requests_per_minute: 5, allowed_models: ['gpt-*'] } })
    assert.deepEqual([patched.status, patched.json.max_requests_per_minute, patched.json.allowed_models], [200, 5, ['gpt-*']])
    const caller = await api.keys.find(key)
    assert.deepEqual([caller?.tenant.limits.requestsPerMinute, caller?.tenant.allowedModels], [5, ['gpt-*']])
    assert.equal((await api.ask('PATCH', `/v1/tenants/${id}`, { body: {} })).json.max_requests_per_minute, 5)
  })

  test('every setting is kept as it was sent, is what the next call goes by, and what a GET answered can be sent back', async () => {
    const settings = {
      name: 'All of it',
      rules_preset: null,
      max_requests_per_minute: 7,
      max_requests_per_day: 70,
      max_tokens_per_minute: 8_000_000_000,
      max_tokens_per_day: 900_000_000_000,
      max_concurrency: 10,
      limits: {
        key: { max_requests_per_minute: 5, max_requests_per_day: 6, max_tokens_per_minute: 7, max_tokens_per_day: 8, max_concurrency: 9 },
        agent: { ...unlimited, max_concurrency: 1 },
        user: null,
        models: [{ model: 'gpt-*', ...unlimited, max_tokens_per_day: 1_000 }],
      },
      default_max_output_tokens: 4_096,
      limits_without_redis: 'refuse',
      contact_email: 'a@b.example',
      allowed_models: ['gpt-*'],
      allowed_regions: ['eu-west'],
      uninspectable: 'block',
      stream_stop: 'soft',
      audit_durability: 'strict',
      audit_retention_days: 30,
      escalation_wait_seconds: 60,
      forward_proxy_credentials: true,
      active: true,
    }
    const { id, key } = await api.createTenant(settings)
    const shown = (await api.ask('GET', `/v1/tenants/${id}`)).json
    assert.deepEqual(shown, { ...settings, tenant_id: id, created_at: shown.created_at, api_key_count: 1 })
    const caller = await api.keys.find(key)
    assert.deepEqual(
      caller?.tenant,
      tenantNamed(id, {
        auditDurability: 'strict',
        limits: { requestsPerMinute: 7, requestsPerDay: 70, tokensPerMinute: 8_000_000_000, tokensPerDay: 900_000_000_000, concurrency: 10 },
        limitsOfEach: {
          key: { requestsPerMinute: 5, requestsPerDay: 6, tokensPerMinute: 7, tokensPerDay: 8, concurrency: 9 },
          agent: { ...noLimits, concurrency: 1 },
          user: null,
          models: [{ model: 'gpt-*', limits: { ...noLimits, tokensPerDay: 1_000 } }],
        },
        limitsWithoutRedis: 'refuse',
        allowedModels: ['gpt-*'],
        allowedRegions: ['eu-west'],
        uninspectable: 'block',
        streamStop: 'soft',
        defaultMaxOutputTokens: 4_096,
        escalationWaitSeconds: 60,
      }),
    )
    const again = await api.ask('PATCH', `/v1/tenants/${id}`, { body: { ...shown, tenant_id: 't_other', api_key_count: 99, uninspectable: 'allow' } })
    assert.deepEqual([again.status, again.json], [200, { ...shown, uninspectable: 'allow' }])
    assert.equal((await api.keys.find(key))?.tenant.uninspectable, 'allow')
    assert.equal((await api.ask('POST', '/v1/tenants', { body: shown })).json.api_key_count, 1)
  })

  test('limits that name nothing are none, and what is sent replaces what was', async () => {
    const nothing = [{}, { key: {} }, { key: unlimited, models: [] }, { agent: null, user: { max_concurrency: null } }]
    const { id, key } = await api.createTenant({ limits: { key: { max_requests_per_day: 5 } } })
    const patch = async (limits: unknown) => (await api.ask('PATCH', `/v1/tenants/${id}`, { body: { limits } })).json.limits
    for (const limits of nothing) {
      assert.deepEqual(await patch({ user: { max_concurrency: 2 } }), { key: null, agent: null, user: { ...unlimited, max_concurrency: 2 }, models: [] })
      assert.equal(await patch(limits), null, JSON.stringify(limits))
    }
    assert.deepEqual((await api.keys.find(key))?.tenant.limitsOfEach, { key: null, agent: null, user: null, models: [] })
    await patch({ key: { max_requests_per_day: 6 } })
    assert.equal((await api.ask('PATCH', `/v1/tenants/${id}`, { body: { name: 'Other' } })).json.limits.key.max_requests_per_day, 6)
    assert.equal((await api.keys.find(key))?.tenant.limitsOfEach.key?.requestsPerDay, 6)
  })

  test('a dry run answers what would come of a change, or refuses it, and keeps nothing', async () => {
    const { id } = await api.createTenant({ rules_preset: null })
    const before =
      await database.sql`select (select count(*) from audit_entries) a, (select count(*) from policy_versions) p, (select count(*) from upstreams) u, t.* from tenants t where id = ${id}`
    const tried = await api.ask('PATCH', `/v1/tenants/${id}?dry_run=true`, { body: { max_requests_per_minute: 5, rules_preset: 'default' } })
    assert.deepEqual([tried.status, tried.json.max_requests_per_minute, tried.json.rules_preset], [200, 5, 'default'])
    assert.equal((await api.ask('PATCH', `/v1/tenants/${id}?dry_run=true`, { body: { rules_preset: 'astrology' } })).status, 422)
    assert.equal((await api.ask('PATCH', '/v1/tenants/t_none?dry_run=true', { body: {} })).status, 404)
    const upstream = { name: 'tried', dialects: ['openai-chat'], base_url: 'https://api.openai.com/v1', credential: 'sk-x' }
    assert.equal((await api.ask('POST', '/v1/upstreams?dry_run=true', { tenant: id, body: upstream })).json.credential_set, true)
    assert.equal((await api.ask('POST', '/v1/upstreams?dry_run=true', { tenant: id, body: { ...upstream, base_url: 'https://10.0.0.1' } })).status, 422)
    assert.equal((await api.ask('PATCH', '/v1/upstreams/tried?dry_run=true', { tenant: id, body: { priority: 5 } })).status, 404)
    assert.deepEqual(
      await database.sql`select (select count(*) from audit_entries) a, (select count(*) from policy_versions) p, (select count(*) from upstreams) u, t.* from tenants t where id = ${id}`,
      before,
    )
  })

  test("another preset swaps the preset's rules and leaves the tenant's own", async () => {
    const { id } = await api.createTenant({ rules_preset: 'default' })
    const own = { name: 'ours', condition: { operator: 'contains', value: 'aurora' }, action: 'BLOCK' }
    await api.ask('POST', '/v1/rules', { tenant: id, body: own })
    await api.ask('PATCH', `/v1/tenants/${id}`, { body: { rules_preset: 'medical' } })
    const { json } = await api.ask('GET', '/v1/rules?limit=1000', { tenant: id })
    assert.deepEqual(new Set(json.rules.map((rule: { preset: string }) => rule.preset)), new Set(['medical', null]))
    assert.equal((await api.policies.of(id))?.version, 3)
    await api.ask('PATCH', `/v1/tenants/${id}`, { body: { rules_preset: null } })
    assert.deepEqual(
      (await api.ask('GET', '/v1/rules', { tenant: id })).json.rules.map((rule: { name: string }) => rule.name),
      ['ours'],
    )
  })

  test('a deleted tenant is inactive and its keys are refused at once; its audit log stays', async () => {
    const { id, key } = await api.createTenant()
    assert.notEqual(await api.keys.find(key), null)
    assert.equal((await api.ask('DELETE', `/v1/tenants/${id}`)).status, 204)
    assert.equal(await api.keys.find(key), null)
    assert.equal((await api.ask('GET', `/v1/tenants/${id}`, { key })).status, 401)
    const { json } = await api.ask('GET', `/v1/tenants/${id}`)
    assert.deepEqual([json.active, json.api_key_count], [false, 0])
    const log = await api.ask('GET', `/v1/audit?kind=change&tenant_id=${id}`)
    assert.deepEqual(
      log.json.entries.map((entry: { reason: string }) => entry.reason),
      ['tenant.delete', 'tenant.create'],
    )
    assert.equal((await api.ask('POST', `/v1/tenants/${id}/keys`, { body: { name: 'late' } })).status, 409)
  })

  test('every change leaves one record that names who and what, and no secret', async () => {
    const { id, key } = await api.createTenant()
    const issued = await api.ask('POST', `/v1/tenants/${id}/keys`, { body: { name: 'ci' } })
    const { json } = await api.ask('GET', `/v1/audit?kind=change&tenant_id=${id}`)
    assert.equal(json.total, 2)
    const [created] = json.entries
    assert.deepEqual(
      [created.reason, created.metadata, created.outcome, created.request_id, created.status],
      ['key.create', { actor: 'admin', subject: issued.json.prefix }, 'completed', issued.headers.get('x-earthflow-request-id'), null],
    )
    assert.equal(JSON.stringify(json).includes(issued.json.api_key), false)
    assert.equal(JSON.stringify(json).includes(key), false)
  })

  test("a tenant's key reads its own tenant and no other, and cannot administer", async () => {
    const { id, key } = await api.createTenant()
    const other = await api.createTenant()
    assert.equal((await api.ask('GET', `/v1/tenants/${id}`, { key })).json.tenant_id, id)
    assert.deepEqual(
      [(await api.ask('GET', `/v1/tenants/${other.id}`, { key })).status, (await api.ask('GET', '/v1/tenants/t_none', { key })).status],
      [404, 404],
    )
    for (const [method, path] of [
      ['GET', '/v1/tenants'],
      ['POST', '/v1/tenants'],
      ['PATCH', `/v1/tenants/${id}`],
      ['POST', `/v1/tenants/${id}/keys`],
      ['GET', '/v1/upstreams'],
    ] as const) {
      assert.equal((await api.ask(method, path, { key, body: method === 'GET' ? undefined : {} })).status, 403, `${method} ${path}`)
    }
  })

  test('lists are pages', async () => {
    await database.sql`truncate tenants cascade`
    for (let i = 0; i < 3; i++) await api.createTenant({ name: `Tenant ${i}` })
    const { json } = await api.ask('GET', '/v1/tenants?limit=2&offset=1')
    assert.deepEqual([json.tenants.map((tenant: { name: string }) => tenant.name), json.total, json.limit, json.offset], [['Tenant 1', 'Tenant 0'], 3, 2, 1])
  })
})
