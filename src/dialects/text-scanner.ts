/**
 * How many bytes of text a reply holds, found on its raw bytes in one pass and without a JSON reader: of what the members hold that carry what a model
 * wrote, decoded. It reads plain JSON and server-sent events of every dialect, cut anywhere, and takes what is neither for no text.
 */

/** What a member's value is worth. */
const NOTHING = 0
const TEXT = 1
const REASONING = 2
/** An object or list here is text as a whole, as it is where a provider puts the same into a string. */
const ARGUMENTS = 3
/** The reasoning once more, in an event that told it. */
const REASONING_AGAIN = 4
/** Told by the caller, or told once more. */
const ASIDE = 5
const TYPE = 6

const kinds: Readonly<Record<string, number>> = {
  ...ofKind(TEXT, 'content', 'text', 'delta', 'refusal', 'transcript', 'partial_json', 'thinking', 'summary', 'revised_prompt', 'stringValue'),
  ...ofKind(TEXT, 'code', 'command', 'commands', 'diff', 'query', 'queries'),
  ...ofKind(REASONING, 'reasoning', 'reasoning_content'),
  ...ofKind(ARGUMENTS, 'arguments', 'args', 'input'),
  ...ofKind(REASONING_AGAIN, 'reasoning_details'),
  ...ofKind(ASIDE, 'instructions', 'prompt', 'tools', 'metadata', 'annotations', 'segments'),
  ...ofKind(ASIDE, 'groundingMetadata', 'citationMetadata', 'urlContextMetadata', 'logprobsResult'),
  ...ofKind(TYPE, 'type'),
}
function ofKind(kind: number, ...names: readonly string[]): Record<string, number> {
  return Object.fromEntries(names.map((name) => [name, kind]))
}

/** Names are known by a number, so that one that is cut in two needs no place to be kept in. */
const kindOf: ReadonlyMap<number, number> = new Map(Object.entries(kinds).map(([name, kind]) => [hashOf(name), kind]))
function hashOf(name: string): number {
  let hash = 0
  for (let at = 0; at < name.length; at++) hash = (Math.imul(hash, 31) + name.charCodeAt(at)) | 0
  return hash
}

/** Formats whose events tell pieces, and then the same whole: what these begin with, and how they go on. */
const RETOLD: ReadonlySet<number> = new Set(['response', 'transcript'].map(hashOf))
const PIECES: ReadonlySet<number> = new Set(['delta', 'added'].map(hashOf))
const ITEMS: ReadonlySet<number> = new Set(['response.output_item.done', 'transcript.text.segment'].map(hashOf))
const SOUNDS: ReadonlySet<number> = new Set(['response.audio.delta', 'response.output_audio.delta'].map(hashOf))
/** What an event's text is: more of it, all since the last item, all there is, or none. */
type Telling = 'piece' | 'item' | 'whole' | 'none'

/** What a string would be that began now. */
const NEITHER = 0
const VALUE = 1
/** A name, or an item of a list behind a comma: the colon tells. */
const NAME = 2
/** That string has ended. */
const NAMED = 3

/** What the string is that is being passed. */
const OUTSIDE = 0
const COUNTED = 1
const PASSED = 2
const HASHED = 3

const [LF, CR, SPACE, TAB, QUOTE, COMMA, DOT, COLON, OPEN_LIST, BACKSLASH, CLOSE_LIST, OPEN, CLOSE] = Buffer.from('\n\r \t",.:[\\]{}')
const [A, Z, U] = Buffer.from('azu')
/** Where a run of plain bytes within a string ends. A line break may not stand there, so that it ends a string that was cut. */
const ends = new Uint8Array(256)
for (const byte of [QUOTE, BACKSLASH, LF, CR]) ends[byte] = 1
/** What means something outside of strings. */
const marks = new Uint8Array(256)
for (const byte of [QUOTE, COLON, COMMA, OPEN, OPEN_LIST, CLOSE, CLOSE_LIST, LF, CR]) marks[byte] = 1

