/** Providers whose answers break HTTP, or use all of it: each is an honest error or a clean relay, and the next call gets its own answer. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { chat, type Flow, startEarthflow } from '../harness/earthflow.ts'
import { answer, CHUNKED, chunk, LAST_CHUNK, type RawCall, type RawScript, type RawUpstream, startRawUpstream } from '../harness/raw-upstream.ts'

let flow: Flow
let raw: RawUpstream
const surprises: unknown[] = []
const surprised = (error: unknown): void => void surprises.push(error)
before(async () => {
  process.on('unhandledRejection', surprised).on('uncaughtException', surprised)
  flow = await startEarthflow()
  raw = await startRawUpstream(own)
  await flow.admin('PATCH', '/v1/upstreams/openai-like', { models: ['m'] }) // nobody else serves what these cases ask for
})
after(async () => {
  raw.close()
  await flow.close()
  process.off('unhandledRejection', surprised).off('uncaughtException', surprised)
  assert.deepEqual(surprises, [])
})

const answerOf = (content: string) => ({ choices: [{ message: { role: 'assistant', content } }] })
/** Says what the call said, so that everybody knows whose answer it is. */
const own: RawScript = ({ socket, body }) => void socket.write(answer(JSON.stringify(answerOf(saidIn(body)))))
const saidIn = (body: string): string => (JSON.parse(body) as { messages: [{ content: string }] }).messages[0].content

let calls = 0
/** Each case has an upstream of its own, so that none is closed to it by what others did; all lead to the one server. */
async function upstreamFor(fields: Record<string, unknown> = {}): Promise<string> {
  const model = `raw-${++calls}`
  await flow.addUpstream({ name: model, dialects: ['openai-chat'], base_url: `${raw.origin}/v1`, models: [model], priority: 10, ...fields })
  return model
}

const EVIL = answer('{"evil":true}')
const OK = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
const FAILED = { status: 502, outcome: 'failed', reason: 'upstream_unreachable' }
const RELAYED = { status: 200, outcome: 'completed', reason: null }
interface Case {
  name: string
  send: string | Buffer | RawScript
  expected?: { status: number; outcome: string; reason: string | null }
  /** Of the answer, where it is relayed. */
  text?: string
}
const write =
  (...parts: (string | Buffer)[]): RawScript =>
  ({ socket }) => {
    for (const part of parts) socket.write(part)
  }
const then =
  (bytes: string | Buffer, end: (call: RawCall) => void): RawScript =>
  (call) =>
    void call.socket.write(bytes, () => end(call))
const reset = ({ socket }: RawCall): void => void socket.resetAndDestroy()
const close = ({ socket }: RawCall): void => void socket.end()

