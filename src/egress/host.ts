/** A host as hosts are compared: small letters, no brackets, no dot at the end. */
export const plainHost = (host: string): string => host.toLowerCase().replace(/^\[|\]$|\.$/g, '')

/** Whether a plain host can be a name: letters, digits, hyphens and the underscores some internal names have, in labels of up to 63 (RFC 1035). */
export const isHostName = (host: string): boolean =>
  host.length <= 253 && /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.|$))+$/.test(host) && !host.endsWith('.')

/** Names that mean this machine whatever a resolver says (RFC 6761, section 6.3). */
export const isLocalhost = (host: string): boolean => host === 'localhost' || host.endsWith('.localhost')
