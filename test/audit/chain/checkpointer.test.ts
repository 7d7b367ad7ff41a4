import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import type { Degraded } from '../../../src/audit/chain/checkpointer.ts'
import type { Checkpoint } from '../../../src/audit/chain/make-checkpoint.ts'
import type { CheckpointSink } from '../../../src/audit/chain/sink.ts'
import { TreeMismatch } from '../../../src/audit/chain/tree.ts'
import { type ChainWriter, createChainWriter } from '../../../src/audit/chain/writer.ts'
import { connect, type Database } from '../../../src/db/connect.ts'
import { forEachEngine, type TestDatabase } from '../../db/engines.ts'
import { entryOf } from '../entries.ts'
import { checkedCheckpoints, checkpointerOn, commit, logKeyOn, write, writeUnchained } from './chains.ts'

forEachEngine((engine, open) => {
  let database: TestDatabase
  let writer: () => ChainWriter
  before(async () => {
    database = await open()
    const { origin } = await logKeyOn(database)()
    writer = () => createChainWriter({ origin, processId: 'p_w', version: '1' })
  })
  beforeEach(() => database.sql`truncate audit_entries, audit_writers, audit_batches, audit_tiles, audit_checkpoints, processes`)
  after(() => database.drop())

  const entries = (count: number) => Array.from({ length: count }, () => entryOf())
  const sizes = async () => (await checkedCheckpoints(database)).map(({ size }) => size)

  test('a checkpoint is over all that was written, chain by chain, and one after it over all that was written since', async () => {
    const told: Checkpoint[] = []
    const checkpointer = checkpointerOn(database, { onCheckpoint: (checkpoint) => told.push(checkpoint) })
    const [a, b] = [writer(), writer()]
    await write(database, a, entries(300))
    await write(database, b, entries(1))
    await write(database, a, entries(2))
    await checkpointer.run()
    await write(database, b, entries(3))
    await checkpointer.run()
    assert.deepEqual(await sizes(), [305, 308])
    assert.deepEqual(
      told.map(({ tree_size, note }) => ({ size: tree_size, note })),
      (await checkedCheckpoints(database)).map(({ size, note }) => ({ size, note })),
    )
  })

  test('where nothing is new nothing is written', async () => {
    const checkpointer = checkpointerOn(database)
    await checkpointer.run()
    await write(database, writer(), entries(1))
    await checkpointer.run()
    await checkpointer.run()
    assert.deepEqual(await sizes(), [2])
  })

  test('several at once, while others write, never sign two roots for one size, and leave nothing out', async () => {
    const others: Database[] = engine === 'postgres' ? [await connect(database.options), await connect(database.options)] : [database, database]
    const checkpointers = [database, ...others].map((each, i) => checkpointerOn(each, { processId: `p_${i}` }))
    const writers = [writer(), writer(), writer()]
    let leaves = writers.length
    for (let round = 0; round < 6; round++) {
      leaves += writers.length * (round + 1)
      await Promise.all([
        ...checkpointers.map((one) => one.run()),
        ...writers.map((one) => write(database, one, entries(round + 1))),
        ...checkpointers.map((one) => one.run()),
      ])
    }
    await checkpointers[0]!.run()
    assert.equal((await sizes()).at(-1), leaves)
    if (engine === 'postgres') for (const one of others) await one.close()
  })

  test('a batch that is seen before the one it follows waits for it, is reported once, and none is left out', async () => {
    const checkpointer = checkpointerOn(database)
    const late = writer()
    const [first, second, third] = [1, 2, 3].map((count) => {
      const sealed = late.seal(entries(count), 0)
      late.written(sealed)
      return sealed
    })
    await commit(database, late, second!)
    await write(database, writer(), entries(4))
    await checkpointer.run()
    await checkpointer.run()
    assert.deepEqual(await sizes(), [5])
    assert.deepEqual(
      checkpointer.reported.map(({ context }) => context),
      [{ writer_id: late.id, expected_seq: 1, found_seq: 3 }],
    )
    await commit(database, late, first!)
    await checkpointer.run()
    await commit(database, late, third!)
    await checkpointer.run()
    assert.deepEqual(await sizes(), [5, 9, 12])
  })

  test('another process’s checkpoint of a moment ago does for now', async () => {
    const one = checkpointerOn(database, { everyMs: 60_000 })
    const other = checkpointerOn(database, { everyMs: 60_000, processId: 'p_2' })
    await write(database, writer(), entries(1))
    await one.run()
    await write(database, writer(), entries(1))
    await other.run()
    assert.deepEqual(await sizes(), [2])
    await database.sql`update audit_checkpoints set created_at = created_at - interval '31 seconds'`
    await other.run()
    await write(database, writer(), entries(1))
    // Whoever's clock went back an hour, or the database's: nobody waits for it.
    await database.sql`update audit_checkpoints set created_at = created_at + interval '1 hour'`
    await one.run()
    assert.deepEqual(await sizes(), [2, 4, 6])
  })

  test('where the transaction fails halfway nothing of it stays, and the next one has everything', async () => {
    let fails = true
    const key = await logKeyOn(database)()
    const sign: typeof key.sign = (head) => {
      if (fails) throw new Error('the power failed')
      return key.sign(head)
    }
    const checkpointer = checkpointerOn(database, { logKey: async () => ({ ...key, sign }) })
    await write(database, writer(), entries(300))
    await writeUnchained(database, entryOf())
    await assert.rejects(checkpointer.run(), /the power failed/)
    assert.deepEqual(await sizes(), [])
    assert.equal((await database.sql`select 1 from audit_writers where process_id = 'p_1'`).length, 0)
    fails = false
    await checkpointer.run()
    assert.deepEqual(await sizes(), [303])
    await writeUnchained(database, entryOf())
    await checkpointer.run()
    assert.deepEqual(await sizes(), [303, 304])
    assert.equal((await database.sql`select 1 from audit_writers where process_id = 'p_1'`).length, 1)
  })

  test('nothing is signed after a tree that is not the one that was signed', async () => {
    const checkpointer = checkpointerOn(database)
    await write(database, writer(), entries(5))
    await checkpointer.run()
    await write(database, writer(), entries(5))
    await database.sql`update audit_tiles set hashes = set_byte(hashes, 3, (get_byte(hashes, 3) + 1) % 256)`
    await assert.rejects(checkpointer.run(), TreeMismatch)
    assert.equal((await database.sql`select 1 from audit_checkpoints`).length, 1)
  })

  test('a sink that fails is caught up with, oldest first and each once, and checkpoints are made meanwhile', async () => {
    const delivered: number[] = []
    let isDown = true
    const sink: CheckpointSink = {
      async deliver({ treeSize }) {
        if (isDown) throw new Error('the sink is full')
        delivered.push(treeSize)
      },
    }
    const checkpointer = checkpointerOn(database, { sink })
    const chain = writer()
    for (let i = 0; i < 3; i++) {
      await write(database, chain, entries(1))
      await assert.rejects(checkpointer.run(), /the sink is full/)
    }
    assert.deepEqual(await sizes(), [2, 3, 4])
    isDown = false
    await checkpointer.run()
    await checkpointer.run()
    assert.deepEqual(delivered, [2, 3, 4])
    assert.ok((await checkedCheckpoints(database)).every(({ deliveredAt }) => deliveredAt !== null))
  })

  test('whoever fails for two intervals says so once, and once when all is well again', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const told: Degraded[] = []
    let clock = 0
    let fails: Error | null = new Error('away')
    const key = await logKeyOn(database)()
    const checkpointer = checkpointerOn(database, {
      now: () => clock,
      everyMs: 10_000,
      logKey: async () => {
        if (fails) throw fails
        return key
      },
      onDegraded: (degraded) => told.push(degraded),
    })
    const pass = async (): Promise<void> => {
      t.mock.timers.tick(10_000)
      clock += 10_000
      // The work of a failing run takes no time; one that succeeds asks the database.
      await (fails ? new Promise(setImmediate) : database.sql`select 1`)
    }
    checkpointer.start()
    t.mock.timers.tick(0)
    await new Promise(setImmediate)
    await pass()
    assert.deepEqual([told, checkpointer.isDegraded], [[], false])
    await pass()
    await pass()
    assert.deepEqual([told, checkpointer.isDegraded], [[{ isDegraded: true, error: fails }], true])
    assert.equal(checkpointer.waitingMs, clock, 'since it was asked for')
    fails = null
    while (checkpointer.isDegraded) await pass()
    assert.deepEqual(told.slice(1), [{ isDegraded: false, error: null }])
    assert.equal(checkpointer.waitingMs, 0, 'nothing waits')
  })
})
