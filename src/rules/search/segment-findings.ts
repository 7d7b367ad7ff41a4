import type { Reason } from '../../errors.ts'
import type { Matcher, Report, Watch } from '../matching/match.ts'
import type { LiteralPlace } from '../operators.ts'
import { isInPlaceholder } from '../placeholder.ts'
import { isProtocolWord } from '../protocol-words.ts'
import { selects } from '../targets.ts'
import { type Allowance, FINDINGS_MAX, SPANS_PER_LEAF_MAX, tooMany } from './allowance.ts'
import { type Findings, type Fullness, findingsOf } from './findings.ts'
import { type Piece, slotAt, type TextLeaf } from './piece.ts'

/** What is found in a piece, as far as its leaves ask for it. Made once and used for one piece after the other; one that threw is not used again. */
export class SegmentFindings {
  readonly #leaves: readonly TextLeaf[]
  readonly #placeholders: ReadonlySet<string>
  readonly #beyond: Reason
  readonly #watches = new Map<Matcher, { watch: Watch; at: number }>()
  #piece: Piece = NO_PIECE
  #allowance: Allowance = NO_ALLOWANCE
  #fullness: Fullness = NO_FULLNESS
  #isBare = false
  #offset = 0 // of the watchers' positions, which count on from text to text
  #slot = 0 // where the last finding was; the next is mostly in the same
  #counted = 0 // before
  #cuts = 0
  #spans: number[] = []
  #kept: Map<number, number> | null = null
  #passed: Set<number> | undefined
  hurried = false

  constructor(leaves: readonly TextLeaf[], beyond: Reason) {
    this.#leaves = leaves
    this.#placeholders = new Set(leaves.map(({ placeholder }) => placeholder))
    this.#beyond = beyond
  }

  begin(piece: Piece, allowance: Allowance, fullness: Fullness): void {
    this.#piece = piece
    this.#allowance = allowance
    this.#fullness = fullness
    const { first, end } = piece.segment
    this.#isBare = first === end
    this.#slot = first
    this.#counted = allowance.counted
    this.#cuts = allowance.cuts
    this.hurried = false
  }

  end(): Findings {
    const { counted, cuts } = this.#allowance
    const passed = this.#passed
    const found = findingsOf({ counted: counted - this.#counted, cuts: cuts - this.#cuts, hurried: this.hurried, passed, spans: this.#spans })
    if (this.#spans.length > 0) this.#spans = []
    this.#kept = null
    this.#passed = undefined
    this.#piece = NO_PIECE
    this.#allowance = NO_ALLOWANCE
    this.#fullness = NO_FULLNESS
    return found
  }

  /** The watcher that reads the piece next, from its beginning to its end. */
  watch(matcher: Matcher): Watch {
    let known = this.#watches.get(matcher)
    if (known === undefined) this.#watches.set(matcher, (known = { watch: matcher(this.#told), at: 0 }))
    const { from, to } = this.#piece.segment
    this.#offset = from - known.at
    known.at += to - from
    return known.watch
  }

  readonly #told: Report = (start, end, leaf) => this.report(start + this.#offset, end + this.#offset, leaf)

  /** Told of every finding. Throws a Failure where there are too many. */
  report(start: number, end: number, leaf: number): void {
    const { cuts: isCut, operand } = this.#leaves[leaf]
    const allowance = this.#allowance
    // Of patterns that are only counted no more is looked for than is kept.
    if (isCut || this.#isBare || operand.kind !== 'pattern') allowance.counted++
    if (isCut) allowance.cuts++
    if (allowance.counted > allowance.findingsMax || allowance.cuts > FINDINGS_MAX) throw tooMany(this.#beyond)
    if (this.#isBare) {
      this.#keep(start, end, leaf)
      return
    }
    const { slots, segment } = this.#piece
    const slot = slots[this.#slot]
    if (slot.from > start || slot.to < start) this.#slot = slotAt(slots, start, segment.first, segment.end)
    // A phrase with a line break could also lie over the break between two texts, which no client wrote.
    if (end <= slots[this.#slot].to) this.#add(start, end, leaf)
  }

  isFull(leaf: number): boolean {
    return this.#fullness.isFull(leaf)
  }

  /** Whether enough was found of this leaf, which then is passed over. */
  passes(leaf: number): boolean {
    if (!this.isFull(leaf)) return false
    this.#passed ??= new Set()
    this.#passed.add(leaf)
    return true
  }

  #add(start: number, end: number, leaf: number): void {
    const { text, slots, lastMessage } = this.#piece
    const { cuts: isCut, operand } = this.#leaves[leaf]
    const where = slots[this.#slot]
    if (!selects(this.#leaves[leaf], where, lastMessage)) return
    if (operand.kind === 'literal' && !isAt(operand.at, where.from, where.to, start, end)) return
    if (where.role === 'protocol' && isProtocolWord(text, where.from, where.to)) return
    if (isCut) {
      if (!isInPlaceholder(text, start, end, this.#placeholders)) this.#keep(start, end, leaf)
      return
    }
    if (this.passes(leaf)) return
    this.#kept ??= new Map()
    const count = this.#kept.get(leaf) ?? 0
    if (count >= SPANS_PER_LEAF_MAX) return
    this.#kept.set(leaf, count + 1)
    this.#keep(start, end, leaf)
  }

  #keep(start: number, end: number, leaf: number): void {
    const { from } = this.#piece.segment
    this.#spans.push(start - from, end - from, leaf)
  }
}

const NO_PIECE: Piece = { text: Buffer.alloc(0), slots: [], lastMessage: null, segment: { first: 0, end: 0, from: 0, to: 0, closed: false } }
const NO_ALLOWANCE: Allowance = { findingsMax: 0, counted: 0, cuts: 0, edgesMs: 0, stepMsMax: 0 }
const NO_FULLNESS: Fullness = { isFull: () => false }

const isAt = (place: LiteralPlace, from: number, to: number, start: number, end: number): boolean =>
  place === 'anywhere' || ((place === 'end' || start === from) && (place === 'start' || end === to))
