import { mappedView, type ViewPart } from './mapped-view.ts'
import type { View } from './view.ts'

const OVERRIDE = '\u202e'
const OVERRIDE_BYTES = Buffer.from(OVERRIDE)
/** What ends an override (UAX 9): its pop, or the end of the paragraph. */
const STRETCH = /\u202e([^\u202c\u202e\n\u2029]*)/gu

/** The text as it is displayed where an override has letters run from right to left; null where there is none. */
export function displayedView(bytes: Buffer, from: number, to: number): View | null {
  const source = bytes.subarray(from, to)
  if (!source.includes(OVERRIDE_BYTES)) return null
  const text = source.toString()
  const parts: ViewPart[] = []
  let at = from
  const add = (piece: string): void => {
    const end = at + Buffer.byteLength(piece)
    if (end > at) parts.push({ bytes: bytes.subarray(at, end), start: at, end, isRun: false })
    at = end
  }
  const addReversed = (stretch: string): void => {
    const characters = Array.from(stretch, (character) => {
      const end = at + Buffer.byteLength(character)
      const part = { bytes: bytes.subarray(at, end), start: at, end, isRun: true }
      at = end
      return part
    })
    for (const part of characters.reverse()) parts.push(part)
  }
  let last = 0
  for (const { 0: all, 1: stretch, index } of text.matchAll(STRETCH)) {
    add(text.slice(last, index))
    at += OVERRIDE_BYTES.length
    addReversed(stretch)
    last = index + all.length
  }
  add(text.slice(last))
  const view = mappedView(parts)
  return { text: view.text, origin: (start, end) => extent(view, start, end) }
}

/** A match may lie over a reversed stretch: it goes from the first to the last of its characters. */
function extent(view: View, start: number, end: number): { start: number; end: number } {
  let first = Infinity
  let last = 0
  for (let i = start; i < end; i++) {
    const one = view.origin(i, i + 1)
    first = Math.min(first, one.start)
    last = Math.max(last, one.end)
  }
  return { start: first, end: last }
}
