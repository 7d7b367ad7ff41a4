/** Anthropic: how it is reached and how its client libraries are told "no". */
import type { Refusal } from '../../errors.ts'
import type { Vendor } from '../dialect.ts'
import { anthropicModels } from '../model-list.ts'
import { pageOf } from '../refusal-page.ts'

export const anthropic: Vendor = {
  name: 'anthropic',
  basePath: '',
  credentialHeaders: ['x-api-key', 'authorization'],
  credential: (secret) => ['x-api-key', secret],
  refuse: (refusal, requestId) => pageOf(refusal, describe(refusal, requestId)),
  models: anthropicModels,
  keepAlive: 'event: ping\ndata: {"type": "ping"}\n\n',
  requestIdHeader: 'request-id',
  limitHeaders: ({ requestsPerMinute, remaining, fullInMs, tokens }, now) => [
    'anthropic-ratelimit-requests-limit',
    String(requestsPerMinute),
    'anthropic-ratelimit-requests-remaining',
    String(remaining),
    'anthropic-ratelimit-requests-reset',
    rfc3339(now + Math.max(0, fullInMs)),
    ...(tokens === null
      ? []
      : [
          'anthropic-ratelimit-tokens-limit',
          String(tokens.perMinute),
          'anthropic-ratelimit-tokens-remaining',
          String(tokens.remaining),
          'anthropic-ratelimit-tokens-reset',
          rfc3339(now + Math.max(0, tokens.fullInMs)),
        ]),
  ],
}

const types: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
}
/** The body of an error. */
export const describe = ({ status, message }: Refusal, id: string): object => ({
  type: 'error',
  error: { type: types[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error'), message },
  request_id: id,
})

/** To the second, rounded up: whoever waits until then does not come too early. */
const rfc3339 = (ms: number): string => `${new Date(Math.ceil(ms / 1000) * 1000).toISOString().slice(0, 19)}Z`
