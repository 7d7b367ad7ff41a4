/** Limits to test: counted in memory by a clock that the test moves, and in a real Redis by its own. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Caller, LimitSet, Tenant } from '../../src/call.ts'
import { connectRedis, type RedisConnection } from '../../src/db/redis.ts'
import { newId } from '../../src/ids.ts'
import { createLimits, type Hold, type LimitedCall, type LimitOptions, type Limits, type Taken } from '../../src/limits/limits.ts'
import { agentNamed, callerOf, tenantNamed } from '../harness/nouns.ts'

const redisUrl = process.env.TEST_REDIS_URL
/** Why tests with a Redis are skipped, or false. */
export const withoutRedis: string | false = redisUrl ? false : 'TEST_REDIS_URL is not set'

export interface Counting {
  open(options?: Partial<LimitOptions>): Limits
  /** Lets time pass: the test's where it has one, else for real. */
  wait(ms: number): Promise<void>
}

/** A connection to the Redis of the test run. */
export async function connectTestRedis(): Promise<RedisConnection> {
  const ready = Promise.withResolvers<void>()
  const redis = await connectRedis({ url: redisUrl!, onChange: ({ isReady }) => isReady && ready.resolve() })
  await ready.promise // On a busy machine the first attempt may fail.
  return redis
}

/** Limits with nothing special about them. */
export const limitsOn = (redis: RedisConnection | null, options: Partial<LimitOptions> = {}): Limits =>
  createLimits({
    windowSeconds: 60,
    burstFactor: 1,
    now: () => performance.now(),
    wallNow: Date.now,
    redis,
    liveProcesses: () => 1,
    timeoutMs: 5_000, // A busy machine is no outage.
    onModeChange: () => {},
    ...options,
  })

/** Runs the same tests with each counter. */
export function forEachCounter(define: (counting: Counting) => void): void {
  describe('in memory', () => {
    let now = 0
    define({
      open: (options) => limitsOn(null, { now: () => now, wallNow: () => NOON + now, ...options }),
      async wait(ms) {
        now += ms
      },
    })
  })
  if (withoutRedis) test('in Redis', { skip: withoutRedis }, () => {})
  else {
    describe('in Redis', async () => {
      const redis = await connectTestRedis()
      const opened: Limits[] = []
      after(async () => {
        await Promise.all(opened.map((limits) => limits.close()))
        redis.close()
      })
      define({
        open(options) {
          const limits = limitsOn(redis, options)
          opened.push(limits)
          return limits
        },
        // A timer may fire a millisecond early.
        wait: (ms) => delay(Math.ceil(ms) + 1),
      })
    })
  }
}

export const NOON = Date.UTC(2026, 4, 1, 12)

const NOTHING: LimitSet = { requestsPerMinute: null, requestsPerDay: null, tokensPerMinute: null, tokensPerDay: null, concurrency: null }
export const limitSet = (limits: Partial<LimitSet>): LimitSet => ({ ...NOTHING, ...limits })

export interface CallerOptions {
  tenantId?: string
  keyPrefix?: string
  agentId?: string
  /** Of the tenant; its requests per minute are plenty unless said. */
  tenant?: Partial<LimitSet>
  key?: Partial<LimitSet>
  agent?: Partial<LimitSet>
  /** Of each. */
  each?: { key?: Partial<LimitSet>; agent?: Partial<LimitSet>; user?: Partial<LimitSet>; models?: Record<string, Partial<LimitSet>> }
  withoutRedis?: Tenant['limitsWithoutRedis']
}

export const PLENTY = 1_000_000

/** A caller of a tenant of its own, unless it is named. */
export function callerWith({ tenantId = newId('t'), keyPrefix, agentId, tenant = {}, key, agent, each = {}, withoutRedis = 'local' }: CallerOptions): Caller {
  const orNull = (limits: Partial<LimitSet> | undefined): LimitSet | null => (limits ? limitSet(limits) : null)
  return callerOf(
    tenantNamed(tenantId, {
      limits: { ...NOTHING, requestsPerMinute: PLENTY, ...tenant } as Tenant['limits'],
      limitsOfEach: {
        key: orNull(each.key),
        agent: orNull(each.agent),
        user: orNull(each.user),
        models: Object.entries(each.models ?? {}).map(([model, limits]) => ({ model, limits: limitSet(limits) })),
      },
      limitsWithoutRedis: withoutRedis,
    }),
    {
      ...(keyPrefix && { keyPrefix }),
      keyLimits: orNull(key),
      agent: agentId ? agentNamed(agentId, { limits: orNull(agent) }) : null,
    },
  )
}

export const callBy = (caller: Caller, more: Partial<Omit<LimitedCall, 'caller'>> = {}): LimitedCall => ({
  id: newId('req'),
  caller,
  user: null,
  models: [],
  input: 0,
  output: 0,
  declared: true,
  ...more,
})

export type More = Parameters<typeof callBy>[1]

/** Takes what must be there. */
export async function take(limits: Limits, caller: Caller, more?: More): Promise<Hold> {
  const taken = await limits.take(callBy(caller, more))
  assert.equal(taken.over, null, `refused: ${JSON.stringify(taken)}`)
  return taken.hold!
}

/** Asks for what must not be there. */
export async function refused(limits: Limits, caller: Caller, more?: More): Promise<Taken & { over: object }> {
  const taken = await limits.take(callBy(caller, more))
  assert.notEqual(taken.over, null, `taken: ${JSON.stringify(taken)}`)
  return taken as Taken & { over: object }
}

/** How many calls in a row are let in, at most `max`. */
export async function countTaken(limits: Limits, caller: Caller, max: number, more?: More): Promise<number> {
  for (let count = 0; count < max; count++) if ((await limits.take(callBy(caller, more))).over) return count
  return max
}
