import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { connect, type Database, type DatabaseOptions } from '../../src/db/connect.ts'
import { eq, sql } from '../../src/db/drizzle.ts'
import { tenants } from '../../src/db/schema.ts'
import { databaseErrorCode, isUnavailable, violatedUnique, within } from '../../src/db/unavailable.ts'
import { newId } from '../../src/ids.ts'
import { forEachEngine, openTestDatabase, type TestDatabase, withoutServer } from './engines.ts'
import { type Relay, startRelay } from './relay.ts'

/** A bound on what the tests wait for; nothing is measured with it. */
const PATIENCE_MS = 10_000

/** Asks again until it succeeds, as a caller that was told 503 would. */
async function eventually<T>(ask: () => PromiseLike<T>): Promise<T> {
  const until = Date.now() + PATIENCE_MS
  for (;;) {
    try {
      return await within(2_000, ask())
    } catch (error) {
      assert.ok(isUnavailable(error), `expected only "unavailable", got ${databaseErrorCode(error)} ${error}`)
      if (Date.now() > until) throw error
      await wait(20)
    }
  }
}

forEachEngine((_, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  after(() => database.drop())

  test('dates, JSON and nulls come back as they went in', async () => {
    const row = { id: newId('t'), name: "O'Hara ☂", rulesPreset: null, allowedModels: ['gpt-*', 'ü"\\'], createdAt: new Date('2031-02-03T04:05:06.789Z') }
    await database.db.insert(tenants).values(row)
    const [read] = await database.db.select().from(tenants).where(eq(tenants.id, row.id))
    assert.deepEqual({ ...read, ...row }, read)
  })

  test('hand-made statements take dates and arrays beside Drizzle', async () => {
    const at = new Date('2031-02-03T04:05:06.789Z')
    const texts = ['a', '', 'NULL', null, '{b,c}', '"\\"', ' \n☂ ']
    const [row] = await database.sql`select ${at}::timestamptz as at, ${texts}::text[] as texts, ${[1, 2]}::int[] as numbers, ${[]}::text[] as none`
    assert.deepEqual(row, { at, texts, numbers: [1, 2], none: [] })
    assert.deepEqual([...(await database.sql`select 2 as found where 'b' = any(${['a', 'b']}::text[])`)], [{ found: 2 }])
  })

  test('a transaction that fails leaves nothing behind, and the next statement works', async () => {
    const id = newId('t')
    const failed = database.db.transaction(async (tx) => {
      await tx.insert(tenants).values({ id, name: 'x' })
      await tx.insert(tenants).values({ id, name: 'x' })
    })
    await assert.rejects(failed, (error) => violatedUnique(error) === 'tenants_pkey' && !isUnavailable(error))
    assert.deepEqual(await database.db.select().from(tenants).where(eq(tenants.id, id)), [])
  })

  test('a nested transaction that fails takes back only its own part', async () => {
    const [outer, inner] = [newId('t'), newId('t')]
    await database.db.transaction(async (tx) => {
      await tx.insert(tenants).values({ id: outer, name: 'x' })
      await assert.rejects(
        tx.transaction(async (nested) => {
          await nested.insert(tenants).values({ id: inner, name: 'x' })
          throw new Error('no')
        }),
        /^Error: no$/,
      )
    })
    assert.equal((await database.db.select().from(tenants).where(eq(tenants.id, outer))).length, 1)
    assert.equal((await database.db.select().from(tenants).where(eq(tenants.id, inner))).length, 0)
  })

  test('a transaction is not mixed with what the other client asks meanwhile', async () => {
    const id = newId('t')
    let seen: PromiseLike<unknown[]> | undefined
    const failed = database.db.transaction(async (tx) => {
      await tx.insert(tenants).values({ id, name: 'x' })
      seen = database.sql`insert into tenants (id, name) values (${`${id}_other`}, 'y') returning id`.execute()
      await tx.insert(tenants).values({ id: `${id}_too`, name: 'x' })
      throw new Error('rolled back')
    })
    await assert.rejects(failed, /rolled back/)
    await seen
    const left = await database.sql`select id from tenants where id like ${`${id}%`}`
    assert.deepEqual(
      left.map((row) => row.id),
      [`${id}_other`],
    )
  })

  test('a transaction cannot be used after its end', async () => {
    let leaked: typeof database.sql | undefined
    await database.sql.begin(async (tx) => {
      leaked = tx as unknown as typeof database.sql
      await tx`select 1`
    })
    assert.throws(() => leaked!`select 1`, /committed/)
  })

  test('wrong SQL is not taken for an outage', async () => {
    await assert.rejects(database.db.execute(sql`select nonsense`), (error) => databaseErrorCode(error) === '42703' && !isUnavailable(error))
    assert.ok(!isUnavailable(new TypeError('x is undefined')))
  })

  test('after closing, statements fail at once', async () => {
    const other = await open()
    await other.db.execute(sql`select 1`)
    await other.close()
    await assert.rejects(other.db.execute(sql`select 1`), isUnavailable)
    await assert.rejects(other.sql`select 1`, isUnavailable)
    await other.drop()
  })
})

