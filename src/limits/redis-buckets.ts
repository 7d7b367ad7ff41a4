/** Counts in Redis, for all processes together. Whatever Redis cannot do is thrown; how long anybody waits for it is the wrapper's to bound. */
import type { RedisConnection, Script } from '../db/redis.ts'
import { Answer, Counter } from './answer.ts'
import type { Leases } from './leases.ts'
import { amountBack, costOf, type Demand, type GiveBack, leaseKeysOf } from './limit.ts'
import type { MemoryBuckets, Owed } from './memory-buckets.ts'
import { giveBackScript, OWED, renewScript, takeScript } from './scripts.ts'

/** A renewal, for which nobody waits, may take so long. */
const RENEWAL_MS_MAX = 5_000
/** Commands of a round under way at once. */
const AT_ONCE_MAX = 50
/** What is to be given back and is kept while Redis is away. Of more the oldest are given up: permits end by themselves, tokens stay as reserved. */
const KEPT_MAX = 10_000

/** A demand that somebody waits for, until he has an answer from here or from elsewhere. */
export interface Asked extends Demand {
  answer: Answer | null
  /** Why there is none from here. */
  failure: unknown
  isAnsweredElsewhere: boolean
}

export interface RedisBucketsOptions {
  redis: RedisConnection
  /** Milliseconds, from a clock that does not jump. */
  now: () => number
  leases: Leases
  /** Is told what Redis said. */
  memory: MemoryBuckets
  /** A call that Redis has not counted by then it does not count. */
  timeoutMs: number
}

interface Reply {
  word: string
  /** Milliseconds since 1970, by Redis's clock. */
  at: number
  levels: number[]
}

export class RedisBuckets extends Counter {
  readonly #redis: RedisConnection
  readonly #now: () => number
  readonly #leases: Leases
  readonly #memory: MemoryBuckets
  readonly #timeoutMs: number
  /** Redis's clock minus ours, as exactly as its last answer was quick; null before the first. */
  #ahead: number | null = null
  #kept: GiveBack[] = []

  constructor({ redis, now, leases, memory, timeoutMs }: RedisBucketsOptions) {
    super()
    this.#redis = redis
    this.#now = now
    this.#leases = leases
    this.#memory = memory
    this.#timeoutMs = timeoutMs
  }

  /** Milliseconds since 1970 by Redis's clock; null until it answered once. */
  get wallNow(): number | null {
    return this.#ahead === null ? null : this.#now() + this.#ahead
  }

