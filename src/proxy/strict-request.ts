/** What Node's parser lets pass and somebody else on the way could read otherwise, decided by the head of a request alone, before anything acts on it. */
import { type EarlyRefusal, METHODS, refusal } from './early-refusal.ts'

export interface RequestHead {
  method?: string | undefined
  url?: string | undefined
  httpVersion: string
  rawHeaders: readonly string[]
}

/**
 * Headers that say something once (RFC 9110, section 5.3): who is asked and who asks, how the body is framed and read, whose account pays. Of two lines one
 * party takes the first and the next one the last. Each has a bit by which it is known to have come.
 */
const SINGLE: ReadonlyMap<string, number> = new Map(
  [
    'host',
    'content-length',
    'transfer-encoding',
    'content-type',
    'content-encoding',
    'content-range',
    'authorization',
    'proxy-authorization',
    'x-api-key',
    'api-key',
    'x-goog-api-key',
    'ocp-apim-subscription-key',
    'anthropic-version',
    'openai-organization',
    'openai-project',
    'x-goog-user-project',
    'x-goog-upload-command',
    'expect',
    'origin',
    'range',
  ].map((name, i) => [name, 1 << i]),
)
const [HOST, LENGTH, CODING] = ['host', 'content-length', 'transfer-encoding'].map((name) => SINGLE.get(name))
/** Beside those that come once: headers by which somebody is told apart or trusted. */
const TRUSTED = new Set(['cookie', 'forwarded', 'x-real-ip', 'x-original-url', 'x-rewrite-url', 'connection', 'upgrade'])
const OURS = 'x-earthflow-'
const TRUSTED_PREFIXES = [OURS, 'x-forwarded-', 'content-']
const isTrusted = (name: string): boolean => SINGLE.has(name) || TRUSTED.has(name) || TRUSTED_PREFIXES.some((prefix) => name.startsWith(prefix))

const ANSWERED = new Set(METHODS.split(', '))
/** What nearly every client says, and nominates nothing. */
const PLAIN_CONNECTION = new Set(['keep-alive', 'close', 'Keep-Alive', 'Close'])
/** Some gateways and CGI make `_`, and a few everything that is no letter or digit, of what was `-` (RFC 3875, section 4.1.18), so that two names become one. */
const ODD_NAME = /[^a-z0-9-]/
const ODD_CHARACTERS = /[^a-z0-9-]/g
/** A name or an address and a port (RFC 9112, section 3.2), without what only an attack has: no user, no path, no percent signs. */
const AUTHORITY = /^(?:[\w.~-]+|\[[\da-f:.]+\])(?::(\d{1,5}))?$/i
const PORT_MAX = 65_535

/** What a name is to be looked at for, beside the bits of those that come once. */
const ANY = 0
const IS_CONNECTION = -1
const IS_TWIN = -2
const IS_OURS = -3

/** Nearly all requests spell few names in few ways: what was found out about a spelling is remembered. At the bound all are learnt anew. */
const kinds = new Map<string, number>()
const SPELLINGS_MAX = 1_000
const SPELLING_LENGTH_MAX = 64

function kindOf(spelling: string): number {
  const name = spelling.toLowerCase()
  const kind = SINGLE.get(name) ?? kindOfOther(name)
  if (spelling.length > SPELLING_LENGTH_MAX) return kind
  if (kinds.size >= SPELLINGS_MAX) kinds.clear()
  kinds.set(spelling, kind)
  return kind
}

function kindOfOther(name: string): number {
  if (name === 'connection') return IS_CONNECTION
  if (ODD_NAME.test(name)) return isTrusted(name.replace(ODD_CHARACTERS, '-')) ? IS_TWIN : ANY
  return name.startsWith(OURS) ? IS_OURS : ANY
}

/** The refusal of a request that is not to be acted upon; null for nearly all. Asked of every request of every connection. */
export function refusalOf({ method = '', url = '', httpVersion, rawHeaders }: RequestHead): EarlyRefusal | null {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return refusal('505 HTTP Version Not Supported', 'Speak HTTP/1.1; another version is not spoken here.')
  if (!ANSWERED.has(method)) return METHOD
  let seen = 0
  let host: string | undefined
  let coding: string | undefined
  let ours: string[] | undefined
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const kind = kinds.get(rawHeaders[i]) ?? kindOf(rawHeaders[i])
    if (kind === ANY) continue
    if (kind > ANY) {
      if ((seen & kind) !== 0) return repeated(rawHeaders[i].toLowerCase())
      seen |= kind
      if (kind === HOST) host = rawHeaders[i + 1]
      else if (kind === CODING) coding = rawHeaders[i + 1]
    } else if (kind === IS_CONNECTION) {
      const value = rawHeaders[i + 1]
      if (!PLAIN_CONNECTION.has(value) && nominates(value)) return NOMINATED
    } else if (kind === IS_TWIN) return TWIN
    else {
      const name = rawHeaders[i].toLowerCase()
      if (ours?.includes(name)) return repeated(name)
      ;(ours ??= []).push(name)
    }
  }
  if (coding !== undefined) {
    if (httpVersion === '1.0') return bad('Send no Transfer-Encoding with HTTP/1.0, which does not have it; send a Content-Length.')
    if ((seen & (LENGTH ?? 0)) !== 0) return bad('Send either Transfer-Encoding or Content-Length, not both.')
    const wrong = coding.toLowerCase() === 'chunked' ? null : unreadableCoding(coding)
    if (wrong) return wrong
  }
  if (host === undefined ? httpVersion === '1.1' : !isAuthority(host)) return HOST_LINE
  return PLAIN_TARGET.test(url) ? null : unplain(url, host)
}

