/** Puts together what was found in the segments of a call. */
import type { ModelCall, Texts } from '../../call.ts'
import type { Reason } from '../../errors.ts'
import type { Span } from '../matching/match.ts'
import { LETTERS_MIN as SQUEEZED_LETTERS_MIN } from '../matching/squeezed-literals.ts'
import { isInPlaceholder } from '../placeholder.ts'
import { isProtocolWord } from '../protocol-words.ts'
import { selects } from '../targets.ts'
import type { Joints } from '../views/joints.ts'
import { FINDINGS_MAX, findingsMaxOf, SPANS_PER_LEAF_MAX, tooMany } from './allowance.ts'
import { countedIn, eachFinding, type Findings, type Fullness, spanCount } from './findings.ts'
import { slotAt, type TextLeaf } from './piece.ts'
import type { Steps } from './turns.ts'

/** By leaf: where it was found, within single texts; nowhere where it asks how much there is, and that much is there; undefined where it does not hold. */
export type Hits = (readonly Span[] | undefined)[]

/** Where the last message is asked for, its place must be known; without it there is none. */
export type SearchedTexts = Texts & { lastMessage?: ModelCall['lastMessage'] }

/** By the findings taken so far. */
export function createFullness(leaves: readonly TextLeaf[]): Fullness & { take(findings: Findings): void } {
  const counts = new Map<number, number>()
  return {
    isFull: (leaf) => !leaves[leaf].cuts && (counts.get(leaf) ?? 0) >= SPANS_PER_LEAF_MAX,
    take(findings) {
      eachFinding(findings, (_start, _end, leaf) => {
        counts.set(leaf, (counts.get(leaf) ?? 0) + 1)
      })
    },
  }
}

const COMPARED_MAX = 1000
/** What is kept without a break. */
const TAKEN_MAX = 1 << 14

export class Tally implements Fullness {
  /** Null where nothing at all was found. */
  hits: Hits | null = null
  readonly #leaves: readonly TextLeaf[]
  readonly #texts: SearchedTexts
  readonly #beyond: Reason
  #counted = 0
  #cuts = 0

  /** Beyond the bounds on findings it throws a Failure of the reason `beyond`. */
  constructor(leaves: readonly TextLeaf[], texts: SearchedTexts, beyond: Reason) {
    this.#leaves = leaves
    this.#texts = texts
    this.#beyond = beyond
  }

  isFull(leaf: number): boolean {
    return !this.#leaves[leaf].cuts && (this.hits?.[leaf]?.length ?? 0) >= SPANS_PER_LEAF_MAX
  }

  /** What was found in a segment that begins at `from`, in the order of the segments. */
  *take(findings: Findings, from: number): Steps<void> {
    const { counted, cuts } = countedIn(findings)
    this.#count(counted, cuts)
    const count = spanCount(findings)
    for (let first = 0; first < count; first += TAKEN_MAX) {
      if (first > 0) yield
      eachFinding(findings, (start, end, leaf) => this.#keep(start + from, end + from, leaf), first, Math.min(count, first + TAKEN_MAX))
    }
  }

  /** What detectors and phrases found where texts meet. What lies in one text alone was found there, and what grew out of it is no more than that. */
  takeJoints(findings: Findings, joints: Joints): void {
    const { text, slots, lastMessage = null } = this.#texts
    const placeholders = new Set(this.#leaves.map(({ placeholder }) => placeholder))
    eachFinding(findings, (start, end, leaf) => {
      const { cuts, operand } = this.#leaves[leaf]
      if (operand.kind === 'literal' && (operand.at !== 'anywhere' || countLetters(joints.text, start, end) < SQUEEZED_LETTERS_MIN)) return
      const pieces = joints.pieces(start, end)
      if (pieces.length < 2 || pieces.some((piece) => this.#overlaps(piece, leaf))) return
      const own = pieces.map((piece) => slots[slotAt(slots, piece.start)])
      if (!own.every((slot) => selects(this.#leaves[leaf], slot, lastMessage))) return
      if (own.some((slot) => slot.role === 'protocol' && isProtocolWord(text, slot.from, slot.to))) return
      this.#count(1, cuts ? 1 : 0)
      for (const piece of pieces) if (!cuts || !isInPlaceholder(text, piece.start, piece.end, placeholders)) this.#keep(piece.start, piece.end, leaf)
    })
  }

  /** Of very many findings it is not asked. */
  #overlaps({ start, end }: { start: number; end: number }, leaf: number): boolean {
    const spans = this.hits?.[leaf] ?? []
    return spans.length <= COMPARED_MAX && spans.some((span) => span.start < end && span.end > start)
  }

  /** It holds, and stands nowhere. */
  holds(leaf: number): void {
    this.hits ??= new Array(this.#leaves.length)
    this.hits[leaf] = []
  }

  #keep(start: number, end: number, leaf: number): void {
    if (this.isFull(leaf)) return
    this.hits ??= new Array(this.#leaves.length)
    const spans = (this.hits[leaf] ??= []) as Span[]
    spans.push({ start, end, leaf })
    const { cuts, operand } = this.#leaves[leaf]
    if (operand.kind === 'pattern' && !cuts) this.#count(1, 0)
  }

  #count(more: number, moreCuts: number): void {
    this.#counted += more
    this.#cuts += moreCuts
    if (this.#counted > findingsMaxOf(this.#texts.text.length) || this.#cuts > FINDINGS_MAX) throw tooMany(this.#beyond)
  }
}

const countLetters = (text: Buffer, start: number, end: number): number => text.toString('utf8', start, end).match(/[\p{L}\p{N}]/gu)?.length ?? 0
