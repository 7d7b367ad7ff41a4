/** The tables of what others are told, and of calls that wait for a person. */
import { bigserial, boolean, index, integer, jsonb, pgTable, sql, text, timestamp, uniqueIndex } from './drizzle.ts'

const at = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: 'date' })
const createdAt = () => at('created_at').notNull().defaultNow()

/** One try to deliver an event. `error` is a code such as ECONNREFUSED; `response` what a receiver said, cut short. */
export interface DeliveryAttempt {
  /** ISO 8601. */
  at: string
  status: number | null
  error: string | null
  ms: number
  response: string | null
}

/** Who is told of events. One of no tenant belongs to the whole installation, and is told of every tenant's. */
export const webhooks = pgTable(
  'webhooks',
  {
    id: text().primaryKey(),
    tenantId: text('tenant_id'),
    url: text().notNull(),
    description: text().notNull().default(''),
    /** Names of events; `*` is all of them. */
    events: jsonb().$type<string[]>().notNull(),
    active: boolean().notNull().default(true),
    /** Sealed. */
    secret: text().notNull(),
    /** Sealed; it signs as well until `previous_until`. */
    previousSecret: text('previous_secret'),
    previousUntil: at('previous_until'),
    /** Since when no delivery succeeded; null: the last one did. */
    failingSince: at('failing_since'),
    /** When an attempt last failed, or up to an hour before: after a long rest what fails is something else. */
    failedAt: at('failed_at'),
    /** Why it was disabled by the program itself: `gone` (410) or `failing`. */
    disabledReason: text('disabled_reason').$type<'gone' | 'failing'>(),
    createdBy: text('created_by').notNull(),
    createdAt: createdAt(),
  },
  (t) => [index('webhooks_tenant').on(t.tenantId)],
)

/** What happened, written in the transaction in which it did, if somebody is to be told. */
export const webhookEvents = pgTable(
  'webhook_events',
  {
    /** What receivers tell repetitions by: every attempt of every delivery carries it. */
    id: text().primaryKey(),
    /** Rises with every event; a number that is left out means nothing. */
    sequence: bigserial({ mode: 'number' }).notNull(),
    /** Null where it concerns the whole installation. */
    tenantId: text('tenant_id'),
    type: text().notNull(),
    requestId: text('request_id').notNull(),
    at: at('at').notNull(),
    /** Members of the payload's `data`; never text of a call, nor a secret. */
    data: jsonb().$type<Record<string, unknown>>().notNull(),
    /** Of what is told once a minute: whose events are counted together. */
    subject: text(),
    /** And the minute in which they are. */
    minute: at('minute'),
    count: integer().notNull().default(1),
    /** It is still being counted: no attempt to deliver it has begun. */
    isOpen: boolean('is_open').notNull().default(false),
    createdAt: createdAt(),
  },
  (t) => [
    uniqueIndex('webhook_events_open').on(t.type, sql`coalesce(${t.tenantId}, '')`, t.subject, t.minute).where(sql`${t.isOpen}`),
    index('webhook_events_created').on(t.createdAt),
    index('webhook_events_user').on(t.tenantId, sql`(${t.data}->>'user_id')`).where(sql`${t.data}->>'user_id' is not null`),
  ],
)

/** An event on its way to one endpoint, and what became of it. No foreign keys: an endpoint may be deleted while a call is being recorded. */
export const webhookDeliveries = pgTable(
  'webhook_deliveries',
  {
    id: text().primaryKey(),
    eventId: text('event_id').notNull(),
    webhookId: text('webhook_id').notNull(),
    /** The endpoint's. */
    tenantId: text('tenant_id'),
    state: text().$type<'pending' | 'delivered' | 'dead'>().notNull().default('pending'),
    /** When the next attempt is due; while one is under way, when it is taken for lost. */
    dueAt: at('due_at').notNull(),
    /** Who is at it; null: nobody. */
    lease: text(),
    /** Attempts since it was made, or replayed. */
    tries: integer().notNull().default(0),
    /** The newest ones, oldest first. */
    attempts: jsonb().$type<DeliveryAttempt[]>().notNull().default([]),
    createdAt: createdAt(),
    finishedAt: at('finished_at'),
  },
  (t) => [
    index('webhook_deliveries_due').on(t.webhookId, t.dueAt).where(sql`${t.state} = 'pending'`),
    index('webhook_deliveries_late').on(t.dueAt).where(sql`${t.state} = 'pending'`),
    index('webhook_deliveries_webhook').on(t.webhookId, t.state, t.createdAt),
    index('webhook_deliveries_finished').on(t.finishedAt).where(sql`${t.finishedAt} is not null`),
    index('webhook_deliveries_event').on(t.eventId),
    index('webhook_deliveries_created').on(t.createdAt),
  ],
)

/** Calls that wait for a person, and what was decided. What they say is sealed under a data key of its own, and both are gone once it is decided or too late. */
export const escalations = pgTable(
  'escalations',
  {
    id: text().primaryKey(),
    tenantId: text('tenant_id').notNull(),
    status: text().$type<'pending' | 'approved' | 'denied' | 'expired'>().notNull().default('pending'),
    /** Of the call that was held first. */
    requestId: text('request_id').notNull(),
    auditId: text('audit_id').notNull(),
    /** Whose approval it is: the first key of the caller's line, or the session that stands in a key's place. */
    caller: text().notNull(),
    keyPrefix: text('key_prefix').notNull(),
    agentId: text('agent_id'),
    userId: text('user_id'),
    dialect: text().notNull(),
    endpoint: text(),
    model: text(),
    rulesTriggered: jsonb('rules_triggered').$type<string[]>().notNull(),
    policyVersion: integer('policy_version').notNull(),
    /** `sha256:` and hex, of the body as it came. */
    bodyHash: text('body_hash').notNull(),
    /** The same of the call as it will be sent, and of why it is held. */
    callHash: text('call_hash').notNull(),
    /** Sealed, and packed before: stored as it is (the generated migration is edited for that). Null once it is decided or too late. */
    content: text(),
    contentBytes: integer('content_bytes').notNull(),
    createdAt: createdAt(),
    /** Until when it can be decided; once approved, until when the approval can be used. */
    expiresAt: at('expires_at').notNull(),
    decidedAt: at('decided_at'),
    decidedBy: text('decided_by'),
    comment: text(),
    /** An approval is used once. */
    usedAt: at('used_at'),
    usedBy: text('used_by'),
  },
  (t) => [
    uniqueIndex('escalations_pending').on(t.tenantId, t.caller, t.callHash, t.policyVersion).where(sql`${t.status} = 'pending'`),
    index('escalations_tenant').on(t.tenantId, t.createdAt),
    index('escalations_user').on(t.tenantId, t.userId).where(sql`${t.userId} is not null`),
    index('escalations_held').on(t.expiresAt).where(sql`${t.content} is not null`),
  ],
)
