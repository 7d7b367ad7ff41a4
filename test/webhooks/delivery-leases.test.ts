import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from '../../src/db/drizzle.ts'
import { createDeliveryStore } from '../../src/webhooks/delivery-store.ts'
import { forEachEngine } from '../db/engines.ts'
import { until } from '../harness/client.ts'
import { answers, answersAfter, hangs, type Received } from '../harness/receiver.ts'
import { withWorkers } from './worker.ts'

const LEASE_MS = 60_000
const idOf = ({ headers }: Received) => headers['webhook-id']
/** Whether a count stays what it is for so long. */
async function restsFor(ms: number, count: () => number): Promise<boolean> {
  const before = count()
  await sleep(ms)
  return count() === before
}
const isDistinct = (received: readonly Received[]) => new Set(received.map(idOf)).size === received.length

forEachEngine((_engine, open) => {
  const { database, rows, started, receiverThat, watched } = withWorkers(open)
  const claimAll = async (webhookId: string) => createDeliveryStore(database).claim([{ webhookId, wanted: 100 }], 'lease_of_the_dead', LEASE_MS)

  test('two workers on one database deliver each event once', async () => {
    const receiver = await receiverThat()
    for (let i = 0; i < 3; i++) await rows.endpoint(`${receiver.origin}/${i}`)
    await rows.tell(20)
    const workers = [started(), started()]
    await rows.until('delivered')
    assert.equal(receiver.received.length, 60)
    for (let i = 0; i < 3; i++) assert.ok(isDistinct(receiver.received.filter(({ path }) => path === `/${i}`)))
    assert.deepEqual(
      workers.flatMap(({ reported }) => reported),
      [],
    )
  })

  test('what a worker had in hand when it was killed is delivered by another once the lease is over, and not before', async () => {
    const receiver = await receiverThat()
    const endpoint = await rows.endpoint(receiver.url)
    await rows.tell(3)
    assert.equal((await claimAll(endpoint.id)).length, 3)
    const [free] = await rows.tell()
    const worker = started()
    await until(async () => (await rows.deliveries()).some(({ state }) => state === 'delivered'), 'the free one to be delivered')
    assert.deepEqual(receiver.received.map(idOf), [free])
    await rows.bringForward()
    worker.nudge()
    await rows.until('delivered')
    assert.equal(receiver.received.length, 4)
    assert.ok(isDistinct(receiver.received))
  })

  test('the result of a lost lease changes nothing, neither of the delivery nor of the endpoint', async () => {
    const endpoint = await rows.endpoint('http://127.0.0.1:9/')
    await rows.tell()
    const store = createDeliveryStore(database)
    const [lost] = await claimAll(endpoint.id)
    await rows.bringForward()
    const [ours] = await store.claim([{ webhookId: endpoint.id, wanted: 1 }], 'ours', LEASE_MS)
    assert.equal(ours?.id, lost?.id)
    const before = await rows.deliveries()
    const attempt = { at: new Date().toISOString(), status: 500, error: null, ms: 1, response: null }
    const result = { id: lost?.id ?? '', state: 'pending', retryMs: 1, attempt, isTelling: true } as const
    assert.deepEqual(await store.write([{ ...result, lease: lost?.lease ?? '' }]), [])
    await store.giveBack([{ id: lost?.id ?? '', lease: lost?.lease ?? '' }])
    assert.deepEqual(await rows.deliveries(), before)
    assert.equal((await rows.endpointNow(endpoint.id))?.failingSince, null)
    assert.deepEqual(await store.write([{ ...result, lease: 'ours' }]), [ours?.id])
    assert.deepEqual(await store.write([{ ...result, lease: 'ours' }]), [], 'written once')
  })

  test('an endpoint that hangs has four attempts under way, while everything comes to the one beside it', async () => {
    const slow = await receiverThat(hangs)
    const quick = await receiverThat()
    await rows.endpoint(slow.url)
    const healthy = await rows.endpoint(quick.url)
    await rows.tell(30)
    started()
    await rows.until('delivered', healthy.id)
    assert.equal(quick.received.length, 30)
    assert.equal(slow.received.length, 4)
  })

  test('a hundred endpoints of one tenant that hang do not hold up another tenant', async () => {
    const bad = await receiverThat(hangs)
    const good = await receiverThat()
    for (let i = 0; i < 100; i++) await rows.endpoint(`${bad.origin}/${i}`, { tenantId: 'bad' })
    await rows.tell(2, { tenant_id: 'bad' })
    const worker = started()
    await until(() => bad.received.length === 48, 'all that one tenant may have under way')
    const healthy = await rows.endpoint(good.url)
    await rows.tell(10)
    worker.nudge()
    await rows.until('delivered', healthy.id)
    assert.equal(good.received.length, 10)
    assert.equal(bad.received.length, 48, 'none of the others ended meanwhile')
    assert.ok(worker.oldestDueMs() > 0, 'it is known that something waits')
  })

  test('endpoints that are paused, moved or deleted while deliveries are in hand are not sent the rest where they were', async () => {
    const slow = await receiverThat(hangs)
    const elsewhere = await receiverThat()
    const [paused, deleted, moved] = [
      await rows.endpoint(`${slow.origin}/paused`),
      await rows.endpoint(`${slow.origin}/deleted`),
      await rows.endpoint(`${slow.origin}/moved`),
    ]
    await rows.tell(12)
    const worker = started()
    await until(() => slow.received.length === 12, 'four attempts each to be under way')
    assert.ok((await rows.deliveries()).filter(({ lease }) => lease !== null).length > 12, 'more are in hand')
    await rows.change(paused.id, { active: false })
    await rows.change(moved.id, { url: elsewhere.url })
    await database.db.execute(sql`delete from webhooks where id = ${deleted.id}`)
    worker.nudge()
    for (const { response } of slow.received) response.writeHead(200).end()
    await until(async () => elsewhere.received.length === 8, 'the rest to come to where it is now')
    await until(async () => (await rows.deliveries(deleted.id)).length === 0, 'those of the deleted one to be deleted')
    const isOver = async () => (await rows.deliveries(paused.id)).every(({ state }) => state !== 'pending')
    await until(isOver, 'those of the paused one to be dead or delivered')
    const states = (await rows.deliveries(paused.id)).map(({ state, attempts }) => `${state} ${attempts[0]?.error ?? ''}`)
    assert.deepEqual(states.sort(), [...Array(8).fill('dead endpoint_inactive'), ...Array(4).fill('delivered ')])
    assert.equal(slow.received.length, 12)
  })

  test('a worker that closes gives back what it has not begun, and what does not end in time', async () => {
    const receiver = await receiverThat(hangs)
    await rows.endpoint(receiver.url)
    await rows.tell(12)
    const worker = started({ settings: { timeoutMs: 400 } })
    await until(() => receiver.received.length === 4, 'four attempts to be under way')
    receiver.react = answers(204)
    await worker.close()
    const left = await rows.deliveries()
    assert.ok(left.every(({ lease }) => lease === null))
    assert.ok(left.filter(({ tries }) => tries === 0).length >= 8)
    await rows.bringForward()
    started()
    await rows.until('delivered')
    assert.ok(receiver.received.every(({ headers }) => left.some(({ eventId }) => eventId === headers['webhook-id'])))
  })

  test('a worker that closes waits for an attempt that is about to end, and writes what became of it', async () => {
    const receiver = await receiverThat(answersAfter(100))
    await rows.endpoint(receiver.url)
    await rows.tell()
    const worker = started()
    await until(() => receiver.received.length === 1, 'the attempt to be under way')
    await worker.close()
    assert.deepEqual(await rows.states(), ['delivered'])
  })

  test('while the database is away what became of attempts is kept, and nothing is delivered twice or lost', async () => {
    const receiver = await receiverThat(hangs)
    await rows.endpoint(receiver.url)
    const ids = await rows.tell(6)
    let isAway = false
    let asked = 0
    let turnedAway = 0
    const db = watched(() => {
      asked++
      if (!isAway) return
      turnedAway++
      throw Object.assign(new Error('away'), { code: 'ECONNREFUSED' })
    })
    const worker = started({ database: db })
    await until(() => receiver.received.length === 4, 'four attempts to be under way')
    isAway = true
    receiver.react = answers(204)
    for (const { response } of receiver.received) response.writeHead(204).end()
    await until(() => turnedAway > 1, 'it to look again')
    assert.deepEqual(await rows.states(), ['pending'])
    isAway = false
    await rows.until('delivered')
    assert.deepEqual(receiver.received.map(idOf).sort(), ids.sort())
    assert.deepEqual(worker.reported, [], 'others say that it is away')
    // A worker for which nothing is due asks nothing.
    await until(() => restsFor(1_000, () => asked), 'it to rest')
  })

  test('to write what became of attempts nothing of their events is sent to the database', async () => {
    const receiver = await receiverThat()
    await rows.endpoint(receiver.url)
    await rows.tell(3, { data: { marked: 'in the event' } })
    const written: string[] = []
    started({ database: watched((statement) => void (statement.includes('isTelling') && written.push(statement))) })
    await rows.until('delivered')
    assert.ok(written.length > 0 && written.every((statement) => !statement.includes('in the event')))
  })

  test('a thousand endpoints that are due tomorrow, and slow ones that come before it, do not keep an endpoint from being found', async () => {
    const slow = await receiverThat(hangs)
    const quick = await receiverThat()
    const many = 1_000
    const add = (prefix: string, tenants: number, count: number, url: string, due: string) => database.sql`
      with made as (
        insert into webhooks (id, tenant_id, url, events, secret, created_by)
        select 'wh_' || ${prefix}::text || lpad(i::text, 4, '0'), ${prefix}::text || i % ${tenants}::int, ${url}, '["*"]', 'secret-of-twenty-four-characters', 'test'
        from generate_series(1, ${count}::int) i returning id, tenant_id
      ), told as (
        insert into webhook_events (id, tenant_id, type, request_id, at, data)
        select 'evt_' || id || n, tenant_id, 'BLOCK', 'r', now(), '{}' from made, generate_series(1, ${due === '0' ? 20 : 1}::int) n returning id, tenant_id
      ) insert into webhook_deliveries (id, event_id, webhook_id, tenant_id, due_at)
        select 'dlv_' || t.id, t.id, left(substr(t.id, 5), 8), t.tenant_id, now() - interval '1 minute' + ${due}::interval from told t`
    await add('a', 8, 32, slow.url, '0')
    await add('b', many, many, 'http://127.0.0.1:9/', '1 day')
    const healthy = await rows.endpoint(quick.url, { id: 'wh_z', tenantId: 'z' })
    await rows.tell(1, { tenant_id: 'z' })
    const worker = started()
    await rows.until('delivered', healthy.id)
    assert.equal(quick.received.length, 1)
    assert.deepEqual(worker.measured, ['delivered'], 'none of the slow ones ended')
  })
})
