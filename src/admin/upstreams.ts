import { z } from 'zod'
import { findTenant } from '../access/tenants.ts'
import { Refusal } from '../errors.ts'
import type { UpstreamFields, UpstreamRow } from '../upstreams/store.ts'
import { noTenant } from './credentials.ts'
import { changeOrTry, dryRunQuery } from './dry-run.ts'
import { type AdminParts, change } from './parts.ts'
import { priceRows } from './price-shape.ts'
import { ignored } from './read-only.ts'
import { type Route, route } from './route.ts'
import { flag, listOf, modelPatterns, pageQuery, regionName, timestamp } from './shapes.ts'

const PRIORITY_MAX = 1_000
const WEIGHT_MAX = 1_000
const CONNECT_SECONDS_MAX = 60
const FIRST_BYTE_SECONDS_MAX = 3_600
const IDLE_SECONDS_MAX = 3_600
const TOTAL_SECONDS_MAX = 86_400

const timeouts = z
  .strictObject({
    connect_seconds: z.number().positive().max(CONNECT_SECONDS_MAX),
    first_byte_seconds: z.number().positive().max(FIRST_BYTE_SECONDS_MAX),
    idle_seconds: z.number().positive().max(IDLE_SECONDS_MAX),
    total_seconds: z.number().positive().max(TOTAL_SECONDS_MAX).meta({ description: 'Of an attempt and its whole answer, however steadily it comes.' }),
  })
  .partial()

const status = z
  .strictObject({
    state: z.enum(['closed', 'open', 'half_open']).meta({
      description:
        'Of its circuit breaker. closed: calls go there. open: it failed, and only a probe goes there, every second. half_open: a probe is under way.',
    }),
    failures: z.number().int().min(0).meta({ description: 'Attempts in a row, until now, for which nobody was there.' }),
    next_probe_at: timestamp.nullable().meta({ description: 'When it may be tried again whether it answers; null while calls go there.' }),
    rests_until: timestamp.nullable().meta({ description: 'It asked for this with Retry-After: others are asked before it; null where it did not.' }),
  })
  .nullable()
  .meta({ description: 'How calls fare there, as the process that answers this has seen it: every process sees for itself. null where it serves none.' })

const upstream = z.strictObject({
  name: z.string(),
  tenant_id: z.string().nullable(),
  dialects: z.array(z.string()),
  base_url: z.string(),
  credential_mode: z.enum(['stored', 'passthrough']),
  /** Whether a credential is stored. It is never shown. */
  credential_set: z.boolean(),
  models: z.array(z.string()),
  priority: z.number().int(),
  weight: z.number().int(),
  region: z.string().nullable(),
  timeouts,
  prices: priceRows,
  active: z.boolean(),
  created_at: timestamp,
  status,
})

const fields = {
  dialects: z
    .array(z.string().max(64))
    .min(1)
    .max(32)
    .refine((names) => new Set(names).size === names.length, 'Names a dialect twice.'),
  base_url: z.string().min(1).max(2_048),
  // What may stand in a header (RFC 9110, 5.5), without blanks.
  credential: z
    .string()
    .regex(/^[\x21-\x7e]{1,8192}$/, 'Must be 1 to 8192 printable characters without blanks.')
    .nullable(),
  credential_mode: z.enum(['stored', 'passthrough']),
  models: modelPatterns,
  priority: z.number().int().min(0).max(PRIORITY_MAX),
  weight: z.number().int().min(1).max(WEIGHT_MAX),
  region: regionName.nullable(),
  timeouts,
  prices: priceRows,
  active: z.boolean(),
}

/** Only answers say them. They may be sent, so that what a GET answered can be sent back. */
const said = { credential_set: ignored, created_at: ignored, status: ignored }

