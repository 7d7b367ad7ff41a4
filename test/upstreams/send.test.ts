import assert from 'node:assert/strict'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { test } from 'node:test'
import { type Endpoint, endpointOf } from '../../src/dialects/endpoint.ts'
import { Failure, Refusal } from '../../src/errors.ts'
import { createGate } from '../../src/upstreams/gate.ts'
import { FAILURES_TILL_DOWN } from '../../src/upstreams/health.ts'
import { send } from '../../src/upstreams/send.ts'
import type { AttemptResult } from '../../src/upstreams/standing.ts'
import type { Upstream } from '../../src/upstreams/upstream.ts'
import { until } from '../harness/client.ts'
import { type Exchange, endpoint, sendTo, upstreamOn } from './sending.ts'

const busy = (response: ServerResponse, headers: Record<string, string> = {}) => void response.writeHead(503, { 'x-odd': 'yes', ...headers }).end('busy now')
const leave = (exchange: Exchange): void => {
  exchange.gone = true
  exchange.busyWith?.interrupt()
}
const reasonOf = (error: unknown): unknown => (error instanceof Failure ? error.reason : error)

test('whoever answers nothing but 503 is asked three times, and the last answer passes on as it came', async () => {
  const { upstream, requests, seen } = await upstreamOn((_, response) => busy(response))
  const { error, status, headers, text, trace } = await sendTo([upstream])
  assert.deepEqual([error, status, text, requests.length, seen.length], [null, 503, 'busy now', 3, 3])
  assert.equal(headers[headers.indexOf('x-odd') + 1], 'yes')
  assert.deepEqual(
    trace.attempts.map(({ status }) => status),
    [503, 503, 503],
  )
  assert.deepEqual(trace.asked, [upstream, upstream, upstream])
  assert.ok(trace.firstByteMs !== null && trace.waitedMs >= 0)
})

test('one that is well again answers the same call', async () => {
  let n = 0
  const { upstream, requests } = await upstreamOn((_, response) => (n++ === 0 ? busy(response) : void response.writeHead(200).end('well')))
  const { error, status, text } = await sendTo([upstream])
  assert.deepEqual([error, status, text, requests.length], [null, 200, 'well', 2])
})

test('where nothing had left it is sent again; who took the call and did not answer may have worked, and is not asked twice', async () => {
  const nobody = await upstreamOn(null)
  assert.equal((await sendTo([nobody.upstream])).trace.attempts.length, 3)
  const taken = await upstreamOn((request) => void request.socket.destroy())
  const { error, trace } = await sendTo([taken.upstream])
  assert.deepEqual([reasonOf(error), taken.requests.length, trace.attempts.length], ['upstream_unreachable', 1, 1])
  const other = await upstreamOn((_, response) => void response.end('other'))
  assert.equal((await sendTo([taken.upstream, other.upstream])).text, 'other')
})

test('an answer in a coding that nobody asked for, and hints without end, are no answers', async () => {
  const coded = await upstreamOn((_, response) => {
    response.socket?.end('HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n')
  })
  assert.equal(reasonOf((await sendTo([coded.upstream])).error), 'upstream_unreachable')
  for (const [hints, status] of [
    [1_000, 200],
    [1_001, null],
  ] as const) {
    const hinting = await upstreamOn(
      (_, response) => void response.socket?.end(`${'HTTP/1.1 103 Hints\r\n\r\n'.repeat(hints)}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n`),
    )
    assert.deepEqual([(await sendTo([hinting.upstream])).status, hinting.requests.length], [status, 1])
  }
})

test('once an answer has begun nobody is asked again, whatever becomes of it', async () => {
  const halfway = await upstreamOn((_, response) => {
    response.writeHead(200, { 'content-length': '100' }).write('half')
    setImmediate(() => response.destroy())
  })
  const other = await upstreamOn((_, response) => void response.end('other'))
  const { error, status } = await sendTo([halfway.upstream, other.upstream])
  assert.deepEqual([reasonOf(error), status, halfway.requests.length, other.requests.length], ['upstream_unreachable', 200, 1, 0])
})

test('what is done at one provider is sent once: files, batches, and whatever no dialect describes', async () => {
  for (const [path, headers] of [
    ['/v1/files', {}],
    ['/v1/messages/batches', { 'anthropic-version': '2023-06-01' }],
  ] as const) {
    const { upstream, requests } = await upstreamOn((_, response) => busy(response))
    const { status } = await sendTo([upstream], { at: endpointOf('POST', path, headers) as Endpoint })
    assert.deepEqual([status, requests.length], [503, 1], path)
  }
})

