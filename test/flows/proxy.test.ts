import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, beforeEach, test } from 'node:test'
import { chat, type Flow, startEarthflow, until, wire } from '../harness/earthflow.ts'
import { answerJson, chatAnswer, chatEvent, DONE, SSE, startProvider } from '../harness/provider.ts'

let flow: Flow
before(async () => {
  flow = await startEarthflow()
})
after(() => flow.close())
beforeEach(() => {
  flow.provider.script = answerJson
})
const last = () => flow.provider.seen.at(-1)!

test('bytes in = bytes out, both ways: odd spacing, 1.0, escapes, big integers and unknown fields arrive as they were sent', async () => {
  const odd = Buffer.from(
    '{ "model" : "m",\r\n "messages":[{"content":"a\\u0062 \\ud83d\\ude00\\/ \\u00e9", "role":"user","unknown":[1.0,1E2,{},12345678901234567890]}],\t"x":null }\n',
  )
  const answer = await flow.post('/v1/chat/completions?x=1', odd)
  assert.equal(answer.status, 200)
  assert.deepEqual(last().body, odd)
  assert.equal(last().url, '/v1/chat/completions?x=1')
  assert.equal(answer.text, chatAnswer)
})

test('the provider is sent its own credential, and nothing that is Earthflow’s or this hop’s', async () => {
  await flow.post('/v1/chat/completions', chat('x'), {
    'x-earthflow-user': 'ann',
    'x-forwarded-for': '10.0.0.1',
    cookie: 'a=b',
    'openai-beta': 'assistants=v2',
    'accept-encoding': 'gzip',
    'x-api-key': 'sk-other',
  })
  const { headers, rawHeaders } = last().request
  assert.equal(headers.authorization, `Bearer ${flow.credential}`)
  assert.equal(headers['openai-beta'], 'assistants=v2')
  assert.equal(headers['accept-encoding'], 'identity', 'a reply that is compressed can be neither judged nor metered')
  for (const name of ['x-earthflow-user', 'x-forwarded-for', 'cookie', 'x-api-key']) assert.equal(headers[name], undefined, name)
  assert.ok(!rawHeaders.join('\n').includes('ef_test_'))
})

test('the key is found in every place client libraries put it, and never travels on', async () => {
  const key = flow.tenant.api_key
  const places: [string, Record<string, string>][] = [
    ['', { 'x-earthflow-key': key }],
    ['', { 'proxy-authorization': `Bearer ${key}` }],
    ['', { authorization: `bearer ${key}` }],
    ['', { 'x-api-key': key }],
    ['', { 'api-key': key }],
    ['', { 'x-goog-api-key': key }],
    [`?key=${key}&alt=sse`, {}],
  ]
  for (const [query, headers] of places) {
    const answer = await flow.post(`/v1/chat/completions${query}`, chat('x'), { authorization: 'Bearer sk-not-ours', ...headers })
    assert.equal(answer.status, 200, JSON.stringify([query, Object.keys(headers)]))
    assert.ok(!last().request.rawHeaders.join('\n').includes(key))
    assert.ok(!last().url.includes(key))
  }
  assert.equal(last().url, '/v1/chat/completions?alt=sse')
  const other = await flow.newTenant()
  assert.equal((await flow.post('/v1/chat/completions', chat('x'), { 'x-api-key': other.api_key })).status, 400, 'two different keys')
})

test('a passthrough upstream is sent the caller’s own credential; without one the call is 401 in the dialect', async () => {
  const own = await startProvider()
  await flow.addUpstream({
    name: 'own',
    dialects: ['openai-chat'],
    base_url: `${own.origin}/v1`,
    credential_mode: 'passthrough',
    models: ['own-*'],
    credential: undefined,
    priority: 5,
  })
  const key = { 'x-earthflow-key': flow.tenant.api_key }
  const ok = await flow.post('/v1/chat/completions', chat('x', { model: 'own-1' }), { ...key, authorization: 'Bearer sk-mine', 'x-api-key': 'sk-elsewhere' })
  assert.equal(ok.status, 200)
  assert.equal(own.seen[0].request.headers.authorization, 'Bearer sk-mine')
  assert.equal(own.seen[0].request.headers['x-api-key'], undefined)
  const missing = await flow.post('/v1/chat/completions', chat('x', { model: 'own-1' }))
  assert.equal(missing.status, 401)
  assert.equal((missing.json as { error: { type: string } }).error.type, 'authentication_error')
  own.close()
})

