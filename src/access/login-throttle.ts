/**
 * How often a password may be guessed: by e-mail address and address together, by e-mail address, and by address. Counted in Redis where there is one, so
 * that more processes are not more guesses, and by this process where that is away. Only wrong passwords stay counted: neither attempts that were refused
 * nor right ones do. And nobody is locked out by strangers: where somebody has logged in before, guesses from elsewhere do not hold them up.
 */
import { hash } from 'node:crypto'
import { createRequire } from 'node:module'
import { isIP } from 'node:net'
import type * as library from 'rate-limiter-flexible'
import { type RedisConnection, scriptOf } from '../db/redis.ts'
import { within } from '../db/unavailable.ts'
import { canonicalAddress } from '../egress/address.ts'
import { Refusal } from '../errors.ts'
import { keepBounded } from './lookups.ts'
import { emailOf } from './users.ts'

// Single files, not the package's index, which loads fifteen stores.
const require = createRequire(import.meta.url)
const MemoryLimiter = require('rate-limiter-flexible/lib/RateLimiterMemory.js') as typeof library.RateLimiterMemory
const RedisLimiter = require('rate-limiter-flexible/lib/RateLimiterRedis.js') as typeof library.RateLimiterRedis
const Result = require('rate-limiter-flexible/lib/RateLimiterRes.js') as typeof library.RateLimiterRes

export interface LoginThrottle {
  /**
   * Counts an attempt as failed before it is made, so that many at once are not one. Throws a Refusal ('rate_limited') where there were too many; that
   * attempt is then counted nowhere.
   */
  take(email: string, address: string): Promise<Attempt>
}

/** What can be said of an attempt, once. If nothing is said, it was wrong. Neither rejects: what could not be given back stays counted until its window ends. */
export interface Attempt {
  /** It was the right password: the attempt is not counted, and what this address got wrong of this person before is forgiven. The address is now familiar. */
  succeeded(): Promise<void>
  /** It could not be told whether it was: the attempt is not counted. */
  undo(): Promise<void>
}

export interface LoginThrottleOptions {
  redis: Pick<RedisConnection, 'run' | 'send'> | null
  /** Milliseconds since 1970. */
  now: () => number
}

type GiveBack = () => Promise<void>

const WINDOW_SECONDS = 15 * 60
const PER_PAIR = 5
/** From addresses that are not familiar. */
const PER_EMAIL = 20
const PER_ADDRESS = 50
/** For so long after somebody's last login from an address it is familiar: their e-mail's bound, which strangers can use up, does not hold there. */
const FAMILIAR_SECONDS = 30 * 24 * 3_600
/** Of each of the three, and of the familiar, in memory; beyond it the oldest is forgotten. */
const COUNTED_MAX = 20_000
const REDIS_MS = 500
/** A point less, and never less than none: it may have been forgiven, or its window have ended. */
const giveBackOne = scriptOf("if tonumber(redis.call('get', KEYS[1]) or '0') > 0 then redis.call('decr', KEYS[1]) end")

