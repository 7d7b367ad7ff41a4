import type { Matcher } from '../matching/match.ts'
import { recentBytes } from './recent-bytes.ts'

/** E.164 allows 15 digits, and a trunk zero in parentheses may come on top. */
const DIGITS_MAX = 16
const DIGITS_MIN = 7
/** Longer chains of digits are no telephone numbers, whatever their parts look like. It bounds how much of a stream can be held back. */
const RUN_BYTES_MAX = 40
/** How far before a number the word that calls it one may begin. */
const CONTEXT_BYTES_MAX = 32
/** As in "+49 (0) 30". */
const JOINTS_MAX = 2

const PLUS = 0x2b
const OPEN = 0x28

const OTHER = 0
const DIGIT = 1
/** May stand between the digits of one number. */
const JOINT = 2
const LETTER = 3
const kinds = new Uint8Array(256)
for (let byte = 0; byte < 128; byte++) {
  const character = String.fromCharCode(byte)
  kinds[byte] = /\d/.test(character) ? DIGIT : /[ ()./-]/.test(character) ? JOINT : /\w/.test(character) ? LETTER : OTHER
}

/** Country codes (ITU-T E.164, Annex to OB 1114) by their first two digits, which three-digit codes share; and how many digits 1 and 7 take in all. */
const COUNTRY = /^(?:1[2-9]\d{9}|7[3-9]\d{9}|(?:2[0-79]|3\d|4[0-9]|5\d|6[0-9]|8[124568]|9\d)\d{7,13})$/
/** As North Americans write: (212) 555-0143, 212-555-0143, 1-212-555-0143. With dots it could be a version, and without anything any number. */
const NORTH_AMERICAN = /^(?:1[ -])?(?:\([2-9](?!11)\d\d\) ?|[2-9](?!11)\d\d-)[2-9](?!11)\d\d-\d{4}$/
const CONTEXT =
  /(?:\b(?:tel|phone|telephone|mobile|cell|cellphone|fax|whatsapp|tel[eé]fono|m[oó]vil|celular|telefon|telefoon|handy|mobil|rufnummer|portable)|t[eé]l(?:[eé]phone)?)[.:]?[ \t-]*(?:numbers?|no|nr|nummer|num|#)?[.:]*[ \t]*(?:is|ist|est|es)?["']?[ \t]*[:=]?[ \t]*["'(+]{0,2}$/i

/**
 * Telephone numbers: international ones (+ and an assigned country code), North American ones as they are written there, and 7 to 16 digits right
 * after a word such as "phone" or "Tel.".
 */
export function phoneNumbers(leaf: number): Matcher {
  return (report) => {
    const recent = recentBytes(RUN_BYTES_MAX + CONTEXT_BYTES_MAX + JOINTS_MAX + 4)
    let begin = -1 // where the open run begins, or -1
    let end = 0 // after its last digit
    let digits = 0

    /** `after` is the kind of byte that follows. */
    const close = (after: number): void => {
      const isOpen = begin >= 0 && digits >= DIGITS_MIN && end - begin <= RUN_BYTES_MAX
      if (isOpen) judge(after === LETTER)
      begin = -1
      digits = 0
    }
    /** The longest number that begins first: a run may have other digits before and after it, apart from it by a space. */
    const judge = (endsInWord: boolean): void => {
      const run = recent.textOf(begin, end)
      const edges = [...run.matchAll(/ /g)].map(({ index }) => index)
      const before = recent.textOf(begin - CONTEXT_BYTES_MAX, begin)
      for (const from of [0, ...edges.map((edge) => edge + 1)]) {
        for (const to of [...(endsInWord ? [] : [run.length]), ...edges.toReversed()]) {
          if (to <= from) break
          const text = run.slice(from, to)
          if (!(from === 0 ? isPhone(text, before) : isNorthAmerican(text, ' '))) continue
          report(begin + from - (from === 0 && /[+(]$/.test(before) ? 1 : 0), begin + to, leaf)
          return
        }
      }
    }
    const isLead = (byte: number): boolean => byte === PLUS || byte === OPEN
    return {
      feed(bytes, from, to) {
        recent.begin(bytes, from)
        const { at } = recent
        for (let i = from; i < to; i++) {
          if (begin < 0) while (i < to && kinds[bytes[i]] !== DIGIT) i++
          if (i === to) break
          const kind = kinds[bytes[i]]
          const position = at + i - from
          if (kind === DIGIT) {
            if (begin < 0) begin = position
            end = position + 1
            digits++
          } else if (kind !== JOINT || position - end >= JOINTS_MAX) close(position === end ? kind : OTHER)
        }
        recent.end(to)
      },
      finish() {
        close(OTHER)
        recent.forget()
      },
      get decided() {
        // What leads the number, + or an opening parenthesis, is part of it.
        const first = begin < 0 || end - begin > RUN_BYTES_MAX ? recent.at : begin
        return isLead(recent.byteAt(first - 1)) && (begin < 0 || first === begin) ? first - 1 : first
      },
    }
  }
}

function isPhone(text: string, before: string): boolean {
  const digits = text.replace(/\(0\)|\D/g, '')
  if (digits.length < DIGITS_MIN || digits.length > DIGITS_MAX) return false
  return (/(?:^|\W)\+$/.test(before) && COUNTRY.test(digits)) || isNorthAmerican(text, before) || CONTEXT.test(before)
}

function isNorthAmerican(text: string, before: string): boolean {
  if (text.length < 12 || text.length > 16 || /[\w$-]$/.test(before)) return false
  return NORTH_AMERICAN.test(before.endsWith('(') ? `(${text}` : text)
}
