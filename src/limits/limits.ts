/** The limits of all callers: what a call draws on is taken together or not at all, in one step of Redis, or of this process where there is none. */
import type { Caller, LimitState } from '../call.ts'
import type { RedisConnection } from '../db/redis.ts'
import { type Answer, type LimitMode, type OverLimit, overOf, stateOf, waitMs } from './answer.ts'
import { createDemands, type LimitedCall, whole } from './demands.ts'
import { createLeases } from './leases.ts'
import { type Demand, type GiveBack, holdsLease } from './limit.ts'
import { MemoryBuckets } from './memory-buckets.ts'
import { createSharedCounter } from './shared-counter.ts'

export type { LimitedCall, LimitMode, OverLimit }

export type Taken = { state: LimitState; over: OverLimit; hold: null; mode: LimitMode } | { state: LimitState; over: null; hold: Hold; mode: LimitMode }

export interface Hold {
  /** Tokens reserved; 0 where nobody limits them. */
  readonly tokens: number
  /**
   * Gives permits back and settles tokens at what was really used; once. At once where this process counts alone; never rejects, never waits longer than
   * the limits' time-out.
   */
  settle(tokens: number): undefined | Promise<void>
  /** Everything, the request too: the call was refused in the same step. Otherwise like `settle`; the first of the two counts. */
  giveBack(): undefined | Promise<void>
}

export interface Limits {
  /**
   * Takes all that the call needs, or nothing; at once where this process counts alone. Rejects with Failure('unavailable') where Redis is away and the
   * tenant then wants calls refused.
   */
  take(call: LimitedCall): Taken | Promise<Taken>
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
    take(call) {
      const demand = demands.of(call)
      return shared ? shared.take(demand, call.caller.tenant).then((answer) => takenOf(demand, answer)) : takenOf(demand, memory.take(demand))
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

  function takenOf(demand: Demand, answer: Answer): Taken {
    const mode = shared === null && answer.parts === 1 ? 'shared' : answer.mode
    if (answer.taken) return { state: stateOf(demand.limits, answer, 0), over: null, hold: new TakenHold(demand, answer, end), mode }
    const { over, retryInMs } = overOf(demand, answer)
    return { state: stateOf(demand.limits, answer, retryInMs), over, hold: null, mode }
  }

  function end({ mode, at }: Answer, back: Back): undefined | Promise<void> {
    const { demand } = back
    leases.release(demand.id)
    const whole = { ...back, takenAt: at }
    if (mode === 'local') memory.giveBack(whole)
    if (shared === null) return undefined
    if (mode === 'shared') return shared.giveBack(whole)
    // Redis, when it came back, was told of the permits.
    return holdsLease(demand) ? shared.giveBack({ ...whole, demand: { ...demand, reservation: null }, tokens: 0, requests: 0 }) : undefined
  }
}

/** What goes back. */
type Back = Pick<GiveBack, 'demand' | 'tokens' | 'requests'>
type End = (answer: Answer, back: Back) => undefined | Promise<void>

/** What was taken, until it is given back to those who gave it. */
class TakenHold implements Hold {
  readonly #demand: Demand
  readonly #answer: Answer
  readonly #end: End
  #isHeld = true

  constructor(demand: Demand, answer: Answer, end: End) {
    this.#demand = demand
    this.#answer = answer
    this.#end = end
  }

  get tokens(): number {
    return this.#demand.tokens
  }
  settle(used: number): undefined | Promise<void> {
    const { reservation, tokens } = this.#demand
    return this.#giveBack(reservation === null ? 0 : tokens - (Number.isFinite(used) ? whole(used) : tokens), 0)
  }
  giveBack(): undefined | Promise<void> {
    return this.#giveBack(this.#demand.tokens, 1)
  }

  #giveBack(tokens: number, requests: 0 | 1): undefined | Promise<void> {
    if (!this.#isHeld) return undefined
    this.#isHeld = false
    return this.#end(this.#answer, { demand: this.#demand, tokens, requests })
  }
}
