import { literals } from '../matching/literals.ts'
import type { Matcher } from '../matching/match.ts'

/** How private keys in PEM begin (RFC 7468; RFC 4880, 6.2). */
const HEADERS = ['', 'RSA ', 'EC ', 'DSA ', 'OPENSSH ', 'ENCRYPTED ', 'PGP '].map(
  (kind) => `-----BEGIN ${kind}PRIVATE KEY${kind === 'PGP ' ? ' BLOCK' : ''}-----`,
)
const KEY_BYTES_MAX = 16_384
/** A key is reported piece by piece, so that little of a stream is held back. */
const PIECE_BYTES_MAX = 256

const body = new Uint8Array(256)
for (let byte = 0; byte < 128; byte++) body[byte] = /[\w+/=\\:,\s-]/.test(String.fromCharCode(byte)) ? 1 : 0
const DASH = 0x2d

/** Private keys in PEM: the header, and what follows up to the footer or to what can be no part of a key. */
export function privateKeys(leaf: number): Matcher {
  const headers = literals(HEADERS.map((text) => ({ text, exact: true, leaves: [leaf] })))
  return (report) => {
    let begun: number[] = [] // where keys begin, after their headers, in this piece
    const watch = headers((start, end) => {
      report(start, end, leaf)
      begun.push(end)
    })
    let at = 0
    let open = -1 // where the body begins that is being read, or -1
    let from = 0 // of it is not yet reported
    let dashes = 0 // in a row, just before

    const endPiece = (position: number): void => {
      if (position > from) report(from, position, leaf)
      from = position
    }
    const endBody = (position: number): void => {
      endPiece(position)
      open = -1
    }
    return {
      feed(bytes, start, to) {
        begun = []
        watch.feed(bytes, start, to)
        for (let i = start; i < to; i++) {
          const position = at + i - start
          if (begun[0] === position) {
            begun.shift()
            open = from = position
            dashes = 0
          }
          if (open < 0) {
            if (begun.length === 0) break
            i = begun[0] - at + start - 1
            continue
          }
          dashes = bytes[i] === DASH ? dashes + 1 : 0
          if (dashes === 2) endBody(position - 1)
          else if (body[bytes[i]] === 0 || position - open >= KEY_BYTES_MAX) endBody(position)
          else if (position - from + 1 === PIECE_BYTES_MAX) endPiece(position + 1)
        }
        at += to - start
        // A header may end with the piece.
        if (begun[0] === at) {
          open = from = at
          dashes = 0
        }
      },
      finish() {
        watch.finish()
        if (open >= 0) endBody(at)
      },
      get decided() {
        return open < 0 ? watch.decided : Math.min(from, watch.decided)
      },
    }
  }
}
