/** Looks for everything a policy asks about in texts, segment by segment. */
import type { Texts } from '../../call.ts'
import type { Reason } from '../../errors.ts'
import type { RuleBudget } from '../budget.ts'
import { lengthsOf } from '../counts.ts'
import { jointsOf as everyJoint, type Joints } from '../views/joints.ts'
import { allowanceFor } from './allowance.ts'
import { type Findings, NOTHING } from './findings.ts'
import type { Piece, TextLeaf } from './piece.ts'
import { compileSegmentSearch, type SegmentSearch, type ViewsOf } from './search-segment.ts'
import { type Segment, segmentsOf } from './segments.ts'
import { type Hits, type SearchedTexts, Tally } from './tally.ts'
import { atOnce, type Steps } from './turns.ts'

export { FINDINGS_MAX, SPANS_PER_LEAF_MAX } from './allowance.ts'
export { slotAt, type TextLeaf } from './piece.ts'
export type { Hits, SearchedTexts } from './tally.ts'

/** Null where no text follows another. */
export type JointsOf = (texts: Texts) => Joints | null

/** Where texts meet matters to phrases anywhere, to detectors where they meet in something unusual, and to nothing else. */
function jointsFor(leaves: readonly TextLeaf[]): JointsOf {
  const phrases = leaves.some(({ operand }) => operand.kind === 'literal' && operand.at === 'anywhere' && !operand.absent)
  if (!phrases && !leaves.some(({ operand }) => operand.kind === 'detector')) return () => null
  return (texts) => everyJoint(texts, phrases)
}

/** What is known of some texts before they are searched. */
export interface Known {
  segments: readonly Segment[]
  /** By segment; undefined where it must be searched. */
  findings: readonly (Findings | undefined)[]
  joints: { joints: Joints; findings: Findings | undefined } | null
  /** Is told what had to be searched. */
  learn(segment: number, findings: Findings): void
  /** What one step may take; see Allowance. */
  stepMsMax: number
}

/** Compiled once; pure. The search at once answers null where nothing at all was found. */
export interface Search {
  (texts: SearchedTexts): Hits | null
  /** The same in steps. */
  steps(texts: SearchedTexts, known?: Known): Steps<Hits | null>
  joints: JointsOf
  segment: SegmentSearch
}

/** Throws a RuleError beyond the budget. The search throws a Failure of the reason `beyond` for a text with more findings than it may have. */
export function compileSearch(
  leaves: readonly TextLeaf[],
  compiling: RuleBudget,
  beyond: Reason = 'too_large',
  { viewsOf, jointsOf = jointsFor(leaves) }: { viewsOf?: ViewsOf; jointsOf?: JointsOf } = {},
): Search {
  const segment = compileSegmentSearch(leaves, compiling, beyond, viewsOf)
  const numbers = leaves.flatMap(({ operand, role, last }, leaf) => (operand.kind === 'number' ? [{ operand, role, last, leaf }] : []))
  const lengths = [...Map.groupBy(numbers, ({ role, last }) => `${role} ${last}`).values()]
  return Object.assign((texts: SearchedTexts): Hits | null => atOnce(steps(texts)), { steps, segment, joints: jointsOf })

  function* steps(texts: SearchedTexts, known?: Known): Steps<Hits | null> {
    const { text } = texts
    const segments = known?.segments ?? segmentsOf(texts)
    const allowance = allowanceFor(text.length, known?.stepMsMax)
    const tally = new Tally(leaves, texts, beyond)
    for (let i = 0; i < segments.length; i++) {
      let findings = known?.findings[i]
      if (findings === undefined) {
        if (i > 0) yield
        findings = yield* segment.search(pieceOf(texts, segments[i]), allowance, tally)
        known?.learn(i, findings)
      }
      if (findings !== NOTHING) yield* tally.take(findings, segments[i].from)
    }
    const joints = known ? known.joints : jointsIn(texts, jointsOf)
    if (joints) tally.takeJoints(joints.findings ?? (yield* segment.search(pieceOfJoints(joints.joints), allowance, tally)), joints.joints)
    for (const asked of lengths) {
      yield
      const holds = lengthsOf(texts, asked[0])
      for (const { operand, leaf } of asked) if (holds(operand)) tally.holds(leaf)
    }
    return tally.hits
  }
}

export function jointsIn(texts: Texts, jointsOf: JointsOf): Known['joints'] {
  const joints = jointsOf(texts)
  return joints && { joints, findings: undefined }
}

export const pieceOf = ({ text, slots, lastMessage = null }: SearchedTexts, segment: Segment): Piece => ({ text, slots, lastMessage, segment })

export const pieceOfJoints = ({ text }: Joints): Piece => ({
  text,
  slots: [],
  lastMessage: null,
  segment: { first: 0, end: 0, from: 0, to: text.length, closed: false },
})
