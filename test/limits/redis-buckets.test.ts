/** What stands in Redis, and what its clock and a late command may not do. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import type { Caller } from '../../src/call.ts'
import type { RedisConnection } from '../../src/db/redis.ts'
import { newId } from '../../src/ids.ts'
import { createDemands } from '../../src/limits/demands.ts'
import { createLeases } from '../../src/limits/leases.ts'
import type { Demand } from '../../src/limits/limit.ts'
import type { Limits } from '../../src/limits/limits.ts'
import { MemoryBuckets } from '../../src/limits/memory-buckets.ts'
import { RedisBuckets } from '../../src/limits/redis-buckets.ts'
import { renewScript } from '../../src/limits/scripts.ts'
import { callBy, callerWith, connectTestRedis, countTaken, limitsOn, type More, refused, take, withoutRedis } from './counters.ts'

const DAY = 86_400_000

describe('in Redis', { skip: withoutRedis }, async () => {
  if (withoutRedis) return
  const redis = await connectTestRedis()
  const opened: Limits[] = []
  const open = (options = {}): Limits => {
    const limits = limitsOn(redis, options)
    opened.push(limits)
    return limits
  }
  after(async () => {
    await Promise.all(opened.map((limits) => limits.close()))
    redis.close()
  })
  const ask = async (...command: string[]): Promise<string> => String(await redis.send(command))
  const keysOf = async (tenantId: string): Promise<string[]> => ((await redis.send(['KEYS', `ef:{${tenantId}}:*`])) as string[]).sort()
  const timeNow = async (): Promise<number> => {
    const [seconds, micros] = (await redis.send(['TIME'])) as string[]
    return Number(seconds) * 1000 + Number(micros) / 1000
  }

  test('every key belongs to its tenant, shows no name, and leaves by itself', async () => {
    const tenantId = newId('t')
    const all = { requestsPerMinute: 1, requestsPerDay: 100, tokensPerMinute: 100, tokensPerDay: 1000, concurrency: 10 }
    const caller = callerWith({ tenantId, tenant: all, agentId: 'ag_1', each: { key: all, agent: all, user: all, models: { 'gpt-*': all } } })
    await take(open(), caller, { id: 'req_1', user: 'jane.doe@example.com', models: ['gpt-5'], input: 100 })
    const keys = await keysOf(tenantId)
    assert.equal(keys.length, 26)
    assert.doesNotMatch(keys.join(), /jane|gpt/)
    const untilMidnight = DAY - ((await timeNow()) % DAY)
    for (const key of keys) {
      const ttl = Number(await ask('PTTL', key))
      const [least, most] = key.endsWith('day')
        ? [untilMidnight - 5_000, untilMidnight + 2_000]
        : key.endsWith('concurrency')
          ? [40_000, 45_000]
          : key.includes(':call:')
            ? [64 * 60_000, 65 * 60_000]
            : [50_000, 61_000] // All of the limit is missing.
      assert.ok(ttl > least && ttl <= most, `${key} stays ${ttl} ms`)
    }
  })

  test('a settled call leaves no reservation and no permit', async () => {
    const tenantId = newId('t')
    const limits = open()
    const caller = callerWith({ tenantId, tenant: { tokensPerDay: 1000, concurrency: 2 } })
    const holds = [await take(limits, caller, { input: 10 }), await take(limits, caller, { input: 10 })]
    await holds[0]!.settle(10)
    await holds[1]!.giveBack()
    assert.deepEqual(await keysOf(tenantId), [`ef:{${tenantId}}:tenant:requests:minute`, `ef:{${tenantId}}:tenant:tokens:day`])
  })

  test('limits are of all processes together, whatever their own clocks say', async () => {
    const caller = callerWith({ tenant: { requestsPerDay: 100, concurrency: 1000 } })
    const processes = [-300_000, 0, 300_000].map((wrong) => open({ wallNow: () => Date.now() + wrong, now: () => performance.now() + wrong }))
    const counts = await Promise.all(processes.map((limits) => countTaken(limits, caller, 200)))
    assert.equal(
      counts.reduce((a, b) => a + b),
      100,
    )
  })

  test('ten processes at ten times the limit: no more than the limit and what flowed in, and nearly all of it', async () => {
    const caller = callerWith({ tenant: { requestsPerMinute: 6000 } })
    const processes = Array.from({ length: 10 }, () => open({ windowSeconds: 1 }))
    const begunAt = performance.now()
    await take(processes[0]!, caller)
    const firstAt = performance.now()
    let taken = 1
    let refusedAt = firstAt
    await Promise.all(
      processes.map(async (limits) => {
        while (performance.now() - begunAt < 500) {
          const askedAt = performance.now()
          if (!(await limits.take(callBy(caller))).over) taken++
          else refusedAt = Math.max(refusedAt, askedAt)
        }
      }),
    )
    const most = 100 + (performance.now() - begunAt) / 10
    assert.ok(taken <= most + 1, `${taken} of ${most}`)
    // When one was refused, there was nothing left of what had flowed in until then.
    const least = 100 + (refusedAt - firstAt) / 10 - 1
    assert.ok(taken >= least, `${taken} of ${least}`)
  })

  test('a limit that was flushed begins full, and a call from before settles to nothing', async () => {
    const tenantId = newId('t')
    const limits = open()
    const caller = callerWith({ tenantId, tenant: { tokensPerDay: 1000, concurrency: 1 } })
    const hold = await take(limits, caller, { input: 1000 })
    await ask('DEL', ...(await keysOf(tenantId)))
    const second = await take(limits, caller, { input: 600 })
    await hold.settle(5000)
    await refused(limits, caller, { input: 401 })
    await second.settle(600)
    await take(limits, caller, { input: 400 })
  })

  test('a settlement that comes after its reservation ended changes nothing, and still frees the permit', async () => {
    const tenantId = newId('t')
    const limits = open()
    const caller = callerWith({ tenantId, tenant: { tokensPerDay: 1000, concurrency: 1 } })
    const hold = await take(limits, caller, { id: 'req_late', input: 700 })
    await ask('PEXPIRE', `ef:{${tenantId}}:call:req_late`, '0')
    await hold.settle(0)
    await refused(limits, caller, { input: 301 })
    await take(limits, caller, { input: 300 })
  })

  test('a day that is over gets nothing back', async () => {
    const tenantId = newId('t')
    const limits = open()
    const caller = callerWith({ tenantId, tenant: { tokensPerDay: 1000 } })
    const key = `ef:{${tenantId}}:tenant:tokens:day`
    await take(limits, caller, { input: 1000 })
    await ask('SET', key, `1000 ${(await timeNow()) - DAY}`)
    await take(limits, caller, { input: 900 })
    assert.match(await ask('GET', key), /^900 /)
  })

  test('a clock that went back gives nothing, and keeps nobody waiting for longer than before', async () => {
    const tenantId = newId('t')
    const limits = open()
    const caller = callerWith({ tenantId, tenant: { requestsPerMinute: 60, requestsPerDay: 1000 } })
    const key = (per: string) => `ef:{${tenantId}}:tenant:requests:${per}`
    for (const ahead of [10_000, 365 * DAY]) {
      await ask('DEL', key('day'))
      // As if written before the clock went back.
      await ask('SET', key('minute'), `0 ${(await timeNow()) + ahead}`)
      const { state } = await refused(limits, caller)
      assert.ok(state.retryInMs > 900 && state.retryInMs <= 1000, `${state.retryInMs}`)
      assert.ok(Number((await ask('GET', key('minute'))).split(' ')[1]) <= (await timeNow()), 'time goes on from the new clock')

      await ask('DEL', key('minute'))
      await ask('SET', key('day'), `1000 ${(await timeNow()) + ahead}`)
      const day = await refused(limits, caller)
      assert.equal(day.over.per, 'day')
      assert.ok(day.state.retryInMs <= DAY)
      const [used, at] = (await ask('GET', key('day'))).split(' ').map(Number)
      assert.equal(used, 1000)
      assert.ok(at! <= (await timeNow()))
    }
  })

  test('permits leased by a clock that went back end with the new one', async () => {
    const tenantId = newId('t')
    const limits = open()
    const caller = callerWith({ tenantId, tenant: { concurrency: 2 } })
    const key = `ef:{${tenantId}}:tenant:concurrency`
    for (const id of ['gone 1', 'gone 2']) await ask('ZADD', key, String((await timeNow()) + 365 * DAY), id)
    await refused(limits, caller)
    for (const [, score] of Object.entries(await scoresOf(key))) assert.ok(score - (await timeNow()) <= 45_000)
  })

  test('a clock that jumps is noticed within the call', async () => {
    let skew = 0
    const limits = open({ now: () => performance.now() + skew })
    const caller = callerWith({ tenant: { requestsPerDay: 3 } })
    await take(limits, caller)
    // To Redis our clock stands for its own: when ours goes back, Redis's went ahead.
    skew = -3_600_000
    assert.equal((await limits.take(callBy(caller))).mode, 'shared')
    skew = 3_600_000
    assert.equal((await limits.take(callBy(caller))).mode, 'shared')
    await refused(limits, caller)
  })

  test('a permit of a process that was killed is free again within a minute, those of living ones are not', async () => {
    const tenantId = newId('t')
    const dead = limitsOn(redis)
    const alive = open()
    const caller = callerWith({ tenantId, tenant: { concurrency: 3 } })
    const key = `ef:{${tenantId}}:tenant:concurrency`
    for (const id of ['dead 1', 'dead 2']) await take(dead, caller, { id })
    await take(alive, caller, { id: 'alive' })
    await refused(alive, caller)
    for (const score of Object.values(await scoresOf(key))) assert.ok(score - (await timeNow()) <= 60_000 && score > (await timeNow()))
    // 46 seconds pass for the dead, in which the living renewed.
    for (const id of ['dead 1', 'dead 2']) await ask('ZINCRBY', key, '-46000', id)
    await take(alive, caller)
    await take(alive, caller)
    await refused(alive, caller)
    assert.ok('alive' in (await scoresOf(key)))
  })

  test('what a limit holds is read to the fraction it was written with', async () => {
    const limits = open()
    const tenantId = newId('t')
    const caller = callerWith({ tenantId, tenant: { tokensPerMinute: 1e12, tokensPerDay: 1e12 } })
    await take(limits, caller, { input: 123_456_789_012 })
    const [level] = (await ask('GET', `ef:{${tenantId}}:tenant:tokens:minute`)).split(' ')
    assert.equal(level, String(1e12 - 123_456_789_012))
    assert.match(await ask('GET', `ef:{${tenantId}}:tenant:tokens:day`), /^123456789012 /)
  })

  test('a debt so large that no time would pay it ends with its key', async () => {
    const limits = open()
    const tenantId = newId('t')
    const caller = callerWith({ tenantId, tenant: { tokensPerMinute: 1 } })
    await (await take(limits, caller, { input: 1 })).settle(1e15)
    await refused(limits, caller, { input: 1 })
    assert.ok(Number(await ask('PTTL', `ef:{${tenantId}}:tenant:tokens:minute`)) <= 31 * DAY + 1000)
  })

  test('what another process gave back is not held against a caller for long', async () => {
    let skew = 0
    const mine = open({ now: () => performance.now() + skew })
    const other = open()
    const caller = callerWith({ tenant: { requestsPerDay: 1 } })
    const hold = await take(other, caller)
    await refused(mine, caller)
    assert.ok(mine.peek(caller).retryInMs > 0)
    await hold.giveBack()
    skew = 2_001
    assert.equal(mine.peek(caller).retryInMs, 0)
    await take(mine, caller)
  })

  test('closing gives back the permits that are still held', async () => {
    const tenantId = newId('t')
    const limits = limitsOn(redis)
    await take(limits, callerWith({ tenantId, tenant: { concurrency: 1 }, key: { concurrency: 1 } }))
    assert.equal((await keysOf(tenantId)).filter((key) => key.endsWith('concurrency')).length, 2)
    await limits.close()
    assert.equal((await keysOf(tenantId)).filter((key) => key.endsWith('concurrency')).length, 0)
  })

  test('a renewal that comes after the end of its call leaves no permit behind', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const { buckets, leases } = bucketsOn({
      ...redis,
      run: (script, ...rest) => (script === renewScript ? promise : Promise.resolve()).then(() => redis.run(script, ...rest)),
    })
    const tenantId = newId('t')
    const demand = demandOf(callerWith({ tenantId, tenant: { concurrency: 2 } }))
    const { at } = await buckets.consume('', 0, asked(demand))
    const round = buckets.round()
    leases.release(demand.id)
    await buckets.reward('', 0, { demand, takenAt: at, tokens: 0, requests: 0 })
    resolve()
    await round
    assert.equal(await ask('ZCARD', `ef:{${tenantId}}:tenant:concurrency`), '0')
  })

  test('a request that Redis perhaps gave back is not given back again, tokens and permits are', async () => {
    let isLost = false
    const { buckets } = bucketsOn({
      ...redis,
      run: async (...script) => {
        const reply = await redis.run(...script)
        if (isLost) throw new Error('The answer was lost.')
        return reply
      },
    })
    for (const [tenant, left] of [
      [{ requestsPerDay: 10 }, /^2 /],
      [{ requestsPerDay: 10, tokensPerDay: 100 }, /^2 /],
    ] as const) {
      const tenantId = newId('t')
      const demands = Array.from({ length: 3 }, () => demandOf(callerWith({ tenantId, tenant }), { input: 10 }))
      let takenAt = 0
      for (const demand of demands) takenAt = (await buckets.consume('', 0, asked(demand))).at
      isLost = true
      await buckets.repay({ demand: demands[0]!, takenAt, tokens: demands[0]!.tokens, requests: 1 })
      isLost = false
      await buckets.round()
      assert.match(await ask('GET', `ef:{${tenantId}}:tenant:requests:day`), left)
    }
  })

  test('giving back fills a limit to what it holds and no further, and only the day it was taken from', async () => {
    const { buckets } = bucketsOn(redis)
    const tenantId = newId('t')
    const demand = demandOf(callerWith({ tenantId, tenant: { tokensPerMinute: 1000, tokensPerDay: 1000 } }), { input: 400 })
    const keys = { minute: `ef:{${tenantId}}:tenant:tokens:minute`, day: `ef:{${tenantId}}:tenant:tokens:day` }
    await buckets.consume('', 0, asked(demand))
    await ask('SET', keys.minute, `900 ${await timeNow()}`)
    await buckets.reward('', 0, { demand, takenAt: (await timeNow()) - DAY, tokens: 400, requests: 0 })
    assert.match(await ask('GET', keys.minute), /^1000 /)
    assert.match(await ask('GET', keys.day), /^400 /)
  })

  test('what a process let in of a day by itself is charged to it when Redis counts again, less what came back', async () => {
    const { buckets, memory } = bucketsOn(redis)
    const tenantId = newId('t')
    const caller = callerWith({ tenantId, tenant: { requestsPerDay: 20, tokensPerDay: 1000 } })
    const demand = () => demandOf(caller, { input: 50 })
    const shared = () => buckets.consume('', 0, asked(demand()))
    await shared()
    const alone = [demand(), demand(), demand()]
    const answers = alone.map((one) => memory.take(one))
    assert.deepEqual(
      answers.map(({ taken }) => taken),
      [true, true, true],
    )
    memory.giveBack({ demand: alone[0]!, takenAt: answers[0]!.at, tokens: 50, requests: 1 })
    await shared()
    memory.giveBack({ demand: alone[1]!, takenAt: answers[1]!.at, tokens: 30, requests: 0 })
    for (let i = 0; i < 2; i++) {
      await buckets.round()
      assert.match(await ask('GET', `ef:{${tenantId}}:tenant:requests:day`), /^4 /, 'two through Redis, and two alone')
      assert.match(await ask('GET', `ef:{${tenantId}}:tenant:tokens:day`), /^170 /)
    }
  })

  test('what is owed is charged once, also when the command fails or its answer is lost', async () => {
    let fails: 'before' | 'after' | null = null
    const { buckets, memory } = bucketsOn({
      ...redis,
      run: async (...script) => {
        if (fails === 'before') throw new Error('The connection was lost.')
        const reply = await redis.run(...script)
        if (fails === 'after') throw new Error('The answer was lost.')
        return reply
      },
    })
    const tenantId = newId('t')
    const caller = callerWith({ tenantId, tenant: { requestsPerDay: 20 } })
    await buckets.consume('', 0, asked(demandOf(caller)))
    for (let i = 0; i < 3; i++) assert.equal(memory.take(demandOf(caller)).taken, true)
    await buckets.consume('', 0, asked(demandOf(caller)))
    for (fails of ['before', 'after', null] as const) await buckets.round()
    assert.equal(memory.isOwing, false)
    assert.match(await ask('GET', `ef:{${tenantId}}:tenant:requests:day`), /^5 /)
  })

  const demandOf = (caller: Caller, more?: More): Demand => createDemands({ windowSeconds: 60, burstFactor: 1 }).of(callBy(caller, more))
  const asked = (demand: Demand) => ({ ...demand, answer: null, failure: null, isAnsweredElsewhere: false })

  /** What createLimits puts together, without what stands around it. */
  function bucketsOn(connection: RedisConnection) {
    const now = () => performance.now()
    const leases = createLeases(now)
    const memory: MemoryBuckets = new MemoryBuckets({ now, wallNow: () => buckets.wallNow ?? Date.now(), leases, parts: () => 2 })
    const buckets = new RedisBuckets({ redis: connection, now, leases, memory, timeoutMs: 5_000 })
    return { buckets, memory, leases }
  }

  async function scoresOf(key: string): Promise<Record<string, number>> {
    const flat = (await redis.send(['ZRANGE', key, '0', '-1', 'WITHSCORES'])) as string[]
    return Object.fromEntries(Array.from({ length: flat.length / 2 }, (_, i) => [flat[i * 2], Number(flat[i * 2 + 1])]))
  }
})
