/** What the document tells of routes that are served elsewhere: the governed call and those that say how Earthflow is. A test holds their answers to it. */
import { z } from 'zod'
import { actions } from '../rules/rule.ts'
import type { Route } from './route.ts'
import { timestamp } from './shapes.ts'

/** A route without what serves it. */
export type Described = Omit<Route, 'run'>

const call = z
  .strictObject({
    model: z.string(),
    messages: z.array(z.record(z.string(), z.unknown())).min(1).meta({ description: 'As openai-chat has them: {role, content}.' }),
    metadata: z.record(z.string(), z.unknown()).optional().meta({ description: 'What the caller says about the call; it is recorded.' }),
    stream: z.boolean().optional().meta({ description: 'The answer comes as server-sent events: {"delta"}, and last the envelope.' }),
  })
  .meta({ examples: [{ model: 'sandbox', messages: [{ role: 'user', content: 'Hello' }] }] })

const envelope = z.strictObject({
  status: z.enum(actions),
  request_id: z.string(),
  audit_id: z.string(),
  forwarded: z.boolean().meta({ description: 'Whether a provider saw the call.' }),
  response: z.unknown().meta({ description: "The provider's answer; null where there is none." }),
  reason: z.string().nullable(),
  triggered_rules: z.array(z.strictObject({ rule_id: z.string(), name: z.string(), action: z.string(), matched_field: z.string().nullable() })),
  redactions: z.array(z.strictObject({ field: z.string(), pattern: z.string(), replacement: z.string() })),
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
