import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { auditStats, type Counts, type Grouping, type Period, pointsIn } from '../../src/audit/stats.ts'
import { sql } from '../../src/db/drizzle.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { insertEntries } from './entries.ts'

const day = (text: string): Date => new Date(`2026-11-${text}Z`)

forEachEngine((engine, open) => {
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

  test('counts outlive the rows, which count as they were written over', async () => {
    const at = (time: string) => day(`02T${time}`)
    const [gone] = await insertEntries(database.db, [
      { timestamp: at('10:20:00'), status: 'BLOCK', rulesTriggered: ['rule_gone'] },
      { timestamp: at('10:40:00'), status: 'ALLOW', outcome: 'unknown' },
      { timestamp: at('10:50:00'), status: 'ALLOW', rulesTriggered: ['rule_first'] },
    ])
    await database.sql`delete from audit_entries where audit_id = ${gone!}`
    await database.sql`update audit_entries set status = 'REDACT', rules_triggered = '["rule_then"]', outcome = 'completed' where outcome = 'unknown'`
    await database.sql`update audit_entries set user_id = 'u' where timestamp = ${at('10:50:00')}`
    const { totals, top_triggered_rules } = await stats('02T10:00:00', '02T11:00:00', 'hour')
    assert.deepEqual(totals, { ...zeros, requests: 3, blocked: 1, redacted: 1, allowed: 1 })
    assert.deepEqual(
      top_triggered_rules.map(({ rule_id }) => rule_id),
      ['rule_first', 'rule_gone', 'rule_then'],
    )
    const rules = async () => (await stats('02T10:00:00', '02T11:00:00', 'hour', null)).top_triggered_rules
    const before = await rules()
    await database.sql`update audit_entries set rules_triggered = '[]' where rules_triggered @> '["rule_then"]'`
    assert.deepEqual(
      await rules(),
      before.filter(({ rule_id }) => rule_id !== 'rule_then'),
    )
  })

  test('a statement that writes in several parts is counted once', async () => {
    const [auditId] = await insertEntries(database.db, [{ timestamp: day('03T10:00:00'), outcome: 'unknown' }])
    await database.sql`
      with first as (
        insert into audit_entries (audit_id, timestamp, kind, tenant_id, request_id, outcome, status)
        values ('aud_1', ${day('03T10:10:00')}, 'exchange', 't_1', 'req_1', 'completed', 'ALLOW'), ('aud_2', ${day('03T10:20:00')}, 'exchange', 't_1', 'req_2', 'refused', 'BLOCK')
        on conflict do nothing returning *
      ), later as (
        update audit_entries set outcome = 'completed', status = 'WARN' where audit_id = ${auditId!}
      )
      insert into audit_entries (audit_id, timestamp, kind, tenant_id, request_id, outcome, status)
      select audit_id || 'b', timestamp, kind, tenant_id, request_id, outcome, status from first`
    assert.deepEqual((await stats('03T10:00:00', '03T11:00:00', 'hour')).totals, { ...zeros, requests: 5, allowed: 2, blocked: 2, warned: 1 })
  })

  test('what many write at once is all counted, and a row that names its rules as it should not is written all the same', async () => {
    const at = (hour: number) => new Date(Date.UTC(2026, 9, 1, hour, 30))
    const write = (i: number) =>
      insertEntries(
        database.db,
        Array.from({ length: 40 }, (_, j) => ({
          timestamp: at((i * j) % 24),
          tenantId: `t_many_${j % 3}`,
          rulesTriggered: [`rule_${j % 5}`, `rule_${i % 2}`],
        })),
      )
    await Promise.all(Array.from({ length: 12 }, (_, i) => write(i)))
    await insertEntries(database.db, [
      { timestamp: at(1), tenantId: 't_many_0', rulesTriggered: 'rule_0' as never },
      { timestamp: at(1), tenantId: 't_many_0', rulesTriggered: [null, 'rule_9'] as never },
    ])
    const period: Period = { from: new Date('2026-10-01'), to: new Date('2026-10-02'), groupBy: 'day' }
    assert.equal((await auditStats(database.db, null, period)).totals.requests, 12 * 40 + 2)
    const each = await Promise.all([0, 1, 2].map((i) => auditStats(database.db, `t_many_${i}`, period)))
    assert.deepEqual(
      each.map(({ totals }) => totals.requests),
      [12 * 14 + 2, 12 * 13, 12 * 13],
    )
    if (engine === 'postgres') {
      // They were under way together: each then counts in a slot of its own.
      await database.db.transaction(async (tx) => {
        await insertEntries(tx, [{ timestamp: at(1), tenantId: 't_slots' }])
        await insertEntries(database.db, [{ timestamp: at(1), tenantId: 't_slots' }])
      })
      const rows = await database.sql`select slot, requests::int from audit_counts where tenant_id = 't_slots' order by slot`
      assert.deepEqual(
        rows.map(({ slot, requests }) => [slot, requests]),
        [
          [0, 1],
          [1, 1],
        ],
      )
    }
  })

  test('of random rows and periods, the same is counted as one by one', async () => {
    const statuses = [...Object.keys(columnOf), null]
    const minutes = fc.integer({ min: -90, max: 5 * 24 * 60 })
    const moment = fc.oneof(
      minutes.map((minute) => minute * 60_000),
      fc.integer({ min: 0, max: 120 }).map((hour) => hour * 3_600_000),
      fc.integer({ min: 0, max: 5 * 86_400_000 }),
    )
    const start = Date.UTC(2027, 1, 3)
    const toDate = (ms: number): Date => new Date(start + ms)
    const row = fc.record({
      timestamp: moment.map(toDate),
      tenantId: fc.constantFrom('t_a', 't_b', null),
      kind: fc.constantFrom('exchange' as const, 'exchange' as const, 'change' as const),
      status: fc.constantFrom(...statuses),
      rulesTriggered: fc.option(fc.subarray(['rule_1', 'rule_2', 'rule_3']), { nil: null }),
    })
    const rows = fc.sample(row, { numRuns: 700, seed: 7 })
    await insertEntries(database.db, rows)
    await database.sql`update audit_entries set status = 'WARN', rules_triggered = '["rule_4"]' where timestamp >= ${toDate(0)} and status = 'ALLOW' and tenant_id = 't_b'`
    const written = rows.map((one) =>
      one.status === 'ALLOW' && one.tenantId === 't_b' && one.timestamp >= toDate(0) ? { ...one, status: 'WARN', rulesTriggered: ['rule_4'] } : one,
    )
    const period = fc
      .record({ ends: fc.tuple(moment, moment), groupBy: fc.constantFrom('hour' as const, 'day' as const, 'week' as const) })
      .filter(({ ends: [a, b] }) => a !== b)
      .map(({ ends, groupBy }) => ({ from: toDate(Math.min(...ends)), to: toDate(Math.max(...ends)), groupBy }))
    await fc.assert(
      fc.asyncProperty(period, fc.constantFrom('t_a', 't_b', null), async (asked, tenantId) => {
        assert.deepEqual(await auditStats(database.db, tenantId, asked), countOneByOne(written, tenantId, asked))
      }),
      { numRuns: 60, seed: 11 },
    )
  })

  test('what was written before there were counts is counted by the migration as it would have been', async () => {
    const counts = async () => [
      await database.sql`select hour, tenant_id, status, sum(requests)::int from audit_counts group by 1, 2, 3 having sum(requests) <> 0 order by 1, 2, 3`.values(),
      await database.sql`select hour, tenant_id, rule_id, sum(requests)::int from audit_rule_counts group by 1, 2, 3 having sum(requests) <> 0 order by 1, 2, 3`.values(),
    ]
    const migration = await readFile(new URL('../../drizzle/0003_audit_chain.sql', import.meta.url), 'utf8')
    const fills = migration
      .split('--> statement-breakpoint')
      .filter((statement) => /INSERT INTO audit_(?:rule_)?counts \(/.test(statement) && !statement.includes('TRIGGER') && !statement.includes('FUNCTION'))
    assert.equal(fills.length, 2)
    await database.sql`delete from audit_counts where hour = ${day('02T10:00:00')}`
    await database.sql`delete from audit_rule_counts where hour in (${day('02T10:00:00')}, ${day('02T00:00:00')})`
    await database.sql`delete from audit_entries where timestamp >= ${day('02T10:00:00')} and timestamp < ${day('02T11:00:00')}`
    const counted = await counts()
    await database.sql`truncate audit_counts, audit_rule_counts`
    for (const fill of fills) await database.db.execute(sql.raw(fill))
    assert.deepEqual(await counts(), counted)
  })
})

const columnOf: Record<string, keyof Counts> = {
  ALLOW: 'allowed',
  WARN: 'warned',
  REDACT: 'redacted',
  ESCALATE: 'escalated',
  BLOCK: 'blocked',
  REJECTED: 'rejected',
}

interface Written {
  timestamp: Date
  tenantId: string | null
  kind: string
  status: string | null
  rulesTriggered: string[] | null
}

/** What auditStats says, in the plainest way there is. */
function countOneByOne(rows: readonly Written[], tenantId: string | null, { from, to, groupBy }: Period) {
  const matching = rows.filter(
    (row) => row.kind === 'exchange' && (tenantId === null || row.tenantId === tenantId) && row.timestamp >= from && row.timestamp < to,
  )
  const begin = (date: Date): string => {
    const start = new Date(date)
    start.setUTCMinutes(0, 0, 0)
    if (groupBy !== 'hour') start.setUTCHours(0)
    if (groupBy === 'week') start.setUTCDate(start.getUTCDate() - ((start.getUTCDay() + 6) % 7))
    return start.toISOString()
  }
  const count = (some: readonly Written[]): Counts => {
    const counts: Counts = { requests: some.length, allowed: 0, warned: 0, redacted: 0, escalated: 0, blocked: 0, rejected: 0 }
    for (const { status } of some) if (status !== null) counts[columnOf[status]!]++
    return counts
  }
  const steps = new Set<string>()
  for (let at = from.getTime(); at < to.getTime(); at += 3_600_000) steps.add(begin(new Date(at)))
  steps.add(begin(new Date(to.getTime() - 1)))
  const totals = count(matching)
  const rules = Map.groupBy(
    matching.flatMap(({ rulesTriggered }) => rulesTriggered ?? []),
    (rule) => rule,
  )
  const judged = totals.requests - totals.rejected
  return {
    totals,
    block_rate: judged === 0 ? 0 : totals.blocked / judged,
    top_triggered_rules: [...rules]
      .map(([rule_id, { length }]) => ({ rule_id, count: length }))
      .sort((a, b) => b.count - a.count || a.rule_id.localeCompare(b.rule_id)),
    series: [...steps].map((start) => ({ start, ...count(matching.filter(({ timestamp }) => begin(timestamp) === start)) })),
  }
}
