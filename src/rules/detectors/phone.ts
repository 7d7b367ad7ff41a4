import { isAlphanumeric, isDigit, textOf } from './characters.ts'
import type { DigitChain } from './digit-chain.ts'
import type { Found } from './found.ts'

/** E.164 allows 15 digits, and a trunk zero in parentheses may come on top. */
const DIGITS_MAX = 16
export const DIGITS_MIN = 7
/** Longer chains of digits are no telephone numbers, whatever their parts look like. */
const RUN_BYTES_MAX = 40
/** How far before a number the word that calls it one may begin. */
const CONTEXT_BYTES_MAX = 32
/** As in "+49 (0) 30". */
const JOINTS_MAX = 2

const joint = Uint8Array.from({ length: 256 }, (_, byte) => (/[ ()./-]/.test(String.fromCharCode(byte)) ? 1 : 0))

/** Country codes (ITU-T E.164, Annex to OB 1114) by their first two digits, which three-digit codes share; and how many digits 1 and 7 take in all. */
const COUNTRY = /^(?:1[2-9]\d{9}|7[3-9]\d{9}|(?:2[0-79]|3\d|4[0-9]|5\d|6[0-9]|8[124568]|9\d)\d{7,13})$/
/** As North Americans write: (212) 555-0143, 212-555-0143, 1-212-555-0143. With dots it could be a version, and without anything any number. */
const NORTH_AMERICAN = /^(?:1[ -])?(?:\([2-9](?!11)\d\d\) ?|[2-9](?!11)\d\d-)[2-9](?!11)\d\d-\d{4}$/
const NORTH_AMERICAN_DIGITS = 10
const CONTEXT =
  /(?:\b(?:tel|phone|telephone|mobile|cell|cellphone|fax|whatsapp|telefono|movil|celular|telefon|telefoon|handy|mobil|rufnummer|portable|telemovel|cellulare))[.:]?[ \t-]*(?:numbers?|no|nr|nummer|num|#)?[.:]*[ \t]*(?:is|ist|est|es|e)?["']?[ \t]*[:=]?[ \t]*["'(+]{0,2}$/i

/**
 * Telephone numbers: international ones (+ and an assigned country code), North American ones as they are written there, and 7 to 16 digits right
 * after a word such as "phone" or "Tel.". The longest number that begins first: a run may have other digits before and after it, apart from it by a
 * space. `isNamed`: such a word may stand before.
 */
export function findPhones({ where, count }: DigitChain, text: Buffer, isNamed: boolean, found: Found): void {
  for (let first = 0; first < count; ) {
    let last = first
    while (last + 1 < count && isJoined(text, where[last], where[last + 1])) last++
    const digits = last - first + 1
    const lead = text[where[first] - 1]
    if (digits >= DIGITS_MIN && (isNamed || digits >= NORTH_AMERICAN_DIGITS || lead === 0x2b || lead === 0x28))
      findPhone(text, where[first], where[last] + 1, found)
    first = last + 1
  }
}

function isJoined(text: Buffer, digit: number, next: number): boolean {
  if (next - digit - 1 > JOINTS_MAX) return false
  for (let i = digit + 1; i < next; i++) if (joint[text[i]] === 0) return false
  return true
}

function findPhone(text: Buffer, begin: number, end: number, found: Found): void {
  if (end - begin > RUN_BYTES_MAX) return
  const run = textOf(text, begin, end)
  const endsInWord = end < text.length && !isDigit(text[end]) && (isAlphanumeric(text[end]) || text[end] === 0x5f)
  const edges = [...run.matchAll(/ /g)].map(({ index }) => index)
  const before = textOf(text, begin - CONTEXT_BYTES_MAX, begin)
  for (const from of [0, ...edges.map((edge) => edge + 1)]) {
    for (const to of [...(endsInWord ? [] : [run.length]), ...edges.toReversed()]) {
      if (to <= from) break
      const part = run.slice(from, to)
      if (!(from === 0 ? isPhone(part, before) : isNorthAmerican(part, ' '))) continue
      found(begin + from - (from === 0 && /[+(]$/.test(before) ? 1 : 0), begin + to, 'phone')
      return
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
