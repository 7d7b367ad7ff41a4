/** Redis goes away in every way it can: each call is answered all the same, as its tenant wants it, and Redis counts again when it is back. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { connectRedis, type RedisConnection } from '../../src/db/redis.ts'
import { Failure } from '../../src/errors.ts'
import { newId } from '../../src/ids.ts'
import type { LimitMode, LimitOptions, Limits } from '../../src/limits/limits.ts'
import { type Relay, startRelay } from '../db/relay.ts'
import type { RunningServer } from '../services/postgres.ts'
import { askRedis, startRedis } from '../services/redis.ts'
import { callBy, callerWith, connectTestRedis, countTaken, limitsOn, refused, take, withoutRedis } from './counters.ts'

const GIVE_UP_MS = 60_000
/** A busy machine is no outage. */
const TIMEOUT_MS = 1_000
const ASKS_MAX = 5

interface Broken {
  server: RunningServer
  relay: Relay
  /** Sends commands on a connection of its own, past the relay; with another password where it was changed. */
  ask(commands: readonly string[], password?: string): Promise<string>
}

const outages: readonly { name: string; start(broken: Broken): unknown; end(broken: Broken): unknown }[] = [
  { name: 'it is killed', start: ({ relay }) => relay.cut(), end: ({ relay, ask }) => ask(['FLUSHALL', 'SCRIPT FLUSH']).then(() => relay.restore()) },
  { name: 'it hangs', start: ({ server }) => process.kill(server.pid, 'SIGSTOP'), end: ({ server }) => process.kill(server.pid, 'SIGCONT') },
  { name: 'the network swallows everything', start: ({ relay }) => relay.freeze(), end: ({ relay }) => relay.thaw() },
  { name: 'it is slow', start: ({ ask }) => ask(['CLIENT PAUSE 2000 ALL']), end: () => {} },
  { name: 'it became a replica', start: ({ ask }) => ask(['REPLICAOF 127.0.0.1 1']), end: ({ ask }) => ask(['REPLICAOF NO ONE']) },
  { name: 'it is full', start: ({ ask }) => ask(['CONFIG SET maxmemory 1']), end: ({ ask }) => ask(['CONFIG SET maxmemory 0']) },
  {
    name: 'its password was changed',
    start: ({ ask }) => ask(['CONFIG SET requirepass another', 'CLIENT KILL TYPE normal']),
    end: ({ ask, server }) => ask([`CONFIG SET requirepass ${new URL(server.url).password}`], 'another'),
  },
]

