/** The tables. `drizzle/` is generated from this file (npm run migration) and holds for PGlite and PostgreSQL alike. */

import type { Condition } from '../rules/rule.ts'
import { bigint, bigserial, boolean, index, integer, jsonb, numeric, pgTable, primaryKey, sql, text, timestamp, uniqueIndex } from './drizzle.ts'

const at = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: 'date' })
const createdAt = () => at('created_at').notNull().defaultNow()

export const tenants = pgTable('tenants', {
  id: text().primaryKey(),
  name: text().notNull(),
  rulesPreset: text('rules_preset'),
  maxRequestsPerMinute: integer('max_requests_per_minute'),
  maxTokensPerMinute: bigint('max_tokens_per_minute', { mode: 'number' }),
  maxTokensPerDay: bigint('max_tokens_per_day', { mode: 'number' }),
  maxConcurrency: integer('max_concurrency'),
  defaultMaxOutputTokens: integer('default_max_output_tokens'),
  limitsWithoutRedis: text('limits_without_redis').$type<'local' | 'refuse'>().notNull().default('local'),
  allowedModels: jsonb('allowed_models').$type<string[]>(),
  /** An upstream must lie in one of these; null allows any. */
  allowedRegions: jsonb('allowed_regions').$type<string[]>(),
  /** What becomes of calls that carry what no rule can read. */
  uninspectable: text().$type<'warn' | 'allow' | 'block'>().notNull().default('warn'),
  /** How a stream ends that a rule stops: as if the model had, or with an error. */
  streamStop: text('stream_stop').$type<'soft' | 'hard'>().notNull().default('hard'),
  /** Null takes the installation's setting. */
  auditDurability: text('audit_durability').$type<'sync' | 'strict'>(),
  auditRetentionDays: integer('audit_retention_days'),
  escalationWaitSeconds: integer('escalation_wait_seconds').notNull().default(0),
  forwardProxyCredentials: boolean('forward_proxy_credentials').notNull().default(false),
  contactEmail: text('contact_email'),
  active: boolean().notNull().default(true),
  createdAt: createdAt(),
})

export const apiKeys = pgTable(
  'api_keys',
  {
    id: text().primaryKey(),
    tenantId: text('tenant_id')
      .notNull()
      .references(() => tenants.id),
    /** `ef_live_` and the 8 characters that may be shown. */
    prefix: text().notNull(),
    /** HMAC-SHA-256 of the whole key under the data key `pepper_id`, base64url. */
    hash: text().notNull(),
    pepperId: text('pepper_id').notNull(),
    name: text().notNull(),
    scopes: jsonb().$type<string[]>().notNull(),
    expiresAt: at('expires_at'),
    createdAt: createdAt(),
    lastUsedAt: at('last_used_at'),
    revokedAt: at('revoked_at'),
  },
  (t) => [uniqueIndex('api_keys_prefix').on(t.prefix), uniqueIndex('api_keys_hash').on(t.hash), index('api_keys_tenant').on(t.tenantId)],
)

/** Random keys, each wrapped by every master key that may open it: { master key id: wrapped key }. */
export const dataKeys = pgTable(
  'data_keys',
  {
    id: text().primaryKey(),
    tenantId: text('tenant_id'),
    purpose: text().notNull(),
    wrappings: jsonb().$type<Record<string, string>>().notNull(),
    createdAt: createdAt(),
  },
  (t) => [uniqueIndex('data_keys_owner').on(t.purpose, sql`coalesce(${t.tenantId}, '')`)],
)

export const upstreams = pgTable(
  'upstreams',
  {
    id: text().primaryKey(),
    name: text().notNull(),
    /** Null serves every tenant. */
    tenantId: text('tenant_id').references(() => tenants.id),
    dialects: jsonb().$type<string[]>().notNull(),
    baseUrl: text('base_url').notNull(),
    /** Sealed; null where the caller's own credential is passed through, or none is needed. */
    credential: text(),
    credentialMode: text('credential_mode').$type<'stored' | 'passthrough'>().notNull(),
    models: jsonb().$type<string[]>().notNull(),
    priority: integer().notNull().default(0),
    weight: integer().notNull().default(1),
    region: text(),
    timeouts: jsonb().$type<{ connect_seconds?: number; first_byte_seconds?: number; idle_seconds?: number }>().notNull(),
    /** USD for a million tokens, by model pattern; the first that fits counts. */
    prices: jsonb().$type<{ model: string; input: number; output: number }[]>().notNull().default([]),
    active: boolean().notNull().default(true),
    createdAt: createdAt(),
  },
  (t) => [uniqueIndex('upstreams_name').on(sql`coalesce(${t.tenantId}, '')`, t.name)],
)

export const rules = pgTable(
  'rules',
  {
    id: text().primaryKey(),
    tenantId: text('tenant_id')
      .notNull()
      .references(() => tenants.id),
    name: text().notNull(),
    condition: jsonb().$type<Condition>().notNull(),
    action: text().$type<'ALLOW' | 'WARN' | 'REDACT' | 'ESCALATE' | 'BLOCK'>().notNull(),
    priority: integer().notNull().default(50),
    mode: text().$type<'enforce' | 'shadow'>().notNull().default('enforce'),
    reversible: boolean().notNull().default(false),
    active: boolean().notNull().default(true),
    preset: text(),
    metadata: jsonb().$type<Record<string, unknown>>().notNull().default({}),
    createdAt: createdAt(),
    updatedAt: at('updated_at').notNull().defaultNow(),
  },
  (t) => [index('rules_tenant').on(t.tenantId)],
)

