import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { announce, type Change, type ChangeKind, type ChangeWatcherOptions, pruneChanges, watchChanges } from '../../src/db/changes.ts'
import { connect } from '../../src/db/connect.ts'
import { forEachEngine, openTestDatabase, type TestDatabase, withoutServer } from './engines.ts'
import { startRelay } from './relay.ts'

const HOUR_MS = 3_600_000
const everyKind: ChangeKind[] = ['tenants', 'keys', 'policies', 'upstreams', 'budgets', 'sessions', 'users', 'webhooks', 'escalations']
const everything = everyKind.map((kind) => ({ kind, tenantId: null }))

forEachEngine((engine, open) => {
  let database: TestDatabase
  let changed: Change[]
  before(async () => {
    database = await open()
  })
  beforeEach(() => {
    changed = []
  })
  after(() => database.drop())

  const change = (kind: ChangeKind, tenantId: string | null) => database.db.transaction((tx) => announce(tx, kind, tenantId))
  const watch = (options: Partial<ChangeWatcherOptions> = {}) => watchChanges(database, { onChange: (more) => void changed.push(...more), ...options })

  /** A watcher that stands at the end of the table. */
  async function watching(options: Partial<ChangeWatcherOptions> = {}) {
    const watcher = watch(options)
    await watcher.poll()
    changed.length = 0
    return watcher
  }

  test('the first poll says that everything must be read', async () => {
    await watch().poll()
    assert.deepEqual(changed, everything)
  })

  test("what was committed before a poll was asked for is handed over when it resolves, one's own writes too", async () => {
    const watcher = await watching()
    const under = watcher.poll()
    await change('keys', 't_1')
    await Promise.all([watcher.poll(), watcher.poll(), under])
    assert.deepEqual(changed, [{ kind: 'keys', tenantId: 't_1' }])
  })

  test('the same change made twice is told once, a later one again', async () => {
    const watcher = await watching()
    await change('policies', 't_1')
    await change('policies', 't_1')
    await change('policies', null)
    await watcher.poll()
    assert.deepEqual(changed.splice(0), [
      { kind: 'policies', tenantId: 't_1' },
      { kind: 'policies', tenantId: null },
    ])
    await change('policies', 't_1')
    await watcher.poll()
    assert.deepEqual(changed, [{ kind: 'policies', tenantId: 't_1' }])
  })

  test('a transaction that is rolled back announces nothing', async () => {
    const watcher = await watching()
    const failed = database.db.transaction(async (tx) => {
      await announce(tx, 'keys', 't_1')
      throw new Error('no')
    })
    await assert.rejects(failed, /no/)
    await watcher.poll()
    assert.deepEqual(changed, [])
  })

  test('a change that could not be applied is handed over again', async () => {
    let broken = true
    const errors: unknown[] = []
    const watcher = await watching({
      onChange(more) {
        if (broken && more.some(({ tenantId }) => tenantId === 't_again')) throw new Error('not now')
        changed.push(...more)
      },
      onError: (error) => void errors.push(error),
    })
    const before = watcher.lastPolledAt
    await change('upstreams', 't_again')
    await watcher.poll()
    assert.deepEqual([changed.length, errors.length, watcher.lastPolledAt], [0, 1, before])
    broken = false
    await watcher.poll()
    assert.deepEqual(changed, [{ kind: 'upstreams', tenantId: 't_again' }])
  })

  test('after more than an hour without a look, everything must be read', async () => {
    let now = Date.now()
    const watcher = await watching({ now: () => now })
    now += HOUR_MS + 1
    await watcher.poll()
    assert.deepEqual(changed.splice(0), everything)
    await watcher.poll()
    assert.deepEqual(changed, [])
  })

  test('changes older than a day are pruned, but the last; whoever stood among the pruned reads everything', async () => {
    await change('keys', 't_1')
    const behind = await watching()
    await change('keys', 't_2')
    await change('keys', 't_3')
    await database.sql`update changes set at = now() - interval '25 hours'`
    const current = await watching()
    await pruneChanges(database)
    assert.equal((await database.sql`select 1 from changes`).length, 1)
    await current.poll()
    assert.deepEqual(changed.splice(0), [])
    await behind.poll()
    assert.deepEqual(changed, everything)
  })

  test('a database set back to an older state is noticed', async () => {
    await change('keys', 't_1')
    const watcher = await watching()
    await database.sql`delete from changes`
    await watcher.poll()
    assert.deepEqual(changed, everything)
  })

  test('more changes than are read at once mean that everything is read', async () => {
    await change('keys', 't_1')
    const watcher = await watching()
    await database.sql`insert into changes (kind, tenant_id) select 'keys', 't_' || n from generate_series(1, 1001) n`
    await watcher.poll()
    assert.deepEqual(changed.splice(0), everything)
    await change('keys', 't_2')
    await watcher.poll()
    assert.deepEqual(changed, [{ kind: 'keys', tenantId: 't_2' }])
  })

  test('a reader that polls all the time misses nothing of many concurrent writers', async () => {
    const watcher = await watching()
    const tenants = Array.from({ length: 60 }, (_, i) => `t_${i}`)
    let writing = true
    const polling = (async () => {
      while (writing) await watcher.poll()
    })()
    await Promise.all(tenants.map((tenant) => change('keys', tenant)))
    writing = false
    await polling
    await watcher.poll()
    assert.deepEqual(changed.map(({ tenantId }) => tenantId).sort(), tenants.sort())
  })

  test('nothing is told after closing', async () => {
    const watcher = await watching()
    await watcher.close()
    await change('keys', 't_1')
    await watcher.poll()
    assert.deepEqual(changed, [])
  })

  test('the watcher polls by itself', { timeout: 60_000 }, async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const watcher = watch({
      everyMs: 5,
      onChange(more) {
        if (more.some(({ tenantId }) => tenantId === 't_itself')) resolve()
      },
    })
    await watcher.poll()
    watcher.start()
    const alive = setInterval(() => {}, 1_000)
    await change('keys', 't_itself')
    await promise
    clearInterval(alive)
    await watcher.close()
    assert.equal(engine === 'postgres', database.listen !== undefined)
  })
})

