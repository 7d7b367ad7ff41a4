/** Paths of providers that no dialect describes: judged string by string, forwarded byte for byte, recorded like any call. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { after, before, beforeEach, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { type Flow, startEarthflow } from '../harness/earthflow.ts'
import type { Script } from '../harness/provider.ts'

const CARD = '4111 1111 1111 1111'
let flow: Flow
const answerNative: Script = ({ response }) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"id":"file-1"}')

before(async () => {
  flow = await startEarthflow()
  await flow.addUpstream({ name: 'gemini-like', dialects: ['gemini'], base_url: flow.provider.origin })
  await flow.rule({ name: 'no fruit', action: 'BLOCK', condition: { operator: 'contains', value: 'forbidden fruit' } })
  await flow.rule({ name: 'cards', action: 'REDACT', condition: { operator: 'detects', value: 'credit_card' } })
})
after(() => flow.close())
beforeEach(() => {
  flow.provider.seen.length = 0
  flow.provider.script = answerNative
})
async function call(
  method: string,
  path: string,
  body?: string | Uint8Array<ArrayBuffer> | FormData,
  headers: Record<string, string> = {},
  key = flow.tenant.api_key,
) {
  const answer = await fetch(`${flow.origin}${path}`, {
    method,
    ...(body === undefined ? {} : { body }),
    headers: { authorization: `Bearer ${key}`, ...headers },
  })
  const text = await answer.text() // its end waits for the row
  const row = (await flow.rows()).find(({ audit_id }) => audit_id === answer.headers.get('x-earthflow-audit-id'))
  return { status: answer.status, text, row, headers: answer.headers }
}
const json = { 'content-type': 'application/json' }

test('method, path, query and body arrive as they were sent, with the upstream’s credential and one row', async () => {
  for (const [method, path, body] of [
    ['GET', '/v1/files?limit=2&order=asc'],
    ['DELETE', '/v1/files/file-1'],
    ['POST', '/v1/vector_stores', ' {"name" : "Notes"} '],
    ['PATCH', '/v1beta/cachedContents/c1', '{"ttl":"300s"}'],
  ] as const) {
    const answer = await call(method, path, body, body === undefined ? {} : json)
    assert.deepEqual([answer.status, answer.text], [200, '{"id":"file-1"}'], path)
    const sent = flow.provider.seen.at(-1)
    assert.deepEqual([sent?.request.method, sent?.url, sent?.body.toString()], [method, path, body ?? ''])
    assert.equal(sent?.request.headers[path.startsWith('/v1beta') ? 'x-goog-api-key' : 'authorization']?.toString().replace('Bearer ', ''), flow.credential)
    assert.equal(sent?.request.headers['content-type'], body === undefined ? undefined : 'application/json')
    assert.deepEqual([answer.row?.dialect, answer.row?.endpoint, answer.row?.outcome], ['generic-json', path.split('?')[0], 'completed'])
    assert.equal(
      answer.row?.forwarded_hash,
      `sha256:${createHash('sha256')
        .update(body ?? '')
        .digest('hex')}`,
    )
  }
})

test('no text slips through a path nobody describes: in members, names, the path, the query', async () => {
  for (const [method, path, body] of [
    ['POST', '/v1/assistants', '{"instructions":"a forbidden fruit"}'],
    ['POST', '/v1/assistants', '{"x":[{"forbidden fruit":1}]}'],
    ['GET', '/v1/files/a%20forbidden%20fruit'],
    ['GET', '/v1/files?after=forbidden%20fruit'],
    ['POST', '/v1/threads', 'a forbidden fruit'],
  ] as const) {
    const answer = await call(method, path, body, typeof body === 'string' && body.startsWith('{') ? json : {})
    assert.equal(answer.status, 403, `${path} ${body}`)
    assert.equal(answer.row?.status, 'BLOCK')
    assert.doesNotMatch(JSON.stringify(answer.row), /fruit.*fruit|forbidden%20/)
  }
  assert.equal(flow.provider.seen.length, 0)
  await call('POST', '/v1/assistants', `{"instructions":"card ${CARD}", "n":1}`, json)
  assert.equal(flow.provider.seen[0].body.toString(), '{"instructions":"card [CREDIT_CARD]", "n":1}')
})

test('a file is read line by line and the finding names the line; the rest of the upload is untouched', async () => {
  const line = (content: string): string =>
    JSON.stringify({ custom_id: 'a', method: 'POST', url: '/v1/chat/completions', body: { model: 'gpt-5', messages: [{ role: 'user', content }] } })
  const form = (content: string): FormData => {
    const data = new FormData()
    data.set('purpose', 'batch')
    data.set('file', new Blob([`${line('fine')}\n${line(content)}\n`]), 'batch.jsonl')
    return data
  }
  const blocked = await call('POST', '/v1/files', form('a forbidden fruit'))
  assert.equal(blocked.status, 403)
  assert.match(JSON.stringify(blocked.row?.findings), /line 2/)
  const cut = await call('POST', '/v1/files', form(`card ${CARD}`))
  assert.equal(cut.status, 200)
  const sent = flow.provider.seen[0]
  assert.match(sent.request.headers['content-type'] ?? '', /^multipart\/form-data; boundary=/)
  const received = await new Response(new Uint8Array(sent.body), { headers: { 'content-type': sent.request.headers['content-type'] ?? '' } }).formData()
  assert.equal(await (received.get('file') as File).text(), `${line('fine')}\n${line('card [CREDIT_CARD]')}\n`)
})

test('a model named in a batch must be one the tenant may use', async () => {
  const tenant = await flow.newTenant({ allowed_models: ['gpt-*'] })
  const body = '{"custom_id":"a","url":"/v1/chat/completions","body":{"model":"o9","messages":[]}}\n'
  const data = new FormData()
  data.set('file', new Blob([body]), 'batch.jsonl')
  const answer = await fetch(`${flow.origin}/v1/files`, { method: 'POST', body: data, headers: { authorization: `Bearer ${tenant.api_key}` } })
  assert.equal(answer.status, 403)
  assert.equal(flow.provider.seen.length, 0)
})

test('a model named in a path that nobody describes must be one the tenant may use', async () => {
  const tenant = await flow.newTenant({ allowed_models: ['gpt-*'] })
  const paths = [
    '/v1/models/o9',
    '/v1/engines/o9/completions',
    '/openai/deployments/o9/extensions/chat/completions',
    '/v1beta/models/o9:rawPredict',
    '/v1/projects/p/locations/l/publishers/anthropic/models/o9:rawPredict',
  ]
  for (const path of paths) assert.equal((await call(path.endsWith('o9') ? 'GET' : 'POST', path, undefined, {}, tenant.api_key)).status, 403, path)
  assert.equal(flow.provider.seen.length, 0)
  assert.equal((await call('POST', '/v1/engines/gpt-5/completions', undefined, {}, tenant.api_key)).status, 200)
})

test('what is no text follows the tenant’s word: warned of, let pass, or blocked; its bytes are counted', async () => {
  const sound = new Uint8Array(randomBytes(5000))
  for (const [uninspectable, status, decision] of [
    ['warn', 200, 'warn'],
    ['allow', 200, 'allow'],
    ['block', 403, 'block'],
  ] as const) {
    const tenant = await flow.newTenant({ uninspectable })
    const answer = await fetch(`${flow.origin}/v1/uploads/u1/parts`, {
      method: 'POST',
      body: sound,
      headers: { authorization: `Bearer ${tenant.api_key}`, 'content-type': 'application/octet-stream' },
    })
    await answer.text()
    assert.deepEqual([answer.status, answer.headers.get('x-earthflow-decision')], [status, decision])
    const { entries } = (await flow.admin('GET', `/v1/audit?tenant_id=${tenant.tenant_id}`)).json as {
      entries: { uninspected_bytes: number; status: string }[]
    }
    assert.deepEqual([entries[0].uninspected_bytes, entries[0].status], [5000, decision.toUpperCase()])
  }
  assert.deepEqual(
    flow.provider.seen.map(({ body }) => body.equals(sound)),
    [true, true],
  )
})

test('one upstream can be named; one nobody has is 404 in the shape of the library that asks', async () => {
  assert.equal((await call('POST', '/u/openai-like/chat/completions', '{"model":"m","messages":[]}', json)).status, 200)
  assert.equal(flow.provider.seen[0].url, '/v1/chat/completions')
  const missing = await call('GET', '/u/nobody/v1/files')
  assert.equal(missing.status, 404)
  assert.equal((JSON.parse(missing.text) as { error: { code: string } }).error.code, 'model_not_found')
})

test('Azure’s paths arrive as they are, with Azure’s header for the key and the deployment as model', async () => {
  await flow.addUpstream({ name: 'azure', dialects: ['openai-chat'], base_url: flow.provider.origin, models: ['gpt-az'] })
  const answer = await call('POST', '/openai/deployments/gpt-az/chat/completions?api-version=2024-10-21', '{"messages":[{"role":"user","content":"hi"}]}', json)
  assert.equal(answer.status, 200)
  const [sent] = flow.provider.seen
  assert.deepEqual([sent.url, sent.request.headers['api-key']], ['/openai/deployments/gpt-az/chat/completions?api-version=2024-10-21', flow.credential])
  assert.deepEqual([answer.row?.model, answer.row?.dialect, answer.row?.upstream], ['gpt-az', 'openai-chat', 'azure'])
})

test('the address to which an upload goes on leads through Earthflow, so that its bytes are judged too', async () => {
  flow.provider.script = ({ response }) => response.writeHead(200, { 'x-goog-upload-url': `${flow.provider.origin}/upload/v1beta/files?upload_id=7` }).end('{}')
  const begun = await call('POST', '/upload/v1beta/files', '{"file":{}}', json)
  const url = begun.headers.get('x-goog-upload-url') ?? ''
  assert.equal(url, `${flow.origin}/upload/v1beta/files?upload_id=7`)
  flow.provider.script = answerNative
  // The client library calls every part of a file JSON.
  const part = (bytes: string | Uint8Array<ArrayBuffer>) =>
    call('POST', url.slice(flow.origin.length), bytes, { ...json, 'x-goog-upload-command': 'upload, finalize' })
  assert.equal((await part('a forbidden fruit')).status, 403)
  const picture = new Uint8Array(randomBytes(3000))
  assert.deepEqual([(await part(picture)).status, flow.provider.seen.at(-1)?.body.equals(picture)], [200, true])
  flow.provider.script = ({ response }) => response.writeHead(200, { 'x-goog-upload-url': `${flow.provider.origin}/upload/v1beta/files?upload_id=8` }).end('{}')
  const named = await call('POST', '/u/gemini-like/upload/v1beta/files', '{"file":{}}', json)
  assert.equal(named.headers.get('x-goog-upload-url'), `${flow.origin}/u/gemini-like/upload/v1beta/files?upload_id=8`)
  flow.provider.script = ({ response }) => response.writeHead(200, { 'x-goog-upload-url': 'https://elsewhere.example/x' }).end('{}')
  assert.equal((await call('POST', '/upload/v1beta/files', '{"file":{}}', json)).status, 502)
})

test('wherever a provider says that something lies with it, its own address becomes ours, also under a base path; no other address does', async () => {
  const { origin } = flow.provider
  await flow.addUpstream({ name: 'based', dialects: ['openai-chat'], base_url: `${origin}/gateway/v1`, models: ['none'] })
  const told = {
    location: `${origin}/gateway/v1/files/7?part=1`,
    'operation-location': `${origin}/gateway/v1/jobs/8`,
    'x-goog-upload-control-url': `${origin}/gateway/v1/uploads/9`,
    'content-location': 'https://elsewhere.example/v1/files/7',
  }
  flow.provider.script = ({ response }) => response.writeHead(201, told).end('{}')
  const named = await call('POST', '/u/based/files', '{}', { ...json, 'x-forwarded-proto': 'https, http' })
  assert.equal(flow.provider.seen.at(-1)?.url, '/gateway/v1/files')
  const here = flow.origin.replace('http:', 'https:')
  assert.deepEqual(
    Object.keys(told).map((name) => named.headers.get(name)),
    [`${here}/u/based/v1/files/7?part=1`, `${here}/u/based/v1/jobs/8`, `${here}/u/based/v1/uploads/9`, 'https://elsewhere.example/v1/files/7'],
  )
  const spoofed = await call('POST', '/u/based/files', '{}', { ...json, 'x-forwarded-proto': 'javascript:alert(1)//' })
  assert.equal(spoofed.headers.get('location'), `${flow.origin}/u/based/v1/files/7?part=1`)
})

test('Anthropic’s library fetches the results of a batch through Earthflow, and nothing else of a batch is changed', async () => {
  const results = `${flow.provider.origin}/v1/messages/batches/b1/results`
  const batch = (url: string): string => `{"id":"b1",  "type":"message_batch","note":"é 😀 ${flow.provider.origin}","results_url" : "${url}","n":1.0}`
  flow.provider.script = ({ url, response }) =>
    url.endsWith('/results')
      ? response.writeHead(200, { 'content-type': 'application/x-jsonl' }).end('{"custom_id":"a","result":{"type":"expired"}}\n')
      : response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(batch(results)) }).end(batch(results))
  const anthropic = new Anthropic({ baseURL: flow.origin, apiKey: flow.tenant.api_key, maxRetries: 0 })
  const found: string[] = []
  for await (const { custom_id } of await anthropic.messages.batches.results('b1')) found.push(custom_id)
  assert.deepEqual(found, ['a'])
  assert.deepEqual(
    flow.provider.seen.map(({ url, request: { headers } }) => [url, headers['x-api-key']]),
    ['', '/results'].map((end) => [`/v1/messages/batches/b1${end}`, flow.credential]),
  )
  const answer = await call('GET', '/v1/messages/batches/b1', undefined, { 'anthropic-version': '2023-06-01' })
  assert.equal(answer.text, batch(results.replace(flow.provider.origin, flow.origin)))
})

test('HEAD asks the provider like any other method: judged, recorded, with the provider’s answer and no body', async () => {
  flow.provider.script = ({ response }) => response.writeHead(200, { 'content-type': 'application/json', 'content-length': '7', etag: '"a"' }).end()
  for (const path of ['/v1/files/file-1', '/v1/models']) {
    const answer = await call('HEAD', path)
    assert.deepEqual([answer.status, answer.text, answer.headers.get('etag'), answer.headers.get('content-length')], [200, '', '"a"', '7'], path)
    assert.deepEqual([flow.provider.seen.at(-1)?.request.method, answer.row?.endpoint, answer.row?.outcome], ['HEAD', path, 'completed'])
  }
  const { length } = flow.provider.seen
  assert.equal((await call('HEAD', '/v1/files/file-1', undefined, {}, 'ef_test_nobody')).status, 401)
  assert.equal((await call('HEAD', '/v1/files/forbidden%20fruit')).status, 403)
  assert.equal(flow.provider.seen.length, length)
})

test('answers without a body and parts of one pass as they are: 204, 304, 206', async () => {
  const answers: [status: number, headers: Record<string, string>, body: string][] = [
    [204, {}, ''],
    [304, { etag: '"a"' }, ''],
    [206, { 'content-range': 'bytes 2-4/9', 'content-length': '3' }, 'llo'],
  ]
  for (const [status, headers, body] of answers) {
    flow.provider.script = ({ response }) => response.writeHead(status, headers).end(body)
    const answer = await call('GET', '/v1/files/f/content', undefined, { range: 'bytes=2-4', 'if-none-match': '"a"' })
    assert.deepEqual([answer.status, answer.text, answer.row?.http_status, answer.row?.outcome], [status, body, status, 'completed'])
    for (const [name, value] of Object.entries(headers)) assert.equal(answer.headers.get(name), value)
  }
})

test('where a rule reads replies a reply is asked for whole, so that what it looks for cannot be fetched in two halves', async () => {
  const tenant = await flow.newTenant()
  const rule = { name: 'hush', action: 'BLOCK', condition: { operator: 'contains', value: 'no more', target: 'response' } }
  assert.equal((await flow.admin('POST', `/v1/rules?tenant_id=${tenant.tenant_id}`, rule)).status, 201)
  const file = 'say no more'
  flow.provider.script = ({ request, response }) => {
    const [, from, to] = /(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? ['', 0, file.length]
    response.writeHead(request.headers.range ? 206 : 200, { 'content-type': 'text/plain' }).end(file.slice(Number(from), Number(to) + 1))
  }
  const part = (key: string) => call('GET', '/v1/files/f/content', undefined, { range: 'bytes=0-5' }, key)
  assert.deepEqual([(await part(flow.tenant.api_key)).text, (await part(tenant.api_key)).status], ['say no', 403])
})

test('what is no call of a model is sent once, however the provider fails, and to the same one each time', async () => {
  await flow.addUpstream({ name: 'anthropic-too', dialects: ['anthropic-messages'], base_url: flow.provider.origin })
  const batch = JSON.stringify({ requests: [{ custom_id: 'a', params: { model: 'claude', max_tokens: 1, messages: [{ role: 'user', content: 'hi' }] } }] })
  const posts: [path: string, body: string, headers: Record<string, string>][] = [
    ['/v1/vector_stores', '{"name":"x"}', {}],
    ['/v1/messages/batches', batch, { 'anthropic-version': '2023-06-01' }],
  ]
  flow.provider.script = ({ response }) => response.writeHead(503, { 'content-type': 'application/json' }).end('{}')
  for (const [path, body, headers] of posts) {
    flow.provider.seen.length = 0
    const answer = await call('POST', path, body, { ...json, ...headers })
    assert.deepEqual([answer.status, flow.provider.seen.length, answer.row?.attempts.length], [503, 1, 1], path)
  }
  flow.provider.script = ({ response }) => response.destroy()
  assert.equal((await call('POST', '/v1/vector_stores', '{}', json)).status, 502)
  assert.equal(flow.provider.seen.length, 2)
  flow.provider.script = answerNative
  const asked = new Set<string | null | undefined>()
  for (let i = 0; i < 8; i++) asked.add((await call('POST', '/v1/messages/batches', batch, { ...json, 'anthropic-version': '2023-06-01' })).row?.upstream)
  asked.add((await call('GET', '/v1/messages/batches/b1', undefined, { 'anthropic-version': '2023-06-01' })).row?.upstream)
  assert.deepEqual([...asked], ['anthropic-like'])
})

test('a named upstream is asked in its own vendor’s way, whatever library or none asks', async () => {
  assert.equal((await call('GET', '/u/anthropic-like/v1/files')).status, 200)
  assert.equal((await call('GET', '/u/gemini-like/v1/files')).status, 200)
  assert.deepEqual(
    flow.provider.seen.map(({ url, request: { headers } }) => [url, headers.authorization, headers['x-api-key'] ?? headers['x-goog-api-key']]),
    [
      ['/v1/files', undefined, flow.credential],
      ['/v1/files', undefined, flow.credential],
    ],
  )
})

test('a path that a rule found something in is in no log line', async () => {
  flow.logged.length = 0
  assert.equal((await call('GET', '/v1/files/forbidden%20fruit')).status, 403)
  await fetch(`${flow.origin}/v1/files/strangers-own-words`)
  assert.match(flow.logged.join(''), /exchange ended/)
  assert.doesNotMatch(flow.logged.join(''), /fruit|strangers-own-words/)
})

/** Sends the path as it is; `fetch` would tidy it up. */
const statusOf = (path: string): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    request(`${flow.origin}/`, { path, headers: { authorization: `Bearer ${flow.tenant.api_key}` } }, (answer) => resolve(answer.resume().statusCode))
      .on('error', reject)
      .end()
  })

test('a path that could be read otherwise than it was judged is refused', async () => {
  for (const path of ['/v1/files/%2e%2e/x', '/v1//files', '/v1/files/a%2fb', '/v1/files/a%00', '/v1/files/a%5cb', '/v1/files;x']) {
    assert.equal(await statusOf(path), 400, path)
  }
  assert.equal(flow.provider.seen.length, 0)
})

test('what a caller says in our own headers is kept, unless a rule would cut or stop a text like it', async () => {
  const said = async (team: string) =>
    (await call('GET', '/v1/files', undefined, { 'x-earthflow-user': 'ann', 'x-earthflow-metadata': JSON.stringify({ team }) })).row
  const kept = await said('blue')
  assert.deepEqual([kept?.user_id, kept?.metadata.team], ['ann', 'blue'])
  for (const found of [CARD, 'a forbidden fruit']) {
    const row = await said(found)
    assert.deepEqual([row?.status, row?.user_id, row?.metadata.team], ['ALLOW', null, undefined])
  }
})
