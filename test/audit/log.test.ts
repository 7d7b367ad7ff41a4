import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { runPrepared } from '../../src/db/run-prepared.ts'
import { Failure } from '../../src/errors.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { until } from '../harness/client.ts'
import { entryOf } from './entries.ts'
import { type LogOptions, logOn } from './logs.ts'

type Run = NonNullable<LogOptions['run']>

forEachEngine((engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  after(() => database.drop())
  const logOf = (options: LogOptions = {}, isPatient = true) => logOn(database, options, isPatient)
  const rowsWith = (ids: readonly string[]) => database.sql`select * from audit_entries where audit_id in ${database.sql(ids)}`
  const openIds = async (): Promise<string[]> => (await database.sql`select audit_id from audit_open`).map(({ audit_id }) => audit_id)

  test(`${engine}: an exchange is open from before it leaves until its row is there, with every column`, async () => {
    const log = logOf()
    const entry = entryOf()
    await log.open({ ...entry, outcome: 'unknown' })
    assert.deepEqual(await openIds(), [entry.audit_id])
    await log.close(entry)
    assert.deepEqual(await openIds(), [])
    const [row] = await rowsWith([entry.audit_id])
    for (const [name, value] of Object.entries(entry)) {
      const stored = row[name] instanceof Date ? row[name].toISOString() : name === 'uninspected_bytes' ? Number(row[name]) : row[name]
      assert.deepEqual(stored, value, name)
    }
  })

  test(`${engine}: what is opened again says more, and is one record`, async () => {
    const processId = 'proc_opened_twice'
    const log = logOf({ processId })
    const entry = entryOf({ outcome: 'unknown', status: 'ESCALATE', escalation_id: null })
    await log.open(entry)
    await log.open({ ...entry, escalation_id: 'esc_1' })
    assert.deepEqual(await openIds(), [entry.audit_id])
    assert.equal(await log.sweep(), 1)
    await log.stop(5_000)
    const rows = await rowsWith([entry.audit_id])
    assert.deepEqual(
      rows.map(({ outcome, status, escalation_id }) => [outcome, status, escalation_id]),
      [['unknown', 'ESCALATE', 'esc_1']],
    )
  })

  test(`${engine}: 500 exchanges at once are all there, each once, also when one is closed again`, async () => {
    const log = logOf()
    const entries = Array.from({ length: 500 }, () => entryOf())
    await Promise.all(
      entries.map(async (entry) => {
        await log.open(entry)
        await log.close(entry)
      }),
    )
    await log.close(entries[0])
    assert.equal((await rowsWith(entries.map(({ audit_id }) => audit_id))).length, 500)
    assert.deepEqual(await openIds(), [])
  })

  test(`${engine}: what JSON in the database cannot hold is replaced, not lost`, async () => {
    const entry = entryOf({ user_id: 'a\0b', metadata: { x: 'half \ud800 pair', y: 'back\\u0000slash', 'n\0': [{ '\udc00': 1 }] } })
    await logOf().close(entry)
    const [row] = await rowsWith([entry.audit_id])
    assert.deepEqual([row.user_id, row.metadata], ['a\uFFFDb', { x: 'half \uFFFD pair', y: 'back\\u0000slash', 'n\uFFFD': [{ '\uFFFD': 1 }] }])
  })

  test(`${engine}: one entry the database will never take is handed out; the others of its batch are written, in one chain without a gap`, async () => {
    const refused: AuditEntry[] = []
    const log = logOf({ rejected: (entry) => void refused.push(entry), processId: 'proc_refused' })
    const good = [entryOf(), entryOf()]
    const bad = entryOf({ timestamp: 'no time at all' })
    await Promise.all([good[0], bad, good[1]].map((entry) => log.close(entry)))
    const rows = await database.sql`select seq::int from audit_entries where audit_id in ${database.sql(good.map(({ audit_id }) => audit_id))} order by seq`
    assert.deepEqual([rows.map(({ seq }) => seq), refused, log.backlog], [[2, 3], [bad], 0])
    await log.stop(5_000)
    const [writer] = await database.sql`select last_seq::int from audit_writers where process_id = 'proc_refused'`
    assert.equal(writer.last_seq, 4, 'the last leaf says that the chain ends')
  })

  test(`${engine}: what dead processes left open becomes rows with outcome unknown, once; what living ones have open stays`, async () => {
    const { sql } = database
    await sql`insert into processes (id, host, pid, version, heartbeat_at) values ('proc_alive', 'h', 1, '1', now()), ('proc_dead', 'h', 2, '1', now() - interval '2 minutes')`
    const ids: Record<string, string> = {}
    for (const processId of ['proc_alive', 'proc_dead', 'proc_unheard_of']) {
      const entry = entryOf({ outcome: 'unknown', latency_ms: null })
      ids[processId] = entry.audit_id
      await logOf({ processId }).open(entry)
    }
    assert.equal(await logOf().sweep(), 2)
    assert.equal(await logOf().sweep(), 0)
    const rows = await rowsWith(Object.values(ids))
    assert.deepEqual(
      rows.map(({ outcome, seal }) => [outcome, seal?.length]),
      [
        ['unknown', 43],
        ['unknown', 43],
      ],
      'with the seal by which they get into the chain',
    )
    assert.deepEqual(await openIds(), [ids.proc_alive])
    await sql`delete from audit_open`
  })

  test(`${engine}: a strict exchange does not leave while the database is away; what has ended waits on the disk, and is written once it is back`, async () => {
    let away = true
    const flaky: Run = (statement) => (away ? Promise.reject(Object.assign(new Error('gone'), { code: 'ECONNREFUSED' })) : runPrepared(database, statement))
    const log = logOf({ run: flaky, openMsMax: 50 }, false)
    await assert.rejects(log.open(entryOf()), (error) => error instanceof Failure && error.reason === 'audit_unavailable')
    const entries = Array.from({ length: 20 }, () => entryOf())
    for (const entry of entries) await log.open(entry, 'sync')
    await Promise.all(entries.map((entry) => log.close(entry)))
    await until(() => log.isAway, 'the log to notice')
    assert.equal(log.backlog, 20)
    away = false
    await log.settled(20_000)
    assert.deepEqual([log.backlog, log.isAway, (await rowsWith(entries.map(({ audit_id }) => audit_id))).length], [0, false, 20])
    await log.stop(5_000)
  })

  test(`${engine}: what is too much for memory is read back from the disk, in order and each once`, async () => {
    let away = true
    const flaky: Run = (statement) => (away ? Promise.reject(Object.assign(new Error('gone'), { code: 'ECONNREFUSED' })) : runPrepared(database, statement))
    const log = logOf({ run: flaky, processId: 'proc_behind', spoolOptions: { segmentBytesMax: 256 << 10 } }, false)
    const ids: string[] = []
    for (let round = 0; round < 70; round++) {
      const entries = Array.from({ length: 100 }, () => entryOf({ tenant_id: 't_behind' }))
      await Promise.all(entries.map((entry) => log.open(entry, 'sync')))
      ids.push(...entries.map(({ audit_id }) => audit_id))
      await Promise.all(entries.map((entry) => log.close(entry)))
    }
    assert.equal(log.backlog, 7_000)
    away = false
    await log.settled(60_000)
    const rows = await database.sql`select audit_id from audit_entries where tenant_id = 't_behind' order by seq`
    assert.deepEqual(
      rows.map(({ audit_id }) => audit_id),
      ids,
    )
    await log.stop(5_000)
  })
})
