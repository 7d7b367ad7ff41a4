/** Where in a text something may be written in code: escapes, base64 and hexadecimal, words spelled letter by letter. Noted in passing, looked at later. */
import { hex } from '../../dialects/bodies/json.ts'
import { isAlphanumeric, isDigit, isGap, kinds, LETTERS } from '../detectors/characters.ts'

export interface Run {
  start: number
  end: number
}
export interface CodedRuns {
  /** Around escapes such as %34, &#52; or \u0034. */
  escapes: Run[]
  /** Long words, with + and / among them. */
  blocks: Run[]
  /** Single letters, or pairs of hexadecimal digits, with the same between all. */
  spelled: (Run & { sign: string; isHex: boolean })[]
}

export const noRuns = (): CodedRuns => ({ escapes: [], blocks: [], spelled: [] })

/** Escapes closer than this are read together, with as much text around them. */
export const ESCAPE_GAP_MAX = 48
/** Shorter words decode to less than anything worth hiding. */
export const BLOCK_BYTES_MIN = 14
const SPELLED_MIN = 8
const SPELLED_MAX = 1024
const SIGN_BYTES_MAX = 3
/** Between two words that are spelled out. */
export const GAP_BYTES_MAX = 8

const PERCENT = 0x25
const AMPERSAND = 0x26
const BACKSLASH = 0x5c
const EQUALS = 0x3d
const LESS = 0x3c
const SLASH = 0x2f
const ESC = 0x1b
const BRACKET = 0x5b

const isHex = (byte: number): boolean => hex(byte) >= 0

/** A sign at `at` that may begin an escape. */
export function noteEscape({ escapes }: CodedRuns, text: Buffer, at: number, to: number): void {
  if (at + 1 >= to || !isEscape(text, at)) return
  const last = escapes.at(-1)
  if (last && at - last.end <= ESCAPE_GAP_MAX) last.end = at + 1
  else escapes.push({ start: at, end: at + 1 })
}

function isEscape(text: Buffer, at: number): boolean {
  const next = text[at + 1]
  switch (text[at]) {
    case PERCENT:
      return (isHex(next) && isHex(text[at + 2])) || (next === 0x75 && isHex(text[at + 2]))
    case AMPERSAND:
      return next === 0x23 || (kinds[next] & LETTERS) !== 0
    case EQUALS:
      return next === 0x0a || next === 0x0d || next === 0x20 ? isAlphanumeric(text[at - 1]) : isUpperHex(next) && isUpperHex(text[at + 2])
    case BACKSLASH: // of several the last counts
      return escaped[next] === 1
    case LESS:
      return (next === SLASH || (kinds[next] & LETTERS) !== 0) && isTag(text, at)
    case ESC:
      return next === BRACKET
    default:
      return false
  }
}
/** What may follow a backslash in JSON and in programs. */
const escaped = Uint8Array.from({ length: 256 }, (_, byte) => (/[nrtuUx0-7"'/\n\r]/.test(String.fromCharCode(byte)) ? 1 : 0))
const isUpperHex = (byte: number): boolean => isDigit(byte) || (byte >= 0x41 && byte <= 0x46)

/** In a row, in base64. */
const SIGNS_MAX = 3

function isJoint(text: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (text[i] !== 0x2b && text[i] !== SLASH) return false
  return true
}

/** A tag without attributes: `<b>`, `</span>`, `<br/>`. */
function isTag(text: Buffer, at: number): boolean {
  for (let i = at + 2; i < at + TAG_BYTES_MAX; i++) if (text[i] === 0x3e) return true
  return false
}
const TAG_BYTES_MAX = 12

/** A word, which goes on from the one before where only + and / part them. */
export function noteWord({ blocks }: CodedRuns, text: Buffer, start: number, end: number): void {
  const last = blocks.at(-1)
  if (last && start > last.end && start - last.end <= SIGNS_MAX && isJoint(text, last.end, start)) last.end = end
  else if (last && last.end - last.start < BLOCK_BYTES_MIN) {
    last.start = start
    last.end = end
  } else blocks.push({ start, end })
}

/** A single letter or digit, or a group of two, four or eight hexadecimal digits (0x before a pair or not), from which others may follow. */
export function noteSpelled({ spelled }: CodedRuns, text: Buffer, start: number, to: number): void {
  const last = spelled.at(-1)
  if (last && start < last.end) return
  const size = wordAt(text, start, to)
  if (size !== 1 && !isPair(text, start, size)) return
  let sign = ''
  let count = 1
  let end = start + size
  while (end < to && count < SPELLED_MAX) {
    let next = end
    while (next < to && next - end < GAP_BYTES_MAX && isGap(text[next])) next++
    if (next === end || next >= to) break
    if (wordAt(text, next, to) !== size || (size > 1 && !isPair(text, next, size))) break
    const gap = text.toString('latin1', end, next)
    if (sign === '') sign = gap
    if (gap.includes('\n') && !sign.includes('\n')) break
    if (sign.length > SIGN_BYTES_MAX || (size === 1 ? !gap.startsWith(sign) : gap !== sign)) break
    count++
    end = next + size
  }
  if (count >= (size === 8 ? 2 : size === 4 ? 4 : SPELLED_MIN)) spelled.push({ start, end, sign, isHex: size > 1 })
}

/** Whether what stands at both places may be part of the same word that is spelled out. */
export function isSpelledAlike(text: Buffer, start: number, next: number): boolean {
  const size = wordAt(text, start, text.length)
  return wordAt(text, next, text.length) === size && (size === 1 || (isPair(text, start, size) && isPair(text, next, size)))
}

/** How many letters and digits stand here, as far as it matters. */
function wordAt(text: Buffer, start: number, to: number): number {
  let end = start
  while (end < to && end - start <= PAIR_BYTES_MAX && isAlphanumeric(text[end])) end++
  return end - start
}
const PAIR_BYTES_MAX = 8

function isPair(text: Buffer, start: number, size: number): boolean {
  if (size === 4 && text[start] === 0x30 && (text[start + 1] | 0x20) === 0x78) return isPair(text, start + 2, 2)
  if (size !== 2 && size !== 4 && size !== 8) return false
  for (let i = start; i < start + size; i++) if (!isHex(text[i])) return false
  return true
}
