import { isAscii } from 'node:buffer'
import { LOOK_ALIKES } from './look-alikes.ts'
import { SourceMap } from './source-map.ts'
import type { View } from './view.ts'

/**
 * What stands for a letter or digit of another script that looks like no ASCII character, and for a sign (emoji, symbol, CJK punctuation). Neither is
 * part of any number, key or address; a SIGN may separate, a LETTER ends everything.
 */
export const LETTER = 0x1a
export const SIGN = 0x1f

/** The most ASCII characters that one byte of a character may become: ㎯ is three bytes and reads rad/s2. */
export const CHARACTERS_PER_BYTE_MAX = 2

// A reading is a number: an ASCII character plus one, DROPPED, or SEVERAL plus an index into the longer texts. 0 is not known yet.
const DROPPED = 0x81
const SEVERAL = 0x100
const LETTER_READING = LETTER + 1
const SIGN_READING = SIGN + 1

/** Readings are remembered below this code point. Above there are ideographs, what nobody sees and private use only, told apart by their range. */
const REMEMBERED_END = 0x20000
const remembered = new Uint16Array(REMEMBERED_END)
const longer: string[] = []

const UNSEEN = /[\p{Default_Ignorable_Code_Point}\p{Mn}\p{Me}\ufff9-\ufffb\u2800\u{13430}-\u{1343f}]/u
const SPACE = /[\p{Zs}\u0085\u2028\u2029]/u
const SPACING_MARK = /^ [\p{Mn}\p{Me}]+$/u
const LETTER_OR_DIGIT = /[\p{L}\p{N}\p{Mc}]/u

/** What ASCII a code point reads as: '' for what nobody sees, '\x1a' or '\x1f' for what has none. Keeps case. ASCII is itself. */
export function asciiOf(codePoint: number): string {
  const reading = readingOf(codePoint)
  if (reading === DROPPED) return ''
  return reading >= SEVERAL ? longer[reading - SEVERAL] : String.fromCharCode(reading - 1)
}

function readingOf(codePoint: number): number {
  if (codePoint >= REMEMBERED_END) {
    if (codePoint < 0x40000) return LETTER_READING
    return codePoint >= 0xe0000 && codePoint <= 0xe0fff ? DROPPED : SIGN_READING
  }
  const known = remembered[codePoint]
  if (known !== 0) return known
  const ascii = read(codePoint)
  let reading = DROPPED
  if (ascii.length === 1) reading = ascii.charCodeAt(0) + 1
  else if (ascii.length > 1) {
    const index = longer.indexOf(ascii)
    reading = SEVERAL + (index < 0 ? longer.push(ascii) - 1 : index)
  }
  remembered[codePoint] = reading
  return reading
}

function read(codePoint: number): string {
  const character = String.fromCodePoint(codePoint)
  if (codePoint < 0x80) return character
  const alike = LOOK_ALIKES.get(codePoint)
  if (alike !== undefined) return alike
  if (UNSEEN.test(character)) return ''
  if (SPACE.test(character)) return ' '
  if (/\p{Pd}/u.test(character)) return '-'
  if (/\p{Nd}/u.test(character)) return digitOf(codePoint)
  const parts = character.normalize('NFKD')
  if (parts !== character) return readParts(parts)
  return String.fromCharCode(LETTER_OR_DIGIT.test(character) ? LETTER : SIGN)
}

/** Unicode has the digits of a script in order from zero to nine, and puts nothing but more tens of digits directly beside them. */
function digitOf(codePoint: number): string {
  let zero = codePoint
  while (/\p{Nd}/u.test(String.fromCodePoint(zero - 1))) zero--
  return String((codePoint - zero) % 10)
}

/** What a character decomposes into, without the brackets, full stops and commas that enclose a number or letter. */
function readParts(parts: string): string {
  if (SPACING_MARK.test(parts)) return String.fromCharCode(SIGN)
  const ascii = Array.from(parts, (part) => asciiOf(part.codePointAt(0) ?? 0)).join('')
  const bare = ascii.replace(/^\((.+)\)$/, '$1').replace(/^(\d+)[.,]$/, '$1')
  if (/[!-~]/.test(bare)) return bare.replace(/\x1a+/g, '\x1a')
  return bare.includes('\x1a') ? '\x1a' : bare.slice(0, 1)
}

/** The view of bytes[from..to), which are UTF-8 and may be broken or cut: what is no character is a SIGN. Null where all is ASCII and reads as it is. */
export function foldedView(bytes: Buffer, from: number, to: number): View | null {
  if (isAscii(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to))) return null
  const map = new SourceMap()
  let text = Buffer.allocUnsafe(to - from)
  let length = 0
  let shape = 0
  let at = from
  while (at < to) {
    if (bytes[at] < 0x80) {
      if (shape !== ASCII_SHAPE) map.run(length, at, 1, 1)
      shape = ASCII_SHAPE
      const end = copyAscii(bytes, at, to, text, length)
      length += end - at
      at = end
      continue
    }
    const character = characterAt(bytes, at, to)
    const codePoint = character >> 3
    const size = character & 7
    const reading = (codePoint < REMEMBERED_END && remembered[codePoint]) || readingOf(codePoint)
    const several = reading >= SEVERAL ? longer[reading - SEVERAL] : ''
    const characters = reading < DROPPED ? 1 : several.length
    if (shape !== ((size << 4) | characters)) map.run(length, at, size, characters)
    shape = (size << 4) | characters
    at += size
    if (reading < DROPPED) text[length++] = reading - 1
    else if (characters > 0) {
      // Whatever is left fits if each of its bytes becomes one character at most.
      if (length + characters + (to - at) > text.length) {
        const larger = Buffer.allocUnsafe(CHARACTERS_PER_BYTE_MAX * (to - from))
        text.copy(larger, 0, 0, length)
        text = larger
      }
      length += text.write(several, length, 'latin1')
    }
  }
  return { text: text.subarray(0, length), origin: (start, end) => map.origin(start, end) }
}

