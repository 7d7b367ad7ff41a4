import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { auditStats, type Grouping, pointsIn } from '../../src/audit/stats.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { insertEntries } from './entries.ts'

const day = (text: string): Date => new Date(`2026-11-${text}Z`)

forEachEngine((_engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
    await insertEntries(database.db, [
      { timestamp: day('15T23:59:59.999'), status: 'ALLOW' }, // a Sunday
      { timestamp: day('16T00:00:00'), status: 'ALLOW' },
      { timestamp: day('16T00:30:00'), status: 'BLOCK', rulesTriggered: ['rule_b', 'rule_a'] },
      { timestamp: day('16T05:00:00'), status: 'WARN', rulesTriggered: ['rule_b'] },
      { timestamp: day('17T00:00:00'), status: 'REDACT', rulesTriggered: ['rule_c'] },
      { timestamp: day('17T01:00:00'), status: 'ESCALATE' },
      { timestamp: day('17T02:00:00'), status: 'REJECTED', rulesTriggered: null },
      { timestamp: day('17T02:00:00'), status: 'BLOCK', tenantId: 't_2' },
      { timestamp: day('17T03:00:00'), status: null, kind: 'change' },
    ])
  })
  after(() => database.drop())

  const stats = (from: string, to: string, groupBy: Grouping, tenantId: string | null = 't_1') =>
    auditStats(database.db, tenantId, { from: day(from), to: day(to), groupBy })
  const zeros = { requests: 0, allowed: 0, warned: 0, redacted: 0, escalated: 0, blocked: 0, rejected: 0 }

  test('calls are counted by what became of them; changes and other tenants are not counted', async () => {
    const { totals, block_rate } = await stats('16T00:00:00', '18T00:00:00', 'day')
    assert.deepEqual(totals, { requests: 6, allowed: 1, warned: 1, redacted: 1, escalated: 1, blocked: 1, rejected: 1 })
    assert.equal(block_rate, 1 / 5, 'rejected calls were not judged')
    assert.equal((await stats('16T00:00:00', '18T00:00:00', 'day', null)).totals.blocked, 2)
    assert.equal((await stats('01T00:00:00', '02T00:00:00', 'day')).block_rate, 0)
  })

  test('the rules that found most come first', async () => {
    const { top_triggered_rules } = await stats('16T00:00:00', '18T00:00:00', 'day')
    assert.deepEqual(top_triggered_rules, [
      { rule_id: 'rule_b', count: 2 },
      { rule_id: 'rule_a', count: 1 },
      { rule_id: 'rule_c', count: 1 },
    ])
  })

  test('the series has every step of the period in UTC, and adds up to the totals', async () => {
    const byDay = await stats('15T12:00:00', '18T00:00:00', 'day')
    assert.deepEqual(byDay.series, [
      { start: '2026-11-15T00:00:00.000Z', ...zeros, requests: 1, allowed: 1 },
      { start: '2026-11-16T00:00:00.000Z', ...zeros, requests: 3, allowed: 1, blocked: 1, warned: 1 },
      { start: '2026-11-17T00:00:00.000Z', ...zeros, requests: 3, redacted: 1, escalated: 1, rejected: 1 },
    ])
    const byHour = await stats('16T00:00:00', '16T06:00:00', 'hour')
    assert.deepEqual(
      byHour.series.map(({ requests }) => requests),
      [2, 0, 0, 0, 0, 1],
    )
    const byWeek = await stats('15T00:00:00', '18T00:00:00', 'week')
    assert.deepEqual(
      byWeek.series.map(({ start, requests }) => [start, requests]),
      [
        ['2026-11-09T00:00:00.000Z', 1],
        ['2026-11-16T00:00:00.000Z', 6],
      ],
    )
    for (const { series, totals } of [byDay, byHour, byWeek]) {
      assert.equal(
        series.reduce((sum, { requests }) => sum + requests, 0),
        totals.requests,
      )
    }
  })

  test('how many points a series has is known before it is asked for', async () => {
    for (const groupBy of ['hour', 'day', 'week'] as const) {
      const period = { from: day('10T13:20:00'), to: day('17T13:20:00'), groupBy }
      assert.equal((await auditStats(database.db, 't_1', period)).series.length, pointsIn(period))
    }
  })
})
