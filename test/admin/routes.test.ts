import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { mintKey } from '../../src/access/key-format.ts'
import { createPasswords } from '../../src/access/passwords.ts'
import { type Scope, scopes, tenantScopes, withImplied } from '../../src/access/scopes.ts'
import { createAdmin } from '../../src/admin/app.ts'
import type { Route } from '../../src/admin/route.ts'
import { sha256 } from '../../src/audit/prompt-hash.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { bodies, everyRoute, nameOf } from './every-route.ts'
import { adminKey, type Management, manage } from './management.ts'

/** Whether a tenant's key can be asked to carry what it takes. */
const isForKeys = ({ scope }: Route): boolean => scope === 'any' || scope === 'public' || scopes[scope].key

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: Management
  let owner: ReturnType<typeof everyRoute>['owner']
  let everythingOf: ReturnType<typeof everyRoute>['everythingOf']
  before(async () => {
    database = await open()
    api = manage(database)
    ;({ owner, everythingOf } = everyRoute(api, database))
  })
  after(() => database.drop())

  test('every route has a scope, and none but public ones answers without a valid key', async () => {
    const { pathOf, bodyOf, key, id } = await owner()
    const revoked = (await api.ask('POST', `/v1/tenants/${id}/keys`, { body: { name: 'r', scopes: ['rules:read', 'rules:write', 'audit:read'] } })).json
    await api.ask('DELETE', `/v1/tenants/${id}/keys/${revoked.prefix}`)
    const before = await everythingOf(id)
    const strangers: Record<string, { key: string | null; headers?: Record<string, string> }> = {
      'no key': { key: null },
      'a malformed key': { key: 'ef_live_nonsense' },
      'a well-formed key nobody issued': { key: mintKey('live') },
      'a revoked key': { key: revoked.api_key },
      'a truncated admin key': { key: adminKey.slice(0, -1) },
      'a longer admin key': { key: `${adminKey}x` },
      'basic authentication': { key: null, headers: { authorization: `Basic ${Buffer.from(adminKey).toString('base64')}` } },
      'another scheme beside a good key': { key: null, headers: { authorization: `Token ${adminKey}`, 'x-api-key': adminKey } },
      'two different keys': { key, headers: { 'x-api-key': adminKey } },
    }
    const messages = new Set<string>()
    for (const route of api.admin.routes) {
      assert.ok(route.scope === 'public' || route.scope === 'any' || route.scope in scopes, nameOf(route))
      if (route.scope === 'public') continue
      for (const [who, ask] of Object.entries(strangers)) {
        const { status, json, headers } = await api.ask(route.method, pathOf(route), { ...ask, body: bodyOf(route) })
        assert.deepEqual([status, json.error], [401, 'AUTH_ERROR'], `${nameOf(route)} with ${who}`)
        assert.equal(headers.get('www-authenticate'), 'Bearer')
        messages.add(json.message)
      }
    }
    assert.equal(messages.size, 1, 'one text for all causes')
    assert.equal(await everythingOf(id), before)
  })

  test("no route shows or changes another tenant's objects", async () => {
    const { pathOf, bodyOf, id } = await owner()
    const other = await api.createTenant({ rules_preset: null })
    const { api_key: key } = (await api.ask('POST', `/v1/tenants/${other.id}/keys`, { body: { name: 'k', scopes: [...tenantScopes] } })).json
    const before = await everythingOf(id)
    for (const route of api.admin.routes) {
      const body = bodyOf(route)
      for (const tenant of [undefined, id]) {
        const { status, json } = await api.ask(route.method, pathOf(route), { key, body, ...(tenant !== undefined && { tenant }) })
        const what = `${nameOf(route)}${tenant ? ' naming the other tenant' : ''}`
        if (!isForKeys(route)) assert.equal(status, 403, what)
        else if (tenant !== undefined && route.tenant !== 'none' && route.scope !== 'public')
          assert.deepEqual([status, json.error], [404, 'TENANT_NOT_FOUND'], what)
        else if (
          route.path === '/v1/tenants/{id}' ||
          ['/v1/rules/{id}', '/v1/agents/{id}', '/v1/audit/{id}', '/v1/audit/{id}/proof', '/v1/budgets/{id}'].includes(route.path) ||
          /^\/v1\/webhooks\/.*\{id\}/.test(route.path)
        )
          assert.equal(status, 404, what)
        assert.doesNotMatch(JSON.stringify(json), new RegExp(`${id}|marked(?: owner| rule| term|-|")`, 'i'), what)
      }
    }
    assert.equal(await everythingOf(id), before)
  })

  test('every route answers the key that its scope asks for, and refuses a key without it', async () => {
    const { pathOf, bodyOf, id } = await owner()
    const issue = async (asked: string[]): Promise<string> =>
      (await api.ask('POST', `/v1/tenants/${id}/keys`, { body: { name: 'k', scopes: asked } })).json.api_key
    const all = [...tenantScopes]
    const every = await issue(all)
    for (const route of api.admin.routes.filter(({ method, scope }) => method !== 'DELETE' && !(method === 'POST' && scope === 'public'))) {
      const body = bodyOf(route)
      const path = pathOf(route)
      const asAdmin = await api.ask(route.method, path, { body, ...(route.tenant === 'none' ? {} : { tenant: id }) })
      assert.ok(
        [200, 201, 409].includes(asAdmin.status) || route.path === '/v1/rules/{id}',
        `${nameOf(route)} ${asAdmin.status} ${JSON.stringify(asAdmin.json)}`,
      )
      if (route.scope === 'any' || route.scope === 'public') continue
      const without = all.filter((scope) => !withImplied([scope]).has(route.scope as Scope))
      const lacking = await api.ask(route.method, path, { key: await issue(without), body })
      assert.deepEqual([lacking.status, lacking.json.error, lacking.json.context.scope], [403, 'FORBIDDEN', route.scope], nameOf(route))
      const allowed = await api.ask(route.method, path, { key: every, body })
      if (!isForKeys(route)) {
        assert.equal(allowed.status, 403, nameOf(route))
        continue
      }
      // Of sessions a key has those it made.
      const isGone = ['/v1/rules/{id}', '/v1/sessions/{id}'].includes(route.path)
      assert.ok([200, 201].includes(allowed.status) || isGone, nameOf(route))
    }
  })

  test('a key whose row was given "admin" by hand is still no administrator', async () => {
    const { id, key } = await api.createTenant()
    await database.sql`update api_keys set scopes = '["admin", "rules:read"]' where tenant_id = ${id}`
    api.keys.forget(id)
    assert.equal((await api.ask('GET', '/v1/tenants', { key })).status, 403)
    assert.equal((await api.ask('GET', '/v1/rules', { key })).status, 200)
  })

  test('the administrator writes for one named tenant, and lists all tenants without a name', async () => {
    const [one, two] = [await api.createTenant(), await api.createTenant()]
    const body = bodies['POST /v1/rules']
    const missing = await api.ask('POST', '/v1/rules', { body })
    assert.deepEqual([missing.status, missing.json.error], [400, 'VALIDATION_ERROR'])
    const unknown = await api.ask('POST', '/v1/rules?tenant_id=t_none', { body })
    assert.deepEqual([unknown.status, unknown.json.error], [404, 'TENANT_NOT_FOUND'])
    assert.equal((await api.ask('POST', `/v1/rules?tenant_id=${one.id}`, { tenant: two.id, body })).status, 400)
    assert.equal((await api.ask('POST', `/v1/rules?tenant_id=${one.id}`, { body })).json.tenant_id, one.id)
    assert.equal((await api.ask('POST', '/v1/rules', { tenant: two.id, body })).json.tenant_id, two.id)
    const tenantsOf = (answer: { json: { rules: { tenant_id: string }[] } }) => new Set(answer.json.rules.map((rule) => rule.tenant_id))
    const all = tenantsOf(await api.ask('GET', '/v1/rules?limit=1000'))
    assert.ok(all.has(one.id) && all.has(two.id))
    assert.deepEqual(tenantsOf(await api.ask('GET', `/v1/rules?limit=1000&tenant_id=${one.id}`)), new Set([one.id]))
  })

  test('X-API-Key is as good as a bearer token, whatever the case of the scheme', async () => {
    const { id, key } = await api.createTenant()
    for (const headers of [{ 'x-api-key': key }, { authorization: `bearer ${key}` }, { authorization: `Bearer ${key}`, 'x-api-key': key }]) {
      assert.equal((await api.ask('GET', `/v1/tenants/${id}`, { key: null, headers })).status, 200)
    }
  })

  test('an unknown path is 404, a known one with another method 405 with Allow', async () => {
    for (const path of ['/v1/nothing', '/v1/rules/', '/V1/rules', '//v1/rules', '/v1/rules;x', '/v1%2frules', '/v1/rules/a/b', '/', '/v1/chat/completions']) {
      const { status, json } = await api.ask('GET', path)
      assert.deepEqual([status, json.error], [404, 'NOT_FOUND'], path)
    }
    for (const [method, path, allow] of [
      ['DELETE', '/v1/rules', 'GET, POST'],
      ['POST', '/v1/audit', 'GET'],
      ['DELETE', '/v1/rules/presets', 'GET'],
      ['GET', '/v1/rules/test', 'POST'],
      ['POST', '/v1/rules/rule_1', 'GET, PUT, PATCH, DELETE'],
    ]) {
      const { status, json, headers } = await api.ask(method, path)
      assert.deepEqual([status, json.error, headers.get('allow')], [405, 'METHOD_NOT_ALLOWED', allow], path)
    }
  })

  test('an administrator may name a tenant on every route, and is refused a name that can be none', async () => {
    const { pathOf, id } = await owner()
    for (const route of api.admin.routes.filter(({ method, scope }) => method === 'GET' && scope !== 'public')) {
      assert.equal((await api.ask('GET', `${pathOf(route)}?tenant_id=${id}`)).status, 200, nameOf(route))
      const { status, json } = await api.ask('GET', `${pathOf(route)}?tenant_id=%00`)
      assert.deepEqual([status, json.error, json.context.field], [400, 'VALIDATION_ERROR', 'tenant_id'], nameOf(route))
    }
    assert.equal((await api.ask('GET', '/v1/rules/presets?tenants=x')).status, 400)
  })

  test('OPTIONS is 405 with Allow, and HEAD answers like GET without a body', async () => {
    for (const [path, allow] of [
      ['/v1/rules', 'GET, POST'],
      ['/v1/rules/test', 'POST'],
    ]) {
      const { status, headers } = await api.ask('OPTIONS', path)
      assert.deepEqual([status, headers.get('allow')], [405, allow])
    }
    const head = async (path: string, key: string) =>
      api.admin.fetch(new Request(`http://earthflow.test${path}`, { method: 'HEAD', headers: { authorization: `Bearer ${key}` } }))
    for (const [path, key, status] of [
      ['/v1/rules', adminKey, 200],
      ['/v1/rules', 'nonsense', 401],
      ['/v1/rules/test', adminKey, 405],
      ['/v1/nothing', adminKey, 404],
    ] as const) {
      const answer = await head(path, key)
      assert.deepEqual([answer.status, await answer.text()], [status, ''], path)
    }
  })

  test('an authorization header that is no key is 401, however it is written', async () => {
    const reported = api.reported.length
    const headers = [
      '',
      'Bearer',
      'Bearer ',
      'Bearer \t',
      `Bearer\t${adminKey}`,
      `Bearer ${adminKey} x`,
      `Bearer ${adminKey},${adminKey}`,
      `Bearer "${adminKey}"`,
    ]
    for (const authorization of [
      ...headers,
      `Bearer ${adminKey}\u00e9`,
      'Bearer \u00ff',
      `Bearer ${'x'.repeat(5000)}`,
      `Bearer ef_live_${'\u00fc'.repeat(43)}`,
    ])
      assert.equal((await api.ask('GET', '/v1/tenants', { key: null, headers: { authorization } })).status, 401, JSON.stringify(authorization))
    for (const authorization of [` Bearer ${adminKey} `, `Bearer   ${adminKey}`]) {
      assert.equal((await api.ask('GET', '/v1/tenants', { key: null, headers: { authorization } })).status, 200)
    }
    assert.equal(api.reported.length, reported)
  })

  test('a surprise is a 500 with an id, whose cause only the log learns', async () => {
    const broken = createAdmin({
      db: database.db,
      database,
      logKey: () => Promise.reject(new Error('nobody asks')),
      people: { find: () => null },
      sessions: api.sessions,
      passwords: createPasswords(),
      settings: [],
      doctor: { examine: () => Promise.reject(new Error('nobody asks')), services: async () => null },
      rewrap: { masterKey: '', some: async () => 0, count: () => Promise.reject(new Error('nobody asks')) },
      loginTokens: { mint: () => Promise.reject(new Error('nobody asks')) },
      openCalls: () => 0,
      loginFailed: () => {},
      throttle: { take: () => Promise.reject(new Error('nobody asks')) },
      allowedOrigins: [],
      keys: { find: () => null, findByCertificate: () => null, mint: () => Promise.reject(new Error('the secret cause')) },
      upstreams: api.upstreams,
      endpoints: api.endpoints,
      webhooks: { deliver: () => Promise.reject(new Error('nobody asks')) },
      escalations: { contentOf: () => Promise.reject(new Error('nobody asks')) },
      catalogue: { priceOf: () => null, list: () => [] },
      checkUpstream: () => Promise.reject(new Error('nobody asks')),
      adminKey,
      defaultRequestsPerMinute: 1,
      dialects: [],
      hashPrompts: true,
      hashMode: 'sha256',
      hashOf: (_, bytes) => sha256(bytes),
      version: '0',
      now: () => 0,
      changed: async () => {},
      seal: () => '',
      recorded: async () => {},
      report: (error, context) => reports.push({ error, context }),
    })
    const reports: { error: unknown; context: Record<string, unknown> }[] = []
    const response = await broken.fetch(
      new Request('http://earthflow.test/v1/tenants', {
        method: 'POST',
        headers: { 'x-api-key': adminKey },
        body: JSON.stringify({ name: 'x', rules_preset: null }),
      }),
    )
    const text = await response.text()
    assert.equal(response.status, 500)
    assert.equal(JSON.parse(text).error, 'EARTHFLOW_ERROR')
    assert.doesNotMatch(text, /secret cause/)
    assert.match(String(reports[0].error), /the secret cause/)
    assert.equal(reports[0].context.requestId, JSON.parse(text).request_id)
  })
})
