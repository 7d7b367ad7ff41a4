/** Finds the text in bytes that say they are something else: neither a character set nor base64 is a place to hide a prompt. */
import { isUtf8 } from 'node:buffer'

/** A tenth of what is compressed or encrypted are control characters; a text has none, or the few that somebody put there. */
const CONTROLS_SHARE_MAX = 1 / 16
/** What is no text shows it at once: so much is looked at before the rest is. */
export const SAMPLE_BYTES = 64 << 10
/** A character of UTF-8 that was cut in two leaves at most so many bytes. */
const CUT_BYTES_MAX = 3
/** A file of this format is no text to any reader, however few of its bytes are compressed. */
const PDF = Buffer.from('%PDF-')

/** UTF-8 without the control characters that no text has. */
export const isText = (bytes: Buffer): boolean => isUtf8(bytes) && !/[\0-\x08\x0e-\x1a\x1c-\x1f]/.test(bytes.toString('latin1'))

/**
 * What bytes say in UTF-8 (also where a character is cut in two at their ends), UTF-16 or a character set of one byte each (read as Latin-1); null
 * for what is no text.
 */
export function textIn(bytes: Buffer): string | null {
  if (bytes.length === 0 || bytes.subarray(0, PDF.length).equals(PDF)) return null
  const wide = utf16Of(bytes)
  if (wide !== null) return new TextDecoder(wide).decode(bytes)
  if (!hasFewControls(bytes.subarray(0, SAMPLE_BYTES)) || !hasFewControls(bytes)) return null
  const whole = withoutCutEnds(bytes)
  return isUtf8(whole) ? whole.toString() : bytes.toString('latin1')
}

const isControl = new Uint8Array(256).map((_, byte) => Number(byte < 0x09 || (byte > 0x0d && byte < 0x20 && byte !== 0x1b) || byte === 0x7f))

function hasFewControls(bytes: Buffer): boolean {
  let controls = 0
  for (let i = 0; i < bytes.length; i++) controls += isControl[bytes[i]]
  return controls <= bytes.length * CONTROLS_SHARE_MAX
}

/** By its byte order mark, or by its ASCII characters, of whose two bytes always the same one is zero. */
function utf16Of(bytes: Buffer): 'utf-16le' | 'utf-16be' | null {
  if (bytes.length % 2 === 0 && bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le'
  if (bytes.length % 2 === 0 && bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be'
  if (isAsciiBeforeZeros(bytes, 0)) return 'utf-16le'
  return isAsciiBeforeZeros(bytes, 1) ? 'utf-16be' : null
}

/** Whether most pairs are an ASCII character (at `lane` 0 or 1) and a zero, and hardly any has a control character in its place. */
function isAsciiBeforeZeros(bytes: Buffer, lane: number): boolean {
  const pairs = Math.min(bytes.length, SAMPLE_BYTES) >> 1
  let found = 0
  let controls = 0
  for (let i = 0; i < pairs; i++) {
    const byte = bytes[2 * i + lane]
    controls += isControl[byte]
    if (bytes[2 * i + 1 - lane] === 0 && isControl[byte] === 0) found++
  }
  return found * 2 > pairs && controls <= pairs * CONTROLS_SHARE_MAX
}

/** Without what a cut through a character leaves: bytes that go on with one at the beginning, one that is not gone on with at the end. */
function withoutCutEnds(bytes: Buffer): Buffer {
  let start = 0
  while (start < CUT_BYTES_MAX && isContinuation(bytes[start])) start++
  let end = bytes.length
  while (bytes.length - end < CUT_BYTES_MAX && isContinuation(bytes[end - 1])) end--
  const lead = bytes[end - 1]
  const size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1
  return bytes.subarray(start, size > 1 && bytes.length - end + 1 < size ? end - 1 : bytes.length)
}
const isContinuation = (byte: number): boolean => byte >= 0x80 && byte < 0xc0
