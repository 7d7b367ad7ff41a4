import { isAlphanumeric, isDigit, isGap, kinds, LETTERS, textOf } from './characters.ts'
import { mod97 } from './check-digits.ts'
import type { Found } from './found.ts'

/** Characters of an account number by country: the SWIFT IBAN Registry. */
const LENGTHS: Readonly<Record<string, number>> = Object.fromEntries(
  `
AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28
HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25
QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30
`
    .trim()
    .split(/\s+/)
    .map((entry) => [entry.slice(0, 2), Number(entry.slice(2))]),
)

/** Signs between two characters of a number: as printed a space, or what else somebody puts there. */
const GAP_BYTES_MAX = 2
const COUNTRY = /^[A-Z]{2}\d\d$/i
/** Fewer digits after the first four no country has. */
const DIGITS_MIN = 8

/**
 * International bank account numbers (ISO 13616) of every registered country, by its length and by their check digits, in groups or not. `start` is the
 * beginning of a word; answers where the number ends, or `start`.
 */
export function findIban(text: Buffer, start: number, to: number, found: Found): number {
  if ((kinds[text[start]] & LETTERS) === 0 || (kinds[text[start + 1]] & LETTERS) === 0) return start
  const length = LENGTHS[textOf(text, start, start + 2).toUpperCase()]
  if (length === undefined) return start
  let compact = ''
  let digits = 0
  let i = start
  while (compact.length < length && i < to) {
    if (isAlphanumeric(text[i])) {
      if (compact.length > 3 && isDigit(text[i])) digits++
      compact += String.fromCharCode(text[i++])
      if (compact.length === 4 && !COUNTRY.test(compact)) return start
      continue
    }
    let next = i
    while (next < to && next - i < GAP_BYTES_MAX && isGap(text[next])) next++
    if (next >= to || !isAlphanumeric(text[next])) return start
    i = next
  }
  if (compact.length < length || digits < DIGITS_MIN || (i < to && isAlphanumeric(text[i]))) return start
  const upper = compact.toUpperCase()
  if (/^..(?:0[01]|99)/.test(upper)) return start // never issued (ISO 13616)
  if (mod97(upper.slice(4) + upper.slice(0, 4)) !== 1) return start
  found(start, i, 'iban')
  return i
}
