import { buildAutomaton } from './automaton.ts'
import type { Phrase } from './literals.ts'
import type { Matcher } from './match.ts'

/** How many letters outside ASCII are remembered with their class; beyond it the memory starts anew. */
const REMEMBERED_MAX = 8192

/** The simple case folding of Unicode, as regular expressions with the flags `iu` know it: code points with the same fold are the same letter. */
export function foldCase(codePoint: number): number {
  if (codePoint < 0x80) return codePoint >= 65 && codePoint <= 90 ? codePoint + 32 : codePoint
  if (codePoint === 0x131) return codePoint // its capital is I, but Unicode folds the dotless i to nothing
  const upper = single(String.fromCodePoint(codePoint).toUpperCase()) ?? codePoint
  return single(String.fromCodePoint(upper).toLowerCase()) ?? upper
}

/** Whether there is such a character in Unicode. */
export const isCodePoint = (codePoint: number): boolean => codePoint <= 0x10ffff && (codePoint < 0xd800 || codePoint > 0xdfff)

const single = (text: string): number | undefined => {
  const codePoint = text.codePointAt(0) ?? 0
  return text.length === (codePoint > 0xffff ? 2 : 1) ? codePoint : undefined
}

/** Whether folding ASCII bytes is not enough to find this phrase in any case. */
export function needsFolding(text: string): boolean {
  for (const character of text) if (character > '\x7f' && (character.toLowerCase() !== character || character.toUpperCase() !== character)) return true
  return false
}

/** Finds phrases in any case of any script, code point by code point, because the cases of a letter may differ in length. Positions are bytes. */
export function foldedLiterals(phrases: readonly Phrase[]): Matcher {
  const classes = new Map<number, number>()
  const words = phrases.map(({ text, leaves }) => {
    const symbols = Array.from(text, (character) => {
      const folded = foldCase(character.codePointAt(0) ?? 0)
      const known = classes.get(folded) ?? classes.size + 1
      classes.set(folded, known)
      return known
    })
    return { symbols, leaves }
  })
  const width = classes.size + 1
  const { table, tableEnd, step, depthOf, wordsAt } = buildAutomaton(
    words.map(({ symbols }) => symbols),
    width,
  )
  const ascii = Uint16Array.from({ length: 128 }, (_, byte) => classes.get(foldCase(byte)) ?? 0)
  const remembered = new Map<number, number>()
  const classOf = (codePoint: number): number => {
    let found = remembered.get(codePoint)
    if (found === undefined) {
      if (remembered.size === REMEMBERED_MAX) remembered.clear()
      remembered.set(codePoint, (found = classes.get(foldCase(codePoint)) ?? 0))
    }
    return found
  }
  // A ring of where the last code points began, long enough for the longest phrase.
  const longest = words.reduce((most, { symbols }) => Math.max(most, symbols.length), 1)
  const mask = 2 ** Math.ceil(Math.log2(longest + 1)) - 1

  return (report) => {
    const begins: number[] = new Array(mask + 1).fill(0)
    let count = 0
    let state = 0
    let at = 0
    let codePoint = 0
    let missing = 0 // bytes until the open code point is whole
    return {
      feed(bytes, from, to) {
        for (let i = from; i < to; i++) {
          const byte = bytes[i]
          // What was decoded need not be UTF-8: a character that breaks off is none.
          if (byte < 0x80 || byte >= 0xc0) missing = 0
          if (missing === 0) begins[count & mask] = at + i - from
          if (byte >= 0xc0) {
            missing = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1
            codePoint = byte & (0x3f >> missing)
            continue
          }
          let symbol: number
          if (byte < 0x80) symbol = ascii[byte]
          else {
            codePoint = (codePoint << 6) | (byte & 0x3f)
            if (--missing > 0) continue
            symbol = missing === 0 && isCodePoint(codePoint) ? classOf(codePoint) : 0
            missing = 0
          }
          count++
          const entry = state < tableEnd ? table[state + symbol] : step(state, symbol)
          state = entry >> 1
          if ((entry & 1) === 0) continue
          let told: readonly number[] | undefined
          for (const index of wordsAt(state)) {
            const { symbols, leaves } = words[index]
            if (leaves === told) continue
            told = leaves
            for (const leaf of leaves) report(begins[(count - symbols.length) & mask], at + i - from + 1, leaf)
          }
        }
        at += to - from
      },
      finish() {
        state = 0
        missing = 0
      },
      get decided() {
        const open = depthOf(state)
        return open === 0 && missing === 0 ? at : begins[(count - open) & mask]
      },
    }
  }
}
