import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { payloads } from '../../../src/admin/documents/events.ts'
import type { Degradation } from '../../../src/audit/chain/checkpointer.ts'
import { makeCheckpoint } from '../../../src/audit/chain/make-checkpoint.ts'
import { createSilentWriters } from '../../../src/audit/chain/silent-writers.ts'
import { createUnchained } from '../../../src/audit/chain/unchained.ts'
import { createChainWriter } from '../../../src/audit/chain/writer.ts'
import { forEachEngine, type TestDatabase } from '../../db/engines.ts'
import { forget, listen, queued } from '../../webhooks/endpoints-of.ts'
import { entryOf } from '../entries.ts'
import { checkpointerOn, logKeyOn, seal, write } from './chains.ts'

forEachEngine((engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  afterEach(() => forget(database))
  after(() => database.drop())

  const writer = async () => createChainWriter({ origin: (await logKeyOn(database)()).origin, processId: 'p_w', version: '1' })

  test(`${engine}: every checkpoint is told with it, of the installation, and fits its schema; where nothing is new nothing is told`, async () => {
    const id = await listen(database, null, ['AUDIT_CHECKPOINT'])
    await listen(database, 't_1', ['*'])
    const told: number[] = []
    const checkpointer = checkpointerOn(database, { onTold: (deliveries) => told.push(deliveries) })
    await write(database, await writer(), [entryOf()])
    await checkpointer.run()
    await checkpointer.run()
    const [row] = await database.sql`select tree_size::int, encode(root, 'base64') as root from audit_checkpoints order by tree_size desc limit 1`
    const { origin } = await logKeyOn(database)()
    const [event, ...more] = await queued(database)
    assert.deepEqual([event?.data, event?.deliveries, more, told], [{ origin, ...row }, [id], [], [1]])
    const sent = { event: 'AUDIT_CHECKPOINT', request_id: event!.request_id, tenant_id: null, timestamp: new Date().toISOString(), data: event!.data }
    assert.ok(payloads.AUDIT_CHECKPOINT.safeParse(sent).success)
  })

  test(`${engine}: a checkpoint that is not committed is not told`, async () => {
    await listen(database, null, ['*'])
    const key = await logKeyOn(database)()
    await write(database, await writer(), [entryOf()])
    const unchained = createUnchained({ openWriter: () => createChainWriter({ origin: key.origin, processId: 'p_2', version: '1' }), seal, now: Date.now })
    const turn = { key, unchained, silent: createSilentWriters({ processId: 'p_2', now: Date.now }), pauseMs: 0, isLast: false }
    const undone = new Error('undone')
    await assert.rejects(
      database.db.transaction(async (tx) => {
        const made = await makeCheckpoint(tx, turn)
        assert.equal(made.outcome === 'done' && made.deliveries, 1)
        throw undone
      }),
      (error) => error === undone,
    )
    assert.deepEqual(await queued(database), [])
  })
})

/** Fails until told otherwise; a pass is an interval. */
function failing(t: import('node:test').TestContext, recordDegraded: (degradation: Degradation) => Promise<void>) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let clock = 1_000_000
  const state = { error: Object.assign(new Error('away'), { code: 'ECONNREFUSED' }) as Error | null }
  const away = { transaction: () => (state.error ? Promise.reject(state.error) : Promise.resolve({ outcome: 'not our turn' })) }
  const options = { now: () => clock, everyMs: 10_000, recordDegraded, logKey: async () => ({ origin: 'o', vkey: '', sign: () => '' }) }
  const checkpointer = checkpointerOn({ db: away } as never, options)
  const settled = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) await new Promise(setImmediate)
  }
  return {
    state,
    checkpointer,
    async start() {
      checkpointer.start()
      t.mock.timers.tick(0)
      await settled()
    },
    async pass() {
      t.mock.timers.tick(10_000)
      clock += 10_000
      await settled()
    },
  }
}

test('that no checkpoint is made is put on record once for each time, as soon as that can be', async (t) => {
  const asked: Degradation[] = []
  let refuses = true
  const { state, checkpointer, start, pass } = failing(t, async (degradation) => {
    asked.push(degradation)
    if (refuses) throw state.error
  })
  await start()
  await pass()
  assert.deepEqual(asked, [], 'not before two intervals are over')
  await pass()
  await pass()
  assert.deepEqual(asked, Array(2).fill({ since: 1_000_000, at: 1_020_000, error: state.error }), 'the database is away for that too')
  refuses = false
  await pass()
  await pass()
  assert.equal(asked.length, 3, 'it is on record')
  assert.deepEqual([checkpointer.isDegraded, checkpointer.reported], [true, []])
})
