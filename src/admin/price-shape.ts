import { z } from 'zod'
import { modelPattern } from './shapes.ts'

const PRICES_MAX = 1_000
/** USD for a million tokens. */
const PRICE_MAX = 1_000_000

const price = z.number().min(0).max(PRICE_MAX)
export const priceMembers = {
  input: price,
  output: price,
  cached_input: price.optional(),
  cache_write: price.optional(),
  reasoning: price.optional(),
  audio_input: price.optional(),
  audio_output: price.optional(),
}

/** What an upstream's models cost, as its administrator says. */
export const priceRows = z
  .array(z.strictObject({ model: modelPattern, ...priceMembers }))
  .max(PRICES_MAX)
  .refine((rows) => new Set(rows.map(({ model }) => model)).size === rows.length, 'Names a model twice.')
  .meta({
    description:
      'USD for a million tokens, by model pattern; the first that fits counts, and the catalogue does not: what it does not name costs what its input or output costs. 0 is free.',
  })
