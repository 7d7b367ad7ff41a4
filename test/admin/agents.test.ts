import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { AGENTS_PER_TENANT_MAX } from '../../src/access/agents.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { type Answer, type Management, manage } from './management.ts'

const unlimited = { max_requests_per_minute: null, max_requests_per_day: null, max_tokens_per_minute: null, max_tokens_per_day: null, max_concurrency: null }
const noThresholds = { blocks: null, errors: null, repeats: null, spend_factor: null, window_seconds: 3_600 }

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: Management
  before(async () => {
    database = await open()
    api = manage(database)
  })
  after(() => database.drop())

  /** A tenant with an agent that has a key. */
  async function given(fields: Record<string, unknown> = {}) {
    const { id, key } = await api.createTenant({ rules_preset: null })
    const agent = await api.ask('POST', '/v1/agents', { tenant: id, body: { name: 'crawler', ...fields } })
    assert.equal(agent.status, 201, JSON.stringify(agent.json))
    const issue = (body: object = {}): Promise<Answer> => api.ask('POST', `/v1/tenants/${id}/keys`, { body: { agent_id: agent.json.id, ...body } })
    const issued = await issue()
    assert.equal(issued.status, 201, JSON.stringify(issued.json))
    return { id, tenantKey: key, agent: agent.json, path: `/v1/agents/${agent.json.id}`, key: issued.json.api_key as string, issue }
  }
  const answerOf = ({ status, json }: Answer): unknown[] => [status, json?.error, json?.context?.field]
  const recorded = async (tenant: string): Promise<string[]> =>
    (await api.ask('GET', '/v1/audit?kind=change', { tenant })).json.entries.map((entry: { reason: string }) => entry.reason)

  test('an agent is kept as it was sent, what a GET answered can be sent back, and its key brings it along', async () => {
    const fields = {
      name: 'crawler',
      limits: { ...unlimited, max_requests_per_minute: 60, max_concurrency: 2 },
      allowed_models: ['gpt-*'],
      quarantine: { blocks: 10, errors: 20, repeats: 30, spend_factor: 2.5, window_seconds: 600 },
      active: true,
    }
    const { id, agent, path, key } = await given(fields)
    assert.deepEqual(agent, { ...fields, id: agent.id, tenant_id: id, status: 'active', budgets: [], created_at: agent.created_at })
    assert.match(agent.id, /^agent_[0-9a-z]{26}$/)
    const shown = (await api.ask('GET', path, { tenant: id })).json
    assert.deepEqual(shown, agent)
    assert.deepEqual((await api.ask('PATCH', path, { tenant: id, body: { ...shown, status: 'inactive', budgets: [] } })).json, agent)
    const caller = await api.keys.find(key)
    assert.deepEqual([caller?.agent?.id, caller?.agent?.name, caller?.agent?.limits?.concurrency], [agent.id, 'crawler', 2])
    assert.deepEqual(caller?.agent?.quarantine, { blocks: 10, errors: 20, repeats: 30, spendFactor: 2.5, windowSeconds: 600 })
    assert.deepEqual(caller?.agent?.allowedModels, ['gpt-*'])
  })

  test('what is not said of an agent is no limit; limits and thresholds that name nothing are none', async () => {
    const { id, agent, path } = await given()
    assert.deepEqual([agent.limits, agent.allowed_models, agent.quarantine, agent.active], [null, null, null, true])
    const patch = async (body: object) => (await api.ask('PATCH', path, { tenant: id, body })).json
    assert.deepEqual((await patch({ quarantine: { blocks: 5 } })).quarantine, { ...noThresholds, blocks: 5 })
    for (const quarantine of [{}, noThresholds, { window_seconds: 600 }]) assert.equal((await patch({ quarantine })).quarantine, null)
    assert.deepEqual((await patch({ quarantine: { spend_factor: 1.5 }, limits: { max_concurrency: 3 } })).limits, { ...unlimited, max_concurrency: 3 })
    const renamed = await patch({ name: 'other' })
    assert.deepEqual([renamed.name, renamed.quarantine.spend_factor, renamed.limits.max_concurrency], ['other', 1.5, 3])
    for (const limits of [{}, unlimited, null]) assert.equal((await patch({ limits })).limits, null)
  })

  test("an agent shows its own budgets, as they stand, and no one else's", async () => {
    const { id, agent, path, tenantKey } = await given()
    const second = (await api.ask('POST', '/v1/agents', { tenant: id, body: { name: 'second' } })).json
    const budget = { amount: 5, unit: 'usd', window: 'day', mode: 'hard' }
    const made = await api.ask('POST', '/v1/budgets', { tenant: id, body: { ...budget, scope: 'agent', scope_id: agent.id } })
    await api.ask('POST', '/v1/budgets', { tenant: id, body: { ...budget, scope: 'tenant' } })
    assert.deepEqual((await api.ask('GET', path, { tenant: id })).json.budgets, [made.json])
    const { agents } = (await api.ask('GET', '/v1/agents', { key: tenantKey })).json
    assert.deepEqual(
      agents.map((one: { id: string; budgets: unknown[] }) => [one.id, one.budgets]),
      [
        [second.id, []],
        [agent.id, [made.json]],
      ],
    )
  })

  test('names are unique in a tenant, and another may have the same', async () => {
    const { id } = await given()
    const again = await api.ask('POST', '/v1/agents', { tenant: id, body: { name: 'crawler' } })
    assert.deepEqual([again.status, again.json.error], [409, 'CONFLICT'])
    const { agent } = await given()
    assert.equal(agent.name, 'crawler')
    const second = await api.ask('POST', '/v1/agents', { tenant: id, body: { name: 'second' } })
    assert.equal((await api.ask('PATCH', `/v1/agents/${second.json.id}`, { tenant: id, body: { name: 'crawler' } })).status, 409)
  })

  test("a change reaches the agent's key at once", async () => {
    const { id, path, key } = await given()
    assert.equal((await api.keys.find(key))?.agent?.allowedModels, null)
    await api.ask('PATCH', path, { tenant: id, body: { allowed_models: ['claude-*'] } })
    assert.deepEqual((await api.keys.find(key))?.agent?.allowedModels, ['claude-*'])
  })

  test('an agent that is made inactive stops, and goes on when it is active again; a deleted one has lost its keys', async () => {
    const { id, agent, path, key, issue } = await given()
    const patched = await api.ask('PATCH', path, { tenant: id, body: { active: false } })
    assert.deepEqual([patched.json.status, await api.keys.find(key)], ['inactive', null])
    assert.deepEqual(answerOf(await issue()), [422, 'CONFIG_ERROR', 'agent_id'])
    await api.ask('PATCH', path, { tenant: id, body: { active: true } })
    assert.equal((await api.keys.find(key))?.agent?.id, agent.id)

    const own = (await api.ask('POST', `/v1/tenants/${id}/keys`, { body: {} })).json.api_key
    assert.equal((await api.ask('DELETE', path, { tenant: id })).status, 204)
    assert.deepEqual([await api.keys.find(key), (await api.keys.find(own))?.agent], [null, null])
    await api.ask('PATCH', path, { tenant: id, body: { active: true } })
    assert.equal(await api.keys.find(key), null)
    assert.equal((await api.keys.find((await issue()).json.api_key))?.agent?.id, agent.id)
    assert.deepEqual((await recorded(id)).slice(0, 3), ['key.create', 'agent.update', 'agent.delete'])
  })

  test("keys show whose they are and their own limits, and an agent of another tenant or of nobody's is refused", async () => {
    const { id, agent, issue } = await given()
    const limited = await issue({ name: 'limited', limits: { max_tokens_per_day: 1_000 } })
    assert.deepEqual([limited.json.agent_id, limited.json.limits], [agent.id, { ...unlimited, max_tokens_per_day: 1_000 }])
    const plain = await api.ask('POST', `/v1/tenants/${id}/keys`, { body: { name: 'plain', limits: {} } })
    assert.deepEqual([plain.json.agent_id, plain.json.limits], [null, null])
    const { keys } = (await api.ask('GET', `/v1/tenants/${id}/keys`)).json
    assert.deepEqual(
      keys.map((one: { agent_id: string; limits: { max_tokens_per_day: number } | null }) => [one.agent_id, one.limits?.max_tokens_per_day]),
      [
        [null, undefined],
        [agent.id, 1_000],
        [agent.id, undefined],
        [null, undefined],
      ],
    )
    assert.equal((await api.keys.find(limited.json.api_key))?.keyLimits?.tokensPerDay, 1_000)
    const { agent: foreign } = await given()
    for (const agent_id of [foreign.id, 'agent_none', '']) {
      assert.deepEqual(answerOf(await issue({ agent_id })), [422, 'CONFIG_ERROR', 'agent_id'])
      const quarantined = await api.ask('POST', '/v1/quarantine', { tenant: id, body: { agent_id, reason: 'r' } })
      assert.deepEqual(answerOf(quarantined), [422, 'CONFIG_ERROR', 'agent_id'])
    }
  })

  test('a quarantine holds from its beginning to its release, each on record with who and why', async () => {
    const { id, agent, path, key } = await given()
    assert.equal((await api.keys.find(key))?.agent?.quarantined, false)
    const opened = await api.ask('POST', '/v1/quarantine', { tenant: id, body: { agent_id: agent.id, reason: 'It loops.' } })
    assert.equal(opened.status, 201)
    assert.match(opened.json.id, /^quar_[0-9a-z]{26}$/)
    const { id: quarantineId, created_at, ...rest } = opened.json
    assert.deepEqual(rest, {
      tenant_id: id,
      agent_id: agent.id,
      reason: 'It loops.',
      created_by: 'admin',
      released_by: null,
      released_at: null,
      comment: null,
    })
    assert.deepEqual([(await api.ask('GET', path, { tenant: id })).json.status, (await api.keys.find(key))?.agent?.quarantined], ['quarantined', true])
    const again = await api.ask('POST', '/v1/quarantine', { tenant: id, body: { agent_id: agent.id, reason: 'Once more.' } })
    assert.deepEqual([again.status, again.json.error, again.json.context.quarantine_id], [409, 'CONFLICT', quarantineId])

    const release = (word: string, body?: object) => api.ask('POST', `/v1/quarantine/${word}/release`, { tenant: id, ...(body && { body }) })
    const released = await release(quarantineId, { comment: 'Fixed.' })
    assert.deepEqual([released.status, released.json.released_by, released.json.comment, released.json.reason], [200, 'admin', 'Fixed.', 'It loops.'])
    assert.ok(released.json.released_at > created_at)
    assert.deepEqual([(await api.ask('GET', path, { tenant: id })).json.status, (await api.keys.find(key))?.agent?.quarantined], ['active', false])
    assert.deepEqual([(await release(quarantineId)).status, (await release(agent.id)).status, (await release('quar_none')).status], [409, 404, 404])

    await api.ask('POST', '/v1/quarantine', { tenant: id, body: { agent_id: agent.id, reason: 'Again.' } })
    assert.deepEqual([(await release(agent.id)).json.comment, (await api.keys.find(key))?.agent?.quarantined], [null, false])
    assert.deepEqual((await recorded(id)).slice(0, 4), ['agent.release', 'agent.quarantine', 'agent.release', 'agent.quarantine'])
    const entry = (await api.ask('GET', '/v1/audit?kind=change&limit=1', { tenant: id })).json.entries[0]
    assert.deepEqual(entry.metadata, { actor: 'admin', subject: agent.id })
  })

  test('quarantines and agents are listed by status, newest first, and by page', async () => {
    const { id, agent } = await given()
    const second = (await api.ask('POST', '/v1/agents', { tenant: id, body: { name: 'second' } })).json
    for (const { id: agent_id } of [agent, second]) await api.ask('POST', '/v1/quarantine', { tenant: id, body: { agent_id, reason: 'r' } })
    await api.ask('POST', `/v1/quarantine/${agent.id}/release`, { tenant: id })
    const listed = async (query: string) =>
      (await api.ask('GET', `/v1/quarantine${query}`, { tenant: id })).json.quarantines.map((one: { agent_id: string }) => one.agent_id)
    assert.deepEqual(await listed(''), [second.id, agent.id])
    assert.deepEqual([await listed('?status=open'), await listed('?status=released')], [[second.id], [agent.id]])
    assert.deepEqual([await listed(`?agent_id=${agent.id}`), await listed('?limit=1&offset=1')], [[agent.id], [agent.id]])
    const agents = async (query: string) => (await api.ask('GET', `/v1/agents${query}`, { tenant: id })).json.agents.map((one: { name: string }) => one.name)
    assert.deepEqual([await agents(''), await agents('?status=quarantined'), await agents('?status=inactive')], [['second', 'crawler'], ['second'], []])
    const all = (await api.ask('GET', '/v1/agents?limit=1000')).json.agents.map((one: { tenant_id: string }) => one.tenant_id)
    assert.ok(new Set(all).size > 1, 'an administrator without a tenant sees all')
  })

  test("a tenant's key reads its own tenant's agents and quarantines and no others, and writes none", async () => {
    const { id, agent, path, tenantKey, key } = await given()
    const other = await given()
    await api.ask('POST', '/v1/quarantine', { tenant: other.id, body: { agent_id: other.agent.id, reason: 'r' } })
    for (const one of [tenantKey, key]) {
      assert.equal((await api.ask('GET', path, { key: one })).json.id, agent.id)
      assert.deepEqual((await api.ask('GET', '/v1/agents', { key: one })).json.total, 1)
      assert.deepEqual((await api.ask('GET', '/v1/quarantine', { key: one })).json.total, 0)
      assert.equal((await api.ask('GET', other.path, { key: one })).status, 404)
      for (const [method, written] of [
        ['POST', '/v1/agents'],
        ['PATCH', path],
        ['DELETE', path],
        ['POST', '/v1/quarantine'],
        ['POST', `/v1/quarantine/${agent.id}/release`],
      ] as const)
        assert.equal((await api.ask(method, written, { key: one, body: {} })).status, 403, `${method} ${written}`)
    }
    for (const method of ['GET', 'PATCH', 'DELETE'])
      assert.equal((await api.ask(method, other.path, { tenant: id, ...(method === 'PATCH' && { body: { name: 'taken' } }) })).status, 404)
    assert.equal((await api.ask('POST', `/v1/quarantine/${other.agent.id}/release`, { tenant: id })).status, 404)
    assert.equal((await api.ask('POST', '/v1/agents', { body: { name: 'x' } })).status, 400, 'a write names the tenant')
  })

  test('repeated prompts cannot be watched for where no hashes are kept', async () => {
    const blind = manage(database, { hashPrompts: false })
    const { id } = await blind.createTenant()
    const { status, json } = await blind.ask('POST', '/v1/agents', { tenant: id, body: { name: 'x', quarantine: { repeats: 5 } } })
    assert.deepEqual([status, json.error], [422, 'CONFIG_ERROR'])
    assert.equal((await blind.ask('POST', '/v1/agents', { tenant: id, body: { name: 'x', quarantine: { repeats: null, errors: 5 } } })).status, 201)
  })

  test('what cannot be is refused, and named', async () => {
    const { id, agent, path } = await given()
    const reported = api.reported.length
    for (const [body, field] of [
      [{}, 'name'],
      [{ name: '' }, 'name'],
      [{ name: 'x', colour: 'red' }, 'colour'],
      [{ name: 'x', limits: { max_concurrency: -1 } }, 'limits.max_concurrency'],
      [{ name: 'x', limits: { max_requests_per_day: 1e12 } }, 'limits.max_requests_per_day'],
      [{ name: 'x', limits: { requests: 5 } }, 'limits.requests'],
      [{ name: 'x', limits: [] }, 'limits'],
      [{ name: 'x', allowed_models: [] }, 'allowed_models'],
      [{ name: 'x', quarantine: { blocks: 0 } }, 'quarantine.blocks'],
      [{ name: 'x', quarantine: { errors: 1.5 } }, 'quarantine.errors'],
      [{ name: 'x', quarantine: { repeats: 100_001 } }, 'quarantine.repeats'],
      [{ name: 'x', quarantine: { spend_factor: 1 } }, 'quarantine.spend_factor'],
      [{ name: 'x', quarantine: { spend_factor: 1e9 } }, 'quarantine.spend_factor'],
      [{ name: 'x', quarantine: { blocks: 1, window_seconds: 59 } }, 'quarantine.window_seconds'],
      [{ name: 'x', quarantine: { blocks: 1, window_seconds: 86_401 } }, 'quarantine.window_seconds'],
      [{ name: 'x', quarantine: { blocks: 1, window_seconds: null } }, 'quarantine.window_seconds'],
      [{ name: 'x', quarantine: { calls: 1 } }, 'quarantine.calls'],
      [{ name: 'x', active: 'yes' }, 'active'],
    ] as const) {
      assert.deepEqual(answerOf(await api.ask('POST', '/v1/agents', { tenant: id, body })), [400, 'VALIDATION_ERROR', field])
      if (field !== 'name' || 'name' in body) assert.deepEqual(answerOf(await api.ask('PATCH', path, { tenant: id, body })), [400, 'VALIDATION_ERROR', field])
    }
    for (const [body, field] of [
      [{ agent_id: agent.id }, 'reason'],
      [{ agent_id: agent.id, reason: '' }, 'reason'],
      [{ agent_id: agent.id, reason: ' ' }, 'reason'],
      [{ agent_id: agent.id, reason: 'a\nb' }, 'reason'],
      [{ agent_id: agent.id, reason: 'x'.repeat(501) }, 'reason'],
      [{ agent_id: 5, reason: 'r' }, 'agent_id'],
      [{ agent_id: agent.id, reason: 'r', until: 'tomorrow' }, 'until'],
    ] as const)
      assert.deepEqual(answerOf(await api.ask('POST', '/v1/quarantine', { tenant: id, body })), [400, 'VALIDATION_ERROR', field])
    const release = await api.ask('POST', `/v1/quarantine/${agent.id}/release`, { tenant: id, body: { comment: 5 } })
    assert.deepEqual(answerOf(release), [400, 'VALIDATION_ERROR', 'comment'])
    for (const query of ['/v1/quarantine?status=closed', '/v1/agents?status=asleep']) assert.equal((await api.ask('GET', query)).status, 400)
    assert.deepEqual([(await api.ask('GET', path, { tenant: id })).json.status, api.reported.length], ['active', reported])
  })

  test('a tenant has so many active agents and no more', async () => {
    const { id, path } = await given()
    await database.sql`
      insert into agents (id, tenant_id, name) select 'agent_' || ${id} || n, ${id}, 'agent ' || n from generate_series(2, ${AGENTS_PER_TENANT_MAX}) as n`
    const one = { tenant: id, body: { name: 'one too many' } }
    assert.deepEqual(answerOf(await api.ask('POST', '/v1/agents', one)).slice(0, 2), [422, 'CONFIG_ERROR'])
    await api.ask('DELETE', path, { tenant: id })
    assert.equal((await api.ask('POST', '/v1/agents', one)).status, 201)
    const back = await api.ask('PATCH', path, { tenant: id, body: { active: true } })
    assert.deepEqual([back.status, (await api.ask('GET', path, { tenant: id })).json.status], [422, 'inactive'])
  })
})
