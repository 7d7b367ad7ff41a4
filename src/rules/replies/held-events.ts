/** The events of a stream that wait until they are decided, in order, and how much and how long waited at most. */
import type { Edit } from '../../dialects/bodies/texts.ts'
import type { Piece } from './streamed-text.ts'

/** How far a screen fell behind the provider within one stream; both are 0 where every event could leave when it came. */
export interface HeldBack {
  /** The most text that had come and could not leave yet, in characters (code points); texts that events tell once more count again. */
  characters: number
  /** The longest that an event waited, from when it was whole. */
  ms: number
}

export interface HeldEvent {
  bytes: Buffer
  /** When it was whole, in milliseconds of the screen's clock. */
  cameAt: number
  /** Of its texts. */
  characters: number
  pieces: Piece[]
  withheld: readonly Edit[]
  /** The choices or blocks it speaks of, and the one it closes. */
  begins: number[]
  closes: number
}

export class HeldEvents {
  readonly #events: HeldEvent[] = []
  #bytes = 0
  #characters = 0
  readonly #most: HeldBack = { characters: 0, ms: 0 }

  /** Of the events that wait. */
  get bytes(): number {
    return this.#bytes
  }
  get isEmpty(): boolean {
    return this.#events.length === 0
  }
  most(): HeldBack {
    return this.#most
  }

  add(event: HeldEvent): void {
    this.#events.push(event)
    this.#bytes += event.bytes.length
    this.#characters += event.characters
  }

  /** Hands out what is decided, in order, up to the first event that is not. Where `leave` throws, nothing is held any more and nothing more leaves. */
  release(leave: (event: HeldEvent) => void): void {
    const events = this.#events
    let count = 0
    try {
      for (const event of events) {
        if (!event.pieces.every((piece) => piece.of.isDecided(piece))) break
        leave(event)
        this.#bytes -= event.bytes.length
        this.#characters -= event.characters
        count++
      }
    } catch (stopped) {
      this.drop()
      throw stopped
    }
    if (count === events.length) events.length = 0
    else if (count > 0) events.splice(0, count)
  }

  /** None of what waits leaves any more. */
  drop(): void {
    this.#events.length = 0
    this.#bytes = 0
    this.#characters = 0
  }

  /** How long the first of them has waited; 0 where none does. Asked before and after more is read: what waits in between counts towards the most. */
  waitedMs(now: number): number {
    const most = this.#most
    if (this.#characters > most.characters) most.characters = this.#characters
    if (this.#events.length === 0) return 0
    const ms = now - this.#events[0].cameAt
    if (ms > most.ms) most.ms = ms
    return ms
  }
}

/** Code points in valid UTF-8: every byte but those that continue one. */
export function charactersIn(bytes: Buffer, from: number, to: number): number {
  let count = 0
  for (let i = from; i < to; i++) if ((bytes[i] & 0xc0) !== 0x80) count++
  return count
}
