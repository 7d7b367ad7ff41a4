/** Redis with everything around it: a time-out, a stand-in, a breaker, and the rounds that keep leases alive. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Tenant } from '../call.ts'
import type { RedisConnection } from '../db/redis.ts'
import { Answer, type LimitMode } from './answer.ts'
import { createBreaker } from './breaker.ts'
import { Insurance } from './insurance.ts'
import type { Leases } from './leases.ts'
import { TimeLimited } from './library.ts'
import { type Demand, type GiveBack, holdsLease } from './limit.ts'
import type { MemoryBuckets } from './memory-buckets.ts'
import { RedisBuckets } from './redis-buckets.ts'
import { probe } from './scripts.ts'

/** A third of a lease, so that two rounds may fail. */
const ROUND_EVERY_MS = 15_000
const CLOSE_MS_MAX = 500

export interface SharedCounterOptions {
  redis: RedisConnection
  /** Milliseconds, from a clock that does not jump. */
  now: () => number
  leases: Leases
  memory: MemoryBuckets
  timeoutMs: number
  onModeChange: (mode: LimitMode, cause: unknown) => void
}

export function createSharedCounter({ redis, now, leases, memory, timeoutMs, onModeChange }: SharedCounterOptions) {
  const buckets = new RedisBuckets({ redis, now, leases, memory, timeoutMs })
  let lastFailure: unknown = null
  const breaker = createBreaker({
    now,
    probe: () => redis.send(probe),
    onChange(isAway, cause) {
      lastFailure = cause
      if (!isAway) void catchUp()
      onModeChange(isAway ? 'local' : 'shared', cause)
    },
  })
  const insurance = new Insurance({ redis: buckets, memory, onFailure: breaker.failed })
  const insured = new TimeLimited({ limiter: buckets, insuranceLimiter: insurance, timeoutMs })
  const rounds = setInterval(() => {
    if (!breaker.isAway) void catchUp()
  }, ROUND_EVERY_MS).unref()
  /** Something was counted here that Redis does not know. */
  let isBehind = false
  let isCatchingUp = false

  async function catchUp(): Promise<void> {
    if (isCatchingUp) return
    isBehind = false
    isCatchingUp = true
    await buckets.round()
    isCatchingUp = false
  }

  function noted(answer: Answer): Answer {
    if (answer.mode === 'local') isBehind = true
    else if (isBehind || memory.isOwing) void catchUp()
    return answer
  }

  return {
    /** Throws Failure('unavailable') where Redis is away and the tenant then wants calls refused. */
    async take(demand: Demand, { id, limitsWithoutRedis }: Tenant): Promise<Answer> {
      const asked = { ...demand, answer: null, failure: null, isAnsweredElsewhere: false, isStrict: limitsWithoutRedis === 'refuse' }
      if (breaker.isAway) return noted(insurance.take(asked, lastFailure))
      try {
        return noted((await insured.consume(id, demand.tokens, asked)) as Answer)
      } catch (refused) {
        if (refused instanceof Answer) return noted(refused)
        throw refused
      }
    },

    /** Never rejects. What Redis cannot take now it gets later. */
    async giveBack(back: GiveBack): Promise<void> {
      if (back.demand.reservation === null && back.requests === 0 && !holdsLease(back.demand)) return
      if (breaker.isAway) buckets.keep(back)
      else await insured.reward(back.demand.id, back.tokens, back)
    },

    get isAway(): boolean {
      return breaker.isAway
    },
    get wallNow(): number | null {
      return buckets.wallNow
    },

    async close(): Promise<void> {
      clearInterval(rounds)
      breaker.close()
      await Promise.race([buckets.releaseAll(), delay(CLOSE_MS_MAX, undefined, { ref: false })])
    },
  }
}