  override async consume(_key: string, _points: number, asked: Asked): Promise<Answer> {
    const { id, limits, tokens } = asked
    const args = ['', id]
    for (const limit of limits) args.push(String(costOf(limit, tokens)), ...limit.args)
    const { word, at, levels } = await this.#inTime(this.#timeoutMs, takeScript, keysOf(asked), args).catch((error: unknown) => {
      asked.failure = error
      throw error
    })
    const answer = new Answer({ taken: word === 'taken', levels, at, parts: 1, mode: 'shared' })
    if (asked.isAnsweredElsewhere) {
      // The answer came too late for the caller, and what it took is nobody's. Nor is it believed: it does not know what was counted here meanwhile.
      if (answer.taken) void this.repay({ demand: asked, takenAt: at, tokens, requests: 1 })
      return answer
    }
    this.#memory.learn(limits, levels)
    asked.answer = answer
    if (!answer.taken) throw answer
    this.#leases.hold(id, leaseKeysOf(asked))
    return answer
  }

  override async reward(_key: string, _points: number, back: GiveBack): Promise<Answer> {
    const { demand, takenAt } = back
    const limits = demand.limits.filter((limit) => limit.per === null || amountBack(limit, back) !== 0)
    const args = [String(takenAt), demand.id]
    for (const limit of limits) args.push(String(amountBack(limit, back)), ...limit.args)
    const sentAt = this.#now()
    const { levels, at } = await this.#run(giveBackScript, keysOf({ limits, reservation: demand.reservation }), args)
    if (this.#now() - sentAt <= this.#timeoutMs) this.#memory.learn(limits, levels)
    return new Answer({ taken: true, levels, at, parts: 1, mode: 'shared' })
  }

  /** Gives back now, or when Redis can again. Never rejects. */
  async repay(back: GiveBack): Promise<void> {
    await this.reward('', 0, back).catch(() => this.keep(back))
  }

  /** Keeps for the next round what Redis perhaps did not take. A request without a reservation is not: given back twice it would be one too many. */
  keep(back: GiveBack): void {
    if (back.demand.reservation === null && back.requests > 0) return
    this.#kept.push(back)
    if (this.#kept.length > KEPT_MAX) this.#kept.shift()
  }

  /**
   * Renews the leases of all calls under way, those that Redis never knew included, gives back what was kept, and charges what this process let in by
   * itself. Never rejects.
   */
  async round(): Promise<void> {
    const work: (() => Promise<unknown>)[] = this.#kept.splice(0).map((back) => () => this.repay(back))
    for (const owed of this.#memory.takeOwed()) work.push(() => this.#charge(owed).catch(() => this.#memory.keepOwed(owed)))
    for (const batch of this.#leases.batches()) work.push(() => this.#renew(batch))
    for (let at = 0; at < work.length; at += AT_ONCE_MAX) await Promise.allSettled(work.slice(at, at + AT_ONCE_MAX).map((one) => one()))
  }

  #charge({ limit, amount, takenAt, mark }: Owed): Promise<unknown> {
    return this.#run(giveBackScript, [limit.key, mark], [String(takenAt), OWED, String(-amount), ...limit.args])
  }

  async #renew({ key, ids }: { key: string; ids: readonly string[] }): Promise<void> {
    await this.#inTime(RENEWAL_MS_MAX, renewScript, [key], ['', ...ids])
    // A renewal that had to be sent again comes after the end of calls that ended meanwhile.
    const ended = ids.filter((id) => !this.#leases.isHeld(id))
    if (ended.length > 0) await this.#redis.send(['ZREM', key, ...ended])
  }

  /** Gives back every permit of this process. Never rejects. */
  async releaseAll(): Promise<void> {
    await Promise.allSettled([...this.#leases.batches()].map(({ key, ids }) => this.#redis.send(['ZREM', key, ...ids])))
  }

  /** Runs a script whose first argument says until when it may do anything. */
  async #inTime(ms: number, script: Script, keys: readonly string[], args: string[]): Promise<Reply> {
    const begunAt = this.#now()
    // Once more, since the clock it was measured with may have jumped, or was never seen before; now it is known.
    for (let attempt = 1; attempt <= 2 && this.#now() - begunAt < ms; attempt++) {
      args[0] = this.#ahead === null ? '0' : String(begunAt + ms + this.#ahead)
      const reply = await this.#run(script, keys, args)
      if (reply.word !== 'late') return reply
    }
    throw new Error('A command reached Redis too late.')
  }

  async #run(script: Script, keys: readonly string[], args: readonly string[]): Promise<Reply> {
    const sentAt = this.#now()
    const reply = await this.#redis.run(script, keys, args)
    if (!Array.isArray(reply)) throw new Error('Redis answered something else than the script does.')
    const [word, time, ...levels] = reply as string[]
    const at = Number(time)
    // Redis looked at its clock after we asked and before we heard: what we knew is only corrected where it lies outside.
    this.#ahead = Math.min(Math.max(this.#ahead ?? Number.NEGATIVE_INFINITY, at - this.#now()), at - sentAt)
    return { word, at, levels: levels.map(Number) }
  }
}

const keysOf = ({ limits, reservation }: Pick<Demand, 'limits' | 'reservation'>): string[] => {
  const keys = limits.map(({ key }) => key)
  if (reservation !== null) keys.push(reservation)
  return keys
}