test('every answer carries the request’s id, the row’s id, the decision, the overhead and the limits', async () => {
  const ok = await flow.post('/v1/chat/completions', chat('x'))
  const [row] = await flow.rows()
  assert.equal(ok.headers.get('x-earthflow-request-id'), row.request_id)
  assert.equal(ok.headers.get('x-earthflow-audit-id'), row.audit_id)
  assert.equal(ok.headers.get('x-earthflow-decision'), 'allow')
  assert.match(ok.headers.get('x-earthflow-overhead-ms') ?? '', /^\d+\.\d$/)
  assert.equal(ok.headers.get('x-ratelimit-limit'), '1000000')
  assert.ok(Number(ok.headers.get('x-ratelimit-remaining')) > 0)
  assert.ok(Number(ok.headers.get('x-ratelimit-reset')) >= Math.floor(Date.now() / 1000) - 1)
  assert.ok(ok.headers.get('x-ratelimit-limit-requests'))
})

test('a provider’s error passes with its status, headers and body; its limit headers, which describe a shared key, do not', async () => {
  flow.provider.script = ({ response }) =>
    response
      .writeHead(418, {
        'content-type': 'text/plain',
        'x-odd': 'yes',
        'x-ratelimit-remaining-requests': '5',
        'set-cookie': 'a=b',
        connection: 'x-secret',
        'x-secret': '1',
      })
      .end('teapot')
  const answer = await flow.post('/v1/messages?beta=true', JSON.stringify({ model: 'm', max_tokens: 1, messages: [{ role: 'user', content: 'x' }] }))
  assert.deepEqual([answer.status, answer.headers.get('x-odd'), answer.text], [418, 'yes', 'teapot'])
  for (const name of ['x-ratelimit-remaining-requests', 'set-cookie', 'x-secret']) assert.equal(answer.headers.get(name), null, name)
  assert.equal(last().url, '/v1/messages?beta=true')
  assert.equal(last().request.headers['x-api-key'], flow.credential)
})

test('the provider sends its second chunk only after the client has confirmed the first', async () => {
  let confirmed: () => void = () => {}
  flow.provider.script = ({ response }) => {
    response.writeHead(200, SSE)
    response.write(chatEvent('one'))
    confirmed = () => response.end(chatEvent('two') + DONE)
  }
  const response = await fetch(`${flow.origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${flow.tenant.api_key}` },
    body: chat('x', { stream: true }),
  })
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  assert.equal((await reader.read()).value, chatEvent('one'))
  confirmed()
  let rest = ''
  for (let part = await reader.read(); !part.done; part = await reader.read()) rest += part.value
  assert.equal(rest, chatEvent('two') + DONE)
})

test('the head of a stream does not wait for its first event', async () => {
  let go: () => void = () => {}
  flow.provider.script = ({ response }) => {
    response.writeHead(200, SSE).flushHeaders()
    go = () => response.end(DONE)
  }
  const response = await fetch(`${flow.origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${flow.tenant.api_key}` },
    body: chat('x', { stream: true }),
  })
  assert.equal(response.status, 200)
  go()
  assert.equal(await response.text(), DONE)
})

