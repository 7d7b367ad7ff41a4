/** The tables of the audit log: what happened, the chains that prove it, and what is counted of it. */
import type { BudgetCharge } from '../call.ts'
import { bigint, boolean, bytea, index, integer, jsonb, numeric, pgTable, primaryKey, sql, text, timestamp, uniqueIndex } from './drizzle.ts'

const at = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: 'date' })

/** One row per exchange, one per administrative change. Partitioned by month (the generated migration is edited for that). */
export const auditEntries = pgTable(
  'audit_entries',
  {
    auditId: text('audit_id').notNull(),
    timestamp: at('timestamp').notNull(),
    /** `exchange`, `change` (what people and the system did), or `chain` (what the log tells of itself: its writers). */
    kind: text().$type<'exchange' | 'change' | 'chain'>().notNull(),
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
    /** What it was charged to: `{budget_id, window, amount}`. */
    budgets: jsonb().$type<BudgetCharge[]>(),
    latencyMs: integer('latency_ms'),
    upstreamMs: integer('upstream_ms'),
    firstByteMs: integer('first_byte_ms'),
    overheadMs: integer('overhead_ms'),
    httpStatus: integer('http_status'),
    /** Of a call that a rule wanted a person to decide about: what was held, who approved it, and the entry of the call that was held where this is a later one. */
    escalationId: text('escalation_id'),
    approvedBy: text('approved_by'),
    heldAuditId: text('held_audit_id'),
    /** Whose chain the row is a leaf of, and which; null until it is one. See src/audit/chain/README.md. */
    writerId: text('writer_id'),
    seq: bigint({ mode: 'number' }),
    /** The tenant's leaf before this one in the same chain; 0: none. */
    tenantPrev: bigint('tenant_prev', { mode: 'number' }),
    /** What the fields that may be erased are hashed with; null once they are. */
    salt: text(),
    payloadHash: text('payload_hash'),
    /** Who wrote a row that was not chained at once knew the installation's key: an HMAC of it. */
    seal: text(),
    /** The entry that tells of the erasure. */
    erasedBy: text('erased_by'),
  },
  (t) => [
    primaryKey({ columns: [t.auditId, t.timestamp] }),
    index('audit_entries_tenant_time').on(t.tenantId, t.timestamp),
    // What happened in the whole installation, and exports of it.
    index('audit_entries_time').on(t.timestamp, t.auditId),
    index('audit_entries_request').on(t.requestId),
    index('audit_entries_prompt').on(t.tenantId, t.promptHash),
    index('audit_entries_leaf').on(t.writerId, t.seq),
    index('audit_entries_unchained').on(t.timestamp).where(sql`${t.seq} is null and ${t.seal} is not null`),
    index('audit_entries_user').on(t.tenantId, t.userId).where(sql`${t.userId} is not null`),
    index('audit_entries_agent').on(t.agentId, t.timestamp).where(sql`${t.agentId} is not null`),
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

/** One row: which log this is. Its checkpoints carry the name. */
export const auditLog = pgTable('audit_log', {
  id: integer().primaryKey(),
  origin: text().notNull(),
})

/** One chain each: a process has one for its exchanges, and one for what it found unchained. */
export const auditWriters = pgTable(
  'audit_writers',
  {
    id: text().primaryKey(),
    processId: text('process_id').notNull(),
    /** Ed25519, 32 bytes, base64url. The private key is in the memory of the process and nowhere else. */
    publicKey: text('public_key').notNull(),
    openedAt: at('opened_at').notNull().defaultNow(),
    closedAt: at('closed_at'),
    /** Its last leaf, once it is closed. */
    lastSeq: bigint('last_seq', { mode: 'number' }),
  },
  (t) => [index('audit_writers_open').on(t.processId).where(sql`${t.closedAt} is null`)],
)

/** Leaves that were written together. Their hashes outlive the rows. */
export const auditBatches = pgTable(
  'audit_batches',
  {
    writerId: text('writer_id').notNull(),
    firstSeq: bigint('first_seq', { mode: 'number' }).notNull(),
    /** 32 bytes a leaf. */
    leaves: bytea().notNull(),
    /** Of the chain after the last leaf. */
    chainHash: bytea('chain_hash').notNull(),
    signature: bytea().notNull(),
    writtenAt: at('written_at').notNull().defaultNow(),
    /** Where the first leaf stands in the tree; null until a checkpoint holds it. */
    treeIndex: bigint('tree_index', { mode: 'number' }),
  },
  (t) => [
    primaryKey({ columns: [t.writerId, t.firstSeq] }),
    index('audit_batches_new').on(t.writerId, t.firstSeq).where(sql`${t.treeIndex} is null`),
    uniqueIndex('audit_batches_tree').on(t.treeIndex),
  ],
)

/** Leaves whose row was written over by a later leaf of the same exchange: what the row said. */
export const auditSuperseded = pgTable(
  'audit_superseded',
  {
    writerId: text('writer_id').notNull(),
    seq: bigint({ mode: 'number' }).notNull(),
    auditId: text('audit_id').notNull(),
    /** The columns of the row, in the API's names. */
    row: jsonb().$type<Record<string, unknown>>().notNull(),
  },
  (t) => [primaryKey({ columns: [t.writerId, t.seq] }), index('audit_superseded_entry').on(t.auditId)],
)

/** Signed heads of the tree over all leaves (C2SP tlog-checkpoint). */
export const auditCheckpoints = pgTable('audit_checkpoints', {
  treeSize: bigint('tree_size', { mode: 'number' }).primaryKey(),
  root: bytea().notNull(),
  note: text().notNull(),
  createdAt: at('created_at').notNull(),
  /** When AUDIT_CHECKPOINT_SINK took it. */
  deliveredAt: at('delivered_at'),
})

/** The hashes of the tree, 256 of a level each (C2SP tlog-tiles); the last one of a level may be shorter. */
export const auditTiles = pgTable(
  'audit_tiles',
  {
    level: integer().notNull(),
    index: bigint({ mode: 'number' }).notNull(),
    hashes: bytea().notNull(),
  },
  (t) => [primaryKey({ columns: [t.level, t.index] })],
)

/** Calls by hour (UTC), of each tenant and of all (`*`). A trigger keeps them with every row; transactions count in slots of their own, so that none waits for another. */
export const auditCounts = pgTable(
  'audit_counts',
  {
    hour: at('hour').notNull(),
    tenantId: text('tenant_id').notNull(),
    status: text().notNull(),
    slot: integer().notNull(),
    requests: bigint({ mode: 'number' }).notNull(),
  },
  (t) => [primaryKey({ columns: [t.tenantId, t.hour, t.status, t.slot] }), index('audit_counts_hour').on(t.hour)],
)

/** How many calls triggered a rule, likewise; of all tenants (`*`) by day. */
export const auditRuleCounts = pgTable(
  'audit_rule_counts',
  {
    hour: at('hour').notNull(),
    tenantId: text('tenant_id').notNull(),
    ruleId: text('rule_id').notNull(),
    slot: integer().notNull(),
    requests: bigint({ mode: 'number' }).notNull(),
  },
  (t) => [primaryKey({ columns: [t.tenantId, t.hour, t.ruleId, t.slot] }), index('audit_rule_counts_hour').on(t.hour)],
)
