/** A stream that comes as one JSON list of its events: whole items pass, so that another may follow them when it is ended before its time. */
import { HeldBytes } from '../dialects/events/held-bytes.ts'
import { Failure } from '../errors.ts'

const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT, QUOTE, BACKSLASH, SPACE] = [0x5b, 0x5d, 0x7b, 0x7d, 0x22, 0x5c, 0x20]
/** An item longer than this is let through in parts: it cannot be held, only bounded. */
const ITEM_BYTES_MAX = 1 << 20

/** Follows JSON byte by byte, without reading it: how deep it is in lists and objects, and whether in a string. */
export class JsonNesting {
  depth = 0
  #inText = false
  #escaped = false
  /** The first byte that is no space; 0 until it has come. */
  first = 0

  /** True where the byte closed a list or an object. */
  next(byte: number): boolean {
    if (this.#inText) {
      if (this.#escaped) this.#escaped = false
      else if (byte === BACKSLASH) this.#escaped = true
      else if (byte === QUOTE) this.#inText = false
      return false
    }
    if (byte <= SPACE) return false
    if (this.first === 0) this.first = byte
    if (byte === QUOTE) this.#inText = true
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) this.depth++
    else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
      this.depth--
      return true
    }
    return false
  }

  add(chunk: Buffer): void {
    for (const byte of chunk) this.next(byte)
  }

  /** Nothing is left open. */
  get isWhole(): boolean {
    return this.depth === 0 && !this.#inText
  }
}

/**
 * Lets whole items through, wherever the network cut them, and keeps what closes the list back; what follows that is dropped. What is no list passes as it
 * comes.
 */
export class ListGate {
  readonly #json = new JsonNesting()
  /** What follows the last whole item. */
  readonly #rest = new HeldBytes()
  /** Something came behind the list. */
  #isOver = false
  /** What was let through ends with a whole item. */
  isBetweenEvents = false

  /** The bytes that may go now, if any. */
  pass(sent: Buffer): Buffer | undefined {
    if (this.#isOver) return undefined
    const { whole, length } = this.#wholeUpTo(sent)
    const chunk = sent.subarray(0, length)
    const bytes = this.#rest.with(chunk)
    if (whole === null) {
      this.#rest.clear()
      return bytes
    }
    const end = whole === 0 ? 0 : bytes.length - chunk.length + whole
    this.isBetweenEvents ||= end > 0
    if (bytes.length - end > ITEM_BYTES_MAX) {
      this.#rest.clear()
      this.isBetweenEvents = false
      return bytes
    }
    this.#rest.keep(bytes, end)
    return end > 0 ? bytes.subarray(0, end) : undefined
  }

  /** The list was closed. */
  get sawLast(): boolean {
    return this.#json.first === OPEN_LIST && this.#json.depth === 0
  }

  /** What is held, at a good end. Throws Failure where the list was not closed: the provider broke off. */
  end(): Buffer | undefined {
    if (this.#json.first === OPEN_LIST && this.#json.depth > 0) throw new Failure('upstream_unreachable', new Error('The list of events ended before its end.'))
    return this.#rest.bytes()
  }

  /** Where in the chunk its last whole item ends, 0 where none does, and where the list does, or the chunk; null where it is no list. */
  #wholeUpTo(chunk: Buffer): { whole: number | null; length: number } {
    const json = this.#json
    const { length } = chunk
    let whole = 0
    for (let i = 0; i < length; i++) {
      if (this.sawLast) {
        this.#isOver = chunk[i] > SPACE
        if (this.#isOver) return { whole, length: i }
        continue
      }
      if (json.next(chunk[i]) && json.depth === 1) whole = i + 1
      if (json.first !== OPEN_LIST && json.first !== 0) return { whole: null, length }
    }
    return { whole, length }
  }
}
