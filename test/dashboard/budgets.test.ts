import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Budget, project } from '../../src/dashboard/pages/budget-figures.ts'
import { NOW } from '../admin/management.ts'
import { openTestDatabase, type TestDatabase } from '../db/engines.ts'
import { type DashboardUnderTest, openDashboard } from './dashboard-people.ts'
import { assertAccessible, formIn } from './form-in.ts'

let database: TestDatabase
let dashboard: DashboardUnderTest
before(async () => {
  database = await openTestDatabase('pglite')
  dashboard = await openDashboard(database)
})
after(async () => {
  await dashboard.close()
  await database.drop()
})

test('a budget is added, changed and deleted; its page tells what is left and where it leads', async () => {
  const tenant = await dashboard.api.createTenant({ rules_preset: null })
  const { get, done } = await dashboard.signedIn('owner')
  const link = (path: string): string => `${path}?tenant_id=${tenant.id}`
  assert.match((await get(link('/budgets'))).text, /There are no budgets yet[\s\S]*No calls were made in these days/)
  const blank = await get(link('/budgets/new'))
  assertAccessible(blank.text, 'a new budget')
  const form = formIn(blank.text, link('/budgets'))
  form.set('amount', '500')
  assert.match((await done(link('/budgets'), form)).text, /The budget of \$500\.00 a month was added/)
  const [budget] = (await dashboard.api.ask('GET', '/v1/budgets', { tenant: tenant.id })).json.budgets
  assert.deepEqual([budget.scope, budget.amount, budget.unit, budget.window, budget.mode], ['tenant', 500, 'usd', 'month', 'hard'])
  await database.sql`update budgets set created_at = ${new Date(NOW - 10 * 86_400_000).toISOString()}::timestamptz where id = ${budget.id}`
  await database.sql`insert into budget_windows (budget_id, starts_at, spent) values (${budget.id}, '2026-11-01T00:00:00Z', 100000000000)`
  const list = (await get(link('/budgets'))).text
  assert.match(list, /role="meter" aria-label="20\.0 % used of \$500\.00"/)
  assert.match(list, /\$400\.00/)
  assert.match(list, /by then/)
  assertAccessible(list, 'budgets')

  const change = await get(link(`/budgets/${budget.id}`))
  const changed = formIn(change.text, link(`/budgets/${budget.id}`))
  changed.set('amount', '750.5')
  changed.set('mode', 'soft')
  await done(link(`/budgets/${budget.id}`), changed)
  const after = (await dashboard.api.ask('GET', `/v1/budgets/${budget.id}`)).json
  assert.deepEqual([after.amount, after.mode], [750.5, 'soft'])
  assert.match((await done(link(`/budgets/${budget.id}/delete`))).text, /The budget was deleted/)
  assert.equal((await dashboard.api.ask('GET', '/v1/budgets', { tenant: tenant.id })).json.total, 0)
})

test('what the API refuses is said in its words, and what was written stays', async () => {
  const tenant = await dashboard.api.createTenant({ rules_preset: null })
  const { get, post } = await dashboard.signedIn('owner')
  const link = `/budgets?tenant_id=${tenant.id}`
  const form = formIn((await get(`/budgets/new?tenant_id=${tenant.id}`)).text, link)
  form.set('scope', 'agent')
  form.set('amount', '12')
  const { status, text } = await post(link, form)
  assert.equal(status, 400)
  assert.match(text, /Say which agent it is for\./)
  assert.match(text, /<option value="agent" selected>/)
  assert.match(text, /name="amount"[^>]*value="12"/)
  form.set('amount', '0.0000000001')
  form.set('scope', 'tenant')
  assert.match((await post(link, form)).text, /Must have at most nine decimals\./)
})

test('budgets are added by whom the API lets: within a tenant nobody', async () => {
  const tenant = await dashboard.api.createTenant({ rules_preset: null })
  const made = await dashboard.api.ask('POST', '/v1/budgets', { tenant: tenant.id, body: { scope: 'tenant', amount: 1, unit: 'usd', window: 'day' } })
  const { get, post } = await dashboard.signedIn('owner', tenant.id)
  const list = (await get('/budgets')).text
  assert.match(list, /\$1\.00 a day/)
  assert.doesNotMatch(list, /Add a budget|>Change</)
  assert.doesNotMatch((await get(`/budgets/${made.json.id}`)).text, /Delete the budget|name="amount"/)
  for (const path of ['/budgets', `/budgets/${made.json.id}`, `/budgets/${made.json.id}/delete`])
    assert.equal((await post(path, { scope: 'tenant', amount: '2', unit: 'usd', window: 'day', mode: 'hard', was: '' })).status, 403, path)
  const other = await dashboard.api.createTenant({ rules_preset: null })
  const stranger = await dashboard.signedIn('owner', other.id)
  assert.equal((await stranger.get(`/budgets/${made.json.id}`)).status, 404)
})

test('what calls cost is shown by model and agent, with what has no price, to whom may see totals', async () => {
  const tenant = await dashboard.api.createTenant({ rules_preset: null })
  const day = new Date(NOW).toISOString().slice(0, 10)
  await database.sql`insert into cost_ledger (tenant_id, day, agent_id, key_prefix, user_id, model, upstream, requests, unpriced, estimated, input_tokens, output_tokens, cost_nano)
    values (${tenant.id}, ${day}::date, '', 'k', '', '<b>odd</b>', 'u', 3, 1, 0, 1200, 34, 1250000000)`
  const { get } = await dashboard.signedIn('viewer', tenant.id)
  const { text } = await get('/budgets')
  assert.match(text, /<strong>\$1\.25<\/strong> for 3 calls/)
  assert.match(text, /have no known price: 1\./)
  assert.match(text, /<code>&lt;b&gt;odd&lt;\/b&gt;<\/code>/)
  assert.match(text, /no agent/)
  assert.doesNotMatch(text, /<b>odd/)
})

const budget = (fields: Partial<Budget>): Budget => ({
  id: 'bud_1',
  tenant_id: 't_1',
  scope: 'tenant',
  scope_id: 't_1',
  amount: 100,
  unit: 'usd',
  window: 'day',
  mode: 'hard',
  spent: 0,
  reserved: 0,
  resets_at: '2026-11-21T00:00:00.000Z',
  created_at: '2026-01-01T00:00:00.000Z',
  ...fields,
})

test('a projection goes on as the window went until now, from the budget’s own beginning', () => {
  const noon = new Date('2026-11-20T12:00:00Z')
  assert.deepEqual(project(budget({ spent: 30 }), noon), { spent: 60, usedUpAt: null })
  assert.deepEqual(project(budget({ spent: 75 }), noon), { spent: 150, usedUpAt: '2026-11-20T16:00:00.000Z' })
  assert.deepEqual(project(budget({ spent: 120 }), noon), { spent: 240, usedUpAt: null })
  assert.deepEqual(project(budget({ spent: 10, created_at: '2026-11-20T10:00:00Z' }), noon), { spent: 70, usedUpAt: null })
  assert.deepEqual(project(budget({ spent: 10 }), new Date('2026-11-20T00:10:00Z')), { spent: null, usedUpAt: null })
  assert.deepEqual(project(budget({ spent: 10, window: 'month', resets_at: '2026-12-01T00:00:00.000Z' }), new Date('2026-11-16T00:00:00Z')), {
    spent: 20,
    usedUpAt: null,
  })
})
