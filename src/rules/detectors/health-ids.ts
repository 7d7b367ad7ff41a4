import { isLuhn, weighted } from './check-digits.ts'
import type { Shape } from './shapes.ts'

/** Numbers of patients and providers in health care. */
const numbers: readonly Omit<Shape, 'kind'>[] = [
  // United States, Medicare Beneficiary Identifier (CMS, "Understanding the MBI"): no check digit, but a letter or digit is fixed at every place.
  {
    templates: ['9A*9-A*9-AA99', '9A*9A*9AA99'],
    isValid: (compact) => /^[1-9][AC-HJKMNP-RT-Y][\dAC-HJKMNP-RT-Y]\d[AC-HJKMNP-RT-Y][\dAC-HJKMNP-RT-Y]\d[AC-HJKMNP-RT-Y]{2}\d\d$/.test(compact),
  },
  // United States, National Provider Identifier (45 CFR 162.406): Luhn with 80840 in front.
  { templates: ['9999999999'], isValid: (digits) => /^[12]/.test(digits) && isLuhn(`80840${digits}`), context: /\bNPI\b|provider\s+(?:id|number|no)/i },
  // United Kingdom, NHS number: modulo 11.
  { templates: ['999 999 9999', '999-999-9999', '9999999999'], isValid: isNhsNumber, context: /\bNHS\b/i },
  // Germany, Krankenversichertennummer (§ 290 SGB V): the letter counts as two digits, every second digit double.
  { templates: ['A999999999'], isValid: isKvnr, context: /versicher|\bKVNR\b|krankenkasse|\bKV-?N/i },
]

/** As shapes of their detector. */
export const healthIds: readonly Shape[] = numbers.map((number) => ({ ...number, kind: 'health_id' }))

function isNhsNumber(digits: string): boolean {
  const check = 11 - (weighted(digits, [10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11)
  return check !== 10 && check % 11 === Number(digits[9])
}

function isKvnr(compact: string): boolean {
  const digits = String(compact.charCodeAt(0) - 64).padStart(2, '0') + compact.slice(1)
  let sum = 0
  for (let i = 0; i < 10; i++) {
    const product = Number(digits[i]) * (i % 2 === 0 ? 1 : 2)
    sum += product > 9 ? product - 9 : product
  }
  return sum % 10 === Number(digits[10])
}
