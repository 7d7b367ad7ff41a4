/** The list of models: answered here, in the caller's dialect, of what the tenant may use. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Flow, startEarthflow, until } from '../harness/earthflow.ts'
import { type Provider, startProvider } from '../harness/provider.ts'

let flow: Flow
let second: Provider
const lists: Record<string, object> = {
  '/v1/models': {
    object: 'list',
    data: [
      { id: 'gpt-5', object: 'model', created: 7, owned_by: 'them' },
      { id: 'whisper', object: 'model' },
    ],
  },
  '/v1/models?limit=1000': { data: [{ type: 'model', id: 'claude-5', display_name: 'Claude' }], has_more: false },
  '/v1beta/models?pageSize=1000': { models: [{ name: 'models/gemini-5', displayName: 'Gemini' }] },
}

before(async () => {
  second = await startProvider(({ response }) => response.writeHead(500).end('no list today'))
  flow = await startEarthflow({
    script: ({ url, response }) => response.writeHead(lists[url] ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(lists[url] ?? {})),
  })
  await flow.addUpstream({ name: 'gemini-like', dialects: ['gemini'], base_url: flow.provider.origin })
  await flow.addUpstream({ name: 'named', dialects: ['openai-chat'], base_url: `${second.origin}/v1`, models: ['llama-3', 'mistral-*'] })
})
after(async () => {
  second.close()
  await flow.close()
})
const list = async (path: string, headers: Record<string, string> = {}, key = flow.tenant.api_key) => {
  const answer = await fetch(`${flow.origin}${path}`, { headers: { authorization: `Bearer ${key}`, ...headers } })
  return { status: answer.status, headers: answer.headers, json: (await answer.json()) as Record<string, unknown> }
}
const ids = (json: Record<string, unknown>): string[] => (json.data as { id: string }[]).map(({ id }) => id)

test('every upstream of the vendor is asked, and what one serves by name is listed even where its provider has no list', async () => {
  const { status, json, headers } = await list('/v1/models')
  assert.equal(status, 200)
  assert.equal(json.object, 'list')
  assert.deepEqual(ids(json).toSorted(), ['gpt-5', 'llama-3', 'sandbox', 'whisper', ...ids(json).filter((id) => id.startsWith('sandbox-'))].toSorted())
  assert.deepEqual(
    (json.data as { id: string }[]).find(({ id }) => id === 'gpt-5'),
    { id: 'gpt-5', object: 'model', created: 7, owned_by: 'them' },
  )
  const row = (await flow.rows()).find(({ audit_id }) => audit_id === headers.get('x-earthflow-audit-id'))
  assert.deepEqual([row?.status, row?.endpoint, row?.outcome, row?.attempts.length], ['ALLOW', '/v1/models', 'completed', 3])
})

test('a list is made of whole lists, also for a caller who has seen an earlier one or asks for a part', async () => {
  const { json } = await list('/v1/models', { 'if-none-match': '"a"', range: 'bytes=0-1' })
  assert.ok(ids(json).includes('gpt-5'))
  assert.ok(flow.provider.seen.every(({ request: { headers } }) => headers.range === undefined && headers['if-none-match'] === undefined))
})

test('Anthropic’s and Google’s libraries get their own shapes', async () => {
  const claude = await list('/v1/models?limit=5', { 'anthropic-version': '2023-06-01' })
  assert.equal(claude.json.has_more, false)
  assert.ok(ids(claude.json).includes('claude-5'))
  const gemini = await list('/v1beta/models')
  assert.ok((gemini.json.models as { name: string }[]).some(({ name }) => name === 'models/gemini-5'))
})

test('a tenant that may use some models is told of no other', async () => {
  const tenant = await flow.newTenant({ allowed_models: ['gpt-*'] })
  assert.deepEqual(ids((await list('/v1/models', {}, tenant.api_key)).json), ['gpt-5'])
})

test('an agent that may use some models is told of no other, whatever its tenant may', async () => {
  const { tenant_id } = await flow.newTenant({ allowed_models: ['gpt-*', 'llama-*'] })
  const { id } = (await flow.admin('POST', `/v1/agents?tenant_id=${tenant_id}`, { name: 'crawler', allowed_models: ['llama-*', 'whisper'] })).json as {
    id: string
  }
  const { api_key } = (await flow.admin('POST', `/v1/tenants/${tenant_id}/keys`, { agent_id: id })).json as { api_key: string }
  assert.deepEqual(ids((await list('/v1/models', {}, api_key)).json), ['llama-3'])
})

test('a caller’s own credential is shown to no other provider than the one it is for: of several, none is asked until one is named', async () => {
  const mine = { 'anthropic-version': '2023-06-01', 'x-api-key': 'sk-ant-mine' }
  const asked = (): number[] => [flow.provider, second].map(({ seen }) => seen.filter(({ request }) => request.headers['x-api-key'] === 'sk-ant-mine').length)
  const passthrough = { dialects: ['anthropic-messages'], credential: undefined, credential_mode: 'passthrough', models: ['own-*'], priority: 9 }
  await flow.addUpstream({ ...passthrough, name: 'own-first', base_url: flow.provider.origin })
  assert.equal((await list('/v1/models', mine)).status, 200)
  assert.deepEqual(asked(), [1, 0])
  await flow.addUpstream({ ...passthrough, name: 'own-second', base_url: second.origin })
  assert.equal((await list('/v1/models', mine)).status, 200)
  assert.deepEqual(asked(), [1, 0])
  assert.equal((await list('/u/own-first/v1/models', mine)).status, 200)
  assert.deepEqual(asked(), [2, 0])
  assert.equal((await list('/u/own-first/v1/models')).status, 401)
})

test('a client that leaves while providers are asked is recorded as such, and the asking ends', async () => {
  const { script } = second
  second.script = () => {} // silence
  const known = (await flow.rows()).length
  const { length } = second.seen
  const socket = flow.open()
  socket.write(`GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${flow.tenant.api_key}\r\n\r\n`)
  await until(() => second.seen.length > length, 'the silent provider to be asked')
  socket.destroy()
  const rows = await flow.rowsOf(known + 1)
  assert.deepEqual([rows[0].endpoint, rows[0].outcome, rows[0].http_status], ['/v1/models', 'cancelled', null])
  await until(() => second.seen[length].closed, 'the asking to end')
  second.script = script
})

test('a call with the caller’s own credential does not fall back to another provider with it', async () => {
  const ambiguous = await fetch(`${flow.origin}/v1/messages`, {
    method: 'POST',
    headers: { 'x-earthflow-key': flow.tenant.api_key, 'x-api-key': 'sk-ant-mine', 'content-type': 'application/json' },
    body: '{"model":"own-1","max_tokens":1,"messages":[]}',
  })
  assert.equal(ambiguous.status, 400)
  assert.equal(ambiguous.headers.get('x-earthflow-decision'), 'rejected')
  assert.match(await ambiguous.text(), /\/u\/\{upstream\}\/v1\/messages/)
  assert.equal((await flow.admin('PATCH', '/v1/upstreams/own-second', { priority: 8 })).status, 200)
  const providers = [flow.provider, second]
  const scripts = providers.map(({ script }) => script)
  for (const provider of providers) provider.script = ({ response }) => response.writeHead(503).end()
  const answer = await fetch(`${flow.origin}/v1/messages`, {
    method: 'POST',
    headers: { 'x-earthflow-key': flow.tenant.api_key, 'x-api-key': 'sk-ant-mine', 'content-type': 'application/json' },
    body: '{"model":"own-1","max_tokens":1,"messages":[]}',
  })
  for (const [i, provider] of providers.entries()) provider.script = scripts[i]
  const shown = providers.map(({ seen }) => seen.filter(({ url, request }) => url === '/v1/messages' && request.headers['x-api-key'] === 'sk-ant-mine').length)
  assert.deepEqual([answer.status, shown.filter((count) => count > 0).length], [503, 1], 'only one of them has seen it')
})

test('an upstream whose provider cannot be asked does not spoil the list of the others; with nothing to tell the answer is 502', async () => {
  const tenant = await flow.newTenant({ allowed_models: ['nothing'] })
  assert.deepEqual(ids((await list('/v1/models', {}, tenant.api_key)).json), [])
  const regional = await flow.newTenant({ allowed_regions: ['mars'] })
  assert.deepEqual(ids((await list('/v1/models', {}, regional.api_key)).json), [], 'where nobody serves the tenant, there is no model')
  assert.equal((await list('/u/nobody/v1/models')).status, 404)
})

test('an upstream that is left alone is not asked for its list, and one too slow with it is not taken for one that fails', async () => {
  const failing = await startProvider(({ response }) => void response.writeHead(503).end())
  await flow.addUpstream({ name: 'lists-503', dialects: ['openai-chat'], base_url: `${failing.origin}/v1`, models: ['listed-*'] })
  const stateOf = async (name: string) => ((await flow.admin('GET', `/v1/upstreams/${name}`)).json as { status: { state: string; failures: number } }).status
  for (let i = 0; i < 5; i++) await list('/u/lists-503/v1/models')
  assert.notEqual((await stateOf('lists-503')).state, 'closed')
  const { length } = failing.seen
  await Promise.all(Array.from({ length: 5 }, () => list('/u/lists-503/v1/models')))
  assert.ok(failing.seen.length <= length + 1, 'but for a probe')
  const silent = await startProvider(() => {})
  await flow.addUpstream({ name: 'lists-late', dialects: ['openai-chat'], base_url: `${silent.origin}/v1`, models: ['late-*'] })
  await Promise.all(Array.from({ length: 6 }, () => list('/u/lists-late/v1/models')))
  assert.deepEqual([silent.seen.length, (await stateOf('lists-late')).state], [6, 'closed'])
  failing.close()
  silent.close()
})
