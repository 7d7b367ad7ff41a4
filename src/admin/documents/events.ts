/** What receivers of webhooks are told: the payload of each event, for the document and the page. A test holds what is sent to it. */
import { z } from 'zod'
import { countedEvents, type EventType, events, eventTypes } from '../../webhooks/event.ts'
import { entry } from '../audit.ts'
import { timestamp } from '../shapes.ts'
import type { Parameter } from './openapi.ts'

const call = entry.pick({
  audit_id: true,
  agent_id: true,
  key_prefix: true,
  user_id: true,
  status: true,
  outcome: true,
  reason: true,
  dialect: true,
  endpoint: true,
  model: true,
  upstream: true,
  stream: true,
  rules_triggered: true,
  findings: true,
  policy_version: true,
  prompt_hash: true,
  usage: true,
  cost_usd: true,
  latency_ms: true,
  http_status: true,
  escalation_id: true,
  approved_by: true,
  held_audit_id: true,
})
const held = entry
  .pick({
    audit_id: true,
    key_prefix: true,
    agent_id: true,
    user_id: true,
    model: true,
    dialect: true,
    endpoint: true,
    rules_triggered: true,
    policy_version: true,
  })
  .extend({
    escalation_id: z.string(),
    body_hash: z.string().meta({ description: 'sha256: and hex, of the body as it came.' }),
    expires_at: timestamp,
  })
const refused = entry.pick({ audit_id: true, key_prefix: true, agent_id: true })
const budget = z.strictObject({
  audit_id: z.string(),
  budget_id: z.string(),
  percent: z.number().int(),
  window: timestamp.meta({ description: 'When it began.' }),
  unit: z.enum(['usd', 'tokens']),
  spent: z.number(),
  amount: z.number(),
})
const checkpoint = z.strictObject({ origin: z.string(), tree_size: z.number().int(), root: z.string().meta({ description: 'Base64.' }) })

const change = (details: z.ZodType = z.record(z.string(), z.unknown())) =>
  z.strictObject({
    audit_id: z.string(),
    action: z.string().meta({ description: 'As the audit log names it.' }),
    actor: z.string().meta({ description: 'admin, system, the prefix of a key, or an address of e-mail.' }),
    subject: z.string().meta({ description: 'What it was done to: an id, a name, a prefix.' }),
    details,
  })
const anyChange = change()

/** The member `data`. */
const data = {
  ALLOW: call,
  WARN: call,
  REDACT: call,
  ESCALATE: z.union([held, call]),
  BLOCK: call,
  RULE_TRIGGERED: call,
  RATE_LIMIT_HIT: refused,
  BUDGET_THRESHOLD: budget,
  BUDGET_EXCEEDED: z.union([budget, refused]),
  AGENT_QUARANTINED: anyChange,
  AGENT_RELEASED: anyChange,
  KEY_CREATED: anyChange,
  KEY_REVOKED: anyChange,
  KEY_ROTATED: change(z.strictObject({ keys: z.number().int(), revoke_after_seconds: z.number() })),
  SESSIONS_LOCKED: change(z.strictObject({ ended: z.number().int(), reason: z.string().optional() })),
  POLICY_CHANGED: anyChange,
  ESCALATION_DECIDED: change(z.strictObject({ request_id: z.string(), audit_id: z.string().meta({ description: 'Of the call.' }) })),
  UPSTREAM_DOWN: change(z.strictObject({ status: z.number().int().nullable(), error: z.string().nullable(), failures: z.number().int() })),
  UPSTREAM_UP: change(z.strictObject({ failures: z.number().int() })),
  WEBHOOK_DISABLED: change(z.strictObject({ reason: z.enum(['gone', 'failing']) })),
  CERTIFICATE_EXPIRING: change(z.strictObject({ expires_at: timestamp, days: z.number().int() })),
  AUDIT_CHECKPOINT: checkpoint,
  AUDIT_DEGRADED: change(z.union([z.strictObject({ error: z.string() }), z.strictObject({ damage: z.string() })])),
} as const satisfies Record<EventType, z.ZodType>

const count = z.number().int().min(1).meta({ description: 'How many there were in the minute.' })

/** Of an event whose number is told, as it is sent. */
const counted = (shape: z.ZodType): z.ZodType => {
  if (shape instanceof z.ZodUnion) return z.union(shape.options.map((one) => counted(one as z.ZodType)))
  return (shape as z.ZodObject).extend({ count })
}

const payloadOf = (type: EventType): z.ZodType =>
  z.strictObject({
    event: z.literal(type),
    request_id: z.string(),
    tenant_id: z.string().nullable().meta({ description: 'Null where it concerns the whole installation.' }),
    timestamp: timestamp.meta({ description: 'When it happened; of a call, when it began.' }),
    data: countedEvents.has(type) ? counted(data[type]) : data[type],
  })

export const payloads = Object.fromEntries(eventTypes.map((type) => [type, payloadOf(type)])) as Record<EventType, z.ZodType>

/** The events that look alike, in the order in which the page shows them. */
export const alike: readonly { name: string; types: readonly EventType[] }[] = Array.from(
  Map.groupBy(eventTypes, (type) => data[type]),
  ([, types]) => ({ name: types.join(', '), types }),
)

export const aboutEvent = (type: EventType): string => `${sentence(events[type])}${countedEvents.has(type) ? ' Told once a minute, with the count.' : ''}`
const sentence = (words: string): string => `${words[0]!.toUpperCase()}${words.slice(1)}.`

const header = (name: string, description: string): Parameter => ({ name, in: 'header', required: true, description, schema: { type: 'string' } })

/** Standard Webhooks 1.0 (https://www.standardwebhooks.com), and beside it what is simple to check in a shell. */
export const deliveryHeaders: readonly Parameter[] = [
  header('webhook-id', 'The id of the event (evt_…): the same in every attempt and replay. What came already can be told by it.'),
  header('webhook-timestamp', 'When this attempt was made, in seconds since 1970. What is older than five minutes is to be refused.'),
  header(
    'webhook-signature',
    'v1, and HMAC-SHA-256 in base64 of id, timestamp and body, joined by full stops; while a secret is being rotated, one of each, with a blank between.',
  ),
  header(
    'x-earthflow-signature',
    'sha256= and HMAC-SHA-256 in hex of the body, with the secret as it was shown; while one is being rotated, one of each, with a comma between.',
  ),
  header('x-earthflow-event', 'The name of the event.'),
  header('x-earthflow-sequence', 'Rises with every event. Deliveries may overtake each other, and numbers be left out.'),
]

export const deliveryAnswers: Readonly<Record<string, { description: string }>> = {
  '2XX': { description: 'It was delivered.' },
  410: { description: 'Nobody is there any more: the webhook is disabled, and WEBHOOK_DISABLED told.' },
  default: {
    description:
      'Tried again: after 0.5, 1 and 2 seconds, then for three days, a redirect too. Retry-After is heeded. A webhook that has failed for 120 hours is disabled.',
  },
}
