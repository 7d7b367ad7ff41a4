/**
 * Takes a body of multipart/form-data (RFC 7578, RFC 2046) apart where it lies. What two parsers could read in two ways is refused, because the
 * provider's must see the very fields and files that were judged.
 */
import { isUtf8 } from 'node:buffer'
import { UnreadableCall } from '../dialect.ts'
import { within } from './gathering.ts'

export interface Part {
  /** Counted from 1, over fields and files alike. */
  number: number
  name: string
  /** Null where the part is no file. */
  filename: string | null
  /** The media type as it came; '' where none did. */
  type: string
  /** Where its headers lie, and everything they say: names, types, and whatever else somebody wrote there. */
  headers: { start: number; end: number; says: readonly string[] }
  /** Where its content lies. */
  start: number
  end: number
}

const PARTS_MAX = 256
/** Of one part, all together. */
const HEADER_BYTES_MAX = 4096
const HEADERS_MAX = 8
const CRLF = Buffer.from('\r\n')
const END_OF_HEADERS = Buffer.from('\r\n\r\n')

/** The parts in their order. Throws UnreadableCall, whose message says what is wrong and never quotes the body. */
export function splitForm(body: Buffer, contentType: string): Part[] {
  const delimiter = Buffer.from(`--${boundaryOf(contentType)}`)
  if (!isAt(body, 0, delimiter)) fail('The body must begin with its boundary.')
  const parts: Part[] = []
  let at = delimiter.length
  while (!isAt(body, at, DASHES)) {
    if (!isAt(body, at, CRLF)) fail('A boundary must be followed by a line break (CRLF), and must not stand in a content.')
    if (parts.length === PARTS_MAX) fail(`The form has more than ${PARTS_MAX} parts.`)
    const start = at + CRLF.length
    const next = body.indexOf(delimiter, start)
    if (next < 0) fail('The form lacks its last boundary.')
    if (!isAt(body, next - CRLF.length, CRLF)) fail('A boundary must stand on a line of its own (CRLF), and must not stand in a content.')
    parts.push(within(`part ${parts.length + 1}`, () => readPart(body, start, next - CRLF.length, parts.length + 1)))
    at = next + delimiter.length
  }
  at += DASHES.length
  if (at !== body.length && !(isAt(body, at, CRLF) && at + CRLF.length === body.length)) fail('The form goes on after its last boundary.')
  return parts
}

const DASHES = Buffer.from('--')
const isAt = (bytes: Buffer, at: number, word: Buffer): boolean => bytes.compare(word, 0, word.length, at, Math.min(bytes.length, at + word.length)) === 0

function fail(message: string): never {
  throw new UnreadableCall(message, '')
}

