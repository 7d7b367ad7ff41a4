import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { hashLeaf } from '../../../src/audit/chain/tree.ts'
import { createChainWriter } from '../../../src/audit/chain/writer.ts'
import { type AuditEntry, emptyEntry } from '../../../src/audit/entry.ts'
import { leafOf, payloadHashOf } from '../../../src/audit/leaf.ts'
import { toChained, toEntry } from '../../../src/audit/row.ts'
import { asc } from '../../../src/db/drizzle.ts'
import { auditBatches, auditEntries, auditWriters } from '../../../src/db/schema.ts'
import { forEachEngine, type TestDatabase } from '../../db/engines.ts'
import { entryOf } from '../entries.ts'
import { checkedCheckpoints, checkpointerOn, logKeyOn, seal, write, writeAllUnchained, writeUnchained } from './chains.ts'

forEachEngine((engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  beforeEach(() => database.sql`truncate audit_entries, audit_writers, audit_batches, audit_tiles, audit_checkpoints, processes`)
  after(() => database.drop())

  const rows = () => database.db.select().from(auditEntries).orderBy(asc(auditEntries.writerId), asc(auditEntries.seq), asc(auditEntries.auditId))
  const change = (fields: Partial<AuditEntry> = {}): AuditEntry => ({ ...emptyEntry({ at: Date.now(), kind: 'change', reason: 'tenant.create' }), ...fields })
  const chainEntries = async () =>
    (await rows()).filter(({ kind }) => kind === 'chain').map(({ reason, metadata }) => ({ reason, subject: metadata?.subject, last_seq: metadata?.last_seq }))

  /** Each row that has a place is the leaf that stands there. */
  async function assertLeaves(): Promise<number> {
    const batches = await database.db.select().from(auditBatches)
    let checked = 0
    for (const row of await rows()) {
      const chained = toChained(row)
      if (!chained) continue
      const batch = batches.find(
        ({ writerId, firstSeq, leaves }) => writerId === row.writerId && row.seq! >= firstSeq && row.seq! < firstSeq + leaves.length / 32,
      )
      const at = (row.seq! - batch!.firstSeq) * 32
      assert.equal(payloadHashOf(chained, chained.salt!), chained.payload_hash)
      assert.deepEqual(hashLeaf(Buffer.from(leafOf(toEntry(row), chained, chained.payload_hash))), batch!.leaves.subarray(at, at + 32))
      checked++
    }
    return checked
  }

  test('rows that say what their seal says get one place each, in one chain of the process, however many look for them', async () => {
    const one = checkpointerOn(database)
    const other = checkpointerOn(database, { processId: 'p_2' })
    const tenants = ['t_1', 't_2', null]
    for (let i = 0; i < 9; i++) await writeUnchained(database, change({ tenant_id: tenants[i % 3]!, metadata: { actor: 'admin', subject: `ü ${i}` } }))
    await writeUnchained(database, entryOf({ outcome: 'unknown', cost_usd: '0.100000000', usage: null }))
    await Promise.all([one.run(), other.run(), one.run(), other.run()])
    await writeUnchained(database, change())
    await Promise.all([one.run(), other.run(), one.run(), other.run()])
    const all = await rows()
    const writers = await database.db.select().from(auditWriters)
    assert.equal(all.length, 11 + writers.length)
    assert.ok(all.every((row) => row.seq !== null && row.seal === null))
    assert.equal(await assertLeaves(), all.length)
    assert.equal((await checkedCheckpoints(database)).at(-1)?.size, all.length)
    assert.deepEqual([one.reported, other.reported], [[], []])
  })

  test('more rows than fit into a batch are chained all the same', async () => {
    await writeAllUnchained(
      database,
      Array.from({ length: 1_203 }, () => change()),
    )
    await checkpointerOn(database).run()
    assert.equal((await checkedCheckpoints(database)).at(-1)?.size, 1_204)
  })

  test('a row that does not say what its seal says gets no place, loses its seal and is reported once, without its text', async () => {
    const checkpointer = checkpointerOn(database)
    const forged = change({ metadata: { actor: 'admin', subject: 'secret words' } })
    await writeUnchained(database, forged, seal(change()))
    await writeUnchained(database, change({ audit_id: 'aud_empty' }), '')
    await writeUnchained(database, change({ audit_id: 'aud_none' }), null)
    await writeUnchained(database, change({ audit_id: 'aud_right' }))
    await checkpointer.run()
    await checkpointer.run()
    const places = Object.fromEntries((await rows()).filter(({ kind }) => kind === 'change').map(({ auditId, seq, seal }) => [auditId, [seq, seal]]))
    assert.deepEqual(places, { [forged.audit_id]: [null, null], aud_empty: [null, null], aud_none: [null, null], aud_right: [2, null] })
    assert.deepEqual(
      checkpointer.reported.map(({ context }) => ({ ...context, audit_ids: [...((context?.audit_ids ?? []) as string[])].sort() })),
      [{ rows: 2, audit_ids: [forged.audit_id, 'aud_empty'].sort() }],
    )
    assert.ok(!JSON.stringify(checkpointer.reported).includes('secret words'))
  })

  test('what the database tells of budgets needs no seal; anything else that claims to be that does', async () => {
    const checkpointer = checkpointerOn(database)
    const system = { actor: 'system', subject: 'budget_1' }
    const told: [Partial<AuditEntry>, boolean][] = [
      [{ reason: 'budget.threshold', metadata: system }, true],
      [{ reason: 'budget.exceeded', metadata: system }, true],
      [{ reason: 'budget.exceeded', metadata: { ...system, actor: 'admin' } }, false],
      [{ reason: 'budget.update', metadata: system }, false],
      [{ reason: null, metadata: system }, false],
      [{ reason: 'budget.exceeded', metadata: system, kind: 'exchange' }, false],
    ]
    for (const [i, [fields]] of told.entries()) await writeUnchained(database, change({ ...fields, audit_id: `aud_${i}` }), 'budget')
    await checkpointer.run()
    const chained = new Map((await rows()).map(({ auditId, seq }) => [auditId, seq !== null]))
    for (const [i, [, isRight]] of told.entries()) assert.equal(chained.get(`aud_${i}`), isRight, `${i}`)
  })

  test('after a commit whose answer was lost the process goes on in another chain', async () => {
    let isLost = true
    const transaction = async (...args: Parameters<typeof database.db.transaction>) => {
      const result = await database.db.transaction(...args)
      if (isLost) throw new Error('the answer was lost')
      return result
    }
    const db = new Proxy(database.db, { get: (target, name) => (name === 'transaction' ? transaction : Reflect.get(target, name)) })
    const checkpointer = checkpointerOn({ ...database, db })
    await writeUnchained(database, change())
    await assert.rejects(checkpointer.run(), /the answer was lost/)
    isLost = false
    await writeUnchained(database, change())
    await checkpointer.run()
    assert.equal(await assertLeaves(), 4)
    assert.deepEqual(
      (await rows()).map(({ seq }) => seq),
      [1, 2, 1, 2],
    )
    assert.deepEqual(
      (await checkedCheckpoints(database)).map(({ size }) => size),
      [2, 4],
    )
  })

  test('a row that is being written over just now is left for the next time, and holds up nobody', { skip: engine === 'pglite' }, async () => {
    const entry = entryOf({ outcome: 'unknown' })
    await writeUnchained(database, entry)
    const checkpointer = checkpointerOn(database)
    await database.sql.begin(async (tx) => {
      await tx`update audit_entries set outcome = 'completed', seal = ${seal({ ...entry, outcome: 'completed' })} where audit_id = ${entry.audit_id}`
      await checkpointer.run()
    })
    assert.deepEqual(
      (await rows()).map(({ seq, outcome }) => [seq, outcome]),
      [[null, 'completed']],
    )
    await checkpointer.run()
    assert.equal(await assertLeaves(), 2)
  })

  test('a process that ends closes its chain, and says where; one that never chained anything has nothing to close', async () => {
    const idle = checkpointerOn(database)
    idle.nudge()
    await idle.close()
    assert.deepEqual(await rows(), [])
    const checkpointer = checkpointerOn(database)
    await writeUnchained(database, change())
    await checkpointer.run()
    await writeUnchained(database, change())
    checkpointer.nudge()
    await checkpointer.close()
    const [writer] = await database.db.select().from(auditWriters)
    assert.deepEqual([writer?.lastSeq, writer?.closedAt !== null], [4, true])
    assert.deepEqual(await chainEntries(), [
      { reason: 'writer.open', subject: writer?.id, last_seq: undefined },
      { reason: 'writer.close', subject: writer?.id, last_seq: 4 },
    ])
    assert.equal((await checkedCheckpoints(database)).at(-1)?.size, 4)
    assert.equal(await assertLeaves(), 4)
  })

  test('the chain of a process that is gone is closed by another, once, after a second look; that of a living one, or our own, is not', async () => {
    let clock = Date.now()
    const { origin } = await logKeyOn(database)()
    const open = (processId: string) => createChainWriter({ origin, processId, version: '1' })
    const [dead, slow, living, fresh, own] = ['p_dead', 'p_slow', 'p_living', 'p_fresh', 'p_1'].map(open)
    for (const writer of [dead, slow, living, fresh, own]) await write(database, writer!, [entryOf(), entryOf()])
    await database.sql`insert into processes (id, host, pid, version) values ('p_living', 'h', 1, '1')`
    await database.sql`update audit_batches set written_at = now() - interval '11 minutes' where writer_id <> ${fresh!.id}`
    const checkpointer = checkpointerOn(database, { now: () => clock })
    await checkpointer.run()
    // It came back between the first look and the second.
    await database.sql`insert into processes (id, host, pid, version) values ('p_slow', 'h', 2, '1')`
    clock += 59_000
    await checkpointer.run()
    const closed = async () => (await database.db.select().from(auditWriters)).filter(({ closedAt }) => closedAt).map(({ id, lastSeq }) => ({ id, lastSeq }))
    assert.deepEqual(await closed(), [])
    clock += 1_000
    await checkpointer.run()
    await checkpointer.run()
    assert.deepEqual(await closed(), [{ id: dead!.id, lastSeq: 3 }])
    assert.deepEqual(
      (await chainEntries()).filter(({ reason }) => reason === 'writer.close'),
      [{ reason: 'writer.close', subject: dead!.id, last_seq: 3 }],
    )
    // It was only slow: what it writes later is told of as well.
    await write(database, dead!, [entryOf()])
    await checkpointer.run()
    await checkpointer.run()
    assert.deepEqual(await closed(), [{ id: dead!.id, lastSeq: 4 }])
    assert.deepEqual(
      (await chainEntries()).filter(({ reason }) => reason === 'writer.close').map(({ last_seq }) => last_seq),
      [3, 4],
    )
    assert.equal((await checkedCheckpoints(database)).at(-1)?.size, 5 * 3 + 1 + 1 + 2)
    assert.equal(await assertLeaves(), 19)
  })
})
