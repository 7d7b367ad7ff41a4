import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from '../../src/db/drizzle.ts'
import { forEachEngine } from '../db/engines.ts'
import { until } from '../harness/client.ts'
import { answers, answersAfter, hangs } from '../harness/receiver.ts'
import { withWorkers } from './worker.ts'

forEachEngine((_engine, open) => {
  const { database, rows, started, receiverThat } = withWorkers(open)

  test('410 disables an endpoint at once: it is recorded, and what waits for it is dead', async () => {
    const receiver = await receiverThat(answers(500))
    const endpoint = await rows.endpoint(receiver.url)
    const other = await rows.endpoint(`${receiver.origin}/other`)
    await rows.tell(2)
    const worker = started()
    await rows.until('pending')
    receiver.react = (received) => answers(received.path === '/hook' ? 410 : 200)(received)
    await rows.tell()
    worker.nudge()
    await rows.until('dead', endpoint.id)
    const now = await rows.endpointNow(endpoint.id)
    assert.deepEqual([now?.active, now?.disabledReason], [false, 'gone'])
    assert.deepEqual(worker.recorded, [{ action: 'webhook.disable', tenantId: 't', subject: endpoint.id, details: { reason: 'gone' } }])
    assert.equal(worker.disabled, 1)
    const errors = (await rows.deliveries(endpoint.id)).map(({ attempts }) => attempts.at(-1)?.error)
    assert.deepEqual(errors, ['endpoint_inactive', 'endpoint_inactive', null])
    assert.equal((await rows.endpointNow(other.id))?.active, true)
    assert.ok((await database.db.execute(sql`select from changes where kind = 'webhooks'`)).length > 0, 'every process hears of it')
  })

  /** As if every attempt had failed for so long, and the last of them so long ago. */
  const failingFor = (id: string, hours: number, lastHoursAgo: number) =>
    database.db.execute(
      sql`update webhooks set failing_since = now() - make_interval(hours => ${hours}::int), failed_at = now() - make_interval(hours => ${lastHoursAgo}::int) where id = ${id}`,
    )

  test('an endpoint at which every attempt failed for 120 hours is disabled by the next failure, and not by a success', async () => {
    const receiver = await receiverThat(answers(500))
    const endpoint = await rows.endpoint(receiver.url)
    const worker = started()
    const tellAndSee = async (state: 'pending' | 'delivered' | 'dead') => {
      await database.db.execute(sql`delete from webhook_deliveries`)
      await rows.tell()
      worker.nudge()
      await rows.until(state)
    }
    await failingFor(endpoint.id, 119, 0)
    const before = await rows.endpointNow(endpoint.id)
    await tellAndSee('pending')
    assert.deepEqual(await rows.endpointNow(endpoint.id), before, 'written only where it changes')
    await failingFor(endpoint.id, 121, 1)
    receiver.react = answers(200)
    await tellAndSee('delivered')
    const well = await rows.endpointNow(endpoint.id)
    assert.deepEqual([well?.active, well?.failingSince, well?.failedAt], [true, null, null])
    receiver.react = answers(500)
    await failingFor(endpoint.id, 121, 29)
    await tellAndSee('dead')
    const now = await rows.endpointNow(endpoint.id)
    assert.deepEqual([now?.active, now?.disabledReason], [false, 'failing'])
    assert.deepEqual(
      worker.recorded.map(({ details }) => details),
      [{ reason: 'failing' }],
    )
  })

  for (const longRetries of [true, false]) {
    test(`failures long ago and one after a long rest do not disable an endpoint${longRetries ? '' : ', without long retries neither'}`, async () => {
      const receiver = await receiverThat(answers(503))
      const endpoint = await rows.endpoint(receiver.url)
      await failingFor(endpoint.id, 31 * 24, 31 * 24 - 5)
      await rows.tell()
      const worker = started({ settings: longRetries ? {} : { retries: 2, backoffMs: 5, longRetries } })
      await rows.until(longRetries ? 'pending' : 'dead')
      const now = await rows.endpointNow(endpoint.id)
      assert.deepEqual([now?.active, worker.recorded], [true, []])
      const [{ isNow } = { isNow: false }] = await database.db.execute<{ isNow: boolean }>(
        sql`select failing_since > now() - interval '1 minute' and failed_at >= failing_since as "isNow" from webhooks`,
      )
      assert.ok(isNow, 'it fails since now')
    })
  }

  test('without long retries an endpoint is disabled too where every delivery of 120 hours died', async () => {
    const receiver = await receiverThat(answers(503))
    const endpoint = await rows.endpoint(receiver.url)
    await failingFor(endpoint.id, 121, 20)
    await rows.tell()
    const worker = started({ settings: { retries: 0, longRetries: false } })
    await rows.until('dead')
    assert.equal((await rows.endpointNow(endpoint.id))?.active, false)
    assert.equal(worker.recorded.length, 1)
  })

  test('where an endpoint cannot be disabled it is tried again, and meanwhile what became of others is written', async () => {
    const receiver = await receiverThat((received) => answers(received.path === '/hook' ? 410 : 200)(received))
    const gone = await rows.endpoint(receiver.url)
    const well = await rows.endpoint(`${receiver.origin}/other`)
    await rows.tell(5)
    let isBroken = true
    let tries = 0
    const worker = started({
      record: async () => {
        tries++
        if (isBroken) throw new Error('broken')
      },
    })
    await rows.until('delivered', well.id)
    await until(() => tries > 1, 'another try')
    assert.equal((await rows.endpointNow(gone.id))?.active, true)
    assert.deepEqual(await rows.states(gone.id), ['pending'], 'it is not forgotten why')
    assert.ok(worker.reported.length > 0)
    isBroken = false
    await rows.until('dead', gone.id)
    assert.deepEqual((await rows.endpointNow(gone.id))?.disabledReason, 'gone')
    assert.equal(worker.disabled, 1)
  })

  test('a 410 that comes while the worker closes disables the endpoint', async () => {
    const receiver = await receiverThat(answersAfter(100, 410))
    const endpoint = await rows.endpoint(receiver.url)
    await rows.tell()
    const worker = started()
    await until(() => receiver.received.length === 1, 'the attempt to be under way')
    await worker.close()
    assert.deepEqual([(await rows.endpointNow(endpoint.id))?.disabledReason, await rows.states(), worker.recorded.length], ['gone', ['dead'], 1])
  })

  test('a worker that closes while an endpoint cannot be disabled gives the delivery back, so that another is told the same', async () => {
    const receiver = await receiverThat(answers(410))
    const endpoint = await rows.endpoint(receiver.url)
    await rows.tell()
    const worker = started({ record: () => Promise.reject(new Error('broken')) })
    await until(() => worker.reported.length > 0, 'the failure')
    await worker.close()
    assert.deepEqual(
      (await rows.deliveries()).map(({ state, lease }) => [state, lease]),
      [['pending', null]],
    )
    started()
    await rows.until('dead')
    assert.equal((await rows.endpointNow(endpoint.id))?.disabledReason, 'gone')
  })

  test('a 410 of where an endpoint was does not disable it where it is', async () => {
    const old = await receiverThat(hangs)
    const endpoint = await rows.endpoint(old.url)
    await rows.tell()
    const worker = started()
    await until(() => old.received.length === 1, 'the attempt to be under way')
    await rows.change(endpoint.id, { url: `${old.origin}/moved` })
    old.received[0]?.response.writeHead(410).end()
    await rows.until('dead')
    assert.deepEqual([(await rows.endpointNow(endpoint.id))?.active, worker.recorded], [true, []])
  })

  test('a former secret is forgotten in one statement once its time is over, and not before', async () => {
    const receiver = await receiverThat()
    const former = (hours: number) => ({ previousSecret: 'former-secret-of-an-endpoint', previousUntil: new Date(Date.now() + hours * 3_600_000) })
    const [over, valid] = [await rows.endpoint(receiver.url, former(-1)), await rows.endpoint(receiver.url, former(1))]
    await rows.tell(3)
    started()
    await rows.until('delivered')
    const secretsOf = async (id: string) => {
      const row = await rows.endpointNow(id)
      return [row?.previousSecret ?? null, row?.previousUntil ?? null]
    }
    assert.deepEqual(await secretsOf(over.id), [null, null])
    assert.deepEqual(await secretsOf(valid.id), [valid.previousSecret, valid.previousUntil])
  })
})
