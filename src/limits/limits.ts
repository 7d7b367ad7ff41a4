/** The limits of all callers: what a call draws on is taken together or not at all, in one step of Redis, or of this process where there is none. */
import type { Caller, LimitState } from '../call.ts'
import type { RedisConnection } from '../db/redis.ts'
import { type Answer, type LimitMode, type OverLimit, overOf, stateOf, waitMs } from './answer.ts'
import { createDemands, type LimitedCall, whole } from './demands.ts'
import { createLeases } from './leases.ts'
import { type Demand, holdsLease } from './limit.ts'
import { MemoryBuckets } from './memory-buckets.ts'
import { createSharedCounter } from './shared-counter.ts'

export type { LimitedCall, LimitMode, OverLimit }

export type Taken = { state: LimitState; over: OverLimit; hold: null; mode: LimitMode } | { state: LimitState; over: null; hold: Hold; mode: LimitMode }

export interface Hold {
  /** Tokens reserved; 0 where nobody limits them. */
  readonly tokens: number
  /** Gives permits back and settles tokens at what was really used; once. Never rejects, never waits longer than the limits' time-out. */
  settle(tokens: number): Promise<void>
  /** Everything, the request too: the call was refused in the same step. Otherwise like `settle`; the first of the two counts. */
  giveBack(): Promise<void>
}

export interface Limits {
  /** Takes all that the call needs, or nothing. Throws Failure('unavailable') where Redis is away and the tenant then wants calls refused. */
  take(call: LimitedCall): Promise<Taken>
  /** What was last known of this caller, from memory; takes nothing, asks nobody. Its `retryInMs` says how long the caller's requests are known to be used up. */
  peek(caller: Caller): LimitState
  /** Whether there is a Redis, and whether it counts. */
  readonly health: 'none' | 'ok' | 'away'
  /** Calls that hold concurrency permits. */
  readonly held: number
  /** Gives back the permits still held. */
  close(): Promise<void>
}

export interface LimitOptions {
  /** What a limit per minute holds is ceil(n × windowSeconds ÷ 60 × burstFactor). */
  windowSeconds: number
  burstFactor: number
  /** Milliseconds, from a clock that does not jump. */
  now: () => number
  /** Milliseconds since 1970, for the days of a process without Redis. */
  wallNow: () => number
  redis: RedisConnection | null
  /** Processes among which limits are divided where each counts by itself. */
  liveProcesses: () => number
  /** For how long a call waits for Redis. */
  timeoutMs?: number
  /** Redis counts again, or this process does by itself; `cause` says why. */
  onModeChange: (mode: LimitMode, cause: unknown) => void
}

const TIMEOUT_MS = 50

export function createLimits({ windowSeconds, burstFactor, now, wallNow, redis, liveProcesses, timeoutMs = TIMEOUT_MS, onModeChange }: LimitOptions): Limits {
  const demands = createDemands({ windowSeconds, burstFactor })
  const leases = createLeases(now)
  // While Redis is away its clock goes on, so that all processes change the day together.
  const memory = new MemoryBuckets({ now, wallNow: () => shared?.wallNow ?? wallNow(), leases, parts: liveProcesses })
  const shared = redis && createSharedCounter({ redis, now, leases, memory, timeoutMs, onModeChange })

  return {
    async take(call) {
      const demand = demands.of(call)
      const answer = shared ? await shared.take(demand, call.caller.tenant) : memory.take(demand)
      const mode = shared === null && answer.parts === 1 ? 'shared' : answer.mode
      if (answer.taken) return { state: stateOf(demand.limits, answer, 0), over: null, hold: holdOf(demand, answer), mode }
      const { over, retryInMs } = overOf(demand, answer)
      return { state: stateOf(demand.limits, answer, retryInMs), over, hold: null, mode }
    },

    peek(caller) {
      const limits = demands.own(caller)
      const known = memory.peek(limits, shared === null || shared.isAway ? 'of this process' : 'of all processes')
      let usedUpMs = 0
      for (const [index, limit] of limits.entries()) {
        if (limit.of === 'requests' && known.areFresh[index]) usedUpMs = Math.max(usedUpMs, waitMs(limit, 1, known.levels[index], known))
      }
      return stateOf(limits, known, usedUpMs)
    },

    get health() {
      return shared === null ? 'none' : shared.isAway || !redis?.isReady ? 'away' : 'ok'
    },
    get held() {
      return leases.calls
    },
    close: async () => shared?.close(),
  }

  function holdOf(demand: Demand, answer: Answer): Hold {
    let isHeld = true
    const end = async (tokens: number, requests: 0 | 1): Promise<void> => {
      if (!isHeld) return
      isHeld = false
      leases.release(demand.id)
      const back = { demand, takenAt: answer.at, tokens, requests }
      if (answer.mode === 'local') memory.giveBack(back)
      if (shared === null) return
      if (answer.mode === 'shared') await shared.giveBack(back)
      // Redis, when it came back, was told of the permits.
      else if (holdsLease(demand)) await shared.giveBack({ ...back, demand: { ...demand, reservation: null }, tokens: 0, requests: 0 })
    }
    const used = (tokens: number): number => (Number.isFinite(tokens) ? whole(tokens) : demand.tokens)
    return {
      tokens: demand.tokens,
      settle: (tokens) => end(demand.reservation === null ? 0 : demand.tokens - used(tokens), 0),
      giveBack: () => end(demand.tokens, 1),
    }
  }
}
