import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { eq } from '../../src/db/drizzle.ts'
import { forgetDeadProcesses, liveProcesses, registerProcess } from '../../src/db/processes.ts'
import { auditOpen, escalations, processes, reservations, webhookDeliveries } from '../../src/db/schema.ts'
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

  test('a process reports which master keys it was given, the current one first, for as long as it is alive', async () => {
    const masterKeys = ['m_new', 'm_old']
    const process = await registerProcess(database, { id: 'p_reports', version: '1', masterKeys, host: 'h', pid: 7 })
    assert.deepEqual(await liveProcesses(database.db), [{ id: 'p_reports', host: 'h', pid: 7, masterKeys }])
    await process.beat()
    assert.deepEqual((await liveProcesses(database.db))[0]?.masterKeys, masterKeys)
    await database.sql`update processes set heartbeat_at = now() - interval '61 seconds' where id = 'p_reports'`
    assert.deepEqual(await liveProcesses(database.db), [])
    await process.close()
  })

  test('a process that gave no sign of life is forgotten, and registers again with its next one', async () => {
    const process = await registerProcess(database, { id: 'p_slow', version: '1' })
    await forgetDeadProcesses(database)
    assert.equal((await registered('p_slow')).length, 1)
    await database.sql`update processes set heartbeat_at = now() - interval '61 seconds' where id = 'p_slow'`
    await forgetDeadProcesses(database)
    assert.deepEqual(await registered('p_slow'), [])
    await process.beat()
    assert.equal((await registered('p_slow')).length, 1)
    await process.close()
  })

  test('a dead process is remembered until what it left open is closed', async () => {
    const process = await registerProcess(database, { id: 'p_gone', version: '1' })
    await database.sql`update processes set heartbeat_at = now() - interval '61 seconds' where id = 'p_gone'`
    await database.db.insert(auditOpen).values({ auditId: 'aud_1', tenantId: 't_1', processId: 'p_gone', openedAt: new Date(), entry: {} })
    await forgetDeadProcesses(database)
    assert.equal((await registered('p_gone')).length, 1)
    await database.db.delete(auditOpen)
    const reservation = { auditId: 'aud_2', budgetId: 'budget_1', startsAt: new Date(), amount: 1, processId: 'p_gone' }
    await database.db.insert(reservations).values(reservation)
    await forgetDeadProcesses(database)
    assert.equal((await registered('p_gone')).length, 1)
    await database.db.delete(reservations)
    await forgetDeadProcesses(database)
    assert.deepEqual(await registered('p_gone'), [])
    await process.close()
  })

  test('a process that leaves in order, but something open, is found dead like any other', async () => {
    const process = await registerProcess(database, { id: 'p_hasty', version: '1' })
    await database.db.insert(auditOpen).values({ auditId: 'aud_3', tenantId: 't_1', processId: 'p_hasty', openedAt: new Date(), entry: {} })
    await process.close()
    assert.equal((await registered('p_hasty')).length, 1)
    await database.db.delete(auditOpen)
    await process.close()
    assert.deepEqual(await registered('p_hasty'), [])
  })

  test('a heartbeat tells of deliveries that nobody has begun for ten seconds, and of held calls past their time, and of no others', async () => {
    const process = await registerProcess(database, { id: 'p_looks', version: '1' })
    const secondsAgo = (seconds: number) => new Date(Date.now() - seconds * 1000)
    const delivery = { eventId: 'evt_1', webhookId: 'wh_1' }
    const held = {
      tenantId: 't',
      requestId: 'req_1',
      auditId: 'aud_1',
      caller: 'k',
      keyPrefix: 'k',
      dialect: 'd',
      rulesTriggered: [],
      policyVersion: 1,
      bodyHash: 'h',
      contentBytes: 1,
    }
    const late = async () => {
      await process.beat()
      return process.late
    }
    assert.deepEqual(await late(), { deliveries: false, escalations: false })
    await database.db.insert(webhookDeliveries).values([
      { ...delivery, id: 'dlv_due', dueAt: new Date() },
      { ...delivery, id: 'dlv_later', dueAt: secondsAgo(-3600) },
      { ...delivery, id: 'dlv_over', dueAt: secondsAgo(3600), state: 'dead' },
    ])
    await database.db.insert(escalations).values([
      { ...held, id: 'esc_waits', callHash: '1', content: 'sealed', expiresAt: secondsAgo(-3600) },
      { ...held, id: 'esc_decided', callHash: '2', content: null, expiresAt: secondsAgo(3600) },
    ])
    assert.deepEqual(await late(), { deliveries: false, escalations: false })
    await database.db.insert(webhookDeliveries).values({ ...delivery, id: 'dlv_late', dueAt: secondsAgo(3600) })
    assert.deepEqual(await late(), { deliveries: true, escalations: false })
    await database.db.delete(webhookDeliveries)
    await database.db.update(escalations).set({ expiresAt: secondsAgo(1) })
    assert.deepEqual(await late(), { deliveries: false, escalations: true })
    await database.db.delete(escalations)
    await process.close()
  })
})
