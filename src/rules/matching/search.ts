/** Looks for everything a policy asks about in a text: one matcher per kind, each text read once by each, whatever the number of rules. */
import type { ModelCall, TextSlot, Texts } from '../../call.ts'
import { Failure, type Reason } from '../../errors.ts'
import type { RuleBudget } from '../budget.ts'
import { lengthsOf } from '../counts.ts'
import type { LiteralPlace } from '../operators.ts'
import { isInPlaceholder } from '../placeholder.ts'
import { isProtocolWord } from '../protocol-words.ts'
import { type Selection, selects } from '../targets.ts'
import { compileMatcher, type TextOperand } from './compile-matcher.ts'
import type { Span } from './match.ts'
import { compilePatterns, edgeBudget } from './patterns.ts'

/** One question about texts. */
export interface TextLeaf extends Selection {
  operand: TextOperand
  /** The findings will be cut, so every one is needed. */
  cuts: boolean
  /** What then stands in their place. */
  placeholder: string
}

/**
 * All findings of one search together: where many rules ask for what ends in the same place, one text could otherwise hold everybody else up. Of those
 * that are only counted a large text may have more.
 */
export const FINDINGS_MAX = 1 << 20
const FINDINGS_PER_BYTE_MAX = 4
/** How many findings of one leaf are kept where they only have to be counted. */
export const SPANS_PER_LEAF_MAX = 1000

/** By leaf: where it was found, within single texts; nowhere where it asks how much there is, and that much is there; undefined where it does not hold. */
export type Hits = (readonly Span[] | undefined)[]

/** Where the last message is asked for, its place must be known; without it there is none. */
export type SearchedTexts = Texts & { lastMessage?: ModelCall['lastMessage'] }

/**
 * Compiled once; the search is pure and synchronous, and answers null where nothing at all was found. Throws a RuleError beyond the budget. The search
 * throws a Failure of the reason `beyond` for a text with more findings than that.
 */
export function compileSearch(leaves: readonly TextLeaf[], compiling: RuleBudget, beyond: Reason = 'too_large'): (texts: SearchedTexts) => Hits | null {
  const matcher = compileMatcher(leaves)
  const patternLeaves = leaves.flatMap(({ operand, role, last }, leaf) => (operand.kind === 'pattern' ? [{ operand, role, last, leaf }] : []))
  // A pattern that many rules look for in the same texts is looked for once.
  const sharing = [...Map.groupBy(patternLeaves, ({ operand: { source, exact }, role, last }) => `${exact} ${role} ${last} ${source}`).values()]
  const patterns =
    sharing.length > 0
      ? compilePatterns(
          sharing.map(([{ operand }]) => operand),
          compiling,
        )
      : null

  const placeholders = new Set(leaves.map(({ placeholder }) => placeholder))
  const numbers = leaves.flatMap(({ operand, role, last }, leaf) => (operand.kind === 'number' ? [{ operand, role, last, leaf }] : []))
  const lengths = [...Map.groupBy(numbers, ({ role, last }) => `${role} ${last}`).values()]

  return (texts) => {
    const { slots, text, lastMessage = null } = texts
    let hits: Span[][] | undefined
    let slot = 0 // where the last finding was; the next is mostly in the same
    const add = (start: number, end: number, leaf: number): void => {
      const { cuts, operand } = leaves[leaf]
      const where = slots[slot]
      if (!selects(leaves[leaf], where, lastMessage)) return
      if (operand.kind === 'literal' && !isAt(operand.at, where, start, end)) return
      if (where.role === 'protocol' && isProtocolWord(text, where.from, where.to)) return
      hits ??= new Array(leaves.length)
      const spans = (hits[leaf] ??= [])
      if (cuts ? !isInPlaceholder(text, start, end, placeholders) : spans.length < SPANS_PER_LEAF_MAX) spans.push({ start, end, leaf })
      if (spans.length === 0) delete hits[leaf]
    }
    const most = Math.max(FINDINGS_MAX, FINDINGS_PER_BYTE_MAX * text.length)
    let findings = 0
    let cut = 0
    const report = (start: number, end: number, leaf: number): void => {
      if (++findings > most || (leaves[leaf].cuts && ++cut > FINDINGS_MAX)) throw new Failure(beyond, new Error(`More than ${FINDINGS_MAX} findings.`))
      if (slots[slot].from > start || slots[slot].to < start) slot = slotAt(slots, start)
      // A phrase with a line break could also lie over the break between two texts, which no client wrote.
      if (end <= slots[slot].to) add(start, end, leaf)
    }
    if (matcher) {
      const watch = matcher(report)
      watch.feed(text, 0, text.length)
      watch.finish()
    }
    const candidates = patterns?.candidates(text)
    if (patterns && candidates && candidates.length > 0) {
      const budget = edgeBudget(0)
      for (const index of candidates) {
        const asked = sharing[index]
        budget.spansLeft = asked.some(({ leaf }) => leaves[leaf].cuts) ? Infinity : SPANS_PER_LEAF_MAX
        const [{ role, last }] = asked
        const parts = role === null && !last ? slots : slots.filter((part) => selects({ role, last }, part, lastMessage))
        patterns.find(index, text, parts, budget, (start, end) => {
          for (const { leaf } of asked) report(start, end, leaf)
        })
      }
    }
    for (const asked of lengths) {
      const holds = lengthsOf(texts, asked[0])
      for (const { operand, leaf } of asked) {
        if (!holds(operand)) continue
        hits ??= new Array(leaves.length)
        hits[leaf] = []
      }
    }
    return hits ?? null
  }
}

const isAt = (place: LiteralPlace, { from, to }: TextSlot, start: number, end: number): boolean =>
  place === 'anywhere' || ((place === 'end' || start === from) && (place === 'start' || end === to))

/** The slot that holds this position: the last that begins at or before it and is not empty. */
export function slotAt(slots: readonly TextSlot[], position: number): number {
  let low = 0
  let high = slots.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (slots[middle].from <= position) low = middle
    else high = middle - 1
  }
  return low
}
