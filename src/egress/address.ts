/** Which addresses are the internet, and which are somebody's inside. */
import { BlockList, isIP } from 'node:net'

// The IANA special-purpose registries (RFC 6890 and its successors), as Smokescreen and Svix read them, and one address no registry knows.
const SPECIAL_IPV4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '168.63.129.16/32', // Azure's platform endpoint lies in public space
]

// IANA has only ever handed out 2000::/3 for the internet. What is special inside it: protocol assignments with Teredo, documentation, 6to4.
const UNICAST_IPV6 = ['2000::/3']
const SPECIAL_IPV6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']

// A name or a whole network in EGRESS_ALLOW never opens these: what answers there hands out the machine's own credentials.
const METADATA = ['169.254.0.0/16', 'fe80::/10', '100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32', 'fd00:ec2::/32', 'fd20:ce::254/128']

// Ways to IPv4 that do not tell where they end: Teredo (RFC 4380), and NAT64 of a local prefix, whose length nobody can see (RFC 8215).
const TRANSLATED = ['2001::/32', '64:ff9b:1::/48']

const special = listOf([...SPECIAL_IPV4, ...SPECIAL_IPV6])
const unicastIPv6 = listOf(UNICAST_IPV6)
const metadata = listOf(METADATA)
const translated = listOf(TRANSLATED)
const loopback = listOf(['127.0.0.0/8', '::1/128'])

/** Whether an address is one that everybody may reach. Anything else, and anything that is not an address, is not. */
export function isPublicAddress(ip: string): boolean {
  const address = canonicalAddress(ip)
  if (address === null) return false
  return !isIn(special, address) && (isIP(address) === 4 || isIn(unicastIPv6, address))
}

/** Addresses of this machine that only it can reach. */
export const isLoopback = (ip: string): boolean => isIn(loopback, ip)

/** Addresses that lead to IPv4 addresses which cannot be told from them. */
export const isTranslated = (ip: string): boolean => isIn(translated, ip)

/** Link-local addresses and the other places where clouds answer questions about the machine, its credentials included. */
export const isMetadataAddress = (ip: string): boolean => isIn(metadata, ip)

/**
 * The one spelling of an address: zone id cut off, IPv6 shortened (RFC 5952) and an IPv4-mapped address given as the IPv4 address it stands for.
 * Null for anything that is not an address written in full.
 */
export function canonicalAddress(ip: string): string | null {
  const [address] = ip.split('%', 1)
  const family = isIP(address)
  if (family === 0) return null
  if (family === 4) return address
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1)
  return /^::ffff:[0-9a-f]+:[0-9a-f]+$/.test(short) ? lastBitsAsIPv4(short) : short
}

/** The IPv4 address that an IPv6 address of a translating or tunnelling range leads to (IPv4-compatible, NAT64, 6to4), else null. */
export function embeddedIPv4(ip: string): string | null {
  const address = canonicalAddress(ip)
  if (address === null || isIP(address) === 4) return null
  if (address.startsWith('64:ff9b::') || /^::[0-9a-f]+:[0-9a-f]+$/.test(address)) return lastBitsAsIPv4(address)
  const sixToFour = /^2002:([0-9a-f]+):([0-9a-f]+):/.exec(`${address.replace('::', ':0:0:')}:`)
  return sixToFour ? fromGroups(sixToFour[1], sixToFour[2]) : null
}

/** Networks to look an address up in. Two lists, because one BlockList also finds IPv4 addresses in IPv6 networks such as ::/0. */
export interface Networks {
  ipv4: BlockList
  ipv6: BlockList
}

/** A list of networks, each `address/bits`. */
export function listOf(networks: readonly string[]): Networks {
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const network of networks) {
    const [address, bits] = network.split('/')
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
    lists[family].addSubnet(address, Number(bits), family)
  }
  return lists
}

/** Whether an address, in whatever spelling, is in one of the networks. */
export function isIn(networks: Networks, ip: string): boolean {
  const address = canonicalAddress(ip)
  if (address === null) return false
  const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
  return networks[family].check(address, family)
}

/** The last 32 bits of a shortened IPv6 address, as IPv4. */
function lastBitsAsIPv4(address: string): string {
  const [high, low] = `0:${address.slice(address.lastIndexOf('::') + 2)}`.split(':').slice(-2)
  return fromGroups(high, low === '' ? '0' : low)
}

function fromGroups(high: string, low: string): string {
  const bits = Number.parseInt(high, 16) * 0x10000 + Number.parseInt(low, 16)
  return [24, 16, 8, 0].map((shift) => Math.floor(bits / 2 ** shift) % 256).join('.')
}
