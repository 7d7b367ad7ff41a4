import { Failure } from '../../errors.ts'
import { frameData, nextFrame } from './event-stream.ts'
import { HeldBytes } from './held-bytes.ts'

/** An event longer than this is let through in parts: it cannot be held, only bounded. */
const EVENT_BYTES_MAX = 1 << 20
/** A stream's last event and what follows it are a few bytes. More than this, and it was no last event after all. */
const LAST_BYTES_MAX = 64 << 10
const LF = 0x0a
const CR = 0x0d

/** Lets whole events of a stream through, wherever the network cut them, and keeps the last one back until the stream has ended well. */
export class EventGate {
  readonly #isLastEvent: (event: Buffer) => boolean
  /** An event of which the rest has not come; or the last event, and whatever came after it. */
  readonly #held = new HeldBytes()
  /** How long the last event is, once it is held. */
  #lastBytes = 0
  /** What was let through ends with a whole event, so that another may follow. */
  isBetweenEvents = true
  /** The stream's last event has come. */
  sawLast = false
  constructor(isLastEvent: (event: Buffer) => boolean) {
    this.#isLastEvent = isLastEvent
  }

  /** The bytes that may go now, if any. */
  pass(chunk: Buffer): Buffer | undefined {
    const searched = this.#held.length
    const bytes = this.#held.with(chunk)
    if (this.sawLast && bytes.length <= LAST_BYTES_MAX) return undefined
    let at = this.#lastBytes
    let from = at > 0 ? at : Math.max(0, searched - 3)
    // What follows a last event that was none goes out at least by halves, so that a stream of such events is not copied once for each.
    const room = this.sawLast ? LAST_BYTES_MAX >> 1 : LAST_BYTES_MAX
    this.sawLast = false
    this.#lastBytes = 0
    for (let end = nextFrame(bytes, from); end > 0; end = nextFrame(bytes, from)) {
      if (bytes.length - at <= room && this.#isLastEvent(bytes.subarray(at, end))) {
        this.sawLast = true
        this.#lastBytes = end - at
        break
      }
      at = from = end
    }
    if (at > 0) this.isBetweenEvents = true
    if (bytes.length - at > EVENT_BYTES_MAX) this.isBetweenEvents = false
    if (!this.isBetweenEvents && !this.sawLast) {
      this.#held.clear()
      return bytes
    }
    this.#held.keep(bytes, at)
    if (at === 0) return undefined
    return at === bytes.length ? bytes : bytes.subarray(0, at)
  }

  /** The last event, where it has come. */
  last(): Buffer | undefined {
    return this.#lastBytes > 0 ? this.#held.bytes()?.subarray(0, this.#lastBytes) : undefined
  }

  /** What is held, at a good end. Throws Failure where the end came in the middle of an event: the provider broke off. */
  end(): Buffer | undefined {
    const rest = this.#held.bytes()
    if (this.sawLast || !rest) return rest
    const isLast = this.#isLastEvent(rest)
    if (!(isLast || rest.at(-1) === LF || rest.at(-1) === CR) || !isWhole(rest))
      throw new Failure('upstream_unreachable', new Error('The stream ended in the middle of an event.'))
    this.sawLast = isLast
    return rest
  }
}

/** Whether what an event tells, if that is JSON, is all there; of one that has a name, that it tells anything. */
function isWhole(event: Buffer): boolean {
  const data = frameData(event)
  if (data === 'several') return false
  const text = data === null ? '' : event.toString('utf8', data.start, data.end)
  if (text === '') return !NAMED.test(event.toString('latin1'))
  if (!text.startsWith('{')) return true
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
const NAMED = /^event:/m
