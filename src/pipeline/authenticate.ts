import type { IncomingMessage } from 'node:http'
import type { Caller } from '../call.ts'
import { Refusal } from '../errors.ts'
import type { Stage } from './stage.ts'

/** Null for every key that is not valid, whatever the cause; throws where the question cannot be answered now. */
export interface Keys {
  find(key: string): Caller | null | Promise<Caller | null>
}

/** Finds the tenant behind the key. One sentence for unknown, revoked and malformed keys alike. */
export const authenticate =
  (keys: Keys): Stage<never, 'caller'> =>
  ({ incoming, headers, auditId }) => {
    const key = keyOf(incoming)
    if (key === null) return new Refusal('unauthenticated', 'No Earthflow key (ef_…) was sent: it belongs where the provider’s key would stand.')
    if (key === 'several') return new Refusal('invalid_request', 'The request carries two different Earthflow keys; send one.')
    const decide = (caller: Caller | null): { caller: Caller } | Refusal => {
      if (!caller) return invalid()
      headers.push('x-earthflow-audit-id', auditId) // from here on there will be a row
      return { caller }
    }
    const found = keys.find(key)
    return found instanceof Promise ? found.then(decide) : decide(found)
  }

const invalid = (): Refusal => new Refusal('unauthenticated', 'The API key is not valid for Earthflow.')

/** Every client library has its own place for the key. */
const KEY_HEADERS = new Set(['x-earthflow-key', 'proxy-authorization', 'authorization', 'x-api-key', 'api-key', 'x-goog-api-key'])

/** Whether a value has the shape of an Earthflow key, so that a provider's own credential may stand beside it. */
export const isOurs = (value: string): boolean => value.startsWith('ef_live_') || value.startsWith('ef_test_')

function keyOf({ rawHeaders, url = '' }: IncomingMessage): string | 'several' | null {
  let found: string | null = null
  // As they came: of some headers Node keeps only the first.
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (!KEY_HEADERS.has(rawHeaders[i].toLowerCase())) continue
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
