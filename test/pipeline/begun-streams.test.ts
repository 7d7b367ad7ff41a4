/** Streams that have begun, over sockets: what keeps them alive, what ends them before their time, and what their row then says. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { test } from 'node:test'
import type { AuditEntry } from '../../src/audit/entry.ts'
import type { Caller } from '../../src/call.ts'
import { anthropicMessages } from '../../src/dialects/anthropic/anthropic-messages.ts'
import type { Dialect } from '../../src/dialects/dialect.ts'
import { earthflowProxy } from '../../src/dialects/earthflow-proxy.ts'
import { geminiGenerate } from '../../src/dialects/gemini/gemini-generate.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import { Failure, Refusal } from '../../src/errors.ts'
import { audit } from '../../src/pipeline/audit.ts'
import { countOpen } from '../../src/pipeline/count-open.ts'
import { ClientSink, type Times } from '../../src/pipeline/relay.ts'
import { Pipeline, serve } from '../../src/pipeline/run.ts'
import type { Facts, Known } from '../../src/pipeline/stage.ts'
import { ClientLeft } from '../../src/upstreams/attempt.ts'
import { until } from '../harness/client.ts'
import { tenantNamed } from '../harness/nouns.ts'
import { chatEvent, DONE } from '../harness/provider.ts'

const caller: Caller = {
  tenant: tenantNamed('t'),
  keyPrefix: 'k',
  keyLimits: null,
  allowedModels: null,
  allowedAddresses: null,
  clientCertificate: null,
  session: null,
  agent: null,
  scopes: new Set(),
}
const SSE = ['content-type', 'text/event-stream']
const draining = (): Refusal => new Refusal('draining', 'Earthflow is shutting down; try again.', { headers: ['retry-after', '1'] })

/** One exchange, whose answer the test pushes into the client's sink as a provider would. */
async function begin(dialect: Dialect, { times = {}, call = {}, reads = true }: { times?: Times; call?: Partial<Facts['call']>; reads?: boolean } = {}) {
  const entries: AuditEntry[] = []
  const at: { sink?: ClientSink; known?: Known; gone?: boolean; finish?: () => void; fail?: (error: unknown) => void } = {}
  const counter = countOpen(
    serve(
      new Pipeline()
        .stage('authenticate', () => ({ caller }))
        .stage('forward', async (known) => {
          const live = Object.assign(known, {
            call: { models: ['m'], slots: [], streaming: true, metadata: {}, ...call } as unknown as Facts['call'],
          }) as unknown as Known
          const sink = new ClientSink(live as never, times)
          try {
            await new Promise<void>((resolve, reject) => {
              Object.assign(at, { sink, known: live, finish: resolve, fail: reject })
              known.busyWith = {
                interrupt() {
                  at.gone = true
                  reject(new ClientLeft())
                },
              }
            })
            sink.end()
          } catch (error) {
            sink.error()
            throw error
          }
          return { reply: sink.reply() }
        }),
      [audit({ isAway: false, open: async () => {}, close: async (entry) => void entries.push(entry) })],
      { report() {}, ended() {} },
    ),
  )
  const endpoint = { kind: 'call', dialect, path: '/', model: null, upstream: null } as const
  const server = createServer((incoming, outgoing) => void counter.run({ incoming, outgoing, endpoint, peer: { address: '192.0.2.1', certificate: null } }))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' }).on('error', () => {})
  let text = ''
  if (reads) socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  else socket.pause()
  socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
  await until(() => at.finish !== undefined, 'the exchange to be forwarded')
  const { sink, known, finish, fail } = at as Required<typeof at>
  return {
    sink,
    known,
    finish,
    fail,
    counter,
    entries,
    isGone: () => at.gone === true,
    /** Without the lines of the chunks. */
    text: () => text.replaceAll(/(^|\r\n)[0-9a-f]+\r\n/g, '').replaceAll('\r\n', ''),
    head: () => text,
    async ended() {
      await until(() => counter.open === 0, 'the exchange to end')
      if (reads && !socket.closed) await until(() => socket.closed || socket.readableEnded, 'the connection to end')
      socket.destroy()
      server.close()
    },
  }
}

for (const [dialect, event, half, last] of [
  [openaiChat, chatEvent('one'), 'data: {"hal', 'f":1}\n\n'],
  [anthropicMessages, 'event: a\ndata: {}\n\n', 'event: b\nda', 'ta: {}\n\n'],
  [earthflowProxy, 'data: {"delta":"a"}\n\n', 'data: {"delta', '":"b"}\n\n'],
] as const)
  test(`${dialect.name}: a silent stream says between two events that it is still there, never in one, and never before it has begun or once it is over`, async () => {
    const words = dialect.vendor.keepAlive ?? assert.fail()
    const flow = await begin(dialect, { times: { keepAliveMs: 2 } })
    flow.sink.head(200, [...SSE])
    flow.sink.data(Buffer.from(event))
    await until(() => flow.head().includes(words.slice(0, 8)), 'the stream to say that it is there')
    flow.sink.data(Buffer.from(half))
    const before = flow.head().length
    await until(() => flow.head().length > before, 'it to say so again while half an event has come')
    flow.sink.data(Buffer.from(last))
    flow.finish()
    await flow.ended()
    const body = flow.text().slice(flow.text().indexOf(event))
    assert.equal(body.replaceAll(words, ''), event + half + last)
    assert.ok(body.startsWith(event + words) && body.endsWith(half + last), body)
  })

