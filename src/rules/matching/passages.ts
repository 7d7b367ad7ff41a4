/**
 * Detectors read a text passage by passage. A passage ends where nothing that is found can go on: so one passage after the other can be read as a whole,
 * in every view of it, and a text that arrives in pieces is read the same however it was cut.
 */
import type { Found } from '../detectors/found.ts'
import type { Scan } from '../detectors/scan.ts'
import type { Notes } from '../views/code-free.ts'
import type { CodedRuns } from '../views/coded-runs.ts'
import { noRuns } from '../views/coded-runs.ts'
import { codedViews } from '../views/coded-views.ts'
import { foldedView } from '../views/fold.ts'
import { characterAt } from '../views/joints.ts'
import { viewOn } from '../views/mapped-view.ts'
import { withMarks } from '../views/marks.ts'
import type { View } from '../views/view.ts'
import { decodingBudget, otherViews } from '../views/views.ts'
import type { Matcher, Report, Watch } from './match.ts'
import { settledAt } from './settled.ts'

/** How far before a passage detectors may look. */
const CONTEXT_BYTES_MAX = 96
export interface PassageReading {
  scan: Scan
  /** Asked of everything that was decoded, whose phrases and private keys no other watcher sees. */
  decoded: Matcher | null
  /** Whether phrases may be in such a text at all; where they are not, `keys` are asked alone. */
  mayHavePhrases(text: Buffer): boolean
  /** Asked of a text that had to be folded. */
  keys: Matcher | null
  /** Told of what `decoded` and `keys` find. */
  report: Report
  found: Found
  /** Told of what may be encoded in a text that is read as a whole, and is ASCII. */
  notes: Notes
}

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

/** Reads bytes[from..to), in every view. Of what is found beyond `until` nothing is told. Throws a Failure where there is more to decode than the bounds allow. */
export function readPassage(reading: PassageReading, bytes: Buffer, { from, until, to }: { from: number; until: number; to: number }): void {
  const begin = Math.max(0, from - CONTEXT_BYTES_MAX)
  const folded = foldedView(bytes, begin, to)
  const spend = decodingBudget(to - from)
  const isTold = (start: number): boolean => start >= from && start < until

  // One run may be seen in several views.
  const seen = new Set<string>()
  const isNew = (start: number, end: number, what: string | number): boolean => seen.size < seen.add(`${start} ${end} ${what}`).size

  const readView = (view: View, depth: number): void => {
    spend(view.text.length, depth)
    const place = (start: number, end: number): { start: number; end: number } | null => {
      const origin = view.origin(start, end)
      return isTold(origin.start) ? origin : null
    }
    const asked = reading.decoded && reading.mayHavePhrases(view.text) ? reading.decoded : reading.keys
    if (asked) {
      const watch = asked((start, end, leaf) => {
        const origin = place(start, end)
        // A phrase that stands there plainly was found there.
        const isPlain = origin !== null && bytes.subarray(origin.start, origin.end).equals(view.text.subarray(start, end))
        if (origin && !isPlain && isNew(origin.start, origin.end, leaf)) reading.report(origin.start, origin.end, leaf)
      })
      watch.feed(view.text, 0, view.text.length)
      watch.finish()
    }
    const inner = foldedView(view.text, 0, view.text.length)
    if (inner) for (const other of otherViews(view.text, 0, view.text.length)) readView(viewOn(view, other), depth + 1)
    const text = inner?.text ?? view.text
    const range = { from: 0, to: text.length }
    const coded = noRuns()
    const found: Found = (start, end, kind) => {
      const within = inner ? inner.origin(start, end) : { start, end }
      const origin = place(within.start, within.end)
      if (origin && isNew(origin.start, origin.end, kind)) reading.found(origin.start, origin.end, kind)
    }
    reading.scan(text, range, found, coded)
    readCoded(text, range, coded, { below: inner ? viewOn(view, inner) : view, depth })
  }
  const readCoded = (text: Buffer, range: { from: number; to: number }, coded: CodedRuns, { below, depth }: { below: View | null; depth: number }): void => {
    if (coded.escapes.length === 0 && coded.blocks.length === 0 && coded.spelled.length === 0) return
    for (const view of codedViews(text, range, coded)) readView(below ? viewOn(below, view) : view, depth + 1)
  }

  const coded = noRuns()
  if (!folded) {
    reading.scan(bytes, { from, to }, (start, end, kind) => isTold(start) && isNew(start, end, kind) && reading.found(start, end, kind), coded)
    if (from === 0 && to === bytes.length) reading.notes.note(bytes, coded)
    readCoded(bytes, { from: begin, to }, coded, { below: null, depth: 0 })
    return
  }
  const { text, origin } = folded
  // The context was folded with the passage.
  let first = 0
  while (first < text.length && origin(first, first + 1).start < from) first++
  const told = (start: number, end: number, tell: (first: number, last: number) => void): void => {
    const place = origin(start, end)
    if (isTold(place.start)) tell(place.start, withMarks(bytes, place.end))
  }
  reading.scan(text, { from: first, to: text.length }, (start, end, kind) => told(start, end, (a, b) => isNew(a, b, kind) && reading.found(a, b, kind)), coded)
  readCoded(text, { from: 0, to: text.length }, coded, { below: folded, depth: 0 })
  if (reading.keys) {
    const spans: [start: number, end: number, leaf: number][] = []
    let isPlain = true
    const watch = reading.keys((start, end, leaf) =>
      told(first + start, first + end, (a, b) => {
        isPlain &&= bytes.subarray(a, b).equals(text.subarray(first + start, first + end))
        spans.push([a, b, leaf])
      }),
    )
    watch.feed(text, first, text.length)
    watch.finish()
    // What did not have to be folded to be found was found without it.
    if (!isPlain) for (const span of spans) reading.report(...span)
  }
  for (const view of otherViews(bytes, from, to)) readView(view, 1)
}

/** What goes on with a key that was too long for its passage. */
const REST = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 0x80 || /[\w.+/=%&#;\\-]/.test(String.fromCharCode(byte)) ? 1 : 0))

/** Watches a text for what `readingFor` says. */
export function passages(
  readingFor: (report: Report, found: Found) => PassageReading,
  kinds: ReadonlyMap<string, readonly number[]>,
  bounds: PassageBounds,
): Matcher {
  return (report) => {
    let held: Buffer = Buffer.alloc(0) // the open passage, with the context before it
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

    const read = (until: number, to: number, isCut: boolean): void => {
      if (goesOn && goesOn.from - at < until) {
        const { leaves, from } = goesOn
        let end = from - at
        while (end < until && REST[held[end]] === 1) end++
        if (end > from - at) for (const leaf of leaves) report(from, at + end, leaf)
        goesOn = end === until && isCut ? { leaves, from: at + end } : null
      }
      visible = isCut ? to : -1
      if (until > begin) readPassage(reading, held, { from: begin, until, to })
      begin = until
      const kept = Math.max(0, begin - CONTEXT_BYTES_MAX)
      held = held.subarray(kept)
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
        held = held.subarray(0, 0)
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
