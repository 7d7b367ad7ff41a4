import type { Matcher } from '../matching/match.ts'

/** How private keys in PEM begin (RFC 7468; RFC 4880, 6.2). */
const BEGIN = Buffer.from('-----BEGIN ')
const HEADER = /^-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----/
const HEADER_BYTES_MAX = 64
const KEY_BYTES_MAX = 16_384
/** A key is reported piece by piece, so that little of a stream is held back. */
const PIECE_BYTES_MAX = 256

const body = new Uint8Array(256)
for (let byte = 0; byte < 128; byte++) body[byte] = /[\w+/=\\:,\s-]/.test(String.fromCharCode(byte)) ? 1 : 0
const DASH = 0x2d
/** What may stand between two lines of a key beside white space. */
const between = Uint8Array.from({ length: 256 }, (_, byte) => (/["'`>#|*,;.<&()]/.test(String.fromCharCode(byte)) ? 1 : 0))
const BETWEEN_BYTES_MAX = 16
/** So many bytes of a key after that show that it goes on. */
const TRUSTED_BYTES = 24

/** Private keys in PEM: the header, and what follows up to the footer or to what can be no part of a key. */
export function privateKeys(leaves: readonly number[]): Matcher {
  return (report) => {
    let held = EMPTY // what may become a header
    let at = 0 // position of the first byte that is neither held nor decided
    let open = -1 // where the body begins that is being read, or -1
    let from = 0 // of it is not yet reported
    let dashes = 0 // in a row, just before
    let doubt = -1 // from where on it may no longer be the body, or -1
    let trusted = 0 // bytes since that could be

    const tell = (start: number, end: number): void => {
      if (end > start) for (const leaf of leaves) report(start, end, leaf)
    }
    /** Reads the body of a key, from `i`; answers where it ends in these bytes. */
    const readBody = (bytes: Buffer, i: number, to: number, base: number): number => {
      for (; i < to; i++) {
        const position = base + i
        dashes = bytes[i] === DASH ? dashes + 1 : 0
        if (dashes === 2 || position - open >= KEY_BYTES_MAX) return endBody(doubt >= 0 ? doubt : position + 1 - dashes, i)
        if (body[bytes[i]] === 1) {
          if (doubt < 0 || ++trusted >= TRUSTED_BYTES) doubt = -1
        } else {
          // Quotes, comments and tags may part the lines of a key, and as well end it: the bytes that follow tell.
          if (doubt < 0) doubt = position
          trusted = 0
          if (between[bytes[i]] === 0 || position - doubt >= BETWEEN_BYTES_MAX) return endBody(doubt, i)
        }
        if (doubt < 0 && position - from + 1 >= PIECE_BYTES_MAX) {
          tell(from, position + 1)
          from = position + 1
        }
      }
      return to
    }
    const endBody = (position: number, i: number): number => {
      tell(from, position)
      open = doubt = -1
      return i
    }
    return {
      feed(piece, start, to) {
        const joined = held.length > 0
        const bytes = joined ? Buffer.concat([held, piece.subarray(start, to)]) : piece
        let i = joined ? 0 : start
        const end = joined ? bytes.length : to
        const base = at - held.length - i
        held = EMPTY
        while (i < end) {
          if (open >= 0) {
            i = readBody(bytes, i, end, base)
            continue
          }
          const found = bytes.indexOf(BEGIN, i)
          const header = found >= 0 && found < end ? found : beginningAt(bytes, Math.max(i, end - BEGIN.length + 1), end)
          if (header < 0) break
          const whole = HEADER.exec(bytes.toString('latin1', header, Math.min(end, header + HEADER_BYTES_MAX)))?.[0]
          if (whole !== undefined) {
            i = header + whole.length
            tell(base + header, base + i)
            open = from = base + i
            dashes = 0
          } else if (end - header < HEADER_BYTES_MAX) {
            held = Buffer.from(bytes.subarray(header, end))
            break
          } else i = header + 1
        }
        at += to - start
      },
      finish() {
        held = EMPTY
        if (open >= 0) tell(from, doubt >= 0 ? doubt : at)
        open = doubt = -1
      },
      get decided() {
        return open < 0 ? at - held.length : from
      },
    }
  }
}

const EMPTY = Buffer.alloc(0)

/** Where the bytes end with the beginning of a header; -1 where they do not. */
function beginningAt(bytes: Buffer, from: number, to: number): number {
  for (let i = from; i < to; i++) if (bytes[i] === DASH && bytes.compare(BEGIN, 0, to - i, i, to) === 0) return i
  return -1
}
