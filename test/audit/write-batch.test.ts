import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createChainWriter, type SealedBatch } from '../../src/audit/chain/writer.ts'
import { writeRows } from '../../src/audit/write-batch.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { entryOf } from './entries.ts'

forEachEngine((engine, open) => {
  let database: TestDatabase
  const writer = createChainWriter({ origin: 'earthflow/test', processId: 'proc_1', version: '1' })
  before(async () => {
    database = await open()
  })
  after(() => database.drop())

  /** Writes a batch, and tells which scans of the table of entries that took. */
  async function scansOf(sealed: SealedBatch): Promise<string[]> {
    const { text, params } = writeRows(writer, sealed, [], Date.now())
    const plan = await database.sql.unsafe<{ 'QUERY PLAN': string }[]>(`explain (analyze, timing off) ${text}`, params as never[])
    writer.written(sealed)
    return plan.map((row) => row['QUERY PLAN']).filter((line) => /Scan .*\bon audit_entries/.test(line) && !line.includes('never executed'))
  }

  test(`${engine}: of a batch of new rows nothing is looked up, and of rows that are there each in the index, also where the plan is made for empty tables`, async () => {
    const entries = Array.from({ length: 20 }, () => entryOf())
    assert.deepEqual(await scansOf(writer.seal(entries, Date.now())), [])
    const again = await scansOf(writer.seal(entries.slice(0, 3), Date.now()))
    assert.ok(again.length > 0)
    assert.deepEqual(
      again.filter((line) => line.includes('Seq Scan')),
      [],
    )
  })
})
