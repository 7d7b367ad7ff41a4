/** Which headers travel on, in either direction. */
import type { ModelCall } from '../call.ts'
import { mediaTypeOf, UNSAID_TYPES } from '../dialects/bodies/read-call.ts'
import type { Dialect } from '../dialects/dialect.ts'
import { isOurs } from '../our-keys.ts'
import type { Upstream } from './upstream.ts'

// Hop-by-hop (RFC 9110, 7.6.1), every credential, what describes this hop, and accept-encoding, in whose place we ask for a reply that can be read, to be judged and metered.
export const DROPPED: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'transfer-encoding',
  'te',
  'trailer',
  'trailers',
  'upgrade',
  'http2-settings',
  'expect',
  'content-length',
  'content-type', // there may have been several; the one that was judged by goes with the body
  'content-encoding', // the body is sent as it was judged, and so are the sums of its bytes left behind
  'content-digest',
  'content-md5',
  'digest',
  'repr-digest',
  'accept-encoding',
  'cookie',
  'forwarded',
  'x-real-ip',
  'x-original-url',
  'x-rewrite-url',
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'authorization',
  'proxy-authorization',
  'x-api-key',
  'api-key',
  'x-goog-api-key',
  'ocp-apim-subscription-key', // Azure's gateways
])
// They choose whose account pays, which is for the owner of the credential to say.
export const ACCOUNT: ReadonlySet<string> = new Set(['openai-organization', 'openai-project', 'x-goog-user-project'])
/** What nearly every client says, and nominates nothing. */
const PLAIN_CONNECTION = new Set(['keep-alive', 'close'])
/** Who is not told may compress as he likes (RFC 9110, 12.5.3). */
const PLAIN = 'identity'
export const DROPPED_PREFIXES: readonly string[] = ['x-earthflow-', 'x-forwarded-']

/** An upstream without the caller's credential it needs. */
export class MissingCredential extends Error {}

/** The type under which a body travels on: as it came, or JSON where it was read as that and did not say so. Null where it says nothing. */
export function typeOf({ format, contentType }: Pick<ModelCall, 'format' | 'contentType'>): string | null {
  if (format === 'json' && UNSAID_TYPES.has(mediaTypeOf(contentType))) return 'application/json'
  return contentType === '' ? null : contentType
}

/**
 * What the provider sees: the caller's headers without what concerns only this hop, the body's type (null where there is none), and the credential.
 * Throws MissingCredential.
 */
export function requestHeaders(raw: readonly string[], upstream: Upstream, dialect: Dialect, type: string | null): string[] {
  const headers: string[] = []
  const { passthrough } = upstream
  let nominates = false
  let hasCredential = false
  for (let i = 0; i < raw.length; i += 2) {
    const { name, isDropped, isAccount } = nameOf(raw[i])
    const value = raw[i + 1]
    if (passthrough && value !== '' && dialect.vendor.credentialHeaders.includes(name)) {
      if (isOurs(value)) continue
      headers.push(name, value)
      hasCredential = true
    } else if (name === 'connection') {
      if (!PLAIN_CONNECTION.has(value)) nominates = true
      // A key of ours opens nothing at a provider, whatever the name it stands under.
    } else if (!isDropped && (passthrough || !isAccount) && !isOurs(value)) headers.push(name, value)
  }
  if (passthrough && !hasCredential) throw new MissingCredential()
  const kept = nominates ? without(headers, nominatedIn(raw)) : headers
  // After what the caller nominated was taken out: these are not his to take.
  kept.push('accept-encoding', PLAIN)
  if (type !== null) kept.push('content-type', type)
  if (upstream.credential !== null) {
    const [name, value] = dialect.vendor.credential(upstream.credential)
    kept.push(name, value)
  }
  return kept
}

/** What is to be known of a header by its name. */
interface Name {
  /** In small letters. */
  name: string
  isDropped: boolean
  isAccount: boolean
}

/** Of names as they are spelled, for callers send the same ones again and again. At the bound all are learnt anew. */
const spelledNames = new Map<string, Name>()
const NAMES_MAX = 1_000
const NAME_CHARACTERS_MAX = 64

function nameOf(spelled: string): Name {
  const known = spelledNames.get(spelled)
  if (known) return known
  const name = spelled.toLowerCase()
  const read = hyphenated(name)
  const isDropped = DROPPED.has(read) || DROPPED_PREFIXES.some((prefix) => read.startsWith(prefix))
  const found = { name, isDropped, isAccount: ACCOUNT.has(read) }
  if (spelled.length > NAME_CHARACTERS_MAX) return found
  if (spelledNames.size >= NAMES_MAX) spelledNames.clear()
  spelledNames.set(spelled, found)
  return found
}

/** These headers with our part of a trace in the place of the caller's, who would else seem to have called the upstream himself. As they are where nothing is traced. */
export function withTrace(headers: string[], span: { readonly traceparent: string; readonly keepsState: boolean } | undefined): string[] {
  if (span === undefined) return headers
  const kept = headers.flatMap((item, i) => {
    const isReplaced = i % 2 === 0 && (item === TRACEPARENT || (item === TRACESTATE && !span.keepsState))
    return i % 2 === 0 && !isReplaced ? [item, headers[i + 1]] : []
  })
  kept.push(TRACEPARENT, span.traceparent)
  return kept
}
const TRACEPARENT = 'traceparent'
const TRACESTATE = 'tracestate'

