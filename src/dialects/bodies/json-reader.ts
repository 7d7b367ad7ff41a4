/**
 * Reads JSON in one strict pass: nothing is built, nothing is copied. What two parsers could read in two ways (repeated names above all) is refused.
 */
import { decodeString, hex, Json, layout, NONE } from './json.ts'
import { nameAt, nameOf, UNKNOWN_NAME } from './names.ts'

/** Bytes that are not JSON, or JSON that providers might read in different ways. The message names the byte and what is wrong, never the content. */
export class UnreadableJson extends Error {}

const DEPTH_MAX = 64
/** OpenAI takes 300,000 tokens in one call for embeddings, and some clients send each as a number. */
const NODES_MAX = 500_000
/** Up to here the names of an object are compared one by one. */
const LINEAR_KEYS_MAX = 16
/** A number of so many digits or fewer, without an exponent, is finite in every parser. */
const FINITE_DIGITS = 308
const FIRST_NODES = 1024

// Constants of this module, because an imported one is fetched anew wherever it is used, which costs the reader a tenth of its time.
const { WIDTH, NEXT, INFO, ESCAPED, KEY, LABEL_SHIFT } = layout

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** What a string cannot hold as it is: its end, an escape, and control characters. */
const special = new Uint8Array(256).fill(1, 0, 0x20)
special[QUOTE] = special[BACKSLASH] = 1

/** The letters of escapes that are of one letter. */
const isEscape = new Uint8Array(256)
for (const byte of Buffer.from('"\\/bfnrt')) isEscape[byte] = 1

/** Where the plain bytes of a string end that begin at `from`. A function by itself, which the engine compiles to a loop of five instructions. */
function endOfRun(bytes: Uint8Array, from: number, end: number): number {
  let i = from
  while (i < end && special[bytes[i]] === 0) i++
  return i
}

/** Longer strings are worth the engine's own reading, which costs copies: so much of one at a time, for which caches are large enough. */
const NATIVE_BYTES_MIN = 4 << 10
const NATIVE_PIECE_BYTES = 64 << 10

/** The same for the run behind a string's opening quote, which nearly always is the whole string: a long one the engine reads several bytes at a time. */
function endOfFirstRun(bytes: Buffer, from: number, end: number): number {
  const near = endOfRun(bytes, from, Math.min(end, from + NATIVE_BYTES_MIN))
  if (near < from + NATIVE_BYTES_MIN) return near
  const quote = bytes.indexOf(QUOTE, near)
  return quote >= 0 && quote < end && isPlain(bytes, near, quote) ? quote : endOfRun(bytes, near, end)
}

/** Whether bytes are neither escapes nor control characters: an escape is longer than what it stands for, and half of one, or a control character, is not read. */
function isPlain(bytes: Buffer, from: number, end: number): boolean {
  try {
    for (let at = from; at < end; at += NATIVE_PIECE_BYTES) {
      const piece = bytes.toString('latin1', at, Math.min(end, at + NATIVE_PIECE_BYTES))
      if ((JSON.parse(`"${piece}"`) as string).length !== piece.length) return false
    }
    return true
  } catch {
    return false
  }
}

export type JsonReader = (bytes: Buffer, start?: number, end?: number) => Json

/**
 * Makes a reader that accepts what RFC 8259 and JSON.parse accept, and refuses (throws UnreadableJson) a byte order mark, repeated names, however
 * they are spelled, escapes that are half a surrogate pair, numbers too large for a double, and bodies beyond the bounds above. Whether the bytes
 * are UTF-8 is for the caller to ask `isUtf8` beforehand.
 *
 * What a reader returns lies on its one tape and is good until it reads again: take what you need before you wait for anything.
 * (A tape of its own for each body would be an allocation outside the heap, as dear as the reading itself for a stream's events.)
 */
