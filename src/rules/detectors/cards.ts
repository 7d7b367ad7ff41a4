import type { Matcher } from '../matching/match.ts'

const DIGITS_MIN = 13
const DIGITS_MAX = 19
/** Cards are printed in groups of four, or 4-6-5; smaller groups are numbered lists and tables. */
const GROUP_DIGITS_MIN = 3
/** A run longer than this is looked at as it stands; it bounds how much of a stream can be held back. */
const RUN_BYTES_MAX = 64

/**
 * Payment card numbers: 13 to 19 digits of which the first is 2 to 6 (ISO/IEC 7812-1: banks and travel), single spaces or dashes between groups,
 * beginning and ending at a group's edge, Luhn holds.
 */
export function cards(leaf: number): Matcher {
  return (report) => {
    const digits: number[] = [] // plain arrays: small typed ones are allocated outside the heap, for each text anew
    const where: number[] = []
    let count = 0
    let begin = -1 // where the open run begins, or -1
    let separators = 0 // since the last digit
    let at = 0

    const close = (): void => {
      for (let first = 0; first + DIGITS_MIN <= count; first++) {
        if ((first > 0 && where[first - 1] === where[first] - 1) || digits[first] < 2 || digits[first] > 6) continue
        for (let length = Math.min(DIGITS_MAX, count - first); length >= DIGITS_MIN; length--) {
          const last = first + length - 1
          if (last + 1 < count && where[last + 1] === where[last] + 1) continue
          if (!luhn(digits, first, last) || !isGrouped(where, first, last)) continue
          report(where[first], where[last] + 1, leaf)
          first = last
          break
        }
      }
      begin = -1
      count = 0
      separators = 0
    }
    return {
      feed(bytes, from, to) {
        for (let i = from; i < to; i++) {
          if (begin < 0) while (i < to && (bytes[i] < 0x30 || bytes[i] > 0x39)) i++
          if (i === to) break
          const digit = bytes[i] - 0x30
          if (digit >= 0 && digit <= 9) {
            const position = at + i - from
            if (begin < 0) begin = position
            else if (position - begin >= RUN_BYTES_MAX) {
              close()
              begin = position
            }
            digits[count] = digit
            where[count++] = position
            separators = 0
          } else if (begin >= 0 && ((bytes[i] !== 0x20 && bytes[i] !== 0x2d) || ++separators > 1)) close()
        }
        at += to - from
      },
      finish: close,
      get decided() {
        return begin < 0 ? at : begin
      },
    }
  }
}

function isGrouped(where: readonly number[], first: number, last: number): boolean {
  let group = 1
  for (let i = first + 1; i <= last; i++) {
    if (where[i] === where[i - 1] + 1) group++
    else if (group < GROUP_DIGITS_MIN) return false
    else group = 1
  }
  return group >= GROUP_DIGITS_MIN
}

function luhn(digits: readonly number[], first: number, last: number): boolean {
  let sum = 0
  for (let i = last, double = false; i >= first; i--, double = !double) {
    const value = double ? digits[i] * 2 : digits[i]
    sum += value > 9 ? value - 9 : value
  }
  return sum % 10 === 0 && sum > 0
}