const TOKEN = /[!#$%&'*+.^`|~\w-]+/.source
const PARAMETER = new RegExp(` *; *(${TOKEN})=(?:(${TOKEN})|"([^"\\\\]*)")`)

/** `type; name=value; name="value"` in its parts, names in small letters; null for anything else, and for a name that stands there twice. */
function parameters(value: string): { type: string; named: Map<string, string> } | null {
  const [type] = value.split(';', 1)
  const named = new Map<string, string>()
  const next = new RegExp(PARAMETER, 'y')
  next.lastIndex = type.trimEnd().length
  while (next.lastIndex < value.length) {
    const [, name, token, quoted] = next.exec(value) ?? []
    if (name === undefined || named.has(name.toLowerCase())) return null
    named.set(name.toLowerCase(), token ?? quoted)
  }
  return { type: type.trim().toLowerCase(), named }
}

/** RFC 2046, 5.1.1. */
const BOUNDARY = /^[\w'()+,\-./:=? ]{0,69}[\w'()+,\-./:=?]$/

function boundaryOf(contentType: string): string {
  const read = parameters(contentType.trim())
  const boundary = read?.named.get('boundary')
  if (!read || boundary === undefined || !BOUNDARY.test(boundary)) fail('The content type of a form must give its boundary, once, of 1 to 70 characters.')
  for (const name of read.named.keys()) if (name !== 'boundary' && name !== 'charset') fail('The content type of a form may say its boundary and charset only.')
  return boundary
}

function readPart(body: Buffer, start: number, end: number, number: number): Part {
  const stop = body.indexOf(END_OF_HEADERS, start)
  if (stop < 0 || stop + END_OF_HEADERS.length > end) fail('Its headers do not end with an empty line (CRLF).')
  if (stop - start > HEADER_BYTES_MAX) fail(`Its headers are longer than ${HEADER_BYTES_MAX} bytes.`)
  const headers = readHeaders(body.subarray(start, stop))
  const { name, filename, says } = readDisposition(headers.get('content-disposition'))
  const type = headers.get('content-type') ?? ''
  checkType(type)
  const content = { start: stop + END_OF_HEADERS.length, end }
  if (!/^(?:binary|8bit|7bit)$/i.test(headers.get('content-transfer-encoding') ?? 'binary')) fail('Its content must not be encoded for transfer.')
  if ((headers.get('content-length') ?? String(content.end - content.start)) !== String(content.end - content.start))
    fail('Its content has not the length it claims.')
  if (headers.has('content-encoding')) fail('Its content must not be compressed.')
  if (name === '_charset_' && !/^utf-?8$/i.test(body.toString('latin1', content.start, content.end))) fail('The form must be in UTF-8.')
  const others = [...headers].filter(([header]) => !READ.has(header)).map(([header, value]) => `${header}: ${value}`)
  return { number, name, filename, type, headers: { start, end: stop, says: [...says, ...(type === '' ? [] : [type]), ...others] }, ...content }
}

/** Headers whose every word is known once they are read; what stands in others is text. */
const READ = new Set(['content-disposition', 'content-type', 'content-length', 'content-transfer-encoding'])
const HEADER = new RegExp(`^(${TOKEN}):[ \\t]*([^\\0-\\x1f\\x7f]*)$`)

/** By name in small letters. Refuses folded lines, lone CR and LF, and a name that stands there twice. */
function readHeaders(bytes: Buffer): Map<string, string> {
  if (!isUtf8(bytes)) fail('Its headers are not valid UTF-8.')
  const headers = new Map<string, string>()
  for (const line of bytes.toString().split('\r\n')) {
    const [, name, value] = HEADER.exec(line) ?? []
    if (name === undefined) fail('One of its headers is malformed.')
    if (headers.has(name.toLowerCase())) fail('One of its headers stands there twice.')
    if (headers.size === HEADERS_MAX) fail(`It has more than ${HEADERS_MAX} headers.`)
    headers.set(name.toLowerCase(), value.trimEnd())
  }
  return headers
}

const DISPOSITION = /^form-data(?: *; *(?:name|filename)="[^"\\]*"| *; *filename\*=[\w'%!#$&+.^`|~-]+)+$/i
const EXTENDED = /^utf-8'[\w-]*'(.*)$/i

/** Values without quotes and values with backslashes are read differently by every parser; client libraries write neither. */
function readDisposition(value = ''): { name: string; filename: string | null; says: string[] } {
  const read = DISPOSITION.test(value) ? parameters(value) : null
  const name = read?.named.get('name') ?? ''
  if (!read || name === '') fail('It needs one content-disposition: form-data; name="…"; filename="…", each at most once, in quotes, without backslashes.')
  const filename = read.named.get('filename') ?? null
  const extended = read.named.get('filename*')
  const says = [name, ...(filename === null ? [] : [filename])].flatMap((text) => [text, decoded(text)])
  if (extended !== undefined) {
    const encoded = EXTENDED.exec(extended)?.[1]
    const text = encoded === undefined ? null : decoded(encoded)
    if (filename === null || text === null) fail('A filename* must be in UTF-8 and stand beside a filename.')
    says.push(text)
  }
  return { name, filename, says: [...new Set(says)].filter((text) => text !== null && text !== '') as string[] }
}

/** Browsers write quotes and line breaks in names with percent signs (HTML, multipart/form-data). Null for what is no such encoding. */
function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

function checkType(type: string): void {
  if (type === '') return
  const read = parameters(type)
  if (!read || !/^[\w.+-]+\/[\w.+-]+$/.test(read.type)) fail('Its content type is malformed.')
  if (!/^utf-?8$/i.test(read.named.get('charset') ?? 'utf-8')) fail('It must be in UTF-8.')
  if (read.type.startsWith('multipart/')) fail('A form within a form is not taken.')
}
