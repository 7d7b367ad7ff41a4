import { z } from 'zod'
import { Refusal } from '../errors.ts'
import { COUNTED_MAX, findDelivery, listDeliveries, REPLAYED_AT_ONCE_MAX, replayDelivery, replayRange } from '../webhooks/delivery-log.ts'
import type { WebhookRow } from '../webhooks/endpoints.ts'
import { type AdminParts, change } from './parts.ts'
import { type Route, route } from './route.ts'
import { iso, listOf, moment, pageQuery, timestamp } from './shapes.ts'
import { delivery, deliveryFilter, shownDelivery } from './webhook-shape.ts'
import { noWebhook } from './webhooks.ts'

const ID_CHARACTERS_MAX = 64
const one = z.object({ id: z.string() })
const noDelivery = (): Refusal => new Refusal('not_found', 'There is no such delivery.')

export function deliveryRoutes(parts: AdminParts): Route[] {
  const { db, endpoints } = parts

  return [
    route({
      method: 'GET',
      path: '/v1/webhooks/{id}/deliveries',
      scope: 'webhooks:read',
      tenant: 'optional',
      summary: 'Lists what became of the events a webhook was to be told of, newest first.',
      params: one,
      query: z.strictObject({
        ...pageQuery(),
        ...deliveryFilter,
        event: deliveryFilter.event.meta({ description: `Looked for among the newest ${COUNTED_MAX}.` }),
      }),
      answer: listOf('deliveries', delivery).extend({
        total: z
          .number()
          .int()
          .meta({ description: `${COUNTED_MAX} where there are so many or more.` }),
      }),
      async run({ tenantId, params, query }) {
        const row = await endpoints.find(tenantId, params.id)
        if (!row) throw noWebhook()
        const { rows, total } = await listDeliveries(db, row.id, query)
        return { deliveries: rows.map(shownDelivery), total, limit: query.limit, offset: query.offset }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/webhooks/{id}/replay',
      scope: 'webhooks:write',
      tenant: 'optional',
      summary: `Sends again what was to be told from one moment until before another (created_at of the deliveries), under the same event ids: at most ${REPLAYED_AT_ONCE_MAX} at once, what came first first; next_from and next_from_id are where the rest begins. What is being delivered anyway is not sent twice.`,
      params: one,
      body: z
        .strictObject({ from: moment, to: moment, from_id: z.string().max(ID_CHARACTERS_MAX).optional(), state: deliveryFilter.state })
        .refine(({ from, to }) => from < to, { path: ['to'], message: 'Must be later than from.' })
        .meta({ examples: [{ from: '2026-01-01T00:00:00Z', to: '2026-01-02T00:00:00Z', state: 'dead' }] }),
      answer: z.strictObject({
        replayed: z.number().int(),
        remaining: z
          .number()
          .int()
          .meta({ description: `What can be replayed of the ${COUNTED_MAX} that follow.` }),
        next_from: timestamp.nullable().meta({ description: 'Sent as from, it replays what remains; null: nothing does.' }),
        next_from_id: z.string().nullable().meta({ description: 'Sent as from_id with it, nothing of that moment is sent twice.' }),
      }),
      async run({ tenantId, params, body, actor, requestId }) {
        const row = await endpoints.find(tenantId, params.id)
        if (!row) throw noWebhook()
        refuseInactive(row)
        const { replayed, remaining, nextFrom, nextFromId } = await change(parts, { actor, requestId }, async (tx) => {
          const result = await replayRange(tx, row.id, { ...body, fromId: body.from_id })
          const details = { from: iso(body.from), to: iso(body.to), state: body.state ?? null, replayed: result.replayed }
          return { result, done: { action: 'webhook.replay', tenantId, subject: row.id, details, changes: ['webhooks'] } }
        })
        return { replayed, remaining, next_from: iso(nextFrom), next_from_id: nextFromId }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/webhooks/deliveries/{id}/replay',
      scope: 'webhooks:write',
      tenant: 'optional',
      summary: 'Sends one event again, under the same event id, and again where it fails. What is being delivered anyway stays as it is.',
      params: one,
      body: z.strictObject({}),
      answer: delivery,
      async run({ tenantId, params, actor, requestId }) {
        const before = await findDelivery(db, tenantId, params.id)
        const endpoint = before && (await endpoints.find(tenantId, before.webhookId))
        if (!endpoint) throw noDelivery()
        refuseInactive(endpoint)
        const row = await change(parts, { actor, requestId }, async (tx) => {
          const isReplayed = await replayDelivery(tx, params.id)
          const after = await findDelivery(tx, tenantId, params.id)
          if (!after) throw noDelivery()
          const details = { delivery_id: after.id, replayed: Number(isReplayed) }
          return { result: after, done: { action: 'webhook.replay', tenantId, subject: endpoint.id, details, changes: ['webhooks'] } }
        })
        return shownDelivery(row)
      },
    }),
  ]
}

function refuseInactive({ active }: Pick<WebhookRow, 'active'>): void {
  if (active) return
  throw new Refusal('conflict', 'The webhook is not active: make it so first (PATCH, active true), then replay.', { context: { field: 'active' } })
}