describe('while Redis is away', { skip: withoutRedis, concurrency: 4 }, () => {
  for (const outage of outages) {
    test(`because ${outage.name}, each process counts its part, the strict are refused, and it is over within seconds`, async (t) => {
      const { broken, redis, seen } = await startBreakable(t)
      const modes: LimitMode[] = []
      const limits = open(t, redis, { liveProcesses: () => 2, onModeChange: (mode) => modes.push(mode) })
      const day = callerWith({ tenant: { requestsPerDay: 10, concurrency: 100 } })
      const strict = callerWith({ withoutRedis: 'refuse' })
      for (let i = 0; i < 4; i++) await take(limits, day)
      assert.equal((await limits.take(callBy(strict))).mode, 'shared')
      assert.equal(limits.health, 'ok')

      await outage.start(broken)
      const isUnavailable = (error: unknown): boolean => error instanceof Failure && error.reason === 'unavailable'
      await until(async () => {
        await Promise.all(Array.from({ length: 3 }, () => assert.rejects(async () => limits.take(callBy(strict)), isUnavailable)))
        return modes.length > 0
      })
      assert.equal(limits.health, 'away')
      const taken = await limits.take(callBy(day))
      assert.equal(taken.mode, 'local')
      assert.equal(1 + (await countTaken(limits, day, 20)), 3, 'half of the six that were left')
      await taken.hold!.settle(0)
      await assert.rejects(async () => limits.take(callBy(strict)), Failure)
      assert.deepEqual(modes, ['local'])

      await outage.end(broken)
      await until(async () => (await limits.take(callBy(callerWith({})))).mode === 'shared' && limits.health === 'ok')
      await until(async () => (await Promise.try(() => limits.take(callBy(strict))).catch(() => null))?.mode === 'shared')
      assert.equal(modes[1], 'shared')
      assert.ok(
        seen.every((reason) => /^\w*$/.test(reason ?? '')),
        'what is reported are codes',
      )
    })
  }

  test('a command that reaches it late takes nothing', async (t) => {
    const { broken, redis } = await startBreakable(t)
    const limits = open(t, redis)
    const tenantId = newId('t')
    const caller = callerWith({ tenantId, tenant: { requestsPerDay: 5, tokensPerDay: 100, concurrency: 5 } })
    await take(limits, callerWith({}))
    process.kill(broken.server.pid, 'SIGSTOP')
    const taken = await Promise.all(Array.from({ length: 3 }, () => limits.take(callBy(caller, { input: 10 }))))
    assert.deepEqual(new Set(taken.map(({ mode }) => mode)), new Set(['local']))
    for (const { hold } of taken) await hold!.settle(10)
    process.kill(broken.server.pid, 'SIGCONT')
    await until(async () => (await limits.take(callBy(callerWith({})))).mode === 'shared')
    assert.deepEqual(await redis.send(['KEYS', `ef:{${tenantId}}:*`]), [])
  })

  test('permits given meanwhile are known to it when it is back, and end with their calls', async (t) => {
    const { broken, redis } = await startBreakable(t)
    const limits = open(t, redis)
    const tenantId = newId('t')
    const caller = callerWith({ tenantId, tenant: { concurrency: 2 } })
    const before = await take(limits, caller)
    await broken.relay.cut()
    await until(async () => (await limits.take(callBy(callerWith({})))).mode === 'local' && limits.health === 'away')
    const meanwhile = await take(limits, caller)
    await refused(limits, caller)
    await broken.ask(['FLUSHALL'])
    await broken.relay.restore()
    await until(() => limits.health === 'ok')
    await until(async () => (await redis.send(['ZCARD', `ef:{${tenantId}}:tenant:concurrency`])) === 2)
    await refused(limits, caller)
    await meanwhile.settle(0)
    await (await take(limits, caller)).settle(0)
    await before.settle(0)
    assert.equal(limits.held, 0)
    assert.equal(await countTaken(limits, caller, 5), 2)
  })

  test('what was to be settled meanwhile is settled when it is back, once', async (t) => {
    const { broken, redis } = await startBreakable(t)
    const limits = open(t, redis)
    const caller = callerWith({ tenant: { tokensPerDay: 1000, requestsPerDay: 3, concurrency: 5 } })
    const holds = [await take(limits, caller, { input: 400 }), await take(limits, caller, { input: 600 })]
    await broken.relay.cut()
    await until(async () => {
      await limits.take(callBy(callerWith({})))
      return limits.health === 'away'
    })
    await holds[0]!.settle(100)
    await holds[1]!.giveBack()
    await broken.relay.restore()
    await until(async () => (await limits.take(callBy(callerWith({})))).mode === 'shared')
    await until(async () => (await limits.take(callBy(caller, { input: 900 }))).over === null)
    await refused(limits, caller, { input: 1 })
  })

  test('a forgotten script is loaded again, and a flushed Redis counts from the beginning, without an outage', async (t) => {
    const { broken, redis } = await startBreakable(t)
    const modes: LimitMode[] = []
    const limits = open(t, redis, { onModeChange: (mode) => modes.push(mode) })
    const caller = callerWith({ tenant: { requestsPerDay: 2, tokensPerDay: 100, concurrency: 5 } })
    for (const command of ['SCRIPT FLUSH', 'FLUSHALL']) {
      const hold = await take(limits, caller, { input: 10 })
      await broken.ask([command])
      await hold.settle(5)
    }
    const taken = await Promise.all(Array.from({ length: 5 }, () => limits.take(callBy(caller, { input: 10 }))))
    assert.deepEqual(new Set(taken.map(({ mode }) => mode)), new Set(['shared']))
    assert.equal(taken.filter(({ over }) => over === null).length, 2)
    assert.deepEqual(modes, [])
  })

  test('a Redis that is not there at the start is found when it comes', async (t) => {
    const { broken, url } = await startBreakable(t)
    await broken.relay.cut()
    const redis = await connect(t, url)
    const limits = open(t, redis)
    assert.equal(limits.health, 'away')
    assert.equal((await limits.take(callBy(callerWith({})))).mode, 'local')
    await broken.relay.restore()
    await until(async () => limits.health === 'ok' && (await limits.take(callBy(callerWith({})))).mode === 'shared')
  })
})

