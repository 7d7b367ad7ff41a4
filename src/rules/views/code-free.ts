/** Whether a text was seen to be without codes by whoever read it for something else, so that nobody need look for them again. */
import type { TextSlot } from '../../call.ts'
import { isAlphanumeric, isGap } from '../detectors/characters.ts'
import { BLOCK_BYTES_MIN, type CodedRuns, GAP_BYTES_MAX, isSpelledAlike } from './coded-runs.ts'

/** What was noted of the last text that was read as one passage and is ASCII. */
export class Notes {
  #text: Buffer | null = null
  #coded: CodedRuns | null = null

  note(text: Buffer, coded: CodedRuns): void {
    this.#text = text
    this.#coded = coded
  }

  /** Nothing may be encoded in this very text. Asked once. */
  takeNoCodes(text: Buffer): boolean {
    const coded = this.#text === text ? this.#coded : null
    this.#text = null
    this.#coded = null
    if (coded === null || coded.escapes.length > 0 || coded.spelled.length > 0) return false
    return coded.blocks.every(({ start, end }) => end - start < BLOCK_BYTES_MIN)
  }
}

const EQUALS = 0x3d
const BACKSLASH = 0x5c

/** Whether line breaks between texts make a code of what is none in each: an escape of the break, or letters that are spelled out from one into the next. */
export function meetsInCode(text: Buffer, slots: readonly TextSlot[], first: number, after: number): boolean {
  for (let i = first + 1; i < after; i++) {
    const at = slots[i].from - 1
    if (text[at - 1] === EQUALS || text[at - 1] === BACKSLASH) return true
    let end = at
    while (end > 0 && at - end < GAP_BYTES_MAX && isGap(text[end - 1])) end--
    let start = end
    while (start > 0 && isAlphanumeric(text[start - 1])) start--
    let next = at + 1
    while (next < text.length && next - at <= GAP_BYTES_MAX && isGap(text[next])) next++
    if (end > start && isSpelledAlike(text, start, next)) return true
  }
  return false
}
