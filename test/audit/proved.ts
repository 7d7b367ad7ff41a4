/** Whether a log still proves itself, as an auditor would find out. */
import assert from 'node:assert/strict'
import type { Database } from '../../src/db/connect.ts'
import { readDatabase } from '../../src/verify/read-database.ts'
import { parseNoteKey } from '../../src/verify/signed-note.ts'
import { type LogReport, verifyLog } from '../../src/verify/verify-log.ts'
import { logKeyOn } from './chain/chains.ts'

/** What seals rows in these tests, see chains.ts. */
const SEAL_KEY = Buffer.alloc(32, 5)

export async function assertProved(database: Database): Promise<LogReport> {
  const { vkey } = await logKeyOn(database)()
  const report = await readDatabase(database, SEAL_KEY, (records) => verifyLog(records, { keys: [parseNoteKey(vkey)] }))
  assert.deepEqual(report.problems, [])
  return report
}
