/**
 * The texts of a call in groups that are searched each by itself, so that what was found in one can be remembered. Where a group ends depends on the
 * texts before it alone, and mostly on the last few of them: a conversation that grows by a turn, or that lost its beginning, keeps its groups.
 */
import type { Texts } from '../../call.ts'

/** Some slots that follow each other. */
export interface Segment {
  /** Indices of slots; `end` is the one after the last. */
  first: number
  end: number
  /** Bytes of the flat text, from the beginning of the first slot to the end of the last. */
  from: number
  to: number
  /** What comes after it in the conversation does not change it. */
  closed: boolean
}

/** A segment of so many bytes or more is closed. A text that is not larger is one segment, which is not. */
export const SEGMENT_BYTES = 4096
/** Even one of so many is, behind a text that marks an end: where texts were added or taken away before them, the next segments are soon the same again. */
const MARKED_BYTES_MIN = 1024
/** Every text whose length divides by this marks an end. */
const MARK = 8

/** All slots in order. The texts of messages and those beside them, which follow, are never in one segment unless all are. */
export function segmentsOf({ slots, text, promptEnd }: Pick<Texts, 'slots' | 'text' | 'promptEnd'>): Segment[] {
  if (slots.length === 0) return []
  if (text.length <= SEGMENT_BYTES) return [{ first: 0, end: slots.length, from: slots[0].from, to: slots[slots.length - 1].to, closed: false }]
  const segments: Segment[] = []
  let first = 0
  for (let i = 0; i < slots.length; i++) {
    const { from: begin, to } = slots[i]
    const { from } = slots[first]
    const size = to - from
    const closed = size >= SEGMENT_BYTES || (size >= MARKED_BYTES_MIN && (to - begin) % MARK === 0)
    const next = slots[i + 1]
    if (!closed && next !== undefined && (to > promptEnd || next.from <= promptEnd)) continue
    segments.push({ first, end: i + 1, from, to, closed })
    first = i + 1
  }
  return segments
}
