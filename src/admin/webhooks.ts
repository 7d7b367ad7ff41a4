import { z } from 'zod'
import { Refusal } from '../errors.ts'
import { addTest, findDelivery } from '../webhooks/delivery-log.ts'
import { forgetDeliveries, giveUpPending } from '../webhooks/endpoint-deliveries.ts'
import type { WebhookRow } from '../webhooks/endpoints.ts'
import { type AdminParts, change } from './parts.ts'
import { nameOf, type Route, route } from './route.ts'
import { listOf, pageQuery, timestamp } from './shapes.ts'
import { changedWebhook, delivery, newWebhook, refuseOtherTenant, refuseUnknown, secret, shownDelivery, shownWebhook, webhook } from './webhook-shape.ts'

const one = z.object({ id: z.string() })
export const noWebhook = (): Refusal => new Refusal('not_found', 'There is no such webhook.')

export function webhookRoutes(parts: AdminParts): Route[] {
  const { db, endpoints, now } = parts
  /** One test at a time of each, in this process: a test is an attempt now, outside the turns that others wait for. */
  const beingTested = new Set<string>()
  const shown = (row: WebhookRow) => shownWebhook(row, endpoints)
  const found = async (tenantId: string | null, id: string): Promise<WebhookRow> => {
    const row = await endpoints.find(tenantId, id)
    if (!row) throw noWebhook()
    return row
  }
  /** After a change is committed: should it fail, the workers come to these rows in the end. */
  const tidied = (work: Promise<unknown>, requestId: string): Promise<unknown> => work.catch((error: unknown) => parts.report(error, { requestId }))

  return [
    route({
      method: 'GET',
      path: '/v1/webhooks',
      scope: 'webhooks:read',
      tenant: 'optional',
      summary: "Lists webhooks, newest first: a tenant's own, or without a tenant all there are. Secrets are never shown.",
      query: z.strictObject(pageQuery()),
      answer: listOf('webhooks', webhook),
      async run({ tenantId, query }) {
        const { rows, total } = await endpoints.list(tenantId ?? 'all', query)
        return { webhooks: rows.map(shown), total, ...query }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/webhooks',
      scope: 'webhooks:write',
      tenant: 'optional',
      summary:
        "Adds a webhook for a tenant's events, or without a tenant for all there are. Its address must be one Earthflow may call. The secret is shown only in this answer.",
      body: newWebhook.meta({ examples: [{ url: 'https://siem.example.com/earthflow', events: ['BLOCK', 'ESCALATE', 'BUDGET_EXCEEDED'] }] }),
      answer: webhook.extend({ secret: z.string() }),
      status: 201,
      async run({ tenantId, body, actor, requestId }) {
        refuseOtherTenant(body.tenant_id, tenantId)
        refuseUnknown(body.events)
        const { url, description, events, active } = body
        const prepared = await endpoints.prepare(tenantId, { url, description, events, active }, { secret: body.secret, createdBy: nameOf(actor) })
        const row = await change(parts, { actor, requestId }, async (tx) => {
          const made = await endpoints.insert(tx, prepared)
          const details = { url: originOf(url), events, active }
          return { result: made, done: { action: 'webhook.create', tenantId, subject: made.id, details, changes: ['webhooks'] } }
        })
        return { ...shown(row), secret: prepared.secret }
      },
    }),

    route({
      method: 'GET',
      path: '/v1/webhooks/{id}',
      scope: 'webhooks:read',
      tenant: 'optional',
      summary: "One webhook: a tenant's own, or without a tenant one of the installation.",
      params: one,
      answer: webhook,
      async run({ tenantId, params }) {
        return shown(await found(tenantId, params.id))
      },
    }),

    route({
      method: 'PATCH',
      path: '/v1/webhooks/{id}',
      scope: 'webhooks:write',
      tenant: 'optional',
      summary:
        'Changes what is named. While it is not active nothing is sent: what waited is dead, and can be replayed once it is active again. The secret is changed by rotate-secret.',
      params: one,
      body: changedWebhook.meta({ examples: [{ active: false }] }),
      answer: webhook,
      async run({ tenantId, params, body, actor, requestId }) {
        refuseOtherTenant(body.tenant_id, tenantId)
        refuseUnknown(body.events)
        const before = await found(tenantId, params.id)
        const { url, description, events, active } = body
        const prepared = await endpoints.prepareChange({ url, description, events, active })
        const row = await change(parts, { actor, requestId }, async (tx) => {
          const after = await endpoints.change(tx, before, prepared)
          if (!after) throw noWebhook()
          const details = { url: originOf(after.url), events: after.events, active: after.active }
          return { result: after, done: { action: 'webhook.update', tenantId, subject: after.id, details, changes: ['webhooks'] } }
        })
        if (!row.active) await tidied(giveUpPending(db, row.id, new Date(now())), requestId)
        return shown(row)
      },
    }),

    route({
      method: 'DELETE',
      path: '/v1/webhooks/{id}',
      scope: 'webhooks:write',
      tenant: 'optional',
      summary: 'Removes a webhook, its secret and its deliveries.',
      params: one,
      answer: null,
      async run({ tenantId, params, actor, requestId }) {
        const { id } = await change(parts, { actor, requestId }, async (tx) => {
          const gone = await endpoints.remove(tx, tenantId, params.id)
          if (!gone) throw noWebhook()
          const done = { action: 'webhook.delete', tenantId, subject: gone.id, details: { url: originOf(gone.url) }, changes: ['webhooks'] as const }
          return { result: gone, done }
        })
        await tidied(forgetDeliveries(db, id), requestId)
      },
    }),

    route({
      method: 'POST',
      path: '/v1/webhooks/{id}/rotate-secret',
      scope: 'webhooks:write',
      tenant: 'optional',
      summary:
        'Gives it another secret, which is shown only in this answer. For 24 hours the one before it signs as well; one that did so until now is dropped.',
      params: one,
      body: z.strictObject({ secret: secret.optional() }).meta({ examples: [{}] }),
      answer: z.strictObject({ secret: z.string(), previous_secret_until: timestamp }),
      async run({ tenantId, params, body, actor, requestId }) {
        const before = await found(tenantId, params.id)
        const prepared = await endpoints.prepareRotation(before, body.secret)
        const row = await change(parts, { actor, requestId }, async (tx) => {
          const after = await endpoints.change(tx, before, prepared)
          if (!after) throw noWebhook()
          return { result: after, done: { action: 'webhook.rotate_secret', tenantId, subject: after.id, changes: ['webhooks'] } }
        })
        return { secret: prepared.secret, previous_secret_until: (row.previousUntil ?? new Date(now())).toISOString() }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/webhooks/{id}/test',
      scope: 'webhooks:write',
      tenant: 'optional',
      summary:
        'Sends an event of the type TEST to this webhook alone, once and at once, active or not, and answers what came of it. One at a time: 409 while another is under way.',
      params: one,
      body: z.strictObject({}),
      answer: delivery,
      async run({ tenantId, params, actor, requestId }) {
        const row = await found(tenantId, params.id)
        if (beingTested.has(row.id)) throw new Refusal('conflict', 'A test of this webhook is under way. Wait until it is answered.')
        beingTested.add(row.id)
        try {
          const id = await change(parts, { actor, requestId }, async (tx) => {
            const added = await addTest(tx, row, { requestId, at: new Date(now()) })
            return { result: added, done: { action: 'webhook.test', tenantId, subject: row.id, details: { delivery_id: added }, changes: [] } }
          })
          await parts.webhooks.deliver(id)
          const made = await findDelivery(db, tenantId, id)
          if (!made) throw noWebhook()
          return shownDelivery(made)
        } finally {
          beingTested.delete(row.id)
        }
      },
    }),
  ]
}

/** For the record: the path of many a receiver's address is its secret, and the query may be. */
const originOf = (url: string): string => new URL(url).origin
