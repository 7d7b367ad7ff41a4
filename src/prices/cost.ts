import type { Usage } from '../call.ts'
import { type Price, type Rate, rateAt } from './price.ts'

/** A rate is a whole number of these for a token (10⁻¹⁵ USD): USD for a million tokens to nine decimals, so that products and sums are exact. */
const FEMTO_PER_RATE = 1_000_000_000
const FEMTO_PER_DOLLAR = 1_000_000_000_000_000
const FEMTO_PER_NANO = 1_000_000

/**
 * What a call costs in nano-dollars, rounded half up once. Parts are priced apart and taken from their whole, each at most as large as what is left of
 * it: a provider that counts more cached tokens than there were makes nothing negative. Exact up to 2⁵³ − 1 nano-dollars (nine million dollars), which
 * is also the most. Tokens of pictures cost like text, and searches that a provider makes and bills by number cost nothing here.
 */
export function costOf(usage: Usage, price: Price): number {
  const { input_tokens: asked, output_tokens: said } = usage
  const sum = new Sum()
  if (price.request !== undefined) sum.add(1, Math.round(price.request * FEMTO_PER_DOLLAR))
  const charge = (tokens: number, rate: Rate): void => {
    if (tokens > 0) sum.add(tokens, Math.round(rateAt(rate, asked) * FEMTO_PER_RATE))
  }

  const { input, cached_input = input, cache_write = input, cache_write_1h = cache_write, audio_input = input } = price
  const written = Math.min(usage.cache_write_tokens ?? 0, asked)
  const forAnHour = Math.min(usage.cache_write_1h_tokens ?? 0, written)
  const cached = Math.min(usage.cached_input_tokens ?? 0, asked - written)
  const heard = Math.min(usage.audio_input_tokens ?? 0, asked - written - cached)
  charge(forAnHour, cache_write_1h)
  charge(written - forAnHour, cache_write)
  charge(cached, cached_input)
  charge(heard, audio_input)
  charge(asked - written - cached - heard, input)

  const { output, reasoning = output, audio_output = output } = price
  const thought = Math.min(usage.reasoning_tokens ?? 0, said)
  const spoken = Math.min(usage.audio_output_tokens ?? 0, said - thought)
  charge(thought, reasoning)
  charge(spoken, audio_output)
  charge(said - thought - spoken, output)

  return Math.min(Number.MAX_SAFE_INTEGER, sum.inNano())
}

/** A sum of femto-dollars. Most are whole as numbers, which are cheap; what is beyond is counted apart. */
class Sum {
  #safe = 0
  #beyond = 0n

  add(tokens: number, rate: number): void {
    const sum = this.#safe + tokens * rate
    if (Number.isSafeInteger(sum)) this.#safe = sum
    else this.#beyond += BigInt(tokens) * BigInt(rate)
  }

  /** Rounded half up. */
  inNano(): number {
    const half = FEMTO_PER_NANO / 2
    const sum = this.#safe + half
    if (this.#beyond === 0n && Number.isSafeInteger(sum)) return (sum - (sum % FEMTO_PER_NANO)) / FEMTO_PER_NANO
    return Number((this.#beyond + BigInt(this.#safe) + BigInt(half)) / BigInt(FEMTO_PER_NANO))
  }
}
