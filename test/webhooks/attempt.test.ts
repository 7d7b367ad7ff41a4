import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { parseEgressAllow } from '../../src/egress/allow.ts'
import { createEgress } from '../../src/egress/dispatcher.ts'
import { createAttempts, type Delivery } from '../../src/webhooks/attempt.ts'
import { createEndpointPools } from '../../src/webhooks/endpoint-pools.ts'
import { until } from '../harness/client.ts'
import {
  answers,
  answersEndlessly,
  closesEarly,
  dripsBody,
  dripsHead,
  endlessHead,
  gzipBomb,
  hangs,
  interimForever,
  type Reaction,
  type Receiver,
  startReceiver,
  talksGarbage,
} from '../harness/receiver.ts'

const WALL = Date.parse('2026-11-30T00:00:00Z')
/** Long enough for whatever is answered at all. */
const PATIENT_MS = 20_000
const IMPATIENT_MS = 150

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

const egressTo = (allow: string) => createEgress({ allow: parseEgressAllow(allow) })
function attemptsWithin(timeoutMs: number, egress = egressTo('loopback'), https: 'required' | 'unless opened' = 'unless opened') {
  const attempts = createAttempts({ egress, https, timeoutMs, now: () => performance.now(), wallNow: () => WALL })
  closers.push(attempts.close)
  return attempts
}
async function receiverThat(react: Reaction): Promise<Receiver> {
  const receiver = await startReceiver(react)
  closers.push(receiver.close)
  return receiver
}
const to = (url: string, more: Partial<Delivery> = {}): Delivery => ({
  webhookId: 'wh_1',
  url,
  headers: { 'content-type': 'application/json', 'webhook-id': 'evt_1' },
  body: Buffer.from('{"a":"ü"}'),
  secrets: [],
  ...more,
})
const sent = async (react: Reaction, timeoutMs = PATIENT_MS, more: Partial<Delivery> = {}) => {
  const receiver = await receiverThat(react)
  const { ms, ...outcome } = await attemptsWithin(timeoutMs).send(to(receiver.url, more))
  assert.ok(ms >= 0)
  return { receiver, outcome }
}

test('the bytes, the headers and the path arrive as they were given, and nothing is asked for that would have to be unpacked', async () => {
  const receiver = await receiverThat(answers(200, { 'content-type': 'text/plain' }, 'thanks'))
  const { ms: _, ...outcome } = await attemptsWithin(PATIENT_MS).send(to(`${receiver.origin}/a/b?c=d%20e`))
  assert.deepEqual(outcome, { status: 200, error: null, response: 'thanks', retryAfterMs: null })
  const [one] = receiver.received
  assert.deepEqual([one?.method, one?.path, one?.body.toString()], ['POST', '/a/b?c=d%20e', '{"a":"ü"}'])
  assert.deepEqual([one?.headers['webhook-id'], one?.headers['accept-encoding'], one?.headers['content-length']], ['evt_1', 'identity', '10'])
})

test('a receiver that hangs, or sends its head byte by byte, is given up when the time is over', async () => {
  for (const react of [hangs, dripsHead]) {
    const { receiver, outcome } = await sent(react, IMPATIENT_MS)
    assert.deepEqual(outcome, { status: null, error: 'TIMEOUT', response: null, retryAfterMs: null })
    await until(() => receiver.received[0]?.socket.destroyed === true, 'the connection to be closed')
  }
})

test('the head decides: one whose body never ends has answered, and is cut off when the time is over', async () => {
  for (const status of [200, 500]) {
    const { receiver, outcome } = await sent(dripsBody(status), IMPATIENT_MS)
    assert.deepEqual([outcome.status, outcome.error], [status, null])
    assert.match(outcome.response ?? '', /^b*$/)
    await until(() => receiver.received[0]?.socket.destroyed === true, 'the connection to be closed')
  }
})

test('of ten gigabytes 64 KiB are read and 1,000 characters are kept', async () => {
  const { receiver, outcome } = await sent(answersEndlessly(200))
  assert.deepEqual([outcome.status, outcome.response], [200, 'c'.repeat(1_000)])
  await until(() => receiver.received[0]?.socket.destroyed === true, 'the connection to be closed')
  assert.ok((receiver.received[0]?.socket.bytesWritten ?? 0) < 50_000_000)
})

