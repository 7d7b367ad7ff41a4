import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { budgetsOfAgents } from '../../src/admin/budget-shape.ts'
import { agents } from '../../src/db/schema.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { type Management, manage, NOW } from './management.ts'

const whole = { scope: 'tenant', amount: 12.5, unit: 'usd', window: 'day' }

/** What is wrong, with what, and which field the answer must name. */
const malformed: readonly [what: string, body: unknown, field: string][] = [
  ['no amount', { ...whole, amount: undefined }, 'amount'],
  ['a negative amount', { ...whole, amount: -0.01 }, 'amount'],
  ['an amount as text', { ...whole, amount: '5' }, 'amount'],
  ['an amount that is none', { ...whole, amount: null }, 'amount'],
  ['more than a million dollars', { ...whole, amount: 1_000_000.01 }, 'amount'],
  ['a part of a billionth', { ...whole, amount: 0.0000000001 }, 'amount'],
  ['ten decimals', { ...whole, amount: 1.0000000001 }, 'amount'],
  ['half a token', { ...whole, unit: 'tokens', amount: 0.5 }, 'amount'],
  ['more tokens than there are', { ...whole, unit: 'tokens', amount: 1e16 }, 'amount'],
  ['an absurd amount', { ...whole, amount: 1e300 }, 'amount'],
  ['an unknown unit', { ...whole, unit: 'eur' }, 'unit'],
  ['an unknown window', { ...whole, window: 'year' }, 'window'],
  ['an unknown mode', { ...whole, mode: 'firm' }, 'mode'],
  ['an unknown scope', { ...whole, scope: 'team' }, 'scope'],
  ['nobody', { ...whole, scope: 'user' }, 'scope_id'],
  ['an empty user', { ...whole, scope: 'user', scope_id: '' }, 'scope_id'],
  ['a user with a line break', { ...whole, scope: 'user', scope_id: 'a\nb' }, 'scope_id'],
  ['a user with U+0000', { ...whole, scope: 'user', scope_id: 'a\0b' }, 'scope_id'],
  ['a long user', { ...whole, scope: 'user', scope_id: 'x'.repeat(257) }, 'scope_id'],
  ['an unknown field', { ...whole, currency: 'EUR' }, 'currency'],
]
const refused: readonly [what: string, body: object][] = [
  ['another tenant', { ...whole, scope_id: 't_other' }],
  ['an agent nobody knows', { ...whole, scope: 'agent', scope_id: 'agent_none' }],
  ['a key nobody has', { ...whole, scope: 'key', scope_id: 'ef_test_00000000' }],
]

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: Management
  before(async () => {
    database = await open()
    api = manage(database)
  })
  after(() => database.drop())

  const agentOf = async (tenantId: string): Promise<string> => {
    const id = `agent_of_${tenantId}`
    await database.db.insert(agents).values({ id, tenantId, name: id })
    return id
  }
  const make = async (tenant: string, body: object) => (await api.ask('POST', '/v1/budgets', { tenant, body })).json
  const changesOf = async (tenantId: string): Promise<string[]> =>
    (await database.sql`select reason from audit_entries where tenant_id = ${tenantId} and reason like 'budget.%' order by audit_id`).map(
      ({ reason }) => reason,
    )
  const announced = async (tenantId: string): Promise<number> =>
    (await database.sql`select count(*)::int as n from changes where kind = 'budgets' and tenant_id = ${tenantId}`)[0].n

  test('a budget is made, read, changed and deleted, and each change is on record and announced', async () => {
    const { id: tenant, key } = await api.createTenant()
    const made = await make(tenant, whole)
    assert.deepEqual(made, {
      id: made.id,
      tenant_id: tenant,
      scope: 'tenant',
      scope_id: tenant,
      amount: 12.5,
      unit: 'usd',
      window: 'day',
      mode: 'hard',
      spent: 0,
      reserved: 0,
      resets_at: '2026-11-21T00:00:00.000Z',
      created_at: made.created_at,
    })
    assert.match(made.id, /^budget_[0-9a-z]{26}$/)
    assert.deepEqual((await api.ask('GET', `/v1/budgets/${made.id}`, { key })).json, made, "a tenant's key reads its own")
    const sentBack = await api.ask('PATCH', `/v1/budgets/${made.id}`, { tenant, body: { ...made, amount: 0.000000001, mode: 'soft' } })
    assert.deepEqual(sentBack.json, { ...made, amount: 0.000000001, mode: 'soft' })
    assert.equal((await api.ask('DELETE', `/v1/budgets/${made.id}`, { tenant })).status, 204)
    for (const [method, body] of [['GET'], ['PATCH', {}], ['DELETE']] as [string, object?][]) {
      assert.equal((await api.ask(method, `/v1/budgets/${made.id}`, { tenant, body })).status, 404, method)
    }
    assert.deepEqual(await changesOf(tenant), ['budget.create', 'budget.update', 'budget.delete'])
    assert.equal(await announced(tenant), 3)
  })

  test('what is spent and reserved is that of the present window, in the unit of the budget', async () => {
    const { id: tenant } = await api.createTenant()
    const usd = await make(tenant, { ...whole, window: 'week' })
    const tokens = await make(tenant, { ...whole, unit: 'tokens', amount: 1e15, window: 'hour' })
    for (const [id, startsAt, spent, reserved] of [
      [usd.id, '2026-11-16T00:00:00Z', 123_456_789_012_345, 1],
      [usd.id, '2026-11-09T00:00:00Z', 7, 7],
      [tokens.id, '2026-11-20T12:00:00Z', 5, 6],
      [tokens.id, '2026-11-20T11:00:00Z', 7, 7],
    ])
      await database.sql`insert into budget_windows (budget_id, starts_at, spent, reserved) values (${id}, ${startsAt}, ${spent}, ${reserved})`
    const read = async (id: string) => (await api.ask('GET', `/v1/budgets/${id}`)).json
    const [a, b] = [await read(usd.id), await read(tokens.id)]
    assert.deepEqual([a.spent, a.reserved, a.resets_at], [123_456.789012345, 0.000000001, '2026-11-23T00:00:00.000Z'])
    assert.deepEqual([b.amount, b.spent, b.reserved, b.resets_at], [1e15, 5, 6, '2026-11-20T13:00:00.000Z'])
  })

  test('every amount of dollars comes back as it was sent, to the nano-dollar', async () => {
    const { id: tenant } = await api.createTenant()
    const { id } = await make(tenant, whole)
    for (const amount of [0, 0.1, 0.3, 1.1, 2.675, 0.000000001, 999_999.999999999, 123_456.789012345, 1_000_000]) {
      assert.equal((await api.ask('PATCH', `/v1/budgets/${id}`, { tenant, body: { amount } })).json.amount, amount)
      const [row] = await database.sql`select amount::text from budgets where id = ${id}`
      assert.equal(BigInt(row.amount), BigInt(amount.toFixed(9).replace('.', '')))
    }
  })

  test('budgets are listed newest first, by scope and by whom they are for; nobody sees those of others', async () => {
    const [one, two] = [await api.createTenant(), await api.createTenant()]
    const agent = await agentOf(one.id)
    const prefix = one.key.slice(0, 16)
    const ids: string[] = []
    for (const more of [{}, { scope: 'agent', scope_id: agent }, { scope: 'key', scope_id: prefix }, { scope: 'user', scope_id: 'ann ü' }]) {
      const made = await make(one.id, { ...whole, ...more })
      assert.ok(made.id, JSON.stringify(made))
      ids.unshift(made.id)
    }
    const listed = async (path: string, ask: object): Promise<string[]> => (await api.ask('GET', path, ask)).json.budgets.map(({ id }: { id: string }) => id)
    assert.deepEqual(await listed('/v1/budgets', { key: one.key }), ids)
    assert.deepEqual(await listed('/v1/budgets?scope=agent', { tenant: one.id }), [ids[2]])
    assert.deepEqual(await listed(`/v1/budgets?scope=user&scope_id=${encodeURIComponent('ann ü')}`, { key: one.key }), [ids[0]])
    assert.deepEqual(await listed('/v1/budgets', { key: two.key }), [])
    const page = await api.ask('GET', '/v1/budgets?limit=1&offset=1', { key: one.key })
    assert.deepEqual([page.json.total, page.json.limit, page.json.offset, page.json.budgets[0].id], [4, 1, 1, ids[1]])
    assert.ok((await listed('/v1/budgets?limit=1000', {})).includes(ids[0]), 'the administrator sees all')
    for (const id of ids) {
      assert.equal((await api.ask('GET', `/v1/budgets/${id}`, { key: two.key })).status, 404)
      assert.equal((await api.ask('DELETE', `/v1/budgets/${id}`, { tenant: two.id })).status, 404)
      assert.equal((await api.ask('PATCH', `/v1/budgets/${id}`, { tenant: two.id, body: { amount: 1 } })).status, 404)
      assert.equal((await api.ask('DELETE', `/v1/budgets/${id}`, { key: one.key })).status, 403)
    }
    const shown = await budgetsOfAgents(database.db, one.id, [agent, 'agent_none'], NOW)
    assert.deepEqual([[...shown.keys()], shown.get(agent)?.map(({ id }) => id)], [[agent], [ids[2]]])
    assert.equal((await budgetsOfAgents(database.db, two.id, [agent], NOW)).size, 0)
  })

  test("a budget cannot be for another tenant's agent or key, nor become one of another scope, unit or window", async () => {
    const [one, two] = [await api.createTenant(), await api.createTenant()]
    const agent = await agentOf(two.id)
    for (const [what, body] of [
      ...refused,
      ["another tenant's agent", { ...whole, scope: 'agent', scope_id: agent }],
      ["another tenant's key", { ...whole, scope: 'key', scope_id: two.key.slice(0, 16) }],
    ] as const) {
      const { status, json } = await api.ask('POST', '/v1/budgets', { tenant: one.id, body })
      assert.deepEqual([status, json.error, json.context.field], [422, 'CONFIG_ERROR', 'scope_id'], what)
    }
    const { id } = await make(one.id, whole)
    for (const [field, value] of [
      ['scope', 'user'],
      ['scope_id', 'ann'],
      ['unit', 'tokens'],
      ['window', 'hour'],
    ]) {
      const { status, json } = await api.ask('PATCH', `/v1/budgets/${id}`, { tenant: one.id, body: { amount: 1, [field]: value } })
      assert.deepEqual([status, json.error, json.context.field], [422, 'CONFIG_ERROR', field])
    }
    assert.equal((await api.ask('GET', `/v1/budgets/${id}`)).json.amount, 12.5)
  })

  test('what makes no sense is 400 and changes nothing', async () => {
    const { id: tenant } = await api.createTenant()
    const { id } = await make(tenant, whole)
    for (const [what, body, field] of malformed) {
      const { status, json } = await api.ask('POST', '/v1/budgets', { tenant, body })
      assert.deepEqual([status, json.error, json.context.field], [400, 'VALIDATION_ERROR', field], what)
    }
    for (const [raw, field] of [
      ['{"amount": -1}', 'amount'],
      ['{"amount": 1e999}', undefined],
      ['{"amount": NaN}', undefined],
      ['{"amount": 0.12345678901}', 'amount'],
      ['{"amount": 1000001}', 'amount'],
    ] as [string, string?][]) {
      const { status, json } = await api.ask('PATCH', `/v1/budgets/${id}`, { tenant, raw })
      assert.deepEqual([status, json.error], [400, 'VALIDATION_ERROR'], raw)
      if (field) assert.equal(json.context.field, field)
    }
    assert.equal((await api.ask('GET', '/v1/budgets?scope=team', { tenant })).status, 400)
    assert.equal((await api.ask('POST', '/v1/budgets', { body: whole })).status, 400, 'the administrator names the tenant')
    assert.equal((await api.ask('GET', '/v1/budgets', { tenant })).json.total, 1)
    assert.deepEqual(await changesOf(tenant), ['budget.create'])
    assert.deepEqual(api.reported, [])
  })

  test('a rehearsal says what would come of it and leaves nothing behind', async () => {
    const { id: tenant } = await api.createTenant()
    const rehearsed = await api.ask('POST', '/v1/budgets?dry_run=true', { tenant, body: whole })
    assert.deepEqual([rehearsed.status, rehearsed.json.amount], [201, 12.5])
    const { id } = await make(tenant, whole)
    assert.equal((await api.ask('PATCH', `/v1/budgets/${id}?dry_run=true`, { tenant, body: { amount: 0 } })).json.amount, 0)
    const { json } = await api.ask('GET', '/v1/budgets', { tenant })
    assert.deepEqual([json.total, json.budgets[0].amount], [1, 12.5])
    assert.deepEqual([await changesOf(tenant), await announced(tenant)], [['budget.create'], 1])
  })

  test('a tenant has no more budgets than a process can keep in mind', async () => {
    const { id: tenant } = await api.createTenant()
    await database.sql`
      insert into budgets (id, tenant_id, scope, scope_id, amount, unit, "window", mode)
      select ${tenant} || i, ${tenant}, 'user', 'u' || i, 1, 'tokens', 'day', 'soft' from generate_series(1, 999) i`
    assert.equal((await api.ask('POST', '/v1/budgets', { tenant, body: whole })).status, 201)
    const { status, json } = await api.ask('POST', '/v1/budgets', { tenant, body: whole })
    assert.deepEqual([status, json.error], [422, 'CONFIG_ERROR'])
  })
})
