/** Looks for everything a policy asks about in one segment: one matcher per kind, each text read once by each, whatever the number of rules. */
import type { ModelCall, TextSlot } from '../../call.ts'
import type { Reason } from '../../errors.ts'
import { type RuleBudget, threadMs } from '../budget.ts'
import { compileMatchers, type TextOperand } from '../matching/compile-matcher.ts'
import type { Matcher } from '../matching/match.ts'
import { compilePatterns, EDGES_MS_MAX, type EdgeBudget, edgeBudget } from '../matching/patterns.ts'
import { Sieve, SievePass } from '../matching/sieve.ts'
import type { LiteralPlace } from '../operators.ts'
import { isInPlaceholder } from '../placeholder.ts'
import { isProtocolWord } from '../protocol-words.ts'
import { type Selection, selects } from '../targets.ts'
import { meetsInCode } from '../views/code-free.ts'
import { LETTER } from '../views/fold.ts'
import { characterAt } from '../views/joints.ts'
import type { View } from '../views/view.ts'
import { viewsOf as everyView } from '../views/views.ts'
import { type Allowance, FINDINGS_MAX, SPANS_PER_LEAF_MAX, TooSlow, tooMany } from './allowance.ts'
import { type Findings, type Fullness, findingsOf } from './findings.ts'
import { SEGMENT_BYTES, type Segment } from './segments.ts'
import type { Steps } from './turns.ts'

/** One question about texts. */
export interface TextLeaf extends Selection {
  operand: TextOperand
  /** The findings will be cut, so every one is needed. */
  cuts: boolean
  /** What then stands in their place. */
  placeholder: string
}

/** What the matcher reads without a break. */
const SLICE_BYTES = 64 << 10

/** How much is read in other ways without a break, and how much of it again with what follows, so that nothing hides where it was cut. */
const VIEWED_BYTES = 64 << 10
const VIEWED_AGAIN_BYTES = 4096

/** Of longer texts a few bytes tell how long a step would take. */
const PROBED_BYTES_MIN = 16 << 10
const PROBE_BYTES = 512
const PROBES = 4

/** What is searched: a segment of some texts, or a text that stands for others and has no slots of its own, in which everything found is told. */
export interface Piece {
  text: Buffer
  slots: readonly TextSlot[]
  /** Where there is none, nothing is asked of it. */
  lastMessage: ModelCall['lastMessage']
  segment: Segment
}

export interface SegmentSearch {
  leaves: readonly TextLeaf[]
  /** Of which reason the Failure is that is thrown for more findings than a call may have. */
  beyond: Reason
  /** Whether a question is about the last message, so that what is found depends on which that is. */
  asksLast: boolean
  /**
   * Throws a Failure where there are too many findings, and TooSlow. The result depends on the bytes of the segment, its
   * slots and their roles, which of them belong to the last message, and nothing else, unless it was hurried.
   */
  search(piece: Piece, allowance: Allowance, fullness: Fullness): Steps<Findings>
}

/** The views of a text in which patterns are looked for too. Positions they name are those of the whole text. */
export type ViewsOf = (text: Buffer, from: number, to: number) => readonly View[]
const NONE: readonly never[] = []

/** The group of phrases in the sieve, and the lowest bit of the groups of patterns. */
const PHRASES = 1
const FIRST_PATTERN_BIT = 1

