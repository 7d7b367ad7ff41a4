import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { createChainWriter } from '../../src/audit/chain/writer.ts'
import { writeRows } from '../../src/audit/write-batch.ts'
import type { Database } from '../../src/db/connect.ts'
import { type NewEvent, tell } from '../../src/db/outbox.ts'
import { newId } from '../../src/ids.ts'
import { newEventsOf } from '../../src/webhooks/event.ts'
import { entryOf } from '../audit/entries.ts'
import { asOtherProcess } from '../budgets/rows.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { atTheBeginningOfAMinute, forget, listen, queued } from './endpoints-of.ts'

const eventOf = (fields: Partial<NewEvent> = {}): NewEvent => ({
  event_id: newId('evt'),
  type: 'RATE_LIMIT_HIT',
  tenant_id: 't_1',
  request_id: newId('req'),
  at: new Date().toISOString(),
  data: {},
  subject: 'ef_test_aaaaaaaa',
  ...fields,
})

forEachEngine((engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  afterEach(() => forget(database))
  after(() => database.drop())

  const told = (...events: NewEvent[]): Promise<number> => database.db.transaction((tx) => tell(tx, events))
  const counts = async (): Promise<unknown[]> => (await queued(database)).map(({ count, deliveries }) => [count, deliveries])
  const deliveries = () => database.sql`select webhook_id, state, finished_at, due_at > now() as waits from webhook_deliveries order by id`
  const setActive = (id: string, active: boolean) => database.sql`update webhooks set active = ${active} where id = ${id}`

  test(`${engine}: an endpoint that comes within the minute is told of what is being counted, and who knows of it already is not told twice`, async () => {
    const first = await listen(database, null, ['*'])
    await atTheBeginningOfAMinute(database)
    assert.equal(await told(eventOf(), eventOf()), 1)
    const second = await listen(database, 't_1', ['RATE_LIMIT_HIT'])
    await listen(database, 't_2', ['*'])
    assert.equal(await told(eventOf()), 1)
    assert.equal(await told(eventOf(), eventOf()), 0)
    assert.deepEqual(await counts(), [[5, [first, second].sort()]])
    assert.deepEqual(
      (await deliveries()).map(({ state, waits }) => [state, waits]),
      [
        ['pending', true],
        ['pending', true],
      ],
    )
  })

  test(`${engine}: one that was paused within the minute and is back is told, also where its delivery was given up meanwhile`, async () => {
    const id = await listen(database, 't_1', ['*'])
    await atTheBeginningOfAMinute(database)
    await told(eventOf())
    await setActive(id, false)
    await database.sql`update webhook_deliveries set state = 'dead', finished_at = now(), due_at = now() - interval '1 second'`
    assert.equal(await told(eventOf()), 0, 'while it is paused')
    await setActive(id, true)
    assert.equal(await told(eventOf()), 1)
    assert.deepEqual(
      (await deliveries()).map((row) => ({ ...row })),
      [{ webhook_id: id, state: 'pending', finished_at: null, waits: true }],
    )
    assert.equal((await counts()).length, 1)
  })

  test(`${engine}: a delivery that was attempted and is dead stays so, whatever is told afterwards`, async () => {
    const id = await listen(database, 't_1', ['*'])
    await atTheBeginningOfAMinute(database)
    await told(eventOf())
    await database.sql`update webhook_events set is_open = false`
    await database.sql`update webhook_deliveries set state = 'dead', tries = 1, finished_at = now()`
    assert.equal(await told(eventOf()), 1, 'a new event')
    assert.deepEqual((await deliveries()).map(({ state }) => state).sort(), ['dead', 'pending'])
    assert.deepEqual(await counts(), [
      [1, [id]],
      [1, [id]],
    ])
  })

  test(`${engine}: however many tell of one subject at once while endpoints come, each endpoint has one delivery`, async () => {
    const other = await asOtherProcess(database)
    const ids = [await listen(database, null, ['*'])]
    await atTheBeginningOfAMinute(database)
    for (let round = 0; round < 5; round++) {
      ids.push(await listen(database, 't_1', ['*']))
      const tellBy = ({ db }: Pick<Database, 'db'>) => db.transaction((tx) => tell(tx, [eventOf()]))
      const made = await Promise.all(Array.from({ length: 6 }, (_, i) => tellBy(i % 2 === 0 ? database : other)))
      assert.equal(
        made.reduce((sum, one) => sum + one, 0),
        round === 0 ? 2 : 1,
      )
    }
    assert.deepEqual(await counts(), [[30, ids.sort()]])
    await other.close()
  })

  test(`${engine}: whoever is told of a batch is looked for once, in the index, however many endpoints others have`, async () => {
    await database.sql`
      insert into webhooks (id, tenant_id, url, events, secret, created_by)
      select 'wh_' || n, 't_' || n / 5, 'https://siem.example', '["*"]', 'sealed', 'test' from generate_series(100, 10099) n`
    const own = [await listen(database, 't_20', ['BLOCK']), await listen(database, null, ['*'])]
    await database.sql`analyze webhooks`
    const writer = createChainWriter({ origin: 'earthflow/test', processId: newId('proc'), version: '1' })
    const entries = Array.from({ length: 50 }, () => entryOf({ tenant_id: 't_20', status: 'BLOCK', rules_triggered: [], budgets: [] }))
    const sealed = writer.seal(entries, Date.now())
    const statement = writeRows(
      writer,
      sealed,
      entries.flatMap((entry) => newEventsOf(entry)),
      Date.now(),
    )
    const plan = await database.sql.unsafe<{ 'QUERY PLAN': string }[]>(`explain (analyze, timing off) ${statement.text}`, statement.params as never[])
    const looks = plan.map((row) => row['QUERY PLAN']).filter((line) => / on webhooks\b/.test(line))
    assert.deepEqual(
      looks.map((line) => [/loops=\d+/.exec(line)?.[0], line.includes('Seq Scan')]),
      [
        ['loops=1', false],
        ['loops=1', false],
      ],
      'the tenant’s, and the installation’s',
    )
    const [made] = await database.sql`select count(*)::int as n from webhook_deliveries`
    assert.equal(made?.n, entries.length * (5 + own.length))
    await database.sql`delete from webhooks`
    await database.sql`analyze webhooks`
  })
})
