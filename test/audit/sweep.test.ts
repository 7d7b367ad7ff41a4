import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import type { Written } from '../../src/audit/settlement.ts'
import { ABANDONED_MAX } from '../../src/audit/write-batch.ts'
import { runPrepared } from '../../src/db/run-prepared.ts'
import { newId } from '../../src/ids.ts'
import { asOtherProcess } from '../budgets/rows.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { forget, listen } from '../webhooks/endpoints-of.ts'
import { entryOf } from './entries.ts'
import { type LogOptions, logOn } from './logs.ts'

const MANY = Math.floor(ABANDONED_MAX * 2.5)
const listeners = { isEmpty: false, wants: () => true }

forEachEngine((engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  afterEach(async () => {
    await forget(database)
    await database.sql`truncate audit_open, audit_entries, reservations`
  })
  after(() => database.drop())

  /** Calls that a process which was never heard of has open, each with what it reserved. */
  async function leave(count: number): Promise<string[]> {
    const processId = newId('proc')
    const log = logOn(database, { processId, listeners })
    const entries = Array.from({ length: count }, () => entryOf({ outcome: 'unknown', budgets: [], rules_triggered: [] }))
    await Promise.all(entries.map((entry) => log.open(entry, 'strict')))
    const ids = entries.map(({ audit_id }) => audit_id)
    await database.sql`insert into reservations (audit_id, budget_id, starts_at, amount, process_id)
      select id, 'budget_1', now(), 1, ${processId} from unnest(${ids}::text[]) id`
    return ids
  }
  async function left(): Promise<Record<string, number>> {
    const [row] = await database.sql`select (select count(*)::int from audit_open) as open, (select count(*)::int from reservations) as reserved,
      (select count(*)::int from audit_entries where outcome = 'unknown') as rows, (select count(*)::int from webhook_deliveries) as told`
    return { ...row }
  }
  /** What each statement wrote; none runs after the one in whose place `most` stands. */
  function counting(most = Number.POSITIVE_INFINITY): { wrote: number[]; options: LogOptions } {
    const wrote: number[] = []
    const run: LogOptions['run'] = async (statement) => {
      if (wrote.length === most) throw Object.assign(new Error('canceled'), { code: '57014' })
      const answer = await runPrepared(database, statement)
      wrote.push((answer[0] as unknown as Written).written)
      return answer
    }
    return { wrote, options: { run, listeners } }
  }

  test(`${engine}: however much dead processes left open, no statement closes more than ${ABANDONED_MAX} of it, and all of it is closed and told once`, async () => {
    await listen(database, null, ['ALLOW'])
    await leave(MANY)
    const { wrote, options } = counting()
    assert.equal(await logOn(database, options).sweep(), MANY)
    assert.deepEqual(wrote, [ABANDONED_MAX, ABANDONED_MAX, MANY - 2 * ABANDONED_MAX])
    assert.deepEqual(await left(), { open: 0, reserved: 0, rows: MANY, told: MANY })
  })

  test(`${engine}: where it is interrupted, what was not closed keeps what was reserved for it, and is closed the next time`, async () => {
    await leave(MANY)
    await database.sql`insert into reservations (audit_id, budget_id, starts_at, amount, process_id) values ('aud_never_opened', 'budget_1', now(), 1, 'proc_gone')`
    await assert.rejects(logOn(database, counting(1).options).sweep())
    const rest = MANY - ABANDONED_MAX
    assert.deepEqual(await left(), { open: rest, reserved: rest, rows: ABANDONED_MAX, told: 0 })
    const [unopened] = await database.sql`select count(*)::int as n from reservations where audit_id = 'aud_never_opened'`
    assert.equal(unopened.n, 0, 'what was never opened is free at once')
    assert.equal(await logOn(database, counting().options).sweep(), rest)
    assert.deepEqual(await left(), { open: 0, reserved: 0, rows: MANY, told: 0 })
  })

  test(`${engine}: two processes that sweep at once close each call once`, async () => {
    const ids = await leave(MANY)
    const other = await asOtherProcess(database)
    const swept = await Promise.all([logOn(database).sweep(), logOn(other).sweep()])
    assert.equal(swept[0] + swept[1], MANY)
    const rows = await database.sql`select audit_id from audit_entries where outcome = 'unknown'`
    assert.deepEqual(rows.map(({ audit_id }) => audit_id).sort(), ids.sort())
    await other.close()
  })
})
