/** What providers ask for their models, from the data of `@pydantic/genai-prices`. They come with the package and are never fetched. */
import { createRequire } from 'node:module'
import type { ModelPrice } from '@pydantic/genai-prices'
import type { Price, Rate } from './price.ts'

/** Where a model is asked for: whose formats the upstream speaks, and its address. */
export interface Where {
  vendor: string
  baseUrl: string
}

/** Prices that were looked up lately. A lookup takes 30 to 150 µs, for it tries hundreds of patterns. */
const KEPT_MAX = 4_096
/** A price that depends on the time does so by the minute at most. */
const MINUTE_MS = 60_000
/** No provider's names are longer. */
const NAME_CHARACTERS_MAX = 256

/** What the catalogue calls the vendors of our dialects. */
const providerIds: ReadonlyMap<string, string> = new Map(Object.entries({ openai: 'openai', azure: 'azure', anthropic: 'anthropic', gemini: 'google' }))

export type Catalogue = ReturnType<typeof createCatalogue>

/** Loads the catalogue, which takes about 80 ms and 20 MB: once, at the start. */
export function createCatalogue() {
  // Its CommonJS build: as an ES module it takes a fifth longer.
  const { calcPrice, findProvider } = createRequire(import.meta.url)('@pydantic/genai-prices') as typeof import('@pydantic/genai-prices')
  const kept = new Map<string, { minute: number; price: Price | null }>()

  /**
   * What a model costs there at a time (milliseconds since 1970); null where the catalogue does not know it, or knows no price for its tokens. Its
   * provider is the one at that address; else the vendor; else the one before the slash of `openai/gpt-4o`; else whose model it is by its name. Dates
   * behind a name are the catalogue's business.
   */
  function priceOf(model: string, where: Where, at: number): Price | null {
    if (model.length > NAME_CHARACTERS_MAX) return null
    const key = `${where.vendor} ${where.baseUrl} ${model}`
    const minute = Math.floor(at / MINUTE_MS)
    const before = kept.get(key)
    if (before?.minute === minute) return before.price
    const price = lookUp(model, where, new Date(at))
    if (before && before.minute > minute) return price // of a call that began long ago; those that begin now are more
    kept.delete(key)
    if (kept.size >= KEPT_MAX) kept.delete(kept.keys().next().value as string)
    kept.set(key, { minute, price })
    return price
  }

  function lookUp(model: string, { vendor, baseUrl }: Where, timestamp: Date): Price | null {
    const name = model.replace(/^models\//, '') // as Google writes it
    const known = providerIds.get(vendor)
    const slash = name.indexOf('/')
    const maker = slash > 0 ? findProvider({ providerId: name.slice(0, slash) })?.id : undefined
    const found =
      (baseUrl === '' ? null : calcPrice({}, name, { timestamp, providerApiUrl: baseUrl })) ??
      (known === undefined ? null : calcPrice({}, name, { timestamp, providerId: known })) ??
      (maker === undefined ? null : calcPrice({}, name.slice(slash + 1), { timestamp, providerId: maker })) ??
      calcPrice({}, name, { timestamp })
    return found && priceFrom(found.model_price)
  }

  return {
    priceOf,
    /** Every model of the provider at that address, or of the vendor, that has a price: by name. */
    list(where: Where, at: number): { model: string; price: Price }[] {
      const { vendor, baseUrl } = where
      const providerId = providerIds.get(vendor)
      const provider =
        (baseUrl === '' ? undefined : findProvider({ providerApiUrl: baseUrl })) ?? (providerId === undefined ? undefined : findProvider({ providerId }))
      if (!provider) return []
      const timestamp = new Date(at)
      const models = provider.models.flatMap((one) => {
        // Asked for by itself, it is found at once, also where its rule is about longer names than its own.
        const alone = { ...provider, models: [{ ...one, match: { equals: one.id } }] }
        const price = priceFrom(calcPrice({}, one.id, { timestamp, provider: alone })?.model_price ?? {})
        return price === null ? [] : [{ model: one.id, price }]
      })
      return models.sort((a, b) => (a.model < b.model ? -1 : 1))
    },
  }
}

/** How the catalogue calls what we price. */
const names = {
  cached_input: 'cache_read_mtok',
  cache_write: 'cache_write_mtok',
  cache_write_1h: 'cache_write_1h_mtok',
  reasoning: 'output_reasoning_mtok',
  audio_input: 'input_audio_mtok',
  audio_output: 'output_audio_mtok',
} as const
const REQUESTS_PER_PRICE = 1_000

/** Null where tokens have no price: such a model is not free, it is billed by something else, or nobody knows. */
function priceFrom(told: ModelPrice): Price | null {
  const { input_mtok: input, output_mtok: output = 0, requests_kcount: requests } = told
  if (input === undefined) return null
  const parts = Object.entries(names).flatMap(([part, name]) => (told[name] === undefined ? [] : [[part, rateFrom(told[name])]]))
  return {
    input: rateFrom(input),
    output: rateFrom(output),
    ...Object.fromEntries(parts),
    ...(typeof requests === 'number' && { request: requests / REQUESTS_PER_PRICE }),
  }
}

const rateFrom = (told: Exclude<ModelPrice[string], undefined>): Rate =>
  typeof told === 'number' ? told : { base: told.base, tiers: told.tiers.toSorted((a, b) => a.start - b.start) }
