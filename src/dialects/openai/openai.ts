/** OpenAI, and everybody who speaks its formats: how it is reached and how its client libraries are told "no". */
import type { Refusal } from '../../errors.ts'
import type { Vendor } from '../dialect.ts'
import { openaiModels } from '../model-list.ts'
import { pageOf } from '../refusal-page.ts'

export const openai: Vendor = {
  name: 'openai',
  basePath: '/v1',
  credentialHeaders: ['authorization'],
  credential: (secret) => ['authorization', `Bearer ${secret}`],
  refuse: (refusal) => pageOf(refusal, { error: describe(refusal) }),
  models: openaiModels,
  keepAlive: ': keep-alive\n\n',
  requestIdHeader: 'x-request-id',
  limitHeaders: ({ requestsPerMinute, remaining, fullInMs, tokens }) => [
    'x-ratelimit-limit-requests',
    String(requestsPerMinute),
    'x-ratelimit-remaining-requests',
    String(remaining),
    'x-ratelimit-reset-requests',
    duration(fullInMs),
    ...(tokens === null
      ? []
      : [
          'x-ratelimit-limit-tokens',
          String(tokens.perMinute),
          'x-ratelimit-remaining-tokens',
          String(tokens.remaining),
          'x-ratelimit-reset-tokens',
          duration(tokens.fullInMs),
        ]),
  ],
}

/** The same formats at Azure's paths, with Azure's own header for the key. */
export const azure: Vendor = {
  ...openai,
  name: 'azure',
  basePath: '/openai',
  credentialHeaders: ['api-key', 'authorization'],
  credential: (secret) => ['api-key', secret],
}

const types: Readonly<Record<number, string>> = { 401: 'authentication_error', 429: 'rate_limit_exceeded' }
const typesByReason: Partial<Record<Refusal['reason'], string>> = {
  forbidden: 'permission_error',
  model_not_allowed: 'permission_error',
  agent_quarantined: 'permission_error',
  budget_exceeded: 'insufficient_quota',
}
/** Where OpenAI has a code of its own for what happened; elsewhere the code is the reason. */
const codes: Partial<Record<Refusal['reason'], string>> = {
  blocked_by_rule: 'content_policy_violation',
  unauthenticated: 'invalid_api_key',
  rate_limited: 'rate_limit_exceeded',
  budget_exceeded: 'insufficient_quota',
  too_large: 'request_too_large',
  internal: 'internal_error',
  draining: 'server_draining',
}
/** The error of OpenAI's formats, without what surrounds it. */
export const describe = ({ reason, status, message, context: { param } }: Refusal): object => ({
  message,
  type: typesByReason[reason] ?? types[status] ?? (status >= 500 ? 'server_error' : 'invalid_request_error'),
  param: typeof param === 'string' && param !== '' ? param : null,
  code: codes[reason] ?? reason,
})

/** An event that client libraries raise as the error it holds, in every format of theirs but the responses. */
export const errorEvent = (refusal: Refusal): string => `data: ${JSON.stringify({ error: describe(refusal) })}\n\n`

const MINUTE_MS = 60_000

/** A wait as OpenAI writes it: `12ms`, `8.64s`, `6m0s`. */
function duration(waitMs: number): string {
  const ms = Math.max(0, Math.ceil(waitMs))
  if (ms === 0) return '0s'
  if (ms < 1000) return `${ms}ms`
  if (ms < MINUTE_MS) return `${ms / 1000}s`
  const seconds = Math.ceil(ms / 1000)
  return `${Math.floor(seconds / 60)}m${seconds % 60}s`
}
