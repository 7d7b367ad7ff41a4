/** The tables. `drizzle/` is generated from this file (npm run migration) and holds for PGlite and PostgreSQL alike. */
import type { Condition } from '../rules/rule.ts'
import { bigint, bigserial, boolean, date, index, integer, jsonb, pgTable, primaryKey, sql, text, timestamp, uniqueIndex } from './drizzle.ts'

export * from './audit-tables.ts'
export * from './webhook-tables.ts'

/** Limits as the API writes them; what is not named is not limited. */
export type LimitFields = {
  max_requests_per_minute?: number | null
  max_requests_per_day?: number | null
  max_tokens_per_minute?: number | null
  max_tokens_per_day?: number | null
  max_concurrency?: number | null
}
export type EachLimits = { key?: LimitFields | null; agent?: LimitFields | null; user?: LimitFields | null; models?: (LimitFields & { model: string })[] }
/** When an agent is quarantined by itself: so many in a window; null: never for this. `spend_factor`: so many times what it usually spends. */
export type QuarantineFields = {
  blocks?: number | null
  errors?: number | null
  repeats?: number | null
  spend_factor?: number | null
  window_seconds?: number
}
/** USD for a million tokens, by model pattern; the first that fits counts. What is not named costs what `input` or `output` costs. */
export type PriceFields = {
  model: string
  input: number
  output: number
  cached_input?: number
  cache_write?: number
  reasoning?: number
  audio_input?: number
  audio_output?: number
}

const at = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: 'date' })
const createdAt = () => at('created_at').notNull().defaultNow()

export const tenants = pgTable('tenants', {
  id: text().primaryKey(),
  name: text().notNull(),
  rulesPreset: text('rules_preset'),
  maxRequestsPerMinute: integer('max_requests_per_minute'),
  maxRequestsPerDay: integer('max_requests_per_day'),
  maxTokensPerMinute: bigint('max_tokens_per_minute', { mode: 'number' }),
  maxTokensPerDay: bigint('max_tokens_per_day', { mode: 'number' }),
  maxConcurrency: integer('max_concurrency'),
  defaultMaxOutputTokens: integer('default_max_output_tokens'),
  limitsWithoutRedis: text('limits_without_redis').$type<'local' | 'refuse'>().notNull().default('local'),
  allowedModels: jsonb('allowed_models').$type<string[]>(),
  /** What each key, each agent, each user, and all calls for a model may use; null: no more than the tenant as a whole. */
  limits: jsonb().$type<EachLimits>(),
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

/** Programs that call models by themselves, each with keys, limits and budgets of its own. */
export const agents = pgTable(
  'agents',
  {
    id: text().primaryKey(),
    tenantId: text('tenant_id')
      .notNull()
      .references(() => tenants.id),
    name: text().notNull(),
    limits: jsonb().$type<LimitFields>(),
    allowedModels: jsonb('allowed_models').$type<string[]>(),
    quarantine: jsonb().$type<QuarantineFields>(),
    active: boolean().notNull().default(true),
    createdAt: createdAt(),
  },
  (t) => [uniqueIndex('agents_name').on(t.tenantId, t.name)],
)

/** Agents that may make no calls until somebody releases them, and those that were so once. */
export const quarantines = pgTable(
  'quarantines',
  {
    id: text().primaryKey(),
    tenantId: text('tenant_id')
      .notNull()
      .references(() => tenants.id),
    agentId: text('agent_id')
      .notNull()
      .references(() => agents.id),
    reason: text().notNull(),
    createdBy: text('created_by').notNull(),
    createdAt: createdAt(),
    releasedBy: text('released_by'),
    releasedAt: at('released_at'),
    comment: text(),
  },
  (t) => [uniqueIndex('quarantines_agent').on(t.agentId).where(sql`${t.releasedAt} is null`), index('quarantines_tenant').on(t.tenantId, t.createdAt)],
)

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
    /** Whose key it is, where it is an agent's. */
    agentId: text('agent_id').references(() => agents.id),
    limits: jsonb().$type<LimitFields>(),
    /** Addresses and networks it may be used from; null: anywhere. */
    allowedAddresses: jsonb('allowed_addresses').$type<string[]>(),
    /** Within what the tenant may use; null: all of that. */
    allowedModels: jsonb('allowed_models').$type<string[]>(),
    /** The name in a client certificate that must be shown with it, and that alone opens what it opens. */
    clientCertificate: text('client_certificate'),
    /** The prefix of the key that takes its place, where it was rotated. */
    successor: text(),
    expiresAt: at('expires_at'),
    createdAt: createdAt(),
    lastUsedAt: at('last_used_at'),
    revokedAt: at('revoked_at'),
  },
  (t) => [
    uniqueIndex('api_keys_prefix').on(t.prefix),
    uniqueIndex('api_keys_hash').on(t.hash),
    index('api_keys_tenant').on(t.tenantId),
    index('api_keys_successor').on(t.tenantId, t.successor),
    index('api_keys_pepper').on(t.pepperId),
    uniqueIndex('api_keys_certificate').on(t.clientCertificate).where(sql`${t.revokedAt} is null and ${t.successor} is null`),
  ],
)

