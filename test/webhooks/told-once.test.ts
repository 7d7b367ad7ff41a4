import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { payloads } from '../../src/admin/documents/events.ts'
import { lastChange, recordChange, recordOnce } from '../../src/audit/record-change.ts'
import { sql } from '../../src/db/drizzle.ts'
import { tell } from '../../src/db/outbox.ts'
import { runPrepared } from '../../src/db/run-prepared.ts'
import { newId } from '../../src/ids.ts'
import type { EventType, Listeners } from '../../src/webhooks/event.ts'
import { createSubscriptions, type Subscriptions } from '../../src/webhooks/subscriptions.ts'
import { entryOf, seal } from '../audit/entries.ts'
import { type LogOptions, logOn } from '../audit/logs.ts'
import { asOtherProcess, tenantWith } from '../budgets/rows.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { atTheBeginningOfAMinute, forget, listen, queued } from './endpoints-of.ts'

const anybody: Listeners = { isEmpty: false, wants: () => true }

forEachEngine((engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  afterEach(() => forget(database))
  after(() => database.drop())

  const logOf = (options: LogOptions = {}) => logOn(database, { listeners: anybody, ...options })
  const typesOf = async (): Promise<string[]> => (await queued(database)).map(({ type }) => type)
  /** Without rules, which would make a second event of each. */
  const callOf = (fields: Parameters<typeof entryOf>[0] = {}) => entryOf({ rules_triggered: [], budgets: [], ...fields })
  const refused = (fields: Parameters<typeof entryOf>[0] = {}) =>
    callOf({ status: 'REJECTED', outcome: 'refused', reason: 'rate_limit', usage: null, cost_usd: null, ...fields })
  const changeOf = (action: string, tenantId: string | null, details: Record<string, unknown> = {}) => ({
    action,
    tenantId,
    subject: 'it',
    actor: 'system',
    keyPrefix: null,
    requestId: newId('req'),
    at: new Date(),
    details,
  })

  test(`${engine}: an event is written with the row it tells of, and with a delivery for each endpoint that wants it`, async () => {
    const told: number[] = []
    const [own, everywhere] = [await listen(database, 't_1', ['BLOCK']), await listen(database, null, ['*'])]
    await listen(database, 't_2', ['*'])
    await listen(database, 't_1', ['ALLOW'])
    await listen(database, 't_1', ['*'], false)
    const entry = callOf({ status: 'BLOCK' })
    await logOf({ onTold: (deliveries) => told.push(deliveries) }).close(entry)
    const events = await queued(database)
    assert.deepEqual(
      events.map(({ type, tenant_id, request_id, count, data, deliveries }) => ({ type, tenant_id, request_id, count, audit: data.audit_id, deliveries })),
      [{ type: 'BLOCK', tenant_id: 't_1', request_id: entry.request_id, count: 1, audit: entry.audit_id, deliveries: [own, everywhere].sort() }],
    )
    assert.deepEqual(told, [2])
  })

  test(`${engine}: an event that nobody asked for makes no row: not for another type, another tenant, or an endpoint that is not active`, async () => {
    await listen(database, 't_1', ['BLOCK'])
    await listen(database, 't_2', ['*'])
    await listen(database, null, ['BLOCK', 'AUDIT_CHECKPOINT'])
    await listen(database, 't_1', ['*'], false)
    await logOf().close(callOf({ status: 'ALLOW' }))
    await database.db.transaction((tx) => recordChange(tx, changeOf('key.create', 't_1'), seal))
    await database.db.transaction((tx) => recordChange(tx, changeOf('sessions.lock', null), seal))
    assert.deepEqual(await queued(database), [])
  })

  test(`${engine}: where this process knows that nobody listens, no event is even made of a row, and the statement stays the same`, async () => {
    const texts = new Set<string>()
    const params: unknown[][] = []
    const { sql } = database
    const unsafe = (text: string, values: unknown[], options: object) => {
      texts.add(text)
      params.push(values)
      return sql.unsafe(text, values as never[], options)
    }
    const subscriptions = createSubscriptions(database)
    await subscriptions.load()
    const log = logOf({ run: (statement) => runPrepared({ sql: { unsafe } as never }, statement), listeners: subscriptions })
    await log.close(callOf({ status: 'BLOCK' }))
    await listen(database, 't_1', ['*'])
    await log.close(callOf({ status: 'BLOCK' }))
    await forget(database)
    await listen(database, 't_1', ['WARN'])
    await subscriptions.load()
    await log.close(callOf({ status: 'BLOCK' }))
    assert.deepEqual([await queued(database), JSON.stringify(params).includes('evt_')], [[], false])
    await listen(database, 't_1', ['BLOCK'])
    await subscriptions.load()
    await log.close(callOf({ status: 'BLOCK' }))
    assert.deepEqual([await typesOf(), texts.size], [['BLOCK'], 1])
  })

  test(`${engine}: a row that the database refuses tells nothing, and the others of its batch are told`, async () => {
    await listen(database, 't_1', ['*'])
    const log = logOf({ rejected: () => {} })
    const good = [callOf({ status: 'WARN' }), callOf({ status: 'WARN' })]
    await Promise.all([good[0], callOf({ status: 'BLOCK', timestamp: 'no time at all' }), good[1]].map((entry) => log.close(entry)))
    assert.deepEqual(await typesOf(), ['WARN', 'WARN'])
  })

  test(`${engine}: of a change that is undone nothing is told`, async () => {
    await listen(database, null, ['*'])
    const undone = new Error('undone')
    await assert.rejects(
      database.db.transaction(async (tx) => {
        await recordChange(tx, changeOf('key.create', 't_1'), seal)
        throw undone
      }),
      (error) => error === undone,
    )
    assert.deepEqual(await queued(database), [])
    await database.db.transaction((tx) => recordChange(tx, changeOf('key.create', 't_1'), seal))
    assert.deepEqual(await typesOf(), ['KEY_CREATED'])
  })

  test(`${engine}: a batch that is sent again after its answer was lost tells once`, async () => {
    await listen(database, 't_1', ['*'])
    let losses = 2
    const log = logOf({
      async run(statement) {
        const answer = await runPrepared(database, statement)
        if (losses-- > 0) throw Object.assign(new Error('lost'), { code: 'ECONNRESET' })
        return answer
      },
    })
    await log.close(callOf({ status: 'BLOCK' }))
    assert.deepEqual([await typesOf(), losses], [['BLOCK'], -1])
  })

  test(`${engine}: what a dead process left open is told once, by the sweep or by whoever finds its disk; what is known later is told again`, async () => {
    const id = await listen(database, 't_1', ['*'])
    const [swept, found] = [callOf({ status: 'WARN', outcome: 'unknown' }), callOf({ status: 'ALLOW', outcome: 'unknown' })]
    await logOf({ processId: newId('proc') }).open(swept, 'strict')
    assert.deepEqual(await queued(database), [], 'an exchange that is on its way is not told')
    const told: number[] = []
    const log = logOf({ onTold: (deliveries) => told.push(deliveries) })
    await log.sweep()
    await log.sweep()
    await log.recover([swept, found])
    await log.recover([found])
    const events = await queued(database)
    assert.deepEqual(
      events.map(({ type, data, deliveries }) => [type, data.audit_id, data.outcome, deliveries]),
      [
        ['WARN', swept.audit_id, 'unknown', [id]],
        ['ALLOW', found.audit_id, 'unknown', [id]],
      ],
    )
    assert.deepEqual(told, [1, 1])
    await log.close({ ...swept, outcome: 'completed' })
    const [, , last] = await queued(database)
    assert.deepEqual([last?.type, last?.data.audit_id, last?.data.outcome], ['WARN', swept.audit_id, 'completed'])
    await log.close({ ...swept, outcome: 'completed' })
    assert.equal((await queued(database)).length, 3)
  })

  test(`${engine}: text that JSON in the database cannot hold keeps no event from being told`, async () => {
    await listen(database, 't_1', ['*'])
    await logOf().close(callOf({ user_id: 'a\0b\ud800' }))
    assert.deepEqual(
      (await queued(database)).map(({ data }) => data.user_id),
      ['a\uFFFDb\uFFFD'],
    )
    await database.db.transaction((tx) =>
      tell(tx, [
        { event_id: newId('evt'), type: 'ALLOW', tenant_id: 't_1', request_id: 'req_1', at: new Date().toISOString(), data: { x: '\0' }, subject: null },
      ]),
    )
    assert.equal((await queued(database)).length, 2)
  })

  test(`${engine}: calls over a limit are one event for a key and a minute, with their number; two connections at once make it one too`, async () => {
    const id = await listen(database, 't_1', ['RATE_LIMIT_HIT'])
    const other = await asOtherProcess(database)
    const logs = [logOf({ processId: newId('proc') }), logOn(other, { listeners: anybody, processId: newId('proc') })]
    const keys = ['ef_test_aaaaaaaa', 'ef_test_bbbbbbbb']
    await atTheBeginningOfAMinute(database)
    await Promise.all(Array.from({ length: 60 }, (_, i) => logs[i % 2]!.close(refused({ key_prefix: keys[i % 3 === 0 ? 0 : 1]! }))))
    const events = await queued(database)
    assert.deepEqual(events.map(({ subject, count, deliveries, data }) => [subject, count, deliveries, data.key_prefix]).sort(), [
      [keys[0], 20, [id], keys[0]],
      [keys[1], 40, [id], keys[1]],
    ])
    const [due] =
      await database.sql`select bool_and(d.due_at = e.minute + interval '1 minute') as at_its_end from webhook_deliveries d join webhook_events e on e.id = d.event_id`
    assert.equal(due?.at_its_end, true)
    // It has gone out; what comes now is another.
    await database.sql`update webhook_events set is_open = false where subject = ${keys[0]!}`
    await logs[0]!.close(refused({ key_prefix: keys[0]! }))
    await logs[1]!.close(refused({ key_prefix: keys[0]! }))
    assert.deepEqual(
      (await queued(database)).filter(({ subject }) => subject === keys[0]).map(({ count, deliveries }) => [count, deliveries]),
      [
        [20, [id]],
        [2, [id]],
      ],
    )
    await other.close()
  })

  test(`${engine}: events of one subject in one transaction are one, those of two tenants two`, async () => {
    await listen(database, null, ['*'])
    const event = (tenant_id: string | null) => ({
      event_id: newId('evt'),
      type: 'UPSTREAM_DOWN' satisfies EventType,
      tenant_id,
      request_id: newId('req'),
      at: new Date().toISOString(),
      data: {},
      subject: 'openai',
    })
    await database.db.transaction(async (tx) => {
      assert.equal(await tell(tx, [event(null), event('t_1'), event(null)]), 2)
      assert.equal(await tell(tx, [event('t_1')]), 0, 'the delivery is there')
    })
    assert.deepEqual(
      (await queued(database)).map(({ tenant_id, count }) => [tenant_id, count]),
      [
        ['t_1', 2],
        [null, 2],
      ],
    )
  })

  test(`${engine}: each threshold of a budget is told once, in dollars, and fits its schema`, async () => {
    const { tenantId, budgets } = await tenantWith(database, { amount: 3_000_000_000, unit: 'usd', mode: 'soft' })
    const id = budgets[0]!.id
    await listen(database, tenantId, ['BUDGET_THRESHOLD', 'BUDGET_EXCEEDED'])
    const window = '2026-11-01T00:00:00.000Z'
    // None of the calls is told, only what they add up to.
    const log = logOf()
    for (let i = 0; i < 4; i++) await log.close(callOf({ tenant_id: tenantId, budgets: [{ budget_id: id, window, amount: 800_000_000 }] }))
    const events = await queued(database)
    const about = { budget_id: id, unit: 'usd', window, amount: 3 }
    assert.deepEqual(
      events.map(({ type, subject, data: { audit_id, ...data } }) => [type, subject, typeof audit_id, data]),
      [
        ['BUDGET_THRESHOLD', null, 'string', { ...about, percent: 50, spent: 1.6 }],
        ['BUDGET_THRESHOLD', null, 'string', { ...about, percent: 80, spent: 2.4 }],
        ['BUDGET_EXCEEDED', id, 'string', { ...about, percent: 100, spent: 3.2 }],
      ],
    )
    for (const { type, data, subject, tenant_id, request_id } of events) {
      const sent = { event: type, request_id, tenant_id, timestamp: new Date().toISOString(), data: subject === null ? data : { ...data, count: 1 } }
      assert.ok(payloads[type as EventType].safeParse(sent).success, type)
      const [row] = await database.sql`select reason, request_id from audit_entries where audit_id = ${String(data.audit_id)}`
      assert.deepEqual([row?.reason, row?.request_id], [data.percent === 100 ? 'budget.exceeded' : 'budget.threshold', request_id])
    }
  })

  test(`${engine}: what is recorded once is recorded and told by one of many processes, however many try at the same time`, async () => {
    await listen(database, null, ['CERTIFICATE_EXPIRING'])
    const change = { ...changeOf('certificate.expiring', null, { days: 7 }), tenantId: null }
    const since = new Date(Date.now() - 1_000)
    // Connections that are open already, so that they begin together.
    await Promise.all(Array.from({ length: 4 }, () => database.db.execute(sql`select pg_sleep(0.05)`)))
    const once = (days: number, subject = 'it') => recordOnce(database.db, { ...change, subject, at: new Date(), details: { days } }, since, seal)
    const news = await Promise.all(Array.from({ length: 10 }, () => once(7)))
    assert.deepEqual(news.filter(Boolean), [true])
    assert.deepEqual([await once(7), await once(3), await once(3), await once(7, 'another')], [false, true, false, true])
    assert.deepEqual(
      (await queued(database)).map(({ data }) => [data.subject, data.details]),
      [
        ['it', { days: 7 }],
        ['it', { days: 3 }],
        ['another', { days: 7 }],
      ],
    )
  })

  test(`${engine}: an upstream that several processes see go down or come back is told once a minute, with their number`, async () => {
    await listen(database, null, ['*'])
    await atTheBeginningOfAMinute(database)
    const see = (action: string) => database.db.transaction((tx) => recordChange(tx, { ...changeOf(action, null), subject: 'openai' }, seal))
    for (const action of ['upstream.down', 'upstream.down', 'upstream.up', 'upstream.up', 'upstream.up']) await see(action)
    assert.deepEqual(
      (await queued(database)).map(({ type, subject, count }) => [type, subject, count]),
      [
        ['UPSTREAM_DOWN', 'openai', 2],
        ['UPSTREAM_UP', 'openai', 3],
      ],
    )
  })

  test(`${engine}: the log tells which of several actions was the last on something of a tenant's, or of the installation's`, async () => {
    const actions = ['upstream.down', 'upstream.up']
    let at = Date.now()
    const say = (action: string, tenantId: string | null, subject: string, details = {}) =>
      database.db.transaction((tx) => recordChange(tx, { ...changeOf(action, tenantId, details), subject, at: new Date(at++) }, seal))
    const last = (tenantId: string | null, subject: string) => lastChange(database.db, { tenantId, subject, actions })
    await say('upstream.up', null, 'a')
    await say('upstream.down', null, 'a', { failures: 7 })
    await say('upstream.update', null, 'a')
    await say('upstream.down', 't_last', 'b', { failures: 5 })
    await say('upstream.up', 't_last', 'b', { failures: 6 })
    assert.deepEqual(await last(null, 'a'), { action: 'upstream.down', details: { failures: 7 } })
    assert.deepEqual(await last('t_last', 'b'), { action: 'upstream.up', details: { failures: 6 } })
    assert.deepEqual([await last('t_last', 'a'), await last(null, 'b'), await last('t_1', 'a')], [undefined, undefined, undefined])
  })

  test(`${engine}: subscriptions know who listens to what once they are loaded; of too many endpoints they know nothing, so that the database is asked`, async () => {
    const wanted = async (subscriptions: Subscriptions): Promise<unknown[]> => {
      await subscriptions.load()
      const { isEmpty, wants } = subscriptions
      return [isEmpty, wants('BLOCK', 't_1'), wants('BLOCK', 't_2'), wants('ALLOW', 't_1'), wants('AUDIT_CHECKPOINT', null)]
    }
    const subscriptions = createSubscriptions(database)
    assert.deepEqual([subscriptions.isEmpty, subscriptions.wants('BLOCK', 't_1')], [false, true], 'nothing is known yet')
    await listen(database, 't_1', ['*'], false)
    assert.deepEqual(await wanted(subscriptions), [true, false, false, false, false])
    await listen(database, 't_1', ['BLOCK'])
    assert.deepEqual(await wanted(subscriptions), [false, true, false, false, false])
    await listen(database, 't_1', ['*'])
    assert.deepEqual(await wanted(subscriptions), [false, true, false, true, false])
    assert.deepEqual(await wanted(createSubscriptions({ db: database.db, endpointsMax: 1 })), [false, true, true, true, true])
    await listen(database, null, ['AUDIT_CHECKPOINT', 'BLOCK'])
    assert.deepEqual(await wanted(subscriptions), [false, true, true, true, true])
  })
})