const cases: Case[] = [
  { name: 'a length and a transfer coding', send: `${OK}Content-Length: 2\r\n${CHUNKED}\r\n\r\n2\r\nok\r\n${LAST_CHUNK}${EVIL}` },
  { name: 'two lengths', send: `${OK}Content-Length: 2\r\nContent-Length: 5\r\n\r\nokok!` },
  { name: 'two lengths in one line', send: `${OK}Content-Length: 2, 5\r\n\r\nokok!` },
  { name: 'a length that is no number', send: `${OK}Content-Length: +2\r\n\r\nok` },
  { name: 'a length beyond any number', send: `${OK}Content-Length: 99999999999999999999\r\n\r\nok` },
  { name: 'an answer after the end of the answer', send: `${OK}Content-Length: 2\r\n\r\nok${EVIL}`, expected: RELAYED, text: 'ok' },
  { name: 'an answer after the end of the answer, later', send: write(`${OK}Content-Length: 2\r\n\r\nok`, EVIL), expected: RELAYED, text: 'ok' },
  { name: 'an answer after the last chunk', send: `${OK}${CHUNKED}\r\n\r\n${chunk('ok')}${LAST_CHUNK}${EVIL}`, expected: RELAYED, text: 'ok' },
  { name: 'chunks that break off', send: then(`${OK}${CHUNKED}\r\n\r\n5\r\nok`, close) },
  { name: 'chunks that are not closed', send: then(`${OK}${CHUNKED}\r\n\r\n${chunk('ok')}`, close) },
  { name: 'a chunk size that is none', send: `${OK}${CHUNKED}\r\n\r\nzz\r\nok\r\n${LAST_CHUNK}` },
  { name: 'a chunk longer than it says', send: `${OK}${CHUNKED}\r\n\r\n1\r\nok\r\n${LAST_CHUNK}` },
  { name: 'a chunk size beyond any number', send: `${OK}${CHUNKED}\r\n\r\nfffffffffffffffff\r\nok\r\n` },
  { name: 'a body shorter than its length', send: then(`${OK}Content-Length: 5\r\n\r\nok`, close) },
  { name: 'a body shorter than its length, and a reset', send: then(`${OK}Content-Length: 5\r\n\r\nok`, reset) },
  { name: 'a head that breaks off', send: then(OK, close) },
  { name: 'a reset instead of an answer', send: reset },
  { name: 'an end instead of an answer', send: close },
  { name: 'a NUL in a header', send: `${OK}X-A: a\0b\r\nContent-Length: 2\r\n\r\nok` },
  { name: 'a bare CR in a header', send: `${OK}X-A: a\rb\r\nContent-Length: 2\r\n\r\nok` },
  { name: 'a bare LF in the head', send: `HTTP/1.1 200 OK\nContent-Length: 2\n\nok` },
  { name: 'a header without a name', send: `${OK}: x\r\nContent-Length: 2\r\n\r\nok` },
  { name: 'a space before the colon', send: `${OK}Content-Length : 2\r\n\r\nok` },
  { name: 'a folded header', send: `${OK}X-A: a\r\n b\r\nContent-Length: 2\r\n\r\nok` },
  { name: 'a header of 64 KiB', send: `${OK}X-A: ${'a'.repeat(64 << 10)}\r\nContent-Length: 2\r\n\r\nok` },
  { name: 'ten thousand headers', send: `${OK}${'X-A: a\r\n'.repeat(10_000)}Content-Length: 2\r\n\r\nok` },
  { name: 'a header of 8 KiB', send: `${OK}X-A: ${'a'.repeat(8 << 10)}\r\nContent-Length: 2\r\n\r\nok`, expected: RELAYED, text: 'ok' },
  { name: 'a header that is no Latin-1', send: Buffer.from(`${OK}X-A: é €\r\nContent-Length: 2\r\n\r\nok`), expected: RELAYED, text: 'ok' },
  { name: 'a chunk extension of 1 MiB', send: `${OK}${CHUNKED}\r\n\r\n2;${'a'.repeat(1 << 20)}\r\nok\r\n${LAST_CHUNK}`, expected: RELAYED, text: 'ok' },
  { name: 'a trailer of 1 MiB', send: `${OK}${CHUNKED}\r\n\r\n${chunk('ok')}0\r\nX-A: ${'a'.repeat(1 << 20)}\r\n\r\n` },
  { name: 'trailers', send: `${OK}${CHUNKED}\r\nTrailer: X-A\r\n\r\n${chunk('ok')}0\r\nX-A: a\r\n\r\n`, expected: RELAYED, text: 'ok' },
  { name: 'a hundred early hints', send: 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(100) + answer('ok'), expected: RELAYED, text: 'ok' },
  { name: 'ten thousand early hints', send: 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(10_000) + answer('ok') },
  { name: 'a 100 nobody asked for', send: `HTTP/1.1 100 Continue\r\n\r\n${answer('ok')}` }, // undici's word: nobody said `Expect`
  { name: 'a 101 nobody asked for', send: 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n' },
  { name: 'a 101 without an upgrade', send: `HTTP/1.1 101 Switching Protocols\r\n\r\n${EVIL}` },
  { name: 'a 204 with a body', send: `HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil`, expected: { ...RELAYED, status: 204 }, text: '' },
  { name: 'a 304 with a body', send: `HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil`, expected: { ...RELAYED, status: 304 }, text: '' },
  { name: 'the status 099', send: answer('ok', [], '099 Odd') },
  { name: 'the status 000', send: answer('ok', [], '000 Odd') },
  { name: 'the status 999', send: answer('ok', [], '999 Odd'), expected: { ...RELAYED, status: 999 }, text: 'ok' },
  { name: 'the status 20', send: answer('ok', [], '20 Odd') },
  { name: 'a coding of the transfer that is no chunks', send: then(`${OK}Transfer-Encoding: gzip\r\n\r\n${EVIL}`, close) },
  { name: 'a coding of the transfer before the chunks', send: `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n${chunk('ok')}${LAST_CHUNK}` },
  { name: 'chunks twice', send: `${OK}Transfer-Encoding: chunked, chunked\r\n\r\n${chunk('ok')}${LAST_CHUNK}` },
  { name: 'garbage', send: Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]) },
  { name: 'garbage in words', send: 'SSH-2.0-OpenSSH_9.7\r\n' },
  { name: 'an answer without a head', send: then('{"evil":true}\n', close) },
  { name: 'another version', send: answer('ok').replace('HTTP/1.1', 'HTTP/3.0') },
  { name: 'a redirect', send: answer('', [`Location: http://127.0.0.1:1/v1/chat/completions`], '307 Temporary Redirect') },
]
/** What was answered, and the rows there are of it. */
async function ask(model: string, content: string, more: object = {}) {
  const { status, headers, text, bytes } = await flow.post('/v1/chat/completions', chat(content, { model, ...more }))
  const rows = await flow.rows(`&request_id=${headers.get('x-earthflow-request-id')}`)
  return { status, headers, text, bytes, rows: rows.map(({ outcome, reason, http_status }) => ({ status: http_status, outcome, reason })) }
}
async function getsItsOwn(model: string, content: string): Promise<void> {
  const { status, text } = await ask(model, content)
  assert.equal(status, 200, text)
  assert.deepEqual(JSON.parse(text), answerOf(content))
}

