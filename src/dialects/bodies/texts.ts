/** Between the bytes of a body and the text that rules read: gathering, decoding, finding the way back, and cutting. */
import { type Role, roles, type TextSlot, type Texts } from '../../call.ts'
import type { Mark } from '../dialect.ts'
import { hex, type Json, KEY_LABEL, NONE } from './json.ts'

export interface Edit {
  start: number
  end: number
  put: Buffer
}

/** Labels on the tape: 0 is a string nobody marked. */
const labels = Object.fromEntries(roles.map((role, index) => [role, index + 1])) as Readonly<Record<Role, number>>
const OPAQUE = labels.opaque
const SEALED = labels.sealed
const isPrompt = [false, ...roles.map((role) => role === 'user' || role === 'assistant' || role === 'system' || role === 'tool_result')]

/**
 * Gathers every string of a body as text. `read` lets a dialect say what the strings are; the first word about a string stands. First come the
 * texts of the messages in the order they were marked, up to `promptEnd`; then every other string in the order of the bytes: what was marked
 * otherwise, what was not marked ('other'), and the members' names that no format knows ('protocol'); then the long numbers that are no strings, in
 * whose place no placeholder fits ('protocol'). Opaque and sealed strings are only counted, and so
 * is an array that is marked opaque (a prompt as a list of token numbers).
 */
export function collect(json: Json, read: (mark: Mark) => void): Texts {
  const { bytes } = json
  const nodes: number[] = []
  let bytesMax = 0
  let opaqueBytes = 0
  let sealedBytes = 0
  read((node, role) => {
    if (role === 'opaque' && json.isArray(node)) opaqueBytes += json.bytesOf(node)
    if (!json.isString(node) || json.isKey(node) || json.label(node) !== 0) return
    const label = labels[role]
    json.setLabel(node, label)
    if (!isPrompt[label]) return
    nodes.push(node)
    bytesMax += json.end(node) - json.start(node) + 1
  })
  const prompts = nodes.length
  json.eachString((node, label) => {
    const size = json.end(node) - json.start(node)
    if (label === OPAQUE) opaqueBytes += size
    else if (label === SEALED) sealedBytes += size
    else if (label === KEY_LABEL || !isPrompt[label]) {
      nodes.push(node)
      bytesMax += size + 1
    }
  })
  const numbers: number[] = []
  json.eachLongNumber((node) => {
    numbers.push(node)
    bytesMax += json.bytesOf(node) + 1
  })

  const text = Buffer.allocUnsafe(bytesMax)
  const slots: TextSlot[] = []
  let to = 0
  let promptEnd = 0
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i]
    const start = json.start(node)
    const end = json.end(node)
    const escaped = json.isEscaped(node)
    if (i > 0) text[to++] = 0x0a
    const from = to
    to = decode(bytes, start, end, escaped, text, from)
    const label = json.isKey(node) ? labels.protocol : json.label(node)
    slots.push({ role: label === 0 ? 'other' : roles[label - 1], start, end, escaped, from, to })
    if (i + 1 === prompts) promptEnd = to
  }
  for (const node of numbers) {
    const { start, end } = json.rangeOf(node)
    if (slots.length > 0) text[to++] = 0x0a
    const from = to
    to += bytes.copy(text, from, start, end)
    slots.push({ role: 'protocol', start, end, escaped: false, from, to })
  }
  return { slots, text: text.subarray(0, to), promptEnd, opaqueBytes, sealedBytes }
}

/** Texts without any. */
export const NO_TEXTS: Texts = { slots: [], text: Buffer.alloc(0), promptEnd: 0, opaqueBytes: 0, sealedBytes: 0 }

/** What lies in the bytes as it is, as one text. Its flat text is all the bytes: where it is not all of them, it is to be joined. */
export const rawText = (bytes: Buffer, start: number, end: number, role: Role): Texts => ({
  ...NO_TEXTS,
  slots: [{ role, start, end, escaped: false, from: start, to: end }],
  text: bytes,
})

/** What a stretch of the body says in other bytes than its own, where a placeholder has no place. */
export function retoldText(text: string, { start, end }: { start: number; end: number }): Texts {
  const bytes = Buffer.from(text)
  return { ...NO_TEXTS, slots: [{ role: 'protocol', start, end, escaped: false, from: 0, to: bytes.length }], text: bytes }
}

/** The texts of several places of one body as those of one: first what all say in messages, in the order of the parts, then the rest of all. */
export function joinTexts(parts: readonly Texts[]): Texts {
  let bytesMax = 0
  let opaqueBytes = 0
  let sealedBytes = 0
  for (const part of parts) {
    opaqueBytes += part.opaqueBytes
    sealedBytes += part.sealedBytes
    for (const { from, to } of part.slots) bytesMax += to - from + 1
  }
  const text = Buffer.allocUnsafe(bytesMax)
  const slots: TextSlot[] = []
  let to = 0
  const append = (prompts: boolean): void => {
    for (const part of parts)
      for (const slot of part.slots) {
        if (isPrompt[labels[slot.role]] !== prompts) continue
        if (slots.length > 0) text[to++] = 0x0a
        const from = to
        to += part.text.copy(text, from, slot.from, slot.to)
        slots.push({ ...slot, from, to })
      }
  }
  append(true)
  const promptEnd = to
  append(false)
  return { slots, text: text.subarray(0, to), promptEnd, opaqueBytes, sealedBytes }
}

