import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { getRequestListener } from '@hono/node-server'
import { openTestDatabase, type TestDatabase } from '../db/engines.ts'
import { type Ask, adminKey, type Management, manage } from './management.ts'

const rule = { name: 'r', condition: { operator: 'contains', value: 'x' }, action: 'WARN' }
const upstream = { name: 'u', dialects: ['openai-chat'], base_url: 'https://api.example.com/v1' }

/** What is sent, and which field the answer must name. */
type Bad = [what: string, method: string, path: string, ask: Ask, field?: string]

const wrongShape: readonly Bad[] = [
  ['no JSON', 'POST', '/v1/tenants', { raw: '{"name": nope}' }],
  ['half a body', 'POST', '/v1/tenants', { raw: '{"name": "x"' }],
  ['two values', 'POST', '/v1/tenants', { raw: '{"name": "x"} {}' }],
  ['a repeated name', 'POST', '/v1/tenants', { raw: '{"name": "x", "name": "y"}' }],
  ['a repeated name spelled otherwise', 'POST', '/v1/tenants', { raw: '{"name": "x", "n\\u0061me": "y"}' }],
  ['bytes that are no UTF-8', 'POST', '/v1/tenants', { raw: Uint8Array.from([0x22, 0xff, 0x22]) }],
  ['a list', 'POST', '/v1/tenants', { raw: '[]' }],
  ['null', 'POST', '/v1/tenants', { raw: 'null' }],
  ['no body', 'POST', '/v1/tenants', {}, 'name'],
  ['an unknown field', 'POST', '/v1/tenants', { body: { name: 'x', colour: 'red' } }, 'colour'],
  ['__proto__', 'POST', '/v1/tenants', { raw: '{"name": "x", "__proto__": {"active": false}}' }],
  ['U+0000', 'POST', '/v1/tenants', { raw: '{"name": "a\\u0000b"}' }, 'name'],
  ['half a surrogate pair', 'POST', '/v1/tenants', { raw: '{"name": "\\ud800"}' }],
  ['a name that is a number', 'POST', '/v1/tenants', { body: { name: 5 } }, 'name'],
  ['an empty name', 'POST', '/v1/tenants', { body: { name: '' } }, 'name'],
  ['a name with a line break', 'POST', '/v1/tenants', { body: { name: 'a\r\nX-Inj: 1' } }, 'name'],
  ['a long name', 'POST', '/v1/tenants', { body: { name: '漢'.repeat(201) } }, 'name'],
  ['no e-mail address', 'POST', '/v1/tenants', { body: { name: 'x', contact_email: 'nobody' } }, 'contact_email'],
  ['more requests than a minute can hold', 'POST', '/v1/tenants', { body: { name: 'x', max_requests_per_minute: 1_000_000_001 } }, 'max_requests_per_minute'],
  ['a limit of 0', 'POST', '/v1/tenants', { body: { name: 'x', max_requests_per_minute: 0 } }, 'max_requests_per_minute'],
  ['a negative limit', 'POST', '/v1/tenants', { body: { name: 'x', max_requests_per_minute: -1 } }, 'max_requests_per_minute'],
  ['half a request', 'POST', '/v1/tenants', { body: { name: 'x', max_requests_per_minute: 1.5 } }, 'max_requests_per_minute'],
  ['an absurd limit', 'POST', '/v1/tenants', { raw: '{"name": "x", "max_requests_per_minute": 1e99}' }, 'max_requests_per_minute'],
  ['infinity', 'POST', '/v1/tenants', { raw: '{"name": "x", "max_requests_per_minute": 1e999}' }],
  ['a limit as text', 'POST', '/v1/tenants', { body: { name: 'x', max_requests_per_minute: '5' } }, 'max_requests_per_minute'],
  ['no models', 'POST', '/v1/tenants', { body: { name: 'x', allowed_models: [] } }, 'allowed_models'],
  ['tokens without bound', 'POST', '/v1/tenants', { body: { name: 'x', max_tokens_per_day: 1e15 } }, 'max_tokens_per_day'],
  ['no concurrency at all', 'POST', '/v1/tenants', { body: { name: 'x', max_concurrency: 0 } }, 'max_concurrency'],
  ['an unknown uninspectable', 'PATCH', '/v1/tenants/{t}', { body: { uninspectable: 'ignore' } }, 'uninspectable'],
  ['an unknown stream_stop', 'PATCH', '/v1/tenants/{t}', { body: { stream_stop: 'gentle' } }, 'stream_stop'],
  ['an unknown durability', 'PATCH', '/v1/tenants/{t}', { body: { audit_durability: 'none' } }, 'audit_durability'],
  ['a region in capitals', 'POST', '/v1/tenants', { body: { name: 'x', allowed_regions: ['EU'] } }, 'allowed_regions.0'],
  ['a flag as text', 'PATCH', '/v1/tenants/{t}', { body: { forward_proxy_credentials: 'true' } }, 'forward_proxy_credentials'],
  ['a negative wait', 'PATCH', '/v1/tenants/{t}', { body: { escalation_wait_seconds: -1 } }, 'escalation_wait_seconds'],
  ['more requests than a day can hold', 'PATCH', '/v1/tenants/{t}', { body: { max_requests_per_day: 1_000_000_001 } }, 'max_requests_per_day'],
  ['limits that are a number', 'PATCH', '/v1/tenants/{t}', { body: { limits: 5 } }, 'limits'],
  ['limits of strangers', 'PATCH', '/v1/tenants/{t}', { body: { limits: { team: {} } } }, 'limits.team'],
  ['an unknown limit', 'PATCH', '/v1/tenants/{t}', { body: { limits: { key: { max_requests: 5 } } } }, 'limits.key.max_requests'],
  ['a negative limit of each key', 'PATCH', '/v1/tenants/{t}', { body: { limits: { key: { max_concurrency: -1 } } } }, 'limits.key.max_concurrency'],
  ['no requests of each user', 'PATCH', '/v1/tenants/{t}', { body: { limits: { user: { max_requests_per_day: 0 } } } }, 'limits.user.max_requests_per_day'],
  [
    'an absurd limit of each agent',
    'POST',
    '/v1/tenants',
    { body: { name: 'x', limits: { agent: { max_tokens_per_day: 1e15 } } } },
    'limits.agent.max_tokens_per_day',
  ],
  ['half a token', 'POST', '/v1/tenants', { body: { name: 'x', limits: { agent: { max_tokens_per_minute: 1.5 } } } }, 'limits.agent.max_tokens_per_minute'],
  ['models without a limit', 'PATCH', '/v1/tenants/{t}', { body: { limits: { models: [{ model: 'gpt-*' }] } } }, 'limits.models.0'],
  ['limits without a model', 'PATCH', '/v1/tenants/{t}', { body: { limits: { models: [{ max_concurrency: 1 }] } } }, 'limits.models.0.model'],
  ['a model twice', 'PATCH', '/v1/tenants/{t}', { body: { limits: { models: Array(2).fill({ model: 'x', max_concurrency: 1 }) } } }, 'limits.models'],
  [
    'too many models',
    'PATCH',
    '/v1/tenants/{t}',
    { body: { limits: { models: Array.from({ length: 51 }, (_, i) => ({ model: `m${i}`, max_concurrency: 1 })) } } },
    'limits.models',
  ],
  ['an agent that is a number', 'POST', '/v1/tenants/{t}/keys', { body: { name: 'x', agent_id: 5 } }, 'agent_id'],
  ['a limit of a key as text', 'POST', '/v1/tenants/{t}/keys', { body: { name: 'x', limits: { max_concurrency: '5' } } }, 'limits.max_concurrency'],
  ['an unknown limit of a key', 'POST', '/v1/tenants/{t}/keys', { body: { name: 'x', limits: { rpm: 5 } } }, 'limits.rpm'],
  ['the scope admin', 'POST', '/v1/tenants/{t}/keys', { body: { name: 'x', scopes: ['admin'] } }, 'scopes.0'],
  ['no scopes', 'POST', '/v1/tenants/{t}/keys', { body: { name: 'x', scopes: [] } }, 'scopes'],
  ['an expiry in the past', 'POST', '/v1/tenants/{t}/keys', { body: { name: 'x', expires_at: '2020-01-01T00:00:00Z' } }, 'expires_at'],
  ['an expiry without a zone', 'POST', '/v1/tenants/{t}/keys', { body: { name: 'x', expires_at: '2030-01-01T00:00:00' } }, 'expires_at'],
  ['an impossible date', 'POST', '/v1/tenants/{t}/keys', { body: { name: 'x', expires_at: '2030-02-30T00:00:00Z' } }, 'expires_at'],
  ['a rule without a condition', 'POST', '/v1/rules', { body: { name: 'r', action: 'WARN' } }, 'condition'],
  ['a condition that is text', 'POST', '/v1/rules', { body: { ...rule, condition: 'x' } }, 'condition'],
  ['an unknown operator', 'POST', '/v1/rules', { body: { ...rule, condition: { operator: 'sounds_like', value: 'x' } } }, 'condition.operator'],
  [
    'an unknown field deep inside',
    'POST',
    '/v1/rules',
    { body: { ...rule, condition: { all: [{ operator: 'contains', value: 'x', flags: 'i' }] } } },
    'condition.all[0].flags',
  ],
  ['a value of the wrong type', 'POST', '/v1/rules', { body: { ...rule, condition: { operator: 'contains', value: 5 } } }, 'condition.value'],
  ['an unknown action', 'POST', '/v1/rules', { body: { ...rule, action: 'DENY' } }, 'action'],
  ['a priority of 101', 'POST', '/v1/rules', { body: { ...rule, priority: 101 } }, 'priority'],
  ['a member nobody knows', 'POST', '/v1/rules', { body: { ...rule, identity: 'rule_1' } }, 'identity'],
  ['an unknown mode', 'POST', '/v1/rules/presets/default/apply', { body: { mode: 'append' } }, 'mode'],
  ['neither text nor body', 'POST', '/v1/rules/test', { body: {} }, 'text'],
  ['both text and body', 'POST', '/v1/rules/test', { body: { text: 'x', body: {} } }, 'text'],
  ['a body that is no call', 'POST', '/v1/rules/test', { body: { body: { model: 'gpt-5' } } }, 'body.messages'],
  ['a name with a slash', 'POST', '/v1/upstreams', { body: { ...upstream, name: '../x' } }, 'name'],
  ['a credential with a line break', 'POST', '/v1/upstreams', { body: { ...upstream, credential: 'a\nb' } }, 'credential'],
  ['a negative weight', 'POST', '/v1/upstreams', { body: { ...upstream, weight: -1 } }, 'weight'],
  ['a time-out of 0', 'POST', '/v1/upstreams', { body: { ...upstream, timeouts: { connect_seconds: 0 } } }, 'timeouts.connect_seconds'],
  ['a negative price', 'POST', '/v1/upstreams', { body: { ...upstream, prices: [{ model: '*', input: -1, output: 1 }] } }, 'prices.0.input'],
  ['a price without output', 'POST', '/v1/upstreams', { body: { ...upstream, prices: [{ model: '*', input: 1 }] } }, 'prices.0.output'],
  ['two prices of one model', 'POST', '/v1/upstreams', { body: { ...upstream, prices: Array(2).fill({ model: '*', input: 1, output: 1 }) } }, 'prices'],
  ['two tenants', 'POST', '/v1/upstreams', { body: { ...upstream, tenant_id: 't_other' } }, 'tenant_id'],
  ['limit 0', 'GET', '/v1/rules?limit=0', {}, 'limit'],
  ['limit 1001', 'GET', '/v1/rules?limit=1001', {}, 'limit'],
  ['a negative offset', 'GET', '/v1/rules?offset=-1', {}, 'offset'],
  ['a limit with a blank', 'GET', '/v1/rules?limit=%205', {}, 'limit'],
  ['an unknown parameter', 'GET', '/v1/rules?colour=red', {}, 'colour'],
  ['a repeated parameter', 'GET', '/v1/rules?limit=5&limit=6', {}, 'limit'],
  ['U+0000 in a parameter', 'GET', '/v1/rules?preset=%00', {}, 'preset'],
  ['active=1', 'GET', '/v1/rules?active=1', {}, 'active'],
  ['an unknown export format', 'GET', '/v1/audit/export?format=xml', {}, 'format'],
  ['a page of an export', 'GET', '/v1/audit/export?limit=5', {}, 'limit'],
  ['nothing to hash', 'POST', '/v1/audit/hash', { body: {} }, 'text'],
  ['two things to hash', 'POST', '/v1/audit/hash', { body: { text: 'x', messages: [] } }, 'text'],
  ['a dialect of nothing', 'POST', '/v1/audit/hash', { body: { text: 'x', dialect: 'openai-chat' } }, 'dialect'],
  ['messages that are none', 'POST', '/v1/audit/hash', { body: { messages: [5] } }, 'messages.0'],
  ['a body that is no call', 'POST', '/v1/audit/hash', { body: { body: { model: 'm' }, dialect: 'anthropic-messages' } }, 'body.messages'],
  ['an unknown status', 'GET', '/v1/audit?status=DENIED', {}, 'status'],
  ['a date that is none', 'GET', '/v1/audit?from=yesterday', {}, 'from'],
  ['a cursor that is none', 'GET', '/v1/audit?cursor=abc', {}, 'cursor'],
  ['a period that ends before it begins', 'GET', '/v1/audit/stats?from=2026-02-01&to=2026-01-01', {}, 'from'],
  ['a series without end', 'GET', '/v1/audit/stats?from=1970-01-01&to=9999-01-01&group_by=hour', {}, 'group_by'],
  ['the year 0', 'GET', '/v1/audit?from=0000-01-01', {}, 'from'],
  ['the year 1', 'GET', '/v1/audit/stats?from=0001-01-01T00:00:00Z&to=0001-01-02', {}, 'from'],
  ['the year 10000', 'GET', '/v1/audit?to=9999-12-31T23:59:59-23:59', {}, 'to'],
  ['the year 10000 of a key', 'POST', '/v1/tenants/{t}/keys', { body: { name: 'x', expires_at: '9999-12-31T23:59:59-23:59' } }, 'expires_at'],
  ['a cursor of the year 33658', 'GET', `/v1/audit?cursor=${Buffer.from('999999999999999 a').toString('base64url')}`, {}, 'cursor'],
  ['U+0000 in a name of a parameter', 'GET', '/v1/rules?a%00=1', {}],
  ['an unknown grouping', 'GET', '/v1/audit/stats?group_by=minute', {}, 'group_by'],
]