export function createTextScanner() {
  let pieces = 0
  let settled = 0
  let whole = 0
  /** Of the event that is being passed. */
  let event = 0
  let telling: Telling | null = null
  let isRetold = false
  let hasReasoned = false

  let kind = NOTHING
  let next = NEITHER
  let isLineStart = true
  /** How deep in an object or list that is text as a whole, or none. */
  let depth = 0
  let isAside = false

  let string = OUTSIDE
  let isType = false
  /** How much text the event held before it. */
  let began = 0
  /** Of the string that is being passed, or that ended last, where it may be a name or is a type. */
  let hash = 0
  let segment = 0
  let first = 0
  let length = 0
  /** In an escape: 1 after the backslash, then how many characters of `\uXXXX` have come. */
  let escaped = 0
  let code = 0

  return {
    scan,
    /** Of all text so far. In a stream that tells its texts twice, an event that has not said yet what it tells adds nothing to what it may repeat. */
    get bytes(): number {
      const open = telling ?? (isRetold ? 'whole' : 'piece')
      const sinceItem = open === 'item' ? Math.max(pieces, event) : open === 'piece' ? pieces + event : pieces
      return Math.max(whole, open === 'whole' ? event : 0, settled + sinceItem)
    },
  }

  function scan(bytes: Uint8Array, end: number): void {
    let at = 0
    while (at < end) {
      if (string !== OUTSIDE) {
        at = pass(bytes, at, end)
        continue
      }
      if (isLineStart) beginLine(bytes[at])
      if (depth === 0) {
        while (at < end && marks[bytes[at]] === 0) at++
        if (at === end) return
      }
      const byte = bytes[at++]
      if (byte === QUOTE) begin()
      else if (byte === LF || byte === CR) endLine()
      else if (depth > 0) passDeep(byte)
      else if (byte === COLON) {
        kind = next === NAMED ? (kindOf.get(hash) ?? NOTHING) : NOTHING
        next = VALUE
      } else if (byte === OPEN || byte === OPEN_LIST) open(byte)
      else {
        if (next === NAMED && isText(kind)) event += length // a string of a list, and no name
        next = byte === COMMA ? NAME : NEITHER
      }
    }
  }

  /** A line that begins with a letter is an event's. If something is open still, the last one was cut. */
  function beginLine(byte: number): void {
    isLineStart = false
    if (byte < A || byte > Z) return
    kind = NOTHING
    depth = 0
  }

  function open(byte: number): void {
    isAside = kind === ASIDE || (kind === REASONING_AGAIN && hasReasoned)
    if (next === VALUE && (kind === ARGUMENTS || isAside)) depth = 1
    else next = byte === OPEN ? NAME : VALUE
  }

  /** Blanks between the parts are nobody's text. The outermost brackets are not counted. */
  function passDeep(byte: number): void {
    if (byte === SPACE || byte === TAB) return
    if (byte === OPEN || byte === OPEN_LIST) depth++
    else if ((byte === CLOSE || byte === CLOSE_LIST) && --depth === 0) {
      next = NEITHER
      return
    }
    if (!isAside) event++
  }

  function begin(): void {
    isType = false
    if (depth > 0) {
      string = isAside ? PASSED : COUNTED
      if (!isAside) event += 2
    } else if (next === NAME) string = HASHED
    else if (next === VALUE && kind === TYPE) {
      string = HASHED
      isType = true
    } else string = next === VALUE && isText(kind) ? COUNTED : PASSED
    if (string === HASHED) hash = segment = first = length = 0
    began = event
  }

  /** As far as the string goes, or the bytes. Returns the offset behind it. */
  function pass(bytes: Uint8Array, from: number, end: number): number {
    let at = from
    while (at < end) {
      if (escaped > 0) {
        passEscape(bytes[at++])
        continue
      }
      const start = at
      if (string === HASHED) at = hashRun(bytes, at, end)
      else while (at < end && ends[bytes[at]] === 0) at++
      count(at - start)
      if (at === end) return end
      if (bytes[at] === BACKSLASH) {
        escaped = 1
        at++
        continue
      }
      if (bytes[at] === QUOTE) at++
      endString()
      return at
    }
    return at
  }

  function hashRun(bytes: Uint8Array, from: number, end: number): number {
    let at = from
    let ofAll = hash
    let ofSegment = segment
    for (; at < end; at++) {
      const byte = bytes[at]
      if (ends[byte] === 1) break
      if (byte === DOT) {
        if (first === 0) first = ofAll
        ofSegment = 0
      } else ofSegment = (Math.imul(ofSegment, 31) + byte) | 0
      ofAll = (Math.imul(ofAll, 31) + byte) | 0
    }
    hash = ofAll
    segment = ofSegment
    return at
  }

  /** `\n` is one byte of text; `\uXXXX` as many as UTF-8 takes for it, a surrogate being half of four. */
  function passEscape(byte: number): void {
    if (escaped === 1) {
      escaped = byte === U ? 2 : 0
      code = 0
      if (escaped === 0) count(1)
      return
    }
    code = code * 16 + (byte <= 0x39 ? byte - 0x30 : (byte | 0x20) - 0x57)
    if (++escaped < 6) return
    escaped = 0
    count(code < 0x80 ? 1 : code < 0x800 || (code >= 0xd800 && code <= 0xdfff) ? 2 : 3)
  }

  function count(more: number): void {
    if (string === COUNTED) event += more
    else length += more
  }

  function endString(): void {
    if (isType) know()
    if (string === COUNTED && kind === REASONING && event > began) hasReasoned = true
    next = string === HASHED && !isType ? NAMED : NEITHER
    string = OUTSIDE
    escaped = 0
  }

  function know(): void {
    if (!RETOLD.has(first)) return
    isRetold = true
    telling = SOUNDS.has(hash) ? 'none' : PIECES.has(segment) ? 'piece' : ITEMS.has(hash) ? 'item' : 'whole'
  }

  /** An event is a line. Plain JSON may have many, and is all pieces. */
  function endLine(): void {
    if (telling === null || telling === 'piece') pieces += event
    else if (telling === 'whole') whole = Math.max(whole, event)
    else if (telling === 'item') {
      settled += Math.max(pieces, event)
      pieces = 0
    }
    event = 0
    telling = null
    isLineStart = true
    hasReasoned = false
  }
}

const isText = (kind: number): boolean => kind === TEXT || kind === REASONING || kind === ARGUMENTS
