/** Ids that sort by the time they were made. */
import { randomFillSync } from 'node:crypto'

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const CODES = Buffer.from(ALPHABET)
const TIME_LENGTH = 10
const RANDOM_LENGTH = 16
/** Random characters are drawn for so many ids at once. */
const IDS_AT_ONCE = 64
const drawn = Buffer.allocUnsafe(IDS_AT_ONCE * RANDOM_LENGTH)
let random = ''
let used = 0
let timeOf = Number.NaN
let time = ''

/** The prefix, 10 characters of milliseconds since 1970 and 16 of randomness (80 bits), in Crockford's base32, as ULIDs are laid out. */
export function newId(prefix: string, now: number = Date.now()): string {
  if (used === random.length) draw()
  used += RANDOM_LENGTH
  return `${prefix}_${timeText(now)}${random.slice(used - RANDOM_LENGTH, used)}`
}

/** The same id every time: ten bytes from `offset` on (the digest of what it is the id of) stand for the randomness. */
export function idFrom(prefix: string, at: number, bytes: Uint8Array, offset = 0): string {
  let id = timeText(at)
  for (let bits = 0, value = 0, from = offset, i = 0; i < RANDOM_LENGTH; i++) {
    if (bits < 5) {
      value = ((value << 8) | bytes[from++]) & 0xfff
      bits += 8
    }
    bits -= 5
    id += ALPHABET[(value >> bits) & 31]
  }
  return `${prefix}_${id}`
}

/** Five of each byte's eight bits. */
function draw(): void {
  randomFillSync(drawn)
  for (let i = 0; i < drawn.length; i++) drawn[i] = CODES[drawn[i] & 31]
  random = drawn.toString('latin1')
  used = 0
}

/** Many ids are made in one millisecond. */
function timeText(at: number): string {
  if (at === timeOf) return time
  let text = ''
  for (let i = 0, rest = at; i < TIME_LENGTH; i++) {
    text = ALPHABET[rest % 32] + text
    rest = Math.floor(rest / 32)
  }
  timeOf = at
  time = text
  return text
}
