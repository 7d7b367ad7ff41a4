/** Every view of a text, for those who read texts as a whole: patterns. */
import { Failure } from '../../errors.ts'
import { scanFor } from '../detectors/scan.ts'
import { noRuns } from './coded-runs.ts'
import { codedViews } from './coded-views.ts'
import { displayedView } from './displayed-view.ts'
import { foldedView, hiddenViews } from './fold.ts'
import { viewOn } from './mapped-view.ts'
import type { View } from './view.ts'

/** Codes within codes: a text in base64 of base64 has two. */
const DEPTH_MAX = 8
/** What decoding may make of one text, beyond twelve times as much as it holds. */
const DECODED_BYTES_MIN = 64 << 10
const DECODED_SHARE_MAX = 12

/** How much of a text may still be decoded. Throws a Failure beyond that. */
export function decodingBudget(bytes: number): (decoded: number, depth: number) => void {
  let left = DECODED_BYTES_MIN + DECODED_SHARE_MAX * bytes
  return (decoded, depth) => {
    if (depth > DEPTH_MAX || (left -= decoded) < 0) throw new Failure('scan_budget', new Error('A text has more codes within codes than are read.'))
  }
}

/** What is hidden in a text that is not ASCII, and how it is displayed. */
export function otherViews(bytes: Buffer, from: number, to: number): View[] {
  const displayed = displayedView(bytes, from, to)
  return displayed ? [...hiddenViews(bytes, from, to), displayed] : hiddenViews(bytes, from, to)
}

const lookForCodes = scanFor(new Set())
const finds = (): void => {}

/** The views of bytes[from..to), the text itself left out: folded to ASCII, as displayed, what is hidden in it, and what its codes say, codes within codes too. */
export function viewsOf(bytes: Buffer, from: number, to: number): readonly View[] {
  const views: View[] = []
  const spend = decodingBudget(to - from)
  const decode = (text: Buffer, range: { from: number; to: number }, below: View | null, depth: number): void => {
    const coded = noRuns()
    lookForCodes(text, range, finds, coded)
    for (const view of codedViews(text, range, coded)) add(below ? viewOn(below, view) : view, depth + 1)
  }
  const add = (view: View, depth: number): void => {
    spend(view.text.length, depth)
    views.push(view)
    const inner = foldedView(view.text, 0, view.text.length)
    if (inner) for (const other of otherViews(view.text, 0, view.text.length)) add(viewOn(view, other), depth + 1)
    const folded = inner && viewOn(view, inner)
    if (folded) views.push(folded)
    const { text } = folded ?? view
    decode(text, { from: 0, to: text.length }, folded ?? view, depth)
  }
  const folded = foldedView(bytes, from, to)
  if (!folded) decode(bytes, { from, to }, null, 0)
  else {
    views.push(folded)
    decode(folded.text, { from: 0, to: folded.text.length }, folded, 0)
    for (const view of otherViews(bytes, from, to)) add(view, 1)
  }
  return views
}
