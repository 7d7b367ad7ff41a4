/** Reads a passage of a text in every view of it. */
import type { Found } from '../detectors/found.ts'
import type { Scan } from '../detectors/scan.ts'
import type { Notes } from '../views/code-free.ts'
import type { CodedRuns } from '../views/coded-runs.ts'
import { noRuns } from '../views/coded-runs.ts'
import { codedViews } from '../views/coded-views.ts'
import { foldedView } from '../views/fold.ts'
import { viewOn } from '../views/mapped-view.ts'
import { withMarks } from '../views/marks.ts'
import type { View } from '../views/view.ts'
import { decodingBudget, otherViews } from '../views/views.ts'
import type { Matcher, Report } from './match.ts'

/** How far before a passage detectors may look. */
export const CONTEXT_BYTES_MAX = 96

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
  /** Told of what may be encoded in a text that is read as a whole, and is ASCII; null where nobody asks. */
  notes: Notes | null
}

/**
 * Reads passages, one after the other. Of what is found beyond `until` nothing is told. One for all passages of a watcher: most need nothing but the one
 * look that finds candidates and codes.
 */
export class PassageReader {
  readonly #reading: PassageReading
  #bytes: Buffer = NOTHING
  #from = 0
  #until = 0
  /** What was told of this passage: one run may be seen in several views. */
  #seen: Set<string> | null = null

  constructor(reading: PassageReading) {
    this.#reading = reading
  }

  /** Reads bytes[from..to), in every view. Throws a Failure where there is more to decode than the bounds allow. */
  read(bytes: Buffer, from: number, until: number, to: number): void {
    this.#bytes = bytes
    this.#from = from
    this.#until = until
    this.#seen = null
    const begin = Math.max(0, from - CONTEXT_BYTES_MAX)
    const folded = foldedView(bytes, begin, to)
    if (folded) this.#readFolded(folded, to)
    else {
      const coded = noRuns()
      this.#reading.scan(bytes, { from, to }, this.#foundPlain, coded)
      if (from === 0 && to === bytes.length) this.#reading.notes?.note(bytes, coded)
      if (hasRuns(coded)) this.#readCoded(bytes, { from: begin, to }, coded, { below: null, depth: 0, spend: decodingBudget(to - from) })
    }
    this.#bytes = NOTHING
  }

  readonly #foundPlain: Found = (start, end, kind) => {
    if (this.#isTold(start) && this.#isNew(start, end, kind)) this.#reading.found(start, end, kind)
  }

  #isTold(start: number): boolean {
    return start >= this.#from && start < this.#until
  }

  #isNew(start: number, end: number, what: string | number): boolean {
    const seen = (this.#seen ??= new Set())
    return seen.size < seen.add(`${start} ${end} ${what}`).size
  }

  #readFolded(folded: View, to: number): void {
    const bytes = this.#bytes
    const from = this.#from
    const reading = this.#reading
    const spend = decodingBudget(to - from)
    const coded = noRuns()
    const { text, origin } = folded
    // The context was folded with the passage.
    let first = 0
    while (first < text.length && origin(first, first + 1).start < from) first++
    const told = (start: number, end: number, tell: (first: number, last: number) => void): void => {
      const place = origin(start, end)
      if (this.#isTold(place.start)) tell(place.start, withMarks(bytes, place.end))
    }
    const found: Found = (start, end, kind) => told(start, end, (a, b) => this.#isNew(a, b, kind) && reading.found(a, b, kind))
    reading.scan(text, { from: first, to: text.length }, found, coded)
    this.#readCoded(text, { from: 0, to: text.length }, coded, { below: folded, depth: 0, spend })
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
    for (const view of otherViews(bytes, from, to)) this.#readView(view, 1, spend)
  }

  #readView(view: View, depth: number, spend: Spend): void {
    spend(view.text.length, depth)
    const bytes = this.#bytes
    const reading = this.#reading
    const place = (start: number, end: number): { start: number; end: number } | null => {
      const origin = view.origin(start, end)
      return this.#isTold(origin.start) ? origin : null
    }
    const asked = reading.decoded && reading.mayHavePhrases(view.text) ? reading.decoded : reading.keys
    if (asked) {
      const watch = asked((start, end, leaf) => {
        const origin = place(start, end)
        // A phrase that stands there plainly was found there.
        const isPlain = origin !== null && bytes.subarray(origin.start, origin.end).equals(view.text.subarray(start, end))
        if (origin && !isPlain && this.#isNew(origin.start, origin.end, leaf)) reading.report(origin.start, origin.end, leaf)
      })
      watch.feed(view.text, 0, view.text.length)
      watch.finish()
    }
    const inner = foldedView(view.text, 0, view.text.length)
    if (inner) for (const other of otherViews(view.text, 0, view.text.length)) this.#readView(viewOn(view, other), depth + 1, spend)
    const text = inner?.text ?? view.text
    const range = { from: 0, to: text.length }
    const coded = noRuns()
    const found: Found = (start, end, kind) => {
      const within = inner ? inner.origin(start, end) : { start, end }
      const origin = place(within.start, within.end)
      if (origin && this.#isNew(origin.start, origin.end, kind)) reading.found(origin.start, origin.end, kind)
    }
    reading.scan(text, range, found, coded)
    this.#readCoded(text, range, coded, { below: inner ? viewOn(view, inner) : view, depth, spend })
  }

  #readCoded(
    text: Buffer,
    range: { from: number; to: number },
    coded: CodedRuns,
    { below, depth, spend }: { below: View | null; depth: number; spend: Spend },
  ): void {
    if (!hasRuns(coded)) return
    for (const view of codedViews(text, range, coded)) this.#readView(below ? viewOn(below, view) : view, depth + 1, spend)
  }
}

const NOTHING = Buffer.alloc(0)
type Spend = ReturnType<typeof decodingBudget>
const hasRuns = ({ escapes, blocks, spelled }: CodedRuns): boolean => escapes.length > 0 || blocks.length > 0 || spelled.length > 0
