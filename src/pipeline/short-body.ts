/** A short body in one piece goes out once it is all there, so that a provider that breaks it off is a refusal with its own status, not half an answer. */
import { JSON_TYPE } from '../dialects/bodies/content.ts'
import { headerOf } from '../sink.ts'

/** What is longer goes on as it comes. */
const HELD_BYTES_MAX = 64 << 10
const SPACE = 0x20

/** Items one after the other, although its name says that it is one. */
const STREAM_TYPE = 'application/stream+json'

/** Whether nobody can use a part of the body, because it is JSON. Sound, pictures, lines, and what does not say what it is are for those who read along. */
export function isOfOnePiece(headers: readonly string[]): boolean {
  const type = (headerOf(headers, 'content-type') ?? '').split(';', 1)[0].trim().toLowerCase()
  return JSON_TYPE.test(type) && type !== STREAM_TYPE
}

/** Holds a body until its end, or until it is long. */
export class ShortBody {
  #held: Buffer[] | undefined = []
  #bytes = 0
  /** No event: nothing may be added to it. */
  readonly isBetweenEvents = false

  /** The bytes that may go now, if any. */
  pass(chunk: Buffer): Buffer | undefined {
    // Some providers say with empty lines that they are still at work.
    if (!this.#held || (this.#bytes === 0 && isBlank(chunk))) return chunk
    this.#held.push(chunk)
    this.#bytes += chunk.length
    return this.#bytes > HELD_BYTES_MAX ? this.end() : undefined
  }

  /** What is held. */
  end(): Buffer | undefined {
    const held = this.#held
    this.#held = undefined
    if (held === undefined || held.length < 2) return held?.[0]
    return Buffer.concat(held)
  }
}

function isBlank(chunk: Buffer): boolean {
  for (const byte of chunk) if (byte > SPACE) return false
  return true
}
