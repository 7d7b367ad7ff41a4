import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createUpstreamHealth, FAILURES_TILL_DOWN, type Transition } from '../../src/upstreams/health.ts'
import { createHealthRecord } from '../../src/upstreams/health-record.ts'
import { until } from '../harness/client.ts'
import { sendTo, upstreamOn } from './sending.ts'

const openai = { name: 'openai', tenantId: null }
const refused = { status: null, error: 'ECONNREFUSED' }
const answered = (status: number) => ({ status, error: null })

function watched() {
  const told: Transition[] = []
  return { told, ...createUpstreamHealth({ onChange: (transition) => told.push(transition) }) }
}

test('an upstream is down after five attempts in a row without an answer or with a 5xx, and up with the first other answer', () => {
  const { told, saw, isDown } = watched()
  for (const attempt of [refused, answered(500), answered(529), refused]) saw(openai, attempt)
  assert.deepEqual([told, isDown(openai)], [[], false])
  saw(openai, answered(503))
  for (let i = 0; i < 3; i++) saw(openai, refused)
  assert.deepEqual([told, isDown(openai)], [[{ upstream: openai, isDown: true, failures: 5, status: 503, error: null }], true])
  saw(openai, answered(404))
  assert.deepEqual([told[1], isDown(openai), told.length], [{ upstream: openai, isDown: false, failures: 8, status: 404, error: null }, false, 2])
})

test('any answer below 500 between failures begins the count anew: what a client does wrong is an answer', () => {
  const { told, saw } = watched()
  for (let i = 0; i < 20; i++) saw(openai, i % FAILURES_TILL_DOWN === 4 ? answered(400 + i) : refused)
  assert.deepEqual(told, [])
})

test('a tenant’s upstream and the installation’s of the same name are counted apart', () => {
  const { told, saw, isDown } = watched()
  const own = { name: 'openai', tenantId: 't_1' }
  for (let i = 0; i < FAILURES_TILL_DOWN; i++) saw(own, refused)
  saw(openai, answered(200))
  assert.deepEqual([told.length, isDown(own), isDown(openai)], [1, true, false])
})

test('what is our own doing tells nothing of a provider', () => {
  const { told, saw } = watched()
  for (const error of ['OUT_OF_REACH', 'UND_ERR_INVALID_ARG', 'UND_ERR_CLOSED'])
    for (let i = 0; i < FAILURES_TILL_DOWN; i++) saw(openai, { status: null, error })
  assert.deepEqual(told, [])
})

test('however many upstreams fail, the memory is bounded', () => {
  const { saw, isDown } = watched()
  for (let i = 0; i < FAILURES_TILL_DOWN; i++) saw(openai, refused)
  for (let i = 0; i < 10_000; i++) saw({ name: `u_${i}`, tenantId: null }, refused)
  assert.equal(isDown(openai), false, 'the one that was seen first is forgotten')
})

const down = (name = 'openai'): Transition => ({ upstream: { name, tenantId: null }, isDown: true, failures: 5, ...refused })
const up = (name = 'openai'): Transition => ({ upstream: { name, tenantId: null }, isDown: false, failures: 9, ...answered(200) })

function recording(fails: () => boolean = () => false, failuresOnRecord: (name: string) => number | null = () => null) {
  const looked: string[] = []
  const written: unknown[][] = []
  const reported: unknown[] = []
  let tries = 0
  const record = createHealthRecord({
    async record(upstream, action, details) {
      tries++
      await new Promise(setImmediate)
      if (fails()) throw new Error('away')
      written.push([upstream.name, action, details])
    },
    async failuresOnRecord({ name }) {
      looked.push(name)
      return failuresOnRecord(name)
    },
    report: (error) => reported.push(error),
    pauseMs: 1,
  })
  after(() => record.close())
  return { written, reported, looked, ...record, tries: () => tries }
}

test('that one went down and came back is recorded, each once', async () => {
  const { written, changed } = recording()
  changed(down())
  await until(() => written.length === 1, 'the first')
  changed(up())
  await until(() => written.length === 2, 'the second')
  assert.deepEqual(written, [
    ['openai', 'upstream.down', { status: null, error: 'ECONNREFUSED', failures: 5 }],
    ['openai', 'upstream.up', { failures: 9 }],
  ])
})

