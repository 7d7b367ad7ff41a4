import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { connect, type Database } from '../../src/db/connect.ts'
import type { Finding } from '../../src/verify/findings.ts'
import { readDatabase, recordsFrom } from '../../src/verify/read-database.ts'
import { parseNoteKey } from '../../src/verify/signed-note.ts'
import { verifyLog } from '../../src/verify/verify-log.ts'
import { type BuiltLog, createSigningKey } from '../verify/build-log.ts'
import { insertLog } from '../verify/insert-log.ts'
import { recordsOf } from '../verify/log-records.ts'
import { below, createRandom, type Random } from '../verify/random-entries.ts'
import { buildRandomLog } from '../verify/random-log.ts'
import { tampers } from '../verify/tamper.ts'

export const about =
  'of 1,000 ways to tamper with the audit log with the rights of its database none is missed and each place named; 1,000 logs that hold raise no alarm'

const TAMPERS = 1_000
const CLEAN = 1_000
/** One of so many clean runs reads a database. */
const CLEAN_PER_DATABASE = 20
const SEED = 20_260_301
const ROWS = { long: 3_000, short: 1_000 }
const WRITERS = 6
const TENANTS = 5

const key = createSigningKey('earthflow/tampers')
const keys = [parseNoteKey(key.vkey)]
const sealKey = randomBytes(32)

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const random = createRandom(SEED)
  say(`seed ${SEED}`)
  const { log } = buildRandomLog({
    random,
    rows: short ? ROWS.short : ROWS.long,
    writers: WRITERS,
    tenants: TENANTS,
    origin: 'earthflow/tampers',
    key,
    sealKey,
  })
  await inDatabase(log, async (database) => {
    const report = await readDatabase(database, sealKey, (records) => verifyLog(records, { keys }))
    const { entries, leaves, writers, batches, checkpoints, pruned, erased, superseded } = report
    say(
      `${entries} entries, ${leaves} leaves of ${writers} writers in ${batches} batches under ${checkpoints} checkpoints; ${pruned} pruned, ${erased} erased, ${superseded} superseded`,
    )
    assert.deepEqual(report.problems, [])
    await tamperAndUndo({ database, log, random, count: short ? TAMPERS / 10 : TAMPERS, say })
  })
  await verifyClean({ random, count: short ? CLEAN / 10 : CLEAN, say })
}

/** Each in a transaction that is rolled back: one kind after the other, at random places. */
async function tamperAndUndo({
  database,
  log,
  random,
  count,
  say,
}: {
  database: Database
  log: BuiltLog
  random: Random
  count: number
  say(line: string): void
}) {
  const missed: string[] = []
  const kinds = Object.entries(tampers)
  for (let i = 0; i < count; i++) {
    const [name, tamper] = kinds[i % kinds.length]!
    await database
      .apart((db) =>
        db.transaction(async (tx) => {
          const { what, outside = [], isNamed } = await tamper({ tx, log, random })
          const { holds, problems } = await verifyLog(recordsFrom(tx, sealKey), { keys, outside })
          if (holds) missed.push(`${name} (${what}): not found`)
          else if (!problems.some(isNamed)) missed.push(`${name} (${what}): found, but not there: ${tellOf(problems)}`)
          throw new Undone()
        }),
      )
      .catch((error: unknown) => {
        if (!(error instanceof Undone)) throw error
      })
  }
  for (const line of missed) say(line)
  say(`${count} times tampered, in ${kinds.length} ways: ${count - missed.length} found where they were`)
  assert.deepEqual(missed, [])
}

class Undone extends Error {}

const tellOf = (problems: readonly Finding[]): string =>
  problems
    .slice(0, 3)
    .map(({ writer_id, seq, problem }) => `${writer_id} ${seq}: ${problem}`)
    .join('; ')

async function verifyClean({ random, count, say }: { random: Random; count: number; say(line: string): void }): Promise<void> {
  let alarms = 0
  let entries = 0
  let databases = 0
  for (let i = 0; i < count; i++) {
    const shape = { rows: below(random, 200), writers: 1 + below(random, 6), tenants: 1 + below(random, 4), rowsPerBatch: 1 + below(random, 30) }
    const { log } = buildRandomLog({ random, ...shape, origin: 'earthflow/tampers', key, sealKey })
    entries += log.rows.length
    const reports = [await verifyLog(recordsOf(log), { keys })]
    if (i % CLEAN_PER_DATABASE === 0) {
      databases++
      await inDatabase(log, async (database) => {
        reports.push(await readDatabase(database, sealKey, (records) => verifyLog(records, { keys })))
      })
    }
    for (const { problems } of reports.filter(({ holds }) => !holds)) {
      alarms++
      say(`run ${i}: ${tellOf(problems)}`)
    }
  }
  say(`${count} logs that hold, ${entries} entries, ${databases} of them read from a database too: ${alarms} alarms`)
  assert.equal(alarms, 0)
}

async function inDatabase(log: BuiltLog, work: (database: Database) => Promise<void>): Promise<void> {
  const { createServerDatabase } = await import('../db/engines.ts')
  const { url, drop } = await createServerDatabase()
  const database = await connect({ kind: 'postgres', url })
  try {
    await insertLog(database.db, log)
    await work(database)
  } finally {
    await database.close()
    await drop()
  }
}
