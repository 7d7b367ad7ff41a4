import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { insertEntries } from '../audit/entries.ts'
import { openTestDatabase, type TestDatabase } from '../db/engines.ts'
import { type Management, manage, NOW } from './management.ts'

let database: TestDatabase
let api: Management
before(async () => {
  database = await openTestDatabase('pglite')
  api = manage(database)
})
after(() => database.drop())

const HOUR_MS = 3_600_000

test('a tenant pages through its own log by cursor', async () => {
  const { id, key } = await api.createTenant()
  await insertEntries(database.db, [{ tenantId: 't_other', timestamp: new Date(NOW) }])
  const rows = Array.from({ length: 7 }, (_, i) => ({ tenantId: id, timestamp: new Date(NOW - i * HOUR_MS), status: i % 2 === 0 ? 'ALLOW' : 'BLOCK' }))
  const ids = await insertEntries(database.db, rows)
  const seen: string[] = []
  let path = '/v1/audit?limit=3'
  for (let pages = 0; pages < 3; pages++) {
    const { json } = await api.ask('GET', path, { key })
    assert.deepEqual([json.total, json.limit, json.offset], [7, 3, 0])
    seen.push(...json.entries.map((entry: { audit_id: string }) => entry.audit_id))
    if (json.next_cursor === null) break
    path = `/v1/audit?limit=3&cursor=${json.next_cursor}`
  }
  assert.deepEqual(seen, ids)
  const blocked = await api.ask('GET', `/v1/audit?status=BLOCK&from=${new Date(NOW - 3 * HOUR_MS).toISOString()}&to=2026-11-21`, { key })
  assert.deepEqual(
    blocked.json.entries.map((entry: { audit_id: string }) => entry.audit_id),
    [ids[1], ids[3]],
  )
})

test('limit is 100 unless asked otherwise, and one entry is read by its id', async () => {
  const { id, key } = await api.createTenant()
  const [auditId] = await insertEntries(database.db, [{ tenantId: id }])
  assert.equal((await api.ask('GET', '/v1/audit', { key })).json.limit, 100)
  assert.equal((await api.ask('GET', `/v1/audit/${auditId}`, { key })).json.audit_id, auditId)
})

test('statistics cover the last seven days by day unless asked otherwise', async () => {
  const { id, key } = await api.createTenant()
  await insertEntries(database.db, [
    { tenantId: id, timestamp: new Date(NOW - HOUR_MS), status: 'BLOCK', rulesTriggered: ['rule_1'] },
    { tenantId: id, timestamp: new Date(NOW - 2 * HOUR_MS) },
    { tenantId: id, timestamp: new Date(NOW - 10 * 24 * HOUR_MS) },
  ])
  const { json } = await api.ask('GET', '/v1/audit/stats', { key })
  assert.deepEqual([json.totals.requests, json.totals.blocked, json.block_rate, json.series.length], [2, 1, 0.5, 8])
  assert.deepEqual(json.top_triggered_rules, [{ rule_id: 'rule_1', count: 1 }])
  assert.equal(Date.parse(json.period.to) - Date.parse(json.period.from), 7 * 24 * HOUR_MS)
  const weeks = await api.ask('GET', '/v1/audit/stats?from=2026-11-01&to=2026-11-21&group_by=week', { key })
  assert.equal(weeks.json.totals.requests, 3)
})
