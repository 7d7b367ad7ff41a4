/** What is asked of texts, and what is searched at a time. */
import type { ModelCall, TextSlot } from '../../call.ts'
import type { TextOperand } from '../matching/compile-matcher.ts'
import type { Selection } from '../targets.ts'
import type { Segment } from './segments.ts'

/** What is read without a break. */
export const SLICE_BYTES = 64 << 10

/** One question about texts. */
export interface TextLeaf extends Selection {
  operand: TextOperand
  /** The findings will be cut, so every one is needed. */
  cuts: boolean
  /** What then stands in their place. */
  placeholder: string
}

/** What is searched: a segment of some texts, or a text that stands for others and has no slots of its own, in which everything found is told. */
export interface Piece {
  text: Buffer
  slots: readonly TextSlot[]
  /** Where there is none, nothing is asked of it. */
  lastMessage: ModelCall['lastMessage']
  segment: Segment
}

/** The slot that holds this position: the last that begins at or before it and is not empty. Among all slots, or those from `first` to before `after`. */
export function slotAt(slots: readonly TextSlot[], position: number, first = 0, after = slots.length): number {
  let low = first
  let high = after - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (slots[middle].from <= position) low = middle
    else high = middle - 1
  }
  return low
}
