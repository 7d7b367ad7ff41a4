import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { changeAgent, countAgents, findAgent, insertAgent, listAgents, statusOf } from '../../src/access/agents.ts'
import { listQuarantines, openQuarantine, releaseQuarantine } from '../../src/access/quarantines.ts'
import { insertTenant } from '../../src/access/tenants.ts'
import type { Tx } from '../../src/db/connect.ts'
import { violatedUnique } from '../../src/db/unavailable.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'

forEachEngine((_engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  after(() => database.drop())

  const write = <Result>(work: (tx: Tx) => Promise<Result>): Promise<Result> => database.db.transaction(work)
  const at = (second: number): Date => new Date(Date.UTC(2026, 10, 20, 12, 0, second))
  const page = { limit: 10, offset: 0 }

  const tenantWith = async (...names: string[]) => {
    const tenant = await write((tx) => insertTenant(tx, { name: 'Acme' }))
    const agents: string[] = []
    for (const name of names) agents.push((await write((tx) => insertAgent(tx, tenant.id, { name }))).id)
    const quarantine = (agentId: string, second = 0) =>
      write((tx) => openQuarantine(tx, { tenantId: tenant.id, agentId, reason: 'r', createdBy: 'admin', createdAt: at(second) }))
    const release = (id: string, second = 1) =>
      write((tx) => releaseQuarantine(tx, tenant.id, id, { releasedBy: 'admin', releasedAt: at(second), comment: 'fixed' }))
    return { id: tenant.id, agents, quarantine, release }
  }

  test('agents are found, listed, changed and counted by their own tenant only', async () => {
    const mine = await tenantWith('one', 'two')
    const other = await tenantWith('one')
    const [agent] = mine.agents
    assert.equal((await findAgent(database.db, mine.id, agent))?.name, 'one')
    assert.equal(await findAgent(database.db, other.id, agent), undefined)
    assert.equal(await write((tx) => changeAgent(tx, other.id, agent, { name: 'taken' })), undefined)
    assert.equal((await findAgent(database.db, null, agent))?.name, 'one')
    const { rows, total } = await listAgents(database.db, mine.id, page)
    assert.deepEqual([rows.map(({ name }) => name), total], [['two', 'one'], 2])
    assert.deepEqual([await countAgents(database.db, mine.id), await countAgents(database.db, other.id)], [2, 1])
    assert.ok((await listAgents(database.db, null, page)).total >= 3)
  })

  test('two agents of a tenant cannot share a name; two tenants can', async () => {
    const { id } = await tenantWith('one')
    await assert.rejects(
      write((tx) => insertAgent(tx, id, { name: 'one' })),
      (error) => violatedUnique(error) !== undefined,
    )
  })

  test('each status has its own list, and an inactive agent is no other', async () => {
    const { id, agents, quarantine } = await tenantWith('active', 'quarantined', 'inactive')
    for (const agent of agents.slice(1)) await quarantine(agent)
    await write((tx) => changeAgent(tx, id, agents[2], { active: false }))
    for (const status of ['active', 'quarantined', 'inactive'] as const) {
      const { rows, total } = await listAgents(database.db, id, { ...page, status })
      assert.deepEqual([rows.map((row) => [row.name, statusOf(row)]), total], [[[status, status]], 1])
    }
    assert.equal(await countAgents(database.db, id), 2)
  })

  test('an agent is in one quarantine at a time, however many ask for it at once', async () => {
    const { id, agents, quarantine, release } = await tenantWith('one')
    const opened = await Promise.all([quarantine(agents[0]), quarantine(agents[0]), quarantine(agents[0])])
    assert.equal(opened.filter((row) => row !== undefined).length, 1)
    await release(agents[0])
    assert.notEqual(await quarantine(agents[0], 2), undefined)
    assert.equal((await listQuarantines(database.db, id, page)).total, 2)
  })

  test('a quarantine is released once, by its own tenant, by its id or by that of its agent', async () => {
    const { id, agents, quarantine, release } = await tenantWith('one', 'two')
    const other = await tenantWith('three')
    const first = await quarantine(agents[0])
    assert.ok(first)
    assert.deepEqual([await other.release(first.id), await other.release(agents[0])], [undefined, undefined])
    const ended = await release(first.id)
    assert.deepEqual([ended?.released, ended?.row.releasedBy, ended?.row.releasedAt, ended?.row.comment], [true, 'admin', at(1), 'fixed'])
    const again = await release(first.id, 9)
    assert.deepEqual([again?.released, again?.row.releasedAt], [false, at(1)])
    assert.equal(await release(agents[0]), undefined, 'the agent is in no quarantine')
    const second = await quarantine(agents[0], 2)
    await quarantine(agents[1], 3)
    assert.equal((await release(agents[0], 4))?.row.id, second?.id)
    const listed = async (filter: object) => (await listQuarantines(database.db, id, { ...page, ...filter })).rows.map(({ agentId }) => agentId)
    assert.deepEqual(await listed({}), [agents[1], agents[0], agents[0]])
    assert.deepEqual(await listed({ status: 'open' }), [agents[1]])
    assert.deepEqual(await listed({ status: 'released', agentId: agents[0] }), [agents[0], agents[0]])
    assert.deepEqual(await listed({ status: 'released', agentId: agents[1] }), [])
    assert.equal((await findAgent(database.db, id, agents[1]))?.quarantined, true)
    assert.equal((await findAgent(database.db, id, agents[0]))?.quarantined, false)
  })
})
