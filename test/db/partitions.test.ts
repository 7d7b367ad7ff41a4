import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '../../src/db/connect.ts'
import { ensurePartitions } from '../../src/db/partitions.ts'
import { createServerDatabase } from './engines.ts'

const PROCESSES = 4
const MONTHS_TRIED = 12

test('processes that start together all find the partitions of their months made, whichever of them was first', async () => {
  const { url, drop } = await createServerDatabase()
  const processes = await Promise.all(Array.from({ length: PROCESSES }, () => connect({ kind: 'postgres', url, tls: false, poolMax: 1 })))
  try {
    for (let i = 0; i < MONTHS_TRIED; i++) {
      const month = new Date(Date.UTC(2030 + i, 0, 1))
      await Promise.all(processes.map((database) => ensurePartitions(database, month)))
      // One that could not be had without waiting was left for the next call.
      await ensurePartitions(processes[0], month)
      const names = (await processes[0].sql<{ name: string }[]>`
        select relname as name from pg_class where relname like ${`audit_entries_${2030 + i}_%`} and relkind = 'r' order by relname`) as { name: string }[]
      assert.deepEqual(
        names.map(({ name }) => name),
        ['01', '02', '03'].map((number) => `audit_entries_${2030 + i}_${number}`),
      )
    }
  } finally {
    await Promise.all(processes.map((database) => database.close()))
    await drop()
  }
})
