/**
 * Tells media and ciphertext, which no rule can read, from text. What only claims to be base64 is text and is judged, and so is base64 of a text
 * format: "opaque" must not be a place to hide a prompt.
 */
import type { Role } from '../call.ts'
import type { Mark } from './dialect.ts'
import type { Json } from './json.ts'

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
  if (json.isString(node)) mark(node, isBase64(json.bytes, json.start(node), json.end(node)) ? 'opaque' : otherwise)
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
  mark(node, isMediaUri(json.bytes, start, end) || isBase64(json.bytes, start, end) ? 'opaque' : 'other')
}

function isMediaUri(bytes: Buffer, start: number, end: number): boolean {
  if ((bytes[start] | 0x20) !== 0x64) return false
  const limit = Math.min(end, start + DATA_HEADER_BYTES_MAX)
  let comma = start
  while (comma < limit && bytes[comma] !== COMMA) comma++
  if (comma === limit) return false
  const header = bytes.toString('latin1', start, comma).replaceAll('\\/', '/').toLowerCase()
  const type = dataHeader.exec(header)?.[1]
  return type !== undefined && !isTextType(type) && isBase64(bytes, comma + 1, end)
}

const alphabet = new Uint8Array(256)
for (const letter of Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_')) alphabet[letter] = 1

/** RFC 4648, both alphabets, padding optional, and long enough. Some clients write the slash as `\/`; any other escape makes it text. */
function isBase64(bytes: Buffer, start: number, end: number): boolean {
  if (end - start < BASE64_BYTES_MIN) return false
  let stop = end
  while (end - stop < PADDING_MAX && bytes[stop - 1] === EQUALS) stop--
  const known = alphabet
  for (let i = start; ; i += 2) {
    while (i < stop && known[bytes[i]] === 1) i++
    if (i >= stop) return true
    if (bytes[i] !== BACKSLASH || bytes[i + 1] !== SLASH) return false
  }
}
