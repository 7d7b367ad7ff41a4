import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBreaker, type Pass, PROBE_EVERY_MS, PROBE_MS_MAX } from '../../src/upstreams/breaker.ts'
import { FAILURES_TILL_DOWN } from '../../src/upstreams/health.ts'

const refused = { status: null, error: 'ECONNREFUSED' }
const answered = (status: number) => ({ status, error: null })

function clocked() {
  let ms = 123_456
  const changes: boolean[] = []
  const breaker = createBreaker({ now: () => ms, onChange: (isOpen) => changes.push(isOpen) })
  const enter = (): Pass => {
    const pass = breaker.enter()
    assert.ok(pass, 'let through')
    return pass
  }
  return {
    breaker,
    changes,
    enter,
    /** One attempt from its beginning to its end. */
    saw(attempt: { status: number | null; error: string | null }) {
      const pass = enter()
      pass.saw(attempt)
      pass.leave()
    },
    pass: (more: number) => void (ms += more),
  }
}

function opened() {
  const one = clocked()
  for (let i = 0; i < FAILURES_TILL_DOWN; i++) one.saw(refused)
  assert.equal(one.breaker.state, 'open')
  return one
}

test('five attempts in a row for which nobody was there open it, whatever says so, and nothing goes there then', () => {
  const { breaker, changes, saw } = clocked()
  const kinds = [refused, answered(502), answered(503), { status: null, error: 'UND_ERR_HEADERS_TIMEOUT' }, answered(504)]
  for (const kind of kinds.slice(1)) saw(kind)
  assert.deepEqual([breaker.state, breaker.failures, changes], ['closed', 4, []])
  saw(answered(529))
  assert.deepEqual([breaker.state, breaker.isShut, breaker.enter(), changes], ['open', true, null, [true]])
})

test('what a client does wrong, a limit that it is over, and our own doing open it never, however often', () => {
  const { breaker, saw } = clocked()
  const kinds = [...[400, 401, 403, 404, 413, 422, 429].map(answered), { status: null, error: 'OUT_OF_REACH' }, { status: null, error: 'UND_ERR_INVALID_ARG' }]
  for (let i = 0; i < 200; i++) for (const kind of kinds) saw(kind)
  assert.equal(breaker.state, 'closed')
})

test('an attempt that ended without telling anything, for its client had left, opens it never', () => {
  const { breaker, enter } = clocked()
  for (let i = 0; i < 100; i++) enter().leave()
  assert.equal(breaker.state, 'closed')
})

test('any other answer between failures begins the row anew; our own doing does not', () => {
  const { breaker, saw } = clocked()
  for (let i = 0; i < 8; i++) saw(i % 5 === 4 ? answered(400) : refused)
  assert.equal(breaker.failures, 3)
  for (const attempt of [{ status: null, error: 'UND_ERR_CLOSED' }, refused, refused]) saw(attempt)
  assert.equal(breaker.state, 'open')
})

test('half of at least twenty attempts of the last ten seconds that failed open it, errors of the provider’s own among them', () => {
  const few = clocked()
  for (let i = 0; i < 19; i++) few.saw(answered(500))
  assert.equal(few.breaker.state, 'closed', 'nineteen are too few')
  few.saw(answered(500))
  assert.equal(few.breaker.state, 'open')
  const under = clocked()
  for (let i = 0; i < 200; i++) under.saw(answered(i % 5 < 3 ? 200 : 500))
  assert.equal(under.breaker.state, 'closed', 'two of five')
  const old = clocked()
  for (let i = 0; i < 19; i++) old.saw(answered(500))
  old.pass(10_000)
  for (let i = 0; i < 19; i++) old.saw(answered(500))
  assert.equal(old.breaker.state, 'closed', 'what is older than ten seconds is forgotten')
  old.pass(9_000)
  old.saw(answered(500))
  assert.equal(old.breaker.state, 'open', 'what is younger is not')
})

test('while it is open one probe at a time is let through, at most one each second', () => {
  const { breaker, pass, enter } = opened()
  pass(PROBE_EVERY_MS - 1)
  assert.deepEqual([breaker.enter(), breaker.probeInMs], [null, 1])
  pass(1)
  const probe = enter()
  assert.deepEqual([breaker.state, breaker.enter()], ['half_open', null])
  pass(5_000)
  assert.equal(breaker.enter(), null, 'the probe is still under way')
  probe.saw(answered(503))
  probe.leave()
  assert.deepEqual([breaker.state, breaker.isShut], ['open', false], 'a failure keeps it open, and the next probe is due')
  const next = enter()
  next.saw(refused)
  next.leave()
  assert.deepEqual([breaker.enter(), breaker.probeInMs], [null, PROBE_EVERY_MS])
})

test('a probe that is answered closes it, by a refusal of the client’s too, and the count begins anew', () => {
  for (const status of [200, 404, 429]) {
    const { breaker, changes, pass, saw } = opened()
    pass(PROBE_EVERY_MS)
    saw(answered(status))
    assert.deepEqual([breaker.state, changes, breaker.failures], ['closed', [true, false], 0], String(status))
    for (let i = 1; i < FAILURES_TILL_DOWN; i++) saw(refused)
    assert.equal(breaker.state, 'closed')
    saw(refused)
    assert.equal(breaker.state, 'open')
  }
})

test('a probe whose client leaves tells nothing and makes room for the next; one that hangs stands in the way for ten seconds at most', () => {
  const { breaker, pass, enter } = opened()
  pass(PROBE_EVERY_MS)
  enter().leave()
  assert.deepEqual([breaker.state, breaker.isShut], ['open', false], 'at once')
  const ours = enter()
  ours.saw({ status: null, error: 'OUT_OF_REACH' })
  assert.equal(breaker.enter(), null, 'one at a time')
  ours.leave()
  const hanging = enter()
  pass(PROBE_MS_MAX - 1)
  assert.equal(breaker.enter(), null)
  pass(1)
  const second = enter()
  hanging.leave()
  assert.equal(breaker.enter(), null, 'the end of the first does not let a third one in beside the second')
  second.saw(answered(200))
  assert.equal(breaker.state, 'closed')
})

test('what began before it opened, or before it closed, tells nothing of the time after', () => {
  const { breaker, pass, enter, saw, changes } = clocked()
  const early = Array.from({ length: 20 }, enter)
  for (let i = 0; i < FAILURES_TILL_DOWN; i++) saw(refused)
  early[0]?.saw(answered(200))
  assert.equal(breaker.state, 'open', 'an old success does not close it')
  pass(PROBE_EVERY_MS)
  saw(answered(200))
  for (const late of early.slice(1)) late.saw(refused)
  assert.deepEqual([breaker.state, changes], ['closed', [true, false]], 'old failures do not open it again')
})