export function createJsonReader(): JsonReader {
  let bytes: Buffer = Buffer.alloc(0)
  let tape = new Int32Array(FIRST_NODES * WIDTH)
  let used = 0
  let at = 0
  let stop = 0

  return (source, start = 0, end = source.length) => {
    bytes = source
    used = 0
    at = start
    stop = end
    if (bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf) fail('begins with a byte order mark')
    value(0)
    space()
    if (at !== stop) fail('goes on after its end')
    return new Json(source, tape, used)
  }

  function fail(what: string): never {
    throw new UnreadableJson(`The body is not JSON that Earthflow accepts: it ${what} (byte ${at}).`)
  }

  function add(): number {
    if (used === tape.length) {
      if (used >= NODES_MAX * WIDTH) fail(`holds more than ${NODES_MAX} values`)
      const larger = new Int32Array(Math.min(tape.length * 2, NODES_MAX * WIDTH))
      larger.set(tape)
      tape = larger
    }
    const node = used
    used += WIDTH
    tape[node] = at
    tape[node + NEXT] = NONE
    tape[node + INFO] = 0
    return node
  }

  function space(): void {
    if (bytes[at] > 0x20) return
    for (let byte = bytes[at]; at < stop && (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09); byte = bytes[at]) at++
  }

  function value(depth: number): number {
    space()
    if (at >= stop) fail('ends too early')
    const node = add()
    switch (bytes[at]) {
      case QUOTE:
        string(node)
        break
      case 0x7b:
        members(node, depth)
        break
      case 0x5b:
        items(node, depth)
        break
      case 0x74:
        word('true')
        break
      case 0x66:
        word('false')
        break
      case 0x6e:
        word('null')
        break
      default:
        number()
    }
    tape[node + 1] = at
    return node
  }

  function string(node: number): void {
    const source = bytes
    const limit = stop
    let isEscaped = 0
    for (let i = endOfFirstRun(source, at + 1, limit); i < limit; i = endOfRun(source, i + 1, limit)) {
      const byte = source[i]
      if (byte === QUOTE) {
        tape[node + INFO] |= isEscaped
        at = i + 1
        return
      }
      if (byte === BACKSLASH) {
        isEscaped = ESCAPED
        // Nearly all are of one letter.
        i = i + 1 < limit && isEscape[source[i + 1]] === 1 ? i + 1 : escapeAt(i)
      } else {
        at = i
        fail('has a control character in a string')
      }
    }
    at = limit
    fail('has a string without end')
  }

  /** Steps over the escape at i, which must be of a code unit, or of two that are a pair, and returns its last byte. */
  function escapeAt(i: number): number {
    at = i
    if (i + 1 >= stop || bytes[i + 1] !== 0x75) fail('has a bad escape')
    const unit = unitAt(i + 2)
    if (unit < 0xd800 || unit > 0xdfff) return i + 5
    // Half a pair is no character: one parser makes U+FFFD of it, the next refuses, the third passes it on.
    if (unit > 0xdbff || i + 7 >= stop || bytes[i + 6] !== BACKSLASH || bytes[i + 7] !== 0x75) fail('has half a surrogate pair')
    const low = unitAt(i + 8)
    if (low < 0xdc00 || low > 0xdfff) fail('has half a surrogate pair')
    return i + 11
  }

  function unitAt(i: number): number {
    if (i + 4 > stop) fail('has a bad escape')
    const a = hex(bytes[i])
    const b = hex(bytes[i + 1])
    const c = hex(bytes[i + 2])
    const d = hex(bytes[i + 3])
    return (a | b | c | d) < 0 ? fail('has a bad escape') : (a << 12) | (b << 8) | (c << 4) | d
  }

  function members(node: number, depth: number): void {
    if (depth >= DEPTH_MAX) fail(`is nested deeper than ${DEPTH_MAX}`)
    at++
    space()
    if (bytes[at] === 0x7d && at < stop) {
      at++
      return
    }
    let count = 0
    let previous = NONE
    let seen: Set<string> | undefined
    for (;;) {
      space()
      if (at >= stop || bytes[at] !== QUOTE) fail('lacks a member name')
      const key = add()
      string(key)
      tape[key + 1] = at
      const escaped = tape[key + INFO] & ESCAPED
      const known = escaped === 0 ? nameAt(bytes, tape[key] + 1, at - 1) : nameOf(decodeString(bytes, tape[key], at, true))
      tape[key + INFO] = escaped | KEY | ((known - UNKNOWN_NAME) << LABEL_SHIFT)
      if (count < LINEAR_KEYS_MAX) {
        for (let other = node + WIDTH; other !== key; other = tape[other + NEXT]) {
          if (same(other, key)) fail('repeats a member name')
          if (other === previous) break
        }
      } else {
        if (!seen) {
          seen = new Set()
          for (let other = node + WIDTH; other !== NONE; other = tape[other + NEXT]) seen.add(hashable(other))
        }
        if (seen.size === seen.add(hashable(key)).size) fail('repeats a member name')
      }
      if (previous !== NONE) tape[previous + NEXT] = key
      previous = key
      count++
      space()
      if (bytes[at] !== 0x3a || at >= stop) fail('lacks a colon')
      at++
      value(depth + 1)
      space()
      if (at < stop && bytes[at] === 0x2c) {
        at++
        continue
      }
      if (at < stop && bytes[at] === 0x7d) {
        at++
        break
      }
      fail('lacks a comma or brace')
    }
    tape[node + INFO] = count
  }

  function items(node: number, depth: number): void {
    if (depth >= DEPTH_MAX) fail(`is nested deeper than ${DEPTH_MAX}`)
    at++
    space()
    if (bytes[at] === 0x5d && at < stop) {
      at++
      return
    }
    let count = 0
    let previous = NONE
    for (;;) {
      const item = value(depth + 1)
      if (previous !== NONE) tape[previous + NEXT] = item
      previous = item
      count++
      space()
      if (at < stop && bytes[at] === 0x2c) {
        at++
        continue
      }
      if (at < stop && bytes[at] === 0x5d) {
        at++
        break
      }
      fail('lacks a comma or bracket')
    }
    tape[node + INFO] = count
  }

  function word(expected: string): void {
    for (let i = 0; i < expected.length; i++, at++) if (at >= stop || bytes[at] !== expected.charCodeAt(i)) fail('has an unknown word')
  }

  function number(): void {
    const from = at
    let exponent = false
    if (bytes[at] === 0x2d) at++
    if (bytes[at] === 0x30 && at < stop) at++
    else digits()
    if (at < stop && bytes[at] === 0x2e) {
      at++
      digits()
    }
    if (at < stop && (bytes[at] | 0x20) === 0x65) {
      exponent = true
      at++
      if (bytes[at] === 0x2b || bytes[at] === 0x2d) at++
      digits()
    }
    if ((exponent || at - from > FINITE_DIGITS) && !Number.isFinite(Number(bytes.toString('latin1', from, at)))) {
      at = from
      fail('has a number too large for a double')
    }
  }

  function digits(): void {
    const from = at
    while (at < stop && bytes[at] >= 0x30 && bytes[at] <= 0x39) at++
    if (at === from) fail('has something that is no value')
  }

  function same(a: number, b: number): boolean {
    const known = tape[a + INFO] >> LABEL_SHIFT
    if (known !== tape[b + INFO] >> LABEL_SHIFT) return false
    if (known !== 0) return true
    if (((tape[a + INFO] | tape[b + INFO]) & ESCAPED) !== 0) return hashable(a) === hashable(b)
    const length = tape[a + 1] - tape[a]
    if (length !== tape[b + 1] - tape[b]) return false
    for (let i = 1, x = tape[a], y = tape[b]; i < length; i++) if (bytes[x + i] !== bytes[y + i]) return false
    return true
  }
  /** The name with a quote before it: names like "123" would otherwise be hashed by their number, which anyone can make collide. */
  function hashable(key: number): string {
    return `"${decodeString(bytes, tape[key], tape[key + 1], (tape[key + INFO] & ESCAPED) !== 0)}`
  }
}
