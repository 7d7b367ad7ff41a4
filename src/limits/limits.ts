import type { LimitState, Tenant } from '../call.ts'
import { type BucketSize, type BucketState, Buckets } from './buckets.ts'

const KEYS_MAX = 100_000

export interface LimitOptions {
  windowSeconds: number
  burstFactor: number
  /** Milliseconds, from a clock that does not jump. */
  now: () => number
}

/** The limits of this process. Refill is the tenant's requests per minute; the burst is ceil(rpm × window ÷ 60 × factor). */
export function createLimits({ windowSeconds, burstFactor, now }: LimitOptions) {
  const requests = new Buckets({ keysMax: KEYS_MAX, now })
  const sizeOf = ({ maxRequestsPerMinute: rpm }: Tenant): BucketSize => ({
    capacity: Math.ceil(Math.max(0, (rpm * windowSeconds * burstFactor) / 60 - 1e-9)),
    refillPerMs: rpm / 60_000,
  })
  return {
    async take(tenant: Tenant): Promise<LimitState> {
      return stateOf(tenant, requests.take(tenant.id, 1, sizeOf(tenant)))
    },
    peek(tenant: Tenant): LimitState {
      return stateOf(tenant, requests.peek(tenant.id, 1, sizeOf(tenant)))
    },
  }
}

const stateOf = ({ maxRequestsPerMinute }: Tenant, { tokens, fullInMs, waitMs }: BucketState): LimitState => ({
  requestsPerMinute: maxRequestsPerMinute,
  remaining: Math.max(0, Math.min(maxRequestsPerMinute, Math.floor(tokens))),
  fullInMs,
  retryInMs: waitMs,
})
