import type { Reservation } from '../budgets/budgets.ts'
import type { TextMeter } from '../dialects/text-meter.ts'
import { Failure, type Refusal } from '../errors.ts'
import type { Sink } from '../sink.ts'
import { budgetUsedUp } from './budget-refusals.ts'

/** So many more tokens at least are reserved at a time once a stream comes near the end of what it was expected to take. */
const STEP_TOKENS = 512
/** How near: what flows on while the database is asked. Of a small reservation, half. */
const NEAR_TOKENS = 256

export interface Allowance {
  reservation: Reservation
  /** Output tokens that were reserved. */
  tokens: number
  /** Nano-dollars of so many more output tokens; null where no budget counts money. */
  nanoOf(tokens: number): number | null
}

/**
 * Ends a stream when a hard budget has no more for it. A stream reserves what it was expected to take; one that goes on reserves more, step by step, and
 * is stopped in its dialect where that is refused, or cannot be asked for.
 */
export class BudgetGate implements Sink {
  readonly #inner: Sink
  readonly #text: TextMeter
  readonly #allowance: Allowance
  #granted: number
  #asking = false
  #stop: Refusal | Failure | null = null

  constructor(inner: Sink, text: TextMeter, allowance: Allowance) {
    this.#inner = inner
    this.#text = text
    this.#allowance = allowance
    this.#granted = allowance.tokens
  }

  head(status: number, headers: string[]): void {
    this.#inner.head(status, headers)
  }
  data(chunk: Buffer): boolean {
    const { tokens } = this.#text
    if (this.#stop && tokens > this.#granted) throw this.#stop
    const near = Math.min(NEAR_TOKENS, this.#granted / 2)
    // What has flowed already is asked for as well, or a fast stream would run ever further ahead of what it reserves.
    if (tokens + near > this.#granted && !this.#asking && !this.#stop) void this.#ask(Math.max(STEP_TOKENS, tokens + NEAR_TOKENS - this.#granted))
    return this.#inner.data(chunk)
  }
  end(): void {
    this.#inner.end()
  }
  error(): void {
    this.#inner.error()
  }

  async #ask(more: number): Promise<void> {
    const { reservation, nanoOf } = this.#allowance
    this.#asking = true
    try {
      const answer = await reservation.extend(nanoOf(more), more)
      if (answer === 'granted') this.#granted += more
      else if (answer === 'gone')
        this.#stop = new Failure('unavailable', new Error('The row of a call under way was written: this process was taken for dead.'))
      else this.#stop = budgetUsedUp(answer, Date.now())
    } catch (error) {
      this.#stop = error instanceof Failure ? error : new Failure('unavailable', error)
    }
    this.#asking = false
  }
}
