/** The ids of a line's row: made of what the line says, so that the same line has the same ids in every run and on every machine. */
import { hash } from 'node:crypto'
import { idFrom } from '../ids.ts'

export interface LineIds {
  audit_id: string
  request_id: string
}

/** So many different lines are remembered at least, and twice as many at most: some 30 MB. */
const DISTINCT_LINES_MAX = 100_000
/** Of a digest, enough to tell lines apart. */
const KEY_BYTES = 16
const REQUEST_OFFSET = 10

/**
 * Ids for the lines of one log. Identical lines are rows of their own: the second, third … of them is hashed together with its number among them. That
 * number is known as long as the first is remembered, and identical lines have the same time: only a line older than what was forgotten may be a
 * repetition that is not recognised. Such a line is hashed together with its number in the file, so that no two lines ever share an id.
 */
export function createLineIds(distinctLinesMax = DISTINCT_LINES_MAX) {
  let older = new Map<string, number>()
  let newer = new Map<string, number>()
  /** The latest times among the older lines, the newer ones, and those forgotten. */
  let olderAt = -1
  let newerAt = -1
  let forgottenAt = -1

  return (line: Uint8Array, at: number, number: number): LineIds => {
    const digest = hash('sha256', line, 'buffer')
    const key = digest.toString('latin1', 0, KEY_BYTES)
    const known = newer.has(key) ? newer : older.has(key) ? older : null
    if (known) {
      const ordinal = known.get(key) ?? 0
      known.set(key, ordinal + 1)
      return idsFrom(hash('sha256', `${digest.toString('hex')} repeated ${ordinal}`, 'buffer'), at)
    }
    if (at <= forgottenAt) return idsFrom(hash('sha256', `${digest.toString('hex')} in line ${number}`, 'buffer'), at)
    newer.set(key, 1)
    newerAt = Math.max(newerAt, at)
    if (newer.size >= distinctLinesMax) {
      forgottenAt = Math.max(forgottenAt, olderAt)
      older = newer
      olderAt = newerAt
      newer = new Map()
      newerAt = -1
    }
    return idsFrom(digest, at)
  }
}

const idsFrom = (digest: Uint8Array, at: number): LineIds => ({ audit_id: idFrom('aud', at, digest), request_id: idFrom('req', at, digest, REQUEST_OFFSET) })
