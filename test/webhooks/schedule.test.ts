import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pauseAfter, pauses, retryAfterIn } from '../../src/webhooks/schedule.ts'

const settings = { retries: 3, backoffMs: 500, longRetries: true }
const MIDDLE = 0.5
const HOUR = 3_600_000

test('a delivery that always fails is tried after 0.5, 1, 2 s, 5 and 30 min, 2, 5, 10, 14, 20 and 24 h, and then no more', () => {
  const slept: (number | null)[] = []
  for (let attempts = 1; slept.at(-1) !== null; attempts++) slept.push(pauseAfter(attempts, settings, MIDDLE, null))
  const long = [300_000, 1_800_000, ...[2, 5, 10, 14, 20, 24].map((hours) => hours * HOUR)]
  assert.deepEqual(slept, [500, 1_000, 2_000, ...long, null])
})

test('settings say how many come soon, how soon, and whether the long ones follow', () => {
  assert.deepEqual(pauses({ retries: 5, backoffMs: 100, longRetries: false }), [100, 200, 400, 800, 1600])
  assert.deepEqual(pauses({ retries: 0, backoffMs: 100, longRetries: false }), [])
  assert.equal(pauseAfter(1, { retries: 0, backoffMs: 100, longRetries: true }, MIDDLE, null), 300_000)
  assert.equal(pauseAfter(1, { retries: 0, backoffMs: 100, longRetries: false }, MIDDLE, null), null)
})

test('every pause is a fifth longer or shorter at most, and chance decides', () => {
  pauses(settings).forEach((pause, i) => {
    const of = (random: number) => pauseAfter(i + 1, settings, random, null) ?? Number.NaN
    assert.ok(Math.abs(of(0) - 0.8 * pause) < 1e-6)
    assert.ok(Math.abs(of(1 - Number.EPSILON) - 1.2 * pause) < 1e-3)
    assert.ok(of(0.3) < of(0.7))
  })
})

test('Retry-After makes an attempt later, never sooner, and lasts 5 s at least and a day at most', () => {
  const after = (retryAfterMs: number, attempts = 1) => pauseAfter(attempts, settings, MIDDLE, retryAfterMs)
  assert.equal(after(60_000), 60_000)
  assert.equal(after(0), 5_000)
  assert.equal(after(1e15), 24 * HOUR)
  assert.equal(after(10_000, 4), 300_000, 'the schedule says five minutes')
  assert.equal(after(10_000, 12), null, 'it makes no further attempt')
})

test('Retry-After is read as seconds or as an HTTP date in each of its forms; anything else is nothing', () => {
  const now = Date.parse('Sun, 06 Nov 1994 08:49:07 GMT')
  assert.equal(retryAfterIn('120', now), 120_000)
  assert.equal(retryAfterIn(' 0 ', now), 0)
  assert.equal(retryAfterIn('Sun, 06 Nov 1994 08:49:37 GMT', now), 30_000)
  assert.equal(retryAfterIn('Sunday, 06-Nov-94 08:49:37 GMT', now), 30_000)
  assert.equal(retryAfterIn('Sun, 06 Nov 1994 08:00:00 GMT', now), 0, 'it is past')
  for (const nothing of [null, '', '-1', 'abc', '1.5', '1e9', '12345678901234567890', '1994-11-06', 'Someday, soon']) {
    assert.equal(retryAfterIn(nothing, now), null, String(nothing))
  }
})