const refused: readonly Bad[] = [
  ['an unknown preset', 'POST', '/v1/tenants', { body: { name: 'x', rules_preset: 'astrology' } }, 'rules_preset'],
  ['an agent nobody knows', 'POST', '/v1/tenants/{t}/keys', { body: { name: 'x', agent_id: 'agent_1' } }, 'agent_id'],
  ['a pattern that looks ahead', 'POST', '/v1/rules', { body: { ...rule, condition: { operator: 'regex', value: 'a(?=b)' } } }, 'condition.value'],
  ['a pattern that refers back', 'POST', '/v1/rules', { body: { ...rule, condition: { operator: 'regex', value: '(a)\\1' } } }, 'condition.value'],
  ['an unknown detector', 'POST', '/v1/rules', { body: { ...rule, condition: { operator: 'detects', value: 'lies' } } }, 'condition.value'],
  ['text that allows itself', 'POST', '/v1/rules', { body: { ...rule, action: 'ALLOW' } }, 'condition'],
  [
    'a draft with such a pattern',
    'POST',
    '/v1/rules/test',
    { body: { text: 'x', rule: { ...rule, condition: { operator: 'regex', value: 'a(?=b)' } } } },
    'rules.0.condition.value',
  ],
  ['an unknown dialect of a prompt', 'POST', '/v1/audit/hash', { body: { body: {}, dialect: 'klingon' } }, 'dialect'],
  ['an unknown dialect', 'POST', '/v1/upstreams', { body: { ...upstream, dialects: ['klingon'] } }, 'dialects'],
  ['a credential beside passthrough', 'POST', '/v1/upstreams', { body: { ...upstream, credential_mode: 'passthrough', credential: 'x' } }, 'credential'],
  ...[
    'http://api.example.com/v1',
    'https://127.0.0.1/v1',
    'https://0x7f000001/v1',
    'https://[::1]/v1',
    'https://localhost/v1',
    'https://10.1.2.3/v1',
    'https://169.254.169.254/latest',
    'https://inside.example.com/v1',
    'https://user:pass@api.example.com/v1',
    'https://api.example.com/v1?key=1',
    'https://api.example.com/v1#x',
    'https://api.example.com:22/v1',
    'ftp://api.example.com/',
    'sandbox:',
    'nonsense',
  ].map((base_url): Bad => [base_url, 'POST', '/v1/upstreams', { body: { ...upstream, base_url } }, 'base_url']),
]

