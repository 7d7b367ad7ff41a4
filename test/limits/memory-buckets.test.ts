/** What hangs on the clock, to the millisecond, and what a process does that counts by itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Caller } from '../../src/call.ts'
import { createDemands } from '../../src/limits/demands.ts'
import { createLeases } from '../../src/limits/leases.ts'
import type { Hold } from '../../src/limits/limits.ts'
import { MemoryBuckets } from '../../src/limits/memory-buckets.ts'
import { callBy, callerWith, countTaken, limitsOn, type More, NOON, refused, take } from './counters.ts'

const HALF_DAY = 43_200_000

/** Limits with a clock of their own, that both their clocks follow. */
function clocked({ processes = 1, burstFactor = 1, startsAt = NOON } = {}) {
  const clock = { now: 0, wall: startsAt, processes }
  const limits = limitsOn(null, { now: () => clock.now, wallNow: () => clock.wall, liveProcesses: () => clock.processes, burstFactor })
  const wait = (ms: number) => {
    clock.now += ms
    clock.wall += ms
  }
  return { clock, limits, wait }
}

test('waiting exactly what a refusal says succeeds, and a millisecond less does not', async () => {
  for (const [tenant, input] of [
    [{ requestsPerMinute: 7 }, 0],
    [{ tokensPerMinute: 1000 }, 333],
    [{ requestsPerMinute: 13, tokensPerMinute: 700, requestsPerDay: 1000 }, 61],
  ] as const) {
    const { limits, wait } = clocked()
    const caller = callerWith({ tenant })
    await countTaken(limits, caller, 1000, { input })
    for (let i = 0; i < 50; i++) {
      const { state } = await refused(limits, caller, { input })
      wait(state.retryInMs - 1)
      await refused(limits, caller, { input })
      wait(1)
      await take(limits, caller, { input })
    }
  }
})

test('a minute’s limit is full when it says so, and never holds more', async () => {
  const { limits, wait } = clocked({ burstFactor: 1.5 })
  const caller = callerWith({ tenant: { requestsPerMinute: 60 } })
  assert.equal(await countTaken(limits, caller, 100), 90)
  const { state } = await refused(limits, caller)
  assert.equal(state.fullInMs, 90_000)
  wait(state.fullInMs)
  assert.deepEqual(limits.peek(caller), { requestsPerMinute: 60, remaining: 60, fullInMs: 0, retryInMs: 0, tokens: null })
  wait(1e9)
  assert.equal(await countTaken(limits, caller, 100), 90)
})

test('a day ends at midnight in UTC, and a refusal says when that is', async () => {
  const { limits, wait } = clocked({ startsAt: NOON })
  const caller = callerWith({ tenant: { requestsPerDay: 2, tokensPerDay: 100 } })
  assert.equal(await countTaken(limits, caller, 5), 2)
  assert.equal((await refused(limits, caller)).state.retryInMs, HALF_DAY)
  assert.equal(limits.peek(caller).retryInMs, HALF_DAY)
  wait(HALF_DAY - 1)
  assert.equal((await refused(limits, caller)).state.retryInMs, 1)
  wait(1)
  assert.equal(limits.peek(caller).retryInMs, 0)
  assert.equal(await countTaken(limits, caller, 5), 2)
})

test('what a day gave goes back to that day alone, and so does what is owed', async () => {
  for (const used of [0, 500]) {
    const { limits, wait } = clocked()
    const caller = callerWith({ tenant: { tokensPerDay: 100 } })
    const hold = await take(limits, caller, { input: 60 })
    wait(HALF_DAY)
    await take(limits, caller, { input: 50 })
    await hold.settle(used)
    await refused(limits, caller, { input: 51 })
    await take(limits, caller, { input: 50 })
  }
})