/** The shape of a run: the bytes of each character, times 16, and what it has in the view. */
const ASCII_SHAPE = 0x11

/** Copies ASCII up to the next byte that is none, and says where that is. */
function copyAscii(bytes: Buffer, from: number, to: number, text: Buffer, length: number): number {
  let at = from
  for (let byte = bytes[at]; byte < 0x80; byte = bytes[at]) {
    text[length + at - from] = byte
    if (++at === to) break
  }
  return at
}

/**
 * The code point that begins at a byte outside ASCII, times 8, and how many bytes it takes. As decoders do it (WHATWG Encoding, 4.1), broken bytes are
 * U+FFFD: each beginning of a character that does not go on as one, and each byte that begins none.
 */
function characterAt(bytes: Buffer, at: number, to: number): number {
  const first = bytes[at]
  const missing = first < 0xc2 || first > 0xf4 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3
  // The second byte of some is bounded further: no overlong forms, no surrogates, nothing above U+10FFFF.
  let low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  let high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  let codePoint = missing === 0 ? 0xfffd : first & (0x3f >> missing)
  let size = 1
  for (; size <= missing; size++) {
    const byte = at + size < to ? bytes[at + size] : 0
    if (byte < low || byte > high) {
      codePoint = 0xfffd
      break
    }
    codePoint = (codePoint << 6) | (byte & 0x3f)
    low = 0x80
    high = 0xbf
  }
  return (codePoint << 3) | size
}

/** Fewer hidden characters than this say nothing: the flag of Scotland has five tags. */
export const HIDDEN_MIN = 6

/**
 * The hidden texts: what is spelled in tag characters (U+E0020 to U+E007E), and what the variation selectors say when each stands for a byte (U+FE00 to
 * U+FE0F for 0 to 15, U+E0100 to U+E01EF for the others). U+FE0E and U+FE0F are left out: they choose how emoji look, and no text has the bytes 14 and 15.
 */
export function hiddenViews(bytes: Buffer, from: number, to: number): View[] {
  const part = bytes.subarray(from, to)
  if (isAscii(part)) return []
  const views: View[] = []
  const above = part.includes(PLANE_14)
  const tags = above ? hiddenView(bytes, from, to, tagAt) : null
  if (tags !== null) views.push(tags)
  const selectors = above || part.includes(SELECTORS) ? hiddenView(bytes, from, to, selectorAt) : null
  if (selectors !== null) views.push(selectors)
  return views
}

/** The first two bytes of all tags and of the selectors from U+E0100 on, and of the selectors from U+FE00 on. */
const PLANE_14 = Buffer.from([0xf3, 0xa0])
const SELECTORS = Buffer.from([0xef, 0xb8])

/** The byte that the character at a position stands for, or -1. */
type HiddenAt = (bytes: Buffer, at: number) => number

const tagAt: HiddenAt = (bytes, at) => {
  const tag = plane14At(bytes, at)
  return tag >= 0x20 && tag <= 0x7e ? tag : -1
}

const selectorAt: HiddenAt = (bytes, at) => {
  if (bytes[at] === 0xef) return bytes[at + 1] === 0xb8 && bytes[at + 2] >= 0x80 && bytes[at + 2] <= 0x8d ? bytes[at + 2] & 0xf : -1
  const selector = plane14At(bytes, at)
  return selector >= 0x100 && selector <= 0x1ef ? selector - 0xf0 : -1
}

/** How far above U+E0000 the character is, -1 for one elsewhere. */
function plane14At(bytes: Buffer, at: number): number {
  if (bytes[at] !== 0xf3 || bytes[at + 1] !== 0xa0 || bytes[at + 2] >> 6 !== 2 || bytes[at + 3] >> 6 !== 2) return -1
  return ((bytes[at + 2] & 0x3f) << 6) | (bytes[at + 3] & 0x3f)
}

function hiddenView(bytes: Buffer, from: number, to: number, hiddenAt: HiddenAt): View | null {
  const found: number[] = []
  const map = new SourceMap()
  let runEnd = -1
  let runSize = 0
  for (let at = from; at < to; at++) {
    const size = bytes[at] === 0xf3 ? 4 : bytes[at] === 0xef ? 3 : 0
    if (size === 0 || at + size > to) continue
    const hidden = hiddenAt(bytes, at)
    if (hidden < 0) continue
    if (at !== runEnd || size !== runSize) map.run(found.length, at, size, 1)
    found.push(hidden)
    runSize = size
    runEnd = at + size
    at = runEnd - 1
  }
  return found.length < HIDDEN_MIN ? null : { text: Buffer.from(found), origin: (start, end) => map.origin(start, end) }
}
