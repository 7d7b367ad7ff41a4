import assert from 'node:assert/strict'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { auditStats, type Grouping } from '../../src/audit/stats.ts'
import { ensurePartitions } from '../../src/db/partitions.ts'
import type { TestDatabase } from '../db/engines.ts'

export const about = 'statistics over a million calls of fifty tenants take at most 200 ms, for a tenant and for the administrator'

const CALLS = 1_000_000
const SHORT_CALLS = 100_000
const TENANTS = 50
const DAYS = 90
/** Written in the order of time, as calls are. */
const STATEMENTS = 10
const TIMES = 5
const MS_MAX = 200
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** In the middle of an hour, in which calls were made until now. */
const NOW = Math.floor(Date.now() / HOUR_MS) * HOUR_MS - HOUR_MS + 17 * 60_000

const periods: readonly { name: string; days: number; groupBy: Grouping }[] = [
  { name: 'the last 7 days by day, which is the default', days: 7, groupBy: 'day' },
  { name: 'the last 7 days by hour', days: 7, groupBy: 'hour' },
  { name: 'the last 30 days by day', days: 30, groupBy: 'day' },
  { name: 'of all time by week', days: 20_000, groupBy: 'week' },
]

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { openTestDatabase } = await import('../db/engines.ts')
  const database = await openTestDatabase('postgres')
  const calls = short ? SHORT_CALLS : CALLS
  try {
    const begun = performance.now()
    await fill(database, calls)
    say(`${calls.toLocaleString('en')} calls of ${TENANTS} tenants in ${DAYS} days, written in ${Math.round((performance.now() - begun) / 1000)} s`)
    for (const tenantId of [null, 't_7']) {
      for (const { name, days, groupBy } of periods) {
        const to = new Date(NOW)
        const from = new Date(Math.max(NOW - days * DAY_MS, Date.UTC(2026, 0, 1)))
        const times: number[] = []
        let requests = 0
        for (let i = 0; i < TIMES; i++) {
          const start = performance.now()
          const { totals } = await auditStats(database.db, tenantId, { from, to, groupBy })
          times.push(performance.now() - start)
          requests = totals.requests
        }
        const median = times.sort((a, b) => a - b)[TIMES >> 1]!
        say(`${tenantId === null ? 'the administrator' : 'a tenant'}, ${name}: ${requests.toLocaleString('en')} calls in ${median.toFixed(1)} ms`)
        assert.equal(requests, await countRows(database, tenantId, from, to), 'as many as there are')
        if (!short) assert.ok(median <= MS_MAX, `${median} ms`)
      }
    }
  } finally {
    await database.drop()
  }
}

async function fill(database: TestDatabase, calls: number): Promise<void> {
  for (let month = 0; month <= DAYS / 30 + 1; month += 3) await ensurePartitions(database, new Date(NOW - (DAYS - month * 30) * DAY_MS))
  const first = new Date(NOW - DAYS * DAY_MS).toISOString()
  const stepMs = (DAYS * DAY_MS) / calls
  await database.apart(async (db) => {
    for (let i = 0; i < STATEMENTS; i++) {
      await db.execute(`
        insert into audit_entries (audit_id, timestamp, kind, tenant_id, request_id, status, outcome, rules_triggered)
        select 'aud_' || i, timestamptz '${first}' + i * interval '${stepMs} milliseconds', 'exchange', 't_' || i % ${TENANTS}, 'req_' || i,
          (array['ALLOW', 'ALLOW', 'WARN', 'REDACT', 'ESCALATE', 'BLOCK', 'REJECTED'])[1 + i / ${TENANTS} % 7], 'completed',
          case when i % 10 < 3 then jsonb_build_array('rule_' || i % ${TENANTS} || '_' || i % 11) else '[]' end
        from generate_series(${(i * calls) / STATEMENTS}, ${((i + 1) * calls) / STATEMENTS - 1}) as i`)
    }
  })
}

async function countRows(database: TestDatabase, tenantId: string | null, from: Date, to: Date): Promise<number> {
  return database.apart(async (db) => {
    const owner = tenantId === null ? '' : `and tenant_id = '${tenantId}'`
    const [row] = await db.execute<{ rows: number }>(
      `select count(*)::int as rows from audit_entries where timestamp >= '${from.toISOString()}' and timestamp < '${to.toISOString()}' ${owner}`,
    )
    return row!.rows
  })
}
