import type { Matcher } from '../matching/match.ts'

const LOCAL_BYTES_MAX = 64
const DOMAIN_BYTES_MAX = 255
const AT = 0x40
const DOT = 0x2e

const LOCAL = 1
const DOMAIN = 2
const LETTER = 4
const kinds = new Uint8Array(256)
for (let byte = 0; byte < 128; byte++) {
  const character = String.fromCharCode(byte)
  kinds[byte] = (/[\w.!#$%&'*+/=?^`{|}~-]/.test(character) ? LOCAL : 0) | (/[a-z\d.-]/i.test(character) ? DOMAIN : 0) | (/[a-z]/i.test(character) ? LETTER : 0)
}

/**
 * E-mail addresses in ASCII: up to 64 bytes before the @ and 255 after it (RFC 5321, 4.5.3.1), ending in a dot and at least two letters. What stands
 * after that, such as the full stop of a sentence, is not part of it. One pass, with no way back.
 */
export function emailAddresses(leaf: number): Matcher {
  return (report) => {
    let at = 0
    let run = 0 // bytes of an address's first part just before `at`; more than LOCAL_BYTES_MAX is no address
    let runStart = -1 // the first of them that is no dot
    let begin = -1 // where the address begins whose domain is open, or -1
    let domainStart = 0
    let labels = 0 // dots passed since the @
    let label = 0 // bytes of the open label
    let isWord = true // the open label is all letters
    let good = 0 // where the longest address so far ends, or 0

    const endLabel = (position: number): void => {
      if (labels > 0 && isWord && label >= 2) good = position
    }
    const endDomain = (position: number): void => {
      if (begin < 0) return
      endLabel(position)
      if (good > 0) report(begin, good, leaf)
      begin = -1
    }
    const step = (byte: number, position: number): void => {
      const kind = kinds[byte]
      if (begin >= 0) {
        if ((kind & DOMAIN) === 0 || position - domainStart >= DOMAIN_BYTES_MAX) endDomain(position)
        else if (byte === DOT) {
          if (label === 0) endDomain(position)
          else {
            endLabel(position)
            labels++
            label = 0
            isWord = true
          }
        } else {
          label++
          if ((kind & LETTER) === 0) isWord = false
        }
      }
      if (byte === AT) {
        if (runStart >= 0 && run <= LOCAL_BYTES_MAX) {
          begin = runStart
          domainStart = position + 1
          labels = 0
          label = 0
          isWord = true
          good = 0
        }
        endRun()
      } else if ((kind & LOCAL) === 0) endRun()
      else {
        run++
        if (runStart < 0 && byte !== DOT) runStart = position
      }
    }
    const endRun = (): void => {
      run = 0
      runStart = -1
    }
    return {
      feed(bytes, from, to) {
        for (let i = from; i < to; ) {
          if (begin < 0) {
            // Only what can still belong to the first part of an address needs to be read before the next @ or the end of the piece.
            const sign = bytes.indexOf(AT, i)
            const next = sign < 0 || sign >= to ? to : sign
            if (next - i > LOCAL_BYTES_MAX + 1) {
              i = next - LOCAL_BYTES_MAX - 1
              endRun()
            }
            for (; i < next; i++) step(bytes[i], at + i - from)
            if (i === to) break
          }
          step(bytes[i], at + i - from)
          i++
        }
        at += to - from
      },
      finish() {
        endDomain(at)
        endRun()
      },
      get decided() {
        if (begin >= 0) return begin
        return runStart >= 0 && run <= LOCAL_BYTES_MAX ? runStart : at
      },
    }
  }
}
