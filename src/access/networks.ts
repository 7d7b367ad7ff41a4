/** Lists of addresses and networks, such as `10.0.0.0/8`, and whether an address is in one of them. */
import { isIP } from 'node:net'
import { canonicalAddress, isIn, listOf, type Networks } from '../egress/address.ts'

/** The bits of an IPv6 address before the IPv4 address that it may stand for. */
const MAPPED_BITS = 96

/** Whether the text is an address, or a network with its prefix length. */
export const isNetwork = (text: string): boolean => plainNetwork(text) !== null

const compiled = new WeakMap<readonly string[], Networks>()

/** Whether an address is one of these or lies in one of these networks. However an address is written, it is the same: `::ffff:10.0.0.1` is 10.0.0.1. */
export function isWithin(address: string, networks: readonly string[]): boolean {
  let list = compiled.get(networks)
  if (list === undefined) {
    list = listOf(networks.map(plainNetwork).filter((network) => network !== null))
    compiled.set(networks, list)
  }
  return isIn(list, address)
}

/** As `address/bits`, an IPv4 network that was written as IPv6 being the IPv4 network; null for anything that is no network. */
function plainNetwork(text: string): string | null {
  const [address, length, more] = text.split('/')
  const canonical = canonicalAddress(address)
  if (canonical === null || more !== undefined || (length !== undefined && !/^\d{1,3}$/.test(length))) return null
  const family = isIP(canonical)
  const most = family === 4 ? 32 : 128
  const bits = length === undefined ? most : Number(length) - (isIP(address) === family ? 0 : MAPPED_BITS)
  return bits >= 0 && bits <= most ? `${canonical}/${bits}` : null
}
