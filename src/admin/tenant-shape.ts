/** What a tenant looks like in the API, and which column keeps which of its members. */
import { z } from 'zod'
import type { TenantFields, TenantRow } from '../access/tenants.ts'
import { eachLimits, keptEach, limitMembers, shownEach, upTo } from './limit-shape.ts'
import { ignored } from './read-only.ts'
import { label, modelPatterns, regionName, timestamp } from './shapes.ts'

const OUTPUT_TOKENS_MAX = 10_000_000
const REGIONS_MAX = 100
const RETENTION_DAYS_MAX = 36_500
const ESCALATION_WAIT_SECONDS_MAX = 120

/** Said of what is checked, kept and answered before anything acts on it. */
const later = (about: string): { description: string } => ({ description: `${about} Kept and answered; takes effect in a later version.` })

const fields = {
  name: label,
  rules_preset: z.string().max(64).nullable().meta({ description: 'The preset whose rules the tenant was given; null: none.' }),
  ...limitMembers,
  max_requests_per_minute: limitMembers.max_requests_per_minute.meta({ description: "Calls in a minute; null takes the installation's default." }),
  limits: eachLimits.meta({
    description:
      'What each key, each agent and each user may use that has no limits of its own, and all calls for the models of a pattern together; null: no more than the tenant as a whole. Sent, it replaces what was.',
  }),
  default_max_output_tokens: upTo(OUTPUT_TOKENS_MAX)
    .nullable()
    .meta({ description: 'What a call that does not say so is expected to answer at most, for estimates.' }),
  limits_without_redis: z.enum(['local', 'refuse']).meta({ description: 'While Redis is away, each process counts by itself (local), or calls are refused.' }),
  contact_email: z.email().max(254).nullable(),
  allowed_models: modelPatterns.nullable().meta({ description: 'Patterns such as gpt-*; null allows every model that an upstream serves.' }),
  allowed_regions: z
    .array(regionName)
    .min(1)
    .max(REGIONS_MAX)
    .nullable()
    .meta({ description: 'An upstream must lie in one of these regions; null allows any.' }),
  uninspectable: z.enum(['warn', 'allow', 'block']).meta({ description: 'What becomes of calls that carry what no rule can read, such as images.' }),
  stream_stop: z.enum(['soft', 'hard']).meta({ description: 'How a stream ends that a rule stops: as if the model had stopped (soft), or with an error.' }),
  audit_durability: z.enum(['sync', 'strict']).nullable().meta({
    description:
      "Where a call is on record before it leaves: on the disk of its process (sync), or committed to the database as well (strict). Null takes the installation's.",
  }),
  audit_retention_days: upTo(RETENTION_DAYS_MAX)
    .nullable()
    .meta({ description: "How many days entries of the audit log are kept; null takes the installation's, AUDIT_RETENTION_DAYS." }),
  escalation_wait_seconds: z.number().int().min(0).max(ESCALATION_WAIT_SECONDS_MAX).meta({
    description: 'How long a call that a person must decide about waits for that; 0: it is refused at once, and sent again once it is approved.',
  }),
  forward_proxy_credentials: z.boolean().meta(later('Whether credentials that are not ours travel on in forward-proxy mode.')),
  active: z.boolean().meta({ description: 'Keys of a tenant that is not active open nothing.' }),
}

/** Only answers say them. They may be sent, so that what a GET answered can be sent back. */
const said = { tenant_id: ignored, created_at: ignored, api_key_count: ignored }

export const tenant = z.strictObject({
  tenant_id: z.string(),
  ...fields,
  max_requests_per_minute: z.number().int().meta({ description: "The tenant's own, or the installation's default." }),
  created_at: timestamp,
  api_key_count: z.number().int().meta({ description: 'Keys that can be used; one that was replaced is not counted beside its successor.' }),
})

export const newTenant = z.strictObject({
  ...said,
  name: fields.name,
  rules_preset: fields.rules_preset.default('default'),
  max_requests_per_minute: fields.max_requests_per_minute.default(null),
  max_requests_per_day: fields.max_requests_per_day.default(null),
  max_tokens_per_minute: fields.max_tokens_per_minute.default(null),
  max_tokens_per_day: fields.max_tokens_per_day.default(null),
  max_concurrency: fields.max_concurrency.default(null),
  limits: fields.limits.default(null),
  default_max_output_tokens: fields.default_max_output_tokens.default(null),
  limits_without_redis: fields.limits_without_redis.default('local'),
  contact_email: fields.contact_email.default(null),
  allowed_models: fields.allowed_models.default(null),
  allowed_regions: fields.allowed_regions.default(null),
  uninspectable: fields.uninspectable.default('warn'),
  stream_stop: fields.stream_stop.default('hard'),
  audit_durability: fields.audit_durability.default(null),
  audit_retention_days: fields.audit_retention_days.default(null),
  escalation_wait_seconds: fields.escalation_wait_seconds.default(0),
  forward_proxy_credentials: fields.forward_proxy_credentials.default(false),
  active: fields.active.default(true),
})
export const changedTenant = z.strictObject({ ...said, ...fields }).partial()

/** The column that keeps a member. */
const columns = {
  name: 'name',
  rules_preset: 'rulesPreset',
  max_requests_per_minute: 'maxRequestsPerMinute',
  max_requests_per_day: 'maxRequestsPerDay',
  max_tokens_per_minute: 'maxTokensPerMinute',
  max_tokens_per_day: 'maxTokensPerDay',
  max_concurrency: 'maxConcurrency',
  limits: 'limits',
  default_max_output_tokens: 'defaultMaxOutputTokens',
  limits_without_redis: 'limitsWithoutRedis',
  contact_email: 'contactEmail',
  allowed_models: 'allowedModels',
  allowed_regions: 'allowedRegions',
  uninspectable: 'uninspectable',
  stream_stop: 'streamStop',
  audit_durability: 'auditDurability',
  audit_retention_days: 'auditRetentionDays',
  escalation_wait_seconds: 'escalationWaitSeconds',
  forward_proxy_credentials: 'forwardProxyCredentials',
  active: 'active',
} as const satisfies Record<keyof typeof fields, keyof TenantFields>

const named = Object.entries(columns) as [keyof typeof fields, keyof TenantFields][]

/** What was sent, as columns; what was left out stays out. */
export const toFields = (body: z.output<typeof changedTenant>): Partial<TenantFields> => ({
  ...Object.fromEntries(named.filter(([name]) => body[name] !== undefined).map(([name, column]) => [column, body[name]])),
  ...(body.limits !== undefined && { limits: keptEach(body.limits) }),
})

export const shownTenant = (
  row: TenantRow,
  { keys, defaultRequestsPerMinute }: { keys: number; defaultRequestsPerMinute: number },
): z.input<typeof tenant> => ({
  ...(Object.fromEntries(named.map(([name, column]) => [name, row[column]])) as z.input<typeof changedTenant> as z.input<typeof tenant>),
  max_requests_per_minute: row.maxRequestsPerMinute ?? defaultRequestsPerMinute,
  limits: shownEach(row.limits),
  tenant_id: row.id,
  created_at: row.createdAt.toISOString(),
  api_key_count: keys,
})
