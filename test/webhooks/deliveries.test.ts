import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { sql } from '../../src/db/drizzle.ts'
import { addTest, replayDelivery } from '../../src/webhooks/delivery-log.ts'
import { generateSecret } from '../../src/webhooks/secrets.ts'
import { forEachEngine } from '../db/engines.ts'
import { until } from '../harness/client.ts'
import { answers } from '../harness/receiver.ts'
import { withWorkers } from './worker.ts'

const SLACK_MS = 20_000

forEachEngine((_engine, open) => {
  const { database, rows, started, receiverThat } = withWorkers(open)

  test('an event comes to every endpoint once, as five members that the official library verifies', async () => {
    const receiver = await receiverThat()
    const endpoint = await rows.endpoint(receiver.url)
    const installation = await rows.endpoint(`${receiver.origin}/all`, { tenantId: null })
    await rows.endpoint(`${receiver.origin}/other`, { tenantId: 'other' })
    const [id] = await rows.tell()
    const worker = started()
    await rows.until('delivered')
    assert.deepEqual(receiver.received.map(({ path }) => path).sort(), ['/all', '/hook'])
    const [event] = await rows.events()
    for (const { path, headers, body } of receiver.received) {
      const secret = path === '/hook' ? endpoint.secret : installation.secret
      const payload = new Webhook(secret).verify(body, headers as Record<string, string>) as object
      assert.deepEqual(Object.keys(payload), ['event', 'request_id', 'tenant_id', 'timestamp', 'data'])
      assert.deepEqual(payload, { event: 'BLOCK', request_id: 'req_0', tenant_id: 't', timestamp: event?.at.toISOString(), data: { audit_id: 'aud_0' } })
      assert.deepEqual(
        [headers['webhook-id'], headers['x-earthflow-event'], headers['x-earthflow-sequence'], headers['content-type'], headers['user-agent']],
        [id, 'BLOCK', String(event?.sequence), 'application/json', 'Earthflow/1.2.3'],
      )
    }
    for (const { tries, attempts, finishedAt } of await rows.deliveries()) {
      assert.deepEqual([tries, attempts.length, attempts[0]?.status, attempts[0]?.error, finishedAt !== null], [1, 1, 204, null, true])
    }
    assert.deepEqual([worker.measured, worker.reported], [['delivered', 'delivered'], []])
  })

  test('what is told while the worker rests goes out when it is nudged', async () => {
    const receiver = await receiverThat()
    await rows.endpoint(receiver.url)
    const worker = started()
    await rows.tell(25)
    worker.nudge()
    await until(() => receiver.received.length === 25, 'all to come')
    await rows.until('delivered')
    assert.equal(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size, 25)
  })

  test('one that always fails is tried as the schedule says, under one id and a fresh time, and is dead at last; replayed, it is delivered', async () => {
    let wall = Date.parse('2026-11-30T00:00:00Z')
    const receiver = await receiverThat(answers(500, {}, 'no'))
    const endpoint = await rows.endpoint(receiver.url)
    const [id] = await rows.tell()
    const worker = started({ wallNow: () => wall })
    const HOUR = 3_600_000
    const planned = [60_000, 120_000, 240_000, 300_000, 1_800_000, ...[2, 5, 10, 14, 20, 24].map((hours) => hours * HOUR)]
    for (const pause of planned) {
      await rows.until('pending')
      const [due = 0] = await rows.dueIn()
      assert.ok(due <= pause && due > pause - SLACK_MS, `${due} ms instead of ${pause}`)
      wall += pause
      await rows.bringForward()
      const seen = receiver.received.length
      worker.nudge()
      await until(async () => receiver.received.length > seen && (await rows.deliveries())[0]?.lease === null, 'another attempt')
    }
    await rows.until('dead')
    const [row] = await rows.deliveries()
    assert.equal(row?.tries, planned.length + 1)
    assert.deepEqual(row?.attempts[0], { at: '2026-11-30T00:00:00.000Z', status: 500, error: null, ms: row?.attempts[0]?.ms, response: 'no' })
    assert.deepEqual(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])), new Set([id]))
    assert.equal(new Set(receiver.received.map(({ body }) => body.toString())).size, 1, 'the same bytes')
    const times = receiver.received.map(({ headers }) => Number(headers['webhook-timestamp']))
    assert.deepEqual(
      times.slice(1).map((time, i) => time - (times[i] ?? 0)),
      planned.map((ms) => ms / 1000),
    )
    assert.ok((await rows.endpointNow(endpoint.id))?.failingSince !== null)

    receiver.react = answers(200)
    await database.db.transaction((tx) => replayDelivery(tx, row?.id ?? ''))
    worker.nudge()
    await rows.until('delivered')
    assert.equal(receiver.received.at(-1)?.headers['webhook-id'], id)
    assert.equal((await rows.deliveries())[0]?.tries, 1)
    assert.equal((await rows.endpointNow(endpoint.id))?.failingSince, null)
  })

  test('retries that are soon come without anybody’s nudge', async () => {
    const receiver = await receiverThat(answers(503))
    await rows.endpoint(receiver.url)
    await rows.tell()
    started({ settings: { retries: 3, backoffMs: 10, longRetries: false } })
    await rows.until('dead')
    assert.equal(receiver.received.length, 4)
  })

  test('a redirect is a failure, and a receiver may ask for a later attempt, within bounds', async () => {
    const receiver = await receiverThat(answers(302, { location: 'http://127.0.0.1:9/' }))
    await rows.endpoint(receiver.url)
    const worker = started()
    for (const [asked, expected] of [
      ['1', 60_000],
      ['600', 600_000],
      ['999999999', 86_400_000],
    ] as const) {
      receiver.react = answers(asked === '1' ? 302 : 429, { 'retry-after': asked })
      await rows.tell()
      worker.nudge()
      await rows.until('pending')
      const [due = 0] = await rows.dueIn()
      assert.ok(due <= expected && due > expected - SLACK_MS, `${due} ms instead of ${expected}`)
      await database.db.execute(sql`delete from webhook_deliveries`)
    }
  })

  test('what is told once a minute waits for the end of it, and leaves with the last count; what comes then is another event', async () => {
    const receiver = await receiverThat()
    await rows.endpoint(receiver.url)
    const worker = started()
    await rows.tell(3, { type: 'RATE_LIMIT_HIT', subject: 'ef_live_a' })
    await rows.tell(2, { type: 'RATE_LIMIT_HIT', subject: 'ef_live_a' })
    // The minute may have been over between them: then there are two.
    const open = (await rows.events()).length
    await rows.bringForward()
    worker.nudge()
    await rows.until('delivered')
    const counts = () => receiver.received.map(({ body }) => (JSON.parse(body.toString()) as { data: { count: number; audit_id: string } }).data.count)
    assert.equal(receiver.received.length, open)
    assert.equal(
      counts().reduce((sum, count) => sum + count, 0),
      5,
    )
    assert.ok((await rows.events()).every(({ isOpen }) => !isOpen))
    await rows.tell(1, { type: 'RATE_LIMIT_HIT', subject: 'ef_live_a' })
    await rows.bringForward()
    worker.nudge()
    await until(() => receiver.received.length === open + 1, 'the next')
    assert.equal(counts().at(-1), 1)
  })

  test('a test is one attempt, whatever becomes of it, also at an endpoint that is paused, and tells nothing of the endpoint', async () => {
    const receiver = await receiverThat(answers(500, {}, 'broken'))
    const endpoint = await rows.endpoint(receiver.url, { active: false })
    const worker = started()
    const attempt = async () => worker.deliver(await database.db.transaction((tx) => addTest(tx, endpoint, { requestId: 'req_test', at: new Date() })))
    const failed = await attempt()
    assert.deepEqual([failed?.status, failed?.response], [500, 'broken'])
    assert.deepEqual(await rows.states(), ['dead'])
    receiver.react = answers(410)
    assert.equal((await attempt())?.status, 410)
    receiver.react = answers(200)
    assert.equal((await attempt())?.status, 200)
    assert.deepEqual((await rows.deliveries()).map(({ state }) => state).sort(), ['dead', 'dead', 'delivered'])
    const now = await rows.endpointNow(endpoint.id)
    assert.deepEqual([now?.failingSince, now?.disabledReason], [null, null])
    assert.equal(await worker.deliver('dlv_none'), null)
  })

  test('a secret that a receiver repeats is not kept, and both secrets sign while a rotation lasts', async () => {
    const [secret, previousSecret] = [generateSecret(), generateSecret()]
    const receiver = await receiverThat(answers(400, {}, `your secrets are ${secret} and ${previousSecret}`))
    const endpoint = await rows.endpoint(receiver.url, { secret: previousSecret })
    await rows.tell()
    await rows.change(endpoint.id, { secret, previousSecret })
    started()
    await rows.until('pending')
    const kept = JSON.stringify(await rows.deliveries())
    assert.ok(kept.includes('your secrets are') && !kept.includes(secret) && !kept.includes(previousSecret))
    const [{ body, headers } = { body: Buffer.alloc(0), headers: {} }] = receiver.received
    for (const one of [secret, previousSecret]) assert.ok(new Webhook(one).verify(body, headers as Record<string, string>))
  })

  test('a delivery keeps its 20 newest attempts', async () => {
    const receiver = await receiverThat(answers(500))
    await rows.endpoint(receiver.url)
    await rows.tell()
    started({ settings: { retries: 24, backoffMs: 1e-6, longRetries: false } })
    await rows.until('dead')
    const [row] = await rows.deliveries()
    assert.deepEqual([row?.tries, row?.attempts.length], [25, 20])
    const times = row?.attempts.map(({ at }) => at) ?? []
    assert.deepEqual(times, [...times].sort(), 'oldest first')
  })

  test('a delivery whose endpoint or event is gone is deleted, and one whose secret cannot be read is tried again later', async () => {
    const receiver = await receiverThat()
    const gone = await rows.endpoint(receiver.url)
    await rows.tell()
    await database.db.execute(sql`delete from webhooks where id = ${gone.id}`)
    const worker = started({ secretsOf: () => Promise.reject(new Error('no key')) })
    await until(async () => (await rows.deliveries()).length === 0 && (await rows.events()).length === 0, 'both to be deleted')
    await rows.endpoint(receiver.url)
    await rows.tell()
    await database.db.execute(sql`delete from webhook_events`)
    worker.nudge()
    await until(async () => (await rows.deliveries()).length === 0, 'the delivery to be deleted')
    await rows.tell()
    worker.nudge()
    await rows.until('pending')
    assert.deepEqual([(await rows.deliveries())[0]?.attempts[0]?.error, worker.reported.length, receiver.received.length], ['INTERNAL', 1, 0])
  })
})
