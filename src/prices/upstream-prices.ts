import type { Usage } from '../call.ts'
import { matchesAnySpelling } from '../model-pattern.ts'
import type { Catalogue, Where } from './catalogue.ts'
import { costOf } from './cost.ts'
import { type Price, type PriceRow, rateAt } from './price.ts'

/** A price, and who says so: the upstream's row, or the catalogue. */
export interface Priced {
  source: 'upstream' | 'catalogue'
  price: Price
}

interface UpstreamPricesOptions extends Where {
  /** Of the upstream's row: the first whose pattern fits counts, and all of it: what it does not name costs like its own input or output. */
  prices: readonly PriceRow[]
  /** Asked where no row fits; null: there is none. */
  catalogue: Pick<Catalogue, 'priceOf'> | null
}

export type UpstreamPrices = ReturnType<typeof createUpstreamPrices>

/** A longer name is no model's. */
const MODEL_CHARACTERS_MAX = 256
/** Models of one upstream of which it is kept which row prices them. At the bound all are looked up anew. */
const KEPT_MAX = 1_000

/**
 * What models cost at one upstream. One that the catalogue knows costs that wherever it is served, so that a model one runs oneself is free only by a
 * row that says 0. Times are milliseconds since 1970.
 */
export function createUpstreamPrices({ prices, catalogue, ...where }: UpstreamPricesOptions) {
  const kept = new Map<string, PriceRow | null>()

  function rowOf(model: string): PriceRow | null {
    if (prices.length === 0) return null
    const known = kept.get(model)
    if (known !== undefined) return known
    const row = prices.find((one) => matchesAnySpelling(one.model, model)) ?? null
    if (kept.size >= KEPT_MAX) kept.clear()
    if (model.length <= MODEL_CHARACTERS_MAX) kept.set(model, row)
    return row
  }

  const priceOf = (model: string, at: number): Price | null => rowOf(model) ?? catalogue?.priceOf(model, where, at) ?? null

  function find(model: string, at: number): Priced | null {
    const price = priceOf(model, at)
    return price && { source: rowOf(model) === null ? 'catalogue' : 'upstream', price }
  }

  /** Null where there are no models, or one of them has no price. */
  function pricesOf(models: readonly string[], at: number): Price[] | null {
    const found: Price[] = []
    for (const model of models) {
      const price = priceOf(model, at)
      if (price === null) return null
      found.push(price)
    }
    return found.length === 0 ? null : found
  }

  return {
    find,
    /** USD for a million tokens of a call of ordinary size. Of several models the dearest counts; null where one has no price. */
    ratesOf(models: readonly string[], at: number): { input: number; output: number } | null {
      const found = pricesOf(models, at)
      return found && { input: Math.max(...found.map(({ input }) => rateAt(input, 0))), output: Math.max(...found.map(({ output }) => rateAt(output, 0))) }
    },
    /** Nano-dollars. Of several models the dearest counts; null where one has no price. */
    costOf(models: readonly string[], usage: Usage, at: number): number | null {
      const found = pricesOf(models, at)
      if (found === null) return null
      let most = 0
      for (const price of found) most = Math.max(most, costOf(usage, price))
      return most
    },
  }
}
