import type { View } from './view.ts'

/** A stretch of a view: byte for byte what the text beneath says, or bytes that stand for a run of it as a whole. */
export interface ViewPart {
  bytes: Buffer
  start: number
  end: number
  isRun: boolean
}

/** The parts one after the other. */
export function mappedView(parts: readonly ViewPart[]): View {
  const text = Buffer.concat(parts.map(({ bytes }) => bytes))
  const starts = new Int32Array(text.length)
  const ends = new Int32Array(text.length)
  let at = 0
  for (const { bytes, start, end, isRun } of parts)
    for (let i = 0; i < bytes.length; i++, at++) {
      starts[at] = isRun ? start : start + i
      ends[at] = isRun ? end : start + i + 1
    }
  return { text, origin: (from, to) => ({ start: starts[from], end: ends[to - 1] }) }
}

/** A view of which every part stands for the whole run. */
export const wholeView = (text: Buffer, { start, end }: { start: number; end: number }): View => ({ text, origin: () => ({ start, end }) })

/** What `upper` shows of `lower`, told in positions of what is beneath both. */
export const viewOn = (lower: View, upper: View): View => ({
  text: upper.text,
  origin(start, end) {
    const within = upper.origin(start, end)
    return lower.origin(within.start, within.end)
  },
})
