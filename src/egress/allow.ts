/** EGRESS_ALLOW: which addresses that are not public the operator opened for upstreams and webhooks. */
import { isIP } from 'node:net'
import { canonicalAddress, embeddedIPv4, isIn, isLoopback, isMetadataAddress, isPublicAddress, listOf, type Networks } from './address.ts'
import { isHostName, plainHost } from './host.ts'

/** A place a connection would go: the name or address the URL used, one address it stands for, and the port. */
export interface Destination {
  host: string
  address: string
  port: number
}

export interface EgressAllow {
  /** Whether the operator opened an address that is not public. */
  permits: (destination: Destination) => boolean
  /** Whether the operator named this very port in an entry that covers the destination; opens a port that is otherwise closed. */
  namesPort: (destination: Destination) => boolean
}

export const ENTRIES_MAX = 200

interface Entry {
  port: number | null
  matches: (host: string, address: string) => boolean
}

/**
 * Reads EGRESS_ALLOW: entries between commas, each `loopback`, an address, a network (`10.0.0.0/8`, `fd00::/8`), a name (`models.internal`) or a
 * name's children at any depth (`*.corp.example`), each with `:port` where only that port is meant (IPv6 then in brackets).
 * A name opens every address it resolves to, but the metadata addresses of clouds only an entry that is that one address opens.
 * Throws an Error with a sentence about the first entry that cannot be read.
 */
export function parseEgressAllow(text: string): EgressAllow {
  const texts = text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
  if (texts.length > ENTRIES_MAX) throw new Error(`EGRESS_ALLOW has ${texts.length} entries; ${ENTRIES_MAX} are possible.`)
  const entries = texts.map(parseEntry)

  const permits = ({ host, address, port }: Destination): boolean => {
    const inner = embeddedIPv4(address)
    // An opened NAT64 network is a way to IPv4, not a way around these rules.
    if (inner !== null && !isPublicAddress(inner) && !permits({ host, address: inner, port })) return false
    return entries.some((entry) => (entry.port === null || entry.port === port) && entry.matches(host, address))
  }
  return {
    permits,
    namesPort: ({ host, address, port }) => entries.some((entry) => entry.port === port && entry.matches(host, address)),
  }
}

function parseEntry(entry: string): Entry {
  const { what, port } = splitPort(entry)
  if (what.toLowerCase() === 'loopback') return { port, matches: (_host, address) => isLoopback(address) }
  if (isIP(what) !== 0) {
    if (what.includes('%')) throw unreadable(entry, 'leave out the zone of the address')
    const single = canonicalAddress(what)
    return { port, matches: (_host, address) => canonicalAddress(address) === single }
  }
  if (what.includes('/')) {
    const network = parseNetwork(entry, what)
    return { port, matches: (_host, address) => !isMetadataAddress(address) && isIn(network, address) }
  }
  const matchesName = parseName(entry, what)
  return { port, matches: (host, address) => !isMetadataAddress(address) && matchesName(host) }
}

function splitPort(entry: string): { what: string; port: number | null } {
  const bracketed = /^\[([^\]]*)\](?::(\d{1,5}))?$/.exec(entry)
  const plain = /^([^:[\]]+):(\d{1,5})$/.exec(entry)
  const found = bracketed ?? plain
  if (!found) return { what: entry, port: null }
  const [, what, digits] = found
  if (digits === undefined) return { what, port: null }
  const port = Number(digits)
  if (port < 1 || port > 65_535) throw unreadable(entry, 'a port is a number from 1 to 65535')
  return { what, port }
}

function parseNetwork(entry: string, what: string): Networks {
  const [address, bits, ...rest] = what.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0 || address.includes('%'))
    throw unreadable(entry, 'a network is written as an address in full, a slash and a number of bits')
  if (!/^\d{1,3}$/.test(bits) || Number(bits) > (family === 4 ? 32 : 128)) throw unreadable(entry, `the bits of a network are 0 to ${family === 4 ? 32 : 128}`)
  // Addresses are compared in their IPv4 form, so a network in the mapped form would silently match nothing.
  if (family === 6 && canonicalAddress(address)?.includes('.')) throw unreadable(entry, 'write an IPv4 network in its IPv4 form')
  return listOf([what])
}

function parseName(entry: string, what: string): (host: string) => boolean {
  const wildcard = what.startsWith('*.')
  const name = plainHost(wildcard ? what.slice(2) : what)
  if (!isHostName(name)) throw unreadable(entry, 'it is neither an address, a network, a name, *.name nor the word loopback')
  if (/(?:^|\.)(?:\d+|0x[0-9a-f]*)$/.test(name)) throw unreadable(entry, 'write addresses in full')
  return wildcard ? (host) => plainHost(host).endsWith(`.${name}`) : (host) => plainHost(host) === name
}

const unreadable = (entry: string, why: string): Error => new Error(`EGRESS_ALLOW cannot be read at ${JSON.stringify(entry)}: ${why}.`)
