/** A stream that comes as one JSON list of its events: whole items pass, so that another may follow them when it is ended before its time. */

const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT, QUOTE, BACKSLASH, SPACE] = [0x5b, 0x5d, 0x7b, 0x7d, 0x22, 0x5c, 0x20]
/** An item longer than this is let through in parts: it cannot be held, only bounded. */
const ITEM_BYTES_MAX = 1 << 20

/** Lets whole items through, wherever the network cut them, and keeps what closes the list back. What is no list passes as it comes. */
export class ListGate {
  #depth = 0
  #inText = false
  #escaped = false
  #isList: boolean | undefined
  /** What follows the last whole item. */
  #rest: Buffer | undefined
  /** What was let through ends with a whole item. */
  isBetweenEvents = false

  /** The bytes that may go now, if any. */
  pass(chunk: Buffer): Buffer | undefined {
    const whole = this.#wholeUpTo(chunk)
    const bytes = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk
    if (whole === null) {
      this.#rest = undefined
      return bytes
    }
    const end = whole === 0 ? 0 : bytes.length - chunk.length + whole
    this.isBetweenEvents ||= end > 0
    // Copied: a slice would keep the socket's buffer it lies in alive.
    this.#rest = end < bytes.length ? Buffer.from(bytes.subarray(end)) : undefined
    if (this.#rest && this.#rest.length > ITEM_BYTES_MAX) {
      this.#rest = undefined
      this.isBetweenEvents = false
      return bytes
    }
    return end > 0 ? bytes.subarray(0, end) : undefined
  }

  /** What is held, at a good end. */
  end(): Buffer | undefined {
    return this.#rest
  }

  /** Where in the chunk its last whole item ends, 0 where none does; null where it is no list. */
  #wholeUpTo(chunk: Buffer): number | null {
    if (this.#isList === false) return null
    let end = 0
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]
      if (this.#inText) {
        if (this.#escaped) this.#escaped = false
        else if (byte === BACKSLASH) this.#escaped = true
        else if (byte === QUOTE) this.#inText = false
      } else if (byte > SPACE) {
        this.#isList ??= byte === OPEN_LIST
        if (!this.#isList) return null
        if (byte === QUOTE) this.#inText = true
        else if (byte === OPEN_LIST || byte === OPEN_OBJECT) this.#depth++
        else if ((byte === CLOSE_LIST || byte === CLOSE_OBJECT) && --this.#depth === 1) end = i + 1
      }
    }
    return end
  }
}
