import type { LimitState } from '../call.ts'
import type { Dialect } from '../dialects/dialect.ts'
import { Refusal } from '../errors.ts'

/** Earthflow's three limit headers and the provider's own family beside them. */
export function limitHeaders(state: LimitState, dialect: Dialect, now: number): string[] {
  return [
    'x-ratelimit-limit',
    String(state.requestsPerMinute),
    'x-ratelimit-remaining',
    String(state.remaining),
    'x-ratelimit-reset',
    String(Math.ceil((now + state.fullInMs) / 1000)),
    ...dialect.vendor.limitHeaders(state, now),
  ]
}

export function overLimit({ requestsPerMinute, retryInMs }: LimitState): Refusal {
  if (!Number.isFinite(retryInMs)) return new Refusal('forbidden', 'This tenant may make no calls: its limit is 0 requests per minute.')
  const seconds = Math.max(1, Math.ceil(retryInMs / 1000))
  const headers = ['retry-after', String(seconds), 'retry-after-ms', String(Math.ceil(retryInMs))]
  return new Refusal('rate_limited', `This tenant is over its limit of ${requestsPerMinute} requests per minute; try again in ${seconds} s.`, {
    headers,
    context: { retry_after_seconds: seconds },
  })
}