test('a client that leaves while its call waits to be sent again ends the wait at once, and nothing is sent', async () => {
  const results: AttemptResult[] = []
  const { upstream, requests } = await upstreamOn(
    (_, response) => busy(response, { 'retry-after': '5' }),
    {},
    { watch: { attempted: (_, result) => void results.push(result) } },
  )
  let exchange: Exchange | undefined
  const sent = sendTo([upstream], { during: (one) => (exchange = one) })
  await until(() => results.length === 1 && exchange?.busyWith != null, 'the call to wait')
  leave(exchange as Exchange)
  const { error, trace } = await sent
  assert.deepEqual([error instanceof Error && 'code' in error && error.code, requests.length, trace.attempts.length], ['CLIENT_LEFT', 1, 1])
  assert.deepEqual([exchange?.busyWith, upstream.standing.mayRepeat], [null, true])
})

test('where nobody can be asked after all, the answer that was passed over is handed on; one that was not kept is a 503', async () => {
  for (const [body, status, reason] of [
    ['busy now', 503, null],
    ['x'.repeat(100_000), null, 'unavailable'],
  ] as const) {
    let isCurrent = true
    const switchOff = { attempted: () => void (isCurrent = false) }
    const { upstream, requests } = await upstreamOn((_, response) => void response.writeHead(503).end(body), {}, { watch: switchOff })
    const sent = await sendTo([{ ...upstream, isCurrent: () => isCurrent }])
    assert.deepEqual([sent.status, sent.text.length, reasonOf(sent.error), requests.length], [status, status === null ? 0 : body.length, reason, 1])
  }
})

test('where all are left alone the call is refused at once with when to come back, and nobody is asked', async () => {
  const { upstream, requests } = await upstreamOn((_, response) => busy(response), {}, { now: () => 5 })
  for (let i = 0; i < FAILURES_TILL_DOWN; i++) await sendTo([upstream])
  const { length } = requests
  const { error, trace, status } = await sendTo([upstream])
  assert.ok(error instanceof Failure && error.reason === 'unavailable' && error.cause instanceof Refusal)
  assert.deepEqual([error.cause.status, error.cause.headers, status, trace.attempts, requests.length], [503, ['retry-after', '1'], null, [], length])
  const well = await upstreamOn((_, response) => void response.end('well'))
  assert.equal((await sendTo([upstream, well.upstream])).text, 'well', 'another candidate serves it')
  assert.equal(requests.length, length)
})

test('an attempt ends after its total time, whether nothing comes or it drips for ever; the next candidate is asked only where nothing came', async () => {
  const other = await upstreamOn((_, response) => void response.end('other'))
  const silent = await upstreamOn(() => {}, { totalMs: 20 })
  const { text, trace } = await sendTo([silent.upstream, other.upstream])
  assert.deepEqual([text, trace.attempts.map(({ error }) => error)], ['other', ['REPLY_TIMEOUT', null]])
  assert.equal(reasonOf((await sendTo([silent.upstream])).error), 'upstream_timeout')
  for (const drips of [true, false]) {
    const results: AttemptResult[] = []
    let closed = false
    const begun = await upstreamOn(
      (_, response) => {
        response.writeHead(200).write('x')
        const timer = setInterval(() => drips && response.write('x'), 1)
        response.on('close', () => {
          clearInterval(timer)
          closed = true
        })
      },
      { totalMs: 600 },
      { watch: { attempted: (_, result) => void results.push(result) } },
    )
    const sent = await sendTo([begun.upstream, other.upstream])
    assert.deepEqual([reasonOf(sent.error), sent.status, results], ['upstream_timeout', 200, ['timeout']])
    await until(() => closed, 'the connection to be closed')
  }
  assert.equal(other.requests.length, 1)
})

test('how an attempt ended is counted: every kind by its own name', async () => {
  const results: AttemptResult[] = []
  const watched = { watch: { attempted: (_: unknown, result: AttemptResult) => void results.push(result) }, hasBreaker: false }
  for (const status of [200, 404, 429, 500]) {
    const { upstream } = await upstreamOn((_, response) => void response.writeHead(status).end(), {}, watched)
    await sendTo([upstream])
  }
  const cut = await upstreamOn(
    (_, response) => {
      response.writeHead(200, { 'content-length': '9' }).write('x')
      setImmediate(() => response.destroy())
    },
    {},
    watched,
  )
  await sendTo([cut.upstream])
  await sendTo([(await upstreamOn(null, {}, watched)).upstream])
  const silent = await upstreamOn(() => {}, {}, watched)
  await sendTo([silent.upstream], { during: leave })
  assert.deepEqual(results, ['ok', 'client_error', 'rate_limited', 'server_error', 'cut', 'unreachable', 'unreachable', 'unreachable', 'cancelled'])
})

