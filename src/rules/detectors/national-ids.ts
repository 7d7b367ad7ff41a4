import { isLuhn, isMod11Of10, isMonthDay, isVerhoeff, mod97, weighted } from './check-digits.ts'
import type { Shape } from './shapes.ts'

const DNI_LETTERS = 'TRWAGMYFPDXBNJZSQVHLCKE'
/** Values of the characters at odd places of a codice fiscale (decree of 23 December 1976). */
const CODICE_ODD: Readonly<Record<string, number>> = Object.fromEntries(
  [...'BAKPLCQDREVOSFTGUHMINJWZYX']
    .map((letter, value) => [letter, value])
    .concat([...'10   2 3 4   5 6 7 8 9'].flatMap((digit, value) => (digit === ' ' ? [] : [[digit, value]]))),
)

type Entry = Omit<Shape, 'kind'>

/** Numbers of persons, by country. Where one digit alone tells a number from any other, the text has to call it by its name. */
const numbers: readonly Entry[] = [
  // United Kingdom, national insurance number (HMRC NIM39110): no check digit, but the letters it may begin and end with are few.
  { templates: ['AA 99 99 99 A'], isValid: isNationalInsurance },
  { templates: ['AA999999A', 'AA 999999 A'], isValid: isNationalInsurance, context: /\b(?:NINO|NI\s+(?:number|no)|national\s+insurance)\b/i },
  // Germany, Steuer-Identifikationsnummer: among the first ten digits exactly one comes more than once.
  { templates: ['99 999 999 999', '99999999999'], isValid: isSteuerId, context: /steuer|\bId-?Nr\b|\bTIN\b|\btax\s+(?:id|number)/i },
  // Germany, Rentenversicherungsnummer (VKVV § 2): area, date of birth, initial, serial, check digit.
  { templates: ['99 999999 A 999', '99999999A999'], isValid: isRentenversicherung },
  // France, numéro d'inscription au répertoire (décret 82-103): sex, year, month, department, commune, rank, key.
  { templates: ['999999*99999999', '999999*999999 99', '9 99 99 9* 999 999 99'], isValid: isNir },
  // Spain, DNI and NIE: the letter is the number modulo 23 (Real Decreto 1553/2005).
  { templates: ['99999999A', '99999999-A', '99999999 A'], isValid: isDni },
  {
    templates: ['A9999999A', 'A-9999999-A', 'A-9999999A', 'A9999999-A'],
    isValid: (compact) => /^[XYZ]/.test(compact) && isDni(`${'XYZ'.indexOf(compact[0])}${compact.slice(1)}`),
  },
  // Italy, codice fiscale; letters may stand for digits where two persons would have the same.
  { templates: ['AAAAAA**A**A***A'], isValid: isCodiceFiscale },
  // Algeria, numéro d'identification national: 18 digits; how its key is computed is not published, so the text has to name it.
  {
    templates: ['999999999999999999'],
    isValid: (digits) => /^[12]/.test(digits),
    context: /\bNIN\b|identi(?:fication|te)\s+national|carte\s+(?:d.identite|nationale)|algeri/i,
  },
  // India, Aadhaar (UIDAI): Verhoeff; in one piece only where it is named. PAN of a person (the fourth letter is P).
  { templates: ['9999 9999 9999', '9999-9999-9999'], isValid: isAadhaar },
  { templates: ['999999999999'], isValid: isAadhaar, context: /aadhaa?r|\bUID(?:AI)?\b/i },
  { templates: ['AAAAA9999A'], isValid: (_, written) => /^[A-Z]{3}P[A-Z]\d{4}[A-Z]$/.test(written) },
  { templates: ['AAAAA9999A'], isValid: (_, written) => /^[A-Z]{3}[ABCFGHJLT][A-Z]\d{4}[A-Z]$/.test(written), context: /\bPAN\b|permanent\s+account/i },
  // Canada, social insurance number: Luhn, which every tenth number passes.
  {
    templates: ['999 999 999', '999-999-999', '999999999'],
    isValid: (digits) => !digits.startsWith('8') && isLuhn(digits),
    context: /\bS\.?I\.?N\b|\bNAS\b|social\s+insurance|assurance\s+sociale/i,
  },
  // United States, individual taxpayer number (IRS): written like a social security number, from 900 on.
  { templates: ['999-99-9999'], isValid: (digits) => /^9\d\d(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])\d{4}$/.test(digits) },
  // Netherlands, burgerservicenummer: the elfproef, which every eleventh number passes.
  { templates: ['999999999', '9999 99 999', '999 999 999', '9999.99.999'], isValid: isBsn, context: /\bBSN\b|burgerservice|sofi-?nummer/i },
  // Poland, PESEL: the century is in the month.
  { templates: ['99999999999'], isValid: isPesel, context: /\bPESEL/i },
  // Sweden, personnummer; coordination numbers add 60 to the day. Without its sign only where it is named.
  { templates: ['999999-9999', '99999999-9999'], isValid: isPersonnummer },
  { templates: ['9999999999', '999999999999'], isValid: isPersonnummer, context: /person(?:nummer|nr)|samordning|\bpnr\b/i },
  // Belgium, rijksregisternummer: modulo 97, with a 2 in front for who was born from 2000 on.
  { templates: ['99.99.99-999.99', '99.99.99-999-99'], isValid: isRijksregister },
  // Switzerland, AHV number: EAN-13 with the country's 756.
  { templates: ['999.9999.9999.99', '9999999999999'], isValid: isAhv },
  // Brazil, CPF: two check digits modulo 11.
  { templates: ['999.999.999-99'], isValid: isCpf },
  { templates: ['99999999999'], isValid: isCpf, context: /\bCPF\b|cadastro/i },
]