describe('on a server', { skip: withoutServer }, () => {
  let database: TestDatabase
  before(async () => {
    database = await openTestDatabase('postgres')
  })
  after(() => database.drop())

  test('of two transactions that overlap, the one that announces later also commits later, so its number is not passed over', async () => {
    const seen: Change[] = []
    const watcher = watchChanges(database, { onChange: (more) => void seen.push(...more) })
    await watcher.poll()
    seen.length = 0
    const [announced, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const first = database.db.transaction(async (tx) => {
      await announce(tx, 'keys', 't_first')
      announced.resolve()
      await release.promise
    })
    await announced.promise
    const second = database.db.transaction((tx) => announce(tx, 'keys', 't_second'))
    // The second is waiting for the first now, or will be; either way nothing is visible yet.
    await watcher.poll()
    assert.deepEqual(seen, [])
    release.resolve()
    await Promise.all([first, second])
    await watcher.poll()
    assert.deepEqual(
      seen.map(({ tenantId }) => tenantId),
      ['t_first', 't_second'],
    )
  })

  test('another process is nudged, without waiting for its next poll, also after its connection was lost', { timeout: 60_000 }, async () => {
    const relay = await startRelay(database.url!)
    const other = await connect({ kind: 'postgres', url: relay.url })
    let arrived = Promise.withResolvers<void>()
    const watcher = watchChanges(other, {
      everyMs: 2 ** 30,
      onChange(more) {
        if (more.some(({ tenantId }) => tenantId !== null)) arrived.resolve()
      },
    })
    try {
      watcher.start()
      for (const tenant of ['t_1', 't_2']) {
        await watcher.poll()
        await database.db.transaction((tx) => announce(tx, 'keys', tenant))
        await arrived.promise
        arrived = Promise.withResolvers()
        await relay.cut()
        await relay.restore()
      }
    } finally {
      await watcher.close()
      await other.close()
      await relay.close()
    }
  })

  test('a poll of a stopped server ends within its time, and the next one reads what was missed', async () => {
    const relay = await startRelay(database.url!)
    const other = await connect({ kind: 'postgres', url: relay.url, silenceMs: 100 })
    const seen: Change[] = []
    const errors: unknown[] = []
    const watcher = watchChanges(other, { onChange: (more) => void seen.push(...more), onError: (error) => void errors.push(error), timeoutMs: 50 })
    try {
      while (watcher.lastPolledAt === 0) await watcher.poll()
      errors.length = seen.length = 0
      relay.freeze()
      await watcher.poll()
      assert.equal(errors.length, 1)
      await database.db.transaction((tx) => announce(tx, 'keys', 't_missed'))
      relay.thaw()
      while (seen.length === 0) await watcher.poll()
      assert.deepEqual(seen, [{ kind: 'keys', tenantId: 't_missed' }])
    } finally {
      await watcher.close()
      await other.close()
      await relay.close()
    }
  })
})
