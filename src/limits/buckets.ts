/**
 * A true token bucket in memory, behind rate-limiter-flexible's interface so that its wrappers (time-outs, insurance, union) fit around it. The
 * library's own limiters are fixed windows that charge rejected calls, which is wrong for costs.
 */
import { createRequire } from 'node:module'
import type { RateLimiterRes as Result } from 'rate-limiter-flexible'

const require = createRequire(import.meta.url)
// The two files, not the package's index: that loads fifteen stores.
const RateLimiterCompatibleAbstract = require('rate-limiter-flexible/lib/RateLimiterCompatibleAbstract.js') as new () => object
const RateLimiterRes = require('rate-limiter-flexible/lib/RateLimiterRes.js') as new (
  remaining: number,
  msBeforeNext: number,
  consumed: number,
  first: boolean,
) => Result

export interface BucketSize {
  /** Tokens the full bucket holds. */
  capacity: number
  /** Tokens that flow in each millisecond. */
  refillPerMs: number
}

interface Level {
  tokens: number
  at: number
}

export interface BucketState {
  allowed: boolean
  tokens: number
  /** Milliseconds until the cost asked for would be there; 0 where it was, Infinity where it never will be. */
  waitMs: number
  /** Milliseconds until the bucket is full. */
  fullInMs: number
}

export class Buckets extends RateLimiterCompatibleAbstract {
  readonly #levels = new Map<string, Level>()
  readonly #keysMax: number
  readonly #now: () => number

  /** `now` in milliseconds, from a clock that does not jump. Of more than `keysMax` keys the one unused for longest starts afresh. */
  constructor({ keysMax, now }: { keysMax: number; now: () => number }) {
    super()
    this.#keysMax = keysMax
    this.#now = now
  }

  get keyPrefix(): string {
    return ''
  }
  get blockDuration(): number {
    return 0
  }
  get execEvenly(): boolean {
    return false
  }

  /** Takes `cost` tokens or none. */
  take(key: string, cost: number, size: BucketSize): BucketState {
    const level = this.#level(key, size)
    const allowed = holds(level, cost)
    if (allowed) level.tokens = Math.max(0, level.tokens - cost)
    return stateOf(level, allowed, cost, size)
  }

  /** What taking would answer, without taking. */
  peek(key: string, cost: number, size: BucketSize): BucketState {
    const level = this.#level(key, size)
    return stateOf(level, holds(level, cost), cost, size)
  }

  /** The library's interface: resolves where the cost was taken, rejects with the same shape where it was not. */
  async consume(key: string, cost = 1, size: BucketSize = { capacity: 0, refillPerMs: 0 }): Promise<Result> {
    const { allowed, tokens, waitMs, fullInMs } = this.take(key, cost, size)
    const result = new RateLimiterRes(Math.floor(tokens), allowed ? fullInMs : waitMs, size.capacity - tokens, false)
    if (!allowed) throw result
    return result
  }

  async delete(key: string): Promise<boolean> {
    return this.#levels.delete(key)
  }

  #level(key: string, { capacity, refillPerMs }: BucketSize): Level {
    const now = this.#now()
    let level = this.#levels.get(key)
    if (level) this.#levels.delete(key)
    else level = { tokens: capacity, at: now }
    // Set again at the end of the map's order, so that its first key is the one unused for longest.
    this.#levels.set(key, level)
    if (this.#levels.size > this.#keysMax) this.#levels.delete(this.#levels.keys().next().value as string)
    // A limit that was lowered meanwhile clamps what is there.
    level.tokens = Math.min(capacity, level.tokens + Math.max(0, now - level.at) * refillPerMs)
    level.at = now
    return level
  }
}

// Sums of fractions fall short by a hair: whoever waited as long as he was told must pass.
const HAIR = 1e-6
const holds = ({ tokens }: Level, cost: number): boolean => tokens >= cost - HAIR

const stateOf = ({ tokens }: Level, allowed: boolean, cost: number, { capacity, refillPerMs }: BucketSize): BucketState => ({
  allowed,
  tokens,
  waitMs: allowed ? 0 : cost > capacity ? Number.POSITIVE_INFINITY : (cost - tokens) / refillPerMs,
  fullInMs: refillPerMs > 0 ? (capacity - tokens) / refillPerMs : 0,
})