let database: TestDatabase
let api: Management
let tenant: { id: string; key: string }
before(async () => {
  database = await openTestDatabase('pglite')
  api = manage(database)
  tenant = await api.createTenant()
})
after(() => database.drop())

const send = (path: string, method: string, ask: Ask) =>
  api.ask(method, path.replace('{t}', tenant.id), { ...ask, ...(!path.startsWith('/v1/tenants') && { tenant: tenant.id }) })
/** All but what the database itself writes down while it is asked. */
const rowsNow = () =>
  database.sql`select (select count(*) from tenants) t, (select count(*) from api_keys) k, (select count(*) from rules) r,
    (select count(*) from policy_versions) p, (select count(*) from upstreams) u, (select count(*) from audit_entries) a`

for (const [what, method, path, ask, field] of wrongShape) {
  test(`${method} ${path} with ${what} is 400 VALIDATION_ERROR and changes nothing`, async () => {
    const before = await rowsNow()
    const { status, json } = await send(path, method, ask)
    assert.deepEqual([status, json.error], [400, 'VALIDATION_ERROR'], JSON.stringify(json))
    if (field !== undefined) assert.equal(json.context.field, field, JSON.stringify(json))
    assert.deepEqual(await rowsNow(), before)
    assert.deepEqual(api.reported, [])
  })
}