const SHORT = 64
const LONG = 256

/**
 * Writes the decoded bytes of a JSON string (`start` to `end`, between the quotes) and returns where they end. `out` needs room for the bytes as
 * they are written, of which the decoded ones are never more; with less it throws a RangeError.
 */
export function decode(bytes: Buffer, start: number, end: number, escaped: boolean, out: Buffer, to: number): number {
  const room = end - start
  if (out.length - to < room) throw new RangeError('There is no room for the decoded text.')
  if (!escaped && room > SHORT) return to + bytes.copy(out, to, start, end)
  // The engine's own unescaping is two and a half times as fast as a loop, once its two calls are paid for.
  if (escaped && room > LONG) return to + out.write(JSON.parse(bytes.toString('utf8', start - 1, end + 1)) as string, to, room)
  for (let i = start; i < end; i++) {
    const byte = bytes[i]
    if (byte !== 0x5c) {
      out[to++] = byte
      continue
    }
    const kind = bytes[++i]
    if (kind !== 0x75) {
      out[to++] = simple[kind]
      continue
    }
    const code = codePointAt(bytes, i - 1)
    i += code > 0xffff ? 10 : 4
    to = put(code, out, to)
  }
  return to
}

/** Where in the body the decoded byte at `position` of the joined text begins (an escape is one piece, however many bytes it means). */
export function locate(bytes: Buffer, slot: TextSlot, position: number): number {
  if (!slot.escaped) return slot.start + position - slot.from
  let at = slot.from
  let i = slot.start
  while (i < slot.end && at < position) {
    if (bytes[i] !== 0x5c) {
      at++
      i++
      continue
    }
    const code = codePointAt(bytes, i)
    i += escapeLength(code, bytes[i + 1])
    at += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
  }
  return i
}

/** Replaces what the edits name and copies every other byte as it is. Edits come in order and do not overlap. */
export function splice(bytes: Buffer, edits: readonly Edit[]): Buffer {
  if (edits.length === 0) return bytes
  const parts: Buffer[] = []
  let at = 0
  for (const { start, end, put: replacement } of edits) {
    parts.push(bytes.subarray(at, start), replacement)
    at = end
  }
  parts.push(bytes.subarray(at))
  return Buffer.concat(parts)
}

/**
 * Names the place of the string that holds the byte at `offset`, such as `messages[2].content[0].text`; a member's name has the path of its
 * member. A name that no format knows is written `*`, because it may itself be text of a call. '' where there is no string.
 */
export function pathAt(json: Json, offset: number): string {
  const holds = (node: number): boolean => offset < json.tape[node + 1]
  let path = ''
  let node = 0
  for (;;) {
    if (json.isObject(node)) {
      let key = json.firstMember(node)
      while (key !== NONE && !holds(json.value(key))) key = json.next(key)
      if (key === NONE) return ''
      path += `${path === '' ? '' : '.'}${json.name(key) || '*'}`
      node = holds(key) ? key : json.value(key)
    } else if (json.isArray(node)) {
      let item = json.firstItem(node)
      let index = 0
      for (; item !== NONE && !holds(item); index++) item = json.next(item)
      if (item === NONE) return ''
      path += `[${index}]`
      node = item
    } else return offset >= json.tape[node] && holds(node) ? path : ''
  }
}

const unit = (bytes: Buffer, i: number): number => (hex(bytes[i]) << 12) | (hex(bytes[i + 1]) << 8) | (hex(bytes[i + 2]) << 4) | hex(bytes[i + 3])

const simple = new Uint8Array(128).map((_, byte) => ({ 98: 8, 102: 12, 110: 10, 114: 13, 116: 9 })[byte] ?? byte)

/** The code point of the escape at i. The reader has refused half surrogate pairs; here one would read as U+FFFD. */
function codePointAt(bytes: Buffer, i: number): number {
  if (bytes[i + 1] !== 0x75) return simple[bytes[i + 1]]
  const high = unit(bytes, i + 2)
  if (high < 0xd800 || high > 0xdfff) return high
  const low = high < 0xdc00 && bytes[i + 6] === 0x5c && bytes[i + 7] === 0x75 ? unit(bytes, i + 8) : 0
  return low >= 0xdc00 && low <= 0xdfff ? 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00) : 0xfffd
}

const escapeLength = (code: number, kind: number): number => (kind !== 0x75 ? 2 : code > 0xffff ? 12 : 6)

function put(code: number, out: Buffer, to: number): number {
  if (code < 0x80) out[to++] = code
  else if (code < 0x800) {
    out[to++] = 0xc0 | (code >> 6)
    out[to++] = 0x80 | (code & 63)
  } else if (code < 0x10000) {
    out[to++] = 0xe0 | (code >> 12)
    out[to++] = 0x80 | ((code >> 6) & 63)
    out[to++] = 0x80 | (code & 63)
  } else {
    out[to++] = 0xf0 | (code >> 18)
    out[to++] = 0x80 | ((code >> 12) & 63)
    out[to++] = 0x80 | ((code >> 6) & 63)
    out[to++] = 0x80 | (code & 63)
  }
  return to
}
