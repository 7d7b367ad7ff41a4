import { z } from 'zod'
import { type AuditFilter, type AuditPage, findEntry, listEntries, readCursor, writeCursor } from '../audit/query.ts'
import { auditStats, groupings, type Period, pointsIn, SERIES_MAX } from '../audit/stats.ts'
import { Refusal } from '../errors.ts'
import { actions } from '../rules/rule.ts'
import { createPrompts, hashedPrompt } from './hash-prompt.ts'
import type { AdminParts } from './parts.ts'
import { type Route, route } from './route.ts'
import { momentOrDay, pageQuery, timestamp } from './shapes.ts'

const AUDIT_LIMIT = 100
const STATS_DAYS = 7
const DAY_MS = 86_400_000
const FILTER_CHARACTERS_MAX = 256

const statuses = [...actions, 'REJECTED'] as const
const kinds = ['exchange', 'change', 'chain'] as const
const outcomes = ['completed', 'refused', 'cancelled', 'failed', 'cut_by_drain', 'unknown'] as const

export const entry = z.strictObject({
  audit_id: z.string(),
  timestamp,
  kind: z.enum(kinds),
  tenant_id: z.string().nullable(),
  request_id: z.string(),
  agent_id: z.string().nullable(),
  key_prefix: z.string().nullable(),
  user_id: z.string().nullable(),
  status: z.enum(statuses).nullable(),
  outcome: z.enum(outcomes),
  reason: z.string().nullable(),
  dialect: z.string().nullable(),
  endpoint: z.string().nullable(),
  model: z.string().nullable(),
  upstream: z.string().nullable(),
  attempts: z.array(z.strictObject({ upstream: z.string(), status: z.number().int().nullable(), error: z.string().nullable(), ms: z.number() })),
  stream: z.boolean(),
  rules_evaluated: z.number().int(),
  rules_triggered: z.array(z.string()),
  findings: z.array(
    z.strictObject({
      rule_id: z.string(),
      action: z.string(),
      mode: z.enum(['enforce', 'shadow']),
      on: z.enum(['call', 'reply']),
      count: z.number().int(),
      where: z.array(z.string()),
    }),
  ),
  policy_version: z.number().int().nullable(),
  metadata: z.record(z.string(), z.unknown()),
  prompt_hash: z.string().nullable(),
  forwarded_hash: z.string().nullable(),
  uninspected_bytes: z.number().int(),
  degraded: z.string().nullable(),
  usage: z
    .strictObject({
      input_tokens: z.number().int(),
      output_tokens: z.number().int(),
      cached_input_tokens: z.number().int().optional(),
      cache_write_tokens: z.number().int().optional(),
      cache_write_1h_tokens: z.number().int().optional(),
      reasoning_tokens: z.number().int().optional(),
      audio_input_tokens: z.number().int().optional(),
      audio_output_tokens: z.number().int().optional(),
      estimated: z.literal(true).optional(),
    })
    .nullable(),
  cost_usd: z.string().nullable(),
  budgets: z.array(z.strictObject({ budget_id: z.string(), window: timestamp, amount: z.number().int() })),
  latency_ms: z.number().nullable(),
  upstream_ms: z.number().nullable(),
  first_byte_ms: z.number().nullable(),
  overhead_ms: z.number().nullable(),
  http_status: z.number().int().nullable(),
  escalation_id: z.string().nullable(),
  approved_by: z.string().nullable(),
  held_audit_id: z.string().nullable(),
})

export const counts = {
  requests: z.number().int(),
  allowed: z.number().int(),
  warned: z.number().int(),
  redacted: z.number().int(),
  escalated: z.number().int(),
  blocked: z.number().int(),
  rejected: z.number().int(),
}

const exact = z.string().min(1).max(FILTER_CHARACTERS_MAX).optional()
const period = { from: momentOrDay.optional(), to: momentOrDay.optional() }

export const filters = {
  ...period,
  kind: z.enum([...kinds, 'all']).default('exchange'),
  status: z.enum(statuses).optional(),
  rule_id: exact,
  user_id: exact,
  model: exact,
  agent: exact,
  request_id: exact,
  prompt_hash: z
    .string()
    .regex(/^(?:(?:hmac-)?sha256:)?[0-9a-f]{64}$/, 'Give sha256: or hmac-sha256: and 64 hexadecimal digits, or the digits alone.')
    .optional(),
}