test('gemini: a silent stream says nothing, for nothing is safe', () => assert.equal(geminiGenerate.vendor.keepAlive, null))

test('an event that is too long to be held passes in parts, and nothing is said between them', async () => {
  const flow = await begin(openaiChat, { times: { keepAliveMs: 1 } })
  const clock = await begin(openaiChat, { times: { keepAliveMs: 5 } })
  const parts = [`data: {"a":"${'x'.repeat(1 << 20)}`, `${'y'.repeat(100)}"}\n\n`]
  for (const { sink } of [flow, clock]) sink.head(200, [...SSE])
  flow.sink.data(Buffer.from(parts[0] ?? ''))
  await until(() => clock.text().split(': keep-alive').length > 2, 'another stream to say twice that it is there')
  flow.sink.data(Buffer.from(parts[1] ?? ''))
  for (const { finish, ended } of [flow, clock]) {
    finish()
    await ended()
  }
  assert.ok(flow.text().includes(parts.join('')))
})

test('what is held before it has begun stays held: no keep-alive takes the status of a refusal that may come', async () => {
  const flow = await begin(openaiChat, { times: { keepAliveMs: 1 } })
  Object.assign(flow.known, { screen: { findings: () => [], open: () => [], uninspectedBytes: () => 0 } })
  flow.sink.head(200, [...SSE])
  const clock = await begin(openaiChat, { times: { keepAliveMs: 5 } })
  clock.sink.head(200, [...SSE])
  await until(() => clock.text().split(': keep-alive').length > 2, 'another stream to say twice that it is there')
  clock.finish()
  await clock.ended()
  assert.equal(flow.head(), '')
  flow.known.cut(new Refusal('blocked_by_rule', 'No.'))
  await flow.ended()
  assert.match(flow.head(), /^HTTP\/1\.1 403 /)
})

test('a reader that takes nothing is paused at a bounded backlog, let go, and its row says so', async () => {
  const flow = await begin(openaiChat, { times: { writeStallMs: 1 }, reads: false })
  flow.sink.head(200, [...SSE])
  const { outgoing } = flow.known
  const event = Buffer.from(chatEvent('x'.repeat(60_000)))
  let most = 0
  // The system takes some megabytes first, and then nothing more.
  while (!outgoing.destroyed) {
    if (flow.sink.data(event)) continue
    most = Math.max(most, outgoing.writableLength)
    await until(() => !outgoing.writableNeedDrain, 'the reader to take it or to be let go')
  }
  assert.ok(most > 0 && most <= 256 << 10, `${most} bytes waited`)
  await flow.ended()
  assert.ok(flow.isGone(), 'the upstream is let go too')
  assert.deepEqual(
    flow.entries.map(({ outcome, reason }) => [outcome, reason]),
    [['cancelled', 'slow_reader']],
  )
})

