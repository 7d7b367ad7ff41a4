import { type Matcher, together } from '../matching/match.ts'
import { privateKeys } from './private-keys.ts'
import { secretShapes } from './secret-shapes.ts'

/** What keys and connection strings are written with; anything else ends a run of them. */
const TOKEN = /[\w.~+/=:@%!*-]/
/** Shorter runs hold no key. */
const RUN_BYTES_MIN = 16
/** Longer runs are looked at piece by piece, with an overlap in which the longest exact key fits. It bounds how much of a stream is held back. */
const RUN_BYTES_MAX = 256
const OVERLAP_BYTES = 128

const token = new Uint8Array(256)
for (let byte = 0; byte < 128; byte++) token[byte] = TOKEN.test(String.fromCharCode(byte)) ? 1 : 0
const shape = new RegExp(`(?<![\\w-])(?:${Object.values(secretShapes).join('|')})`, 'g')
/** What may follow a token's first piece. */
const REST = /^[\w.+/=-]+/

/** Keys of well-known services, JSON web tokens, connection strings with a password: all of a token, however long. */
function tokens(leaf: number): Matcher {
  return (report) => {
    const run = Buffer.alloc(RUN_BYTES_MAX)
    let length = 0
    let begin = 0 // position of the run's first byte
    let reported = 0 // up to here
    let goesOn = false // the last finding reached the end of its piece
    let at = 0

    const judge = (): void => {
      if (length >= RUN_BYTES_MIN || goesOn) {
        const text = run.toString('latin1', 0, length)
        if (goesOn) found(begin, begin + (REST.exec(text)?.[0].length ?? 0))
        for (const match of text.matchAll(shape)) found(begin + match.index, begin + match.index + match[0].length)
      }
    }
    const found = (start: number, end: number): void => {
      if (end > reported) report(Math.max(start, reported), end, leaf)
      reported = Math.max(end, reported)
    }
    const slide = (): void => {
      judge()
      goesOn = reported === begin + length
      const kept = goesOn ? 0 : OVERLAP_BYTES
      run.copyWithin(0, length - kept, length)
      begin += length - kept
      length = kept
    }
    const close = (): void => {
      judge()
      length = 0
      goesOn = false
    }
    return {
      feed(bytes, from, to) {
        for (let i = from; i < to; i++) {
          if (token[bytes[i]] === 1) {
            if (length === 0 && !goesOn) begin = at + i - from
            run[length++] = bytes[i]
            if (length === RUN_BYTES_MAX) slide()
          } else if (length > 0 || goesOn) close()
        }
        at += to - from
      },
      finish: close,
      get decided() {
        return length === 0 ? at : begin
      },
    }
  }
}

/** Keys, tokens and passwords that let whoever reads them in. */
export const secrets = (leaf: number): Matcher => together([tokens(leaf), privateKeys(leaf)]) ?? tokens(leaf)
