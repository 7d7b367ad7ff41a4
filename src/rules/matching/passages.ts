/**
 * Detectors read a text passage by passage. A passage ends where nothing that is found can go on: so one passage after the other can be read as a whole,
 * in every view of it, and a text that arrives in pieces is read the same however it was cut.
 */
import type { Found } from '../detectors/found.ts'
import { characterAt } from '../views/joints.ts'
import type { Matcher, Report, Watch } from './match.ts'
import { CONTEXT_BYTES_MAX, PassageReader, type PassageReading } from './passage-reader.ts'
import { settledAt } from './settled.ts'

/** How long a passage may become before it is cut, and how much after the cut is read with it so that nothing hides behind the cut. */
export interface PassageBounds {
  pieceBytes: number
  overlapBytes: number
  /** Passages end as soon as they can; otherwise only at the bound. */
  settles: boolean
}
/** For texts that are all there, and stay as they are until they were read. */
export const WHOLE: PassageBounds = { pieceBytes: 64 << 10, overlapBytes: 4096, settles: false }
/** For texts that others wait for: what may be held back is the sum of both. */
export const PASSING: PassageBounds = { pieceBytes: 2048, overlapBytes: 1024, settles: true }

const EMPTY = Buffer.alloc(0)

/** What goes on with a key that was too long for its passage. */
const REST = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 0x80 || /[\w.+/=%&#;\\-]/.test(String.fromCharCode(byte)) ? 1 : 0))

/** Watches a text for what `readingFor` says. */
export function passages(
  readingFor: (report: Report, found: Found) => PassageReading,
  kinds: ReadonlyMap<string, readonly number[]>,
  bounds: PassageBounds,
): Matcher {
  return (report) => {
    let held: Buffer = EMPTY // the open passage, with the context before it
    let at = 0 // position of the first byte of it
    let begin = 0 // where the open passage begins in it
    let searched = 0 // up to here it was searched for an end
    let goesOn: { leaves: readonly number[]; from: number } | null = null // by position
    let visible = -1 // where what is being read ends, if it was cut there

    const tell = (start: number, end: number, leaves: readonly number[]): void => {
      if (end === visible) goesOn = { leaves, from: at + end }
      for (const leaf of leaves) report(at + start, at + end, leaf)
    }
    const reading = readingFor(
      (start, end, leaf) => tell(start, end, [leaf]),
      (start, end, kind) => tell(start, end, kinds.get(kind) ?? []),
    )
    const reader = new PassageReader(reading)

    const read = (until: number, to: number, isCut: boolean): void => {
      if (goesOn && goesOn.from - at < until) {
        const { leaves, from } = goesOn
        let end = from - at
        while (end < until && REST[held[end]] === 1) end++
        if (end > from - at) for (const leaf of leaves) report(from, at + end, leaf)
        goesOn = end === until && isCut ? { leaves, from: at + end } : null
      }
      visible = isCut ? to : -1
      if (until > begin) reader.read(held, begin, until, to)
      begin = until
      const kept = Math.max(0, begin - CONTEXT_BYTES_MAX)
      if (kept > 0) held = held.subarray(kept)
      at += kept
      begin -= kept
      searched = begin
    }
    const watch: Watch = {
      feed(bytes, from, to) {
        const piece = from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to)
        // A piece of a stream is its owner's, who may write it again; a text that is all there stays.
        held = held.length === 0 && !bounds.settles ? piece : Buffer.concat([held, piece])
        if (bounds.settles) {
          const settled = settledAt(held, begin, searched)
          if (settled > begin) read(settled, settled, false)
          searched = held.length
        }
        const { pieceBytes, overlapBytes } = bounds
        while (held.length - begin >= pieceBytes + overlapBytes) {
          const until = characterAt(held, begin + pieceBytes)
          read(until, characterAt(held, until + overlapBytes), true)
        }
      },
      finish() {
        read(held.length, held.length, false)
        at += held.length
        held = EMPTY
        begin = 0
        searched = 0
        goesOn = null
      },
      get decided() {
        return at + begin
      },
    }
    return watch
  }
}
