import { asciiOf } from '../views/fold.ts'
import { buildAutomaton } from './automaton.ts'
import { foldCase, isCodePoint } from './folded-literals.ts'
import { lettersOf, squeezed } from './letters.ts'
import type { Phrase } from './literals.ts'
import type { Matcher } from './match.ts'
import { recentBytes } from './recent-bytes.ts'

/** Shorter phrases would be found in what has nothing to do with them. */
export const LETTERS_MIN = 5
const REVERSED_LETTERS_MIN = 6
/** Words that are other words backwards: a rule about rewards is none about drawers. */
const BACKWARDS = new Set(
  'drawer reward diaper repaid denier reined redraw warder animal lamina deliver reviled stressed desserts dessert tressed redips spider sleeper repeels rewarder'.split(
    ' ',
  ),
)
/** Signs between two letters of one phrase, in bytes; more end it. */
const GAP_BYTES_MAX = 12
/** Letters that all phrases of a policy may have together here; those beyond are found as they are written only. */
export const SQUEEZED_LETTERS_MAX = 1 << 18

const MARK = /\p{M}/u
const isUnseen = (codePoint: number): boolean => asciiOf(codePoint) === ''

export interface Word {
  phrase: Phrase
  /** What of the phrase is between its first letter and its last. */
  written: string
  /** As it is compared where its case matters. */
  exactly: string
  letters: number[]
  /** By letter: whether something other than a letter stands before it in the phrase. */
  gaps: boolean[]
  isReversed: boolean
  /** Of a script whose words have edges. */
  hasEdges: boolean
}

/**
 * Finds phrases as an evader writes them: with letters that only look like theirs, with signs between the letters or others than its own, with what
 * nobody sees, and backwards. What stands there as the phrase is written is for others to find. Where more than its look-alikes differ, a phrase must
 * begin and end where words do.
 */
export function squeezedLiterals(words: readonly Word[]): Matcher | null {
  if (words.length === 0) return null
  const classes = new Map<number, number>()
  const symbols = words.map(({ letters }) =>
    letters.map((letter) => {
      const known = classes.get(letter) ?? classes.size + 1
      classes.set(letter, known)
      return known
    }),
  )
  const { table, tableEnd, step, depthOf, wordsAt } = buildAutomaton(symbols, classes.size + 1)
  const ascii = Uint16Array.from({ length: 128 }, (_, byte) => (/[0-9A-Za-z]/.test(String.fromCharCode(byte)) ? 1 + (classes.get(foldCase(byte)) ?? 0) : 0))
  const longest = words.reduce((most, { letters }) => Math.max(most, letters.length), 1)
  const mask = 2 ** Math.ceil(Math.log2(longest + 2)) - 1

  return (report) => {
    const recent = recentBytes((longest + 1) * (GAP_BYTES_MAX + 4))
    // Rings of the last letters: where each began, and whether something that is no letter stood before it.
    const begins: number[] = new Array(mask + 1).fill(0)
    const gaps: number[] = new Array(mask + 1).fill(1)
    let count = 0
    let lastEnd = 0 // of the last letter
    let state = 0
    let gap = 1
    let gapStart = 0
    let codePoint = 0
    let missing = 0
    let characterStart = 0
    let ended: Word[] | null = null // they ended with the last letter; whether a word ends there is not known yet

    /** Answers whether it stands there, plainly or not. */
    const judge = (word: Word, isEdge: boolean): boolean => {
      const size = word.letters.length
      const first = count - size
      const start = begins[first & mask]
      let isSpaced = true
      for (let i = 1; i < size && isSpaced; i++) isSpaced = (gaps[(first + i) & mask] === 1) === word.gaps[i]
      if ((!isSpaced || word.isReversed) && word.hasEdges && !(gaps[first & mask] === 1 && isEdge)) return false
      const written = recent.textOf(start, lastEnd)
      const { exact, leaves } = word.phrase
      if (isSpaced && !word.isReversed && (exact ? written === word.written : written.toLowerCase() === word.written.toLowerCase())) return true
      if (exact && caseOf(written) !== word.exactly) return false
      for (const leaf of leaves) report(start, lastEnd, leaf)
      return true
    }
    const decide = (isEdge: boolean): void => {
      let told: readonly number[] | undefined
      // Of one list the longest term says it: the shorter ones that end here lie within it.
      for (const word of ended ?? []) if (word.phrase.leaves !== told && judge(word, isEdge)) told = word.phrase.leaves
      ended = null
    }
    const separate = (position: number): void => {
      if (gap === 0) {
        if (ended) decide(true)
        gap = 1
        gapStart = position
      } else if (state !== 0 && position - gapStart >= GAP_BYTES_MAX) state = 0
    }
    const letter = (symbol: number, start: number, end: number): void => {
      if (ended !== null) decide(gap === 1)
      begins[count & mask] = start
      gaps[count & mask] = gap
      lastEnd = end
      gap = 0
      count++
      const entry = state < tableEnd ? table[state + symbol] : step(state, symbol)
      state = entry >> 1
      if ((entry & 1) === 0) return
      const found = wordsAt(state)
      if (found.length > 0) ended = found.map((index) => words[index])
    }
    const character = (start: number, end: number): void => {
      if (!isCodePoint(codePoint)) {
        separate(start)
        return
      }
      const letters = lettersOf(codePoint)
      if (letters.length > 0) for (const one of letters) letter(classes.get(one) ?? 0, start, end)
      else if (!isUnseen(codePoint)) separate(start)
      // A mark is part of the letter before it.
      else if (gap === 0 && lastEnd === start && MARK.test(String.fromCodePoint(codePoint))) lastEnd = end
    }
    return {
      feed(bytes, from, to) {
        recent.begin(bytes, from)
        const offset = recent.at - from
        for (let i = from; i < to; i++) {
          const byte = bytes[i]
          if (byte < 0x80) {
            const symbol = ascii[byte]
            missing = 0
            if (symbol === 0) separate(offset + i)
            else letter(symbol - 1, offset + i, offset + i + 1)
          } else if (byte >= 0xc0) {
            missing = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1
            codePoint = byte & (0x3f >> missing)
            characterStart = offset + i
          } else if (missing > 0) {
            codePoint = (codePoint << 6) | (byte & 0x3f)
            if (--missing === 0) character(characterStart, offset + i + 1)
          }
        }
        recent.end(to)
      },
      finish() {
        decide(true)
        state = 0
        missing = 0
        gap = 1
        recent.forget()
      },
      get decided() {
        const open = depthOf(state)
        let first = missing > 0 ? characterStart : recent.at
        if (open > 0) first = Math.min(first, begins[(count - open) & mask])
        for (const { letters } of ended ?? []) first = Math.min(first, begins[(count - letters.length) & mask])
        return first
      },
    }
  }
}

