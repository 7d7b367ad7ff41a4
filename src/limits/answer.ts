/** What a counter answers, and what follows from it for the caller. */
import type { LimitState } from '../call.ts'
import { CompatibleLimiter, Result } from './library.ts'
import { costOf, DAY_MS, type Demand, type GiveBack, hairOf, holds, type Limit } from './limit.ts'

/** shared: by Redis, or by this process where there is no other and no Redis. local: each process counts by itself. */
export type LimitMode = 'shared' | 'local'

export interface OverLimit {
  subject: Limit['subject']
  of: Limit['of']
  per: Limit['per']
  most: number
  /** It asks for more than the limit ever holds. */
  never: boolean
}

/** Nobody knows when a call under way ends. */
export const CONCURRENCY_RETRY_MS = 1_000

interface Counted {
  taken: boolean
  /** What is left of each of the demand's limits, after it. */
  levels: readonly number[]
  /** Milliseconds since 1970, by the clock it was counted with. */
  at: number
  /** Of how many equal parts of the limits this was one. */
  parts: number
  mode: LimitMode
}

/** The answer of either counter: resolved where everything was taken, thrown where nothing was. */
export class Answer extends Result implements Counted {
  readonly taken: boolean
  readonly levels: readonly number[]
  readonly at: number
  readonly parts: number
  readonly mode: LimitMode

  constructor({ taken, levels, at, parts, mode }: Counted) {
    super()
    this.taken = taken
    this.levels = levels
    this.at = at
    this.parts = parts
    this.mode = mode
  }
}

/** A counter behind the library's interface. The key and the points are the library's words for what the demand says itself. */
export abstract class Counter extends CompatibleLimiter {
  override readonly keyPrefix = ''
  override blockDuration = 0
  override execEvenly = false

  /** Takes all or nothing. Throws the answer where it took nothing. */
  abstract override consume(key: string, points: number, demand: Demand): Promise<Answer>
  /** Gives back what a demand took. */
  abstract override reward(key: string, points: number, back: GiveBack): Promise<Result>
}

type Levels = Pick<Counted, 'levels' | 'at' | 'parts'>

/** How long until `cost` is there; Infinity where it never will be. */
export function waitMs(limit: Limit, cost: number, level: number, { at, parts }: Pick<Counted, 'at' | 'parts'>): number {
  if (holds(limit, level, cost)) return 0
  if (cost > limit.capacity) return Number.POSITIVE_INFINITY
  if (limit.per === 'minute') return ((cost - level) * parts) / limit.refillPerMs
  return limit.per === 'day' ? DAY_MS - (at % DAY_MS) : CONCURRENCY_RETRY_MS
}

/** The limit that a refused demand must wait for longest, and how long. */
export function overOf({ limits, tokens }: Demand, answer: Levels): { over: OverLimit; retryInMs: number } {
  let longest = -1
  let over: Limit | undefined
  for (const [index, limit] of limits.entries()) {
    const wait = waitMs(limit, costOf(limit, tokens), answer.levels[index] ?? 0, answer)
    if (wait <= longest) continue
    longest = wait
    over = limit
  }
  if (over === undefined) throw new Error('A call was refused that draws on no limit.')
  const { subject, of, per, most } = over
  return { over: { subject, of, per, most, never: !Number.isFinite(longest) }, retryInMs: longest }
}

/** The tightest limits of requests and of tokens per minute. */
export function stateOf(limits: readonly Limit[], answer: Levels, retryInMs: number): LimitState {
  const requests = tightest(limits, answer, 'requests')
  const tokens = tightest(limits, answer, 'tokens')
  if (requests === null) throw new Error('A tenant has no limit of requests per minute.')
  const { perMinute, remaining, fullInMs } = requests
  return { requestsPerMinute: perMinute, remaining, fullInMs, retryInMs, tokens }
}

/** The one of which the fewest are left, whole ones, as a header tells it. */
function tightest(limits: readonly Limit[], { levels, parts }: Levels, of: Limit['of']): NonNullable<LimitState['tokens']> | null {
  let found: NonNullable<LimitState['tokens']> | null = null
  for (const [index, limit] of limits.entries()) {
    if (limit.of !== of || limit.per !== 'minute') continue
    const { most, capacity, refillPerMs } = limit
    const level = levels[index] ?? 0
    const remaining = Math.max(0, Math.min(most, Math.floor(level + hairOf(limit))))
    if (found !== null && remaining >= found.remaining) continue
    found = { perMinute: most, remaining, fullInMs: refillPerMs > 0 ? Math.max(0, (capacity - level * parts) / refillPerMs) : 0 }
  }
  return found
}
