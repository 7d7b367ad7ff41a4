/** Stands in for Redis where it failed or took too long. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Failure } from '../errors.ts'
import { type Answer, Counter } from './answer.ts'
import { Result } from './library.ts'
import type { GiveBack } from './limit.ts'
import type { MemoryBuckets } from './memory-buckets.ts'
import type { Asked, RedisBuckets } from './redis-buckets.ts'

export interface Insured extends Asked {
  /** Where Redis is away the call is refused, not counted by this process alone. */
  isStrict: boolean
}

export interface InsuranceOptions {
  redis: RedisBuckets
  memory: MemoryBuckets
  onFailure: (cause: unknown) => void
}

export class Insurance extends Counter {
  readonly #options: InsuranceOptions

  constructor(options: InsuranceOptions) {
    super()
    this.#options = options
  }

  /** Throws the answer where nothing was taken, and Failure('unavailable') where the tenant wants Redis or nothing. */
  override async consume(_key: string, _points: number, asked: Insured): Promise<Answer> {
    // A process that was busy for longer than the time-out hears its timer first, although the answer may lie there: one turn of the loop reads it.
    await nextTurn()
    if (asked.answer?.taken) return asked.answer
    if (asked.answer) throw asked.answer
    asked.isAnsweredElsewhere = true
    const cause = asked.failure ?? new Error('Redis did not answer in time.')
    this.#options.onFailure(cause)
    const answer = this.take(asked, cause)
    if (!answer.taken) throw answer
    return answer
  }

  override async reward(_key: string, _points: number, back: GiveBack): Promise<Result> {
    this.#options.redis.keep(back)
    return new Result()
  }

  take(asked: Insured, cause: unknown): Answer {
    if (asked.isStrict) throw new Failure('unavailable', cause)
    return this.#options.memory.take(asked)
  }
}
