/** What stands between a provider's bad day and the client. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { after, before, beforeEach, test } from 'node:test'
import { chat, type Flow, startEarthflow, until, wire } from '../harness/earthflow.ts'
import { answerJson, chatEvent, DONE, type Script, SSE, startProvider } from '../harness/provider.ts'

let flow: Flow
before(async () => {
  flow = await startEarthflow()
})
after(() => flow.close())
beforeEach(() => {
  flow.provider.script = answerJson
})
const stream = chat('x', { stream: true })
const anthropicStream = JSON.stringify({ model: 'm', max_tokens: 1, stream: true, messages: [{ role: 'user', content: 'x' }] })
const events = {
  '/v1/chat/completions': [chatEvent('one'), ': ping\r\n\r\n', chatEvent('two'), DONE],
  '/v1/messages': [
    'event: message_start\ndata: {"type":"message_start"}\n\n',
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"é"}}\n\n',
    'event: message_stop\ndata: {"type":"message_stop"}\n\n',
  ],
}
const errors = { '/v1/chat/completions': /^data: \{"error":\{.*\}\}\n\n$/, '/v1/messages': /^event: error\ndata: \{"type":"error".*\}\n\n$/ }

for (const path of ['/v1/chat/completions', '/v1/messages'] as const) {
  test(`${path}: a provider that dies after any byte of a stream leaves whole events and then the dialect’s error event, never the last event unless that had come`, async () => {
    const whole = Buffer.from(events[path].join(''))
    const last = events[path].slice(0, -1).join('')
    for (let cut = 1; cut <= whole.length; cut += cut < 20 || cut > whole.length - 20 ? 1 : 3) {
      flow.provider.script = ({ response }) => {
        response.writeHead(200, SSE)
        response.write(whole.subarray(0, cut), () => response.destroy())
      }
      const { text } = await flow.post(path, path === '/v1/messages' ? anthropicStream : stream)
      if (text === whole.toString()) {
        assert.equal(cut, whole.length, 'whole, though not all of it had come')
        continue
      }
      const relayed = text.slice(0, text.search(/(event: error\n)?data: \{("type":"error"|"error")/))
      assert.ok(whole.toString().startsWith(relayed) && last.startsWith(relayed.trimEnd()), `${cut}: something else than events was relayed, or the last one`)
      // A CR ends a line too, so that the LF after it need not have come.
      assert.match(relayed, /^$|\n\n$|\r\n\r\n?$/, `cut after ${cut}`)
      assert.match(text.slice(relayed.length), errors[path], `cut after ${cut}`)
    }
    const rows = await flow.rows()
    assert.equal(rows[0].outcome, 'completed')
    assert.ok(rows.slice(1, 20).every(({ outcome, reason }) => outcome === 'failed' && reason === 'upstream_unreachable'))
  })
}

test('an event stream whose length was promised and not kept ends with an error event on a connection that stays in step', async () => {
  for (const promised of [DONE.length + chatEvent('one').length + 500, 4000]) {
    flow.provider.script = ({ response }) => {
      response.writeHead(200, { ...SSE, 'content-length': promised })
      response.write(chatEvent('one'), () => response.destroy())
    }
    const answer = await flow.post('/v1/chat/completions', stream)
    assert.equal(answer.headers.get('content-length'), null)
    assert.match(answer.text.slice(chatEvent('one').length), errors['/v1/chat/completions'])
  }
})

test('a provider that dies right after the head of a stream is a real 502 or an error event, never a 200 that breaks off', async () => {
  for (let i = 0; i < 60; i++) {
    flow.provider.script = ({ response }) => {
      response.writeHead(200, SSE).flushHeaders()
      if (i % 3 === 0) response.destroy()
      else setImmediate(() => response.destroy())
    }
    const { status, text } = await flow.post('/v1/chat/completions', stream)
    if (status === 200) assert.match(text, errors['/v1/chat/completions'])
    else assert.equal(status, 502)
  }
  // Head and nonsense in one packet.
  const nonsense = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nZZZ\r\n'))
  }).listen(0, '127.0.0.1')
  await once(nonsense, 'listening')
  await flow.addUpstream({
    name: 'nonsense',
    dialects: ['openai-chat'],
    base_url: `http://127.0.0.1:${(nonsense.address() as { port: number }).port}/v1`,
    models: ['nonsense'],
    priority: 10,
  })
  await flow.admin('PATCH', '/v1/upstreams/openai-like', { models: ['m'] }) // nobody else serves it
  const answer = await flow.post('/v1/chat/completions', chat('x', { model: 'nonsense', stream: true }))
  await flow.admin('PATCH', '/v1/upstreams/openai-like', { models: ['*'] })
  nonsense.close()
  if (answer.status === 200) assert.match(answer.text, errors['/v1/chat/completions'])
  else assert.equal(answer.status, 502)
})

test('a stream that ends in the middle of an event, however politely, did not end well', async () => {
  flow.provider.script = ({ response }) => response.writeHead(200, SSE).end(`${chatEvent('one')}data: {"half":`)
  const { text } = await flow.post('/v1/chat/completions', stream)
  assert.match(text.slice(chatEvent('one').length), errors['/v1/chat/completions'])
  assert.equal((await flow.rows())[0].outcome, 'failed')
})

test('bytes 1 to 1,000 at a time, a stream arrives as it was sent', async () => {
  const sent = Buffer.from([...events['/v1/chat/completions'].slice(0, 3), chatEvent('ü'.repeat(500)), DONE].join(''))
  for (const size of [1, 2, 7, 100, 1000]) {
    flow.provider.script = async ({ response }) => {
      response.writeHead(200, SSE)
      for (let at = 0; at < sent.length; at += size) await new Promise((resolve) => response.write(sent.subarray(at, at + size), resolve))
      response.end()
    }
    assert.deepEqual((await flow.post('/v1/chat/completions', stream)).bytes, sent)
  }
})

test('with a rule on replies, a reader that pauses gets everything in the end', async () => {
  const reading = await flow.newTenant()
  await flow.admin('POST', `/v1/rules?tenant_id=${reading.tenant_id}`, {
    name: 'card',
    action: 'REDACT',
    condition: { operator: 'detects', value: 'credit_card', target: 'response' },
  })
  const block = chatEvent('z'.repeat(1000))
  const count = 6000
  flow.provider.script = async ({ response }) => {
    response.writeHead(200, SSE)
    response.setMaxListeners(0)
    const all = Buffer.from(block.repeat(count) + DONE)
    // Cut across events, so that some chunks complete none.
    for (let at = 0; at < all.length && !response.destroyed; at += 700)
      if (!response.write(all.subarray(at, at + 700))) await Promise.race([once(response, 'drain'), once(response, 'close')])
    response.end()
  }
  const socket = flow.open()
  let bytes = 0
  let ended = false
  socket.pause()
  socket.write(wire('/v1/chat/completions', reading.api_key, stream, 'connection: close\r\n'))
  socket.on('end', () => {
    ended = true
  })
  let turns = 0
  const read = (): void => {
    for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) bytes += chunk.length
    if (++turns < 400) setImmediate(read)
    else
      socket
        .on('data', (chunk: Buffer) => {
          bytes += chunk.length
        })
        .resume()
  }
  read()
  await until(() => ended, 'the stream to end')
  assert.ok(bytes > block.length * count)
  socket.destroy()
})

test('a rule that redacts or stops a plain reply is told in its headers', async () => {
  const reading = await flow.newTenant()
  const key = { authorization: `Bearer ${reading.api_key}` }
  for (const [action, phrase] of [
    ['REDACT', 'project osprey'],
    ['WARN', 'project heron'],
    ['BLOCK', 'launch codes'],
  ]) {
    await flow.admin('POST', `/v1/rules?tenant_id=${reading.tenant_id}`, {
      name: phrase,
      action,
      condition: { operator: 'contains', value: phrase, target: 'response' },
    })
  }
  const say =
    (content: string): Script =>
    ({ response }) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ choices: [{ message: { role: 'assistant', content } }] }))
  for (const [content, status, decision, shown] of [
    ['about Project Osprey', 200, 'redact', 'about [REDACTED]'],
    ['about Project Heron', 200, 'warn', 'about Project Heron'],
    ['the launch codes', 403, 'block', 'content_policy_violation'],
    ['nothing', 200, 'allow', 'nothing'],
  ] as const) {
    flow.provider.script = say(content)
    const answer = await flow.post('/v1/chat/completions', chat('x'), key)
    assert.deepEqual([answer.status, answer.headers.get('x-earthflow-decision')], [status, decision])
    assert.ok(answer.text.includes(shown))
    const { entries } = (await flow.admin('GET', `/v1/audit?tenant_id=${reading.tenant_id}&limit=1`)).json as {
      entries: { status: string; overhead_ms: number }[]
    }
    assert.equal(entries[0].status, decision.toUpperCase())
  }
})

test('an error body that stalls does not hold up the next candidate', async () => {
  const stalled = await startProvider(({ response }) => {
    response.writeHead(503, { 'content-type': 'application/json', 'content-length': '500' })
    response.write('{')
  })
  await flow.addUpstream({ name: 'stalled', dialects: ['openai-chat'], base_url: `${stalled.origin}/v1`, models: ['stalled'], priority: 10 })
  assert.equal((await flow.post('/v1/chat/completions', chat('x', { model: 'stalled' }))).status, 200)
  await until(() => stalled.seen[0].closed, 'the stalled connection to be given up')
  stalled.close()
})

test('a reply that cannot be judged is not asked for again elsewhere', async () => {
  const reading = await flow.newTenant()
  await flow.admin('POST', `/v1/rules?tenant_id=${reading.tenant_id}`, {
    name: 'card',
    action: 'REDACT',
    condition: { operator: 'detects', value: 'credit_card', target: 'response' },
  })
  const odd = await startProvider(({ response }) => response.writeHead(200, { 'content-type': 'application/json' }).end('no json'))
  await flow.addUpstream({ name: 'odd', dialects: ['openai-chat'], base_url: `${odd.origin}/v1`, models: ['odd'], priority: 10 })
  const before = flow.provider.seen.length
  const answer = await flow.post('/v1/chat/completions', chat('x', { model: 'odd' }), { authorization: `Bearer ${reading.api_key}` })
  assert.deepEqual([answer.status, flow.provider.seen.length], [502, before])
  odd.close()
})

test('calls that are on their way to an upstream that is changed arrive', async () => {
  let isOver = false
  const statuses: number[] = []
  const callers = Array.from({ length: 8 }, async () => {
    while (!isOver) statuses.push((await flow.post('/v1/chat/completions', chat('x'))).status)
  })
  for (let i = 0; i < 10; i++) await flow.admin('PATCH', '/v1/upstreams/openai-like', { timeouts: { idle_seconds: 100 + i } })
  isOver = true
  await Promise.all(callers)
  assert.deepEqual([...new Set(statuses)], [200])
})

test('a key in the query never reaches the provider, however its name is spelled; nor does another host or path', async () => {
  const key = flow.tenant.api_key
  assert.equal((await flow.post(`/v1/chat/completions?%6bey=${key}&key=1&a=b`, chat('x'))).status, 200)
  assert.equal(flow.provider.seen.at(-1)?.url, '/v1/chat/completions?a=b')
  const before = flow.provider.seen.length
  const targets = [
    'http://evil.example/v1/chat/completions',
    '/v1/chat/./completions',
    '/v1/x/../chat/completions',
    '/v1/chat/completions#fragment',
    '/v1/%63hat/completions',
    '/v1/chat/%2e/completions',
  ]
  for (const target of targets) {
    const socket = flow.open()
    let text = ''
    socket.on('data', (chunk) => {
      text += String(chunk)
    })
    socket.write(wire(target, key, chat('x'), 'connection: close\r\n'))
    await once(socket, 'close')
    assert.match(text, /^HTTP\/1\.1 4(?:00|04|21) /, target)
  }
  assert.equal(flow.provider.seen.length, before)
})

test('a long model name is refused and remembered nowhere', async () => {
  const answer = await flow.post('/v1/chat/completions', chat('x', { model: 'm'.repeat(300) }))
  assert.equal(answer.status, 400)
})

test('an upstream that wants the caller’s credential and gets none: 401, rejected, and nothing was attempted', async () => {
  const own = await startProvider()
  await flow.addUpstream({
    name: 'own',
    dialects: ['openai-chat'],
    base_url: `${own.origin}/v1`,
    credential_mode: 'passthrough',
    models: ['own'],
    credential: undefined,
    priority: 5,
  })
  const answer = await flow.post('/v1/chat/completions', chat('x', { model: 'own' }))
  const [row] = await flow.rows()
  assert.deepEqual([answer.status, answer.headers.get('x-earthflow-decision'), row.status, row.attempts], [401, 'rejected', 'REJECTED', []])
  own.close()
})

test('a provider may think for as long as it is allowed to: nothing else counts the silence', async () => {
  // The connection of the call as Earthflow sees it: no time-out of its own may be left on it once the body was read.
  const { decode } = await import('../../src/pipeline/decode.ts')
  const { openaiChat } = await import('../../src/dialects/openai/openai-chat.ts')
  const { createServer: createHttpServer } = await import('node:http')
  const stage = decode({ bodyBytesMax: 1e6, bufferedBytesMax: 1e6 }, { take: () => Promise.reject(new Error()), peek: () => assert.fail('nothing is refused') })
  let seen: number | undefined = -1
  const server = createHttpServer(async (incoming, outgoing) => {
    await stage({
      incoming,
      outgoing,
      dialect: openaiChat,
      endpoint: { kind: 'call', dialect: openaiChat, path: '/v1/chat/completions', model: null, upstream: null },
      trace: { waitedMs: 0 },
      headers: [],
      caller: { tenant: { id: 't' } },
    } as never)
    seen = incoming.socket.timeout
    outgoing.end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: chat('x') })
  assert.ok(!seen, `a time-out of ${seen} ms was left`)
  server.close()
})
