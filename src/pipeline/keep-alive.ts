/** What a stream says while it has nothing to say, so that nobody in between takes it for dead. */
import type { ServerResponse } from 'node:http'

const SILENCE_MS = 15_000

/**
 * Writes `words` after every `everyMs` without a write, where `mayWrite` lets it: between two events, that is. One timer a stream, which is not set anew at
 * each write: when it fires, it looks how long ago the last one was. `now` counts milliseconds and only goes forward.
 */
export class KeepAlive {
  readonly #outgoing: ServerResponse
  readonly #words: string
  readonly #mayWrite: () => boolean
  readonly #everyMs: number
  readonly #now: () => number
  #wroteAt: number
  #timer: NodeJS.Timeout
  constructor(outgoing: ServerResponse, words: string, mayWrite: () => boolean, everyMs = SILENCE_MS, now = (): number => performance.now()) {
    this.#outgoing = outgoing
    this.#words = words
    this.#mayWrite = mayWrite
    this.#everyMs = everyMs
    this.#now = now
    this.#wroteAt = now()
    this.#timer = this.#in(everyMs)
  }

  wrote(): void {
    this.#wroteAt = this.#now()
  }

  /** So that nothing of a stream outlives it. */
  stop(): void {
    clearTimeout(this.#timer)
  }

  #in(ms: number): NodeJS.Timeout {
    return setTimeout(look, ms, this).unref()
  }

  look(): void {
    const outgoing = this.#outgoing
    if (outgoing.destroyed || outgoing.writableEnded) return
    const left = this.#wroteAt + this.#everyMs - this.#now()
    // Who does not read what is there is not told more.
    if (left <= 0 && this.#mayWrite() && !outgoing.writableNeedDrain) {
      outgoing.write(this.#words)
      this.wrote()
    }
    this.#timer = this.#in(left > 0 ? Math.ceil(left) : this.#everyMs)
  }
}
const look = (keepAlive: KeepAlive): void => keepAlive.look()
