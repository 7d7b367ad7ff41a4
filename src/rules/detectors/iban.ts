import { mod97 } from './check-digits.ts'
import { shapes } from './shapes.ts'

/** Characters of an account number by country: the SWIFT IBAN Registry. */
const LENGTHS: Readonly<Record<string, number>> = Object.fromEntries(
  `
AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28
HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25
QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20
`
    .trim()
    .split(/\s+/)
    .map((entry) => [entry.slice(0, 2), Number(entry.slice(2))]),
)

/** As one word, or as printed: in groups of four. */
const templates = [...new Set(Object.values(LENGTHS))].flatMap((length) => {
  const word = `AA99${'*'.repeat(length - 4)}`
  return [' ', '-'].map((separator) => (word.match(/.{1,4}/g) ?? []).join(separator)).concat(word)
})

/** International bank account numbers (ISO 13616) of every registered country, by its length and by their check digits. */
export const ibans = shapes([
  { templates, isValid: (compact) => LENGTHS[compact.slice(0, 2)] === compact.length && mod97(compact.slice(4) + compact.slice(0, 4)) === 1 },
])