const cuts: [name: string, dialect: Dialect, headers: string[], begun: string, error: RegExp][] = [
  [
    'openai',
    openaiChat,
    SSE,
    chatEvent('one'),
    /^data: \{"error":\{"message":"Earthflow is shutting down; try again\.","type":"server_error","param":null,"code":"server_draining"\}\}\n\n$/,
  ],
  [
    'anthropic',
    anthropicMessages,
    SSE,
    'event: a\ndata: {}\n\n',
    /^event: error\ndata: \{"type":"error","error":\{"type":"api_error","message":"Earthflow is shutting down; try again\."\},.*\}\n\n$/,
  ],
  ['gemini', geminiGenerate, SSE, 'data: {}\n\n', /^data: (\{"error":\{"code":503,.*"status":"UNAVAILABLE","details":\[.*"reason":"DRAINING".*\})\n\n\1$/],
  ['gemini, as a list', geminiGenerate, ['content-type', 'application/json'], '[{}', /^,\n\{"error":\{"code":503,.*\}\}\]$/],
  ['the envelope', earthflowProxy, SSE, 'data: {"delta":"a"}\n\n', /^data: \{"error":"UNAVAILABLE",.*\}\n\n$/],
]
for (const [name, dialect, headers, begun, error] of cuts)
  test(`${name}: a drain that is over tells a stream that has begun so, and never that it ended well; its upstream is let go and its row says cut_by_drain`, async () => {
    const flow = await begin(dialect)
    flow.sink.head(200, [...headers])
    flow.sink.data(Buffer.from(begun))
    if (dialect === openaiChat) flow.sink.data(Buffer.from(DONE)) // it is held until the end, and this is none
    flow.counter.cutAll(draining())
    await flow.ended()
    assert.ok(flow.isGone())
    const text = flow.text().slice(flow.text().indexOf(begun))
    assert.match(text.slice(begun.length), error)
    assert.deepEqual(
      flow.entries.map(({ outcome, reason, http_status }) => [outcome, reason, http_status]),
      [['cut_by_drain', 'draining', 200]],
    )
  })

test('a drain that is over answers a call that has not begun with 503 and when to come back', async () => {
  const flow = await begin(openaiChat)
  flow.counter.cutAll(draining())
  await flow.ended()
  assert.match(flow.head(), /^HTTP\/1\.1 503 .*retry-after: 1\r\n.*"code":"server_draining"/is)
  assert.ok(!/x-should-retry: false/i.test(flow.head()))
  assert.deepEqual(
    flow.entries.map(({ outcome, reason, http_status }) => [outcome, reason, http_status]),
    [['cut_by_drain', 'draining', 503]],
  )
})

test('an answer that was complete is not cut, and what is cut for another reason is refused', async () => {
  const complete = await begin(openaiChat)
  complete.sink.head(200, [...SSE])
  complete.sink.data(Buffer.from(chatEvent('one') + DONE))
  complete.finish()
  await until(() => complete.known.reply !== undefined, 'the answer to be complete')
  complete.counter.cutAll(draining())
  await complete.ended()
  assert.ok(complete.text().endsWith(DONE))
  const ended = await begin(openaiChat)
  ended.known.cut(new Refusal('session_ended', 'The session was ended.'))
  await ended.ended()
  assert.deepEqual(
    [...complete.entries, ...ended.entries].map(({ outcome, reason }) => [outcome, reason]),
    [
      ['completed', null],
      ['refused', 'session_ended'],
    ],
  )
})

const brokeOff = (): Failure => new Failure('upstream_unreachable', new Error('ECONNRESET'))
const EVENT = 'data: {}\n\n'
const lastEvents: [name: string, dialect: Dialect, headers: string[], begun: string, last: string][] = [
  ['openai', openaiChat, SSE, EVENT, DONE],
  ['anthropic', anthropicMessages, SSE, EVENT, 'event: message_stop\ndata: {"type":"message_stop"}\n\n'],
  ['gemini', geminiGenerate, SSE, EVENT, 'data: {"candidates":[{"finishReason":"STOP"}]}\n\n'],
  ['gemini, as a list', geminiGenerate, ['content-type', 'application/json'], '[{}', '\n]'],
  ['the envelope', earthflowProxy, SSE, EVENT, 'data: {"status":"ALLOW"}\n\n'],
]
for (const [name, dialect, headers, begun, last] of lastEvents)
  test(`${name}: after its last event a stream is complete, whether its provider then breaks off or says nothing more, which is waited for a moment only`, async () => {
    for (const isSilent of [true, false]) {
      const flow = await begin(dialect, { times: isSilent ? { endMs: 1 } : {} })
      flow.sink.head(200, [...headers])
      flow.sink.data(Buffer.from(begun + last))
      if (!isSilent) flow.fail(brokeOff())
      await flow.ended()
      assert.equal(flow.isGone(), isSilent, 'the provider is let go')
      assert.equal(flow.text().slice(flow.text().indexOf(begun)), begun + last)
      assert.deepEqual(
        flow.entries.map(({ outcome, reason, http_status }) => [outcome, reason, http_status]),
        [['completed', null, 200]],
      )
    }
  })

test('what ends one of several answers completes none of the others; the mark that ends the stream does', async () => {
  const one = 'data: {"candidates":[{"finishReason":"STOP"}]}\n\n'
  for (const [dialect, text, outcome] of [
    [geminiGenerate, one, 'failed'],
    [openaiChat, DONE, 'completed'],
  ] as const) {
    const flow = await begin(dialect, { call: { answers: 2 } })
    flow.sink.head(200, [...SSE])
    flow.sink.data(Buffer.from(EVENT + text))
    flow.fail(brokeOff())
    await flow.ended()
    assert.deepEqual(
      flow.entries.map((entry) => entry.outcome),
      [outcome],
    )
  }
})

test('what a rule or Earthflow itself stops after the last event is no good end', async () => {
  for (const error of [new Refusal('blocked_by_rule', 'No.'), new Failure('reply_unreadable', new Error('x')), new Error('a surprise')]) {
    const flow = await begin(openaiChat)
    flow.sink.head(200, [...SSE])
    flow.sink.data(Buffer.from(chatEvent('one') + DONE))
    flow.fail(error)
    await flow.ended()
    assert.ok(!flow.text().includes('[DONE]'), flow.text())
    assert.match(flow.text(), /"error":/)
  }
})
