import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { sql } from '../../src/db/drizzle.ts'
import { readDatabase, recordsFrom } from '../../src/verify/read-database.ts'
import { parseNoteKey } from '../../src/verify/signed-note.ts'
import { verifyLog } from '../../src/verify/verify-log.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { type BuiltLog, createSigningKey } from './build-log.ts'
import { insertLog, insertRows } from './insert-log.ts'
import { createRandom } from './random-entries.ts'
import { buildRandomLog } from './random-log.ts'
import { tampers } from './tamper.ts'

const key = createSigningKey('earthflow/test')
const keys = [parseNoteKey(key.vkey)]
const sealKey = randomBytes(32)
/** Of a log that has something of everything. */
const SEED = 27

class Undone extends Error {}

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let log: BuiltLog
  before(async () => {
    database = await open()
    ;({ log } = buildRandomLog({ random: createRandom(SEED), rows: 250, key, sealKey }))
    await insertLog(database.db, log)
  })
  after(() => database.drop())

  test('a log in the database holds, and is what was built', async () => {
    const report = await readDatabase(database, sealKey, (records) => verifyLog(records, { keys }))
    assert.deepEqual(report.problems, [])
    assert.equal(report.entries, log.rows.length + log.unplaced.length)
    assert.equal(report.waiting, log.unplaced.length)
    assert.ok(
      report.waiting > 0 && report.pruned > 0 && report.erased > 0 && report.superseded > 0 && report.checkpoints > 3,
      'the log has something of everything',
    )
  })

  test('nothing is written, and what is written meanwhile is not seen', async () => {
    const report = await readDatabase(database, sealKey, async (records) => {
      let isFirst = true
      const all = (async function* () {
        for await (const record of records) {
          if (isFirst && database.engine === 'postgres') await database.sql`delete from audit_entries where audit_id = ${log.rows[9]!.audit_id}`
          isFirst = false
          yield record
        }
      })()
      return verifyLog(all, { keys })
    })
    assert.equal(report.holds, true)
    if (database.engine === 'pglite') return
    const after = await readDatabase(database, sealKey, (records) => verifyLog(records, { keys }))
    assert.deepEqual(
      after.problems.map(({ writer_id, seq }) => ({ writer_id, seq })),
      [{ writer_id: log.rows[9]!.writer_id, seq: log.rows[9]!.seq }],
    )
    await database.db.transaction((tx) => insertRows(tx, [log.rows[9]!]))
  })

  for (const [name, tamper] of Object.entries(tampers)) {
    test(`${name}: it is found, and its place named`, async () => {
      const undone = database.db.transaction(async (tx) => {
        const { what, outside = [], isNamed } = await tamper({ tx, log, random: createRandom(SEED) })
        const { problems } = await verifyLog(recordsFrom(tx, sealKey), { keys, outside })
        assert.ok(problems.some(isNamed), `${what}: ${JSON.stringify(problems.slice(0, 5), null, 1)}`)
        throw new Undone()
      })
      await assert.rejects(undone, Undone)
    })
  }

  test('rows that wait are told from rows that nobody who knew the key has written', async () => {
    await assert.rejects(
      database.db.transaction(async (tx) => {
        await tx.execute(sql`update audit_entries set seal = 'x' where seq is null`)
        await tx.execute(sql`insert into audit_entries (audit_id, timestamp, kind, request_id, outcome, reason, seal, metadata)
          values ('aud_budget', ${log.rows.at(-1)!.timestamp}::timestamptz, 'change', 'req_1', 'completed', 'budget.exceeded', 'budget', '{"actor":"system"}')`)
        const report = await verifyLog(recordsFrom(tx, sealKey), { keys })
        assert.equal(report.waiting, 1)
        assert.equal(report.problems_total, log.unplaced.length)
        throw new Undone()
      }),
      Undone,
    )
  })
})