/** Words and phrases a tenant looks for by the name of their list. */
export const dictionaries = pgTable(
  'dictionaries',
  {
    tenantId: text('tenant_id')
      .notNull()
      .references(() => tenants.id),
    name: text().notNull(),
    terms: jsonb().$type<string[]>().notNull(),
    caseSensitive: boolean('case_sensitive').notNull().default(false),
    createdAt: createdAt(),
    updatedAt: at('updated_at').notNull().defaultNow(),
  },
  (t) => [primaryKey({ columns: [t.tenantId, t.name] })],
)

/** What is judged: the tenant's active rules as they were when they last changed. The highest version is in force. */
export const policyVersions = pgTable(
  'policy_versions',
  {
    tenantId: text('tenant_id')
      .notNull()
      .references(() => tenants.id),
    version: integer().notNull(),
    rules: jsonb().$type<unknown[]>().notNull(),
    /** The tenant's dictionaries as they were then, by name. */
    dictionaries: jsonb().$type<Record<string, { terms: string[]; case_sensitive: boolean }>>().notNull().default({}),
    createdBy: text('created_by').notNull(),
    createdAt: createdAt(),
  },
  (t) => [primaryKey({ columns: [t.tenantId, t.version] })],
)

/** One row per exchange, one per administrative change. Partitioned by month (the generated migration is edited for that). */
export const auditEntries = pgTable(
  'audit_entries',
  {
    auditId: text('audit_id').notNull(),
    timestamp: at('timestamp').notNull(),
    kind: text().$type<'exchange' | 'change'>().notNull(),
    /** Null where an administrative change concerns the whole installation. */
    tenantId: text('tenant_id'),
    requestId: text('request_id').notNull(),
    agentId: text('agent_id'),
    keyPrefix: text('key_prefix'),
    userId: text('user_id'),
    /** ALLOW, WARN, REDACT, ESCALATE, BLOCK or REJECTED; null for a change. */
    status: text(),
    /** completed, refused, cancelled, failed, cut_by_drain, unknown. */
    outcome: text().notNull(),
    /** Why it was rejected or failed; for a change, what was done: `tenant.create`. */
    reason: text(),
    dialect: text(),
    endpoint: text(),
    model: text(),
    upstream: text(),
    attempts: jsonb().$type<unknown[]>(),
    stream: boolean(),
    rulesEvaluated: integer('rules_evaluated'),
    rulesTriggered: jsonb('rules_triggered').$type<string[]>(),
    findings: jsonb().$type<unknown[]>(),
    policyVersion: integer('policy_version'),
    metadata: jsonb().$type<Record<string, unknown>>(),
    promptHash: text('prompt_hash'),
    forwardedHash: text('forwarded_hash'),
    uninspectedBytes: bigint('uninspected_bytes', { mode: 'number' }),
    degraded: text(),
    usage: jsonb().$type<Record<string, number>>(),
    costUsd: numeric('cost_usd', { precision: 20, scale: 9 }),
    latencyMs: integer('latency_ms'),
    upstreamMs: integer('upstream_ms'),
    firstByteMs: integer('first_byte_ms'),
    overheadMs: integer('overhead_ms'),
    httpStatus: integer('http_status'),
  },
  (t) => [
    primaryKey({ columns: [t.auditId, t.timestamp] }),
    index('audit_entries_tenant_time').on(t.tenantId, t.timestamp),
    index('audit_entries_request').on(t.requestId),
    index('audit_entries_prompt').on(t.tenantId, t.promptHash),
  ],
)

/** Exchanges on their way to a provider. What a crash leaves here becomes a row with outcome `unknown`. */
export const auditOpen = pgTable(
  'audit_open',
  {
    auditId: text('audit_id').primaryKey(),
    tenantId: text('tenant_id').notNull(),
    processId: text('process_id').notNull(),
    openedAt: at('opened_at').notNull(),
    /** The entry as far as it is known when the call leaves, in the API's names. */
    entry: jsonb().$type<Record<string, unknown>>().notNull(),
  },
  (t) => [index('audit_open_process').on(t.processId)],
)

/** What every process must read again: written in the transaction that changes it, polled each second. */
export const changes = pgTable('changes', {
  seq: bigserial({ mode: 'number' }).primaryKey(),
  kind: text().$type<'tenants' | 'keys' | 'policies' | 'upstreams'>().notNull(),
  /** Null concerns every tenant. */
  tenantId: text('tenant_id'),
  at: at('at').notNull().defaultNow(),
})

/** Heartbeats: who is alive. */
export const processes = pgTable('processes', {
  id: text().primaryKey(),
  host: text().notNull(),
  pid: integer().notNull(),
  version: text().notNull(),
  startedAt: at('started_at').notNull().defaultNow(),
  heartbeatAt: at('heartbeat_at').notNull().defaultNow(),
})
