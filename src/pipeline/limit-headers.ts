import type { LimitState } from '../call.ts'
import type { Dialect } from '../dialects/dialect.ts'
import { Refusal } from '../errors.ts'
import type { OverLimit } from '../limits/limits.ts'

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

/** The limit that no call gets past, whoever waits. */
const REQUESTS: OverLimit = { subject: 'tenant', of: 'requests', per: 'minute', most: 0, never: false }

/** Waiting exactly as long as `retry-after` says lets this call pass, if nobody else calls meanwhile. */
export function overLimit({ requestsPerMinute, retryInMs }: LimitState, over: OverLimit = { ...REQUESTS, most: requestsPerMinute }): Refusal {
  const limit = `${subjects[over.subject]} limit of ${over.most} ${over.of === 'concurrency' ? 'calls at once' : `${over.of} per ${over.per}`}`
  if (over.most === 0) return new Refusal('forbidden', `This call may not be made: ${limit}.`)
  if (over.never || !Number.isFinite(retryInMs)) {
    const what = `This call may use more than ${limit} ever holds.`
    return new Refusal('invalid_request', over.of === 'tokens' ? `${what} Ask for fewer output tokens (max_tokens), or send less.` : what)
  }
  const seconds = Math.max(1, Math.ceil(retryInMs / 1000))
  return new Refusal('rate_limited', `This call is over ${limit}; try again in ${seconds} s.`, {
    headers: ['retry-after', String(seconds), 'retry-after-ms', String(Math.ceil(retryInMs))],
    context: { retry_after_seconds: seconds },
  })
}

const subjects: Readonly<Record<OverLimit['subject'], string>> = {
  tenant: 'this tenant’s',
  key: 'this key’s',
  agent: 'this agent’s',
  user: 'this user’s',
  model: 'this model’s',
}
