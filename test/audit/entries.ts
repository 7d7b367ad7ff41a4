/** Rows of the audit log for tests that read it, and entries for those that write it. */
import type { AuditEntry } from '../../src/audit/entry.ts'
import { createSeal } from '../../src/audit/seal.ts'
import type { Db } from '../../src/db/connect.ts'
import { auditEntries } from '../../src/db/schema.ts'
import { newId } from '../../src/ids.ts'

/** Of a key that is no secret. */
export const seal = createSeal(Buffer.alloc(32))

type Row = typeof auditEntries.$inferInsert

/** Writes exchanges, ALLOW and completed unless said otherwise, and returns their ids. */
export async function insertEntries(db: Db, rows: readonly Partial<Row>[]): Promise<string[]> {
  const whole = rows.map((row): Row => {
    const timestamp = row.timestamp ?? new Date('2026-11-20T12:00:00Z')
    return {
      auditId: newId('aud', timestamp.getTime()),
      timestamp,
      kind: 'exchange',
      tenantId: 't_1',
      requestId: newId('req', timestamp.getTime()),
      status: 'ALLOW',
      outcome: 'completed',
      ...row,
    }
  })
  await db.insert(auditEntries).values(whole)
  return whole.map(({ auditId }) => auditId)
}

/** An exchange that was allowed and answered, unless said otherwise. */
export const entryOf = (fields: Partial<AuditEntry> = {}): AuditEntry => ({
  audit_id: newId('aud'),
  timestamp: new Date().toISOString(),
  kind: 'exchange',
  tenant_id: 't_1',
  request_id: newId('req'),
  agent_id: null,
  key_prefix: 'ef_test_abcdefgh',
  user_id: null,
  status: 'ALLOW',
  outcome: 'completed',
  reason: null,
  dialect: 'openai-chat',
  endpoint: '/v1/chat/completions',
  model: 'm',
  upstream: 'u',
  attempts: [{ upstream: 'u', status: 200, error: null, ms: 3 }],
  stream: false,
  rules_evaluated: 3,
  rules_triggered: ['rule_1'],
  findings: [],
  policy_version: 2,
  metadata: { a: 1 },
  prompt_hash: 'sha256:ab',
  forwarded_hash: 'sha256:cd',
  uninspected_bytes: 5_000_000_000,
  degraded: null,
  usage: { input_tokens: 1, output_tokens: 2 },
  cost_usd: '0.000000001',
  budgets: [{ budget_id: 'budget_1', window: '2026-11-01T00:00:00.000Z', amount: 1 }],
  latency_ms: 4,
  upstream_ms: 3,
  first_byte_ms: 2,
  overhead_ms: 1,
  http_status: 200,
  escalation_id: null,
  approved_by: null,
  held_audit_id: null,
  ...fields,
})
