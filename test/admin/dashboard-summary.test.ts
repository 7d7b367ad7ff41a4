import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { RECENT_MAX } from '../../src/audit/recent.ts'
import { costLedger } from '../../src/db/schema.ts'
import { insertEntries } from '../audit/entries.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { NOW } from './management.ts'
import { managePeople, type PeopleManagement } from './people.ts'

const MINUTE = 60_000

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: PeopleManagement
  before(async () => {
    database = await open()
    api = managePeople(database)
  })
  after(() => database.drop())

  const ago = (minutes: number): Date => new Date(NOW - minutes * MINUTE)
  const path = '/v1/dashboard/summary'

  test('calls of the last hour are counted by what became of them, with how long they took and how many failed; older ones are not', async () => {
    const { id, key } = await api.createTenant()
    const times = [10, 20, 30, 40, 1_000]
    await insertEntries(api.db, [
      ...times.map((latencyMs, i) => ({ tenantId: id, timestamp: ago(i + 1), latencyMs, overheadMs: i, httpStatus: i === 4 ? 502 : 200 })),
      { tenantId: id, timestamp: ago(10), status: 'BLOCK', outcome: 'refused', rulesTriggered: ['rule_gone'], httpStatus: 403 },
      { tenantId: id, timestamp: ago(11), status: 'REJECTED', outcome: 'refused', httpStatus: 429 },
      { tenantId: id, timestamp: ago(90), status: 'BLOCK', latencyMs: 9_999, httpStatus: 500 },
    ])
    await database.db.insert(costLedger).values(
      ['2026-11-20', '2026-11-19'].map((day, i) => ({
        ...{ tenantId: id, day, agentId: '', keyPrefix: 'k', userId: '', model: 'm', upstream: 'u', requests: 2 + i, unpriced: 0, estimated: 0 },
        ...{ inputTokens: 10, outputTokens: 5, costNano: 1_500_000_000 },
      })),
    )
    const { json } = await api.ask('GET', path, { key })
    const { totals, block_rate, error_rate, latency_ms, overhead_ms, sampled, today, top_triggered_rules, open_calls, escalations_pending, newest } = json
    assert.deepEqual(totals, { requests: 7, allowed: 5, warned: 0, redacted: 0, escalated: 0, blocked: 1, rejected: 1 })
    assert.equal(block_rate, 1 / 6)
    assert.equal(error_rate, 1 / 7)
    assert.equal(sampled, 7)
    assert.equal(latency_ms.p50, 30)
    assert.ok(latency_ms.p99 > 900 && latency_ms.p99 <= 1_000)
    assert.equal(overhead_ms.p50, 2)
    assert.deepEqual(today, { requests: 2, input_tokens: 10, output_tokens: 5, cost_usd: '1.500000000' })
    assert.deepEqual(top_triggered_rules, [{ rule_id: 'rule_gone', name: null, count: 1 }])
    assert.deepEqual([open_calls, escalations_pending], [null, 0])
    assert.deepEqual(
      newest.map((one: { timestamp: string }) => one.timestamp),
      [1, 2, 3, 4, 5, 10, 11].map((minutes) => ago(minutes).toISOString()),
    )
  })

  test('a tenant’s figures hold nothing of others’, and the installation’s those of all', async () => {
    const [mine, theirs] = [await api.createTenant(), await api.createTenant()]
    await insertEntries(api.db, [
      { tenantId: mine.id, timestamp: ago(2), latencyMs: 5 },
      { tenantId: theirs.id, timestamp: ago(1), latencyMs: 500, httpStatus: 500 },
    ])
    const own = (await api.ask('GET', path, { key: mine.key })).json
    assert.deepEqual([own.totals.requests, own.latency_ms.p99, own.error_rate, own.newest.length], [1, 5, 0, 1])
    assert.equal((await api.ask('GET', `${path}?tenant_id=${theirs.id}`, { key: mine.key })).status, 404)
    api.clock.now += 10_000
    const all = (await api.ask('GET', path)).json
    assert.ok(all.totals.requests >= 2 && all.error_rate > 0 && all.open_calls === 0)
    assert.ok([mine.id, theirs.id].every((id) => all.newest.some((entry: { tenant_id: string }) => entry.tenant_id === id)))
    api.clock.now -= 10_000
  })

  test('who may see totals and not the log gets no call of it', async () => {
    const { id } = await api.createTenant()
    await insertEntries(api.db, [{ tenantId: id, timestamp: ago(1) }])
    const { token } = await api.tokenOf('viewer', id)
    const { json } = await api.ask('GET', path, { key: token })
    assert.deepEqual([json.totals.requests, json.newest], [1, null])
  })

  test('however many look, and however often, the database is asked once a second', async () => {
    const { key } = await api.createTenant()
    await api.ask('GET', path, { key })
    const before = api.state.statements
    for (let i = 0; i < 20; i++) await api.ask('GET', path, { key })
    const kept = api.state.statements - before
    api.clock.now += 1_000
    await api.ask('GET', path, { key })
    assert.ok(api.state.statements - before > kept, 'it is read anew')
    assert.ok(kept <= 1, `${kept} statements`)
  })

  test('of very many calls the newest are looked at, and it is said how many', async () => {
    const { id, key } = await api.createTenant()
    for (let i = 0; i < 6; i++)
      await insertEntries(
        api.db,
        Array.from({ length: 1_000 }, () => ({ tenantId: id, timestamp: ago(1), latencyMs: 1 })),
      )
    const { json } = await api.ask('GET', path, { key })
    assert.deepEqual([json.totals.requests, json.sampled], [6_000, RECENT_MAX])
  })

  test('a period is at most a day', async () => {
    const { key } = await api.createTenant()
    assert.equal((await api.ask('GET', `${path}?minutes=1440`, { key })).status, 200)
    for (const minutes of ['0', '1441', '-1', 'x']) assert.equal((await api.ask('GET', `${path}?minutes=${minutes}`, { key })).status, 400)
  })
})
