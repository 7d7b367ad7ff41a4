/** Rows as Drizzle reads them, in the names the API uses. */
import type { auditEntries } from '../db/schema.ts'
import type { Attempt, AuditEntry, AuditFinding } from './entry.ts'
import type { ChainedEntry } from './leaf.ts'

export type Row = typeof auditEntries.$inferSelect

/** The row in the names the API uses. What is written there comes from our own writer, so its shape is not read again. */
export function toEntry(row: Row): AuditEntry {
  return {
    audit_id: row.auditId,
    timestamp: row.timestamp.toISOString(),
    kind: row.kind,
    tenant_id: row.tenantId,
    request_id: row.requestId,
    agent_id: row.agentId,
    key_prefix: row.keyPrefix,
    user_id: row.userId,
    status: row.status as AuditEntry['status'],
    outcome: row.outcome as AuditEntry['outcome'],
    reason: row.reason,
    dialect: row.dialect,
    endpoint: row.endpoint,
    model: row.model,
    upstream: row.upstream,
    attempts: (row.attempts ?? []) as Attempt[],
    stream: row.stream ?? false,
    rules_evaluated: row.rulesEvaluated ?? 0,
    rules_triggered: row.rulesTriggered ?? [],
    findings: (row.findings ?? []) as AuditFinding[],
    policy_version: row.policyVersion,
    metadata: row.metadata ?? {},
    prompt_hash: row.promptHash,
    forwarded_hash: row.forwardedHash,
    uninspected_bytes: row.uninspectedBytes ?? 0,
    degraded: row.degraded,
    usage: row.usage as AuditEntry['usage'],
    cost_usd: row.costUsd,
    budgets: row.budgets ?? [],
    latency_ms: row.latencyMs,
    upstream_ms: row.upstreamMs,
    first_byte_ms: row.firstByteMs,
    overhead_ms: row.overheadMs,
    http_status: row.httpStatus,
    escalation_id: row.escalationId,
    approved_by: row.approvedBy,
    held_audit_id: row.heldAuditId,
  }
}

/** A row with its place in the chain; null while it has none. */
export function toChained(row: Row): ChainedEntry | null {
  const { writerId, seq, tenantPrev, salt, payloadHash, erasedBy } = row
  if (writerId === null || seq === null || payloadHash === null) return null
  return { ...toEntry(row), writer_id: writerId, seq, tenant_prev: tenantPrev ?? 0, salt, payload_hash: payloadHash, erased_by: erasedBy }
}

/** The other way round, without a place in the chain. */
export const toRow = (entry: AuditEntry): typeof auditEntries.$inferInsert => ({
  auditId: entry.audit_id,
  timestamp: new Date(entry.timestamp),
  kind: entry.kind,
  tenantId: entry.tenant_id,
  requestId: entry.request_id,
  agentId: entry.agent_id,
  keyPrefix: entry.key_prefix,
  userId: entry.user_id,
  status: entry.status,
  outcome: entry.outcome,
  reason: entry.reason,
  dialect: entry.dialect,
  endpoint: entry.endpoint,
  model: entry.model,
  upstream: entry.upstream,
  attempts: entry.attempts,
  stream: entry.stream,
  rulesEvaluated: entry.rules_evaluated,
  rulesTriggered: entry.rules_triggered,
  findings: entry.findings,
  policyVersion: entry.policy_version,
  metadata: entry.metadata,
  promptHash: entry.prompt_hash,
  forwardedHash: entry.forwarded_hash,
  uninspectedBytes: entry.uninspected_bytes,
  degraded: entry.degraded,
  usage: entry.usage as Record<string, number> | null,
  costUsd: entry.cost_usd,
  budgets: entry.budgets,
  latencyMs: entry.latency_ms,
  upstreamMs: entry.upstream_ms,
  firstByteMs: entry.first_byte_ms,
  overheadMs: entry.overhead_ms,
  httpStatus: entry.http_status,
  escalationId: entry.escalation_id,
  approvedBy: entry.approved_by,
  heldAuditId: entry.held_audit_id,
})