/** Throws a RuleError beyond the budget. */
export function compileSegmentSearch(leaves: readonly TextLeaf[], compiling: RuleBudget, beyond: Reason, viewsOf: ViewsOf = everyView): SegmentSearch {
  const matchers = compileMatchers(leaves, 'whole', PHRASES)
  const patternLeaves = leaves.flatMap(({ operand, role, last }, leaf) => (operand.kind === 'pattern' ? [{ operand, role, last, leaf }] : []))
  // A pattern that many rules look for in the same texts is looked for once.
  const sharing = [...Map.groupBy(patternLeaves, ({ operand: { source, exact }, role, last }) => `${exact} ${role} ${last} ${source}`).values()]
  const patterns =
    sharing.length > 0
      ? compilePatterns(
          sharing.map(([{ operand }]) => operand),
          compiling,
          FIRST_PATTERN_BIT,
        )
      : null
  const sieve = new Sieve(
    [...(matchers.grams ?? NONE), ...(patterns?.needs.grams ?? NONE)],
    (patterns?.needs.unknown ?? 0) | (matchers.grams === null ? PHRASES : 0),
  )
  const placeholders = new Set(leaves.map(({ placeholder }) => placeholder))

  return { leaves, beyond, asksLast: leaves.some(({ last }) => last), search }

  function* search(piece: Piece, allowance: Allowance, fullness: Fullness): Steps<Findings> {
    const { text, slots, lastMessage, segment } = piece
    const { first, end: after, from, to } = segment
    const isBare = first === after
    let spans: number[] | undefined
    let kept: Map<number, number> | undefined
    let passed: Set<number> | undefined
    const { counted, cuts } = allowance // before
    let hurried = false
    let slot = first // where the last finding was; the next is mostly in the same

    const keep = (start: number, end: number, leaf: number): void => {
      spans ??= []
      spans.push(start - from, end - from, leaf)
    }
    const add = (start: number, end: number, leaf: number): void => {
      const { cuts: isCut, operand } = leaves[leaf]
      const where = slots[slot]
      if (!selects(leaves[leaf], where, lastMessage)) return
      if (operand.kind === 'literal' && !isAt(operand.at, where, start, end)) return
      if (where.role === 'protocol' && isProtocolWord(text, where.from, where.to)) return
      if (isCut) {
        if (!isInPlaceholder(text, start, end, placeholders)) keep(start, end, leaf)
        return
      }
      if (fullness.isFull(leaf)) {
        passed ??= new Set()
        passed.add(leaf)
        return
      }
      kept ??= new Map()
      const count = kept.get(leaf) ?? 0
      if (count >= SPANS_PER_LEAF_MAX) return
      kept.set(leaf, count + 1)
      keep(start, end, leaf)
    }
    const report = (start: number, end: number, leaf: number): void => {
      const { cuts: isCut, operand } = leaves[leaf]
      // Of patterns that are only counted no more is looked for than is kept.
      if (isCut || isBare || operand.kind !== 'pattern') allowance.counted++
      if (isCut) allowance.cuts++
      if (allowance.counted > allowance.findingsMax || allowance.cuts > FINDINGS_MAX) throw tooMany(beyond)
      if (isBare) {
        keep(start, end, leaf)
        return
      }
      if (slots[slot].from > start || slots[slot].to < start) slot = slotAt(slots, start, first, after)
      // A phrase with a line break could also lie over the break between two texts, which no client wrote.
      if (end <= slots[slot].to) add(start, end, leaf)
    }

    const apart = textsApart(piece)
    const groups = yield* sift(piece, apart)
    const matcher = (groups & PHRASES) === 0 ? matchers.unlessPhrases : matchers.all
    const isHasty = allowance.stepMsMax < Infinity && to - from > PROBED_BYTES_MIN
    if (isHasty && isSlow(text, segment, { matcher, groups, stepMsMax: allowance.stepMsMax })) throw new TooSlow()
    if (matcher) {
      const watch = matcher(from === 0 ? report : (start, end, leaf) => report(start + from, end + from, leaf))
      for (let next = 0; next < apart.length; next += SLICE_BYTES) {
        if (next > 0) yield
        const begin = isHasty ? performance.now() : 0
        watch.feed(apart, next, Math.min(apart.length, next + SLICE_BYTES))
        if (isHasty && next + SLICE_BYTES < apart.length && performance.now() - begin > allowance.stepMsMax) throw new TooSlow()
      }
      watch.finish()
    }
    if (patterns && !isBare) {
      // Who looked for everything else saw whether there are codes, if it did not have to read it in pieces.
      const noCodes = matchers.notes.takeNoCodes(apart) && !meetsInCode(text, slots, first, after)
      if (to - from >= SEGMENT_BYTES) yield
      const matching = patterns.candidates(from === 0 && to === text.length ? text : text.subarray(from, to), groups)
      if (matching.length > 0) {
        const parts = isBare ? [segment] : first === 0 && after === slots.length ? slots : slots.slice(first, after)
        yield* match(matching, (index, budget) => {
          const [{ role, last }] = sharing[index]
          const asked = isBare || (role === null && !last) ? parts : parts.filter((part) => selects({ role, last }, part as TextSlot, lastMessage))
          patterns.find(index, text, asked, budget, (start, end) => speak(index, start, end))
        })
      }
      for (let at = noCodes ? to : from; at < to; at = at + VIEWED_BYTES + VIEWED_AGAIN_BYTES < to ? characterAt(text, at + VIEWED_BYTES) : to) {
        if (to - from > VIEWED_BYTES) yield
        for (const view of viewsOf(text, at, characterAt(text, Math.min(to, at + VIEWED_BYTES + VIEWED_AGAIN_BYTES)))) {
          yield
          yield* match(patterns.candidates(view.text, sieve.groupsIn(view.text)), (index, budget) => {
            patterns.find(index, view.text, [{ from: 0, to: view.text.length }], budget, (start, end) => {
              const beneath = view.origin(start, end)
              speak(index, beneath.start, beneath.end)
            })
          })
        }
      }
    }
    return findingsOf({ counted: allowance.counted - counted, cuts: allowance.cuts - cuts, hurried, passed, spans: spans ?? NONE })

    function speak(index: number, start: number, end: number): void {
      for (const { leaf } of sharing[index]) report(start, end, leaf)
    }

    function* match(candidates: readonly number[], find: (index: number, budget: EdgeBudget) => void): Steps<void> {
      for (const index of candidates) {
        const asked = sharing[index]
        const isCut = asked.some(({ leaf }) => leaves[leaf].cuts)
        if (!isCut && !isBare && asked.every(({ leaf }) => fullness.isFull(leaf))) {
          passed ??= new Set()
          for (const { leaf } of asked) passed.add(leaf)
          continue
        }
        yield
        const begin = threadMs()
        const budget = edgeBudget(isCut || isBare ? Infinity : SPANS_PER_LEAF_MAX, Math.min(EDGES_MS_MAX - allowance.edgesMs, allowance.stepMsMax))
        find(index, budget)
        const took = threadMs() - begin
        if (took > allowance.stepMsMax) throw new TooSlow()
        allowance.edgesMs += took
        hurried ||= budget.isOver
      }
    }
  }

  /** The groups of phrases and patterns of which something may be in a piece. The format's own words, of which nothing is told, are left out. */
  function* sift({ text, slots, segment: { first, end: after, from, to } }: Piece, apart: Buffer): Steps<number> {
    const pass = new SievePass(sieve)
    let next = from
    let readBytes = 0
    for (let i = first; i <= after; i++) {
      const isEnd = i === after
      if (!isEnd && !(slots[i].role === 'protocol' && isProtocolWord(text, slots[i].from, slots[i].to))) continue
      const end = isEnd ? to : slots[i].from
      while (next < end) {
        const stop = Math.min(end, from + characterAt(apart, next - from + SLICE_BYTES))
        readBytes += stop - next
        if (readBytes > SLICE_BYTES) {
          readBytes = stop - next
          yield
        }
        pass.read(apart, next - from, stop - from)
        next = stop
      }
      if (!isEnd) next = slots[i].to
    }
    return pass.end()
  }

  /**
   * Whether a step would take longer. The places are drawn, so that nobody can put there what is quick and beside it what is not; and one probe that was
   * interrupted, or met nothing, says little.
   */
  function isSlow(
    text: Buffer,
    { from, to }: Segment,
    { matcher, groups, stepMsMax }: { matcher: Matcher | null; groups: number; stepMsMax: number },
  ): boolean {
    const times = Array.from({ length: PROBES }, () => {
      const at = from + Math.floor(Math.random() * (to - from - PROBE_BYTES))
      const begin = performance.now()
      const watch = matcher?.(() => {})
      watch?.feed(text, at, at + PROBE_BYTES)
      watch?.finish()
      const read = performance.now()
      patterns?.candidates(text.subarray(at, at + PROBE_BYTES), groups)
      // Which patterns match at all is found in one step, however long the text is.
      return Math.max(((read - begin) * Math.min(to - from, SLICE_BYTES)) / PROBE_BYTES, ((performance.now() - read) * (to - from)) / PROBE_BYTES)
    })
    return times.sort((a, b) => a - b)[PROBES >> 1] > stepMsMax
  }
}

/** The segment's bytes with something between its texts that is part of nothing, so that what goes over line breaks stops there. */
function textsApart({ text, slots, segment: { first, end, from, to } }: Piece): Buffer {
  const bytes = text.subarray(from, to)
  if (end - first < 2) return bytes
  const apart = Buffer.allocUnsafe(bytes.length)
  bytes.copy(apart)
  for (let i = first + 1; i < end; i++) apart[slots[i].from - 1 - from] = LETTER
  return apart
}

const isAt = (place: LiteralPlace, { from, to }: TextSlot, start: number, end: number): boolean =>
  place === 'anywhere' || ((place === 'end' || start === from) && (place === 'start' || end === to))

/** The slot that holds this position: the last that begins at or before it and is not empty. Among all slots, or those from `first` to before `after`. */
export function slotAt(slots: readonly TextSlot[], position: number, first = 0, after = slots.length): number {
  let low = first
  let high = after - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (slots[middle].from <= position) low = middle
    else high = middle - 1
  }
  return low
}
