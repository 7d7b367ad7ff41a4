/**
 * What was found in one segment, as numbers without any text: a head, the leaves that were passed over, and three numbers for each finding, relative to
 * the beginning of the segment. Remembered, and sent between threads, as they are.
 */
export type Findings = Int32Array<ArrayBuffer>

/** Where in the head stands how many findings there were, kept or not; how many of them will be cut; */
const COUNTED = 0
const COUNTED_CUTS = 1
/** whether something was left out because time was over; and how many leaves were passed over because enough of theirs had been found before. */
const HURRIED = 2
const PASSED = 3
const HEAD = 4

export const NOTHING: Findings = new Int32Array(HEAD)

export interface FoundInSegment {
  counted: number
  cuts: number
  hurried: boolean
  passed: Iterable<number> | undefined
  /** Start, end, leaf; start, end, leaf … */
  spans: readonly number[]
}

export function findingsOf({ counted, cuts, hurried, passed, spans }: FoundInSegment): Findings {
  const leaves = passed === undefined ? [] : [...passed]
  if (counted === 0 && spans.length === 0 && leaves.length === 0 && !hurried) return NOTHING
  const findings = new Int32Array(HEAD + leaves.length + spans.length)
  findings[COUNTED] = counted
  findings[COUNTED_CUTS] = cuts
  findings[HURRIED] = hurried ? 1 : 0
  findings[PASSED] = leaves.length
  findings.set(leaves, HEAD)
  findings.set(spans, HEAD + leaves.length)
  return findings
}

/** Those of several segments as one, and where each ends. */
export interface PackedFindings {
  all: Findings
  ends: Findings
}

export function packFindings(list: readonly Findings[]): PackedFindings {
  const ends = new Int32Array(list.length)
  let length = 0
  list.forEach((findings, i) => {
    ends[i] = length += findings.length
  })
  const all = new Int32Array(length)
  list.forEach((findings, i) => {
    all.set(findings, ends[i] - findings.length)
  })
  return { all, ends }
}

/** Each by itself again, so that one can be kept without the others. */
export function unpackFindings({ all, ends }: PackedFindings): Findings[] {
  let from = 0
  return Array.from(ends, (end) => {
    const findings = all.subarray(from, end)
    from = end
    return findings.some((number) => number !== 0) ? findings.slice() : NOTHING
  })
}

export const countedIn = (findings: Findings): { counted: number; cuts: number } => ({ counted: findings[COUNTED], cuts: findings[COUNTED_CUTS] })
export const isHurried = (findings: Findings): boolean => findings[HURRIED] !== 0

/** Which leaves need no more findings. */
export interface Fullness {
  isFull(leaf: number): boolean
}

/** Whether nothing was passed over that a call needs of which so much is found. */
export function suffice(findings: Findings, fullness: Fullness): boolean {
  for (let i = 0; i < findings[PASSED]; i++) if (!fullness.isFull(findings[HEAD + i])) return false
  return true
}

export const spanCount = (findings: Findings): number => (findings.length - HEAD - findings[PASSED]) / 3

/** From the finding number `first` to before number `after`. */
export function eachFinding(findings: Findings, tell: (start: number, end: number, leaf: number) => void, first = 0, after = spanCount(findings)): void {
  const spans = HEAD + findings[PASSED]
  for (let i = spans + 3 * first; i < spans + 3 * after; i += 3) tell(findings[i], findings[i + 1], findings[i + 2])
}