/** People. One of no tenant belongs to the whole installation. */
export const users = pgTable(
  'users',
  {
    id: text().primaryKey(),
    tenantId: text('tenant_id').references(() => tenants.id),
    email: text().notNull(),
    name: text().notNull(),
    role: text().notNull(),
    /** Of scrypt, with its parameters and its salt; null: nobody can log in with a password. */
    passwordHash: text('password_hash'),
    active: boolean().notNull().default(true),
    createdAt: createdAt(),
    lastLoginAt: at('last_login_at'),
  },
  (t) => [uniqueIndex('users_email').on(sql`lower(${t.email})`), index('users_tenant').on(t.tenantId)],
)

/** Who is logged in. A login that is ended is gone from here, and its token opens nothing. */
export const logins = pgTable(
  'logins',
  {
    id: text().primaryKey(),
    userId: text('user_id')
      .notNull()
      .references(() => users.id),
    createdAt: createdAt(),
    expiresAt: at('expires_at').notNull(),
  },
  (t) => [index('logins_user').on(t.userId), index('logins_expires').on(t.expiresAt)],
)

/** Short-lived tokens for calls. The token itself is stored nowhere. */
export const sessions = pgTable(
  'sessions',
  {
    id: text().primaryKey(),
    tenantId: text('tenant_id')
      .notNull()
      .references(() => tenants.id),
    profile: text().notNull(),
    /** The key it was made with, whose limits, budgets and end are its own; null: a person or the administrator made it. */
    keyId: text('key_id').references(() => apiKeys.id),
    createdBy: text('created_by').notNull(),
    createdAt: createdAt(),
    expiresAt: at('expires_at').notNull(),
    endedAt: at('ended_at'),
  },
  (t) => [index('sessions_tenant').on(t.tenantId, t.createdAt), index('sessions_key').on(t.keyId), index('sessions_expires').on(t.expiresAt)],
)

/** While there is a row, no session can be made: of its tenant, or of any where the tenant is empty text. */
export const sessionLocks = pgTable('session_locks', {
  tenantId: text('tenant_id').primaryKey(),
  lockedBy: text('locked_by').notNull(),
  lockedAt: at('locked_at').notNull(),
})

