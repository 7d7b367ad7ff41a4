import { z } from 'zod'
import { vendorOf } from '../dialects/index.ts'
import { matchesPattern } from '../model-pattern.ts'
import { type Price, type Rate, rateAt } from '../prices/price.ts'
import { createUpstreamPrices, type Priced } from '../prices/upstream-prices.ts'
import type { ServingUpstream } from '../upstreams/store.ts'
import type { AdminParts } from './parts.ts'
import { priceMembers } from './price-shape.ts'
import { type Route, route } from './route.ts'
import { listOf, modelPattern, pageQuery } from './shapes.ts'

const rates = { ...priceMembers, cache_write_1h: priceMembers.cache_write }
const row = z.strictObject({
  model: z.string().meta({ description: 'Of an upstream’s own prices the pattern.' }),
  upstream: z.string(),
  source: z.enum(['upstream', 'catalogue']),
  ...rates,
  request: z.number().optional().meta({ description: 'USD for each call.' }),
  tiers: z
    .array(z.strictObject({ above_input_tokens: z.number().int(), ...rates }))
    .optional()
    .meta({ description: 'What all tokens of a call cost whose input is larger.' }),
})

export function priceRoutes({ upstreams, catalogue, now }: AdminParts): Route[] {
  /** What this upstream's models cost: of one model, or of those that fit a pattern, its own prices first. */
  function pricesAt(upstream: ServingUpstream, asked: string, at: number): z.input<typeof row>[] {
    const where = { vendor: vendorOf(upstream.dialects[0] ?? '') ?? '', baseUrl: upstream.baseUrl }
    const { find } = createUpstreamPrices({ ...where, prices: upstream.prices, catalogue })
    const serves = (model: string): boolean => upstream.models.some((pattern) => matchesPattern(pattern, model))
    const shown = (model: string, priced: Priced | null): z.input<typeof row>[] =>
      priced ? [{ model, upstream: upstream.name, source: priced.source, ...told(priced.price) }] : []
    if (!asked.includes('*')) return serves(asked) ? shown(asked, find(asked, at)) : []
    const own = upstream.prices.filter(({ model }) => matchesPattern(asked, model))
    const rest = catalogue
      .list(where, at)
      .filter(({ model }) => matchesPattern(asked, model) && serves(model) && !upstream.prices.some((price) => matchesPattern(price.model, model)))
    return [
      ...own.flatMap((price) => shown(price.model, { source: 'upstream', price })),
      ...rest.flatMap(({ model, price }) => shown(model, { source: 'catalogue', price })),
    ]
  }

  return [
    route({
      method: 'GET',
      path: '/v1/prices',
      scope: 'any',
      tenant: 'optional',
      summary:
        "What models cost in USD for a million tokens: at each upstream that serves the tenant, or without a tenant at the installation's, its own prices and the catalogue's for the rest. `model` names one or is a pattern.",
      query: z.strictObject({ ...pageQuery(), model: modelPattern.default('*') }),
      answer: listOf('prices', row),
      async run({ tenantId, query: { model, limit, offset } }) {
        const at = now()
        const all = (await upstreams.serving(tenantId)).flatMap((upstream) => pricesAt(upstream, model, at))
        return { prices: all.slice(offset, offset + limit), total: all.length, limit, offset }
      },
    }),
  ]
}

type Told = z.input<z.ZodObject<typeof rates>>

/** Every kind of token that is priced apart, for a call of ordinary size, and above each size from which another price holds. */
function told(price: Price): Told & { request?: number; tiers?: (Told & { above_input_tokens: number })[] } {
  const kinds = Object.keys(rates).flatMap((kind) => {
    const rate = price[kind as keyof typeof rates]
    return rate === undefined ? [] : [[kind, rate] as const]
  })
  const of = (inputTokens: number): Told => Object.fromEntries(kinds.map(([kind, rate]) => [kind, rateAt(rate, inputTokens)])) as Told
  const starts = new Set(kinds.flatMap(([, rate]) => startsOf(rate)))
  const tiers = [...starts].sort((a, b) => a - b).map((start) => ({ above_input_tokens: start, ...of(start + 1) }))
  return { ...of(0), ...(price.request !== undefined && { request: price.request }), ...(tiers.length > 0 && { tiers }) }
}

const startsOf = (rate: Rate): number[] => (typeof rate === 'number' ? [] : rate.tiers.map(({ start }) => start))
