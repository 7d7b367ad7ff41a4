/** By which names Earthflow may be asked. */
import type { IncomingMessage } from 'node:http'

/** A host and its port, as RFC 9112 (section 3.2) has them in the Host header. */
const AUTHORITY = /^(\[[0-9a-f:.]+\]|[^:/?#@\\\s]+)(?::\d{0,5})?$/i
const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)/i

/**
 * Whether the host that a request names is one of these (small letters, no brackets, no port). A target in absolute form names another host than its
 * header may (RFC 9112, section 3.2.2): both must be allowed.
 */
export function createHostCheck(allowed: readonly string[]): (incoming: Pick<IncomingMessage, 'headersDistinct' | 'url'>) => boolean {
  const hosts = new Set(allowed)
  const isAllowed = (authority: string): boolean => {
    if (hosts.has(authority)) return true
    const [, host] = AUTHORITY.exec(authority) ?? []
    return host !== undefined && hosts.has(host.toLowerCase().replace(/^\[|\]$|\.$/g, ''))
  }
  return ({ headersDistinct: { host = [] }, url = '' }) => {
    // Of several lines of it Node's plain list keeps the first, and a proxy in front may have gone by the last.
    if (host.length !== 1 || !isAllowed(host[0])) return false
    if (url.startsWith('/')) return true
    const [, authority] = ABSOLUTE_FORM.exec(url) ?? []
    return authority === undefined || isAllowed(authority)
  }
}
