/** Looks for everything a policy asks about in one segment: one matcher per kind, each text read once by each, whatever the number of rules. */
import type { TextSlot } from '../../call.ts'
import type { Reason } from '../../errors.ts'
import { type RuleBudget, threadMs } from '../budget.ts'
import { compileMatchers } from '../matching/compile-matcher.ts'
import type { Matcher } from '../matching/match.ts'
import { compilePatterns, EDGES_MS_MAX, type EdgeBudget, edgeBudget } from '../matching/patterns.ts'
import { Sieve } from '../matching/sieve.ts'
import { selects } from '../targets.ts'
import { meetsInCode } from '../views/code-free.ts'
import { LETTER } from '../views/fold.ts'
import { characterAt } from '../views/joints.ts'
import type { View } from '../views/view.ts'
import { viewsOf as everyView } from '../views/views.ts'
import { type Allowance, SPANS_PER_LEAF_MAX, TooSlow } from './allowance.ts'
import type { Findings, Fullness } from './findings.ts'
import { type Piece, SLICE_BYTES, type TextLeaf } from './piece.ts'
import { SegmentFindings } from './segment-findings.ts'
import { SEGMENT_BYTES, type Segment } from './segments.ts'
import { Sifting } from './sifting.ts'
import type { Steps } from './turns.ts'

/** How much is read in other ways without a break, and how much of it again with what follows, so that nothing hides where it was cut. */
const VIEWED_BYTES = 64 << 10
const VIEWED_AGAIN_BYTES = 4096

/** Of longer texts a few bytes tell how long a step would take. */
const PROBED_BYTES_MIN = 16 << 10
const PROBE_BYTES = 512
const PROBES = 4

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
/** Whoever collects findings is used again; more at once are those of long searches that take turns. */
const FREE_MAX = 4

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
  const free: SegmentFindings[] = [] // those in no use

  return { leaves, beyond, asksLast: leaves.some(({ last }) => last), search }

  function* search(piece: Piece, allowance: Allowance, fullness: Fullness): Steps<Findings> {
    const { text, slots, lastMessage, segment } = piece
    const { first, end: after, from, to } = segment
    const isBare = first === after
    const findings = free.pop() ?? new SegmentFindings(leaves, beyond)
    findings.begin(piece, allowance, fullness)
    const apart = textsApart(piece)
    const sifting = new Sifting(sieve, piece, apart)
    while (!sifting.step()) yield
    const { groups } = sifting
    const matcher = (groups & PHRASES) === 0 ? matchers.unlessPhrases : matchers.all
    const isHasty = allowance.stepMsMax < Infinity && to - from > PROBED_BYTES_MIN
    if (isHasty && isSlow(text, segment, { matcher, groups, stepMsMax: allowance.stepMsMax })) throw new TooSlow()
    if (matcher) {
      const watch = findings.watch(matcher)
      for (let next = 0; next < apart.length; next += SLICE_BYTES) {
        if (next > 0) yield
        const begin = isHasty ? performance.now() : 0
        watch.feed(apart, next, Math.min(apart.length, next + SLICE_BYTES))
        if (isHasty && next + SLICE_BYTES < apart.length && performance.now() - begin > allowance.stepMsMax) throw new TooSlow()
      }
      watch.finish()
    }
    // Who looked for everything else saw whether there are codes, if it did not have to read it in pieces. Asked in any case: it keeps the text until then.
    const hasNone = matchers.notes.takeNoCodes(apart)
    if (patterns && !isBare) {
      const noCodes = hasNone && !meetsInCode(text, slots, first, after)
      if (to - from >= SEGMENT_BYTES) yield
      const matching = patterns.candidates(from === 0 && to === text.length ? text : text.subarray(from, to), groups)
      if (matching.length > 0) {
        const parts = isBare ? [segment] : first === 0 && after === slots.length ? slots : slots.slice(first, after)
        yield* match(matching, { findings, isBare, allowance }, (index, budget) => {
          const [{ role, last }] = sharing[index]
          const asked = isBare || (role === null && !last) ? parts : parts.filter((part) => selects({ role, last }, part as TextSlot, lastMessage))
          patterns.find(index, text, asked, budget, (start, end) => speak(findings, index, start, end))
        })
      }
      for (let at = noCodes ? to : from; at < to; at = at + VIEWED_BYTES + VIEWED_AGAIN_BYTES < to ? characterAt(text, at + VIEWED_BYTES) : to) {
        if (to - from > VIEWED_BYTES) yield
        for (const view of viewsOf(text, at, characterAt(text, Math.min(to, at + VIEWED_BYTES + VIEWED_AGAIN_BYTES)))) {
          yield
          yield* match(patterns.candidates(view.text, sieve.groupsIn(view.text)), { findings, isBare, allowance }, (index, budget) => {
            patterns.find(index, view.text, [{ from: 0, to: view.text.length }], budget, (start, end) => {
              const beneath = view.origin(start, end)
              speak(findings, index, beneath.start, beneath.end)
            })
          })
        }
      }
    }
    const found = findings.end()
    if (free.length < FREE_MAX) free.push(findings)
    return found
  }

  function speak(findings: SegmentFindings, index: number, start: number, end: number): void {
    for (const { leaf } of sharing[index]) findings.report(start, end, leaf)
  }

  function* match(
    candidates: readonly number[],
    { findings, isBare, allowance }: { findings: SegmentFindings; isBare: boolean; allowance: Allowance },
    find: (index: number, budget: EdgeBudget) => void,
  ): Steps<void> {
    for (const index of candidates) {
      const asked = sharing[index]
      const isCut = asked.some(({ leaf }) => leaves[leaf].cuts)
      if (!isCut && !isBare && asked.every(({ leaf }) => findings.isFull(leaf))) {
        for (const { leaf } of asked) findings.passes(leaf)
        continue
      }
      yield
      const begin = threadMs()
      const budget = edgeBudget(isCut || isBare ? Infinity : SPANS_PER_LEAF_MAX, Math.min(EDGES_MS_MAX - allowance.edgesMs, allowance.stepMsMax))
      find(index, budget)
      const took = threadMs() - begin
      if (took > allowance.stepMsMax) throw new TooSlow()
      allowance.edgesMs += took
      findings.hurried ||= budget.isOver
    }
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
