/** What is told in pieces: over the parts of a message, or over several messages of one speaker. */
import type { Role, TextSlot, Texts } from '../../call.ts'
import { isDigit } from '../detectors/characters.ts'
import { LETTER } from './fold.ts'

/** Where texts of one speaker meet, as if they were one. */
export interface Joints {
  text: Buffer
  /** The pieces of a stretch of it in the flat text of the call, one for each of its texts. */
  pieces(start: number, end: number): { start: number; end: number }[]
}

/** So much of a text is read together with the next of its speaker; a shorter one with those on both its sides. */
const REACH_BYTES = 96
/** Ids and names are no pieces of anything; what only its provider can read is not there. */
const SPEAKERS: readonly Role[] = ['system', 'user', 'assistant', 'tool_arguments', 'tool_result', 'thinking', 'other']

interface Part {
  at: number
  from: number
  to: number
}

/**
 * Null where no speaker has two texts that may be pieces of one. `every`: any two may be; otherwise only those that meet in what is more than an
 * ordinary word, which is all that detectors find.
 */
export function jointsOf({ slots, text }: Texts, every: boolean): Joints | null {
  if (!hasTwoOfOne(slots)) return null
  const chunks: Buffer[] = []
  const parts: Part[] = []
  let at = 0
  const put = (bytes: Buffer): void => {
    chunks.push(bytes)
    at += bytes.length
  }
  const copy = (from: number, to: number): void => {
    parts.push({ at, from, to })
    put(text.subarray(from, to))
  }
  /** Texts that follow each other and meet so, with this between them. */
  const join = (own: readonly TextSlot[], meet: (before: TextSlot, after: TextSlot) => boolean, between: Buffer): void => {
    let isOpen = false // the text before was begun
    for (let i = 1; i < own.length; i++) {
      const [before, after] = [own[i - 1], own[i]]
      if (!meet(before, after)) {
        if (isOpen) put(STOP)
        isOpen = false
        continue
      }
      if (!isOpen) copy(characterAt(text, Math.max(before.from, before.to - REACH_BYTES)), before.to)
      put(between)
      isOpen = after.to - after.from <= REACH_BYTES
      copy(after.from, isOpen ? after.to : characterAt(text, after.from + REACH_BYTES))
      if (!isOpen) put(STOP)
    }
    if (isOpen) put(STOP)
  }
  for (const role of SPEAKERS) {
    const own = slots.filter((slot) => slot.role === role && isSpoken(slot))
    if (own.length < 2) continue
    join(own, every ? () => true : (before, after) => isUnusual(text, before, after), NOTHING)
    // Digits may also be groups.
    join(own, (before, after) => isDigit(text[before.to - 1]) && isDigit(text[after.from]), SPACE)
  }
  return parts.length === 0 ? null : { text: Buffer.concat(chunks, at), pieces: (start, end) => piecesOf(parts, start, end) }
}
/** Whether a speaker has two texts that could meet. */
function hasTwoOfOne(slots: readonly TextSlot[]): boolean {
  let seen = 0
  for (let i = 0; i < slots.length; i++) {
    const bit = isSpoken(slots[i]) ? 1 << (SPEAKERS.indexOf(slots[i].role) + 1) : 0
    if ((seen & bit & ~NO_SPEAKER) !== 0) return true
    seen |= bit
  }
  return false
}
const NO_SPEAKER = 1
const isSpoken = ({ place, from, to }: TextSlot): boolean => place === undefined && to > from
const STOP = Buffer.from([LETTER])
const NOTHING = Buffer.alloc(0)
const SPACE = Buffer.from(' ')

const WORD_BYTES_MAX = 24
/** A word of letters of which only the first may be a capital, with what stands around it in a sentence. */
const ORDINARY_END = /(?:^|[\s("'])[A-Za-z]?[a-z'’]*[.,;:!?)"'\s]*$/
const ORDINARY_BEGINNING = /^[\s("']*[A-Za-z]?[a-z'’]*(?:[\s.,;:!?)"']|$)/

/** Whether the last word before or the first word after is more than an ordinary one. */
function isUnusual(text: Buffer, before: TextSlot, after: TextSlot): boolean {
  return (
    !ORDINARY_END.test(text.toString('latin1', Math.max(before.from, before.to - WORD_BYTES_MAX), before.to)) ||
    !ORDINARY_BEGINNING.test(text.toString('latin1', after.from, Math.min(after.to, after.from + WORD_BYTES_MAX)))
  )
}

function piecesOf(parts: readonly Part[], start: number, end: number): { start: number; end: number }[] {
  let low = 0
  let high = parts.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (parts[middle].at <= start) low = middle
    else high = middle - 1
  }
  const pieces: { start: number; end: number }[] = []
  for (let i = low; i < parts.length && parts[i].at < end; i++) {
    const { at, from, to } = parts[i]
    const first = Math.max(from, from + start - at)
    const last = Math.min(to, from + end - at)
    if (last > first) pieces.push({ start: first, end: last })
  }
  return pieces
}

/** The beginning of the character of UTF-8 that this byte is part of. */
export function characterAt(bytes: Buffer, at: number): number {
  let i = Math.min(at, bytes.length)
  while (i > 0 && i < bytes.length && (bytes[i] & 0xc0) === 0x80) i--
  return i
}
