import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { chat, type Flow, startEarthflow, wire } from '../harness/earthflow.ts'

let flow: Flow
before(async () => {
  flow = await startEarthflow({ environment: { EARTHFLOW_MAX_BODY_MB: '0.1' } })
  await flow.addUpstream({ name: 'limited', dialects: ['openai-chat'], base_url: `${flow.provider.origin}/v1`, models: ['only-this'], priority: 1 })
  for (const name of ['openai-like', 'anthropic-like']) await flow.admin('PATCH', `/v1/upstreams/${name}`, { models: ['m', 'm-*'] })
})
after(() => flow.close())

const anthropicOk = { model: 'm', max_tokens: 1, messages: [{ role: 'user', content: 'x' }] }
const cases: [name: string, path: string, body: string | Buffer, status: number, code: string, headers?: Record<string, string>][] = [
  ['no JSON', '/v1/chat/completions', '{"model":', 400, 'invalid_request'],
  ['an empty body', '/v1/chat/completions', '', 400, 'invalid_request'],
  ['a repeated member', '/v1/chat/completions', '{"model":"m","model":"m","messages":[]}', 400, 'invalid_request'],
  ['a repeated member spelled with escapes', '/v1/chat/completions', '{"model":"m","mod\\u0065l":"m","messages":[]}', 400, 'invalid_request'],
  ['a byte order mark', '/v1/chat/completions', `\uFEFF${chat('x')}`, 400, 'invalid_request'],
  ['UTF-16', '/v1/chat/completions', Buffer.from(chat('x'), 'utf16le'), 400, 'invalid_request'],
  ['broken UTF-8', '/v1/chat/completions', Buffer.from('{"model":"m\xc3("}', 'latin1'), 400, 'invalid_request'],
  ['half a surrogate pair', '/v1/chat/completions', chat('x').replace('"x"', '"\\ud800"'), 400, 'invalid_request'],
  ['NaN', '/v1/chat/completions', '{"model":"m","messages":[],"n":NaN}', 400, 'invalid_request'],
  ['a comment', '/v1/chat/completions', '{"model":"m"/* */,"messages":[]}', 400, 'invalid_request'],
  ['something after the end', '/v1/chat/completions', `${chat('x')}x`, 400, 'invalid_request'],
  ['a number beyond all numbers', '/v1/chat/completions', chat('x', { n: 1 }).replace('"n":1', '"n":1e400'), 400, 'invalid_request'],
  ['deep nesting', '/v1/chat/completions', `${'['.repeat(10_000)}${']'.repeat(10_000)}`, 400, 'invalid_request'],
  ['a list', '/v1/chat/completions', '[]', 400, 'invalid_request'],
  ['no model', '/v1/chat/completions', '{"messages":[{"role":"user","content":"x"}]}', 400, 'invalid_request'],
  ['a model that is a number', '/v1/chat/completions', chat('x', { model: 5 }), 400, 'invalid_request'],
  ['messages that are a string', '/v1/chat/completions', '{"model":"m","messages":"x"}', 400, 'invalid_request'],
  ['stream that is a string', '/v1/chat/completions', chat('x', { stream: 'yes' }), 400, 'invalid_request'],
  ['an unknown model', '/v1/chat/completions', chat('x', { model: 'gpt-unknown' }), 404, 'model_not_found'],
  ['a body that is not compressed as it says', '/v1/chat/completions', chat('x'), 400, 'invalid_request', { 'content-encoding': 'gzip' }],
  ['a compression nobody knows', '/v1/chat/completions', chat('x'), 415, 'unsupported_media_type', { 'content-encoding': 'compress' }],
  ['a body compressed twice', '/v1/chat/completions', gzipSync(gzipSync(chat('x'))), 415, 'unsupported_media_type', { 'content-encoding': 'gzip, gzip' }],
  ['a body that grows over the bound', '/v1/chat/completions', gzipSync(chat('x'.repeat(200_000))), 413, 'request_too_large', { 'content-encoding': 'gzip' }],
  ['a body of another type', '/v1/chat/completions', chat('x'), 415, 'unsupported_media_type', { 'content-type': 'text/xml' }],
  ['a multipart body', '/v1/chat/completions', chat('x'), 415, 'unsupported_media_type', { 'content-type': 'multipart/form-data; boundary=x' }],
  ['another character set', '/v1/chat/completions', chat('x'), 415, 'unsupported_media_type', { 'content-type': 'application/json; charset=utf-16' }],
  ['a body over the bound', '/v1/chat/completions', chat('x'.repeat(200_000)), 413, 'request_too_large'],
  ['no model at Anthropic’s', '/v1/messages', JSON.stringify({ ...anthropicOk, model: undefined }), 400, 'invalid_request_error'],
  ['an unknown model at Anthropic’s', '/v1/messages', JSON.stringify({ ...anthropicOk, model: 'claude-unknown' }), 404, 'not_found_error'],
  ['a body over the bound at Anthropic’s', '/v1/messages', JSON.stringify({ ...anthropicOk, system: 'x'.repeat(200_000) }), 413, 'request_too_large'],
]

