import { Failure } from '../../errors.ts'
import { nextFrame } from './event-stream.ts'

/** An event longer than this is let through in parts: it cannot be held, only bounded. */
const EVENT_BYTES_MAX = 1 << 20
/** What follows the beginning of a stream's last event is a few bytes. More than this, and it was no last event after all. */
const LAST_EVENT_BYTES_MAX = 64 << 10
const LF = 0x0a
const CR = 0x0d

/** Lets whole events of a stream through, wherever the network cut them, and keeps the last one back until the stream has ended well. */
export class EventGate {
  readonly #isLastEvent: (event: Buffer) => boolean
  /** An event of which the rest has not come. */
  #rest: Buffer | undefined
  /** The last event and whatever came after it. */
  #last: Buffer | undefined
  /** What was let through ends with a whole event, so that another may follow. */
  isBetweenEvents = true
  constructor(isLastEvent: (event: Buffer) => boolean) {
    this.#isLastEvent = isLastEvent
  }

  /** The bytes that may go now, if any. */
  pass(chunk: Buffer): Buffer | undefined {
    if (this.#last) return this.#follow(chunk)
    const held = this.#rest?.length ?? 0
    const bytes = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk
    this.#rest = undefined
    let at = 0
    for (let end = nextFrame(bytes, Math.max(0, held - 3)); end > 0; end = nextFrame(bytes, end)) {
      if (this.#isLastEvent(bytes.subarray(at, end))) {
        this.#last = Buffer.from(bytes.subarray(at)) // a slice would keep the 64 KiB socket buffer it lies in alive
        return at > 0 ? bytes.subarray(0, at) : undefined
      }
      at = end
    }
    if (at > 0) this.isBetweenEvents = true
    if (bytes.length - at > EVENT_BYTES_MAX) this.isBetweenEvents = false
    if (!this.isBetweenEvents) return bytes
    if (at < bytes.length) this.#rest = Buffer.from(bytes.subarray(at))
    return at > 0 ? bytes.subarray(0, at) : undefined
  }

  /** What is held, at a good end. Throws Failure where the end came in the middle of a line: the provider broke off. */
  end(): Buffer | undefined {
    const rest = this.#last ?? this.#rest
    if (rest && rest === this.#rest && rest.at(-1) !== LF && rest.at(-1) !== CR && !this.#isLastEvent(rest)) {
      throw new Failure('upstream_unreachable', new Error('The stream ended in the middle of an event.'))
    }
    return rest
  }

  #follow(chunk: Buffer): Buffer | undefined {
    const bytes = Buffer.concat([this.#last as Buffer, chunk])
    this.#last = bytes.length > LAST_EVENT_BYTES_MAX ? undefined : bytes
    return this.#last ? undefined : bytes
  }
}