for (const [what, method, path, ask, field] of refused) {
  test(`${method} ${path} with ${what} is 422 CONFIG_ERROR and changes nothing`, async () => {
    const before = await rowsNow()
    const { status, json } = await send(path, method, ask)
    assert.deepEqual([status, json.error, json.context.field], [422, 'CONFIG_ERROR', field], JSON.stringify(json))
    assert.deepEqual(await rowsNow(), before)
  })
}

test('malformed JSON is not quoted in the answer', async () => {
  const { json } = await send('/v1/tenants', 'POST', { raw: '{"name": hunter2secret}' })
  assert.doesNotMatch(JSON.stringify(json), /hunter2/)
})

test('all problems of a body are listed, twenty at most', async () => {
  const { json } = await send('/v1/tenants', 'POST', { body: { name: 5, max_requests_per_minute: 'x', contact_email: null, colour: 1 } })
  assert.deepEqual(
    json.context.problems.map(({ field }: { field: string }) => field),
    ['name', 'max_requests_per_minute', 'colour'],
  )
  const long = await send('/v1/tenants', 'POST', { body: { name: 'x', allowed_models: Array(100).fill(' ') } })
  assert.equal(long.json.context.problems.length, 20)
})

test('a body is read as JSON whatever its content type, and not when it is compressed', async () => {
  const ask = (headers: Record<string, string>) => send('/v1/tenants/{t}', 'PATCH', { body: { name: 'Acme' }, headers })
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'image/png']) assert.equal((await ask({ 'content-type': type })).status, 200)
  const { status, json } = await ask({ 'content-encoding': 'gzip' })
  assert.deepEqual([status, json.error], [415, 'UNSUPPORTED_MEDIA_TYPE'])
})