test('an upstream that waits for a credential the caller has not sent is passed by; the caller is told of it only where nobody else is left', async () => {
  const limited = await upstreamOn((_, response) => void response.writeHead(429, { 'retry-after': '3' }).end('limit'))
  const own = await upstreamOn((_, response) => void response.end('own'), { passthrough: true })
  const third = await upstreamOn((_, response) => void response.end('third'))
  const sent = await sendTo([limited.upstream, own.upstream])
  assert.deepEqual([sent.status, sent.text, own.requests.length], [429, 'limit', 0])
  assert.equal((await sendTo([limited.upstream, own.upstream, third.upstream])).text, 'third')
  const none = await sendTo([own.upstream])
  assert.deepEqual([none.error instanceof Refusal && none.error.reason, none.trace.attempts], ['unauthenticated', []])
})

test('calls without a credential take no probe of an upstream that is left alone', async () => {
  const { upstream } = await upstreamOn((_, response) => void response.end(), { passthrough: true })
  const breaker = { enters: 0 }
  const standing = Object.create(upstream.standing, { enter: { value: () => void breaker.enters++ } })
  await sendTo([{ ...upstream, standing }])
  assert.equal(breaker.enters, 0)
})

test('who waits for a connection waits in order before the pool, leaves at once, and makes room; the total time-out counts and tells nothing of the provider', async () => {
  const held: ServerResponse[] = []
  const gate = createGate(1)
  const { upstream, requests, seen } = await upstreamOn((_, response) => void held.push(response), { queueMax: 2 }, { gate })
  const first = sendTo([upstream])
  await until(() => held.length === 1, 'the first to be asked')
  let exchange: Exchange | undefined
  const second = sendTo([upstream], { during: (one) => (exchange = one) })
  await until(() => gate.waiting === 1, 'the second to wait')
  const late = sendTo([{ ...upstream, totalMs: 5 }])
  assert.deepEqual([reasonOf((await late).error), (await late).trace.attempts[0]?.error, seen], ['upstream_timeout', 'QUEUE_TIMEOUT', []])
  const third = sendTo([upstream])
  await until(() => gate.waiting === 2, 'the third to wait')
  assert.equal(reasonOf((await sendTo([upstream])).error), 'unavailable', 'two may wait')
  assert.equal(upstream.pool.stats.queued, 0)
  leave(exchange as Exchange)
  assert.deepEqual([(await second).trace.asked, gate.waiting, requests.length], [[null], 1, 1])
  held[0]?.end('first')
  await first
  await until(() => held.length === 2, 'the third to be asked')
  held[1]?.end('third')
  assert.deepEqual([(await third).text, gate.waiting], ['third', 0])
})

test('an upload that breaks off tells nothing of its provider; a small call that does, does', async () => {
  const { upstream, seen } = await upstreamOn((request) => void request.socket.resetAndDestroy())
  for (let i = 0; i < FAILURES_TILL_DOWN; i++) await sendAs([upstream], { body: Buffer.alloc(1 << 20) })
  assert.deepEqual([upstream.standing.state, seen], ['closed', []])
  for (let i = 0; i < FAILURES_TILL_DOWN; i++) await sendTo([upstream])
  assert.equal(upstream.standing.state, 'open')
})

test('before somebody else is set to work beside one who may have worked, it must be affordable; a refusal costs nothing', async () => {
  const other = await upstreamOn((_, response) => void response.end('other'))
  for (const [script, status, asks] of [
    [(_, response) => void response.destroy(), null, 1],
    [(_, response) => void response.writeHead(504).end('slow'), 504, 1],
    [(_, response) => busy(response), 200, 0],
  ] as [RequestListener, number | null, number][]) {
    let asked = 0
    const usedUp = new Refusal('budget_exceeded', 'used up')
    const one = await upstreamOn(script)
    const afford = async (): Promise<void> => {
      asked++
      throw usedUp
    }
    const sent = await sendAs([one.upstream, other.upstream], { afford })
    assert.deepEqual([asked, sent.status, sent.error], [asks, status, status === null ? usedUp : null])
  }
  assert.equal(other.requests.length, 1)
})

/** With a body, or a purse, of its own. */
async function sendAs(upstreams: readonly Upstream[], { body = Buffer.from('{}'), afford }: { body?: Buffer; afford?: () => Promise<void> }) {
  const trace = { waitedMs: 0, overheadMs: null, firstByteMs: null, upstreamMs: null, attempts: [], asked: [], untilClose: false }
  const incoming = { method: 'POST', headers: {}, rawHeaders: [] } as unknown as IncomingMessage
  const outgoing = { writableNeedDrain: false } as ServerResponse
  const exchange = { incoming, outgoing, gone: false, signal: new AbortController().signal, busyWith: null, startedAt: 0, trace }
  const sent = { status: null as number | null, error: null as unknown }
  const sink = { head: (status: number) => void (sent.status = status), data: () => true, end() {}, error() {} }
  const sending = { endpoint, query: '', headers: [], type: 'application/json', body }
  await send(exchange, sending, upstreams, sink, undefined, () => 0, afford).catch((error: unknown) => void (sent.error = error))
  return sent
}