const newUpstream = z.strictObject({
  ...said,
  name: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'Must be small letters, digits, ".", "_" and "-", beginning with a letter or digit.'),
  tenant_id: z.string().max(64).nullable().optional(),
  dialects: fields.dialects,
  base_url: fields.base_url,
  credential: fields.credential.default(null),
  credential_mode: fields.credential_mode.default('stored'),
  models: fields.models.default(['*']),
  priority: fields.priority.default(0),
  weight: fields.weight.default(1),
  region: fields.region.default(null),
  timeouts: fields.timeouts.default({}),
  prices: fields.prices.default([]),
  active: fields.active.default(true),
})
/** `name` and `tenant_id` may be repeated, and cannot be changed. */
const changedUpstream = z.strictObject({ ...said, name: newUpstream.shape.name, tenant_id: z.string().nullable(), ...fields }).partial()

const check = z.strictObject({
  ok: z.boolean(),
  status: z.number().int().nullable().meta({ description: 'What the provider answered; null where nothing came.' }),
  latency_ms: z.number().int(),
  models: z.number().int().nullable().meta({ description: 'How many models it named.' }),
  problem: z.string().nullable(),
})

const one = z.object({ name: z.string() })

export function upstreamRoutes(parts: AdminParts): Route[] {
  const { upstreams } = parts
  const shown = (row: UpstreamRow): z.input<typeof upstream> => ({ ...written(row), status: statusOf(parts, row) })
  const noUpstream = (): Refusal => new Refusal('not_found', 'There is no such upstream.')

  return [
    route({
      method: 'GET',
      path: '/v1/upstreams',
      scope: 'upstreams:read',
      tenant: 'optional',
      summary: "Lists upstreams by name: a tenant's own, or without a tenant all there are. Credentials are never shown.",
      query: z.strictObject({ ...pageQuery(), active: flag.optional() }),
      answer: listOf('upstreams', upstream),
      async run({ tenantId, query }) {
        const { rows, total } = await upstreams.list(tenantId ?? 'all', query)
        return { upstreams: rows.map(shown), total, limit: query.limit, offset: query.offset }
      },
    }),

    route({
      method: 'POST',
      path: '/v1/upstreams',
      scope: 'upstreams:write',
      tenant: 'optional',
      summary:
        'Adds an upstream for one tenant, or without a tenant for all of them. Its address must be one Earthflow may call. dry_run=true only says what would come of it.',
      query: z.strictObject(dryRunQuery),
      body: newUpstream.meta({
        examples: [{ name: 'openai', dialects: ['openai-chat'], base_url: 'https://api.openai.com/v1', credential: 'sk-YOUR-KEY', models: ['gpt-*'] }],
      }),
      answer: upstream,
      status: 201,
      async run({ tenantId: asked, query: { dry_run }, body: { tenant_id, ...body }, actor, requestId }) {
        const tenantId = asked ?? tenant_id ?? null
        if (tenant_id !== undefined && tenant_id !== tenantId) {
          throw new Refusal('invalid_request', 'tenant_id: The request is about another tenant.', { context: { field: 'tenant_id' } })
        }
        if (asked === null && tenantId !== null && !(await findTenant(parts.db, tenantId))) throw noTenant()
        const prepared = await upstreams.prepare(tenantId, { ...toFields(body), name: body.name } as UpstreamFields)
        const row = await changeOrTry(parts, { actor, requestId, dry_run }, async (tx) => ({
          result: await upstreams.insert(tx, prepared),
          done: { action: 'upstream.create', tenantId, subject: body.name, changes: ['upstreams'] },
        }))
        return shown(row)
      },
    }),

    route({
      method: 'GET',
      path: '/v1/upstreams/{name}',
      scope: 'upstreams:read',
      tenant: 'optional',
      summary: "One upstream: a tenant's own, or without a tenant one of the installation.",
      params: one,
      answer: upstream,
      async run({ tenantId, params }) {
        const row = await upstreams.find(tenantId, params.name)
        if (!row) throw noUpstream()
        return shown(row)
      },
    }),

    route({
      method: 'PATCH',
      path: '/v1/upstreams/{name}',
      scope: 'upstreams:write',
      tenant: 'optional',
      summary:
        'Changes what is named. A base_url on another host needs its credential again; credential null removes it. dry_run=true only says what would come of it.',
      params: one,
      query: z.strictObject(dryRunQuery),
      body: changedUpstream.meta({ examples: [{ priority: 10 }] }),
      answer: upstream,
      async run({ tenantId, params, query: { dry_run }, body, actor, requestId }) {
        const before = await upstreams.find(tenantId, params.name)
        if (!before) throw noUpstream()
        refuseMove(before, body)
        const prepared = await upstreams.prepareChange(before, toFields(body))
        const row = await changeOrTry(parts, { actor, requestId, dry_run }, async (tx) => {
          const after = await upstreams.change(tx, before, prepared)
          if (!after) throw noUpstream()
          return { result: after, done: { action: 'upstream.update', tenantId, subject: params.name, changes: ['upstreams'] } }
        })
        return shown(row)
      },
    }),

    route({
      method: 'DELETE',
      path: '/v1/upstreams/{name}',
      scope: 'upstreams:write',
      tenant: 'optional',
      summary: 'Removes an upstream and its credential.',
      params: one,
      answer: null,
      async run({ tenantId, params, actor, requestId }) {
        await change(parts, { actor, requestId }, async (tx) => {
          if (!(await upstreams.remove(tx, tenantId, params.name))) throw noUpstream()
          return { result: undefined, done: { action: 'upstream.delete', tenantId, subject: params.name, changes: ['upstreams'] } }
        })
      },
    }),

    route({
      method: 'POST',
      path: '/v1/upstreams/{name}/check',
      scope: 'upstreams:write',
      tenant: 'optional',
      summary: 'Asks the provider for its models with the stored credential, and says in our words whether that went well. Changes nothing.',
      params: one,
      body: z.strictObject({}),
      answer: check,
      async run({ tenantId, params }) {
        const row = await upstreams.find(tenantId, params.name)
        if (!row) throw noUpstream()
        return parts.checkUpstream(row)
      },
    }),
  ]
}

