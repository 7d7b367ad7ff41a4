/** What browsers are told when a page of another origin asks: CORS, as the Fetch standard has it, for origins that are listed one by one. */
import type { IncomingMessage } from 'node:http'

export interface CrossOrigin {
  /** What goes with every answer to this request: name, value, name, value. Undefined where its page is not allowed, or no page asks. */
  headersFor(incoming: Pick<IncomingMessage, 'headers'>): readonly string[] | undefined
  /** The whole answer to a browser that asks beforehand whether a page may; null for every other request. */
  preflight(incoming: Pick<IncomingMessage, 'headers' | 'method'>): readonly string[] | null
}

const HEADERS_CHARACTERS_MAX = 4_096
/** A list of field names (RFC 9110, section 5.6.2). */
const NAMES = /^[\w!#$%&'*+.^`|~-]+(?: *, *[\w!#$%&'*+.^`|~-]+)*$/
const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE'
const MAX_AGE_SECONDS = '600'
/** With credentials there is no wildcard: each header that a page may read is named. */
const EXPOSED = [
  ...['request-id', 'audit-id', 'decision', 'overhead-ms', 'conversation', 'approval-id'].map((name) => `x-earthflow-${name}`),
  ...['limit', 'remaining', 'reset'].flatMap((name) => ['', '-requests', '-tokens'].map((of) => `x-ratelimit-${name}${of}`)),
  ...['requests', 'tokens'].flatMap((of) => ['limit', 'remaining', 'reset'].map((name) => `anthropic-ratelimit-${of}-${name}`)),
  ...['retry-after', 'retry-after-ms', 'request-id', 'x-request-id', 'content-disposition', 'www-authenticate', 'allow'],
].join(', ')

export function createCrossOrigin(allowed: readonly string[]): CrossOrigin {
  const ofOrigin = new Map(allowed.map((origin) => [origin, headersOf(origin)]))
  const headersFor: CrossOrigin['headersFor'] = ({ headers: { origin } }) => (origin === undefined ? undefined : ofOrigin.get(origin))

  return {
    headersFor,
    preflight(incoming) {
      const { method, headers } = incoming
      if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) return null
      const own = headersFor(incoming)
      if (own === undefined) return null
      const asked = headers['access-control-request-headers'] ?? ''
      const names = asked.length <= HEADERS_CHARACTERS_MAX && NAMES.test(asked) ? ['access-control-allow-headers', asked] : []
      return [...own, 'access-control-allow-methods', METHODS, ...names, 'access-control-max-age', MAX_AGE_SECONDS]
    },
  }
}

const headersOf = (origin: string): readonly string[] => [
  'access-control-allow-origin',
  origin,
  'access-control-allow-credentials',
  'true',
  'access-control-expose-headers',
  EXPOSED,
  'vary',
  'origin',
]