test('an upstream that dies in the middle of a stream is an error event, never a clean end; in the middle of a body 502, and of a long one a broken connection', async () => {
  flow.provider.script = ({ response }) => {
    response.writeHead(200, SSE)
    response.write(chatEvent('one'), () => response.destroy())
  }
  const stream = await flow.post('/v1/chat/completions', chat('x', { stream: true }))
  assert.ok(stream.text.startsWith(chatEvent('one')))
  assert.match(stream.text.slice(chatEvent('one').length), /^data: \{"error":\{.*"server_error".*\}\}\n\n$/)
  flow.provider.script = ({ response }) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' })
    response.write('{"half":', () => response.destroy())
  }
  assert.equal((await flow.post('/v1/chat/completions', chat('x'))).status, 502)
  flow.provider.script = ({ response }) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000000' })
    response.write(`{"half":"${'long '.repeat(100_000)}`, () => response.destroy())
  }
  await assert.rejects(flow.post('/v1/chat/completions', chat('x')))
  for (const { outcome, reason } of (await flow.rows()).slice(0, 3)) assert.deepEqual([outcome, reason], ['failed', 'upstream_unreachable'])
})

test('an upstream that cannot be reached is 502, one that is silent 504, in the caller’s dialect', async () => {
  flow.provider.script = ({ response }) => response.destroy()
  const gone = await flow.post('/v1/messages', JSON.stringify({ model: 'm', max_tokens: 1, messages: [{ role: 'user', content: 'x' }] }))
  assert.equal(gone.status, 502)
  assert.deepEqual((gone.json as { error: { type: string } }).error.type, 'api_error')
  await flow.admin('PATCH', '/v1/upstreams/openai-like', { timeouts: { first_byte_seconds: 0.1 } })
  flow.provider.script = () => {}
  assert.equal((await flow.post('/v1/chat/completions', chat('x'))).status, 504)
  await flow.admin('PATCH', '/v1/upstreams/openai-like', { timeouts: {} })
})

test('before the first byte went down the next candidate is tried with the same bytes; the attempts stand in the row', async () => {
  const busy = await startProvider(({ response }) => response.writeHead(503, { 'content-type': 'application/json' }).end('{}'))
  await flow.addUpstream({ name: 'busy', dialects: ['openai-chat'], base_url: `${busy.origin}/v1`, models: ['both-*'], priority: 10 })
  const body = chat('x', { model: 'both-1' })
  assert.equal((await flow.post('/v1/chat/completions', body)).status, 200)
  assert.equal(busy.seen[0].body.toString(), body)
  assert.equal(last().body.toString(), body)
  const [row] = await flow.rows()
  assert.deepEqual(
    row.attempts.map(({ upstream, status }) => [upstream, status]),
    [
      ['busy', 503],
      ['openai-like', 200],
    ],
  )
  assert.equal(row.upstream, 'openai-like')
  busy.close()
})

test('the last byte of an answer waits for its row; a stream’s [DONE] too', async () => {
  for (const stream of [false, true]) {
    flow.provider.script = ({ response }) => (stream ? response.writeHead(200, SSE).end(chatEvent('one') + DONE) : answerJson({ response } as never))
    const answer = await flow.post('/v1/chat/completions', chat('x', { stream }))
    const [row] = await flow.rows(`&request_id=${answer.headers.get('x-earthflow-request-id')}`)
    assert.equal(row?.outcome, 'completed', 'whoever has the whole answer finds its row')
  }
})

test('a client that does not read pauses the upstream', async () => {
  let pushed = 0
  flow.provider.script = async ({ response }) => {
    response.writeHead(200, SSE)
    response.setMaxListeners(0)
    const block = Buffer.from(chatEvent('z'.repeat(60_000)))
    while (!response.destroyed && pushed < 256 << 20) {
      pushed += block.length
      if (!response.write(block)) await Promise.race([once(response, 'drain'), once(response, 'close')])
    }
  }
  const socket = flow.open()
  socket.pause()
  socket.write(wire('/v1/chat/completions', flow.tenant.api_key, chat('x', { stream: true })))
  let before = -1
  // Still, when nothing moved over several turns in which it could have.
  let still = 0
  await until(() => {
    still = pushed > 0 && pushed === before ? still + 1 : 0
    before = pushed
    return still > 40
  }, 'the upstream to stand still')
  assert.ok(pushed < 32 << 20, `${pushed} bytes went into buffers`)
  socket.on('data', () => {}).resume()
  const stalled = pushed
  await until(() => pushed > stalled + (32 << 20), 'the upstream to go on')
  socket.destroy()
})
