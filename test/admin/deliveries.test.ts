import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { replayRange } from '../../src/webhooks/delivery-log.ts'
import { forgetDeliveries, giveUpPending, TIDIED_MAX } from '../../src/webhooks/endpoint-deliveries.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { HOOK, hook, manageWebhooks, minute, type WebhookManagement } from './hooks.ts'
import { NOW } from './management.ts'

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: WebhookManagement
  before(async () => {
    database = await open()
    api = manageWebhooks(database)
  })
  beforeEach(async () => {
    api.clock.now = NOW
    await database.sql`truncate webhooks, webhook_events, webhook_deliveries`
  })
  after(() => database.drop())

  const replay = (id: string, body: object) => api.ask('POST', `/v1/webhooks/${id}/replay`, { body })

  test('what waits for a webhook that is paused is dead, but for what somebody is at, and what was disabled begins anew', async () => {
    const [{ id }, other] = [await api.add(), await api.add()]
    await api.addDeliveries(id, TIDIED_MAX + 100, { state: 'pending' })
    await api.addDeliveries(other.id, 3, { state: 'pending' })
    const [, lost, full] = (await database.sql<{ id: string }[]>`select id from webhook_deliveries where webhook_id = ${id} order by id limit 3`).map(
      (row) => row.id,
    )
    const taken = (await api.addDeliveries(id, 1, { state: 'pending', from: 5_000 }))[0]
    await database.sql`update webhook_deliveries set lease = 'x' where id = ${taken}`
    await database.sql`update webhook_deliveries set lease = 'x', due_at = now() - interval '1 second' where id = ${lost}`
    const tried = Array.from({ length: 20 }, (_, i) => ({ at: minute(0), status: 500, error: null, ms: i, response: '' }))
    await database.sql`update webhook_deliveries set attempts = ${JSON.stringify(tried)}::text::jsonb where id = ${full}`
    assert.equal((await api.patch(id, { active: false })).json.active, false)
    assert.deepEqual(await api.states(id), { dead: TIDIED_MAX, pending: 101 }, 'one time; the rest is for the workers')
    assert.equal(await giveUpPending(database.db, id, new Date(NOW)), 100)
    assert.deepEqual(await api.states(id), { dead: TIDIED_MAX + 100, pending: 1 })
    assert.equal(await giveUpPending(database.db, other.id, new Date()), 0, 'it is active')
    assert.deepEqual(await api.states(other.id), { pending: 3 })
    const listed = (await api.ask('GET', `/v1/webhooks/${id}/deliveries?limit=1000`)).json.deliveries
    assert.deepEqual(listed.at(-1).attempts, [{ at: new Date(NOW).toISOString(), status: null, error: 'endpoint_inactive', ms: 0, response: null }])
    const attempts = listed.at(-3).attempts
    assert.deepEqual([attempts.length, attempts[0].ms, attempts.at(-1).error], [20, 1, 'endpoint_inactive'], 'the newest are kept')

    await database.sql`update webhooks set disabled_reason = 'failing', failing_since = now() where id = ${id}`
    assert.equal((await api.patch(id, { active: false, description: 'still' })).json.disabled_reason, 'failing')
    const { json } = await api.patch(id, { active: true })
    assert.deepEqual([json.active, json.disabled_reason, json.failing_since], [true, null, null])
    assert.equal((await api.states(id)).dead, TIDIED_MAX + 100, 'it is replayed only when somebody asks')
    await database.sql`update webhooks set failing_since = now() where id = ${id}`
    assert.notEqual((await api.patch(id, { active: true, url: HOOK })).json.failing_since, null, 'what is sent back changes nothing')
    assert.equal((await api.patch(id, { url: `${HOOK}2` })).json.failing_since, null)
  })

  test('with a webhook go its deliveries and the events that nobody else is told of, however many', async () => {
    const [{ id }, other] = [await api.add(), await api.add()]
    const [shared] = await api.addDeliveries(id, TIDIED_MAX + 100)
    await database.sql`insert into webhook_deliveries (id, event_id, webhook_id, due_at) select 'dlv_other', event_id, ${other.id}, now() from webhook_deliveries where id = ${shared}`
    await api.addDeliveries(other.id, 2)
    assert.equal((await api.ask('DELETE', `/v1/webhooks/${id}`)).status, 204)
    assert.deepEqual(await api.states(id), { dead: 99, pending: 1 }, 'one time; by what is pending workers find the rest')
    assert.equal(await forgetDeliveries(database.db, id), 100)
    assert.deepEqual(await api.states(id), {})
    assert.deepEqual(await api.states(other.id), { dead: 2, pending: 1 })
    assert.equal((await database.sql`select id from webhook_events`).length, 3)
    assert.equal((await api.ask('GET', `/v1/webhooks/${id}/deliveries`)).status, 404)
    assert.equal((await api.ask('DELETE', `/v1/webhooks/${id}`)).status, 404)
    assert.equal((await api.ask('POST', `/v1/webhooks/deliveries/${shared}/replay`, { body: {} })).status, 404)
  })

  test('a test makes one event for this webhook alone, active or not, attempts it at once, and answers what came of it', async () => {
    const [{ id }] = [await api.add({ ...hook, active: false }), await api.add({ url: HOOK })]
    const { status, json } = await api.ask('POST', `/v1/webhooks/${id}/test`, { body: {} })
    assert.deepEqual([status, json.event, json.webhook_id, json.state, json.next_attempt_at], [200, 'TEST', id, 'dead', null])
    assert.match(json.event_id, /^evt_/)
    assert.equal(api.attempted.at(-1), json.id)
    assert.equal((await database.sql`select id from webhook_deliveries`).length, 1)
    assert.equal((await api.ask('GET', `/v1/webhooks/${id}/deliveries?event=TEST`)).json.total, 1)
  })

  test('deliveries are listed newest first, by state and by event, a page at a time', async () => {
    const { id } = await api.add()
    const dead = await api.addDeliveries(id, 6)
    const waiting = await api.addDeliveries(id, 2, { state: 'pending', from: 6 })
    await database.sql`update webhook_deliveries set lease = 'x' where id = ${waiting[1]}`
    const list = async (query: string) => (await api.ask('GET', `/v1/webhooks/${id}/deliveries${query}`)).json
    const idsOf = ({ deliveries }: { deliveries: { id: string }[] }) => deliveries.map((one) => one.id)
    const all = await list('')
    assert.deepEqual(idsOf(all), [...dead, ...waiting].reverse())
    assert.deepEqual(
      [all.total, all.deliveries[0].next_attempt_at, typeof all.deliveries[1].next_attempt_at, all.deliveries[2].next_attempt_at],
      [8, null, 'string', null],
    )
    assert.deepEqual(Object.keys(all.deliveries[0]), [
      ...['id', 'event_id', 'event', 'webhook_id', 'tenant_id', 'state', 'attempts', 'next_attempt_at', 'created_at', 'finished_at'],
    ])
    const page = await list('?limit=2&offset=3')
    assert.deepEqual([idsOf(page), page.total], [[...dead, ...waiting].reverse().slice(3, 5), 8])
    assert.deepEqual(idsOf(await list('?state=pending')), waiting.toReversed())
    assert.deepEqual([(await list('?state=dead&event=BLOCK')).total, (await list('?event=ALLOW')).total], [3, 0])
    for (const query of ['?state=lost', '?event=block', '?x=1'])
      assert.equal((await api.ask('GET', `/v1/webhooks/${id}/deliveries${query}`)).status, 400, query)
  })

  test('a replay starts the schedule of a time anew, from its first moment until before its last, under the same events', async () => {
    const { id } = await api.add()
    const dlv = await api.addDeliveries(id, 6)
    await api.addDeliveries((await api.add()).id, 6)
    await database.sql`update webhook_deliveries set state = 'delivered' where id = ${dlv[2]}`
    await database.sql`update webhook_deliveries set state = 'pending', lease = 'x', due_at = now() + interval '1 minute' where id = ${dlv[3]}`
    await api.ask('POST', `/v1/webhooks/${id}/test`, { body: {} })
    await database.sql`update webhook_events set at = ${minute(2)} where type = 'TEST'`
    const before = await database.sql`select id, event_id from webhook_deliveries order by id`
    const touched = () =>
      database.sql`select id from webhook_deliveries where state = 'pending' and tries = 0 and lease is null and due_at <= now() and finished_at is null order by id`
    assert.deepEqual((await replay(id, { from: minute(1), to: minute(3), state: 'dead' })).json, {
      replayed: 1,
      remaining: 0,
      next_from: null,
      next_from_id: null,
    })
    assert.deepEqual([...(await touched())], [{ id: dlv[1] }])
    assert.deepEqual((await replay(id, { from: minute(1), to: minute(5) })).json.replayed, 2, 'not what is under way, nor what will be sent at once anyway')
    assert.deepEqual(
      [...(await touched())],
      [dlv[1], dlv[2], dlv[4]].map((one) => ({ id: one })),
    )
    assert.equal((await database.sql`select lease from webhook_deliveries where id = ${dlv[3]}`)[0].lease, 'x')
    assert.deepEqual(await database.sql`select id, event_id from webhook_deliveries order by id`, before)
    for (const [body, field] of [
      [{ from: minute(2), to: minute(2) }, 'to'],
      [{ from: 'yesterday', to: minute(2) }, 'from'],
      [{ from: minute(2) }, 'to'],
      [{ from: minute(1), to: minute(2), state: 'lost' }, 'state'],
    ] as const)
      assert.deepEqual([(await replay(id, body)).json.context.field], [field])
    await api.patch(id, { active: false })
    const paused = await replay(id, { from: minute(0), to: minute(9) })
    assert.deepEqual([paused.status, paused.json.error], [409, 'CONFLICT'])
    assert.match(paused.json.message, /active true/)
  })

  test('a replay of more than may be replayed at once says how many remain and where they begin', async () => {
    const { id } = await api.add()
    const dlv = await api.addDeliveries(id, 25, { state: 'delivered' })
    const some = (from: number) => database.db.transaction((tx) => replayRange(tx, id, { from: new Date(minute(from)), to: new Date(minute(25)) }, 10))
    assert.deepEqual(await some(0), { replayed: 10, remaining: 15, nextFrom: new Date(minute(10)), nextFromId: dlv[10] })
    assert.deepEqual(await some(10), { replayed: 10, remaining: 5, nextFrom: new Date(minute(20)), nextFromId: dlv[20] })
    assert.deepEqual(await api.states(id), { pending: 20, delivered: 5 })
    const { json } = await replay(id, { from: minute(0), to: minute(25) })
    assert.deepEqual(json, { replayed: 5, remaining: 0, next_from: null, next_from_id: null }, 'the rest will be sent at once anyway')
  })

  test('a replay of more than may be replayed at once comes to its end, though all of it was to be told at one moment and is delivered meanwhile', async () => {
    const { id } = await api.add()
    await api.addDeliveries(id, 25, { state: 'delivered' })
    await database.sql`update webhook_deliveries set created_at = ${minute(0)}`
    let [from, fromId] = [new Date(minute(0)), '']
    const replayed: number[] = []
    for (let i = 0; i < 3; i++) {
      const some = await database.db.transaction((tx) => replayRange(tx, id, { from, fromId, to: new Date(minute(1)) }, 10))
      await database.sql`update webhook_deliveries set state = 'delivered', tries = 1, finished_at = now() where state = 'pending'`
      replayed.push(some.replayed)
      from = some.nextFrom ?? from
      fromId = some.nextFromId ?? 'end'
    }
    assert.deepEqual([replayed, fromId], [[10, 10, 5], 'end'])
    const first = await replay(id, { from: minute(0), from_id: `dlv_${id}000020`, to: minute(1) })
    assert.equal(first.json.replayed, 5)
  })

  test('of a busy webhook so many are counted, all are listed, and an event is looked for among the newest', async () => {
    const { id } = await api.add()
    await api.addDeliveries(id, 10_050, { state: 'delivered' })
    await api.addDeliveries(id, 3, { from: 10_050 })
    const list = async (query: string) => (await api.ask('GET', `/v1/webhooks/${id}/deliveries?limit=1&${query}`)).json
    assert.equal((await list('')).total, 10_000)
    assert.deepEqual((await list('offset=10052')).deliveries[0].id, `dlv_${id}000000`)
    assert.equal((await list('state=delivered')).total, 10_000)
    const dead = await list('state=dead')
    assert.deepEqual([dead.total, dead.deliveries[0].id], [3, `dlv_${id}010052`])
    assert.equal((await list('event=BLOCK')).total, 5_000)
    const { json } = await replay(id, { from: minute(0), to: minute(20_000) })
    assert.deepEqual(json, { replayed: 10_000, remaining: 53, next_from: minute(10_000), next_from_id: `dlv_${id}010000` })
  })

  test('one delivery is replayed under its event; what is under way is not doubled, and to who is not active nothing is', async () => {
    const { id } = await api.add()
    const [first, second] = await api.addDeliveries(id, 2)
    const again = (dlv: string) => api.ask('POST', `/v1/webhooks/deliveries/${dlv}/replay`, { body: {} })
    const { json } = await again(first)
    assert.deepEqual([json.id, json.event_id, json.state, json.finished_at], [first, `evt_${id}0`, 'pending', null])
    await database.sql`update webhook_deliveries set state = 'pending', lease = 'x' where id = ${second}`
    assert.equal((await again(second)).json.state, 'pending')
    assert.deepEqual([...(await database.sql`select tries, lease from webhook_deliveries where id = ${second}`)], [{ tries: 1, lease: 'x' }])
    assert.equal((await again('dlv_none')).status, 404)
    await api.patch(id, { active: false })
    assert.equal((await again(first)).status, 409)
  })
})