/** Letters alone, in their case, as they look. */
const caseOf = (text: string): string =>
  Array.from(
    text,
    (character) => asciiOf(character.codePointAt(0) ?? 0).replaceAll(/[^0-9A-Za-z]/g, '') || (/\p{L}|\p{N}/u.test(character) ? character : ''),
  ).join('')

/** How the phrases may be written: forward, and backward where that is no other word. */
export function wordsOf(phrases: readonly Phrase[]): Word[] {
  const words: Word[] = []
  let letters = 0
  for (const phrase of phrases) {
    const forward = squeezed(phrase.text)
    if (forward.length < LETTERS_MIN || (letters += forward.length * 2) > SQUEEZED_LETTERS_MAX) continue
    const gaps: boolean[] = []
    let gap = true
    for (const character of phrase.text) {
      const own = lettersOf(character.codePointAt(0) ?? 0)
      if (own.length === 0) gap = !isUnseen(character.codePointAt(0) ?? 0) || gap
      for (let i = 0; i < own.length; i++) {
        gaps.push(gap)
        gap = false
      }
    }
    const hasEdges = forward.every((one) => one < 0x80)
    const written = phrase.text.slice(phrase.text.search(/[\p{L}\p{N}]/u)).replace(/[^\p{L}\p{N}]+$/u, '')
    const word = { phrase, written, exactly: caseOf(phrase.text), letters: forward, gaps, isReversed: false, hasEdges }
    words.push(word)
    const backward = forward.toReversed()
    const isOther = backward.some((one, i) => one !== forward[i]) && !BACKWARDS.has(String.fromCodePoint(...forward))
    if (forward.length >= REVERSED_LETTERS_MIN && isOther && !phrase.exact)
      words.push({ ...word, letters: backward, isReversed: true, gaps: [true, ...gaps.slice(1).toReversed()] })
  }
  return words
}
