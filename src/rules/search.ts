/** Looks for everything a policy asks about in a text: one matcher per kind, each text read once by each, whatever the number of rules. */
import type { Role, TextSlot, Texts } from '../call.ts'
import type { RuleBudget } from './budget.ts'
import { detectorNamed } from './detectors.ts'
import { foldedLiterals, needsFolding } from './folded-literals.ts'
import { literals, type Phrase } from './literals.ts'
import { type Matcher, type Span, together } from './match.ts'
import type { Operand } from './operators.ts'
import { compilePatterns, edgeBudget } from './patterns.ts'
import { isInPlaceholder } from './placeholder.ts'
import { isProtocolWord } from './protocol-words.ts'
import { RuleError } from './rule-error.ts'

/** One question about texts. A leaf that names several detectors is several of these, because each has its own placeholder. */
export interface TextLeaf {
  operand: Exclude<Operand, { kind: 'detector' }> | { kind: 'detector'; name: string }
  /** Which texts are meant; null is all. */
  role: Role | null
  /** The findings will be cut, so every one is needed. */
  cuts: boolean
}

/** How many findings of one leaf are kept where they only have to be counted. */
export const SPANS_PER_LEAF_MAX = 1000

/** By leaf: where it was found, in order and within single texts; undefined where it was not. */
export type Hits = (readonly Span[] | undefined)[]

/** The watcher for phrases and detectors, which can also read a text that arrives in pieces. Null where there is nothing to look for. */
export function compileMatcher(leaves: readonly { operand: TextLeaf['operand'] }[]): Matcher | null {
  const bytes: Phrase[] = []
  const letters: Phrase[] = []
  const byDetector = new Map<string, number[]>()
  leaves.forEach(({ operand }, leaf) => {
    if (operand.kind === 'literal') (!operand.exact && needsFolding(operand.text) ? letters : bytes).push({ text: operand.text, exact: operand.exact, leaf })
    else if (operand.kind === 'detector') byDetector.set(operand.name, [...(byDetector.get(operand.name) ?? []), leaf])
  })
  return together([
    ...(bytes.length > 0 ? [literals(bytes)] : []),
    ...(letters.length > 0 ? [foldedLiterals(letters)] : []),
    ...[...byDetector].map(([name, asked]): Matcher => {
      const detector = detectorNamed(name)
      if (!detector) throw new RuleError('config', 'condition', `There is no detector "${name}".`)
      const watch = detector.build(asked[0])
      if (asked.length === 1) return watch
      return (report) =>
        watch((start, end) => {
          for (const leaf of asked) report(start, end, leaf)
        })
    }),
  ])
}

/** Compiled once; the search is pure and synchronous, and answers null where nothing at all was found. Throws a RuleError beyond the budget. */
export function compileSearch(leaves: readonly TextLeaf[], compiling: RuleBudget): (texts: Texts) => Hits | null {
  const matcher = compileMatcher(leaves)
  const patternLeaves = leaves.flatMap(({ operand }, leaf) => (operand.kind === 'pattern' ? [{ operand, leaf }] : []))
  const patterns =
    patternLeaves.length > 0
      ? compilePatterns(
          patternLeaves.map(({ operand }) => operand),
          compiling,
        )
      : null

  return ({ slots, text }) => {
    let hits: Span[][] | undefined
    let slot = 0 // where the last finding was; the next is mostly in the same
    const add = (start: number, end: number, leaf: number): void => {
      const { cuts, role, operand } = leaves[leaf]
      const where = slots[slot]
      if (role !== null && where.role !== role) return
      if (operand.kind === 'literal' && operand.whole && (where.from !== start || where.to !== end)) return
      if (where.role === 'protocol' && isProtocolWord(text, where.from, where.to)) return
      hits ??= new Array(leaves.length)
      const spans = (hits[leaf] ??= [])
      if (cuts ? !isInPlaceholder(text, start, end) : spans.length < SPANS_PER_LEAF_MAX) spans.push({ start, end, leaf })
      if (spans.length === 0) delete hits[leaf]
    }
    if (matcher) {
      const watch = matcher((start, end, leaf) => {
        if (slots[slot].from > start || slots[slot].to < start) slot = slotAt(slots, start)
        // A phrase with a line break could also lie over the break between two texts, which no client wrote.
        if (end <= slots[slot].to) add(start, end, leaf)
      })
      watch.feed(text, 0, text.length)
      watch.finish()
    }
    const candidates = patterns?.candidates(text)
    if (patterns && candidates && candidates.length > 0) {
      const budget = edgeBudget(0)
      for (const index of candidates) {
        const { leaf } = patternLeaves[index]
        const { role, cuts } = leaves[leaf]
        budget.spansLeft = cuts ? Infinity : SPANS_PER_LEAF_MAX
        for (slot = 0; slot < slots.length; slot++) {
          if (role === null || slots[slot].role === role) patterns.find(index, text, slots[slot], budget, (start, end) => add(start, end, leaf))
        }
        slot = 0
      }
    }
    return hits ?? null
  }
}

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
