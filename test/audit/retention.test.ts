import assert from 'node:assert/strict'
import { after, before, beforeEach, mock, test } from 'node:test'
import { type ChainWriter, createChainWriter } from '../../src/audit/chain/writer.ts'
import { type AuditEntry, emptyEntry } from '../../src/audit/entry.ts'
import { CHUNK_ROWS, type PruneRecord } from '../../src/audit/prune-entries.ts'
import { recordChange } from '../../src/audit/record-change.ts'
import { createRetention, type Pruned, prune, type RetentionOptions } from '../../src/audit/retention.ts'
import { connect, type Tx } from '../../src/db/connect.ts'
import { ensurePartitions } from '../../src/db/partitions.ts'
import { auditSuperseded, tenants } from '../../src/db/schema.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { checkpointerOn, logKeyOn, seal, write, writeUnchained } from './chain/chains.ts'
import { entryOf } from './entries.ts'
import { assertProved } from './proved.ts'

const NOW = Date.UTC(2026, 10, 20, 12)
const DAY_MS = 86_400_000

forEachEngine((engine, open) => {
  let database: TestDatabase
  let writer: ChainWriter
  let records: PruneRecord[]
  before(async () => {
    database = await open()
  })
  beforeEach(async () => {
    await database.sql`truncate audit_entries, audit_writers, audit_batches, audit_tiles, audit_checkpoints, audit_superseded, tenants cascade`
    // April, in which everything is older than 200 days, May and June.
    await ensurePartitions(database, new Date('2026-04-01'))
    const { origin } = await logKeyOn(database)()
    writer = createChainWriter({ origin, processId: 'p_w', version: '1' })
    records = []
  })
  after(() => database.drop())

  const record = async (tx: Tx, { metadata, ...change }: PruneRecord): Promise<void> => {
    records.push({ metadata, ...change })
    await recordChange(tx, { ...change, actor: 'system', keyPrefix: null, requestId: 'req_1', details: { ...metadata } }, seal)
  }
  const options = (defaultDays: number, more: Partial<RetentionOptions> = {}): RetentionOptions => ({
    defaultDays,
    now: () => NOW,
    record,
    pauseMs: 0,
    ...more,
  })
  const daysAgo = (days: number): string => new Date(NOW - days * DAY_MS).toISOString()
  /** An exchange with an id that says what it is. */
  const call = (audit_id: string, days: number, tenant_id: string | null = 't_1'): AuditEntry => entryOf({ audit_id, tenant_id, timestamp: daysAgo(days) })
  const checkpoint = (): Promise<void> => checkpointerOn(database).run()
  const idsLeft = async (): Promise<string[]> =>
    (await database.sql`select audit_id from audit_entries where kind = 'exchange' order by audit_id`).map(({ audit_id }) => audit_id as string)
  const addTenants = (days: Record<string, number | null>) =>
    database.db.insert(tenants).values(Object.entries(days).map(([id, auditRetentionDays]) => ({ id, name: id, auditRetentionDays })))
  const partitions = async (): Promise<string[]> =>
    (await database.sql`select inhrelid::regclass::text as name from pg_inherits where inhparent = 'audit_entries'::regclass order by 1`).map(
      ({ name }) => name as string,
    )

  test('what is past its tenant’s time goes, wherever it lies, and the log proves itself as before', async () => {
    await addTenants({ t_1: null, t_2: 10, t_3: 4_000 })
    const rows = [
      call('new_1', 80),
      call('old_1', 91),
      call('default_partition', 500),
      call('new_2', 9, 't_2'),
      call('old_2', 11, 't_2'),
      call('long', 3_000, 't_3'),
      call('old_nobody', 91, null),
      call('new_nobody', 80, null),
      call('older_1', 100),
    ]
    await write(database, writer, rows)
    await checkpoint()
    const { leaves } = await assertProved(database)
    assert.deepEqual(await prune(database, options(90)), { entries: 5, partitions: [] } satisfies Pruned)
    assert.deepEqual(await idsLeft(), ['long', 'new_1', 'new_2', 'new_nobody'])
    // Leaf 1 opens the writer.
    assert.deepEqual(
      records.map(({ tenantId, subject, metadata }) => [tenantId, subject, metadata]),
      [
        [null, '*', { before: daysAgo(90), entries: 1, leaves: { [writer.id]: '8' } }],
        ['t_1', 't_1', { before: daysAgo(90), entries: 3, leaves: { [writer.id]: '3-4,10' } }],
        ['t_2', 't_2', { before: daysAgo(10), entries: 1, leaves: { [writer.id]: '6' } }],
      ],
    )
    assert.equal((await assertProved(database)).pruned, 5)
    await checkpoint()
    assert.equal((await assertProved(database)).leaves, leaves + 4, 'three records, and the opening of their chain')
    assert.deepEqual(await prune(database, options(90)), { entries: 0, partitions: [] })
  })

  test('only what a checkpoint holds goes, and rows from before the log was chained; a row that waits for its place stays', async () => {
    await addTenants({ t_1: null })
    await write(database, writer, [call('held', 100)])
    await checkpoint()
    await write(database, writer, [call('not_held', 100)])
    await writeUnchained(database, call('waits', 100))
    await writeUnchained(database, call('unchained', 100), null)
    assert.equal((await prune(database, options(90)))?.entries, 2)
    assert.deepEqual(await idsLeft(), ['not_held', 'waits'])
    assert.deepEqual(records[0]?.metadata.leaves, { [writer.id]: '2' })
    await checkpoint()
    assert.equal((await prune(database, options(90)))?.entries, 2)
    assert.deepEqual(await idsLeft(), [])
    await assertProved(database)
  })

  test('a month goes as a whole once everything in it is past the longest time there is; what is never pruned moves', async () => {
    await addTenants({ t_1: null, t_2: 200 })
    const told = (reason: string): AuditEntry => ({ ...emptyEntry({ at: NOW - 215 * DAY_MS, kind: 'change', reason }), metadata: { leaves: {} } })
    const opened = writer.seal([told('audit.prune'), told('tenant.create'), call('april', 215), call('april_2', 215, 't_2')], NOW - 215 * DAY_MS)
    await write(database, { ...writer, seal: () => opened, written: writer.written }, [])
    await write(database, writer, [call('may', 190, 't_2'), call('may_1', 190)])
    await checkpoint()
    assert.deepEqual(await prune(database, options(150)), {
      entries: 4,
      partitions: ['audit_entries_2026_04'],
    })
    assert.deepEqual(
      records.map(({ tenantId, metadata }) => [tenantId, metadata]),
      [
        [null, { before: daysAgo(200), entries: 3, leaves: { [writer.id]: '3-5' } }],
        ['t_1', { before: daysAgo(150), entries: 1, leaves: { [writer.id]: '7' } }],
      ],
    )
    assert.deepEqual(await idsLeft(), ['may'])
    const kept = await database.sql`select kind, reason from audit_entries_default where timestamp < '2026-05-01' order by kind`
    assert.deepEqual(
      kept.map(({ kind, reason }) => [kind, reason]),
      [
        ['chain', 'writer.open'],
        ['change', 'audit.prune'],
      ],
    )
    await assertProved(database)
    assert.deepEqual(await partitions(), ['audit_entries_2026_05', 'audit_entries_2026_06', 'audit_entries_default'])
  })

  test('a month is not dropped while one of its rows may not go, nor where one tenant’s stay for ever', async () => {
    await addTenants({ t_1: null, t_2: 0 })
    await write(database, writer, [call('old', 215)])
    await checkpoint()
    await writeUnchained(database, call('waits', 215))
    assert.deepEqual(await prune(database, options(90)), { entries: 1, partitions: [] })
    await database.sql`update tenants set audit_retention_days = 30`
    const { partitions: dropped } = (await prune(database, options(90)))!
    assert.deepEqual(dropped, ['audit_entries_2026_05', 'audit_entries_2026_06'])
    assert.deepEqual(await idsLeft(), ['waits'])
  })

  test('what is written into a month while it is looked at keeps it from being dropped', async () => {
    await addTenants({ t_1: null })
    await write(database, writer, [call('old', 215)])
    await checkpoint()
    // The month's first statement after the look is the one that takes it off.
    let isWritten = false
    const apart: TestDatabase['apart'] = (work) =>
      database.apart((db) =>
        work(
          Object.assign(Object.create(db), {
            async transaction(...args: Parameters<typeof db.transaction>) {
              if (!isWritten) await write(database, writer, [call('late', 215)])
              isWritten = true
              return db.transaction(...args)
            },
          }),
        ),
      )
    const pruned = await prune({ apart }, options(90))
    assert.equal(pruned?.partitions.includes('audit_entries_2026_04'), false)
    assert.deepEqual(await idsLeft(), ['late'], 'what is on a checkpoint went by itself')
    await assertProved(database)
  })

  test('what a row said before it was written over goes with it', async () => {
    await addTenants({ t_1: null })
    const before = await write(database, writer, [call('first', 100), call('second', 215)])
    await database.sql`delete from audit_entries where audit_id in ('first', 'second')`
    for (const row of before.rows.slice(1))
      await database.db.insert(auditSuperseded).values({ writerId: row.writer_id, seq: row.seq, auditId: row.entry.audit_id, row: JSON.parse(row.json) })
    await write(database, writer, [call('first', 100), call('second', 215)])
    await checkpoint()
    assert.equal((await prune(database, options(90)))?.entries, 4)
    assert.deepEqual(
      records.map(({ metadata }) => metadata.leaves),
      [{ [writer.id]: '3,5' }, { [writer.id]: '2,4' }],
    )
    assert.equal((await assertProved(database)).pruned, 4)
  })

  test('many rows go in chunks, each with its record; a stop comes after the chunk under way', async () => {
    await addTenants({ t_1: null })
    const rows = Array.from({ length: CHUNK_ROWS * 2 + 10 }, (_, i) => call(`r_${String(i).padStart(5, '0')}`, 100, i % 2 === 0 ? 't_1' : 't_2'))
    await write(database, writer, rows)
    await addTenants({ t_2: 4_000 })
    await checkpoint()
    const stop = new AbortController()
    const first = await prune(database, options(90, { record: (tx, one) => record(tx, one).then(() => stop.abort()) }), stop.signal)
    assert.equal(first?.entries, CHUNK_ROWS)
    assert.equal((await prune(database, options(90)))?.entries, 5)
    assert.deepEqual(
      records.map(({ metadata }) => metadata.entries),
      [CHUNK_ROWS, 5],
    )
    assert.equal((await idsLeft()).length, CHUNK_ROWS + 5)
    await assertProved(database)
  })

  test('with 0 everything stays for ever, but of tenants that have a time of their own', async () => {
    await addTenants({ t_1: null, t_2: 10 })
    await write(database, writer, [call('for_ever', 3_000), call('two', 20, 't_2'), call('nobody', 3_000, null)])
    await checkpoint()
    assert.deepEqual(await prune(database, options(0)), { entries: 1, partitions: [] })
    assert.deepEqual(await idsLeft(), ['for_ever', 'nobody'])
  })

  test('a record that cannot be written keeps the rows', async () => {
    await addTenants({ t_1: null })
    await write(database, writer, [call('old', 100)])
    await checkpoint()
    await assert.rejects(prune(database, options(90, { record: () => Promise.reject(new Error('no')) })), /no/)
    assert.deepEqual(await idsLeft(), ['old'])
    assert.equal((await prune(database, options(90)))?.entries, 1, 'and the next one may try')
  })

  if (engine === 'postgres')
    test('one process prunes at a time', async () => {
      await addTenants({ t_1: null })
      await write(database, writer, [call('old', 100)])
      await checkpoint()
      const other = await connect(database.options)
      try {
        let meanwhile: Pruned | null | undefined
        const pruned = await prune(
          database,
          options(90, {
            record: async (tx, one) => {
              meanwhile = await prune(other, options(90))
              await record(tx, one)
            },
          }),
        )
        assert.deepEqual([pruned?.entries, meanwhile], [1, null])
      } finally {
        await other.close()
      }
    })
})

test('the first time is a moment after the start, the others six hours after one another, and none after the end', async () => {
  const [MOMENT_MS, MINUTE_MS] = [15_000, 60_000]
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    let times = 0
    const database = { apart: () => Promise.resolve(times++ % 2 === 0 ? null : { entries: 1, partitions: [] }) as never }
    const told: Pruned[] = []
    const retention = createRetention({
      database,
      defaultDays: 90,
      now: () => NOW,
      record: () => Promise.resolve(),
      report: (error) => assert.fail(String(error)),
      onPruned: (pruned) => void told.push(pruned),
    })
    const timesAfter = async (ms: number): Promise<number> => {
      mock.timers.tick(ms)
      await new Promise(setImmediate)
      return times
    }
    retention.start()
    assert.deepEqual([await timesAfter(MOMENT_MS - 1), await timesAfter(1)], [0, 1])
    assert.deepEqual([await timesAfter(360 * MINUTE_MS - 1), await timesAfter(1)], [1, 2])
    assert.deepEqual(told, [{ entries: 1, partitions: [] }], 'only of what went')
    await retention.close()
    assert.equal(await timesAfter(1_000 * MINUTE_MS), 2)
  } finally {
    mock.timers.reset()
  }
})
