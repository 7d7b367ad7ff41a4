/** Ids that sort by the time they were made. */
import { randomFillSync } from 'node:crypto'

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const POOL_BYTES = 4096
const RANDOM_BYTES = 10
const pool = Buffer.allocUnsafe(POOL_BYTES)
let used = POOL_BYTES

/** The prefix, 10 characters of milliseconds since 1970 and 16 of randomness (80 bits), in Crockford's base32, as ULIDs are laid out. */
export function newId(prefix: string, now: number = Date.now()): string {
  if (used + RANDOM_BYTES > POOL_BYTES) {
    randomFillSync(pool)
    used = 0
  }
  used += RANDOM_BYTES
  return idFrom(prefix, now, pool, used - RANDOM_BYTES)
}

/** The same id every time: ten bytes from `offset` on (the digest of what it is the id of) stand for the randomness. */
export function idFrom(prefix: string, at: number, bytes: Uint8Array, offset = 0): string {
  let id = ''
  for (let i = 0, rest = at; i < 10; i++) {
    id = ALPHABET[rest % 32] + id
    rest = Math.floor(rest / 32)
  }
  for (let bits = 0, value = 0, from = offset, i = 0; i < 16; i++) {
    if (bits < 5) {
      value = ((value << 8) | bytes[from++]) & 0xfff
      bits += 8
    }
    bits -= 5
    id += ALPHABET[(value >> bits) & 31]
  }
  return `${prefix}_${id}`
}