export function createLoginThrottle({ redis, now }: LoginThrottleOptions): LoginThrottle {
  const pairs = limiter('pair', PER_PAIR)
  const addresses = limiter('address', PER_ADDRESS)
  const emails = limiter('email', PER_EMAIL)
  const familiar = familiarPairs()

  return {
    async take(email, address) {
      // Digests: what lies in Redis is no address book.
      const network = networkOf(address)
      const pair = digestOf(emailOf(email), network)
      const taken: GiveBack[] = []
      const undo = async () => void (await Promise.all(taken.map((giveBack) => giveBack())))
      try {
        // The pair first: most of what is too much ends there.
        taken.push(await pairs.take(pair))
        taken.push(await addresses.take(digestOf(network)))
        if (!(await familiar.has(pair))) taken.push(await emails.take(digestOf(emailOf(email))))
      } catch (error) {
        await undo()
        throw error
      }
      return {
        undo,
        async succeeded() {
          await Promise.all([undo(), familiar.add(pair)])
          await pairs.clear(pair)
        },
      }
    },
  }

  function limiter(kind: string, points: number) {
    const options = { keyPrefix: `ef_login_${kind}`, points, duration: WINDOW_SECONDS }
    const memory = new MemoryLimiter(options)
    // Not insured by the other as the library would have it: a point goes back to where it was taken.
    const shared = redis && new RedisLimiter({ ...options, storeClient: clientOf(redis), useRedisPackage: true })
    const counted = new Set<string>()

    return {
      async take(key: string): Promise<GiveBack> {
        await remember(key)
        const inRedis = shared && (await unlessAway(resultOf(shared.consume(key))))
        const result = inRedis ?? (await resultOf(memory.consume(key)))
        const giveBack = () => (inRedis ? giveBackToRedis(key) : giveBackToMemory(key))
        if (result.consumedPoints <= points) return giveBack
        await giveBack()
        throw tooMany(Math.max(1, Math.ceil(result.msBeforeNext / 1_000)))
      },
      async clear(key: string): Promise<void> {
        await memory.delete(key)
        if (shared) await unlessAway(shared.delete(key))
      },
    }

    async function giveBackToRedis(key: string): Promise<void> {
      if (redis && shared) await unlessAway(within(REDIS_MS, redis.run(giveBackOne, [shared.getKey(key)], [])))
    }

    async function giveBackToMemory(key: string): Promise<void> {
      const kept = await memory.get(key)
      if (kept === null || kept.consumedPoints <= 0) return
      const { consumedPoints } = await memory.reward(key)
      if (consumedPoints < 0) await memory.penalty(key) // It was forgiven in between.
    }

    /** The library's memory has no bound of its own. */
    async function remember(key: string): Promise<void> {
      counted.delete(key)
      counted.add(key)
      if (counted.size <= COUNTED_MAX) return
      const [oldest] = counted
      counted.delete(oldest)
      await memory.delete(oldest)
    }
  }

  /** From where people have logged in. This process knows its own logins also while Redis is away. */
  function familiarPairs() {
    const until = new Map<string, number>()
    const nameOf = (pair: string): string => `ef_login_familiar:${pair}`

    return {
      async has(pair: string): Promise<boolean> {
        if (now() < (until.get(pair) ?? 0)) return true
        until.delete(pair)
        return redis !== null && (await unlessAway(within(REDIS_MS, redis.send(['EXISTS', nameOf(pair)])))) === 1
      },
      async add(pair: string): Promise<void> {
        until.delete(pair)
        keepBounded(until, COUNTED_MAX, pair, now() + FAMILIAR_SECONDS * 1_000)
        if (redis) await unlessAway(within(REDIS_MS, redis.send(['SET', nameOf(pair), '1', 'EX', String(FAMILIAR_SECONDS)])))
      },
    }
  }
}

/** What the library counted, be it too much or not. */
const resultOf = (counting: Promise<library.RateLimiterRes>): Promise<library.RateLimiterRes> =>
  counting.catch((error: unknown) => {
    if (error instanceof Result) return error
    throw error
  })

/** Null where Redis does not answer, or not in time. */
const unlessAway = <Answer>(asked: Promise<Answer>): Promise<Answer | null> => asked.catch(() => null)

/** Our connection as the library asks one of node-redis. */
const clientOf = (redis: Pick<RedisConnection, 'run' | 'send'>) => ({
  eval: (source: string, { keys, arguments: args }: { keys: string[]; arguments: string[] }) => within(REDIS_MS, redis.run(scriptOf(source), keys, args)),
  del: async (key: string) => Number(await within(REDIS_MS, redis.send(['DEL', key]))),
})

const tooMany = (seconds: number): Refusal =>
  new Refusal('rate_limited', 'Too many attempts to log in. Try again later.', {
    headers: ['retry-after', String(seconds)],
    context: { retry_after_seconds: seconds },
  })

/** Whoever has one IPv6 address has its whole /64 (RFC 6177). */
function networkOf(address: string): string {
  const canonical = canonicalAddress(address) ?? ''
  if (isIP(canonical) !== 6) return canonical
  const [head, tail = ''] = canonical.split('::')
  const groups = head.split(':').filter((group) => group !== '')
  const after = tail.split(':').filter((group) => group !== '')
  if (canonical.includes('::')) groups.push(...Array<string>(8 - groups.length - after.length).fill('0'), ...after)
  return groups.slice(0, 4).join(':')
}

const digestOf = (...parts: string[]): string => hash('sha256', JSON.stringify(parts), 'base64url')
