/** Where a key may be used and who may ask at all, through a whole Earthflow: addresses, models, certificates, names and pages. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { type RequestOptions, request } from 'node:https'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { mintKey } from '../../src/access/key-format.ts'
import { chat, type Flow, startEarthflow, until } from '../harness/earthflow.ts'
import { type Authority, makeAuthority, type Pair } from '../proxy/client-certificates.ts'

const PAGE = 'https://console.example.com'
const ROBOT = 'uri:spiffe://example.com/robot'
let flow: Flow
let mutual: Flow
let authority: Authority
let robot: Pair

before(async () => {
  authority = await makeAuthority()
  robot = await authority.issue({ subject: 'CN=robot', names: [{ type: 'url', value: ROBOT.slice(4) }] })
  flow = await startEarthflow({
    environment: { ALLOWED_ORIGINS: PAGE },
    script: ({ response }) => response.writeHead(200, { 'content-type': 'application/json', 'access-control-allow-origin': '*', vary: 'accept' }).end('{}'),
  })
  const ca = join(flow.dataDir, 'clients.pem')
  writeFileSync(ca, authority.cert)
  // The same installation, entered where TLS proxies and client certificates count.
  mutual = await startEarthflow({ databaseUrl: flow.databaseUrl, environment: { TLS_CA_PATH: ca, TRUSTED_PROXIES: '127.0.0.1', ALLOWED_HOSTS: 'localhost' } })
})
after(async () => {
  await mutual.close()
  await flow.close()
})

const issue = async (fields: Record<string, unknown>): Promise<string> => {
  const made = await flow.admin('POST', `/v1/tenants/${flow.tenant.tenant_id}/keys`, fields)
  assert.equal(made.status, 201, made.text)
  return (made.json as { api_key: string }).api_key
}
const call = (key: string, headers: Record<string, string> = {}) => flow.post('/v1/chat/completions', chat('x'), { authorization: `Bearer ${key}`, ...headers })
const codeOf = (answer: { json: unknown }): string => (answer.json as { error: { code: string } }).error.code

interface Asked {
  client?: Partial<Pair>
  servername?: string
  method?: string
  path?: string
  headers?: Record<string, string>
  body?: string
}
/** Over TLS, as whoever has this certificate. */
const askMutual = ({
  client = {},
  method = 'GET',
  path = '/v1/models',
  headers = {},
  body,
  servername = 'localhost',
}: Asked): Promise<{ status: number; text: string }> =>
  new Promise((resolve, reject) => {
    const ca = readFileSync(join(mutual.dataDir, 'certs', 'ca.pem'))
    const options: RequestOptions = { port: mutual.port, host: 'localhost', ca, agent: false, servername, method, path, headers, ...client }
    const asked = request(options, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += String(chunk)
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    asked.on('error', reject).end(body)
  })

test('a key is good from its addresses only: 403 elsewhere, on record with its reason, and no header says otherwise', async () => {
  const [here, elsewhere] = [await issue({ allowed_addresses: ['127.0.0.0/8'] }), await issue({ allowed_addresses: ['10.0.0.0/8'] })]
  assert.equal((await call(here)).status, 200)
  for (const headers of [{}, { 'x-forwarded-for': '10.0.0.1' }, { forwarded: 'for=10.0.0.1' }, { 'x-real-ip': '10.0.0.1' }]) {
    const refused = await call(elsewhere, headers)
    assert.deepEqual([refused.status, codeOf(refused)], [403, 'address_not_allowed'])
    assert.ok(refused.headers.get('x-earthflow-audit-id'))
  }
  await flow.rowsOf(5)
  const rows = (await flow.rows()).filter(({ reason }) => reason === 'address')
  assert.deepEqual([rows.length, rows[0]?.status, rows[0]?.key_prefix], [4, 'REJECTED', elsewhere.slice(0, 16)])
  const managed = await flow.admin('GET', '/v1/rules', undefined, {
    authorization: `Bearer ${await issue({ scopes: ['rules:read'], allowed_addresses: ['10.0.0.0/8'] })}`,
  })
  assert.equal(managed.status, 403)
})

test('a key’s models are refused at once when they change, by name and in the list of models', async () => {
  const key = await issue({ allowed_models: ['gpt-*'] })
  assert.equal(codeOf(await call(key)), 'model_not_allowed')
  const changed = await flow.admin('PATCH', `/v1/tenants/${flow.tenant.tenant_id}/keys/${key.slice(0, 16)}`, { allowed_models: ['m'] })
  assert.equal(changed.status, 200)
  assert.equal((await call(key)).status, 200)
})

test('what a page of an allowed origin is told is Earthflow’s word, not the provider’s; any other is told nothing', async () => {
  const answer = await call(flow.tenant.api_key, { origin: PAGE })
  assert.equal(answer.headers.get('access-control-allow-origin'), PAGE)
  assert.equal(answer.headers.get('vary'), 'accept, origin')
  const refused = await call('sk-none', { origin: PAGE })
  assert.deepEqual([refused.status, refused.headers.get('access-control-allow-origin')], [401, PAGE])
  assert.equal((await call(flow.tenant.api_key, { origin: 'https://evil.example.com' })).headers.get('access-control-allow-origin'), null)
})

test('a client certificate is an identity: with it no key is needed, and its key is worth nothing without it', async () => {
  const key = await issue({ client_certificate: ROBOT })
  const body = chat('x')
  const headers = { 'content-type': 'application/json' }
  const post = { method: 'POST', path: '/v1/chat/completions', body }
  const answered = await askMutual({ ...post, client: robot, headers })
  assert.equal(answered.status, 200, answered.text)
  await until(async () => (await flow.rows()).some(({ key_prefix, status }) => key_prefix === key.slice(0, 16) && status === 'ALLOW'), 'its row')
  assert.equal((await askMutual({ ...post, client: robot, headers: { ...headers, authorization: `Bearer ${key}` } })).status, 200)

  const other = await authority.issue({ subject: 'CN=other' })
  assert.equal((await askMutual({ ...post, client: other, headers })).status, 401)
  const stolen = await askMutual({ ...post, client: other, headers: { ...headers, authorization: `Bearer ${key}` } })
  assert.match(stolen.text, /certificate_required/)
  assert.equal(codeOf(await call(key)), 'certificate_required')
})

test('where client certificates are asked for nobody gets in without one, over TLS or plain, but to ask for health', async () => {
  for (const path of ['/v1/models', '/v1/tenants', '/info', '/docs', '/v1/dashboard/metrics']) {
    assert.equal((await askMutual({ path })).status, 403, path)
    assert.equal((await fetch(`http://localhost:${mutual.port}${path}`, { headers: { authorization: `Bearer ${mutual.config.adminKey}` } })).status, 403, path)
  }
  for (const path of ['/health', '/health/live', '/health/ready']) assert.equal((await fetch(`http://127.0.0.1:${mutual.port}${path}`)).status, 200)
  const foreign = await (await makeAuthority()).issue({ subject: 'CN=robot', names: [{ type: 'url', value: ROBOT.slice(4) }] })
  await assert.rejects(askMutual({ client: foreign }), /ECONNRESET|socket hang up|disconnected/)
})

test('behind a trusted proxy a key’s address is the one that the proxy names', async () => {
  const key = await issue({ allowed_addresses: ['192.0.2.7'] })
  const status = async (forwarded: string): Promise<number> =>
    (await askMutual({ client: robot, headers: { authorization: `Bearer ${key}`, 'x-forwarded-for': forwarded } })).status
  assert.equal(await status('203.0.113.5, 192.0.2.7'), 200)
  assert.equal(await status('192.0.2.7, 203.0.113.5'), 403)
  assert.equal(await status('192.0.2.7, garbage'), 403)
})

test('by another name nobody is served', async () => {
  assert.equal((await askMutual({ client: robot, servername: 'localhost', headers: { host: 'evil.example.com' } })).status, 421)
})

test('keys and tokens of every wrong kind are 401 with one text, and a head of more than 16 KiB is 431', async () => {
  const good = mintKey('test')
  const wrong = [
    "ef_test_' OR 1=1--",
    `${good.slice(0, -1)}_`,
    good,
    `ef_test_${'k'.repeat(8_192)}`,
    'ef_login_eyJhbGciOiJub25lIn0.e30.',
    'ef_session_eyJhbGciOiJub25lIn0.e30.',
    'ef_session_x',
    'ef_test_%00',
  ]
  const told = new Set<string>()
  for (const key of wrong) {
    const answer = await flow.post('/v1/chat/completions', chat('x'), { 'x-api-key': key, authorization: '' })
    assert.equal(answer.status, 401, key)
    told.add((answer.json as { error: { message: string } }).error.message)
    assert.equal((await flow.admin('GET', '/v1/tenants', undefined, { authorization: `Bearer ${key}` })).status, 401, key)
  }
  assert.equal(told.size, 1)
  assert.equal((await flow.post('/v1/chat/completions', chat('x'), { 'x-api-key': 'k'.repeat(17_000) })).status, 431)
})
