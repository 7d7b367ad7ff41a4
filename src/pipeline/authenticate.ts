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
  ({ incoming }) => {
    const key = keyOf(incoming)
    if (key === null) return invalid()
    if (key === 'several') return new Refusal('invalid_request', 'The request carries two different Earthflow keys; send one.')
    const found = keys.find(key)
    return found instanceof Promise ? found.then(admitted) : admitted(found)
  }

function admitted(caller: Caller | null): { caller: Caller } | Refusal {
  if (!caller) return invalid()
  if (!caller.scopes.has('proxy:write')) return new Refusal('forbidden', 'This Earthflow key may not make model calls: it lacks the scope proxy:write.')
  return { caller }
}

const invalid = (): Refusal => new Refusal('unauthenticated', 'The API key is not valid for Earthflow.')

/** Every client library has its own place for the key, in this order of preference. */
const KEY_HEADERS = ['x-earthflow-key', 'proxy-authorization', 'authorization', 'x-api-key', 'api-key', 'x-goog-api-key'] as const

/** Whether a value has the shape of an Earthflow key, so that a provider's own credential may stand beside it. */
export const isOurs = (value: string): boolean => value.startsWith('ef_live_') || value.startsWith('ef_test_')

function keyOf({ headers, url = '' }: IncomingMessage): string | 'several' | null {
  let found: string | null = null
  for (const name of KEY_HEADERS) {
    const header = headers[name]
    if (typeof header !== 'string') continue
    // Node joins repeated headers with commas, and a scheme may stand before the key.
    for (const value of header.split(/[\s,]+/)) {
      if (!isOurs(value)) continue
      if (found !== null && found !== value) return 'several'
      found = value
    }
  }
  const query = url.indexOf('?')
  if (query >= 0 && url.includes('key=', query)) {
    for (const value of new URLSearchParams(url.slice(query)).getAll('key')) {
      if (!isOurs(value)) continue
      if (found !== null && found !== value) return 'several'
      found = value
    }
  }
  return found
}