function statusOf({ standingOf, now }: Pick<AdminParts, 'standingOf' | 'now'>, { id }: UpstreamRow): z.input<typeof status> {
  const standing = standingOf?.(id)
  if (!standing) return null
  const { state, failures, probeInMs, restMs } = standing
  const after = (ms: number): string => new Date(now() + ms).toISOString()
  return { state, failures, next_probe_at: state === 'closed' ? null : after(probeInMs), rests_until: restMs > 0 ? after(restMs) : null }
}

const written = (row: UpstreamRow): Omit<z.input<typeof upstream>, 'status'> => ({
  name: row.name,
  tenant_id: row.tenantId,
  dialects: row.dialects,
  base_url: row.baseUrl,
  credential_mode: row.credentialMode,
  credential_set: row.credential !== null,
  models: row.models,
  priority: row.priority,
  weight: row.weight,
  region: row.region,
  timeouts: row.timeouts,
  prices: row.prices,
  active: row.active,
  created_at: row.createdAt.toISOString(),
})

/** Throws a Refusal where a change would make another upstream of it. */
function refuseMove(row: UpstreamRow, { name = row.name, tenant_id = row.tenantId }: z.output<typeof changedUpstream>): void {
  for (const [field, given, kept] of [
    ['name', name, row.name],
    ['tenant_id', tenant_id, row.tenantId],
  ] as const) {
    if (given !== kept) throw new Refusal('invalid_request', `${field}: Cannot be changed; add another upstream.`, { context: { field } })
  }
}

/** What was sent, in the store's names; what was left out stays out. */
function toFields(body: z.output<typeof changedUpstream>): Partial<Omit<UpstreamFields, 'name'>> {
  const { dialects, base_url, credential, credential_mode, models, priority, weight, region, timeouts, prices, active } = body
  const all = { dialects, baseUrl: base_url, credential, credentialMode: credential_mode, models, priority, weight, region, timeouts, prices, active }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Partial<Omit<UpstreamFields, 'name'>>
}