test('of one that flutters while something is being written only what is left of it is recorded', async () => {
  const { written, changed } = recording()
  changed(down('first'))
  for (let i = 0; i < 1_000; i++) for (const one of [down(), up()]) changed(one)
  changed(down('last'))
  await until(() => written.length === 2, 'both')
  assert.deepEqual(
    written.map(([name]) => name),
    ['first', 'last'],
  )
})

test('what the database does not take is tried again while it lasts, and not for ever', async () => {
  let failures = 3
  const patient = recording(() => failures-- > 0)
  patient.changed(down())
  await until(() => patient.written.length === 1, 'the record')
  const hopeless = recording(() => true)
  hopeless.changed(down())
  await until(() => hopeless.reported.length === 1, 'the report')
  assert.deepEqual([hopeless.tries(), hopeless.written], [12, []])
  // Of what was never recorded the end is not recorded either.
  hopeless.changed(up())
  await new Promise(setImmediate)
  assert.equal(hopeless.tries(), 12)
})

test('with the first answer of one that the record says is down it is recorded as up; the record is asked once of each', async () => {
  const { written, looked, answered, changed } = recording(
    () => false,
    (name) => (name === 'openai' ? 9 : null),
  )
  const health = createUpstreamHealth({ onChange: changed, onAnswer: answered })
  const other = { name: 'other', tenantId: null }
  for (let i = 0; i < 3; i++) for (const one of [openai, other]) health.saw(one, { status: 200, error: null })
  health.saw({ name: 'silent', tenantId: null }, refused)
  await until(() => written.length === 1, 'the record')
  await until(() => looked.length === 2, 'both')
  assert.deepEqual([written, looked], [[['openai', 'upstream.up', { failures: 9 }]], ['openai', 'other']])
})

test('what this process sees while the record is asked is newer than the record', async () => {
  const { promise, resolve } = Promise.withResolvers<number>()
  const { written, looked, answered, changed } = recording(
    () => false,
    () => promise as unknown as number,
  )
  answered(openai)
  await until(() => looked.length === 1, 'the question')
  changed(down())
  resolve(7)
  await until(() => written.length === 1, 'the record')
  changed(up())
  await until(() => written.length === 2, 'the end')
  assert.deepEqual(
    written.map(([, action]) => action),
    ['upstream.down', 'upstream.up'],
  )
})

test('a record that cannot be read is asked again with later answers, and not for ever', async () => {
  let failures = 2
  const patient = recording(
    () => false,
    () => {
      if (failures-- > 0) throw new Error('away')
      return 5
    },
  )
  await until(() => {
    patient.answered(openai)
    return patient.written.length === 1
  }, 'the record')
  assert.deepEqual([patient.looked.length, patient.reported], [3, []])
  const hopeless = recording(
    () => false,
    () => {
      throw new Error('away')
    },
  )
  await until(() => {
    hopeless.answered(openai)
    return hopeless.reported.length > 0
  }, 'the report')
  hopeless.answered(openai)
  await new Promise(setImmediate)
  assert.equal(hopeless.looked.length, 12)
})

test('an attempt tells its upstream with the head of the answer, or with its end where there is none; each of several tells its own', async () => {
  const busy = await upstreamOn((_, res) => void res.writeHead(503).end('busy'))
  const wrong = await upstreamOn((_, res) => void res.writeHead(400).end('no'))
  const nobody = await upstreamOn(null)
  const cut = await upstreamOn((req) => void req.socket.destroy())
  await sendTo([busy.upstream, nobody.upstream, cut.upstream, wrong.upstream])
  assert.deepEqual(
    [busy, nobody, cut, wrong].map(({ seen }) => seen),
    [[{ status: 503, error: null }], [{ status: null, error: 'ECONNREFUSED' }], [{ status: null, error: 'UND_ERR_SOCKET' }], [{ status: 400, error: null }]],
  )
  const halfway = await upstreamOn((_, res) => {
    res.writeHead(200, { 'content-length': '100' }).write('half')
    setImmediate(() => res.destroy())
  })
  await sendTo([halfway.upstream])
  assert.deepEqual(halfway.seen, [{ status: 200, error: null }], 'an answer that breaks off was one')
})

test('an attempt whose client left tells nothing', async () => {
  const silent = await upstreamOn(() => {})
  await sendTo([silent.upstream], {
    during(exchange) {
      exchange.gone = true
      exchange.busyWith?.interrupt()
    },
  })
  assert.deepEqual(silent.seen, [])
})
