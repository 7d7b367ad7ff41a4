import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { insertAgent } from '../../src/access/agents.ts'
import { createQuarantineWatch, type QuarantineWatchOptions } from '../../src/access/quarantine-watch.ts'
import { listQuarantines, openQuarantine, releaseQuarantine } from '../../src/access/quarantines.ts'
import { insertTenant } from '../../src/access/tenants.ts'
import { recordChange } from '../../src/audit/record-change.ts'
import type { QuarantineRules } from '../../src/call.ts'
import { connect, type Database, type Db } from '../../src/db/connect.ts'
import { insertEntries, seal } from '../audit/entries.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { agentNamed } from '../harness/nouns.ts'

const NOW = Date.UTC(2026, 10, 20, 12)
const WINDOW_SECONDS = 600
const WINDOW_MS = WINDOW_SECONDS * 1_000
type Entry = Parameters<typeof insertEntries>[1][number]

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let nowhere: Database
  before(async () => {
    database = await open()
    nowhere = await connect({ kind: 'postgres', url: 'postgres://nobody:none@127.0.0.1:1/none' })
  })
  after(async () => {
    await nowhere.close()
    await database.drop()
  })

  /** An agent, what it called, and the watches of as many processes. */
  async function given(thresholds: Partial<QuarantineRules> | null, processes = 1) {
    const clock = { now: NOW }
    const state = { away: false, asked: 0, changed: 0, reported: [] as unknown[] }
    const db = new Proxy(database.db, {
      get(target, name, receiver) {
        if (name === 'execute') state.asked++
        return Reflect.get(state.away ? nowhere.db : target, name, receiver)
      },
    }) as Db
    const [tenantId, other] = await database.db.transaction(async (tx) => [
      (await insertTenant(tx, { name: 'Acme' })).id,
      (await insertTenant(tx, { name: 'Other' })).id,
    ])
    const row = await database.db.transaction((tx) => insertAgent(tx, tenantId, { name: 'crawler' }))
    const quarantine = thresholds && { blocks: null, errors: null, repeats: null, spendFactor: null, windowSeconds: WINDOW_SECONDS, ...thresholds }
    const agent = agentNamed(row.id, { quarantine })
    const record: QuarantineWatchOptions['record'] = (tx, tenant, subject, at) =>
      recordChange(tx, { actor: 'system', action: 'agent.quarantine', tenantId: tenant, subject, keyPrefix: null, requestId: 'req_1', at }, seal)
    const watches = Array.from({ length: processes }, () =>
      createQuarantineWatch({
        db,
        now: () => clock.now,
        record,
        changed: async () => void state.changed++,
        report: (error, context) => state.reported.push([error, context]),
      }),
    )
    /** Calls of the agent, so many ms before now. */
    const called = (count: number, fields: Entry = {}, msAgo = 1_000) =>
      insertEntries(
        database.db,
        Array.from({ length: count }, () => ({ tenantId, agentId: agent.id, httpStatus: 200, timestamp: new Date(clock.now - msAgo), ...fields })),
      )
    /** What the watch of the first process makes of it: the reasons of all quarantines, newest first. */
    const looked = async (): Promise<string[]> => {
      watches[0].saw(tenantId, agent)
      await watches[0].tick()
      return reasons()
    }
    const reasons = async (): Promise<string[]> => (await listQuarantines(database.db, tenantId, { limit: 10, offset: 0 })).rows.map(({ reason }) => reason)
    const release = () =>
      database.db.transaction((tx) => releaseQuarantine(tx, tenantId, agent.id, { releasedBy: 'admin', releasedAt: new Date(clock.now), comment: null }))
    return { clock, state, tenantId, other, agent, watches, called, looked, reasons, release }
  }

  const isBlocked: Entry = { status: 'BLOCK', outcome: 'refused', reason: 'rule', httpStatus: 403 }
  const of = (digit: string): Entry => ({ promptHash: `sha256:${digit.repeat(64)}` })

  test('an agent with too many blocked calls is quarantined by the system, with figures, on record and announced', async () => {
    const { tenantId, agent, called, looked, state } = await given({ blocks: 3 })
    await called(3, isBlocked)
    assert.deepEqual(await looked(), [])
    const seq = await lastChange()
    await called(1, isBlocked)
    assert.deepEqual(await looked(), [`4 calls blocked within ${WINDOW_SECONDS} s; the limit is 3.`])
    const [row] = (await listQuarantines(database.db, tenantId, { status: 'open', limit: 10, offset: 0 })).rows
    assert.deepEqual([row.agentId, row.createdBy, row.createdAt, row.releasedAt], [agent.id, 'system', new Date(NOW), null])
    assert.deepEqual(
      await database.sql`select reason, metadata from audit_entries where kind = 'change' and tenant_id = ${tenantId}`.then((rows) => [...rows]),
      [{ reason: 'agent.quarantine', metadata: { actor: 'system', subject: agent.id } }],
    )
    assert.deepEqual(await database.sql`select kind, tenant_id from changes where seq > ${seq}`.then((rows) => [...rows]), [
      { kind: 'keys', tenant_id: tenantId },
    ])
    assert.deepEqual([state.changed, state.reported], [1, []])
  })
  const lastChange = async (): Promise<number> => (await database.sql`select coalesce(max(seq), 0)::int as seq from changes`)[0]?.seq as number

  test('several processes that see the same calls make one quarantine', async () => {
    const { tenantId, agent, called, watches, reasons } = await given({ blocks: 1 }, 3)
    await called(5, isBlocked)
    for (const watch of watches) watch.saw(tenantId, agent)
    await Promise.all(watches.map((watch) => watch.tick()))
    assert.equal((await reasons()).length, 1)
    const [{ total }] = await database.sql`select count(*)::int as total from audit_entries where kind = 'change' and tenant_id = ${tenantId}`
    assert.equal(total, 1)
  })

  test('only calls within the window count, and none of another agent or another tenant', async () => {
    const { called, looked, other } = await given({ blocks: 3 })
    await called(9, isBlocked, WINDOW_MS + 1)
    await called(9, { ...isBlocked, agentId: 'agent_other' })
    await called(9, { ...isBlocked, tenantId: other })
    await called(9, { ...isBlocked, kind: 'change' })
    await called(3, isBlocked, WINDOW_MS)
    assert.deepEqual(await looked(), [])
    await called(1, isBlocked, WINDOW_MS)
    assert.equal((await looked()).length, 1)
  })

  test('what the agent got wrong or ran into is an error', async () => {
    const errors: Entry[] = [
      { httpStatus: 400 },
      { httpStatus: 404 },
      { httpStatus: 500 },
      { outcome: 'refused', httpStatus: 502, reason: 'upstream_unreachable' },
      { outcome: 'failed', httpStatus: 200, reason: 'upstream_timeout' },
      { outcome: 'failed', httpStatus: null, reason: 'upstream_unreachable' },
      { status: 'REJECTED', outcome: 'refused', httpStatus: 400, reason: 'invalid' },
      { status: 'REJECTED', outcome: 'refused', httpStatus: 403, reason: 'model_not_allowed' },
    ]
    for (const entry of errors) {
      const { called, looked } = await given({ errors: 1 })
      await called(2, entry)
      assert.deepEqual(await looked(), [`2 calls failed within ${WINDOW_SECONDS} s; the limit is 1.`], JSON.stringify(entry))
    }
  })

  test('what rules stopped, limits, a client that left, and what Earthflow could not do are no errors', async () => {
    const { called, looked } = await given({ errors: 1 })
    for (const entry of [
      {},
      isBlocked,
      { status: 'ESCALATE', outcome: 'refused', httpStatus: 403, reason: 'approval_required' },
      { status: 'REJECTED', outcome: 'refused', httpStatus: 429, reason: 'rate_limit' },
      { status: 'REJECTED', outcome: 'refused', httpStatus: 429, reason: 'budget' },
      { httpStatus: 429 },
      { status: 'REJECTED', outcome: 'refused', httpStatus: 403, reason: 'quarantine' },
      { status: 'REJECTED', outcome: 'failed', httpStatus: 503, reason: 'unavailable' },
      { outcome: 'failed', httpStatus: 503, reason: 'unavailable' },
      { status: 'REJECTED', outcome: 'failed', httpStatus: 500, reason: 'internal' },
      { outcome: 'failed', httpStatus: 500, reason: 'internal' },
      { outcome: 'cancelled', httpStatus: null, reason: 'cancelled' },
      { outcome: 'unknown', httpStatus: null },
    ] satisfies Entry[])
      await called(2, entry)
    assert.deepEqual(await looked(), [])
  })

  test('the same prompt again and again is noticed, not many prompts, and neither refused nor empty ones', async () => {
    const { called, looked } = await given({ repeats: 3 })
    for (const digit of 'abcdef') await called(2, of(digit))
    await called(3, of('1'))
    await called(9)
    await called(9, { ...of('1'), status: 'REJECTED', outcome: 'refused', httpStatus: 429 })
    await called(9, { promptHash: 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' })
    assert.deepEqual(await looked(), [])
    await called(1, of('1'))
    assert.deepEqual(await looked(), [`4 calls with the same prompt within ${WINDOW_SECONDS} s; the limit is 3.`])
  })

  const windowsAgo = (windows: number): number => windows * WINDOW_MS + 1_000

  test('spending many times what is usual is noticed, once there is something usual', async () => {
    const { called, looked } = await given({ spendFactor: 2 })
    for (const windows of [1, 2, 4]) await called(2, { costUsd: '0.6' }, windowsAgo(windows)) // 3.6 USD in the 3 windows before
    await called(1, { costUsd: '2.39' })
    assert.deepEqual(await looked(), [])
    await called(1, { costUsd: '0.02' })
    assert.deepEqual(await looked(), [`2.41 USD spent within ${WINDOW_SECONDS} s; usual are 1.20 USD, and the limit is 2 times that.`])
  })

  test('the first calls of an agent, small change, and the first that have a price trip nothing', async () => {
    const fresh = await given({ spendFactor: 2 })
    await fresh.called(1, { costUsd: '500' })
    assert.deepEqual(await fresh.looked(), [])
    await fresh.called(1, { costUsd: '1' }, windowsAgo(3.9))
    await fresh.called(1, {}, windowsAgo(7)) // without a price
    assert.deepEqual(await fresh.looked(), [], 'before this one it spent for less than three windows')
    const small = await given({ spendFactor: 2 })
    await small.called(1, { costUsd: '0.001' }, windowsAgo(7))
    await small.called(1, { costUsd: '0.99' })
    assert.deepEqual(await small.looked(), [])
    await small.called(1, { costUsd: '0.01' })
    assert.equal((await small.looked()).length, 1)
  })

  test('what was spent longer ago than eight windows is usual no more', async () => {
    const { called, looked } = await given({ spendFactor: 2 })
    await called(1, { costUsd: '1000' }, windowsAgo(9))
    await called(1, { costUsd: '1' }, windowsAgo(7))
    await called(1, { costUsd: '5' })
    assert.equal((await looked()).length, 1)
  })

  test('a released agent starts counting from its release', async () => {
    const { called, looked, release, clock } = await given({ blocks: 1 })
    await called(2, isBlocked)
    assert.equal((await looked()).length, 1)
    await release()
    clock.now += 1_000
    await called(1, isBlocked, 0)
    assert.equal((await looked()).length, 1, 'one since the release')
    await called(1, isBlocked, 0)
    assert.deepEqual(await looked(), Array(2).fill(`2 calls blocked within ${WINDOW_SECONDS} s; the limit is 1.`))
  })

  test('who is released while the calls are being counted stays released', async () => {
    const { tenantId, agent, called, watches, reasons, release, clock } = await given({ blocks: 1 })
    await called(2, isBlocked)
    await database.db.transaction((tx) =>
      openQuarantine(tx, { tenantId, agentId: agent.id, reason: 'by hand', createdBy: 'admin', createdAt: new Date(clock.now) }),
    )
    const { transaction } = database.db
    // Between the count and the transaction that follows it, as late as can be.
    database.db.transaction = (async (...work: Parameters<typeof transaction>) => {
      database.db.transaction = transaction
      await release()
      return transaction.apply(database.db, work)
    }) as typeof transaction
    watches[0].saw(tenantId, agent)
    await watches[0].tick()
    database.db.transaction = transaction
    assert.deepEqual(await reasons(), ['by hand'])
    const { rows } = await listQuarantines(database.db, tenantId, { status: 'open', limit: 10, offset: 0 })
    assert.deepEqual(rows, [])
  })

  test('an agent without thresholds, one in quarantine and one that did not call cost no statement', async () => {
    const { tenantId, agent, watches, state } = await given(null)
    watches[0].saw(tenantId, agent)
    watches[0].saw(tenantId, { ...agent, quarantined: true, quarantine: { blocks: 1, errors: 1, repeats: 1, spendFactor: 2, windowSeconds: 60 } })
    await watches[0].tick()
    assert.equal(state.asked, 0)
  })

  test('a tick looks once at an agent however often it called, and again only after another call', async () => {
    const { tenantId, agent, watches, state } = await given({ blocks: 1 })
    for (let i = 0; i < 100; i++) watches[0].saw(tenantId, agent)
    const first = watches[0].tick()
    assert.equal(watches[0].tick(), first, 'one at a time')
    await first
    await watches[0].tick()
    assert.equal(state.asked, 1)
    watches[0].saw(tenantId, agent)
    await watches[0].tick()
    assert.equal(state.asked, 2)
  })

  test('a look that took long is not soon repeated', async () => {
    const { tenantId, agent, watches, state, clock } = await given({ blocks: 1 })
    const { execute } = database.db
    database.db.execute = ((...statement: Parameters<typeof execute>) => {
      clock.now += 100
      return execute.apply(database.db, statement)
    }) as typeof execute
    watches[0].saw(tenantId, agent)
    await watches[0].tick()
    database.db.execute = execute
    watches[0].saw(tenantId, agent)
    clock.now += 1_999
    await watches[0].tick()
    assert.equal(state.asked, 1)
    clock.now += 1
    await watches[0].tick()
    assert.equal(state.asked, 2)
  })

  test('a tick looks at fifty agents, and the next at the others', async () => {
    const { tenantId, agent, watches, state } = await given({ blocks: 1 })
    for (let i = 0; i < 60; i++) watches[0].saw(tenantId, { ...agent, id: `agent_${i}` })
    await watches[0].tick()
    assert.equal(state.asked, 50)
    await watches[0].tick()
    assert.equal(state.asked, 60)
  })

  test('while the database is away the watch reports and goes on, and looks again at the next tick', async () => {
    const { tenantId, agent, called, watches, state, reasons } = await given({ blocks: 1 })
    await called(2, isBlocked)
    state.away = true
    watches[0].saw(tenantId, agent)
    await watches[0].tick()
    assert.deepEqual(
      state.reported.map((one) => (one as unknown[])[1]),
      [{ tenant_id: tenantId, agent_id: agent.id }],
    )
    state.away = false
    await watches[0].tick()
    assert.equal((await reasons()).length, 1)
  })

  test('a watch that was closed looks at nobody', async () => {
    const { tenantId, agent, watches, state } = await given({ blocks: 1 })
    watches[0].saw(tenantId, agent)
    await watches[0].close()
    watches[0].saw(tenantId, agent)
    await watches[0].tick()
    assert.equal(state.asked, 0)
  })

  test('thresholds are those the agent had at its last call', async () => {
    const { tenantId, agent, called, watches, reasons } = await given({ blocks: 1 })
    await called(2, isBlocked)
    watches[0].saw(tenantId, agent)
    watches[0].saw(tenantId, { ...agent, quarantine: agent.quarantine && { ...agent.quarantine, blocks: 5 } })
    await watches[0].tick()
    assert.deepEqual(await reasons(), [])
  })
})
