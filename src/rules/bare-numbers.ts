/**
 * The numbers of the JSON that tool arguments are: what is cut in the place of one needs quotes of its own, or the arguments are JSON no more. The text
 * may come in pieces; arguments that begin with neither a brace nor a bracket are no JSON and have none.
 */

import type { Span } from './matching/match.ts'
import { firstByte } from './replies/judgement.ts'

export interface BareNumbers {
  /** A further piece, whose first byte is at this position of the text. */
  feed(bytes: Buffer, from: number, to: number, at: number): void
  /** What is fed next is another text. */
  end(): void
  /** What begins before this position is not asked for any more. */
  forget(before: number): void
  /** Gives what stands for a span the quotes it needs, as a string of JSON holds them. */
  quoting(placeholderOf: (span: Span) => string): (span: Span) => string
}

/** More are not remembered at once, and are cut without quotes. */
const NUMBERS_MAX = 1 << 16
const QUOTE = 0x22
const BACKSLASH = 0x5c
const JSON_BEGINS = new Set([0x7b, 0x5b])
const NUMERIC = new Set(Buffer.from('0123456789+-.eE'))

export function bareNumbers(): BareNumbers {
  /** By where they begin. */
  const ends = new Map<number, number>()
  let first: number | undefined
  let inString = false
  let isEscaped = false
  let start = -1
  return {
    feed(bytes, from, to, at) {
      first ??= firstByte(bytes, from, to)
      if (first === undefined || !JSON_BEGINS.has(first)) return
      for (let i = from; i < to; i++) {
        const byte = bytes[i]
        if (isEscaped) isEscaped = false
        else if (inString && byte === BACKSLASH) isEscaped = true
        else if (byte === QUOTE) inString = !inString
        if (inString || !NUMERIC.has(byte)) start = -1
        else {
          if (start < 0) start = at + i - from
          if (ends.size < NUMBERS_MAX || ends.has(start)) ends.set(start, at + i - from + 1)
        }
      }
    },
    end() {
      first = undefined
      inString = false
      isEscaped = false
      start = -1
    },
    forget(before) {
      for (const begin of ends.keys()) {
        if (begin >= before) break
        ends.delete(begin)
      }
    },
    quoting: (placeholderOf) => (span) => (ends.get(span.start) === span.end ? `\\"${placeholderOf(span)}\\"` : placeholderOf(span)),
  }
}
