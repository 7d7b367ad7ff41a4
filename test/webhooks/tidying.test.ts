import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forgetDeliveries, giveUpPending, TIDIED_MAX } from '../../src/webhooks/endpoint-deliveries.ts'
import { forEachEngine } from '../db/engines.ts'
import { until } from '../harness/client.ts'
import { withWorkers } from './worker.ts'

/** More than two times. */
const MANY = 2 * TIDIED_MAX + 100

forEachEngine((_engine, open) => {
  const { database, rows, started, receiverThat, watched } = withWorkers(open)
  const add = async (webhookId: string, count: number, state: 'pending' | 'delivered' = 'pending'): Promise<void> => {
    await database.sql`
      with told as (
        insert into webhook_events (id, tenant_id, type, request_id, at, data)
        select 'evt_' || ${webhookId}::text || i, 't_bad', 'BLOCK', 'r', now(), '{}' from generate_series(1, ${count}::int) i returning id
      ) insert into webhook_deliveries (id, event_id, webhook_id, tenant_id, due_at, state, finished_at)
        select 'dlv_' || id, id, ${webhookId}, 't_bad', now() - interval '1 hour', ${state}, case when ${state} <> 'pending' then now() end from told`
  }
  const left = async (webhookId: string) => (await rows.deliveries(webhookId)).filter(({ state }) => state === 'pending').length

  for (const [how, isTidying] of [
    ['paused', /endpoint_inactive/],
    ['deleted', /forgotten/],
  ] as const) {
    test(`a long queue of an endpoint that is ${how} is tidied after others were delivered to, some at a time, and nobody waits for it`, async () => {
      const receiver = await receiverThat()
      const bad = await rows.endpoint('http://127.0.0.1:9/', { tenantId: 't_bad', active: false })
      await add(bad.id, MANY)
      if (how === 'deleted') await database.sql`delete from webhooks where id = ${bad.id}`
      const good = await rows.endpoint(receiver.url)
      await rows.tell()
      let times = 0
      let isHeldUp = true
      const free: (() => void)[] = []
      const worker = started({
        database: watched((statement) => {
          if (!isTidying.test(statement)) return undefined
          times++
          return isHeldUp ? new Promise<void>((resolve) => free.push(resolve)) : undefined
        }),
      })
      await until(() => times === 1, 'the tidying to begin')
      await rows.until('delivered', good.id)
      await rows.tell()
      worker.nudge()
      await rows.until('delivered', good.id)
      assert.deepEqual([await left(bad.id), receiver.received.length], [MANY, 2], 'it is still at it')
      isHeldUp = false
      for (const go of free) go()
      await until(async () => (await left(bad.id)) === 0, 'all of it to be tidied')
      assert.ok(times >= 3)
      assert.deepEqual(await rows.states(bad.id), how === 'paused' ? ['dead'] : [])
      assert.deepEqual(worker.reported, [])
    })
  }

  test('a worker that closes does not wait for it', async () => {
    const bad = await rows.endpoint('http://127.0.0.1:9/', { active: false })
    await add(bad.id, 3)
    let isAtIt = false
    const worker = started({
      database: watched((statement) => {
        if (!/endpoint_inactive/.test(statement)) return undefined
        isAtIt = true
        return new Promise<void>(() => {})
      }),
    })
    await until(() => isAtIt, 'it to begin')
    await worker.close()
    assert.equal(await left(bad.id), 3)
  })

  test('one time is bounded, and what is left of a deleted endpoint is found by the workers, though nothing of it was waiting', async () => {
    const bad = await rows.endpoint('http://127.0.0.1:9/', { active: false })
    await add(bad.id, TIDIED_MAX + 5)
    assert.equal(await giveUpPending(database.db, bad.id, new Date()), TIDIED_MAX)
    assert.equal(await left(bad.id), 5)
    await rows.clear()
    await add('wh_gone', MANY, 'delivered')
    assert.equal(await forgetDeliveries(database.db, 'wh_gone'), TIDIED_MAX)
    assert.equal((await rows.deliveries()).length, MANY - TIDIED_MAX)
    started()
    await until(async () => (await rows.deliveries()).length === 0 && (await rows.events()).length === 0, 'the rest to be deleted')
  })

  test('what there is to tidy is found by its keys, also where the database has counted the tables while they were empty', async () => {
    await add('wh_before', 100)
    await rows.clear()
    await database.sql`analyze webhook_deliveries, webhook_events`
    await add('wh_gone', 16 * TIDIED_MAX, 'delivered')
    // Going through the whole table for each row takes longer than a statement may.
    for (let step = 0; step < 16; step++) assert.equal(await forgetDeliveries(database.db, 'wh_gone'), TIDIED_MAX)
    assert.deepEqual([await rows.deliveries(), await rows.events()], [[], []])
  })
})
