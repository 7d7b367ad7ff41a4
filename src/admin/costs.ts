import { z } from 'zod'
import { type Dimension, dimensions, listCosts } from '../budgets/costs.ts'
import { Refusal } from '../errors.ts'
import type { AdminParts } from './parts.ts'
import { type Route, route } from './route.ts'
import { listOf, momentOrDay, pageQuery, timestamp } from './shapes.ts'

const COSTS_LIMIT = 100
const COSTS_DAYS = 30
const DAY_MS = 86_400_000
/** The last day that JavaScript and PostgreSQL write in the same way: a period ends before it. */
const LAST_DAY = Date.UTC(9999, 11, 31)

const names = Object.keys(dimensions) as Dimension[]
const groupBy = z
  .string()
  .transform((list) => list.split(','))
  .pipe(z.array(z.enum(names, `Must be a list of ${names.join(', ')}, with commas.`)))
  .refine((list) => new Set(list).size === list.length, 'Names something twice.')
  .default(['day'])
  .meta({ type: 'string', default: 'day', examples: ['day,model'], description: `A list of ${names.join(', ')}, with commas.` })

const figures = {
  requests: z.number().int(),
  unpriced_requests: z.number().int().meta({ description: 'Of these, whose model has no known price: they are not in cost_usd.' }),
  estimated_requests: z.number().int().meta({ description: 'Of these, whose tokens Earthflow estimated because no provider counted them.' }),
  input_tokens: z.number().int(),
  output_tokens: z.number().int(),
  cost_usd: z.string().meta({ description: 'A decimal number, exact to the billionth of a dollar.' }),
}

const none = z.string().nullable().optional()
const cost = z.strictObject({
  tenant_id: none,
  agent_id: none,
  key_prefix: none,
  user_id: none,
  model: none,
  upstream: none,
  day: none,
  ...figures,
})

export function costRoutes({ db, now }: AdminParts): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/costs',
      scope: 'stats:read',
      tenant: 'optional',
      summary:
        'What calls cost, by whole days (the last 30; UTC), grouped by a list of tenant, agent, key, user, model, upstream, day. Null: the calls of a group name none.',
      query: z.strictObject({ ...pageQuery(COSTS_LIMIT), from: momentOrDay.optional(), to: momentOrDay.optional(), group_by: groupBy }),
      answer: listOf('costs', cost).extend({ totals: z.strictObject(figures), period: z.strictObject({ from: timestamp, to: timestamp }) }),
      async run({ tenantId, query: { limit, offset, group_by, ...asked } }) {
        const to = wholeDay(Math.min(asked.to?.getTime() ?? now(), LAST_DAY), Math.ceil)
        const from = wholeDay(asked.from?.getTime() ?? to.getTime() - COSTS_DAYS * DAY_MS, Math.floor)
        if (from >= to) throw new Refusal('invalid_request', 'from: Must be before to.', { context: { field: 'from' } })
        const found = await listCosts(db, tenantId, { from: dayOf(from), to: dayOf(to), groupBy: group_by, limit, offset })
        return { ...found, limit, offset, period: { from: from.toISOString(), to: to.toISOString() } }
      },
    }),
  ]
}

/** A day is in the ledger as a whole: a period that begins or ends within one has all of it. */
const wholeDay = (at: number, round: (days: number) => number): Date => new Date(round(at / DAY_MS) * DAY_MS)
const dayOf = (date: Date): string => date.toISOString().slice(0, 10)
