import type { Reservation } from '../budgets/budgets.ts'
import type { TextMeter } from '../dialects/text-meter.ts'
import { Failure, type Refusal } from '../errors.ts'
import type { Sink } from '../sink.ts'
import { budgetUsedUp } from './budget-refusals.ts'

/** So many more tokens at least are reserved at a time once a stream comes near the end of what it was expected to take. */
const STEP_TOKENS = 512
/** How near: a stream no faster than this while the database is asked never waits for it. Of a small reservation, half. */
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
 * is stopped in its dialect where that is refused, or cannot be asked for. What is not reserved yet is held and its source paused, for as long as the
 * database may take to answer, so that nothing goes out which is not.
 */
export class BudgetGate implements Sink {
  readonly #inner: Sink
  readonly #text: TextMeter
  readonly #allowance: Allowance
  #granted: number
  #asking: Promise<void> | null = null
  #stop: Refusal | Failure | null = null
  /** More than one piece only where the source closed its connection: then the few it had sent by then come through the pause. */
  #held: Buffer[] = []
  #hasEnded = false
  #settled: PromiseWithResolvers<void> | undefined

  /** `text` has metered a chunk before it comes here. The wait ends with `signal`: the client has left. */
  constructor(inner: Sink, text: TextMeter, allowance: Allowance, signal: AbortSignal) {
    this.#inner = inner
    this.#text = text
    this.#allowance = allowance
    this.#granted = allowance.tokens
    signal.addEventListener('abort', () => this.#drop(), { once: true })
  }

  head(status: number, headers: string[]): void {
    this.#inner.head(status, headers)
  }
  data(chunk: Buffer): boolean {
    if (this.#settled) {
      this.#held.push(chunk)
      return false
    }
    const { tokens } = this.#text
    if (this.#stop && tokens > this.#granted) throw this.#stop
    const near = Math.min(NEAR_TOKENS, this.#granted / 2)
    if (tokens + near > this.#granted && !this.#stop) this.#asking ??= this.#ask()
    if (tokens <= this.#granted) return this.#inner.data(chunk)
    this.#held.push(chunk)
    this.#settled = Promise.withResolvers()
    this.#settled.promise.catch(() => {}) // whoever waits is told; that nobody does any more must not end the process
    void this.#letGo(this.#settled)
    return false
  }
  end(): void {
    if (this.#settled) this.#hasEnded = true
    else this.#inner.end()
  }
  error(): void {
    this.#drop()
    this.#inner.error()
  }

  /** Resolves once what is held was handed on, rejects with what stops the stream; undefined where nothing is held. */
  settled(): Promise<void> | undefined {
    return this.#settled?.promise
  }

  #drop(): void {
    this.#held = []
    this.#settled?.resolve()
  }

  async #letGo({ resolve, reject }: PromiseWithResolvers<void>): Promise<void> {
    try {
      while (this.#held.length > 0 && this.#text.tokens > this.#granted) {
        if (this.#stop) throw this.#stop
        await (this.#asking ??= this.#ask())
      }
      const held = this.#held
      this.#held = []
      this.#settled = undefined
      for (const chunk of held) this.#inner.data(chunk)
      if (held.length > 0 && this.#hasEnded) this.#inner.end()
      resolve()
    } catch (error) {
      reject(error)
    }
  }

  async #ask(): Promise<void> {
    const { reservation, nanoOf } = this.#allowance
    // What has come already is asked for as well.
    const more = Math.max(STEP_TOKENS, this.#text.tokens + NEAR_TOKENS - this.#granted)
    try {
      const answer = await reservation.extend(nanoOf(more), more)
      if (answer === 'granted') this.#granted += more
      else if (answer === 'gone')
        this.#stop = new Failure('unavailable', new Error('The row of a call under way was written: this process was taken for dead.'))
      else this.#stop = budgetUsedUp(answer, Date.now())
    } catch (error) {
      this.#stop = error instanceof Failure ? error : new Failure('unavailable', error)
    }
    this.#asking = null
  }
}
