/** What limits promise, wherever they are counted. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newId } from '../../src/ids.ts'
import { callBy, callerWith, countTaken, forEachCounter, PLENTY, refused, take } from './counters.ts'

const HOUR = 3_600_000

forEachCounter(({ open, wait }) => {
  test('a minute holds ceil(n × window ÷ 60 × burst factor) and lets n ÷ 60 in a second flow in', async () => {
    for (const [requestsPerMinute, windowSeconds, burstFactor, capacity] of [
      [100, 60, 1.5, 150],
      [1, 60, 1.5, 2],
      [10, 1, 1, 1],
      [7, 30, 1, 4],
      [100, 60, 1.1, 110],
      [1200, 1, 1, 20],
    ] as const) {
      const limits = open({ windowSeconds, burstFactor })
      const caller = callerWith({ tenant: { requestsPerMinute } })
      const begunAt = performance.now()
      const { state } = await limits.take(callBy(caller))
      assert.equal(state.requestsPerMinute, requestsPerMinute)
      const taken = 1 + (await countTaken(limits, caller, 200))
      // Redis goes on while the test asks.
      const most = capacity + ((performance.now() - begunAt) * requestsPerMinute) / 60_000
      assert.ok(taken >= capacity && taken <= most, `${taken} of ${requestsPerMinute}/${windowSeconds}/${burstFactor}`)
    }
  })

  test('tokens are counted as requests are', async () => {
    const limits = open({ windowSeconds: 30, burstFactor: 1.5 })
    const caller = callerWith({ tenant: { tokensPerMinute: 1000 } })
    await take(limits, caller, { input: 500, output: 250 })
    const { over, state } = await refused(limits, caller, { input: 100 })
    assert.deepEqual(over, { subject: 'tenant', of: 'tokens', per: 'minute', most: 1000, never: false })
    assert.equal(state.tokens?.perMinute, 1000)
  })

  test('waiting exactly what a refusal says lets the same call pass, and refusals cost nothing', async () => {
    const limits = open({ windowSeconds: 1 })
    for (const [tenant, more] of [
      [{ requestsPerMinute: 1200, tokensPerDay: 1000 }, { input: 0 }],
      [{ tokensPerMinute: 60_000 }, { input: 50 }],
      [{ requestsPerMinute: 2400, tokensPerMinute: 60_000 }, { input: 60 }],
    ] as const) {
      const caller = callerWith({ tenant })
      let asked = await limits.take(callBy(caller, more))
      while (asked.over === null) asked = await limits.take(callBy(caller, more))
      for (let i = 0; i < 20; i++) await refused(limits, caller, { input: 2000 })
      assert.ok(asked.state.retryInMs > 0 && asked.state.retryInMs <= 60, `${asked.state.retryInMs}`)
      await wait(asked.state.retryInMs)
      await take(limits, caller, more)
    }
  })

  test('a day holds n exactly', async () => {
    const limits = open()
    const caller = callerWith({ tenant: { requestsPerDay: 5, tokensPerDay: 1000 } })
    assert.equal(await countTaken(limits, caller, 10, { input: 10 }), 5)
    const { over, state } = await refused(limits, caller)
    assert.deepEqual(over, { subject: 'tenant', of: 'requests', per: 'day', most: 5, never: false })
    assert.ok(state.retryInMs > 0 && state.retryInMs <= 24 * HOUR)
    const other = callerWith({ tenant: { tokensPerDay: 1000 } })
    assert.equal(await countTaken(limits, other, 10, { input: 300 }), 3)
    await take(limits, other, { input: 100 })
    assert.deepEqual((await refused(limits, other, { input: 1 })).over, { subject: 'tenant', of: 'tokens', per: 'day', most: 1000, never: false })
  })

  test('a limit of concurrency lets n calls in until one ends', async () => {
    const limits = open()
    const caller = callerWith({ tenant: { concurrency: 3 } })
    const holds = [await take(limits, caller), await take(limits, caller), await take(limits, caller)]
    const { over, state } = await refused(limits, caller)
    assert.deepEqual(over, { subject: 'tenant', of: 'concurrency', per: null, most: 3, never: false })
    assert.equal(state.retryInMs, 1000)
    assert.equal(limits.held, 3)
    await holds[1]!.settle(0)
    await take(limits, caller)
    await refused(limits, caller)
    await holds[0]!.giveBack()
    await take(limits, caller)
    assert.equal(limits.held, 3)
  })

  test('all limits of a call are taken, or none', async () => {
    const limits = open()
    const plenty = { requestsPerMinute: 50, requestsPerDay: 50, tokensPerMinute: 5000, tokensPerDay: 5000, concurrency: 50 }
    for (const [scarce, of, per] of [
      [{ requestsPerMinute: 1 }, 'requests', 'minute'],
      [{ requestsPerDay: 1 }, 'requests', 'day'],
      [{ tokensPerMinute: 100 }, 'tokens', 'minute'],
      [{ tokensPerDay: 100 }, 'tokens', 'day'],
      [{ concurrency: 1 }, 'concurrency', null],
    ] as const) {
      const tenantId = newId('t')
      const narrow = callerWith({ tenantId, tenant: plenty, key: scarce, keyPrefix: 'ef_live_narrow00' })
      const wide = callerWith({ tenantId, tenant: plenty, keyPrefix: 'ef_live_wide0000' })
      await take(limits, narrow, { input: 100 })
      for (let i = 0; i < 60; i++) {
        const { over } = await refused(limits, narrow, { input: 100 })
        assert.deepEqual([over?.subject, over?.of, over?.per], ['key', of, per])
      }
      assert.equal(await countTaken(limits, wide, 60, { input: 100 }), 49, `${of} per ${per}`)
    }
  })

  test('settling gives back what was not used, exactly, and a call that used more leaves a debt', async () => {
    const limits = open()
    const caller = callerWith({ tenant: { tokensPerMinute: 1000, tokensPerDay: 1000 } })
    const hold = await take(limits, caller, { input: 300, output: 500 })
    assert.equal(hold.tokens, 800)
    await refused(limits, caller, { input: 250 })
    await hold.settle(350)
    const second = await take(limits, caller, { input: 650 })
    await refused(limits, caller, { input: 5 })
    await second.settle(750) // 100 more than there were
    const { state, over } = await refused(limits, caller, { input: 100 })
    assert.equal(state.tokens?.remaining, 0)
    assert.equal(over?.per, 'day')
    const minutes = callerWith({ tenant: { tokensPerMinute: 6000 } })
    await (await take(limits, minutes, { input: 6000 })).settle(6600)
    const owing = await refused(limits, minutes, { input: 600 })
    assert.ok(Math.abs(owing.state.retryInMs - 12_000) < 500, `${owing.state.retryInMs}`)
    assert.ok(Math.abs(owing.state.tokens!.fullInMs - 66_000) < 500)
  })

  test('a call is settled once: the first word counts, whichever it is', async () => {
    const limits = open()
    const of = (tokensPerDay: number) => callerWith({ tenant: { tokensPerDay, requestsPerDay: 3, concurrency: 10 } })
    const caller = of(1000)
    const hold = await take(limits, caller, { input: 900 })
    await Promise.all([hold.settle(500), hold.settle(500), hold.settle(0), hold.giveBack()])
    await hold.settle(100)
    await refused(limits, caller, { input: 501 })
    await take(limits, caller, { input: 500 })
    assert.equal(limits.held, 1)

    const other = of(1000)
    const back = await take(limits, other, { input: 1000 })
    await back.giveBack()
    await back.giveBack()
    await back.settle(1000)
    assert.equal(await countTaken(limits, other, 10, { input: 1 }), 3, 'the request came back, once')
  })

  test('calls settle in any order', async () => {
    const limits = open()
    const caller = callerWith({ tenant: { tokensPerDay: 1000, concurrency: 10 } })
    const holds = []
    for (let i = 0; i < 5; i++) holds.push(await take(limits, caller, { input: 200 }))
    for (const [index, used] of [
      [3, 100],
      [0, 200],
      [4, 0],
      [1, 300],
      [2, 150],
    ] as const) {
      await holds[index]!.settle(used)
    }
    await refused(limits, caller, { input: 251 })
    await take(limits, caller, { input: 250 })
    assert.equal(limits.held, 1)
  })

  test('a settlement of nonsense keeps what was reserved, or nothing', async () => {
    const limits = open()
    for (const [used, left] of [
      [Number.NaN, 500],
      [Number.POSITIVE_INFINITY, 500],
      [-100, 1000],
      [0.5, 999],
    ] as const) {
      const caller = callerWith({ tenant: { tokensPerDay: 1000 } })
      await (await take(limits, caller, { input: 500 })).settle(used)
      await refused(limits, caller, { input: left + 1 })
      await take(limits, caller, { input: left })
    }
  })

  test('a cost above what a limit ever holds is never, at once; a guess is not', async () => {
    const limits = open({ burstFactor: 1.5 })
    for (const tenant of [{ tokensPerMinute: 100 }, { tokensPerDay: 150 }]) {
      const caller = callerWith({ tenant })
      const { over, state } = await refused(limits, caller, { input: 100, output: 51 })
      assert.equal(over?.never, true)
      assert.equal(over?.of, 'tokens')
      assert.equal(state.retryInMs, Number.POSITIVE_INFINITY)
      assert.equal((await refused(limits, caller, { input: 150, output: 4096, declared: false })).over?.never, true, 'an answer has a token at least')
      assert.equal((await take(limits, caller, { input: 100, output: 4096, declared: false })).tokens, 150)
    }
    for (const tenant of [{ requestsPerMinute: 0 }, { requestsPerDay: 0 }, { concurrency: 0 }]) {
      assert.equal((await refused(limits, callerWith({ tenant }))).over?.never, true)
    }
  })

  test('a call that needs no tokens passes however much is owed', async () => {
    const limits = open()
    const caller = callerWith({ tenant: { tokensPerMinute: 100, tokensPerDay: 100 } })
    await (await take(limits, caller, { input: 100 })).settle(1000)
    await refused(limits, caller, { input: 1 })
    await take(limits, caller, {})
  })

  test('a limit that was lowered clamps what is left, one that was raised adds the difference of the day', async () => {
    const limits = open()
    const tenantId = newId('t')
    const limited = (requestsPerMinute: number, requestsPerDay: number) => callerWith({ tenantId, tenant: { requestsPerMinute, requestsPerDay } })
    await take(limits, limited(1000, 100))
    assert.equal((await limits.take(callBy(limited(2, 100)))).state.remaining, 1)
    assert.equal(await countTaken(limits, limited(2, 100), 10), 1)
    const another = newId('t')
    const daily = (requestsPerDay: number) => callerWith({ tenantId: another, tenant: { requestsPerDay } })
    assert.equal(await countTaken(limits, daily(5), 10), 5)
    assert.equal((await refused(limits, daily(3))).over?.most, 3)
    assert.equal(await countTaken(limits, daily(8), 10), 3)
  })

  test('absurd limits are counted too', async () => {
    const limits = open({ burstFactor: 1.5 })
    for (const most of [1, 1e9, 1e12]) {
      const caller = callerWith({ tenant: { requestsPerMinute: most, requestsPerDay: most, tokensPerMinute: most, tokensPerDay: most, concurrency: most } })
      const { state, hold } = await limits.take(callBy(caller, { input: most }))
      assert.ok(state.remaining >= 0 && state.remaining <= most)
      const { over } = await refused(limits, caller, { input: most })
      assert.deepEqual([over?.of, over?.per], most === 1 ? ['requests', 'day'] : ['tokens', 'day'])
      await hold!.settle(most - 1)
      assert.equal((await limits.take(callBy(caller, { input: 1 }))).over?.of, most === 1 ? 'requests' : undefined)
    }
  })

  test('a tenant’s limits are of all its keys, a key’s of the key, an agent’s of the agent, a user’s of the user, a model’s of all', async () => {
    const limits = open()
    const tenantId = newId('t')
    const common = {
      tenantId,
      tenant: { requestsPerDay: 100 },
      each: { key: { requestsPerDay: 20 }, agent: { requestsPerDay: 10 }, user: { requestsPerDay: 5 }, models: { 'gpt-*': { requestsPerDay: 3 } } },
    }
    const plain = callerWith({ ...common, keyPrefix: 'ef_live_plain000' })
    assert.equal(await countTaken(limits, plain, 50), 20)
    const own = callerWith({ ...common, keyPrefix: 'ef_live_own00000', key: { requestsPerDay: 30 } })
    assert.equal(await countTaken(limits, own, 50), 30)
    const agent = callerWith({ ...common, keyPrefix: 'ef_live_agent000', agentId: 'ag_1' })
    assert.equal(await countTaken(limits, agent, 50), 10)
    const sameAgent = callerWith({ ...common, keyPrefix: 'ef_live_agent001', agentId: 'ag_1' })
    assert.equal((await refused(limits, sameAgent)).over?.subject, 'agent')
    const users = callerWith({ ...common, keyPrefix: 'ef_live_users000' })
    assert.equal(await countTaken(limits, users, 50, { user: 'ann' }), 5)
    assert.equal((await refused(limits, callerWith({ ...common, keyPrefix: 'ef_live_users001' }), { user: 'ann' })).over?.subject, 'user')
    assert.equal(await countTaken(limits, users, 50, { user: 'bob', models: ['claude-5', 'gpt-6'] }), 3)
    assert.equal((await refused(limits, callerWith({ ...common, keyPrefix: 'ef_live_users001' }), { models: ['gpt-5'] })).over?.subject, 'model')
    // 20 + 30 + 10 + 5 + 3 were taken.
    const rest = callerWith({ ...common, keyPrefix: 'ef_live_rest0000', key: { requestsPerDay: PLENTY } })
    assert.equal(await countTaken(limits, rest, 50), 32)
    assert.equal((await refused(limits, rest)).over?.subject, 'tenant')
    const foreign = callerWith({ ...common, tenantId: newId('t'), keyPrefix: 'ef_live_plain000' })
    assert.equal(await countTaken(limits, foreign, 50, { user: 'ann' }), 5, 'another tenant has its own')
  })

  test('the headers tell of the tightest limit', async () => {
    const limits = open()
    const caller = callerWith({ tenant: { requestsPerMinute: 100, tokensPerMinute: 1000 }, key: { requestsPerMinute: 10, tokensPerMinute: 5000 } })
    const { state } = await limits.take(callBy(caller, { input: 400 }))
    assert.deepEqual([state.requestsPerMinute, state.remaining, state.retryInMs], [10, 9, 0])
    assert.ok(Math.abs(state.fullInMs - 6000) < 500)
    assert.deepEqual([state.tokens?.perMinute, state.tokens?.remaining], [1000, 600])
    assert.equal((await limits.take(callBy(callerWith({})))).state.tokens, null)
  })

  test('of several limits that lack, the one to wait for longest is told', async () => {
    const limits = open()
    const caller = callerWith({ tenant: { requestsPerMinute: 1, requestsPerDay: 1, concurrency: 1 } })
    await take(limits, caller)
    const { over, state } = await refused(limits, caller)
    assert.equal(over?.per, state.retryInMs > 60_000 ? 'day' : 'minute')
  })

  test('peeking takes nothing, knows what is used up, and never says so of what came back', async () => {
    const limits = open()
    const caller = callerWith({ tenant: { requestsPerMinute: 2, tokensPerMinute: 100 } })
    for (let i = 0; i < 10; i++) assert.deepEqual([limits.peek(caller).retryInMs, limits.peek(caller).remaining], [0, 2])
    const hold = await take(limits, caller, { input: 100 })
    assert.deepEqual([limits.peek(caller).retryInMs, limits.peek(caller).remaining, limits.peek(caller).tokens?.remaining], [0, 1, 0])
    await take(limits, caller)
    assert.ok(Math.abs(limits.peek(caller).retryInMs - 30_000) < 500)
    await hold.giveBack()
    assert.equal(limits.peek(caller).retryInMs, 0)
    assert.equal(limits.peek(caller).tokens?.remaining, 100)
    await take(limits, caller)
    await refused(limits, caller)
    assert.ok(limits.peek(caller).retryInMs > 0)
    const other = callerWith({ tenant: { concurrency: 1, tokensPerMinute: 10 } })
    await take(limits, other, { input: 10 })
    await refused(limits, other, { input: 10 })
    assert.equal(limits.peek(other).retryInMs, 0, 'of tokens and permits nobody knows what the next call needs')
  })

  test('50 calls at once for tokens that suffice for 5: five are let in, and what they leave is there to the token', async () => {
    const limits = open()
    const caller = callerWith({ tenant: { tokensPerDay: 5000 } })
    const taken = await Promise.all(Array.from({ length: 50 }, () => limits.take(callBy(caller, { input: 200, output: 800 }))))
    const holds = taken.flatMap(({ hold }) => hold ?? [])
    assert.equal(holds.length, 5)
    await Promise.all(holds.map((hold, index) => hold.settle(500 + index)))
    await refused(limits, caller, { input: 2491 })
    await take(limits, caller, { input: 2490 })
  })

  test('a thousand calls leave nothing held behind', async () => {
    const limits = open()
    const caller = callerWith({ tenant: { concurrency: 10, tokensPerDay: 10 } })
    for (let i = 0; i < 100; i++) {
      const holds = await Promise.all(Array.from({ length: 10 }, () => take(limits, caller, { input: 1 })))
      await refused(limits, caller, {})
      await Promise.all(holds.map((hold, index) => (index % 2 ? hold.settle(0) : hold.giveBack())))
    }
    assert.equal(limits.held, 0)
    assert.equal(await countTaken(limits, caller, 20, { input: 1 }), 10)
  })
})
