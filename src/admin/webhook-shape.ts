/** What webhooks and their deliveries look like in the API. */
import { z } from 'zod'
import { Refusal } from '../errors.ts'
import { type DeliveryRow, deliveryStates, TEST_EVENT } from '../webhooks/delivery-log.ts'
import type { Endpoints, WebhookRow } from '../webhooks/endpoints.ts'
import { EVERY_EVENT, eventTypes } from '../webhooks/event.ts'
import { isSecret, SECRET_RULE } from '../webhooks/secrets.ts'
import { ignored } from './read-only.ts'
import { iso, timestamp } from './shapes.ts'

const URL_CHARACTERS_MAX = 2_048
const DESCRIPTION_CHARACTERS_MAX = 500
/** Names of events: more than there are. */
const EVENTS_MAX = 100
const EVENT_CHARACTERS_MAX = 64

const known: readonly string[] = [...eventTypes, EVERY_EVENT]

const fields = {
  url: z.string().min(1).max(URL_CHARACTERS_MAX).meta({ description: 'Where events are posted to; https, and an address that Earthflow may call.' }),
  description: z
    .string()
    .max(DESCRIPTION_CHARACTERS_MAX)
    .regex(/^[^\p{Cc}]*$/u, 'Must not contain control characters.'),
  events: z
    .array(z.string().max(EVENT_CHARACTERS_MAX).meta({ enum: known }))
    .min(1)
    .max(EVENTS_MAX)
    .refine((names) => new Set(names).size === names.length, 'Names an event twice.')
    .meta({ description: 'Names of events; * is all of them, those of later versions too.' }),
  active: z.boolean(),
}
export const secret = z
  .string()
  .refine(isSecret, SECRET_RULE)
  .meta({ description: `${SECRET_RULE} Left out: one is made.` })

/** Only answers say them. They may be sent, so that what a GET answered can be sent back. */
const said = {
  id: ignored,
  failing_since: ignored,
  disabled_reason: ignored,
  previous_secret_until: ignored,
  created_by: ignored,
  created_at: ignored,
}
/** May be repeated, and does not choose the tenant. */
const tenantId = z.string().max(64).nullable().optional()

export const webhook = z.strictObject({
  id: z.string(),
  tenant_id: z.string().nullable().meta({ description: "Null: the installation's. It is told of every tenant's events." }),
  ...fields,
  failing_since: timestamp.nullable().meta({ description: 'Since when no delivery succeeded; null: the last one did.' }),
  disabled_reason: z
    .enum(['gone', 'failing'])
    .nullable()
    .meta({ description: 'Why Earthflow itself made it inactive: it answered 410, or failed for 120 hours.' }),
  previous_secret_until: timestamp.nullable().meta({ description: 'Until when the secret before the present one signs as well.' }),
  created_by: z.string(),
  created_at: timestamp,
})
export const newWebhook = z.strictObject({
  ...said,
  tenant_id: tenantId,
  url: fields.url,
  description: fields.description.default(''),
  events: fields.events.default([EVERY_EVENT]),
  active: fields.active.default(true),
  secret: secret.optional(),
})
export const changedWebhook = z.strictObject({ ...said, tenant_id: tenantId, ...fields }).partial()

const attempt = z.strictObject({
  at: timestamp,
  status: z.number().int().nullable().meta({ description: 'What the receiver answered; null where nothing came.' }),
  error: z.string().nullable().meta({ description: 'Why nothing came, as a code.' }),
  ms: z.number(),
  response: z.string().nullable().meta({ description: 'The beginning of the answer.' }),
})

export const delivery = z.strictObject({
  id: z.string(),
  event_id: z.string().meta({ description: 'The same on every attempt, as the header webhook-id.' }),
  event: z.string(),
  webhook_id: z.string(),
  tenant_id: z.string().nullable(),
  state: z.enum(deliveryStates),
  attempts: z.array(attempt).meta({ description: 'The newest ones, oldest first.' }),
  next_attempt_at: timestamp.nullable().meta({ description: 'Null while one is under way, and where none will follow.' }),
  created_at: timestamp,
  finished_at: timestamp.nullable(),
})
export const deliveryFilter = { state: z.enum(deliveryStates).optional(), event: z.enum([...eventTypes, TEST_EVENT]).optional() }

/** Throws a Refusal that says which events there are. */
export function refuseUnknown(events: readonly string[] | undefined): void {
  const unknown = events?.find((name) => !known.includes(name))
  if (unknown === undefined) return
  throw new Refusal('invalid_request', `events: There is no event ${JSON.stringify(unknown)}. Known: ${known.join(', ')}.`, { context: { field: 'events' } })
}

/** Throws a Refusal where the body says another tenant than the request is about. */
export function refuseOtherTenant(said: string | null | undefined, meant: string | null): void {
  if (said === undefined || said === meant) return
  throw new Refusal('invalid_request', 'tenant_id: The request is about another tenant.', { context: { field: 'tenant_id' } })
}

export const shownWebhook = (row: WebhookRow, { previousUntil }: Pick<Endpoints, 'previousUntil'>): z.input<typeof webhook> => ({
  id: row.id,
  tenant_id: row.tenantId,
  url: row.url,
  description: row.description,
  events: row.events,
  active: row.active,
  failing_since: iso(row.failingSince),
  disabled_reason: row.disabledReason,
  previous_secret_until: iso(previousUntil(row)),
  created_by: row.createdBy,
  created_at: row.createdAt.toISOString(),
})

export const shownDelivery = (row: DeliveryRow): z.input<typeof delivery> => ({
  id: row.id,
  event_id: row.eventId,
  event: row.event,
  webhook_id: row.webhookId,
  tenant_id: row.tenantId,
  state: row.state,
  attempts: row.attempts,
  next_attempt_at: row.state === 'pending' && row.lease === null ? row.dueAt.toISOString() : null,
  created_at: row.createdAt.toISOString(),
  finished_at: iso(row.finishedAt),
})
