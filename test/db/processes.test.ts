import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { eq } from '../../src/db/drizzle.ts'
import { deadProcesses, forgetProcesses, registerProcess } from '../../src/db/processes.ts'
import { auditOpen, processes } from '../../src/db/schema.ts'
import { forEachEngine, type TestDatabase } from './engines.ts'

forEachEngine((_, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  after(() => database.drop())

  const registered = (id: string) => database.db.select().from(processes).where(eq(processes.id, id))

  test('a process is known from its registration until it closes', async () => {
    const process = await registerProcess(database, { id: 'p_orderly', version: '1.2.3' })
    const [row] = await registered('p_orderly')
    assert.equal(row?.version, '1.2.3')
    await process.close()
    assert.deepEqual(await registered('p_orderly'), [])
  })

  test('a process that gave no sign of life is dead, and alive again with its next one', async () => {
    const process = await registerProcess(database, { id: 'p_slow', version: '1' })
    assert.ok(!(await deadProcesses(database.db)).includes('p_slow'))
    await database.sql`update processes set heartbeat_at = now() - interval '61 seconds' where id = 'p_slow'`
    assert.ok((await deadProcesses(database.db)).includes('p_slow'))
    await process.beat()
    assert.ok(!(await deadProcesses(database.db)).includes('p_slow'))
    await process.close()
  })

  test('a process whose row was taken away registers again with its next sign of life', async () => {
    const process = await registerProcess(database, { id: 'p_swept', version: '1' })
    await database.db.transaction((tx) => forgetProcesses(tx, ['p_swept']))
    await process.beat()
    assert.equal((await registered('p_swept')).length, 1)
    await process.close()
  })

  test('whoever left open audit records and is not registered is dead', async () => {
    await database.db.insert(auditOpen).values({ auditId: 'aud_1', tenantId: 't_1', processId: 'p_gone', openedAt: new Date(), entry: {} })
    const dead = await database.db.transaction((tx) => deadProcesses(tx))
    assert.deepEqual(dead, ['p_gone'])
  })
})