/**
 * Those of the caller's headers that may travel on, to one upstream or another: pairs of name and value, in order. Nothing that Connection nominates is
 * among them, and no credential.
 */
export function travelling(raw: readonly string[]): [name: string, value: string][] {
  const nominated = nominatedIn(raw)
  const headers: [string, string][] = []
  for (let i = 0; i < raw.length; i += 2) {
    const { name, isDropped } = nameOf(raw[i])
    if (!isDropped && !nominated.includes(name) && !isOurs(raw[i + 1])) headers.push([name, raw[i + 1]])
  }
  return headers
}

/** How a gateway or CGI could read a name: some make `-` of whatever is no letter or digit, or of both `_` (RFC 3875, section 4.1.18), and two names are one. */
const hyphenated = (name: string): string => (ODD_NAME.test(name) ? name.replace(ODD_CHARACTERS, '-') : name)
const ODD_NAME = /[^a-z0-9-]/
const ODD_CHARACTERS = /[^a-z0-9-]/g

const nominatedIn = (raw: readonly string[]): string[] =>
  raw.flatMap((item, i) => (i % 2 === 0 && item.toLowerCase() === 'connection' ? raw[i + 1].toLowerCase().split(/[\s,]+/) : []))

/** What asks for a part of an answer. */
export const FOR_A_PART: ReadonlySet<string> = new Set(['range', 'if-range'])

/** The headers of a request, as they came, without these. */
export const withoutHeaders = (raw: readonly string[], names: ReadonlySet<string>): string[] =>
  raw.flatMap((item, i) => (i % 2 === 0 && !names.has(item.toLowerCase()) ? [item, raw[i + 1]] : []))

// set-cookie and the ones after it speak of the provider's host, not of ours; whose pages may read an answer is ours to say as well.
const REPLY_DROPPED = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-connection',
  'transfer-encoding',
  'te',
  'trailer',
  'trailers',
  'upgrade',
  'set-cookie',
  'set-cookie2',
  'alt-svc',
  'strict-transport-security',
])
const REPLY_DROPPED_PREFIXES = ['x-earthflow-', 'access-control-']
/** x-ratelimit-…, anthropic-ratelimit-…, x-ms-ratelimit-…, ratelimit-policy, and anthropic-priority-input-tokens-remaining with its kin. */
const LIMIT = /(?:^|-)(?:rate-?limit|quota)s?(?:-|$)|-(?:tokens|requests)-(?:limit|remaining|reset)$/
const ACCOUNT_TOLD = new Set(['openai-organization', 'openai-project', 'anthropic-organization-id', 'x-goog-user-project'])

/**
 * What the client sees. Whose a credential is that several tenants share, and what is left of its limits, is not theirs to know; when to come back
 * (`retry-after`) is.
 */
export function responseHeaders(parsed: Readonly<Record<string, string | string[] | undefined>>, { passthrough }: Upstream): string[] {
  const headers: string[] = []
  for (const name in parsed) {
    const told = tellingOf(name)
    if (told === 'nobody' || (told === 'owner' && !passthrough)) continue
    const value = parsed[name]
    if (typeof value === 'string') headers.push(name, value)
    else for (const one of value ?? []) headers.push(name, one)
  }
  const { connection } = parsed
  return connection === undefined
    ? headers
    : without(
        headers,
        String(connection)
          .toLowerCase()
          .split(/[\s,]+/),
      )
}

/** To whom a header of an answer is told: only to the owner of the credential where it is about him. */
type Telling = 'all' | 'owner' | 'nobody'

/** Providers say the same ones with every answer. At the bound all are learnt anew. */
const tellings = new Map<string, Telling>()

function tellingOf(name: string): Telling {
  const known = tellings.get(name)
  if (known) return known
  const isDropped = REPLY_DROPPED.has(name) || REPLY_DROPPED_PREFIXES.some((prefix) => name.startsWith(prefix))
  const told = isDropped ? 'nobody' : ACCOUNT_TOLD.has(name) || LIMIT.test(name) ? 'owner' : 'all'
  if (name.length > NAME_CHARACTERS_MAX) return told
  if (tellings.size >= NAMES_MAX) tellings.clear()
  tellings.set(name, told)
  return told
}

const without = (headers: readonly string[], names: readonly string[]): string[] =>
  headers.flatMap((item, i) => (i % 2 === 0 && !names.includes(item) ? [item, headers[i + 1]] : []))

/** A query (with its question mark, or empty) without API keys in it; every other byte as it came. */
export function withoutKeys(query: string): string {
  if (query === '') return ''
  const kept = query
    .slice(1)
    .split('&')
    .filter((pair) => !isKey(pair))
  return kept.length > 0 ? `?${kept.join('&')}` : ''
}

/** Members of a query in which providers take a credential. */
const KEY_MEMBERS = new Set(['key', 'access_token', 'oauth_token', 'api-key', 'subscription-key'])

function isKey(pair: string): boolean {
  const [[name, value] = ['', '']] = new URLSearchParams(pair)
  return KEY_MEMBERS.has(name.toLowerCase()) || isOurs(value)
}
