/** What a model costs, in USD for a million tokens. A kind of token that is not named costs what `input` or `output` costs. */
export interface Price {
  input: Rate
  output: Rate
  /** Input that was read from a cache. */
  cached_input?: Rate
  /** Input that was written to a cache; for an hour, where that costs something else. */
  cache_write?: Rate
  cache_write_1h?: Rate
  reasoning?: Rate
  audio_input?: Rate
  audio_output?: Rate
  /** USD for each call, beside its tokens. */
  request?: number
}

/** One rate, or several by the size of the call's whole input: above `start` tokens all of its tokens cost `price`. Tiers rise. */
export type Rate = number | { readonly base: number; readonly tiers: readonly { readonly start: number; readonly price: number }[] }

/** What an upstream's row says of the models of a pattern: members in the order in which they are written. */
export interface PriceRow extends Price {
  model: string
  input: number
  output: number
}

export const rateAt = (rate: Rate, inputTokens: number): number =>
  typeof rate === 'number' ? rate : (rate.tiers.findLast(({ start }) => inputTokens > start)?.price ?? rate.base)