/** The path and query of a request's target that `refusalOf` let pass: those that a target with a scheme and a host ends in. */
export const originForm = (url: string): string => (url.startsWith('/') ? url : url.replace(ABSOLUTE, (_all, _authority, rest: string) => withSlash(rest)))
const withSlash = (rest: string): string => (rest.startsWith('/') ? rest : `/${rest}`)

const bad = (message: string): EarlyRefusal => refusal('400 Bad Request', message)
const repeated = (name: string): EarlyRefusal => bad(`Send the header ${name} once.`)
const METHOD: EarlyRefusal = {
  status: '405 Method Not Allowed',
  code: 'METHOD_NOT_ALLOWED',
  message: `The methods that are answered here are ${METHODS}.`,
  header: ['allow', METHODS],
}
const HOST_LINE = bad('Send one Host header with a name or an address, and a port if need be: nothing else.')
const TWIN = bad('Spell header names with hyphens: one that is spelled otherwise can be mistaken for a header that says who may do what.')
const NOMINATED = bad('Take headers that say who asks, what the body is or what Earthflow is to do out of Connection: those are not for the next hop alone.')

const isAuthority = (host: string): boolean => {
  const found = AUTHORITY.exec(host)
  return found !== null && Number(found[1] ?? 0) <= PORT_MAX
}

/** Whether a Connection header would have somebody take away what others rely on (RFC 9110, section 7.6.1). */
const nominates = (connection: string): boolean =>
  connection.split(',').some((option) => {
    const name = option.trim().toLowerCase().replace(ODD_CHARACTERS, '-')
    return name !== 'upgrade' && isTrusted(name)
  })

/** RFC 9112, section 6.1: a coding nobody knows is 501; `chunked` twice, or what is no coding at all, is malformed. */
function unreadableCoding(value: string): EarlyRefusal {
  const codings = value.split(',').map((one) => one.trim().toLowerCase())
  const isMalformed = codings.some((one) => !/^[\w!#$%&'*+.^`|~-]+$/.test(one)) || codings.every((one) => one === 'chunked')
  return isMalformed ? bad('Send Transfer-Encoding: chunked, once, or a Content-Length.') : CODING_UNKNOWN
}
const CODING_UNKNOWN = refusal('501 Not Implemented', 'Send no transfer coding but chunked; a body may be compressed with Content-Encoding.')

/** What nearly every target looks like: no segment begins with a dot, and nothing has a percent sign or stands for something else. */
const PLAIN_TARGET = /^(?=\/)(?:\/[\w~!$&'()*+,:;=@-][\w.~!$&'()*+,:;=@-]*)*\/?(?:\?[\x21\x22\x24-\x7e]*)?$/
const ABSOLUTE = /^https?:\/\/([^/?#]*)(.*)$/i

/** What is wrong with a target that does not look plain, if anything is. Nothing here is ever decoded: what could mean two things is refused. */
function unplain(url: string, host: string | undefined): EarlyRefusal | null {
  const absolute = url.startsWith('/') ? null : ABSOLUTE.exec(url)
  if (absolute && absolute[1].toLowerCase() !== host?.toLowerCase())
    return refusal('421 Misdirected Request', 'Ask for a path alone, or under the very name that the Host header has: this is not a forward proxy.')
  if (!absolute && !url.startsWith('/')) return bad('Ask for a path that begins with a slash.')
  const target = originForm(url)
  const [path] = target.split('?', 1)
  for (const [wrong, message] of WRONG_IN_PATH) if (wrong.test(path)) return bad(message)
  return /[^\x21\x22\x24-\x7e]/.test(target) ? bad('Percent-encode what is not plain ASCII in the query, and send no fragment.') : null
}

const WRONG_IN_PATH: readonly (readonly [wrong: RegExp, message: string])[] = [
  [/[^\x21-\x7e]/, 'Percent-encode what is not plain ASCII in the path.'],
  [/#/, 'Leave the fragment (#) out of the path: it is not for servers.'],
  [/\\|%5c/i, 'Write the path without backslashes, plain or encoded.'],
  [/\/\//, 'Write the path without empty segments (//).'],
  [/%(?![0-9a-f]{2})/i, 'Write two hexadecimal digits after each percent sign in the path.'],
  [/%2f/i, 'Write the path without encoded slashes (%2F).'],
  [/%(?:[01][0-9a-f]|7f)/i, 'Write the path without control characters, plain or encoded.'],
  [/%2e|\/\.{1,2}(?:[/;]|$)/i, 'Write the path without dot segments and encoded dots.'],
]
