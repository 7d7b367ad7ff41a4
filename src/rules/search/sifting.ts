import { type Sieve, SievePass } from '../matching/sieve.ts'
import { isProtocolWord } from '../protocol-words.ts'
import { characterAt } from '../views/joints.ts'
import { type Piece, SLICE_BYTES } from './piece.ts'

/** Finds the groups of phrases and patterns of which something may be in a piece. The format's own words, of which nothing is told, are left out. */
export class Sifting {
  groups = 0
  readonly #piece: Piece
  readonly #apart: Buffer
  readonly #pass: SievePass
  #slot: number
  #next: number

  constructor(sieve: Sieve, piece: Piece, apart: Buffer) {
    this.#piece = piece
    this.#apart = apart
    this.#pass = new SievePass(sieve)
    this.#slot = piece.segment.first
    this.#next = piece.segment.from
  }

  /** Reads a slice. Answers whether that was all. */
  step(): boolean {
    const { text, slots, segment } = this.#piece
    const { from, to, end } = segment
    let left = SLICE_BYTES
    for (; this.#slot < end; this.#slot++) {
      const slot = slots[this.#slot]
      if (slot.role !== 'protocol' || !isProtocolWord(text, slot.from, slot.to)) continue
      left = this.#read(slot.from - from, left)
      if (this.#next < slot.from) return false
      this.#next = slot.to
    }
    this.#read(to - from, left)
    if (this.#next < to) return false
    this.groups = this.#pass.end()
    return true
  }

  /** Reads on up to there, but no more than is left; answers what is left then. */
  #read(end: number, left: number): number {
    const { from } = this.#piece.segment
    const begin = this.#next - from
    const stop = end - begin <= left ? end : characterAt(this.#apart, begin + left)
    if (stop > begin) this.#pass.read(this.#apart, begin, stop)
    this.#next = Math.max(this.#next, from + stop)
    return stop < end ? 0 : left - (stop - begin)
  }
}
