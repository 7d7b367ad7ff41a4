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

/**
 * What models cost at one upstream. One that the catalogue knows costs that wherever it is served, so that a model one runs oneself is free only by a
 * row that says 0. Times are milliseconds since 1970.
 */
export function createUpstreamPrices({ prices, catalogue, ...where }: UpstreamPricesOptions) {
  function find(model: string, at: number): Priced | null {
    const row = prices.find((one) => matchesAnySpelling(one.model, model))
    if (row) return { source: 'upstream', price: row }
    const price = catalogue?.priceOf(model, where, at) ?? null
    return price && { source: 'catalogue', price }
  }

  /** Null where there are no models, or one of them has no price. */
  function pricesOf(models: readonly string[], at: number): Price[] | null {
    const found = models.flatMap((model) => find(model, at)?.price ?? [])
    return found.length === 0 || found.length < models.length ? null : found
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
      return found && Math.max(...found.map((price) => costOf(usage, price)))
    },
  }
}