for (const { name, send, expected = FAILED, text } of cases) {
  test(`${name}: ${expected.status}, one row, and the next call gets its own answer`, async () => {
    const model = await upstreamFor()
    raw.script = typeof send === 'function' ? send : write(send)
    const first = await ask(model, `first of ${model}`)
    raw.script = own
    assert.equal(first.status, expected.status, first.text)
    if (text !== undefined) assert.equal(first.text, text)
    else assert.match(first.text, /^\{"error":\{"message":"The provider could not be reached, or broke off its answer\./)
    assert.deepEqual(first.rows, [expected])
    for (const nonce of ['second', 'third']) await getsItsOwn(model, `${nonce} of ${model}`)
  })
}

test('answers that nobody asked for, on every connection of the pool, are nobody’s', async () => {
  const model = await upstreamFor()
  raw.script = ({ socket, body }) => void socket.write(answer(JSON.stringify(answerOf(saidIn(body)))) + EVIL)
  for (let round = 0; round < 3; round++) await Promise.all(Array.from({ length: 20 }, (_, i) => getsItsOwn(model, `${i} of round ${round}`)))
})

test('a head that never ends is over when the time for it is', async () => {
  const model = await upstreamFor({ timeouts: { first_byte_seconds: 1 } })
  raw.script = ({ socket }) => {
    socket.write(OK)
    const timer = setInterval(() => socket.write('X-A: a\r\n'), 100)
    socket.on('close', () => clearInterval(timer))
  }
  const { status, rows } = await ask(model, 'x')
  assert.deepEqual([status, rows], [504, [{ status: 504, outcome: 'failed', reason: 'upstream_timeout' }]])
  raw.script = own
  await getsItsOwn(model, 'after the drip')
})

test('an answer that comes before the call was read is told, or the call failed; either way the next one gets its own', async () => {
  const early = await startRawUpstream(own, (head, socket) => {
    if (!head.includes('content-length: 1')) return false
    socket.end(answer('early'))
    return true
  })
  const model = await upstreamFor({ base_url: `${early.origin}/v1` })
  for (let i = 0; i < 5; i++) {
    const { status, text, rows } = await ask(model, 'x'.repeat(1_000_000))
    if (status === 200) assert.deepEqual([text, rows], ['early', [RELAYED]])
    else assert.deepEqual([status, rows], [502, [FAILED]])
    await getsItsOwn(model, `own ${i}`)
  }
  early.close()
})

test('a compressed reply that a rule must read is refused without being blown up; one that nobody must read passes as it came', async () => {
  const model = await upstreamFor()
  const bomb = gzipSync(Buffer.alloc(8 << 20))
  const layers = Array.from({ length: 6 }).reduce<Buffer>((body) => gzipSync(body), Buffer.from('{}'))
  const encoded = (body: Buffer, coding: string): RawScript =>
    write(Buffer.concat([Buffer.from(`${OK}Content-Encoding: ${coding}\r\nContent-Length: ${body.length}\r\n\r\n`), body]))
  raw.script = encoded(bomb, 'gzip')
  const passed = await ask(model, 'x')
  assert.deepEqual([passed.status, passed.bytes.length], [200, 8 << 20])
  const { id } = await flow.rule({ name: 'card', action: 'REDACT', condition: { operator: 'detects', value: 'credit_card', target: 'response' } })
  for (const script of [encoded(bomb, 'gzip'), encoded(layers, Array.from({ length: 6 }).fill('gzip').join(', '))]) {
    raw.script = script
    const { status, rows } = await ask(model, 'x')
    assert.deepEqual([status, rows], [502, [{ status: 502, outcome: 'failed', reason: 'reply_unreadable' }]])
  }
  raw.script = own
  await getsItsOwn(model, 'after the bombs')
  await flow.admin('DELETE', `/v1/rules/${id}?tenant_id=${flow.tenant.tenant_id}`)
})

test('a provider’s error passes as it came, but for the credential that it repeats in its body and headers', async () => {
  const model = await upstreamFor()
  const stars = '*'.repeat(flow.credential.length)
  const said = (key: string): string => `{"error":{"message":"Incorrect API key provided: ${key}. é","odd":[1.0,  1E2]}}`
  raw.script = ({ socket }) => {
    const body = said(flow.credential)
    const cut = body.indexOf(flow.credential) + 5
    socket.write(
      `HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nX-Debug: Bearer ${flow.credential}\r\n${CHUNKED}\r\n\r\n${chunk(body.slice(0, cut))}`,
    )
    setImmediate(() => socket.write(chunk(body.slice(cut)) + LAST_CHUNK))
  }
  const refused = await ask(model, 'x')
  assert.deepEqual([refused.status, refused.text, refused.headers.get('x-debug')], [401, said(stars), `Bearer ${stars}`])
  raw.script = write(answer('{}', ['Content-Type: application/json', `X-Debug: ${flow.credential}`]))
  assert.equal((await ask(model, 'x')).headers.get('x-debug'), stars)
})

const untilClose = (head: string, body: string | Buffer = ''): RawScript => then(Buffer.concat([Buffer.from(`${head}\r\n`), Buffer.from(body)]), close)
test('JSON that ends with its connection is whole or it failed, however long it is and whether it was held or streamed', async () => {
  const long = JSON.stringify(answerOf(`é"[{\\${'x'.repeat(80_000)}`))
  const short = JSON.stringify(answerOf('x'))
  for (const more of [{}, { stream: true }])
    for (const text of [short, long]) {
      const model = await upstreamFor()
      raw.script = untilClose(OK, text)
      const passed = await ask(model, 'x', more)
      assert.deepEqual([passed.status, passed.text, passed.rows], [200, text, [RELAYED]])
      raw.script = untilClose(OK, text.slice(0, -2))
      const from = (await flow.rows()).length
      const isCut = await ask(model, 'x', more).then(
        ({ status }) => status === 502,
        () => true, // its status was told already, so its connection was cut
      )
      assert.ok(isCut, `${text.length} ${JSON.stringify(more)}`)
      const rows = await flow.rowsOf(from + 1)
      assert.deepEqual([rows.at(0)?.outcome, rows.at(0)?.reason], ['failed', 'upstream_unreachable'])
    }
})

test('what ends with its connection and is no JSON by its own word, is compressed or is an error passes as it came', async () => {
  const json = 'Content-Type: application/json\r\n'
  const cases: [head: string, body: string | Buffer, status: number][] = [
    ['HTTP/1.0 400 Bad Request\r\n', 'prompt is too long', 400],
    [`HTTP/1.1 400 Bad Request\r\n${json}`, 'prompt is too long', 400],
    ['HTTP/1.1 401 Unauthorized\r\nContent-Type: text/event-stream\r\n', 'data: no\n\n', 401],
    ['HTTP/1.1 200 OK\r\n', 'plain words, no JSON', 200],
    [`HTTP/1.1 200 OK\r\n${json}Content-Encoding: gzip\r\n`, gzipSync('{"choices":[]}'), 200],
  ]
  for (const [head, body, status] of cases) {
    const model = await upstreamFor()
    raw.script = untilClose(head, body)
    const passed = await ask(model, 'x')
    assert.deepEqual([passed.status, passed.text], [status, typeof body === 'string' ? body : '{"choices":[]}'], head)
  }
})

test('nothing of an answer waits for its end where a stream was asked for, or where it does not say that it is JSON', async () => {
  for (const [type, stream] of [
    ['application/json', true],
    ['application/stream+json', false],
    ['', false],
  ] as const) {
    const model = await upstreamFor()
    const held = Promise.withResolvers<RawCall['socket']>()
    raw.script = ({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\n${type === '' ? '' : `Content-Type: ${type}\r\n`}${CHUNKED}\r\n\r\n${chunk('{"a":1}\n')}`)
      held.resolve(socket)
    }
    const response = await fetch(`${flow.origin}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${flow.tenant.api_key}`, 'content-type': 'application/json' },
      body: chat('x', { model, stream }),
    })
    const reader = (response.body ?? assert.fail()).getReader()
    assert.equal(Buffer.from((await reader.read()).value ?? []).toString(), '{"a":1}\n', type)
    const socket = await held.promise
    socket.write(chunk('{"a":2}\n') + LAST_CHUNK)
    assert.equal(Buffer.from((await reader.read()).value ?? []).toString(), '{"a":2}\n', type)
  }
})

test('the credential that a provider repeats in an event of its stream does not arrive', async () => {
  const model = await upstreamFor()
  raw.script = ({ socket }) =>
    void socket.write(
      `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n${CHUNKED}\r\n\r\n${chunk(`data: {"error":{"message":"bad key Bearer ${flow.credential}"}}\n\n`)}${LAST_CHUNK}`,
    )
  const { text } = await ask(model, 'x', { stream: true })
  assert.equal(text, `data: {"error":{"message":"bad key Bearer ${'*'.repeat(flow.credential.length)}"}}\n\n`)
})
