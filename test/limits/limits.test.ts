import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Buckets } from '../../src/limits/buckets.ts'
import { createLimits } from '../../src/limits/limits.ts'
import { tenantNamed } from '../harness/nouns.ts'

const tenant = (maxRequestsPerMinute: number, id = 't') => tenantNamed(id, { maxRequestsPerMinute })

test('the bucket holds ceil(rpm × window ÷ 60 × burst factor) and refills at rpm ÷ 60 a second', async () => {
  let now = 0
  for (const [rpm, windowSeconds, burstFactor, capacity] of [
    [100, 60, 1.5, 150],
    [1, 60, 1.5, 2],
    [10, 1, 1, 1],
    [7, 30, 1, 4],
    [60, 60, 1, 60],
  ] as const) {
    const limits = createLimits({ windowSeconds, burstFactor, now: () => now })
    let taken = 0
    while ((await limits.take(tenant(rpm))).retryInMs === 0) taken++
    assert.equal(taken, capacity, `${rpm}/${windowSeconds}/${burstFactor}`)
    now += 60_000 / rpm
    assert.equal((await limits.take(tenant(rpm))).retryInMs, 0, 'one more after one refill')
    assert.ok((await limits.take(tenant(rpm))).retryInMs > 0)
  }
})

test('waiting exactly what a refusal says succeeds, and a refusal costs nothing', async () => {
  let now = 1000
  const limits = createLimits({ windowSeconds: 60, burstFactor: 1, now: () => now })
  const mine = tenant(6)
  for (let i = 0; i < 6; i++) await limits.take(mine)
  for (let i = 0; i < 100; i++) {
    const { retryInMs, remaining } = await limits.take(mine)
    assert.ok(remaining < 1)
    now += retryInMs
    assert.equal((await limits.take(mine)).retryInMs, 0)
  }
  assert.equal((await limits.take(mine)).fullInMs, 60_000)
})

test('asking whether a bucket is empty takes nothing', async () => {
  const limits = createLimits({ windowSeconds: 60, burstFactor: 1, now: () => 0 })
  for (let i = 0; i < 10; i++) assert.equal(limits.peek(tenant(2)).retryInMs, 0)
  await limits.take(tenant(2))
  await limits.take(tenant(2))
  assert.equal(limits.peek(tenant(2)).retryInMs, 30_000)
})

test('tenants have buckets of their own, a lowered limit clamps what is there, a limit of 0 never passes', async () => {
  const limits = createLimits({ windowSeconds: 60, burstFactor: 1, now: () => 0 })
  assert.equal((await limits.take(tenant(1, 'a'))).retryInMs, 0)
  assert.equal((await limits.take(tenant(1, 'b'))).retryInMs, 0)
  await limits.take(tenant(1000, 'c'))
  assert.equal((await limits.take(tenant(2, 'c'))).remaining, 1)
  assert.equal((await limits.take(tenant(0, 'd'))).retryInMs, Number.POSITIVE_INFINITY)
})

test('a clock that steps back neither refills nor locks', () => {
  let now = 10_000
  const buckets = new Buckets({ keysMax: 10, now: () => now })
  const size = { capacity: 2, refillPerMs: 0.001 }
  buckets.take('k', 2, size)
  now = 0
  assert.equal(buckets.take('k', 1, size).allowed, false)
  now = 1000
  assert.equal(buckets.take('k', 1, size).allowed, true)
})

test('the number of buckets is bounded: the one unused for longest starts afresh', () => {
  const buckets = new Buckets({ keysMax: 2, now: () => 0 })
  const size = { capacity: 1, refillPerMs: 0 }
  for (const key of ['a', 'b']) assert.equal(buckets.take(key, 1, size).allowed, true)
  assert.equal(buckets.take('a', 1, size).allowed, false, 'used again')
  buckets.take('c', 1, size)
  assert.equal(buckets.take('a', 1, size).allowed, false, 'still there')
  assert.equal(buckets.take('b', 1, size).allowed, true, 'forgotten')
})

test('behind the library’s interface: consume resolves with what remains, rejects with when to come back, and does not charge', async () => {
  const buckets = new Buckets({ keysMax: 10, now: () => 0 })
  const size = { capacity: 10, refillPerMs: 0.001 }
  assert.equal((await buckets.consume('k', 8, size)).remainingPoints, 2)
  await assert.rejects(buckets.consume('k', 5, size), { msBeforeNext: 3000, remainingPoints: 2 })
  assert.equal((await buckets.consume('k', 2, size)).remainingPoints, 0)
})