describe('a server that goes away', { skip: withoutServer }, () => {
  let home: TestDatabase
  let relay: Relay
  let database: Database | undefined
  before(async () => {
    home = await openTestDatabase('postgres')
    relay = await startRelay(home.url!)
  })
  afterEach(async () => {
    relay.thaw()
    await database?.close()
    database = undefined
  })
  after(async () => {
    await relay.close()
    await home.drop()
  })

  async function throughRelay(settings: Partial<Extract<DatabaseOptions, { kind: 'postgres' }>> = {}): Promise<Database> {
    database = await connect({ kind: 'postgres', url: relay.url, ...settings })
    await Promise.all([1, 2, 3, 4, 5].flatMap(() => [database!.db.execute(sql`select pg_sleep(0.01)`), database!.sql`select 1`]))
    return database
  }

  test('a stopped server: a call is told so within its deadline, and goes on when the server does', async () => {
    const { db } = await throughRelay()
    relay.freeze()
    await assert.rejects(within(50, db.execute(sql`select 1`)), isUnavailable)
    relay.thaw()
    await eventually(() => db.execute(sql`select 1`))
  })

  test('a server that stays silent loses its connections, so that a successor is found', async () => {
    const { db } = await throughRelay({ silenceMs: 2_000 })
    const before = relay.connections
    relay.freeze()
    await assert.rejects(db.execute(sql`select 1`), isUnavailable)
    relay.thaw()
    await eventually(() => db.execute(sql`select 1`))
    assert.ok(relay.connections > before)
  })

  test('a killed server: calls and transactions under way fail, and the next ones succeed once it is back', async () => {
    const { db, sql: plain } = await throughRelay()
    const inFlight = [db.execute(sql`select pg_sleep(5)`), plain`select pg_sleep(5)`.execute(), db.transaction((tx) => tx.execute(sql`select pg_sleep(5)`))]
    const failed = Promise.all(inFlight.map((work) => assert.rejects(Promise.resolve(work), isUnavailable)))
    await wait(50)
    await relay.cut()
    await failed
    await assert.rejects(within(2_000, db.execute(sql`select 1`)), isUnavailable)
    await relay.restore()
    await eventually(() => Promise.all(Array.from({ length: 8 }, () => db.execute(sql`select 1`))))
    await eventually(() => plain`select 1`)
  })

  test('a statement given in the very moment a connection is lost does not spoil the next connection', async () => {
    const { db } = await throughRelay({ poolMax: 1 })
    for (let round = 0; round < 20; round++) {
      const asked = Array.from({ length: round }, (_, i) => wait(i % 5).then(() => db.execute(sql`select 1`)))
      await Promise.all([db.execute(sql`select pg_terminate_backend(pg_backend_pid())`), ...asked].map((work) => Promise.resolve(work).catch(() => {})))
      await eventually(() => db.execute(sql`select 1`))
    }
  })

  test('a terminated backend fails its statement and nothing after it', async () => {
    const { db } = await throughRelay({ poolMax: 1 })
    await assert.rejects(db.execute(sql`select pg_terminate_backend(pg_backend_pid())`), isUnavailable)
    await db.execute(sql`select 1`)
    await db.execute(sql`select 1`)
  })

  for (const [how, end] of [
    ['by the server', async (pid: number) => void (await home.sql`select pg_terminate_backend(${pid})`)],
    ['by a reset', () => relay.cut().then(() => relay.restore())],
  ] as const) {
    test(`a transaction whose connection is closed ${how} is over, whatever it tries next`, async () => {
      const { db } = await throughRelay()
      const id = newId('t')
      const tries: unknown[] = []
      const { promise: tried, resolve: done } = Promise.withResolvers<void>()
      const transaction = db.transaction(async (tx) => {
        await tx.insert(tenants).values({ id, name: 'x' })
        const [row] = await tx.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`)
        await end(row!.pid)
        await wait(20)
        for (let i = 0; i < 3; i++) await Promise.resolve(tx.insert(tenants).values({ id: `${id}_${i}`, name: 'x' })).catch((error) => tries.push(error))
        await tx.transaction((nested) => nested.insert(tenants).values({ id: `${id}_nested`, name: 'x' })).catch((error) => tries.push(error))
        done()
      })
      await assert.rejects(transaction, isUnavailable)
      await tried
      await eventually(() => db.execute(sql`select 1`))
      assert.equal((await home.sql`select 1 from tenants where id like ${`${id}%`}`).length, 0)
      assert.deepEqual(tries.map(isUnavailable), [true, true, true, true])
    })
  }

  test('a transaction that swallows the error of its lost connection is over too', async () => {
    const { db } = await throughRelay()
    const transaction = db.transaction(async (tx) => {
      await Promise.resolve(tx.execute(sql`select pg_terminate_backend(pg_backend_pid())`)).catch(() => {})
      await Promise.resolve(tx.execute(sql`select 1`)).catch(() => {})
      return 'done'
    })
    await assert.rejects(transaction, isUnavailable)
    await eventually(() => db.execute(sql`select 1`))
  })

  test('an ordinary statement is ended after two seconds; work apart is not limited', async () => {
    const { db, apart } = await throughRelay()
    const limit = sql`select setting::int as ms from pg_settings where name = 'statement_timeout'`
    assert.deepEqual([...(await db.execute(limit))], [{ ms: 2000 }])
    assert.deepEqual([...(await apart((own) => own.execute(limit)))], [{ ms: 0 }])
  })

  test('a server that was never there is unavailable, and no program error', async () => {
    const probe = createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    const { port } = probe.address() as { port: number }
    probe.close()
    database = await connect({ kind: 'postgres', host: '127.0.0.1', port, user: 'u', password: 'p', database: 'd' })
    await assert.rejects(database.db.execute(sql`select 1`), isUnavailable)
    await assert.rejects(
      database.db.transaction((tx) => tx.execute(sql`select 1`)),
      isUnavailable,
    )
  })
})

test('a malformed URL is refused without being repeated', async () => {
  await assert.rejects(connect({ kind: 'postgres', url: 'postgres://u:hunter2@[nonsense' }), (error: Error) => {
    assert.match(error.message, /DATABASE_URL is not/)
    assert.ok(!JSON.stringify(error, Object.getOwnPropertyNames(error)).includes('hunter2') && error.cause === undefined)
    return true
  })
})
