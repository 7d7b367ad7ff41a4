import { isDigit } from './characters.ts'
import { isLuhn } from './check-digits.ts'
import type { DigitChain } from './digit-chain.ts'
import type { Found } from './found.ts'

export const DIGITS_MIN = 13
const DIGITS_MAX = 19
/** Cards are printed in groups of four, or 4-6-5; smaller groups are numbered lists and tables. */
const GROUP_DIGITS_MIN = 3

/** First digits and lengths of the networks (ISO/IEC 7812-1, as the networks publish their ranges). */
const NETWORKS: readonly { name: string; begins: RegExp; lengths: readonly number[] }[] = [
  { name: 'Visa', begins: /^4/, lengths: [13, 16, 19] },
  { name: 'Mastercard', begins: /^(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, lengths: [16] },
  { name: 'American Express', begins: /^3[47]/, lengths: [15] },
  { name: 'Diners Club', begins: /^3(?:0[0-5]|095|[689])/, lengths: [14, 16, 19] },
  { name: 'Discover, RuPay', begins: /^(?:6011|64[4-9]|65|60|508|8[12])/, lengths: [16, 19] },
  { name: 'JCB', begins: /^35(?:2[89]|[3-8])/, lengths: [16, 19] },
  { name: 'UnionPay', begins: /^62/, lengths: [16, 17, 18, 19] },
  { name: 'Maestro', begins: /^(?:50|5[6-8]|6[37])/, lengths: [13, 14, 15, 16, 17, 18, 19] },
  { name: 'Mir', begins: /^220[0-4]/, lengths: [16] },
]
/** As printed: digits in each group. */
const PRINTED = new Set(['4-4-4-4', '4-6-5', '4-6-4', '4-4-4-4-3', '4-4-4-4-2', '4-4-4-4-1', '4-4-4-1'])
const GROUPS_MAX = 5
/** Two strings of a program that are one: `"4111" + "1111"`. */
const CONCATENATION = /^["'`]\s*[+.\\]?\s*["'`]$/
/** Of these many cards are, and few other numbers: what is not written like a card has to be one of them. */
const COMMON = /^(?:4\d{15}|(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)\d{12,14}|3[47]\d{13}|6(?:011|4[4-9]|5)\d{12,13})$/

/**
 * Payment card numbers: digits of a network's range and length for which the Luhn formula holds (ISO/IEC 7812-1, annex B). Written in one piece, in
 * printed groups whatever stands between them, or digit by digit with the same sign between all.
 */
export function findCards(chain: DigitChain, text: Buffer, found: Found): void {
  const { digits, where, count } = chain
  const isEdge = (i: number): boolean => i === 0 || i === count || where[i] !== where[i - 1] + 1
  let numbers = 0
  for (let first = 0; first + DIGITS_MIN <= count; first++) {
    if (!isEdge(first) || isFraction(text, where[first]) || (first === 0 && chain.joinsBefore && chain.joinsAfter) || digits[first] < 2) continue
    for (let length = Math.min(DIGITS_MAX, count - first); length >= DIGITS_MIN; length--) {
      const end = first + length
      if (!isEdge(end)) continue
      // Where a letter joins it on one side, such as that of a currency, it must be as common as can be.
      const isJoined = (first === 0 && chain.joinsBefore) || (end === count && chain.joinsAfter)
      if (!isLuhn(digits, first, end)) continue
      const number = digits.slice(first, end).join('')
      if (!isNetwork(number) || isEan13(number) || (isJoined && !COMMON.test(number)) || !isWrittenLikeCard(chain, text, { first, end, number })) continue
      found(where[first], where[end - 1] + 1, 'credit_card')
      numbers++
      first = end - 1
      break
    }
  }
  if (numbers === 0) findSpelledCard(chain, text, found)
}

const isNetwork = (number: string): boolean => NETWORKS.some(({ begins, lengths }) => lengths.includes(number.length) && begins.test(number))

function isWrittenLikeCard({ where, count }: DigitChain, text: Buffer, { first, end, number }: { first: number; end: number; number: string }): boolean {
  const groups: number[] = [1]
  const gaps: string[] = []
  for (let i = first + 1; i < end; i++) {
    const gap = where[i] === where[i - 1] + 1 ? '' : text.toString('latin1', where[i - 1] + 1, where[i])
    if (gap === '' || CONCATENATION.test(gap)) groups[groups.length - 1]++
    else {
      groups.push(1)
      gaps.push(gap)
    }
  }
  if (groups.length === 1) return true
  const isWhole = first === 0 && end === count
  const isPlain = gaps.every((gap) => gap === ' ' || gap === '-')
  // A list of numbers is no number, unless it is all there is.
  if (gaps.some((gap) => /[,;]/.test(gap)) && !(isWhole && gaps.every((gap) => gap === ','))) return false
  if (PRINTED.has(groups.join('-')) && (isPlain || gaps.every((gap) => gap === gaps[0]))) return true
  return COMMON.test(number) && (PRINTED.has(groups.join('-')) || (isWhole && groups.length <= GROUPS_MAX && groups.every((size) => size >= GROUP_DIGITS_MIN)))
}

/** The digits after a decimal point. */
const isFraction = (text: Buffer, start: number): boolean => text[start - 1] === 0x2e && isDigit(text[start - 2])

/** An article number (GS1): of thirteen digits too, and far more common than cards of thirteen. */
function isEan13(number: string): boolean {
  if (number.length !== 13) return false
  let sum = 0
  for (let i = 0; i < 13; i++) sum += Number(number[i]) * (i % 2 === 0 ? 1 : 3)
  return sum % 10 === 0
}

/** The whole chain is one number in groups of one or two digits, with the same between all of them: 4.1.1.1 and so on. */
function findSpelledCard(chain: DigitChain, text: Buffer, found: Found): void {
  const { digits, where, count } = chain
  if (count < 15 || count > 16 || chain.joinsBefore || chain.joinsAfter) return
  const size = where[1] === where[0] + 1 ? 2 : 1
  const gap = (i: number): string => text.toString('latin1', where[i - 1] + 1, where[i])
  const sign = gap(size)
  for (let i = 1; i < count; i++) if (gap(i) !== (i % size === 0 ? sign : '')) return
  const number = digits.slice(0, count).join('')
  if (COMMON.test(number) && isLuhn(digits, 0, count)) found(where[0], where[count - 1] + 1, 'credit_card')
}
