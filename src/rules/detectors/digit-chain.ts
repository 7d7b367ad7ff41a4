import { isAlphanumeric, isDigit, isGap } from './characters.ts'

/** Digits that stand close together: nothing but a few signs between them. */
export interface DigitChain {
  /** Their values and positions, up to `count`. */
  digits: number[]
  where: number[]
  count: number
  /** A letter joins the chain at its beginning or its end, so that its outermost group is part of a word. */
  joinsBefore: boolean
  joinsAfter: boolean
  /** Where to go on: a chain that was cut is read again from one of its last groups. */
  next: number
}

/** Signs between two digits of a chain, such as `** **` or a plus with quotes around it. */
const GAP_BYTES_MAX = 6
/** A longer chain is looked at piece by piece, each beginning so many digits before the end of the last; no number is longer than that. */
const CHAIN_DIGITS_MAX = 64
const OVERLAP_DIGITS = 20

/** Makes a reader with one chain that is used again for every text. `start` is a digit. */
export function chainReader(): (text: Buffer, start: number, to: number) => DigitChain {
  const chain: DigitChain = { digits: [], where: [], count: 0, joinsBefore: false, joinsAfter: false, next: 0 }
  return (text, start, to) => {
    const { digits, where } = chain
    let count = 0
    let i = start
    while (i < to && count < CHAIN_DIGITS_MAX) {
      digits[count] = text[i] - 0x30
      where[count++] = i++
      let next = i
      while (next < to && next - i < GAP_BYTES_MAX && isGap(text[next])) next++
      if (next >= to || !isDigit(text[next])) break
      i = next
    }
    chain.count = count
    chain.joinsBefore = start > 0 && isAlphanumeric(text[start - 1])
    chain.joinsAfter = i < to && isAlphanumeric(text[i])
    chain.next = i
    if (count === CHAIN_DIGITS_MAX) {
      let group = count - OVERLAP_DIGITS
      while (group < count && where[group] === where[group - 1] + 1) group++
      if (group < count) chain.next = where[group]
    }
    return chain
  }
}