test('clocks that go back give nothing and keep nobody waiting for longer than before', async () => {
  const { clock, limits, wait } = clocked()
  const caller = callerWith({ tenant: { requestsPerMinute: 60, requestsPerDay: 100 } })
  assert.equal(await countTaken(limits, caller, 100), 60)
  clock.now -= 10_000
  clock.wall -= 10_000
  assert.equal((await refused(limits, caller)).state.retryInMs, 1000)
  wait(1000)
  await take(limits, caller)
  await refused(limits, caller)
  // Back over midnight: the day before is not given once more.
  wait(HALF_DAY + 60_000)
  assert.equal(await countTaken(limits, caller, 100), 60)
  wait(60_000)
  assert.equal(await countTaken(limits, caller, 100), 40)
  clock.wall -= 150_000
  assert.equal((await refused(limits, caller)).over?.per, 'day')
  assert.ok((await refused(limits, caller)).state.retryInMs <= 60_000)
  wait(60_000)
  assert.equal(await countTaken(limits, caller, 100), 60)
})

test('where several processes count by themselves, they let in no more than the limit together', async () => {
  const processes = 4
  const tenant = { requestsPerMinute: 40, requestsPerDay: 50, concurrency: 8, tokensPerMinute: 4000 }
  for (const [more, most] of [
    [{}, 8],
    [{ input: 1000 }, 4],
  ] as const) {
    let together = 0
    const holds: Hold[] = []
    for (let process = 0; process < processes; process++) {
      const { limits } = clocked({ processes })
      const caller = callerWith({ tenant })
      for (;;) {
        const { hold, mode, state } = await limits.take(callBy(caller, more))
        assert.equal(mode, 'local')
        assert.equal(state.requestsPerMinute, 40, 'the limit is told, not the part')
        if (!hold) break
        holds.push(hold)
        together++
      }
    }
    assert.equal(together, most)
  }
  const { limits, wait } = clocked({ processes })
  const caller = callerWith({ tenant: { requestsPerMinute: 40 } })
  assert.equal(await countTaken(limits, caller, 100), 10)
  const { state } = await refused(limits, caller)
  assert.equal(state.retryInMs, 6000, 'a quarter flows in')
  wait(6000)
  await take(limits, caller)
  await refused(limits, caller)
  const daily = callerWith({ tenant: { requestsPerDay: 50 } })
  assert.equal(await countTaken(limits, daily, 100), 12)
})

test('a part is never smaller than one call that the whole allows', async () => {
  const { limits, wait } = clocked({ processes: 10 })
  const caller = callerWith({ tenant: { tokensPerMinute: 1000, tokensPerDay: 1000, concurrency: 3, requestsPerDay: 5 } })
  const { hold } = await limits.take(callBy(caller, { input: 900 }))
  assert.ok(hold)
  await refused(limits, caller, { input: 1 })
  await hold.settle(0)
  assert.equal((await refused(limits, caller, { input: 1001 })).over?.never, true)
  wait(HALF_DAY)
  await take(limits, caller, { input: 1000 })
})

test('a process that begins to count by itself begins with its part of what Redis last said was left', () => {
  const clock = { now: 0 }
  const demands = createDemands({ windowSeconds: 60, burstFactor: 1 })
  const buckets = new MemoryBuckets({ now: () => clock.now, wallNow: () => NOON + clock.now, leases: createLeases(() => 0), parts: () => 2 })
  const tries = (caller: Caller) => buckets.take(demands.of(callBy(caller))).taken
  const countTries = (caller: Caller) => Array.from({ length: 50 }, () => tries(caller)).filter(Boolean).length
  const caller = callerWith({ tenant: { requestsPerMinute: 30 }, key: { requestsPerDay: 40 } })
  buckets.learn(demands.own(caller), [6, 40])
  assert.equal(countTries(caller), 3)
  buckets.learn(demands.own(caller), [30, 11])
  assert.equal(countTries(caller), 5)
  buckets.learn(demands.own(caller), [6, 40])
  clock.now = 8_000
  assert.equal(countTries(caller), 5, 'four more flowed in for both')
})

test('where many processes share little, peeking does not hold against a caller what a call would get', async () => {
  const { limits, wait } = clocked({ processes: 10 })
  const caller = callerWith({ tenant: { requestsPerMinute: 2 } })
  await take(limits, caller)
  assert.equal(limits.peek(caller).retryInMs, 300_000)
  wait(300_000)
  assert.equal(limits.peek(caller).retryInMs, 0)
  await take(limits, caller)
})