export function auditRoutes(parts: AdminParts): Route[] {
  const { db, now, hashOf, hashMode } = parts
  const promptOf = createPrompts(parts)

  return [
    route({
      method: 'GET',
      path: '/v1/audit',
      scope: 'audit:read',
      tenant: 'optional',
      summary:
        'Lists calls, newest first; kind=change lists administrative changes instead, kind=chain what the log tells of itself, kind=all everything. next_cursor leads on from the last entry, and holds while new ones are written; null: there are no more.',
      query: z.strictObject({
        ...pageQuery(AUDIT_LIMIT),
        ...filters,
        cursor: z.string().max(FILTER_CHARACTERS_MAX).optional(),
      }),
      answer: z.strictObject({
        entries: z.array(entry),
        total: z.number().int(),
        limit: z.number().int(),
        offset: z.number().int(),
        next_cursor: z.string().nullable(),
      }),
      async run({ tenantId, query }) {
        const { limit, offset, cursor, ...rest } = query
        const { entries, total, next } = await listEntries(db, tenantId, toFilter(rest), { limit, offset, after: toPlace(cursor) })
        return { entries, total, limit, offset, next_cursor: next && writeCursor(next) }
      },
    }),

    route({
      method: 'GET',
      path: '/v1/audit/stats',
      scope: 'stats:read',
      tenant: 'optional',
      summary: 'Counts the calls of a period (the last 7 days) by what became of them. block_rate is blocked ÷ judged; rejected calls were not judged.',
      query: z.strictObject({ ...period, group_by: z.enum(groupings).default('day') }),
      answer: z.strictObject({
        period: z.strictObject({ from: timestamp, to: timestamp }),
        totals: z.strictObject(counts),
        block_rate: z.number().min(0).max(1),
        top_triggered_rules: z.array(z.strictObject({ rule_id: z.string(), count: z.number().int() })),
        series: z.array(z.strictObject({ start: timestamp, ...counts })),
      }),
      async run({ tenantId, query }) {
        const to = query.to ?? new Date(now())
        const from = query.from ?? new Date(to.getTime() - STATS_DAYS * DAY_MS)
        const asked: Period = { from, to, groupBy: query.group_by }
        if (from >= to) throw new Refusal('invalid_request', 'from: Must be before to.', { context: { field: 'from' } })
        if (pointsIn(asked) > SERIES_MAX) {
          throw new Refusal('invalid_request', `group_by: A series has at most ${SERIES_MAX} points; ask for a shorter period or longer steps.`, {
            context: { field: 'group_by' },
          })
        }
        const stats = await auditStats(db, tenantId, asked)
        return { period: { from: from.toISOString(), to: to.toISOString() }, ...stats }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/audit/hash',
      scope: 'audit:read',
      tenant: 'optional',
      summary: 'The prompt_hash of a call with this text, these messages or this body, to look it up by ?prompt_hash=. What was sent is not kept.',
      body: hashedPrompt,
      answer: z.strictObject({ prompt_hash: z.string() }),
      async run({ tenantId, body }) {
        const prompt = promptOf(body)
        if (tenantId === null && hashMode !== 'sha256')
          throw new Refusal('invalid_request', 'AUDIT_HASH_MODE hashes for each tenant under a key of its own: name one with tenant_id.', {
            context: { field: 'tenant_id' },
          })
        return { prompt_hash: await hashOf(tenantId ?? '', prompt) }
      },
    }),

    route({
      method: 'GET',
      path: '/v1/audit/{id}',
      scope: 'audit:read',
      tenant: 'optional',
      summary: 'One entry of the audit log.',
      params: z.object({ id: z.string() }),
      answer: entry,
      async run({ tenantId, params }) {
        const found = await findEntry(db, tenantId, params.id)
        if (!found) throw new Refusal('not_found', 'There is no such entry.')
        return found
      },
    }),
  ]
}

export const toFilter = ({ rule_id, user_id, agent, request_id, prompt_hash, ...rest }: z.output<z.ZodObject<typeof filters>>): AuditFilter => ({
  ...rest,
  ruleId: rule_id,
  userId: user_id,
  agentId: agent,
  requestId: request_id,
  promptHash: prompt_hash,
})

function toPlace(cursor: string | undefined): AuditPage['after'] {
  if (cursor === undefined) return null
  const place = readCursor(cursor)
  if (!place) throw new Refusal('invalid_request', 'cursor: Must be the next_cursor of another answer.', { context: { field: 'cursor' } })
  return place
}