test('whoever closes early, or does not speak HTTP, has an error with a code', async () => {
  assert.deepEqual((await sent(closesEarly)).outcome, { status: null, error: 'UND_ERR_SOCKET', response: null, retryAfterMs: null })
  assert.deepEqual((await sent(talksGarbage)).outcome, { status: null, error: 'NOT_HTTP', response: null, retryAfterMs: null })
})

test('heads without end, and interim answers without end, are given up long before the time is over', async () => {
  assert.equal((await sent(endlessHead)).outcome.error, 'UND_ERR_HEADERS_OVERFLOW')
  assert.equal((await sent(interimForever)).outcome.error, 'TOO_MANY_INTERIM_ANSWERS')
})

test('a packed answer is not unpacked', async () => {
  const { outcome } = await sent(gzipBomb)
  assert.equal(outcome.status, 200)
  assert.ok((outcome.response ?? '').length <= 1_000)
})

test('a redirect is an answer like another: nobody goes where it says', async () => {
  const elsewhere = await receiverThat(answers(200))
  for (const status of [301, 302, 303, 307, 308]) {
    const { outcome } = await sent(answers(status, { location: elsewhere.url }))
    assert.deepEqual([outcome.status, outcome.error], [status, null])
  }
  assert.deepEqual(elsewhere.received, [])
})

