import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { type AuditCursor, type AuditFilter, findEntry, listEntries, readCursor, writeCursor } from '../../src/audit/query.ts'
import { recordChange } from '../../src/audit/record-change.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { insertEntries, seal } from './entries.ts'

const at = (minute: number): Date => new Date(Date.UTC(2026, 10, 20, 12, minute))
const page = { limit: 100, offset: 0, after: null }

forEachEngine((_engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  beforeEach(() => database.sql`truncate audit_entries`)
  after(() => database.drop())

  const find = async (filter: Partial<AuditFilter>, tenantId: string | null = 't_1') =>
    (await listEntries(database.db, tenantId, { kind: 'exchange', ...filter }, page)).entries.map(({ audit_id }) => audit_id)

  test('an entry is given in the names of the API, as it was written', async () => {
    const [id] = await insertEntries(database.db, [
      {
        timestamp: at(1),
        keyPrefix: 'ef_live_12345678',
        userId: 'u1',
        model: 'gpt-5',
        status: 'REDACT',
        rulesEvaluated: 3,
        rulesTriggered: ['rule_1'],
        findings: [{ rule_id: 'rule_1', action: 'REDACT', mode: 'enforce', on: 'call', count: 2, where: ['messages[0].content'] }],
        attempts: [{ upstream: 'openai', status: 200, error: null, ms: 5 }],
        usage: { input_tokens: 3, output_tokens: 5 },
        metadata: { team: 'ü' },
        costUsd: '0.000000001',
        budgets: [{ budget_id: 'budget_1', window: '2026-11-01T00:00:00.000Z', amount: 1 }],
        uninspectedBytes: 5_000_000_000,
        stream: true,
        httpStatus: 200,
      },
    ])
    const entry = await findEntry(database.db, 't_1', id)
    assert.deepEqual(entry, {
      audit_id: id,
      timestamp: '2026-11-20T12:01:00.000Z',
      kind: 'exchange',
      tenant_id: 't_1',
      request_id: entry?.request_id,
      agent_id: null,
      key_prefix: 'ef_live_12345678',
      user_id: 'u1',
      status: 'REDACT',
      outcome: 'completed',
      reason: null,
      dialect: null,
      endpoint: null,
      model: 'gpt-5',
      upstream: null,
      attempts: [{ upstream: 'openai', status: 200, error: null, ms: 5 }],
      stream: true,
      rules_evaluated: 3,
      rules_triggered: ['rule_1'],
      findings: [{ rule_id: 'rule_1', action: 'REDACT', mode: 'enforce', on: 'call', count: 2, where: ['messages[0].content'] }],
      policy_version: null,
      metadata: { team: 'ü' },
      prompt_hash: null,
      forwarded_hash: null,
      uninspected_bytes: 5_000_000_000,
      degraded: null,
      usage: { input_tokens: 3, output_tokens: 5 },
      cost_usd: '0.000000001',
      budgets: [{ budget_id: 'budget_1', window: '2026-11-01T00:00:00.000Z', amount: 1 }],
      latency_ms: null,
      upstream_ms: null,
      first_byte_ms: null,
      overhead_ms: null,
      http_status: 200,
      escalation_id: null,
      approved_by: null,
      held_audit_id: null,
    })
    assert.deepEqual((await listEntries(database.db, 't_1', { kind: 'exchange' }, page)).entries, [entry])
  })

  test("a tenant sees its own entries only; the administrator sees everyone's", async () => {
    const [mine, other] = await insertEntries(database.db, [
      { tenantId: 't_1', timestamp: at(2) },
      { tenantId: 't_2', timestamp: at(1) },
    ])
    assert.deepEqual(await find({}), [mine])
    assert.deepEqual(await find({}, null), [mine, other])
    assert.equal(await findEntry(database.db, 't_1', other), undefined)
    assert.equal((await findEntry(database.db, null, other))?.audit_id, other)
  })

  test('each filter finds exactly what it names, and filters narrow each other', async () => {
    const [a, b, c] = await insertEntries(database.db, [
      { timestamp: at(3), status: 'BLOCK', rulesTriggered: ['rule_1', 'rule_2'], userId: "o'brien", model: 'gpt-5', agentId: 'ag_1', requestId: 'req_1' },
      { timestamp: at(2), status: 'BLOCK', rulesTriggered: ['rule_2'], userId: 'u2', model: 'claude' },
      { timestamp: at(1), status: 'ALLOW', rulesTriggered: [] },
    ])
    assert.deepEqual(await find({ status: 'BLOCK' }), [a, b])
    assert.deepEqual(await find({ ruleId: 'rule_1' }), [a])
    assert.deepEqual(await find({ ruleId: 'rule_2' }), [a, b])
    assert.deepEqual(await find({ ruleId: 'rule' }), [])
    assert.deepEqual(await find({ userId: "o'brien" }), [a])
    assert.deepEqual(await find({ model: 'claude' }), [b])
    assert.deepEqual(await find({ agentId: 'ag_1' }), [a])
    assert.deepEqual(await find({ requestId: 'req_1' }), [a])
    assert.deepEqual(await find({ from: at(1), to: at(3) }), [b, c])
    assert.deepEqual(await find({ status: 'BLOCK', ruleId: 'rule_2', model: 'claude' }), [b])
  })

  test('following the cursor gives every entry once, in order, also where times are equal and new entries arrive meanwhile', async () => {
    const ids = (
      await insertEntries(
        database.db,
        Array.from({ length: 25 }, (_, i) => ({ timestamp: at(Math.floor(i / 10)) })),
      )
    )
      .sort()
      .reverse()
    const seen: string[] = []
    let after: AuditCursor | null = null
    do {
      const { entries, total, next } = await listEntries(database.db, 't_1', { kind: 'exchange' }, { limit: 10, offset: 0, after })
      assert.equal(total, 25 + seen.length / 10)
      seen.push(...entries.map(({ audit_id }) => audit_id))
      after = next && readCursor(writeCursor(next))
      await insertEntries(database.db, [{ timestamp: at(50) }])
    } while (after !== null)
    assert.deepEqual(seen, ids)
  })

  test('a word that is no cursor is not read as one', () => {
    for (const word of ['', 'x', '!!', Buffer.from('1 a; drop table').toString('base64url'), Buffer.from(`${'9'.repeat(40)} a`).toString('base64url')]) {
      assert.equal(readCursor(word), null)
    }
  })

  test('a change is recorded with its transaction, and stands apart from exchanges', async () => {
    const change = { actor: 'admin', keyPrefix: null, action: 'tenant.create', tenantId: 't_1', subject: 't_1', requestId: 'req_9', at: at(1) }
    await database.db.transaction((tx) => recordChange(tx, change, seal))
    await assert.rejects(
      database.db.transaction(async (tx) => {
        await recordChange(tx, { ...change, action: 'tenant.delete' }, seal)
        throw new Error('the change failed')
      }),
    )
    assert.deepEqual(await find({}), [])
    const { entries } = await listEntries(database.db, 't_1', { kind: 'change' }, page)
    assert.deepEqual(
      entries.map(({ reason, metadata, status, outcome }) => ({ reason, metadata, status, outcome })),
      [{ reason: 'tenant.create', metadata: { actor: 'admin', subject: 't_1' }, status: null, outcome: 'completed' }],
    )
  })
})
