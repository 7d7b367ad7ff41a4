import type { IncomingMessage } from 'node:http'
import type { Caller } from '../call.ts'
import { Refusal } from '../errors.ts'
import { isOurs } from '../our-keys.ts'
import type { OpenSessions } from './open-sessions.ts'
import type { Exchange, Stage } from './stage.ts'

/** Null for every key that is not valid, whatever the cause; throws where the question cannot be answered now. */
export interface Keys {
  find(key: string): Caller | null | Promise<Caller | null>
  /** By the names in a client certificate. */
  findByCertificate(names: readonly string[]): Caller | null | Promise<Caller | null>
}

/**
 * Finds the tenant behind the key, or, where none was sent, behind the client certificate. One sentence for unknown, revoked and malformed keys alike; a
 * login's token is none of them.
 */
export const authenticate =
  (keys: Keys, sessions: Pick<OpenSessions, 'follow'>): Stage<never, 'caller'> =>
  (known) => {
    const decide = (caller: Caller | Refusal): { caller: Caller } | Refusal => {
      if (caller instanceof Refusal) return caller
      if (caller.session) sessions.follow(known, caller.session)
      known.headers.push('x-earthflow-audit-id', known.auditId) // from here on there will be a row
      return { caller }
    }
    const found = findCaller(keys, known)
    return found instanceof Promise ? found.then(decide) : decide(found)
  }

/** Who is behind the key now, or behind the certificate; a refusal where nobody is. */
export function findCaller(keys: Keys, { incoming, peer }: Pick<Exchange, 'incoming' | 'peer'>): Caller | Refusal | Promise<Caller | Refusal> {
  const key = keyOf(incoming)
  if (key === 'several') return new Refusal('invalid_request', 'The request carries two different Earthflow keys; send one.')
  if (key === null && (peer.certificate === null || isFromPage(incoming))) return missing()
  const known = (caller: Caller | null): Caller | Refusal => caller ?? (key === null ? missing() : invalid())
  const found = key === null ? keys.findByCertificate(peer.certificate ?? []) : keys.find(key)
  return found instanceof Promise ? found.then(known) : known(found)
}

/** A browser shows its certificate whoever asks it to: for a page of elsewhere it is nobody's word, and such a page sends a key. */
function isFromPage({ headers }: IncomingMessage): boolean {
  const { origin, host, 'sec-fetch-site': site } = headers
  const isOwn = origin === undefined || (URL.canParse(origin) && new URL(origin).host === host?.toLowerCase())
  return !isOwn || (site !== undefined && site !== 'same-origin' && site !== 'none')
}

const missing = (): Refusal => new Refusal('unauthenticated', 'No Earthflow key (ef_…) was sent: it belongs where the provider’s key would stand.')
export const invalid = (): Refusal => new Refusal('unauthenticated', 'The API key is not valid for Earthflow.')

/** Every client library has its own place for the key. */
const KEY_HEADERS = new Set(['x-earthflow-key', 'proxy-authorization', 'authorization', 'x-api-key', 'api-key', 'x-goog-api-key'])

function keyOf({ rawHeaders, url = '' }: IncomingMessage): string | 'several' | null {
  let found: string | null = null
  // As they came: of some headers Node keeps only the first.
  for (let i = 0; i < rawHeaders.length; i += 2) {
    // Most headers hold none of ours, whatever they are called.
    if (!isOurs(rawHeaders[i + 1]) || !KEY_HEADERS.has(rawHeaders[i].toLowerCase())) continue
    for (const value of rawHeaders[i + 1].split(/[\s,]+/)) {
      if (!isOurs(value)) continue
      if (found !== null && found !== value) return 'several'
      found = value
    }
  }
  const query = url.indexOf('?')
  if (query >= 0 && url.includes('=', query)) {
    for (const value of new URLSearchParams(url.slice(query)).getAll('key')) {
      if (!isOurs(value)) continue
      if (found !== null && found !== value) return 'several'
      found = value
    }
  }
  return found
}