test('what is kept of an answer has no control characters, no half characters and none of our secrets', async () => {
  const secret = 'whsec_abcdefghijklmnopqrstuvwxyz012345'
  const body = `\u0000a\r\nb\u001b[31m c\u0085 ${secret} ${'\u{1F600}'.repeat(600)}`
  const { outcome } = await sent(answers(400, {}, body), PATIENT_MS, { secrets: [secret] })
  assert.match(outcome.response ?? '', /^a b \[31m c\s+… \u{1F600}+.?$/u)
  assert.equal(outcome.response, outcome.response?.toWellFormed())
  assert.ok(!outcome.response?.includes('\u0000'))
  const binary = await sent(({ response }) => void response.writeHead(400).end(Buffer.from([0xff, 0xfe, 0xf0, 0x9f])))
  assert.equal(binary.outcome.response, binary.outcome.response?.toWellFormed())
})

test('none of our secrets is kept where it comes in two pieces, or is cut off with the answer', async () => {
  const secret = 'whsec_abcdefghijklmnopqrstuvwxyz012345abcdefgh'
  const pieces: Reaction = ({ response }) => {
    response.writeHead(400)
    response.write(`a ${secret.slice(0, 20)}`, () => void setImmediate(() => response.end(`${secret.slice(20)} b`)))
  }
  assert.equal((await sent(pieces, PATIENT_MS, { secrets: [secret] })).outcome.response, 'a … b')
  const blanks = '\n'.repeat(65_536 - 30)
  const cut = await sent(answers(400, {}, blanks + secret), PATIENT_MS, { secrets: [secret] })
  assert.equal(cut.outcome.response, '…')
})

test('Retry-After is read in both forms', async () => {
  assert.equal((await sent(answers(503, { 'retry-after': '7' }))).outcome.retryAfterMs, 7_000)
  assert.equal((await sent(answers(503, { 'retry-after': new Date(WALL + 9_000).toUTCString() }))).outcome.retryAfterMs, 9_000)
})

test('nobody listens, or it may not be reached: a code each, and no connection', async () => {
  const receiver = await receiverThat(answers(200))
  const closed = await receiverThat(answers(200))
  closed.close()
  assert.equal((await attemptsWithin(PATIENT_MS).send(to(closed.url))).error, 'ECONNREFUSED')
  const inside = [receiver.url, receiver.url.replace('127.0.0.1', '[::ffff:127.0.0.1]'), receiver.url.replace('127.0.0.1', 'localhost')]
  for (const url of [...inside, receiver.url.replace('http:', 'https:'), 'https://169.254.169.254/latest', 'https://10.0.0.1/']) {
    assert.equal((await attemptsWithin(PATIENT_MS, egressTo('')).send(to(url))).error, 'EGRESS_REFUSED', url)
  }
  assert.equal(receiver.connections, 0)
})

test('a name that leads inside by now is refused when it is connected to, though it was outside when it was saved', async () => {
  const receiver = await receiverThat(answers(200))
  let addresses = ['93.184.215.14']
  const egress = createEgress({ allow: parseEgressAllow(''), lookup: async () => addresses })
  const url = receiver.url.replace('http://127.0.0.1', 'https://hooks.example')
  await egress.check(url, { https: 'required' })
  for (const inside of [['127.0.0.1'], ['93.184.215.14', '127.0.0.1'], ['::ffff:127.0.0.1']]) {
    addresses = inside
    assert.equal((await attemptsWithin(PATIENT_MS, egress).send(to(url))).error, 'EGRESS_REFUSED')
  }
  assert.equal(receiver.connections, 0)
})

test('plain HTTP is spoken only where EGRESS_ALLOW opens the address, and never where HTTPS is required', async () => {
  const receiver = await receiverThat(answers(200))
  assert.equal((await attemptsWithin(PATIENT_MS, egressTo('loopback'), 'required').send(to(receiver.url))).error, 'EGRESS_REFUSED')
  const egress = createEgress({ allow: parseEgressAllow(''), lookup: async () => ['93.184.215.14'] })
  assert.equal((await attemptsWithin(PATIENT_MS, egress).send(to('http://hooks.example/'))).error, 'EGRESS_REFUSED')
  assert.equal(receiver.connections, 0)
})

test('attempts of one endpoint share a connection, and no two endpoints do, even of one address', async () => {
  const receiver = await receiverThat(answers(204))
  const attempts = attemptsWithin(PATIENT_MS)
  for (const webhookId of ['wh_1', 'wh_2', 'wh_1', 'wh_2']) assert.equal((await attempts.send(to(receiver.url, { webhookId }))).status, 204)
  assert.equal(receiver.connections, 2)
  assert.equal(new Set(receiver.received.map(({ socket }) => socket.remotePort)).size, 2)
})

test('an endpoint that hangs holds up neither another nor, beyond four attempts, the process', async () => {
  const slow = await receiverThat(hangs)
  const quick = await receiverThat(answers(204))
  const attempts = attemptsWithin(PATIENT_MS)
  const hanging = Array.from({ length: 6 }, () => attempts.send(to(slow.url)))
  await until(() => slow.received.length === 4, 'four attempts to be under way')
  assert.equal((await attempts.send(to(quick.url, { webhookId: 'wh_2' }))).status, 204)
  assert.equal(slow.connections, 4)
  attempts.close()
  assert.deepEqual(
    (await Promise.all(hanging)).map(({ status }) => status),
    Array(6).fill(null),
  )
})

test('an endpoint that has moved is not spoken to where it was, and so many endpoints have connections at most', async () => {
  const opened: string[] = []
  const destroyed: string[] = []
  const egress = {
    pool: (origin: string) => {
      opened.push(origin)
      return { destroy: async () => void destroyed.push(origin) } as unknown as ReturnType<ReturnType<typeof createEgress>['pool']>
    },
  }
  const pools = createEndpointPools({ egress, connections: 4, connectMs: 1, timeoutMs: 1, endpointsMax: 2 })
  closers.push(pools.close)
  const use = (id: string, origin: string, work = async () => {}) => pools.use(id, origin, work)
  await use('a', 'http://old')
  await use('a', 'http://new')
  assert.deepEqual([opened, destroyed], [['http://old', 'http://new'], ['http://old']])
  await use('b', 'http://b')
  await use('a', 'http://new')
  await use('c', 'http://c')
  assert.deepEqual(destroyed, ['http://old', 'http://b'], 'the one that rested longest')
  assert.equal(pools.size, 2)
  await use('a', 'http://new', async () => {
    await use('d', 'http://d')
    await use('e', 'http://e')
    assert.ok(!destroyed.includes('http://new'), 'not one that is in use')
  })
})
