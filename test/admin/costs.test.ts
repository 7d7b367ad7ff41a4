import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { costLedger } from '../../src/db/schema.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { type Management, manage } from './management.ts'

type Row = typeof costLedger.$inferInsert

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: Management
  before(async () => {
    database = await open()
    api = manage(database)
  })
  after(() => database.drop())

  /** One call of 10 and 5 tokens for 3 nano-dollars by nobody in particular, unless said otherwise. */
  const spend = (tenantId: string, ...rows: Partial<Row>[]) =>
    database.db.insert(costLedger).values(
      rows.map((row) => ({
        tenantId,
        day: '2026-11-20',
        agentId: '',
        keyPrefix: 'ef_test_aaaaaaaa',
        userId: '',
        model: 'm',
        upstream: 'u',
        requests: 1,
        unpriced: 0,
        estimated: 0,
        inputTokens: 10,
        outputTokens: 5,
        costNano: 3,
        ...row,
      })),
    )
  const figures = (requests: number, cost_usd: string) => ({
    requests,
    unpriced_requests: 0,
    estimated_requests: 0,
    input_tokens: 10 * requests,
    output_tokens: 5 * requests,
    cost_usd,
  })

  test('costs are given by day for the last thirty days unless asked otherwise, latest first, with their totals', async () => {
    const { id, key } = await api.createTenant()
    await spend(id, {}, { userId: 'ann' }, { day: '2026-10-22' }, { day: '2026-10-21', costNano: 1_000 }, { day: '2026-11-21', costNano: 1_000 })
    const { json } = await api.ask('GET', '/v1/costs', { key })
    assert.deepEqual(json, {
      costs: [
        { day: '2026-11-20', ...figures(2, '0.000000006') },
        { day: '2026-10-22', ...figures(1, '0.000000003') },
      ],
      totals: figures(3, '0.000000009'),
      period: { from: '2026-10-22T00:00:00.000Z', to: '2026-11-21T00:00:00.000Z' },
      total: 2,
      limit: 100,
      offset: 0,
    })
  })

  test('costs are grouped by whatever is asked for, what cost most first; null stands for none', async () => {
    const { id, key } = await api.createTenant()
    await spend(
      id,
      { agentId: 'agent_1', costNano: 1 },
      { agentId: 'agent_1', day: '2026-11-19', model: 'n', costNano: 2 },
      { userId: 'ann', model: '', costNano: 6 },
      { upstream: 'v', keyPrefix: 'ef_test_bbbbbbbb', costNano: 4 },
    )
    const by = async (groups: string) =>
      (await api.ask('GET', `/v1/costs?group_by=${groups}`, { key })).json.costs.map((row: Record<string, unknown>) => {
        const { requests, unpriced_requests, estimated_requests, input_tokens, output_tokens, ...rest } = row
        return rest
      })
    assert.deepEqual(await by('agent'), [
      { agent_id: null, cost_usd: '0.000000010' },
      { agent_id: 'agent_1', cost_usd: '0.000000003' },
    ])
    assert.deepEqual(await by('user,model'), [
      { user_id: 'ann', model: null, cost_usd: '0.000000006' },
      { user_id: null, model: 'm', cost_usd: '0.000000005' },
      { user_id: null, model: 'n', cost_usd: '0.000000002' },
    ])
    assert.deepEqual(await by('upstream,key,tenant'), [
      { upstream: 'u', key_prefix: 'ef_test_aaaaaaaa', tenant_id: id, cost_usd: '0.000000009' },
      { upstream: 'v', key_prefix: 'ef_test_bbbbbbbb', tenant_id: id, cost_usd: '0.000000004' },
    ])
    assert.deepEqual(await by('day,agent'), [
      { day: '2026-11-20', agent_id: null, cost_usd: '0.000000010' },
      { day: '2026-11-20', agent_id: 'agent_1', cost_usd: '0.000000001' },
      { day: '2026-11-19', agent_id: 'agent_1', cost_usd: '0.000000002' },
    ])
    const page = await api.ask('GET', '/v1/costs?group_by=agent&limit=1&offset=1', { key })
    assert.deepEqual([page.json.total, page.json.costs[0].agent_id, page.json.totals.requests], [2, 'agent_1', 4], 'totals are those of all pages')
  })

  test('sums are exact where floating point is not, and calls without a price are told apart from free ones', async () => {
    const { id, key } = await api.createTenant()
    await spend(
      id,
      { costNano: 9_007_199_254_740_991 },
      { userId: 'ann', costNano: 9_007_199_254_740_991 },
      { userId: 'bob', costNano: 1, requests: 2, unpriced: 2, estimated: 1 },
    )
    const { json } = await api.ask('GET', '/v1/costs', { key })
    assert.equal(json.costs[0].cost_usd, '18014398.509481983')
    assert.deepEqual([json.totals.cost_usd, json.totals.unpriced_requests, json.totals.estimated_requests], ['18014398.509481983', 2, 1])
  })

  test('a period takes in the whole days it touches', async () => {
    const { id, key } = await api.createTenant()
    await spend(id, { day: '2026-11-18' }, { day: '2026-11-19' }, { day: '2026-11-20' })
    const days = async (query: string) => (await api.ask('GET', `/v1/costs?${query}`, { key })).json.costs.map(({ day }: { day: string }) => day)
    assert.deepEqual(await days('from=2026-11-19&to=2026-11-20'), ['2026-11-19'])
    assert.deepEqual(await days('from=2026-11-18T23:00:00Z&to=2026-11-19T00:00:01Z'), ['2026-11-19', '2026-11-18'])
    assert.deepEqual(await days('from=2026-11-19T23:00:00-02:00'), ['2026-11-20'])
    assert.deepEqual(await days('to=9999-12-31T23:59:59Z&from=1970-01-01'), ['2026-11-20', '2026-11-19', '2026-11-18'])
  })

  test('where nothing was spent the totals are nothing', async () => {
    const { key } = await api.createTenant()
    const { json } = await api.ask('GET', '/v1/costs', { key })
    assert.deepEqual([json.costs, json.total, json.totals], [[], 0, figures(0, '0.000000000')])
  })

  test("a tenant sees its own costs only; the administrator everyone's, or one tenant's", async () => {
    const [one, two] = [await api.createTenant(), await api.createTenant()]
    await spend(one.id, { model: 'of one' })
    await spend(two.id, { model: 'of two' })
    const models = async (ask: object) => (await api.ask('GET', '/v1/costs?group_by=model', ask)).json.costs.map(({ model }: { model: string }) => model)
    assert.deepEqual(await models({ key: one.key }), ['of one'])
    assert.deepEqual(await models({ tenant: two.id }), ['of two'])
    const all = await models({})
    assert.ok(all.includes('of one') && all.includes('of two'))
    assert.equal((await api.ask('GET', '/v1/costs', { key: one.key, tenant: two.id })).status, 404)
  })

  test('what makes no sense is 400', async () => {
    for (const [query, field] of [
      ['group_by=colour', 'group_by.0'],
      ['group_by=', 'group_by.0'],
      ['group_by=day,', 'group_by.1'],
      ['group_by=day,day', 'group_by'],
      ['group_by=__proto__', 'group_by.0'],
      ['from=yesterday', 'from'],
      ['from=2026-11-20&to=2026-11-19', 'from'],
      ['from=2026-11-20&to=2026-11-20', 'from'],
      ['from=9999-12-31&to=9999-12-31T23:59:59Z', 'from'],
      ['limit=0', 'limit'],
      ['model=m', 'model'],
    ]) {
      const { status, json } = await api.ask('GET', `/v1/costs?${query}`)
      assert.deepEqual([status, json.error, json.context.field], [400, 'VALIDATION_ERROR', field], query)
    }
  })
})
