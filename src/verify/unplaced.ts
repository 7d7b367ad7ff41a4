/** Rows that have no place in a chain: those that will have one before the next checkpoint, those from before there were chains, and those that should have one. */
import type { Findings } from './findings.ts'
import type { EntryFacts, Seal } from './record.ts'

/** Rows of which only the end of the log tells what they are. */
export const UNDECIDED_MAX = 100_000
/** So long a row may wait for its place, seen from the time it names, while others are in the tree. */
const WAIT_MS_MAX = 10 * 60_000

export function createUnplaced({ findings }: { findings: Findings }) {
  const undecided: { audit_id: string; timestamp: string; isSealed: boolean; isUnknown: boolean }[] = []
  let sealed = 0
  let tooMany = 0

  function add({ audit_id, timestamp, outcome }: EntryFacts, seal: Seal): void {
    if (seal === 'right') sealed++
    else if (seal === 'wrong') findings.add('the row has no place in a chain, and its seal is wrong', { audit_id })
    else if (undecided.length === UNDECIDED_MAX) tooMany++
    else undecided.push({ audit_id, timestamp: String(timestamp), isSealed: seal === 'unknown', isUnknown: outcome === 'unknown' })
  }

  /** `openedAt`: when the log was first chained. `coveredUntil`: the newest time in the tree. Both ISO 8601; null and '' where there is none. */
  function finish({ openedAt, coveredUntil }: { openedAt: string | null; coveredUntil: string }): { waiting: number; unproved: number } {
    let waiting = sealed
    let unproved = 0
    const oldest = coveredUntil === '' ? '' : new Date(Date.parse(coveredUntil) - WAIT_MS_MAX).toISOString()
    for (const { audit_id, timestamp, isSealed, isUnknown } of undecided) {
      if (openedAt === null || timestamp < openedAt) unproved++
      else if (!isSealed) findings.add('the row has no place in a chain, and no seal', { audit_id })
      // What a dead process left open names the time it was opened, and is written whenever that is found out.
      else if (timestamp < oldest && !isUnknown) findings.add('the row has no place in a chain, though checkpoints were made since', { audit_id })
      else waiting++
    }
    if (tooMany > 0) findings.add(`${tooMany} more rows have no place in a chain`)
    return { waiting, unproved }
  }

  return { add, finish }
}