/** Random keys, each wrapped by every master key that may open it: { master key id: wrapped key }. Of one owner and purpose the highest version is in use. */
export const dataKeys = pgTable(
  'data_keys',
  {
    id: text().primaryKey(),
    tenantId: text('tenant_id'),
    purpose: text().notNull(),
    version: integer().notNull().default(1),
    wrappings: jsonb().$type<Record<string, string>>().notNull(),
    createdAt: createdAt(),
  },
  (t) => [uniqueIndex('data_keys_owner').on(t.purpose, sql`coalesce(${t.tenantId}, '')`, t.version)],
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
    timeouts: jsonb().$type<{ connect_seconds?: number; first_byte_seconds?: number; idle_seconds?: number; total_seconds?: number }>().notNull(),
    prices: jsonb().$type<PriceFields[]>().notNull().default([]),
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

/** How much may be spent by whom in a window of time. Amounts are nano-dollars (billionths of a US dollar) or tokens. */
export const budgets = pgTable(
  'budgets',
  {
    id: text().primaryKey(),
    tenantId: text('tenant_id')
      .notNull()
      .references(() => tenants.id),
    scope: text().$type<'tenant' | 'agent' | 'key' | 'user'>().notNull(),
    /** The agent's id, the key's prefix, or what the caller says the user is; the tenant's own id for the tenant. */
    scopeId: text('scope_id').notNull(),
    amount: bigint({ mode: 'number' }).notNull(),
    unit: text().$type<'usd' | 'tokens'>().notNull(),
    window: text().$type<'hour' | 'day' | 'week' | 'month'>().notNull(),
    mode: text().$type<'hard' | 'soft'>().notNull(),
    createdAt: createdAt(),
  },
  (t) => [index('budgets_tenant').on(t.tenantId)],
)

/** What was spent of a budget in one of its windows. The row of the audit log and this change in one transaction. */
export const budgetWindows = pgTable(
  'budget_windows',
  {
    budgetId: text('budget_id').notNull(),
    startsAt: at('starts_at').notNull(),
    spent: bigint({ mode: 'number' }).notNull().default(0),
    /** Of calls under way; hard budgets only. */
    reserved: bigint({ mode: 'number' }).notNull().default(0),
  },
  (t) => [primaryKey({ columns: [t.budgetId, t.startsAt] })],
)

/** What a call under way may spend at most. Gone once its row is written. */
export const reservations = pgTable(
  'reservations',
  {
    auditId: text('audit_id').notNull(),
    budgetId: text('budget_id').notNull(),
    startsAt: at('starts_at').notNull(),
    amount: bigint({ mode: 'number' }).notNull(),
    processId: text('process_id').notNull(),
    createdAt: createdAt(),
  },
  (t) => [primaryKey({ columns: [t.auditId, t.budgetId] }), index('reservations_process').on(t.processId)],
)

/** What calls cost, added up by day (UTC). The sums of the audit rows, and kept when those are not. Empty text: none, or unknown. */
export const costLedger = pgTable(
  'cost_ledger',
  {
    tenantId: text('tenant_id').notNull(),
    day: date({ mode: 'string' }).notNull(),
    agentId: text('agent_id').notNull(),
    keyPrefix: text('key_prefix').notNull(),
    userId: text('user_id').notNull(),
    model: text().notNull(),
    upstream: text().notNull(),
    requests: bigint({ mode: 'number' }).notNull(),
    /** Of these, whose model has no price: their cost is unknown, not nothing. */
    unpriced: bigint({ mode: 'number' }).notNull(),
    /** Of these, whose tokens Earthflow estimated because no provider counted them. */
    estimated: bigint({ mode: 'number' }).notNull(),
    inputTokens: bigint('input_tokens', { mode: 'number' }).notNull(),
    outputTokens: bigint('output_tokens', { mode: 'number' }).notNull(),
    costNano: bigint('cost_nano', { mode: 'number' }).notNull(),
  },
  (t) => [primaryKey({ name: 'cost_ledger_pk', columns: [t.tenantId, t.day, t.agentId, t.keyPrefix, t.userId, t.model, t.upstream] })],
)

/** What every process must read again: written in the transaction that changes it, polled each second. */
export const changes = pgTable('changes', {
  seq: bigserial({ mode: 'number' }).primaryKey(),
  kind: text().$type<'tenants' | 'keys' | 'policies' | 'upstreams' | 'budgets' | 'sessions' | 'users' | 'webhooks' | 'escalations'>().notNull(),
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
  /** The ids of the master keys it was given, the current one first. */
  masterKeys: jsonb('master_keys').$type<string[]>().notNull().default([]),
  startedAt: at('started_at').notNull().defaultNow(),
  heartbeatAt: at('heartbeat_at').notNull().defaultNow(),
})
