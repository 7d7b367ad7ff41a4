/**
 * Tells in one cheap pass what cannot be in a text, so that most texts are not searched for it at all. Of everything that is looked for, some letters are
 * known that stand there in any case, one after the other, whatever is between them: four of them tell nearly all texts that have it not.
 */
import { CLASS_BITS, CLASSES, classOf, classOfLetter, lettersOf, NO_LETTER, SEVERAL_LETTERS } from './letters.ts'

/** So many letters are looked at together. */
export const GRAM_LETTERS = 4
/** So many before them are compared where they stand near. */
export const MORE_LETTERS = 4

/** Four letters by their classes, the last in the lowest bits, without which nothing of some groups is in a text. */
export interface Gram {
  gram: number
  /** Classes of the letters before them, the nearest first; at most MORE_LETTERS. */
  before: readonly number[]
  /** Bits of the groups. */
  groups: number
}

const MASK = 2 ** (CLASS_BITS * GRAM_LETTERS) - 1
const CLASS_MASK = CLASSES - 1
/** Cells of the table for each gram: that many times fewer letters than there are meet one by chance. */
const CELLS_PER_GRAM = 128
const CELL_BITS_MIN = 10
const CELL_BITS_MAX = 16
/** Mixes the bits of a gram (Knuth, multiplicative hashing). */
const MIX = 0x9e3779b1
const REACH_BYTES = 48
/** So many with the same four letters are told apart by those before. Where a list of names has more, a text that repeats their ending would be compared with all. */
const SAME_MAX = 16

/** The classes of a gram's letters. */
export const classesOf = (gram: number): number[] =>
  Array.from({ length: GRAM_LETTERS }, (_, i) => (gram >>> (CLASS_BITS * (GRAM_LETTERS - 1 - i))) & CLASS_MASK)

export const gramOf = (classes: readonly number[]): number => classes.reduce((gram, one) => ((gram << CLASS_BITS) | one) & MASK, 0)

/** By byte: its class, 0 for what is no letter; BEYOND outside ASCII. */
const BEYOND = CLASSES
const steps = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte >= 0x80) return BEYOND
  const one = classOf(byte)
  return one === NO_LETTER ? 0 : one
})

export class Sieve {
  readonly grams = new Map<number, Gram[]>()
  readonly cells: Uint8Array
  readonly shift: number
  /** All of them, and those of which nothing is known: they may be in every text. */
  readonly groups: number
  readonly unknown: number

  constructor(grams: readonly Gram[], unknown = 0) {
    this.unknown = unknown
    const bits = Math.min(CELL_BITS_MAX, Math.max(CELL_BITS_MIN, Math.ceil(Math.log2(grams.length * CELLS_PER_GRAM + 1))))
    this.shift = 32 - bits
    this.cells = new Uint8Array(2 ** bits)
    let groups = unknown
    for (const gram of grams) {
      groups |= gram.groups
      this.cells[Math.imul(gram.gram, MIX) >>> this.shift] = 1
      const same = this.grams.get(gram.gram)
      if (same === undefined) this.grams.set(gram.gram, [gram])
      else if (same.length < SAME_MAX) same.push(gram)
      else same.splice(0, same.length, { gram: gram.gram, before: [], groups: same.reduce((bits, one) => bits | one.groups, gram.groups) })
    }
    this.groups = groups
  }

  /** The groups of which something may be in a text that is all there. It may name too many, never too few. */
  groupsIn(bytes: Buffer, from = 0, to = bytes.length): number {
    const pass = new SievePass(this)
    pass.read(bytes, from, to)
    return pass.end()
  }
}

/** One text, which may come in pieces that end where characters do. */
export class SievePass {
  readonly #sieve: Sieve
  #state = 0
  #seen: number

  constructor(sieve: Sieve) {
    this.#sieve = sieve
    this.#seen = sieve.unknown
  }

  read(bytes: Buffer, from: number, to: number): void {
    const table = steps
    const { cells, shift, groups } = this.#sieve
    let state = this.#state
    let i = from
    while (i < to) {
      // Most bytes lead to the next one and nothing else: that loop calls nothing.
      let step = 0
      while (i < to) {
        step = table[bytes[i++]]
        if (step === 0) continue
        if (step === BEYOND) break
        state = ((state << CLASS_BITS) | step) & MASK
        if (cells[Math.imul(state, MIX) >>> shift] !== 0) break
        step = 0
      }
      if (step === BEYOND) {
        const byte = bytes[i - 1]
        if (byte < 0xc0) continue
        // As the watchers read it: a character that breaks off is none.
        let missing = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1
        let codePoint = byte & (0x3f >> missing)
        for (; missing > 0 && i < to && bytes[i] >> 6 === 2; missing--) codePoint = (codePoint << 6) | (bytes[i++] & 0x3f)
        if (missing === 0) state = this.#character(state, codePoint)
      } else if (step !== 0) {
        this.#look(state, bytes, i - 1)
        if (this.#seen === groups) break
      }
    }
    this.#state = state
  }

  /** What is sought may end with the text. Answers like `groupsIn`. */
  end(): number {
    for (let i = 1; i < GRAM_LETTERS; i++) {
      this.#state = (this.#state << CLASS_BITS) & MASK
      this.#look(this.#state, EMPTY, 0)
    }
    return this.#seen
  }

  #character(before: number, codePoint: number): number {
    const one = classOf(codePoint)
    if (one === NO_LETTER) return before
    let state = before
    for (const letter of one === SEVERAL_LETTERS ? lettersOf(codePoint).map(classOfLetter) : [one]) {
      state = ((state << CLASS_BITS) | letter) & MASK
      this.#look(state, EMPTY, 0)
    }
    return state
  }

  #look(state: number, bytes: Buffer, at: number): void {
    const grams = this.#sieve.grams.get(state)
    if (grams === undefined) return
    for (const { before, groups } of grams) if ((this.#seen | groups) !== this.#seen && isBefore(before, bytes, at)) this.#seen |= groups
  }
}

const EMPTY = Buffer.alloc(0)

/** Whether these letters stand before the four that end at `at`. Where that is not plain to see, they may. */
function isBefore(classes: readonly number[], bytes: Buffer, at: number): boolean {
  let skip = GRAM_LETTERS
  let next = 0
  let i = at
  for (; i >= 0 && next < classes.length; i--) {
    if (i >= bytes.length || bytes[i] >= 0x80 || at - i >= REACH_BYTES) return true
    const step = steps[bytes[i]]
    if (step === 0 || skip-- > 0) continue
    if (step !== classes[next++]) return false
  }
  return next === classes.length
}