for (const [name, path, body, status, code, headers = {}] of cases) {
  test(`${name}: ${status} in the caller’s shape, nothing forwarded, one row`, async () => {
    const rows = (await flow.rows()).length
    const answer = await flow.post(path, body, headers)
    assert.equal(answer.status, status, answer.text)
    const { error } = answer.json as { error: { type: string; code?: string; message: string } }
    assert.ok([error.code, error.type].includes(code), answer.text)
    assert.ok(error.message.length > 15, 'says what to change')
    assert.equal(answer.headers.get('x-should-retry'), 'false')
    assert.equal(answer.headers.get('x-earthflow-decision'), 'rejected')
    assert.equal(answer.headers.get('x-ratelimit-limit'), '1000000')
    assert.equal(flow.provider.seen.length, 0)
    const [row, ...others] = await flow.rowsOf(rows + 1)
    assert.deepEqual([row.status, row.outcome, row.http_status, others.length], ['REJECTED', 'refused', status, rows])
    assert.equal(row.audit_id, answer.headers.get('x-earthflow-audit-id'))
  })
}

test('a chunked body is cut off at the bound, not after it, and the client reads why', async () => {
  const socket = flow.open()
  socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${flow.tenant.api_key}\r\ntransfer-encoding: chunked\r\n\r\n`)
  const block = `8000\r\n${'x'.repeat(0x8000)}\r\n`
  for (let i = 0; i < 8; i++) socket.write(block)
  let text = ''
  socket.on('data', (chunk) => {
    text += String(chunk)
  })
  await once(socket, 'close')
  assert.match(text, /^HTTP\/1\.1 413 /)
  assert.match(text, /connection: close/i)
})

test('a stranger’s body is not read, and a wrong key is told nothing about why; it makes no row', async () => {
  const rows = (await flow.rows()).length
  const answers = await Promise.all(
    ['ef_live_wrong', `${flow.tenant.api_key}x`, `ef_live_00000000_${'0'.repeat(38)}`, "ef_live_' OR 1=1--", `ef_live_${'a'.repeat(10_000)}`].map((key) =>
      flow.post('/v1/chat/completions', 'no json', { authorization: `Bearer ${key}` }),
    ),
  )
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [401])
  const messages = answers.map(({ json }) => JSON.stringify((json as { error: unknown }).error).replaceAll(/req_\w+/g, ''))
  assert.equal(new Set(messages).size, 1)
  assert.equal((await flow.rows()).length, rows)
  const { text } = await flow.admin('GET', '/v1/dashboard/metrics')
  assert.match(text, /earthflow_authentication_failures_total 5/)
})

test('a key without the scope for calls is 403 with a row; one that is unknown has none, and no row’s id is promised', async () => {
  const made = await flow.admin('POST', `/v1/tenants/${flow.tenant.tenant_id}/keys`, { name: 'reader', scopes: ['audit:read'] })
  const answer = await flow.post('/v1/chat/completions', chat('x'), { authorization: `Bearer ${(made.json as { api_key: string }).api_key}` })
  assert.equal(answer.status, 403)
  const [row] = await flow.rows(`&request_id=${answer.headers.get('x-earthflow-request-id')}`)
  assert.deepEqual([row.status, row.reason, row.audit_id], ['REJECTED', 'forbidden', answer.headers.get('x-earthflow-audit-id')])
  const unknown = await flow.post('/v1/chat/completions', chat('x'), { authorization: 'Bearer ef_live_wrong' })
  assert.equal(unknown.headers.get('x-earthflow-audit-id'), null)
})

test('two different keys are refused wherever they stand, in one header repeated too', async () => {
  const other = await flow.newTenant()
  for (const name of ['x-earthflow-key', 'authorization', 'x-api-key']) {
    const socket = flow.open()
    let text = ''
    socket.on('data', (chunk) => {
      text += String(chunk)
    })
    socket.write(wire('/v1/chat/completions', flow.tenant.api_key, chat('x'), `${name}: ${other.api_key}\r\nconnection: close\r\n`))
    await once(socket, 'close')
    assert.match(text, /^HTTP\/1\.1 400 /, name)
  }
})

test('every error of ours carries an id in its head and its body is JSON, whatever of the request could not be read', async () => {
  const requests: [what: string, text: string, status: number][] = [
    ['no HTTP', 'HELLO\r\n\r\n', 400],
    ['a host that is none', 'GET /v1/tenants HTTP/1.1\r\nhost: a/b@c\r\n', 400],
    ['a host that is none at a provider’s path', 'OPTIONS /v1/files HTTP/1.1\r\nhost: a/b@c\r\n', 400],
    ['no host', 'GET /v1/tenants HTTP/1.1\r\n', 400],
    ['no host where there is none', 'GET /v1/tenants HTTP/1.0\r\n', 401],
    ['a method nobody has', 'TRACE /v1/tenants HTTP/1.1\r\nhost: x\r\n', 405],
    ['a method providers have not', 'TRACE /v1/files HTTP/1.1\r\nhost: x\r\n', 405],
    ['a wrong key', 'GET /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ef_test_nobody\r\n', 401],
    ['a tunnel', 'CONNECT x:1 HTTP/1.1\r\nhost: x:1\r\n', 405],
    ['a WebSocket', 'GET /v1/responses HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n', 426],
    ['a path of the management API that nobody has', 'GET /v1/dashboard/nothing HTTP/1.1\r\nhost: x\r\n', 404],
    ['a path with a host', 'GET http://x/v1/files HTTP/1.1\r\nhost: x\r\n', 401],
    ['a path with another host', 'GET http://y/v1/files HTTP/1.1\r\nhost: x\r\n', 421],
  ]
  for (const [what, text, status] of requests) {
    const socket = flow.open()
    let answer = ''
    socket.on('data', (chunk) => {
      answer += String(chunk)
    })
    socket.write(text.startsWith('HELLO') ? text : `${text}${text.includes('upgrade') ? '' : 'connection: close\r\n'}\r\n`)
    await once(socket, 'close')
    const [head, body] = answer.split('\r\n\r\n')
    assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} [^]*\r\nx-earthflow-request-id: req_\\w+`), what)
    assert.ok('error' in (JSON.parse(body) as object), what)
  }
  assert.equal(flow.provider.seen.length, 0)
})

