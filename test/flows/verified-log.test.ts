import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openLog } from '../../src/verify/open-log.ts'
import { readDatabase } from '../../src/verify/read-database.ts'
import { verifyLog } from '../../src/verify/verify-log.ts'
import { withoutServer } from '../db/engines.ts'
import { chat, startEarthflow, until } from '../harness/earthflow.ts'

const CALLS = 120
const CLIENTS = 6
/** Looks at the log while it is written. */
const LOOKS_MIN = 3

test('the log of two processes holds at every moment while it is written, and when they have ended', { skip: withoutServer }, async () => {
  const one = await startEarthflow()
  const two = await startEarthflow({ databaseUrl: one.databaseUrl })
  const { database, keys, sealKey } = await openLog(one.config, null)
  const look = () => readDatabase(database, sealKey, (records) => verifyLog(records, { keys }))
  try {
    let looks = 0
    let isOver = false
    const looking = (async () => {
      while (!isOver || looks < LOOKS_MIN) {
        assert.deepEqual((await look()).problems, [])
        looks++
      }
    })()
    const calls = Array.from({ length: CLIENTS }, async (_, i) => {
      for (let call = 0; call < CALLS / CLIENTS; call++) {
        const { status } = await (i % 2 === 0 ? one : two).post('/v1/chat/completions', chat('x'), { authorization: `Bearer ${one.tenant.api_key}` })
        assert.equal(status, 200)
      }
    })
    await Promise.all(calls)
    isOver = true
    await looking
    await until(async () => (await look()).entries >= CALLS, 'all rows to be written')
    await two.stopEarly()
    await one.stopEarly()
    const report = await look()
    assert.deepEqual([report.problems, report.open, report.waiting, report.leaves - report.tree_size], [[], 0, 0, 0])
  } finally {
    await database.close()
    await two.close()
    await one.close()
  }
})
