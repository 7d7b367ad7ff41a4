import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { createDataKeys, holdMasterKeys, keepMasterKeys } from '../../src/crypto/data-keys.ts'
import { createKeyProvider } from '../../src/crypto/key-provider.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { generateMasterKey, masterKeyId, parseMasterKeys } from '../../src/crypto/master-key.ts'
import { BATCH, createRewrap, retireOthers } from '../../src/crypto/rewrap.ts'
import { connect, type Database } from '../../src/db/connect.ts'
import { dataKeys, processes } from '../../src/db/schema.ts'
import { retireOld } from '../../src/rotation/retire-old.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { until } from '../harness/client.ts'

const masterKey = () => parseMasterKeys(generateMasterKey())[0]!
const place = 'upstreams.credential.up_1'

forEachEngine((engine, open) => {
  let database: TestDatabase
  let other: Database
  before(async () => {
    database = await open()
    other = engine === 'postgres' ? await connect(database.options) : database
  })
  beforeEach(async () => {
    await database.db.delete(dataKeys)
    await database.db.delete(processes)
  })
  after(async () => {
    if (other !== database) await other.close()
    await database.drop()
  })

  const ring = (keys: Buffer[], { db }: Database = database) => createKeyring(db, keys)
  const rewrap = (...keys: Buffer[]) => createRewrap(database.db, createKeyProvider(keys))
  const all = async (...keys: Buffer[]): Promise<number> => {
    let wrapped = 0
    for (let some = 1; some > 0; wrapped += some) some = await rewrap(...keys).some(null)
    return wrapped
  }
  const retire = (key: Buffer, isDryRun = false) => retireOld(database, { masterKey: masterKeyId(key), isDryRun, record: null })
  const alive = (id: string, ...keys: Buffer[]) =>
    database.db.insert(processes).values({ id, host: 'h', pid: 1, version: '2', masterKeys: keys.map(masterKeyId) })
  const wrappedBy = async () => new Set((await database.db.select().from(dataKeys)).map(({ wrappings }) => Object.keys(wrappings).sort().join()))

  test('at every moment of a rolling rotation every process opens what every other one seals, also under keys made at that moment', async () => {
    const [old, fresh] = [masterKey(), masterKey()]
    const sealed: [tenant: string, text: string][] = []
    let tenants = 0
    const everybodyOpensAll = async (rings: ReturnType<typeof ring>[]): Promise<void> => {
      for (const one of rings) sealed.push([`t_${++tenants}`, await one.seal(`t_${tenants}`, place, 'secret')])
      for (const one of [...rings, ...rings.toReversed()]) {
        await one.pepper()
        for (const [tenant, text] of sealed) assert.equal(await one.open(tenant, place, text), 'secret')
      }
    }
    const [a, b] = [ring([old]), ring([old], other)]
    await everybodyOpensAll([a, b])
    assert.ok((await all(fresh, old)) > 0, 'rotate-master')
    await everybodyOpensAll([a, b])
    const b2 = ring([fresh, old], other)
    await b2.verify()
    await everybodyOpensAll([a, b2])
    await everybodyOpensAll([b2, a])
    const a2 = ring([fresh, old])
    await everybodyOpensAll([a2, b2])
    await all(fresh, old) // what the last process with the old key made meanwhile
    assert.deepEqual((await retire(fresh)).refused, [])
    assert.deepEqual(await wrappedBy(), new Set([masterKeyId(fresh)]))
    const b3 = ring([fresh], other)
    await b3.verify()
    await everybodyOpensAll([a2, b3])
    await everybodyOpensAll([ring([fresh]), b3])
    assert.deepEqual(await wrappedBy(), new Set([masterKeyId(fresh)]))
    await assert.rejects(ring([old]).verify(), /^Error: EARTHFLOW_MASTER_KEY does not open this database/)
  })

  test('wrapping goes on where it was interrupted, and again does nothing', async () => {
    const [old, fresh] = [masterKey(), masterKey()]
    const data = createDataKeys(database.db, createKeyProvider([old]))
    for (let i = 0; i < BATCH + 3; i++) await data.make('secrets', `t_${i}`, 1)
    assert.equal(await rewrap(fresh, old).some(null), BATCH)
    assert.deepEqual(await rewrap(fresh, old).count(), { dataKeys: BATCH + 3, lacking: 3, old: { [masterKeyId(old)]: BATCH + 3 } })
    assert.equal(await all(fresh, old), 3)
    const before = await database.db.select().from(dataKeys)
    assert.equal(await all(fresh, old), 0)
    assert.deepEqual(await database.db.select().from(dataKeys), before)
    assert.equal((await rewrap(fresh).count()).lacking, 0)
  })

  test('what is wrapped or made is told of in the same transaction, or not at all', async () => {
    const [old, fresh] = [masterKey(), masterKey()]
    const data = createDataKeys(database.db, createKeyProvider([old]))
    const stood = () => database.db.select().from(dataKeys)
    const told: number[] = []
    const tell = async (_tx: unknown, count: number): Promise<void> => void told.push(count)
    const fail = () => Promise.reject(new Error('no record'))
    const wanted = [1, 2].map((version) => ({ purpose: 'secrets' as const, tenantId: 't_1', version }))
    await assert.rejects(data.makeAll(wanted, fail), /no record/)
    assert.deepEqual(await stood(), [])
    assert.equal(await data.makeAll(wanted, tell), 2)
    assert.equal(await data.makeAll(wanted, tell), 0, 'there are these')
    const before = await stood()
    await assert.rejects(rewrap(fresh, old).some(fail), /no record/)
    assert.deepEqual(await stood(), before)
    assert.equal(await rewrap(fresh, old).some(tell), 2)
    assert.equal(await rewrap(fresh, old).some(tell), 0)
    assert.deepEqual(told, [2, 2])
  })

  test('a data key that somebody of an older version writes during a retirement keeps the wrapping it has', async () => {
    const [old, fresh] = [masterKey(), masterKey()]
    await ring([old]).pepper()
    await all(fresh, old)
    await database.db.transaction((tx) =>
      retireOthers(tx, masterKeyId(fresh), {
        isDryRun: false,
        async reasons() {
          await tx.insert(dataKeys).values({ id: 'dk_late', purpose: 'secrets', tenantId: 't_1', wrappings: { [masterKeyId(old)]: 'x' } })
          return []
        },
      }),
    )
    assert.deepEqual(await wrappedBy(), new Set([masterKeyId(old), masterKeyId(fresh)]))
  })

  test('retirement is refused, and takes nothing, while a live process or a data key is without the new master key', async () => {
    const [old, fresh] = [masterKey(), masterKey()]
    await ring([old]).seal('t_1', place, 'secret')
    await ring([old]).pepper()
    await rewrap(fresh, old).some(null)
    await database.sql`update data_keys set wrappings = wrappings - ${masterKeyId(fresh)} where purpose = 'pepper'`
    await alive('proc_late', old)
    await alive('proc_ready', fresh, old)
    await alive('proc_second', old, fresh)
    await alive('proc_of_before')
    const stood = await database.db.select().from(dataKeys)
    const { refused } = await retire(fresh)
    assert.deepEqual(refused.map((reason) => /proc_\w+|^\d+ data keys/.exec(reason)?.[0]).sort(), ['1 data keys', 'proc_late', 'proc_of_before', 'proc_second'])
    assert.deepEqual(await database.db.select().from(dataKeys), stood)

    await database.sql`update processes set heartbeat_at = now() - interval '2 minutes' where id <> 'proc_ready'`
    assert.equal((await retire(fresh)).refused.length, 1, 'the data key')
    await all(fresh, old)
    assert.deepEqual((await retire(fresh, true)).old, { [masterKeyId(old)]: 2 })
    assert.equal((await rewrap(fresh).count()).old[masterKeyId(old)], 2, 'a dry run')
    assert.deepEqual((await retire(fresh)).refused, [])
    assert.deepEqual(await retire(fresh), { masterKey: masterKeyId(fresh), dataKeys: 2, old: {}, refused: [] }, 'again')
  })

  test('a process that slept through the retirement makes no data key that only it could open', async () => {
    const [old, fresh] = [masterKey(), masterKey()]
    const sleeper = ring([old])
    const sealed = await sleeper.seal('t_1', place, 'secret')
    await all(fresh, old)
    assert.deepEqual((await retire(fresh)).refused, [])
    assert.equal(await sleeper.open('t_1', place, sealed), 'secret', 'what it knows')
    await assert.rejects(sleeper.seal('t_2', place, 'secret'), /EARTHFLOW_MASTER_KEY does not open this database/)
    await assert.rejects(sleeper.pepper(), /EARTHFLOW_MASTER_KEY does not open this database/)
    assert.deepEqual(await wrappedBy(), new Set([masterKeyId(fresh)]))
  })

  if (engine === 'postgres') {
    test('makers and starting processes that race with a retirement leave no data key that only an old master key opens', async () => {
      const [old, fresh] = [masterKey(), masterKey()]
      await ring([old]).seal('t_0', place, 'secret')
      for (let round = 0; round < 10; round++) {
        await all(fresh, old)
        await database.db.delete(processes)
        const makers = Array.from({ length: 4 }, (_, i) => ring(i % 2 ? [old] : [fresh, old], other).seal(`t_${round}_${i}`, place, 'secret'))
        const making = Promise.allSettled(makers)
        const { refused } = await retire(fresh)
        await making
        const { lacking, old: left } = await rewrap(fresh).count()
        // Either the retirement saw a data key that only the old master key opens, or there is none.
        if (refused.length === 0) assert.deepEqual([lacking, left], [0, {}])
        else assert.ok(lacking > 0)
        if (refused.length === 0) await all(old, fresh)
      }
    })

    test('a retirement that waits too long for who makes data keys takes nothing, and says what to do', async () => {
      const [old, fresh] = [masterKey(), masterKey()]
      await ring([old]).pepper()
      await all(fresh, old)
      await other.db.transaction(async (tx) => {
        await keepMasterKeys(tx)
        const { refused } = await retireOld(database, { masterKey: masterKeyId(fresh), isDryRun: false, record: null, lockMs: 50 })
        assert.match(refused.join(), /^For 0.05 s somebody was making data keys.* Run it again\.$/)
      })
      assert.deepEqual((await retire(fresh)).refused, [])
    })

    test('who makes a data key or begins during a retirement waits for its end, and then does neither with the old key', async () => {
      const [old, fresh] = [masterKey(), masterKey()]
      await ring([old]).pepper()
      await all(fresh, old)
      const attempts: [who: string, attempt: () => Promise<unknown>][] = [
        ['a maker', () => ring([old], other).seal('t_1', place, 'secret')],
        ['a process that begins', () => ring([old], other).verify()],
      ]
      for (const [who, attempt] of attempts) {
        await all(fresh, old)
        let attempting: Promise<unknown> = Promise.resolve()
        let isOver = false
        await database.db.transaction(async (tx) => {
          await holdMasterKeys(tx)
          attempting = assert.rejects(attempt(), /EARTHFLOW_MASTER_KEY does not open this database/, who).finally(() => {
            isOver = true
          })
          attempting.catch(() => {})
          const isWaiting = async () =>
            (
              await database.sql`select 1 from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())`
            ).length > 0
          await until(async () => isOver || (await isWaiting()), who)
          await retireOthers(tx, masterKeyId(fresh), { reasons: async () => [], isDryRun: false })
        })
        await attempting
        await all(old, fresh)
      }
    })
  }
})