test('a process that is alone again has the whole limit', async () => {
  const { clock, limits, wait } = clocked({ processes: 3 })
  const caller = callerWith({ tenant: { requestsPerMinute: 30 } })
  assert.equal(await countTaken(limits, caller, 100), 10)
  clock.processes = 1
  wait(60_000)
  assert.equal(await countTaken(limits, caller, 100), 30)
  assert.equal((await limits.take(callBy(caller))).mode, 'shared')
  for (const nonsense of [0, -1, Number.NaN, 0.5]) {
    clock.processes = nonsense
    wait(60_000)
    assert.equal(await countTaken(limits, caller, 100), 30, `${nonsense} processes`)
  }
})

test('the number of limits is bounded: the one unused for longest starts afresh, and permits are kept', () => {
  const demands = createDemands({ windowSeconds: 60, burstFactor: 1 })
  const buckets = new MemoryBuckets({ now: () => 0, wallNow: () => 0, leases: createLeases(() => 0), parts: () => 1, limitsMax: 4 })
  const named = (tenantId: string) => callerWith({ tenantId, tenant: { requestsPerMinute: 1, concurrency: 1 } })
  const tries = (tenantId: string, id: string) => buckets.take(demands.of(callBy(named(tenantId), { id }))).taken
  const quick = (tenantId: string) => buckets.take(demands.of(callBy(callerWith({ tenantId, tenant: { requestsPerMinute: 1 } })))).taken
  assert.equal(tries('t_held', 'req_held'), true)
  for (const one of ['t_1', 't_2', 't_3']) assert.equal(quick(one), true)
  assert.equal(quick('t_1'), false, 'used again')
  assert.equal(quick('t_4'), true)
  assert.equal(quick('t_1'), false, 'still there')
  assert.equal(tries('t_held', 'req_more'), false, 'its permit is not forgotten')
  assert.equal(quick('t_held'), true, 'its requests are')
})

test('nobody is pushed out by calls that were refused, nor by users, whom callers name', () => {
  const demands = createDemands({ windowSeconds: 60, burstFactor: 1 })
  const buckets = new MemoryBuckets({ now: () => 0, wallNow: () => NOON, leases: createLeases(() => 0), parts: () => 1, limitsMax: 4 })
  const take = (caller: Caller, more: More = {}) => buckets.take(demands.of(callBy(caller, more))).taken
  const victim = callerWith({ tenant: { requestsPerDay: 1 } })
  assert.equal(take(victim), true)
  const other = { tenantId: 't_other', tenant: { requestsPerMinute: 1_000 }, each: { user: { requestsPerDay: 5, tokensPerDay: 5 } } }
  for (let i = 0; i < 10; i++) {
    assert.equal(take(callerWith({ tenant: { tokensPerDay: 1 } }), { input: 2 }), false)
    assert.equal(take(callerWith(other), { user: `refused-${i}`, input: 6 }), false)
    assert.equal(take(callerWith(other), { user: `taken-${i}` }), true)
  }
  assert.equal(take(victim), false)
})

test('behind the library’s interface: consume resolves with what was taken, rejects with what was not, and reward gives back', async () => {
  const demands = createDemands({ windowSeconds: 60, burstFactor: 1 })
  const buckets = new MemoryBuckets({ now: () => 0, wallNow: () => NOON, leases: createLeases(() => 0), parts: () => 1 })
  const caller = callerWith({ tenant: { requestsPerMinute: 1 } })
  const demand = demands.of(callBy(caller))
  const answer = await buckets.consume('', 1, demand)
  assert.equal(answer.taken, true)
  await assert.rejects(buckets.consume('', 1, demands.of(callBy(caller))), { taken: false, levels: [0] })
  await buckets.reward('', 1, { demand, takenAt: answer.at, tokens: 0, requests: 1 })
  assert.equal((await buckets.consume('', 1, demands.of(callBy(caller)))).taken, true)
})
