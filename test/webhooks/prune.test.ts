import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from '../../src/db/drizzle.ts'
import { createPruning } from '../../src/webhooks/prune.ts'
import { forEachEngine } from '../db/engines.ts'
import { until } from '../harness/client.ts'
import { hangs } from '../harness/receiver.ts'
import { withWorkers } from './worker.ts'

const HOUR_MS = 3_600_000

forEachEngine((_engine, open) => {
  const { database, rows, started, receiverThat, watched } = withWorkers(open)
  /** Deliveries that were finished so many days ago, of events of ten days ago. */
  const addFinished = async (count: number, days: number): Promise<void> => {
    await database.sql`
      with told as (
        insert into webhook_events (id, tenant_id, type, request_id, at, data, created_at)
        select 'evt_' || ${days}::int || '_' || i, 't', 'BLOCK', 'r', now(), '{}', now() - interval '10 days' from generate_series(1, ${count}::int) i returning id
      ) insert into webhook_deliveries (id, event_id, webhook_id, tenant_id, due_at, state, created_at, finished_at)
        select 'dlv_' || id, id, 'wh_1', 't', now(), 'dead', now() - interval '10 days', now() - make_interval(days => ${days}::int) from told`
  }
  const counts = async () => [(await rows.deliveries()).length, (await rows.events()).length]

  test('what was finished a week ago is deleted with its event; what is pending, or finished lately, stays', async () => {
    const receiver = await receiverThat()
    await rows.endpoint(receiver.url)
    const ids = await rows.tell(4)
    await database.db.execute(sql`update webhook_events set created_at = now() - interval '8 days'`)
    await database.db.execute(sql`update webhook_deliveries set created_at = now() - interval '8 days', due_at = now() + interval '1 hour'`)
    const finish = (id: string | undefined, days: number) =>
      database.db.execute(
        sql`update webhook_deliveries set state = 'delivered', finished_at = now() - make_interval(days => ${days}::int) where event_id = ${id ?? ''}`,
      )
    await finish(ids[0], 8)
    await finish(ids[1], 8)
    await finish(ids[2], 6)
    started()
    await until(async () => (await rows.events()).length === 2, 'two to be deleted')
    assert.deepEqual((await rows.deliveries()).map(({ eventId }) => eventId).sort(), ids.slice(2).sort())
  })

  test('it is done while attempts are under way', async () => {
    const slow = await receiverThat(hangs)
    await rows.endpoint(slow.url)
    await rows.tell()
    await addFinished(3, 8)
    started()
    await until(async () => (await rows.events()).length === 1, 'what was finished to be deleted')
    await until(() => slow.received.length === 1, 'the attempt to be under way')
    assert.deepEqual(
      (await rows.deliveries()).map(({ state }) => state),
      ['pending'],
    )
  })

  test('it begins once an hour, some rows at a time, and looks at no more than at what is old', async () => {
    await addFinished(7, 8)
    await addFinished(5, 6)
    await database.sql`delete from webhook_deliveries where id = 'dlv_evt_6_1'`
    const statements: string[] = []
    let now = 0
    const reported: unknown[] = []
    const pruning = createPruning({
      ...watched((statement) => void statements.push(statement)),
      now: () => now,
      report: (error) => reported.push(error),
      stepMax: 3,
    })
    const ofDeliveries = () => statements.filter((one) => one.includes('finished_at')).length
    pruning.begin()
    await until(async () => (await counts()).every((count) => count === 4), 'what is old and what is nobody’s to be deleted')
    await until(() => statements.length === 5, 'it to end')
    assert.deepEqual([ofDeliveries(), reported], [3, []], '7 in three steps, and 5 events in two')
    now = HOUR_MS - 1
    pruning.begin()
    assert.equal(statements.length, 5)
    now = HOUR_MS
    pruning.begin()
    await until(() => statements.length === 8, 'it to be done again')
    pruning.stop()
  })

  test('where it fails it says so once, and is done again an hour later', async () => {
    await addFinished(2, 8)
    let isBroken = true
    let asked = 0
    let now = 0
    const reported: unknown[] = []
    const db = watched(() => {
      asked++
      if (isBroken) throw new Error('broken')
    })
    const pruning = createPruning({ ...db, now: () => now, report: (error) => reported.push(error) })
    pruning.begin()
    await until(() => reported.length === 1, 'it to be said')
    for (let i = 0; i < 10; i++) pruning.begin()
    assert.equal(asked, 1)
    isBroken = false
    now = HOUR_MS
    pruning.begin()
    await until(async () => (await counts()).every((count) => count === 0), 'what is old to be deleted')
    assert.equal(reported.length, 1)
    pruning.stop()
  })

  test('an event that another endpoint is told of stays until that is finished as well', async () => {
    await addFinished(1, 8)
    await database.sql`insert into webhook_deliveries (id, event_id, webhook_id, tenant_id, due_at) select 'dlv_other', id, 'wh_2', 't', now() + interval '1 hour' from webhook_events`
    const pruning = createPruning({ db: database.db, now: () => 0, report: assert.fail })
    pruning.begin()
    await until(async () => (await rows.deliveries()).length === 1, 'the finished one to be deleted')
    assert.deepEqual(await counts(), [1, 1])
    pruning.stop()
  })

  test('what is to be deleted is found by an index of when it was finished', async () => {
    await addFinished(2_000, 6)
    await database.db.execute(sql`analyze webhook_deliveries`)
    const plan =
      await database.sql`explain select id from webhook_deliveries where finished_at < now() - make_interval(days => 7) order by finished_at limit 1000`
    assert.match(JSON.stringify(plan), /webhook_deliveries_finished/)
  })
})