test('a method a path does not answer is 405 with the one it does, an unknown path 404, each as JSON', async () => {
  const get = await fetch(`${flow.origin}/v1/embeddings`)
  assert.deepEqual([get.status, get.headers.get('allow')], [405, 'POST'])
  assert.ok(((await get.json()) as { error: { message: string } }).error.message.includes('POST'))
  const unknown = await fetch(`${flow.origin}/nothing/here`)
  assert.deepEqual([unknown.status, ((await unknown.json()) as { error: string }).error], [404, 'NOT_FOUND'])
})

test('a path in disguise is not the path', async () => {
  for (const path of ['/v1/chat%2Fcompletions', '/v1//chat/completions', '/V1/chat/completions', '/v1/chat/./completions%00']) {
    const answer = await flow.post(path, chat('x'))
    assert.ok([400, 404].includes(answer.status), `${path}: ${answer.status}`)
  }
  assert.equal(flow.provider.seen.length, 0)
})

test('what an Anthropic library asks for is never a management call, whatever its path', async () => {
  const library = { 'anthropic-version': '2023-06-01' }
  const stranger = await flow.admin('GET', '/v1/tenants', undefined, library)
  assert.deepEqual([stranger.status, (stranger.json as { error: { type: string } }).error.type], [401, 'authentication_error'])
  const asked = await flow.admin('GET', '/v1/agents', undefined, { ...library, authorization: `Bearer ${flow.tenant.api_key}` })
  assert.equal(asked.headers.get('x-earthflow-decision'), 'allow', 'it was judged and forwarded like any call')
  const elsewhere = await flow.admin('GET', '/api/hello', undefined, library)
  assert.deepEqual([elsewhere.status, (elsewhere.json as { error: { type: string } }).error.type], [404, 'not_found_error'])
})
