/** Addresses of machines and of money. */
import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import { textOf } from './characters.ts'
import type { Found } from './found.ts'

const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d)/
const IPV4_BYTES_MAX = 16

/** IPv4 in dotted decimal (RFC 791), no part of a longer chain of numbers such as a version. `start` is the first digit of a word. */
export function findIpv4(text: Buffer, start: number, to: number, found: Found): void {
  const before = textOf(text, start - 2, start)
  if (/[\w-]$|\d\.$|\bv\.?$/i.test(before)) return
  const address = IPV4.exec(textOf(text, start, Math.min(to, start + IPV4_BYTES_MAX)))?.[0]
  if (address !== undefined && isIP(address) === 4 && isMeant(text, start, start + address.length)) found(start, start + address.length, 'ip_address')
}

/** With a first number below ten it may be a section, a version or an object identifier: then it must look like an address of a machine. */
function isMeant(text: Buffer, start: number, end: number): boolean {
  const [first, second, third, fourth] = textOf(text, start, end).split('.')
  if (Number(first) >= 10 || (first === second && third === fourth)) return true
  return /^(?::\d|\/\d)/.test(textOf(text, end, end + 2)) || MACHINE.test(textOf(text, start - MACHINE_BYTES_MAX, start))
}
const MACHINE = /(?:\bip(?:v4)?|host|dns|server|addr(?:ess)?|gateway|ping|resolver|peer|:\/\/|@)[^\n]{0,8}$/i
const MACHINE_BYTES_MAX = 24

const IPV6 = /^(?:[\da-f]{0,4}:){2,7}(?:[\da-f]{1,4}|\d{1,3}(?:\.\d{1,3}){3})?(?![\w:])/i
const IPV6_BYTES_MAX = 46

/** IPv6 (RFC 4291) with at least three groups, so that a time or a `::` of a programming language is none. `start` is the beginning of the first group. */
export function findIpv6(text: Buffer, start: number, to: number, found: Found): void {
  if (/[\w:.]$/.test(textOf(text, start - 1, start))) return
  const address = IPV6.exec(textOf(text, start, Math.min(to, start + IPV6_BYTES_MAX)))?.[0]
  if (address === undefined || address.split(/:+/).filter((group) => group !== '').length < 3 || !/\d/.test(address)) return
  if (isIP(address) === 6) found(start, start + address.length, 'ip_address')
}

const MAC = /^[\da-f]{2}(?:(?::[\da-f]{2}){5}|(?:-[\da-f]{2}){5})(?![\w:-])/i
const MAC_BYTES = 17

/** Hardware addresses: six pairs of hexadecimal digits with colons or dashes between (IEEE 802, EUI-48). */
export function findMac(text: Buffer, start: number, to: number, found: Found): void {
  if (/[\w:-]$/.test(textOf(text, start - 1, start))) return
  const address = MAC.exec(textOf(text, start, Math.min(to, start + MAC_BYTES + 1)))?.[0]
  if (address !== undefined && !/^(?:00[:-]?)+$/.test(address)) found(start, start + address.length, 'mac_address')
}

/** Words of fewer characters hold no such address. */
export const COIN_BYTES_MIN = 26
const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const BECH32 = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'

/** Addresses of crypto currencies: Bitcoin and its kin by their checksums (base58check, bech32 of BIP 173 and 350), Ethereum by its shape. */
export function findCoin(text: Buffer, start: number, end: number, found: Found): void {
  const word = textOf(text, start, end)
  const isCoin = /^0x[\da-f]{40}$/i.test(word) || (/^[13LMDX][1-9A-HJ-NP-Za-km-z]{25,34}$/.test(word) && isBase58Check(word)) || isBech32(word)
  if (isCoin) found(start, end, 'crypto_address')
}

/** The last four bytes are the beginning of a double SHA-256 of the others. */
function isBase58Check(word: string): boolean {
  let number = 0n
  for (const character of word) number = number * 58n + BigInt(BASE58.indexOf(character))
  const bytes = Buffer.from(number.toString(16).padStart(50, '0'), 'hex')
  if (bytes.length !== 25) return false
  const twice = createHash('sha256')
    .update(createHash('sha256').update(bytes.subarray(0, 21)).digest())
    .digest()
  return twice.subarray(0, 4).equals(bytes.subarray(21))
}

function isBech32(word: string): boolean {
  const [, prefix, data] = /^(bc|tb|ltc)1([qpzry9x8gf2tvdw0s3jn54khce6mua7l]{38,87})$/.exec(word.toLowerCase()) ?? []
  if (prefix === undefined || data === undefined) return false
  const values = [
    ...Array.from(prefix, (character) => character.charCodeAt(0) >> 5),
    0,
    ...Array.from(prefix, (character) => character.charCodeAt(0) & 31),
    ...Array.from(data, (character) => BECH32.indexOf(character)),
  ]
  let check = 1
  for (const value of values) {
    const top = check >>> 25
    check = ((check & 0x1ffffff) << 5) ^ value
    GENERATORS.forEach((generator, i) => {
      if ((top >> i) & 1) check ^= generator
    })
  }
  return check === 1 || check === 0x2bc830a3
}
const GENERATORS = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3]
