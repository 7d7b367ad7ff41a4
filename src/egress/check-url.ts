import { isIP } from 'node:net'
import { isHostName, plainHost } from './host.ts'

export const OUT_OF_REACH = 'OUT_OF_REACH'

/** Our own no to an outgoing connection, as opposed to one that failed. The message is a sentence for whoever set the URL: no addresses, no resolver's words. */
export class EgressRefused extends Error {
  readonly code: string = 'EGRESS_REFUSED'
  override readonly name: string = 'EgressRefused'
}

/** The same where the address would be right, but the setting about locality closes the internet. */
export class OutOfReach extends EgressRefused {
  override readonly code = OUT_OF_REACH
  override readonly name = 'OutOfReach'
}

const URL_CHARACTERS_MAX = 2_048

/**
 * Reads a URL that may be connected to. WHATWG's parser forgives much (it drops tabs, turns backslashes, unescapes hosts), so what it would
 * forgive is refused before it sees it; what it canonicalises (`127.1`, `0x7f000001`) it has canonicalised afterwards. Throws EgressRefused.
 */
export function parseOutgoingUrl(text: string, https: 'required' | 'optional'): { url: URL; host: string; port: number } {
  if (text.length > URL_CHARACTERS_MAX) throw new EgressRefused(`A URL has at most ${URL_CHARACTERS_MAX} characters.`)
  if (/[\u0000-\u0020\u007f-\u00a0\u2028\u2029\\]/.test(text)) throw new EgressRefused('A URL contains no spaces, control characters or backslashes.')
  const found = /^(https?):\/\/([^/?#]*)/i.exec(text)
  if (!found) throw new EgressRefused('The URL must begin with https:// or http://.')
  const [, scheme, authority] = found
  if (https === 'required' && scheme.toLowerCase() !== 'https') throw new EgressRefused('The URL must begin with https://.')
  if (text.includes('#')) throw new EgressRefused('The URL must not contain a fragment (#).')
  if (authority.includes('@')) throw new EgressRefused('The URL must not contain a user name or password.')
  if (!/^[\x21-\x7e]*$/.test(authority) || authority.includes('%'))
    throw new EgressRefused('Write the host of the URL in plain ASCII (xn--… for other scripts).')
  if (authority === '' || !URL.canParse(text)) throw new EgressRefused('The URL has no valid host or port.')
  const url = new URL(text)
  const host = plainHost(url.hostname)
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
  if ((isIP(host) === 0 && !isHostName(host)) || port === 0) throw new EgressRefused('The URL has no valid host or port.')
  return { url, host, port }
}