test('names in any script come back as they were sent, in bodies and never in headers', async () => {
  const name = 'Ähre 漢字 🌾 "quoted" <b>'
  assert.equal((await send('/v1/tenants/{t}', 'PATCH', { body: { name } })).json.name, name)
})

test('an object that is not there is 404', async () => {
  for (const [method, path] of [
    ['GET', '/v1/tenants/t_none'],
    ['PATCH', '/v1/tenants/t_none'],
    ['DELETE', '/v1/tenants/t_none'],
    ['GET', '/v1/tenants/t_none/keys'],
    ['DELETE', '/v1/tenants/{t}/keys/ef_test_00000000'],
    ['DELETE', '/v1/tenants/{t}/keys/%27%20OR%201=1'],
    ['GET', '/v1/rules/rule_none'],
    ['GET', '/v1/rules/%00'],
    ['PATCH', '/v1/rules/rule_none'],
    ['DELETE', '/v1/rules/rule_none'],
    ['POST', '/v1/rules/presets/astrology/apply'],
    ['POST', '/v1/rules/presets/__proto__/apply'],
    ['POST', '/v1/rules/versions/99/restore'],
    ['POST', '/v1/rules/versions/x/restore'],
    ['GET', '/v1/audit/aud_none'],
    ['GET', '/v1/upstreams/none'],
    ['PATCH', '/v1/upstreams/none'],
    ['DELETE', '/v1/upstreams/none'],
    ['POST', '/v1/upstreams/none/check'],
  ] as const) {
    const { status } = await send(path, method, method === 'GET' ? {} : { body: {} })
    assert.equal(status, path.includes('%00') ? 400 : 404, `${method} ${path}`)
  }
})

test('over a socket, a body of 2 MiB is 413, announced or not, and the next call is answered', async () => {
  const server: Server = createServer(getRequestListener((asked) => api.admin.fetch(asked)))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const post = (body: Buffer, chunked: boolean): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      const headers = { 'x-api-key': adminKey, ...(chunked ? {} : { 'content-length': body.length }) }
      const asking = request({ port, host: '127.0.0.1', method: 'POST', path: '/v1/tenants', headers }, (response) => {
        let text = ''
        response.on('data', (chunk) => {
          text += chunk
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      })
      asking.on('error', reject)
      asking.end(body)
    })
  try {
    const large = Buffer.from(JSON.stringify({ name: 'x'.repeat(2 << 20) }))
    for (const chunked of [false, true]) {
      const { status, text } = await post(large, chunked)
      assert.deepEqual([status, JSON.parse(text).error], [413, 'PAYLOAD_TOO_LARGE'])
    }
    assert.equal((await post(Buffer.from('{"name":"small"}'), true)).status, 201)
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