describe('an answer of Redis', { skip: withoutRedis }, () => {
  test('that comes too late for the caller gives everything back', async (t) => {
    const real = await connectTestRedis()
    t.after(() => real.close())
    let answers = Promise.resolve()
    const slow: RedisConnection = { ...real, isReady: true, run: (...script) => real.run(...script).then((reply) => answers.then(() => reply)) }
    const limits = open(t, slow, { timeoutMs: 100 })
    const caller = callerWith({ tenant: { requestsPerDay: 2, tokensPerDay: 100, concurrency: 1 } })
    await take(limits, callerWith({}))
    const { promise, resolve } = Promise.withResolvers<void>()
    answers = promise
    const { mode, hold } = await limits.take(callBy(caller, { input: 100 }))
    assert.equal(mode, 'local')
    resolve()
    await hold!.settle(0)
    await until(async () => (await limits.take(callBy(caller, { input: 100 }))).over === null)
    assert.equal(limits.held, 1)
    const counted = async () => String(await real.send(['GET', `ef:{${caller.tenant.id}}:tenant:requests:day`]))
    await until(async () => (await counted()).startsWith('2 ')) // The one that this process let in by itself, and the last.
  })

  test('that is only late costs the minute what this process let in meanwhile, tokens as they were used', async (t) => {
    const real = await connectTestRedis()
    t.after(() => real.close())
    let before = Promise.resolve()
    const late: RedisConnection = { ...real, isReady: true, run: (...script) => before.then(() => real.run(...script)) }
    const limits = open(t, late, { timeoutMs: 100 })
    const caller = callerWith({ tenant: { requestsPerMinute: 5, tokensPerMinute: 500 } })
    await take(limits, callerWith({}))
    const begin = performance.now()
    await take(limits, caller, { input: 100 })
    const { promise, resolve } = Promise.withResolvers<void>()
    before = promise
    const [first, second, third] = await Promise.all([1, 2, 3].map(() => limits.take(callBy(caller, { input: 100 }))))
    assert.deepEqual([first!.mode, second!.mode, third!.mode], ['local', 'local', 'local'])
    await first!.hold!.settle(20)
    await second!.hold!.giveBack()
    before = Promise.resolve()
    resolve()
    await until(async () => (await limits.take(callBy(callerWith({})))).mode === 'shared')
    await take(limits, caller)
    await third!.hold!.settle(30)
    await until(async () => {
      await take(limits, callerWith({}))
      const flowedInMs = performance.now() - begin
      return (await isLeft('requests', 5 - 1 - 2 - 1, (5 * flowedInMs) / 60_000)) && (await isLeft('tokens', 500 - 100 - 20 - 30, (500 * flowedInMs) / 60_000))
    })

    async function isLeft(of: string, least: number, more: number): Promise<boolean> {
      const left = Number.parseFloat(String(await real.send(['GET', `ef:{${caller.tenant.id}}:tenant:${of}:minute`])))
      return left > least - 0.01 && left < least + more + 0.01
    }
  })

  test('that lies there when a busy process hears its own timer counts', async (t) => {
    const redis = await connectTestRedis()
    t.after(() => redis.close())
    const limits = open(t, redis, { timeoutMs: 400 })
    await take(limits, callerWith({}))
    const asked = limits.take(callBy(callerWith({})))
    // By now the question is on its way; the answer comes while nobody listens.
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000))
    assert.equal((await asked).mode, 'shared')
  })
})

type Context = { after(end: () => unknown): void }

async function startBreakable(t: Context): Promise<{ broken: Broken; redis: RedisConnection; url: string; seen: (string | null)[] }> {
  const server = await startRedis()
  t.after(async () => {
    process.kill(server.pid, 'SIGCONT')
    await server.stop()
  })
  const relay = await startRelay(server.url)
  t.after(() => relay.close().catch(() => {}))
  const { port, password } = new URL(server.url)
  const seen: (string | null)[] = []
  const redis = await connect(t, relay.url, seen)
  await until(() => redis.isReady)
  const ask: Broken['ask'] = async (commands, now = password) => {
    for (let tries = 1; ; tries++) {
      try {
        return await askRedis(Number(port), [`AUTH ${now}`, ...commands])
      } catch (error) {
        if (tries === ASKS_MAX) throw error
      }
    }
  }
  return { broken: { server, relay, ask }, redis, url: relay.url, seen }
}

async function connect(t: Context, url: string, seen: (string | null)[] = []): Promise<RedisConnection> {
  const redis = await connectRedis({ url, onChange: ({ reason }) => seen.push(reason) })
  t.after(() => redis.close())
  return redis
}

function open(t: Context, redis: RedisConnection, options: Partial<LimitOptions> = {}): Limits {
  const limits = limitsOn(redis, { timeoutMs: TIMEOUT_MS, ...options })
  t.after(() => limits.close())
  return limits
}

/** Waits for what happens in the background. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + GIVE_UP_MS
  while (!(await holds())) {
    assert.ok(Date.now() < giveUpAt, `still waiting for: ${holds}`)
    await delay(20)
  }
}
