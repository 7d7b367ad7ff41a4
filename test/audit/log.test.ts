import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createAuditLog } from '../../src/audit/log.ts'
import { runPrepared } from '../../src/db/run-prepared.ts'
import { isUnavailable } from '../../src/db/unavailable.ts'
import { Failure } from '../../src/errors.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { entryOf } from './entries.ts'

type Run = Parameters<typeof createAuditLog>[0]['run']
const unexpected = (error: unknown): never => assert.fail(String(error))

forEachEngine((engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  after(() => database.drop())
  const logOf = (run: Run = (statement) => runPrepared(database, statement), report: (error: unknown) => void = unexpected, commitMsMax = 5000) =>
    createAuditLog({ run, processId: 'proc_test', isUnavailable, report, commitMsMax })
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

  test(`${engine}: one entry the database will never take is reported and refused; the others of its batch are written`, async () => {
    const reported: unknown[] = []
    const log = logOf(undefined, (error) => reported.push(error))
    const good = [entryOf(), entryOf()]
    const bad = entryOf({ timestamp: 'no time at all' })
    const results = await Promise.allSettled([good[0], bad, good[1]].map((entry) => log.close(entry)))
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    assert.equal((await rowsWith(good.map(({ audit_id }) => audit_id))).length, 2)
    assert.deepEqual([reported.length, log.backlog], [1, 0])
  })

  test(`${engine}: what dead processes left open becomes rows with outcome unknown, once; what living ones have open stays`, async () => {
    const { sql } = database
    await sql`insert into processes (id, host, pid, version, heartbeat_at) values ('proc_alive', 'h', 1, '1', now()), ('proc_dead', 'h', 2, '1', now() - interval '2 minutes')`
    const ids: Record<string, string> = {}
    for (const processId of ['proc_alive', 'proc_dead', 'proc_unheard_of']) {
      const entry = entryOf({ outcome: 'unknown', latency_ms: null })
      ids[processId] = entry.audit_id
      await createAuditLog({ run: (statement) => runPrepared(database, statement), processId, isUnavailable, report: unexpected }).open(entry)
    }
    assert.equal(await logOf().sweep(), 2)
    assert.equal(await logOf().sweep(), 0)
    const rows = await rowsWith(Object.values(ids))
    assert.deepEqual(
      rows.map(({ outcome }) => outcome),
      ['unknown', 'unknown'],
    )
    assert.deepEqual(await openIds(), [ids.proc_alive])
    await sql`delete from audit_open`
  })

  test(`${engine}: while the database is away the exchange is refused in time, and its row is written once it is back`, async () => {
    let away = true
    const flaky: Run = (statement) => (away ? Promise.reject(Object.assign(new Error('gone'), { code: 'ECONNREFUSED' })) : runPrepared(database, statement))
    const log = logOf(flaky, unexpected, 50)
    const entry = entryOf()
    await assert.rejects(log.open(entryOf()), (error) => error instanceof Failure && error.reason === 'audit_unavailable')
    await assert.rejects(log.close(entry), Failure)
    Object.assign(entry, { outcome: 'failed', reason: 'unavailable', http_status: 503 }) // as its owner does, who tells the client
    assert.equal(log.backlog, 1, 'a call that never left owes no row; one that ended does')
    away = false
    await log.stop(5000)
    const [row] = await rowsWith([entry.audit_id])
    assert.deepEqual([row.outcome, row.reason, row.http_status], ['failed', 'unavailable', 503], 'what the client was told')
    await assert.rejects(log.close(entryOf()), Failure, 'a log that was stopped takes nothing')
  })
})
