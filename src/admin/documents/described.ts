/** What the document tells of routes that are served elsewhere: the governed call and those that say how Earthflow is. A test holds their answers to it. */
import { z } from 'zod'
import { actions } from '../../rules/rule.ts'
import type { Route } from '../route.ts'
import { timestamp } from '../shapes.ts'

/** A route without what serves it. */
export type Described = Omit<Route, 'run'>

const textPart = z.strictObject({ type: z.literal('text'), text: z.string() })
const call = z
  .strictObject({
    model: z.string(),
    messages: z.array(z.strictObject({ role: z.enum(['system', 'user', 'assistant']), content: z.union([z.string(), z.array(textPart)]) })).min(1),
    metadata: z.record(z.string(), z.unknown()).nullish().meta({ description: 'What the caller says about the call; it is recorded.' }),
    stream: z.boolean().nullish().meta({ description: 'The answer comes as server-sent events: {"delta"}, and last the envelope, without a response.' }),
    max_tokens: z.number().min(0).nullish().meta({ description: 'How long the answer may be.' }),
    temperature: z.number().min(0).nullish(),
  })
  .meta({ examples: [{ model: 'sandbox', messages: [{ role: 'user', content: 'Hello' }] }] })

const envelope = z.strictObject({
  status: z.enum(actions),
  request_id: z.string(),
  audit_id: z.string(),
  forwarded: z.boolean().meta({ description: 'Whether a provider saw the call.' }),
  approval_id: z.string().optional().meta({ description: 'Of the escalation, where a person has to decide about the call, or has.' }),
  response: z.unknown().meta({ description: "The provider's answer as it came; null where there is none, or where it was streamed." }),
  reason: z.string().nullable(),
  triggered_rules: z.array(z.strictObject({ rule_id: z.string(), name: z.string(), action: z.string(), matched_field: z.string().nullable() })),
  redactions: z.array(z.strictObject({ field: z.string().nullable(), pattern: z.string().nullable(), replacement: z.string().nullable() })),
  rules_evaluated: z.number().int(),
  latency_ms: z.number(),
})

const state = z.enum(['ok', 'degraded', 'failed'])
const health = z.strictObject({ status: z.literal('OK'), version: z.string(), uptime_seconds: z.number().int() })
const ready = z.strictObject({ status: state, checks: z.record(z.string(), state) })
const services = z.strictObject({ status: state, services: z.record(z.string(), z.strictObject({ state, detail: z.string().optional() })) })
const about = z.looseObject({ name: z.string(), version: z.string() })

const told = (path: Described['path'], summary: string, answer: z.ZodType | null, more: Partial<Described> = {}): Described => ({
  method: 'GET',
  path,
  scope: 'public',
  tenant: 'none',
  summary,
  params: null,
  query: null,
  body: null,
  answer,
  media: [],
  status: 200,
  ...more,
})

export const described: readonly Described[] = [
  told('/v1/proxy', 'A governed call in an envelope of our own: the verdict stands beside the answer, and a blocked call is an answer too.', envelope, {
    method: 'POST',
    scope: 'proxy:write',
    body: call,
    media: ['text/event-stream'],
  }),
  told('/health', 'Version and uptime.', health),
  told('/health/live', '200 while the process lives.', health.pick({ status: true })),
  told('/health/ready', 'Each check as ok, degraded or failed; 503 only when a new call would be refused.', ready),
  told('/health/services', 'The same checks with their details, always 200.', services),
  told('/info', 'Version, dialects, kind of database.', about),
  told('/v1/dashboard/metrics', 'Prometheus text.', null, { scope: 'admin', media: ['text/plain'] }),
]

/** What every "no" of the management API looks like. */
export const errorShape = z.strictObject({
  error: z.string(),
  message: z.string(),
  context: z
    .record(z.string(), z.unknown())
    .meta({ description: 'What a program may want to know beside the sentence: field names the member that is wrong.' }),
  timestamp,
  request_id: z.string(),
})
