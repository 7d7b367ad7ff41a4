/** A provider that dies in a stream: the client hears of it in its own format, after whole events, whatever it died of. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Flow, startEarthflow } from '../harness/earthflow.ts'
import { CHUNKED, chunk, LAST_CHUNK, type RawCall, type RawUpstream, startRawUpstream } from '../harness/raw-upstream.ts'

let flow: Flow
let raw: RawUpstream
before(async () => {
  flow = await startEarthflow()
  raw = await startRawUpstream(({ socket }) => void socket.destroy())
  await flow.admin('PATCH', '/v1/upstreams/openai-like', { models: ['m'] })
  await flow.admin('PATCH', '/v1/upstreams/anthropic-like', { models: ['m'] })
})
after(async () => {
  raw.close()
  await flow.close()
})

interface Streamed {
  name: string
  path: (model: string) => string
  body: object
  type: string
  /** The last of them ends the stream. */
  events: string[]
  /** What the client is shown of all but the last, where that is not what the provider sent. */
  shown?: string
  /** How the error stands behind them. */
  error: RegExp
}
const messages = [{ role: 'user', content: 'x' }]
const chatPiece = 'data: {"id":"c","choices":[{"index":0,"delta":{"content":"é"},"finish_reason":null}]}\n\n'
const geminiItem = '{"candidates":[{"index":0,"content":{"parts":[{"text":"é"}]}}]}'
const geminiEnd = '{"candidates":[{"index":0,"finishReason":"STOP"}]}'
const openaiError = /^data: \{"error":\{"message":"[^"]+","type":"server_error".*\}\}\n\n$/
const streams: Streamed[] = [
  {
    name: 'openai-chat',
    path: () => '/v1/chat/completions',
    body: { messages, stream: true },
    type: 'text/event-stream',
    events: [chatPiece, chatPiece, 'data: [DONE]\n\n'],
    error: openaiError,
  },
  {
    name: 'openai-completions',
    path: () => '/v1/completions',
    body: { prompt: 'x', stream: true },
    type: 'text/event-stream',
    events: ['data: {"choices":[{"index":0,"text":"é"}]}\n\n', 'data: [DONE]\n\n'],
    error: openaiError,
  },
  {
    name: 'openai-responses',
    path: () => '/v1/responses',
    body: { input: 'x', stream: true },
    type: 'text/event-stream',
    events: [
      'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"é","sequence_number":1}\n\n',
      'event: response.completed\ndata: {"type":"response.completed","sequence_number":2}\n\n',
    ],
    error: /^event: response\.failed\ndata: .*\n\nevent: error\ndata: \{"type":"error",.*\}\n\n$/,
  },
  {
    name: 'anthropic-messages',
    path: () => '/v1/messages',
    body: { messages, max_tokens: 1, stream: true },
    type: 'text/event-stream',
    events: [
      'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"é"}}\n\n',
      'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ],
    error: /^event: error\ndata: \{"type":"error","error":\{"type":"(?:api|timeout)_error".*\}\n\n$/,
  },
  {
    name: 'gemini',
    path: (model) => `/v1beta/models/${model}:streamGenerateContent?alt=sse`,
    body: { contents: [{ role: 'user', parts: [{ text: 'x' }] }] },
    type: 'text/event-stream',
    events: [`data: ${geminiItem}\n\n`, `data: ${geminiEnd}\n\n`],
    error: /^data: (\{"error":\{"code":50[24],.*\}\})\n\n\1$/,
  },
  {
    name: 'gemini, as a list',
    path: (model) => `/v1beta/models/${model}:streamGenerateContent`,
    body: { contents: [{ role: 'user', parts: [{ text: 'x' }] }] },
    type: 'application/json; charset=UTF-8',
    events: [`[${geminiItem}`, `,\r\n${geminiEnd}\n]`],
    error: /^,\n\{"error":\{"code":50[24],.*\}\}\]$/,
  },
  {
    name: 'the envelope',
    path: () => '/v1/proxy',
    body: { messages, stream: true },
    type: 'text/event-stream',
    events: [chatPiece, chatPiece, 'data: [DONE]\n\n'],
    shown: 'data: {"delta":"éé"}\n\n',
    error: /^data: \{"error":"UPSTREAM_(?:ERROR|TIMEOUT)".*\}\n\n$/,
  },
]

interface Death {
  name: string
  /** Of the last event, how many bytes come before it; the rest never does. */
  part: (last: Buffer) => number
  end: (call: RawCall) => void
  /** The head says how the body is framed. */
  framing?: string
  reason?: string
}
const beforeLast = (): number => 0
const inLast = (last: Buffer): number => last.length >> 1
const finish = ({ socket }: RawCall): void => void socket.write(LAST_CHUNK)
const deaths: Death[] = [
  { name: 'a reset', part: beforeLast, end: ({ socket }) => void socket.resetAndDestroy() },
  { name: 'a reset in an event', part: inLast, end: ({ socket }) => void socket.resetAndDestroy() },
  { name: 'an end that closes no chunks', part: beforeLast, end: ({ socket }) => void socket.end() },
  { name: 'an end in a chunk', part: beforeLast, end: ({ socket }) => void socket.end('ff\r\ndata: {"half"') },
  { name: 'a chunk that is none', part: beforeLast, end: ({ socket }) => void socket.write('zz\r\n') },
  { name: 'a polite end in an event', part: inLast, end: finish },
  { name: 'the end of a connection that frames the body', part: beforeLast, end: ({ socket }) => void socket.end(), framing: 'Connection: close' },
  { name: 'silence', part: beforeLast, end: () => {}, reason: 'upstream_timeout' },
  { name: 'silence in an event', part: inLast, end: () => {}, reason: 'upstream_timeout' },
]

let upstreams = 0
for (const { name, path, body, type, events, shown, error } of streams) {
  const call = async (send: (call: RawCall) => void) => {
    const model = `raw-${++upstreams}`
    const dialects = ['openai-chat', 'openai-completions', 'openai-responses', 'anthropic-messages', 'gemini']
    await flow.addUpstream({ name: model, dialects, base_url: raw.origin, models: [model], priority: 10, timeouts: { idle_seconds: 1 } })
    scripts.set(model, send)
    raw.script = (one) => (scripts.get(/"?raw-\d+/.exec(one.head + one.body)?.[0].replace('"', '') ?? '') ?? (() => one.socket.destroy()))(one)
    const answer = await flow.post(
      path(model),
      JSON.stringify(name.startsWith('gemini') ? body : { model, ...body }),
      name === 'anthropic-messages' ? { 'anthropic-version': '2023-06-01' } : {},
    )
    const [row, ...others] = await flow.rows(`&request_id=${answer.headers.get('x-earthflow-request-id')}`)
    assert.deepEqual(others, [])
    return { status: answer.status, text: answer.text, row }
  }
  const whole = events.slice(0, -1).join('')
  const told = shown ?? whole
  const last = Buffer.from(events.at(-1) ?? '')
  const headOf = (framing = CHUNKED): string => `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\n${framing}\r\n\r\n`

  test(`${name}: whatever a provider dies of, the client has whole events and then the error, and the row says so`, async () => {
    await Promise.all(
      deaths.map(async ({ name: death, part, end, framing, reason = 'upstream_unreachable' }) => {
        const piece = framing ? (text: string): string => text : chunk
        const half = last.toString('latin1', 0, part(last))
        const { status, text, row } = await call((one) => {
          one.socket.write(headOf(framing) + piece(whole) + (half === '' ? '' : piece(half)), () => end(one))
        })
        assert.equal(status, 200, `${death}: ${text}`)
        assert.equal(text.slice(0, told.length), told, death)
        assert.match(text.slice(told.length), error, death)
        assert.deepEqual([row?.outcome, row?.reason, row?.http_status], ['failed', reason, 200], death)
      }),
    )
  })

  test(`${name}: a provider that dies in the middle of a character leaves no half of it`, async () => {
    const bytes = Buffer.from(events[0] ?? '')
    const cut = bytes.indexOf(0xc3) + 1
    const { status, text } = await call(({ socket }) => {
      const parts = [
        Buffer.from(headOf()),
        Buffer.from(chunk(whole)),
        Buffer.from(`${cut.toString(16)}\r\n`),
        bytes.subarray(0, cut),
        Buffer.from(`\r\n${LAST_CHUNK}`),
      ]
      socket.write(Buffer.concat(parts))
    })
    assert.equal(status, 200)
    assert.ok(!text.includes('\ufffd'))
    assert.match(text.slice(told.length), error)
  })

  test(`${name}: whatever a provider dies of after its last event, the stream has ended well`, async () => {
    const ends = deaths.filter(({ name: death }) => death === 'silence' || death === 'an end in a chunk')
    await Promise.all(
      ends.map(async ({ name: death, end }) => {
        // A moment later, so that the end does not overtake the events.
        const { text, row } = await call((one) => void one.socket.write(headOf() + chunk(whole + last), () => setTimeout(end, 20, one)))
        assert.ok(shown === undefined ? text === whole + last : text.startsWith(told) && text.includes('"status":"ALLOW"'), `${death}: ${text}`)
        assert.deepEqual([row?.outcome, row?.reason, row?.http_status], ['completed', null, 200], death)
      }),
    )
  })

  test(`${name}: a stream that ends well arrives whole`, async () => {
    const { text, row } = await call(({ socket }) => void socket.write(headOf() + chunk(whole + last) + LAST_CHUNK))
    assert.ok(shown === undefined ? text === whole + last : text.startsWith(told) && text.includes('"status":"ALLOW"'), text)
    assert.equal(row?.outcome, 'completed')
  })
}
const scripts = new Map<string, (call: RawCall) => void>()
