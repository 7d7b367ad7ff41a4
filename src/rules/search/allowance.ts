/** What the search of one call may cost, and what becomes of one that costs more. */
import { Failure, type Reason } from '../../errors.ts'

/**
 * All findings of one search together: where many rules ask for what ends in the same place, one text could otherwise hold everybody else up. Of those
 * that are only counted a large text may have more.
 */
export const FINDINGS_MAX = 1 << 20
const FINDINGS_PER_BYTE_MAX = 4
export const findingsMaxOf = (bytes: number): number => Math.max(FINDINGS_MAX, FINDINGS_PER_BYTE_MAX * bytes)
/** How many findings of one leaf are kept where they only have to be counted. */
export const SPANS_PER_LEAF_MAX = 1000

/** What one call may still cost; its segments share it. */
export interface Allowance {
  findingsMax: number
  /** So far. */
  counted: number
  cuts: number
  /** Milliseconds of the thread's own time the edges of matches have taken. */
  edgesMs: number
  /** What one step may take where somebody waits for this thread; a step that takes longer throws TooSlow, and is left to another thread. */
  stepMsMax: number
}
export const allowanceFor = (bytes: number, stepMsMax = Infinity): Allowance => ({
  findingsMax: findingsMaxOf(bytes),
  counted: 0,
  cuts: 0,
  edgesMs: 0,
  stepMsMax,
})

/** Not an answer: the text must be searched where nobody waits for the thread. */
export class TooSlow extends Error {}

export const tooMany = (reason: Reason): Failure => new Failure(reason, new Error(`More than ${FINDINGS_MAX} findings.`))
