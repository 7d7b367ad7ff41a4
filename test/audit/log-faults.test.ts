import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { runPrepared } from '../../src/db/run-prepared.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { until } from '../harness/client.ts'
import { entryOf } from './entries.ts'
import { type LogOptions, logOn } from './logs.ts'

type Run = NonNullable<LogOptions['run']>
const failure = (code: string): Error => Object.assign(new Error(code), { code })
const idsOf = (entries: readonly AuditEntry[]): string[] => entries.map(({ audit_id }) => audit_id)

forEachEngine((engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  after(() => database.drop())
  const logOf = (options: LogOptions = {}, isPatient = true) => logOn(database, options, isPatient)
  const rowsWith = (entries: readonly AuditEntry[]) =>
    database.sql`select *, seq::int as place from audit_entries where audit_id in ${database.sql(idsOf(entries))} order by seq`
  /** The leaves of a process’s chain, each batch’s first, and how many of them have rows. */
  async function chainOf(processId: string) {
    const batches = await database.sql`
      select b.first_seq::int as first, length(b.leaves) / 32 as leaves from audit_batches b join audit_writers w on w.id = b.writer_id
      where w.process_id = ${processId} order by b.first_seq`
    const rows = await database.sql`
      select e.seq::int as seq, e.reason from audit_entries e join audit_writers w on w.id = e.writer_id where w.process_id = ${processId} order by e.seq`
    return { leaves: batches.reduce((sum, { leaves }) => sum + leaves, 0), rows }
  }

  test(`${engine}: a number that JSON does not have is written as JSON would, and ends nothing`, async () => {
    const entry = entryOf({ metadata: { most: Number.POSITIVE_INFINITY, none: Number.NaN, list: [Number.NEGATIVE_INFINITY] } })
    await logOf().close(entry)
    const [row] = await rowsWith([entry])
    assert.deepEqual(row.metadata, { most: null, none: null, list: [null] })
  })

  test(`${engine}: a login that is refused for a while costs no row its place, also after an answer that was lost`, async () => {
    const refused: AuditEntry[] = []
    const reported: unknown[] = []
    const faults = ['lost', '28P01', '42501', 'XX000']
    const run: Run = async (statement) => {
      const fault = faults.shift()
      if (fault === 'lost') {
        await runPrepared(database, statement)
        throw failure('ECONNRESET')
      }
      if (fault !== undefined) throw failure(fault)
      return runPrepared(database, statement)
    }
    const log = logOf({ run, rejected: (entry) => void refused.push(entry), report: (error) => reported.push(error), processId: 'proc_login' })
    const entries = [entryOf(), entryOf(), entryOf()]
    await Promise.all(entries.map((entry) => log.close(entry)))
    await log.close(entryOf())
    await log.stop(5_000)
    const { leaves, rows } = await chainOf('proc_login')
    assert.deepEqual([leaves, rows.map(({ seq }) => seq)], [6, [1, 2, 3, 4, 5, 6]])
    assert.deepEqual([refused, reported.map((error) => (error as { code: string }).code)], [[], ['28P01', '42501', 'XX000']], 'and operators are told of it')
  })

  test(`${engine}: an entry that could not be set aside stays on the disk`, async () => {
    const reported: unknown[] = []
    let isOnDisk = false
    const log = logOf(
      {
        rejected: () => Promise.reject(failure('ENOSPC')),
        report: (error) => reported.push(error),
        spoolOptions: {
          beforeRemoval: async () => {
            isOnDisk = true
          },
        },
      },
      false,
    )
    const bad = entryOf({ timestamp: 'no time at all' })
    await log.open(bad, 'sync')
    await log.close(bad)
    await until(() => reported.length > 0, 'the failure')
    assert.equal(log.backlog, 1)
    await log.stop(50)
    assert.equal(isOnDisk, false, 'no segment was to be removed')
  })

  test(`${engine}: a chain ends with its last leaf, whatever else comes in while the log stops`, async () => {
    const log = logOf({ processId: 'proc_stop' }, false)
    await log.close(entryOf())
    const recovered = Array.from({ length: 20 }, () => entryOf())
    void (async () => {
      for (const entry of recovered) await log.recover([entry])
    })()
    const late = setInterval(() => log.close(entryOf({ attempts: [] })).catch(() => {}), 1)
    await log.settled(5_000)
    await log.stop(5_000)
    clearInterval(late)
    const [writer] = await database.sql`select id, last_seq::int as last from audit_writers where process_id = 'proc_stop'`
    const { leaves, rows } = await chainOf('proc_stop')
    const [told] = await database.sql`select metadata from audit_entries where reason = 'writer.close' and writer_id = ${writer.id}`
    assert.deepEqual([writer.last, rows.at(-1)?.reason, told.metadata.last_seq], [leaves, 'writer.close', leaves])
  })

  test(`${engine}: what a dead process left is written once the database is back`, async () => {
    let failures = 2
    const run: Run = (statement) => (failures-- > 0 ? Promise.reject(failure('57014')) : runPrepared(database, statement))
    const entry = entryOf()
    await logOf({ run }).recover([entry])
    assert.equal((await rowsWith([entry])).length, 1)
  })
})