/** National identification and tax numbers of persons, other than US social security numbers, which have a detector of their own. */
export const nationalIds: readonly Shape[] = numbers.map((number) => ({ ...number, kind: 'national_id' }))

function isNationalInsurance(compact: string): boolean {
  return /^[ABCEGHJ-PRSTW-Z][ABCEGHJ-NPRSTW-Z]\d{6}[A-D]$/.test(compact) && !/^(?:BG|GB|KN|NK|NT|TN|ZZ)/.test(compact)
}

function isSteuerId(digits: string): boolean {
  if (digits[0] === '0' || !isMod11Of10(digits)) return false
  const counts = [...'0123456789'].map((digit) => digits.slice(0, 10).split(digit).length - 1)
  return counts.filter((count) => count > 1).length === 1 && Math.max(...counts) <= 3
}

/** Weights of the digits, the letter counting as the two of its place in the alphabet; cross sums are added. */
function isRentenversicherung(compact: string): boolean {
  if (!isMonthDay(Number(compact.slice(4, 6)), Number(compact.slice(2, 4)) % 50)) return false
  const letter = String(compact.charCodeAt(8) - 64).padStart(2, '0')
  const digits = compact.slice(0, 8) + letter + compact.slice(9, 11)
  let sum = 0
  for (const [i, weight] of [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1].entries()) {
    const product = weight * Number(digits[i])
    sum += Math.floor(product / 10) + (product % 10)
  }
  return sum % 10 === Number(compact[11])
}

function isAadhaar(digits: string): boolean {
  return /^[2-9]/.test(digits) && isVerhoeff(digits)
}

function isNir(compact: string): boolean {
  if (!/^[12]\d\d(?:0[1-9]|1[0-2]|20|3\d|4[0-2])(?:\d\d|2[AB])\d{8}$/.test(compact)) return false
  const digits = compact.replace('2A', '19').replace('2B', '18')
  return mod97(digits.slice(0, 13)) + Number(digits.slice(13)) === 97
}

function isDni(compact: string): boolean {
  return DNI_LETTERS[Number(compact.slice(0, 8)) % 23] === compact[8]
}

function isCodiceFiscale(compact: string): boolean {
  if (!/^[A-Z]{6}[\dLMNPQR-V]{2}[A-EHLMPRST][\dLMNPQR-V]{2}[A-Z][\dLMNPQR-V]{3}[A-Z]$/.test(compact)) return false
  let sum = 0
  for (let i = 0; i < 15; i++) sum += i % 2 === 0 ? (CODICE_ODD[compact[i]] ?? 0) : Number.parseInt(compact[i], 36) - (compact[i] > '9' ? 10 : 0)
  return String.fromCharCode(65 + (sum % 26)) === compact[15]
}

function isBsn(digits: string): boolean {
  return digits !== '000000000' && weighted(digits, [9, 8, 7, 6, 5, 4, 3, 2, -1]) % 11 === 0
}

function isPesel(digits: string): boolean {
  return isMonthDay(Number(digits.slice(2, 4)) % 20, Number(digits.slice(4, 6))) && weighted(digits, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]) % 10 === 0
}

function isPersonnummer(digits: string): boolean {
  if (digits.length === 12 && !/^(?:19|20)/.test(digits)) return false
  const short = digits.slice(-10)
  const day = Number(short.slice(4, 6))
  return isMonthDay(Number(short.slice(2, 4)), day > 60 ? day - 60 : day) && isLuhn(short)
}

function isRijksregister(digits: string): boolean {
  const check = Number(digits.slice(9))
  return (
    isMonthDay(Number(digits.slice(2, 4)) % 20, Number(digits.slice(4, 6))) &&
    [digits.slice(0, 9), `2${digits.slice(0, 9)}`].some((number) => 97 - (Number(number) % 97) === check)
  )
}

function isAhv(digits: string): boolean {
  return digits.startsWith('756') && weighted(digits, [1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]) % 10 === 0
}

function isCpf(digits: string): boolean {
  if (/^(\d)\1+$/.test(digits)) return false
  const check = (length: number): number =>
    ((weighted(
      digits,
      Array.from({ length }, (_, i) => length + 1 - i),
    ) *
      10) %
      11) %
    10
  return check(9) === Number(digits[9]) && check(10) === Number(digits[10])
}
