/** One limit as a call meets it. */

export type Subject = 'tenant' | 'key' | 'agent' | 'user' | 'model'

/**
 * A limit per minute is a bucket into which a sixtieth flows each second; per day counts in the calendar's day, in UTC; concurrency (per null) is permits,
 * each held until it is given back or its lease ends. `level` means the same for all three: what is left to take.
 */
export interface Limit {
  readonly subject: Subject
  readonly of: 'requests' | 'tokens' | 'concurrency'
  readonly per: 'minute' | 'day' | null
  /** As the administrator said it. */
  readonly most: number
  /** Where it is counted. All keys of a tenant carry the same hash tag, so that one script may touch them together. */
  readonly key: string
  /** The level when nothing was taken. */
  readonly capacity: number
  /** What flows in each millisecond; 0 where nothing does. */
  readonly refillPerMs: number
  /** What a script must know of it: per, capacity, refill. */
  readonly args: readonly [string, string, string]
}

/** What a call asks for. */
export interface Demand {
  /** The call's, which no other call has. */
  readonly id: string
  readonly limits: readonly Limit[]
  /** Tokens to reserve, 0 where nobody limits them. */
  readonly tokens: number
  /** Where it is remembered that tokens are reserved; null where nobody limits them. */
  readonly reservation: string | null
}

/** What a demand gives back. */
export interface GiveBack {
  readonly demand: Demand
  /** When it was taken, by the clock it was counted with: what a day gave goes back to that day alone. */
  readonly takenAt: number
  /** Fewer than 0 where more was used than reserved. */
  readonly tokens: number
  readonly requests: 0 | 1
}

export const DAY_MS = 86_400_000
/** A permit nobody renewed for so long is free again, so a process that was killed keeps none. */
export const LEASE_MS = 45_000
/** After this a call cannot be settled any more; streams end after 60 minutes. */
export const RESERVATION_MS = 65 * 60_000

export const costOf = ({ of }: Limit, tokens: number): number => (of === 'tokens' ? tokens : 1)
export const amountBack = ({ of }: Limit, { tokens, requests }: GiveBack): number => (of === 'tokens' ? tokens : of === 'requests' ? requests : 0)

/** Sums of fractions fall short by a hair, and Redis counts microseconds: whoever waited as long as he was told must pass. What is taken too early is owed. */
export const hairOf = ({ refillPerMs }: Limit): number => 1e-6 + refillPerMs / 1000

export const holds = (limit: Limit, level: number, cost: number): boolean => cost <= 0 || level >= cost - hairOf(limit)

export const dayOf = (at: number): number => Math.floor(at / DAY_MS)

const isLease = ({ per }: Limit): boolean => per === null
export const holdsLease = ({ limits }: Demand): boolean => limits.some(isLease)
export function leaseKeysOf({ limits }: Demand): readonly string[] {
  let keys: string[] | undefined
  for (const limit of limits) if (isLease(limit)) (keys ??= []).push(limit.key)
  return keys ?? NO_KEYS
}
const NO_KEYS: readonly string[] = []
