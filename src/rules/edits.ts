import type { TextSlot } from '../call.ts'
import { type Edit, locate } from '../dialects/bodies/texts.ts'
import type { Span } from './matching/match.ts'

/**
 * The cuts that spans of the flat text mean in the bytes of one slot. Spans come in order and without overlaps; where one began in an earlier slot, its
 * placeholder stands there and the rest of it is only taken away.
 */
export function editsFor(bytes: Buffer, slot: TextSlot, spans: readonly Span[], placeholderOf: (span: Span) => string): Edit[] {
  const edits: Edit[] = []
  let rest = slot // what lies after the last cut, so that escapes are counted once, however many cuts there are
  for (const span of spans) {
    if (span.start >= slot.to) break
    const from = Math.max(span.start, slot.from),
      to = Math.min(span.end, slot.to)
    if (from >= to) continue
    const placeholder = placeholderOf(span)
    const start = locate(bytes, rest, from)
    const end = locate(bytes, { ...rest, start, from }, to)
    edits.push({ start, end, put: Buffer.from(from === span.start ? placeholder : '') })
    rest = { ...rest, start: end, from: to }
  }
  return edits
}
