/** The arithmetic by which issuers let a misread number be told from a real one. All take digits or upper-case letters without separators. */

/** ISO/IEC 7812-1, annex B: every second digit from the right counts double, a sum of ten is good. Of all digits, or of some of them. */
export function isLuhn(digits: ArrayLike<string | number>, first = 0, end = digits.length): boolean {
  let sum = 0
  for (let i = end - 1, double = false; i >= first; i--, double = !double) {
    const value = Number(digits[i]) * (double ? 2 : 1)
    sum += value > 9 ? value - 9 : value
  }
  return sum % 10 === 0 && sum > 0
}

/** ISO/IEC 7064, MOD 97-10, where A is 10 and Z is 35. The remainder, which is 1 where two check digits at the end are right. */
export function mod97(characters: string): number {
  let rest = 0
  for (const character of characters) {
    const value = Number.parseInt(character, 36)
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97
  }
  return rest
}

/** ISO/IEC 7064, MOD 11,10: whether the last digit is right. */
export function isMod11Of10(digits: string): boolean {
  let product = 10
  for (const digit of digits.slice(0, -1)) {
    const sum = (Number(digit) + product) % 10 || 10
    product = (sum * 2) % 11
  }
  return (11 - product) % 10 === Number(digits.at(-1))
}

/** J. Verhoeff, Error Detecting Decimal Codes (1969): the dihedral group of order ten, a permutation for each place from the right. */
export function isVerhoeff(digits: string): boolean {
  let check = 0
  for (let i = 0; i < digits.length; i++) check = dihedral(check, permuted(Number(digits[digits.length - 1 - i]), i))
  return check === 0
}
function dihedral(a: number, b: number): number {
  if (a < 5) return b < 5 ? (a + b) % 5 : 5 + ((a + b) % 5)
  return b < 5 ? 5 + ((a - b + 5) % 5) : (a - b + 10) % 5
}
function permuted(digit: number, place: number): number {
  let value = digit
  for (let round = place % 8; round > 0; round--) value = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4][value]
  return value
}

/** Each digit times its weight, added up. There may be more digits than weights. */
export const weighted = (digits: string, weights: readonly number[]): number => weights.reduce((sum, weight, i) => sum + weight * Number(digits[i]), 0)

/** Whether these are a month and a day; years are not known here, so February may have 29 days. */
export function isMonthDay(month: number, day: number): boolean {
  return month >= 1 && month <= 12 && day >= 1 && day <= [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
}
