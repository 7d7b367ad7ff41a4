/** By which names Earthflow may be asked. */
import type { IncomingMessage } from 'node:http'

/** A host and its port, as RFC 9112 (section 3.2) has them in the Host header. */
const AUTHORITY = /^(\[[0-9a-f:.]+\]|[^:/?#@\\\s]+)(?::\d{0,5})?$/i

/**
 * Whether the host that a request names is one of these (small letters, no brackets, no port). The Host header alone is asked: what has several of them, or a
 * target that names another host, has been refused before.
 */
export function createHostCheck(allowed: readonly string[]): (incoming: Pick<IncomingMessage, 'headers'>) => boolean {
  const hosts = new Set(allowed)
  return ({ headers: { host: authority = '' } }) => {
    if (hosts.has(authority)) return true
    const [, host] = AUTHORITY.exec(authority) ?? []
    return host !== undefined && hosts.has(host.toLowerCase().replace(/^\[|\]$|\.$/g, ''))
  }
}
