/**
 * Tells media and ciphertext, which no rule can read, from text. What only claims to be base64 is text and is judged, and so is base64 of a text
 * format: "opaque" must not be a place to hide a prompt.
 */
import type { Role } from '../../call.ts'
import type { Mark } from '../dialect.ts'
import type { Json } from './json.ts'
import { isText, SAMPLE_BYTES, textIn } from './text-bytes.ts'

/** No type with its parameters is longer; beyond it a data URI is read as text. */
const DATA_HEADER_BYTES_MAX = 256
/** What is shorter is no picture, sound, file or seal of any provider, but may well be a number that a rule looks for: it is text. */
export const BASE64_BYTES_MIN = 128
const COMMA = 0x2c
const BACKSLASH = 0x5c
const SLASH = 0x2f
const EQUALS = 0x3d
const PADDING_MAX = 2

/** RFC 2397, as far as it is binary: a type, perhaps parameters that media have (a file's name is text), and base64. */
const dataHeader = /^data:([a-z]+\/[a-z0-9.+_-]+)(?:;(?:codecs|rate|channels|version)=[a-z0-9.+_-]*)*;base64$/
const textTypes =
  /^text\/|[/+](?:json|json5|jsonl|x-ndjson|ndjson|xml|yaml|x-yaml|toml|sql|csv|rtf|javascript|x-javascript|ecmascript|typescript|x-sh|x-httpd-php|x-www-form-urlencoded)$/

/** Media types whose bytes are text, also where they are sent as base64. */
export const isTextType = (type: string): boolean => textTypes.test(type.toLowerCase())

/** A string that should be base64 of something that is not text: opaque if it is base64 of some length, else what `otherwise` says. */
export function markBase64(json: Json, node: number, mark: Mark, otherwise: Role = 'other'): void {
  if (json.isString(node)) mark(node, isMedia(json.bytes, json.start(node), json.end(node)) ? 'opaque' : otherwise)
}

/** A string that should be ciphertext, which only its provider can read: sealed if it is base64 of some length, else text like any other. */
export function markSealed(json: Json, node: number, mark: Mark): void {
  if (json.isString(node)) mark(node, isBase64(json.bytes, json.start(node), json.end(node)) ? 'sealed' : 'other')
}

/** A string that may be a data URI: opaque if it holds media, else what `otherwise` says (an https URL is text). */
export function markDataUri(json: Json, node: number, mark: Mark, otherwise: Role = 'other'): void {
  if (json.isString(node)) mark(node, isMediaUri(json.bytes, json.start(node), json.end(node)) ? 'opaque' : otherwise)
}

/** The same for a place where clients put either a data URI or bare base64. */
export function markDataUriOrBase64(json: Json, node: number, mark: Mark): void {
  if (!json.isString(node)) return
  const start = json.start(node)
  const end = json.end(node)
  mark(node, isMediaUri(json.bytes, start, end) || isMedia(json.bytes, start, end) ? 'opaque' : 'other')
}

function isMediaUri(bytes: Buffer, start: number, end: number): boolean {
  const header = headerOf(bytes, start, end)
  const type = header && dataHeader.exec(header)?.[1]
  return !!type && !isTextType(type) && isMedia(bytes, bytes.indexOf(COMMA, start) + 1, end)
}

/** What stands before the comma of a data URI, in small letters; null where there is none. */
function headerOf(bytes: Buffer, start: number, end: number): string | null {
  if ((bytes[start] | 0x20) !== 0x64) return null
  const limit = Math.min(end, start + DATA_HEADER_BYTES_MAX)
  let comma = start
  while (comma < limit && bytes[comma] !== COMMA) comma++
  const header = comma === limit ? '' : bytes.toString('latin1', start, comma).replaceAll('\\/', '/').toLowerCase()
  return header.startsWith('data:') ? header : null
}

/** Base64 of some length, and of no text, whatever its type says. */
const isMedia = (bytes: Buffer, start: number, end: number): boolean => isBase64(bytes, start, end) && textInBase64(bytes, start, end) === null

/** What of base64 is decoded to see whether it is a text at all. */
const SAMPLE_CHARACTERS = Math.ceil(SAMPLE_BYTES / 3) * 4

function textInBase64(bytes: Buffer, start: number, end: number): string | null {
  if (end - start > SAMPLE_CHARACTERS && textIn(decoded(bytes, start, start + SAMPLE_CHARACTERS)) === null) return null
  return textIn(decoded(bytes, start, end))
}
const decoded = (bytes: Buffer, start: number, end: number): Buffer => Buffer.from(bytes.toString('latin1', start, end).replaceAll('\\/', '/'), 'base64')

/** Below it, nearly every word would be base64 of something. */
const BARE_BASE64_BYTES_MIN = 16

/**
 * What a string (its decoded bytes) says where it is a data URI or base64 of a text; null where it is neither. Base64 that is too short to be media
 * counts only where it is of UTF-8, because most words are base64 of a few bytes.
 */
export function textEncodedIn(bytes: Buffer, start: number, end: number): string | null {
  const header = headerOf(bytes, start, end)
  if (header === null) {
    const bare = inOneLine(bytes.subarray(start, end))
    if (bare.length < BARE_BASE64_BYTES_MIN || !isOfAlphabet(bare, 0, bare.length)) return null
    return bare.length < BASE64_BYTES_MIN && !isText(decoded(bare, 0, bare.length)) ? null : textInBase64(bare, 0, bare.length)
  }
  const from = bytes.indexOf(COMMA, start) + 1
  // Parsers pass over what is not of the alphabet.
  if (header.endsWith(';base64')) return textInBase64(bytes, from, end)
  const data = bytes.toString('utf8', from, end)
  try {
    return decodeURIComponent(data)
  } catch {
    return data
  }
}

const alphabet = new Uint8Array(256)
for (const letter of Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_')) alphabet[letter] = 1

/** Long enough to be media. */
const isBase64 = (bytes: Buffer, start: number, end: number): boolean => end - start >= BASE64_BYTES_MIN && isOfAlphabet(bytes, start, end)

/** Without the line breaks of RFC 2045. */
const inOneLine = (bytes: Buffer): Buffer => (bytes.includes(LINE_FEED) ? Buffer.from(bytes.toString('latin1').replaceAll(/\r?\n/g, ''), 'latin1') : bytes)
const LINE_FEED = 0x0a

/** RFC 4648, both alphabets, padding optional. Some clients write the slash as `\/`; any other escape makes it text. */
function isOfAlphabet(bytes: Buffer, start: number, end: number): boolean {
  let stop = end
  while (end - stop < PADDING_MAX && bytes[stop - 1] === EQUALS) stop--
  const known = alphabet
  for (let i = start; ; i += 2) {
    while (i < stop && known[bytes[i]] === 1) i++
    if (i >= stop) return true
    if (bytes[i] !== BACKSLASH || bytes[i + 1] !== SLASH) return false
  }
}
