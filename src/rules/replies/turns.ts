/** Long work in turns, so that one long reply does not hold everybody else up. */
import { setImmediate } from 'node:timers/promises'

/** Between two turns no more text than this is judged. */
export const TURN_BYTES = 64 << 10

export class Turns {
  readonly #isWanted: (() => boolean) | undefined
  #pending: Promise<unknown> | undefined
  /** Without `isWanted` there is nobody who waits, and everything is done at once. */
  constructor(isWanted?: () => boolean) {
    this.#isWanted = isWanted
  }

  /** Does the work up to its first `yield` at once, which may throw, and the rest later. */
  run(work: Iterator<unknown, void>): void {
    if (!this.#isWanted) while (!work.next().done);
    else if (!work.next().done) {
      const rest = this.#goOn(work, this.#isWanted)
      this.#pending = this.#pending ? Promise.all([this.#pending, rest]) : rest
      this.#pending.catch(() => {}) // whoever asks is told
    }
  }

  /** Resolves once all work is done, that which other work began included; rejects with what it threw. Undefined where none is left. */
  settled(): Promise<void> | undefined {
    return this.#pending && this.#all()
  }

  async #all(): Promise<void> {
    for (let seen: unknown; seen !== this.#pending; ) {
      seen = this.#pending
      await seen
    }
  }

  async #goOn(work: Iterator<unknown, void>, isWanted: () => boolean): Promise<void> {
    do {
      await setImmediate()
      if (!isWanted()) throw new Unwanted()
    } while (!work.next().done)
  }
}

class Unwanted extends Error {
  readonly code = 'CLIENT_LEFT'
}
