import type { Usage } from '../call.ts'
import { type Price, type Rate, rateAt } from './price.ts'

/** A rate is a whole number of these for a token (10⁻¹⁵ USD): USD for a million tokens to nine decimals, so that products and sums are exact. */
const FEMTO_PER_RATE = 1_000_000_000
const FEMTO_PER_DOLLAR = 1_000_000_000_000_000
const FEMTO_PER_NANO = 1_000_000n

/**
 * What a call costs in nano-dollars, rounded half up once. Parts are priced apart and taken from their whole, each at most as large as what is left of
 * it: a provider that counts more cached tokens than there were makes nothing negative. Exact up to 2⁵³ − 1 nano-dollars (nine million dollars), which
 * is also the most. Tokens of pictures cost like text, and searches that a provider makes and bills by number cost nothing here.
 */
export function costOf(usage: Usage, price: Price): number {
  const { input_tokens: asked, output_tokens: said } = usage
  let femto = BigInt(Math.round((price.request ?? 0) * FEMTO_PER_DOLLAR))
  const charge = (tokens: number, rate: Rate): void => {
    if (tokens > 0) femto += BigInt(tokens) * BigInt(Math.round(rateAt(rate, asked) * FEMTO_PER_RATE))
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

  return Math.min(Number.MAX_SAFE_INTEGER, Number((femto + FEMTO_PER_NANO / 2n) / FEMTO_PER_NANO))
}
