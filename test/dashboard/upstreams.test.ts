import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openTestDatabase, type TestDatabase } from '../db/engines.ts'
import { type DashboardUnderTest, openDashboard } from './dashboard-people.ts'
import { assertAccessible, formIn } from './form-in.ts'

let database: TestDatabase
let dashboard: DashboardUnderTest
let standing: { state: 'closed' | 'open' | 'half_open'; failures: number; probeInMs: number; restMs: number } | undefined
let answer = { ok: true, status: 200 as number | null, latency_ms: 12, models: 7 as number | null, problem: null as string | null }
before(async () => {
  database = await openTestDatabase('pglite')
  dashboard = await openDashboard(database, { standingOf: () => standing, checkUpstream: async () => answer })
})
after(async () => {
  await dashboard.close()
  await database.drop()
})

const CREDENTIAL = 'sk-marked-credential-0123456789'
const URL_OF = 'https://api.openai.com/v1'
const found = async (name: string, tenant?: string) => (await dashboard.api.ask('GET', `/v1/upstreams/${name}`, tenant === undefined ? {} : { tenant })).json

test('an upstream is added with a credential that nobody is shown again, changed, switched off and on, and removed', async () => {
  const { get, done } = await dashboard.signedIn('owner')
  assert.match((await get('/upstreams')).text, /There are no upstreams yet/)
  const blank = await get('/upstreams/new')
  assertAccessible(blank.text, 'a new upstream')
  const form = formIn(blank.text, '/upstreams')
  form.set('name', 'openai')
  form.set('base_url', URL_OF)
  form.append('dialects', 'openai-responses')
  form.set('models', 'gpt-*\no3*')
  form.set('credential', CREDENTIAL)
  form.set('priority', '10')
  form.set('region', 'eu-west')
  form.set('timeouts.first_byte_seconds', '30.5')
  form.set('prices.0.model', 'gpt-4*')
  form.set('prices.0.input', '2.5')
  form.set('prices.0.output', '10')
  const added = await done('/upstreams', form)
  assert.match(added.text, /openai was added/)
  const made = await found('openai')
  assert.deepEqual(
    [made.dialects, made.base_url, made.models, made.credential_set, made.priority, made.weight, made.region, made.timeouts, made.prices],
    [
      ['openai-chat', 'openai-responses'],
      URL_OF,
      ['gpt-*', 'o3*'],
      true,
      10,
      1,
      'eu-west',
      { first_byte_seconds: 30.5 },
      [{ model: 'gpt-4*', input: 2.5, output: 10 }],
    ],
  )
  const path = '/upstreams/at/openai'
  for (const one of ['/upstreams', path, `${path}/edit`]) {
    const { text } = await get(one)
    assert.ok(!text.includes(CREDENTIAL), one)
    assertAccessible(text, one)
  }

  const change = formIn((await get(`${path}/edit`)).text, `${path}/edit`)
  assert.equal(change.get('credential'), '')
  change.set('weight', '3')
  change.set('prices.0.model', '')
  change.set('prices.0.input', '')
  change.set('prices.0.output', '')
  change.set('timeouts.first_byte_seconds', '')
  change.set('models', '')
  await done(`${path}/edit`, change)
  const after = await found('openai')
  assert.deepEqual([after.weight, after.prices, after.timeouts, after.models, after.credential_set], [3, [], {}, ['*'], true])
  const without = formIn((await get(`${path}/edit`)).text, `${path}/edit`)
  without.set('remove_credential', 'true')
  await done(`${path}/edit`, without)
  assert.equal((await found('openai')).credential_set, false)

  assert.match((await done(`${path}/active`, { active: 'false' })).text, /No call goes to openai any more/)
  assert.equal((await found('openai')).active, false)
  await done(`${path}/active`, { active: 'true' })
  assert.equal((await found('openai')).active, true)
  assert.match((await done(`${path}/remove`)).text, /openai and its credential were removed/)
  assert.equal((await get(path)).status, 404)
})

test('what the API refuses is said in its words, and what was written stays, but for the credential', async () => {
  const { get, post } = await dashboard.signedIn('owner')
  const form = formIn((await get('/upstreams/new')).text, '/upstreams')
  form.set('name', 'inside')
  form.set('base_url', 'https://inside.example.com/v1')
  form.set('credential', CREDENTIAL)
  form.delete('dialects')
  const without = await post('/upstreams', form)
  assert.equal(without.status, 400)
  assert.match(without.text, /<a href="#field-dialects-group">Dialects it speaks: /)
  assert.ok(!without.text.includes(CREDENTIAL))
  form.set('dialects', 'openai-chat')
  form.set('credential', CREDENTIAL)
  const refused = await post('/upstreams', form)
  assert.equal(refused.status, 422)
  assert.match(refused.text, /value="https:\/\/inside\.example\.com\/v1"/)
  assert.ok(!refused.text.includes(CREDENTIAL))
  assertAccessible(refused.text, 'a refused upstream')
})

test('how an upstream fares is told as the API has it, and asked for anew as a part of the page', async () => {
  await dashboard.api.ask('POST', '/v1/upstreams', { body: { name: 'new', dialects: ['openai-chat'], base_url: URL_OF } })
  const { get, post } = await dashboard.signedIn('operator')
  standing = undefined
  assert.match((await get('/upstreams')).text, /Not known here/)
  standing = { state: 'closed', failures: 0, probeInMs: 0, restMs: 0 }
  assert.match((await get('/upstreams', { 'hx-request': 'true' })).text, /^(?!<!doctype)[\s\S]*>Up</)
  standing = { state: 'open', failures: 6, probeInMs: 1_000, restMs: 0 }
  const page = await get('/upstreams/at/new')
  assert.match(page.text, /Down[\s\S]*tried again <time/)
  standing = { state: 'closed', failures: 0, probeInMs: 0, restMs: 60_000 }
  assert.match((await get('/upstreams')).text, /Resting/)

  assert.match((await post('/upstreams/at/new/check')).text, /new would take calls: it answered 200 after 12 ms, and named 7 models/)
  answer = { ok: false, status: null, latency_ms: 5_000, models: null, problem: 'The address does not answer.' }
  const failed = await post('/upstreams/at/new/check')
  assert.deepEqual([failed.status, /new would not take calls\. Nothing came back after 5\.00 s\. The address does not answer\./.test(failed.text)], [200, true])
  await dashboard.api.ask('DELETE', '/v1/upstreams/new')
})

test('an upstream of a tenant and one of the installation of the same name are two', async () => {
  const tenant = await dashboard.api.createTenant({ name: 'Owner of one', rules_preset: null })
  const body = { name: 'twin', dialects: ['openai-chat'], base_url: URL_OF }
  await dashboard.api.ask('POST', '/v1/upstreams', { body })
  const { get, done, post } = await dashboard.signedIn('owner')
  const form = formIn((await get('/upstreams/new')).text, '/upstreams')
  for (const [name, value] of Object.entries(body)) form.set(name, String(value))
  form.set('for_tenant', tenant.id)
  assert.match((await done('/upstreams', form)).text, /Owner of one/)
  assert.match((await get('/upstreams', { 'hx-request': 'true' })).text, /of Owner of one/)
  await done(`/upstreams/at/twin/active?of=${tenant.id}`, { active: 'false' })
  assert.deepEqual([(await found('twin')).active, (await found('twin', tenant.id)).active], [true, false])
  const their = await dashboard.signedIn('operator', tenant.id)
  const list = (await their.get('/upstreams')).text
  assert.match(list, /twin/)
  assert.doesNotMatch(list, /Add an upstream/)
  assert.equal((await their.post('/upstreams/at/twin/active', { active: 'true' })).status, 403)
  assert.equal((await their.post('/upstreams/at/twin/check')).status, 403)
  assert.equal((await post('/upstreams/at/twin/remove')).status, 303)
  assert.equal((await found('twin', tenant.id)).name, 'twin')
})

test('whoever may only look is offered nothing and can do nothing', async () => {
  await dashboard.api.ask('POST', '/v1/upstreams', { body: { name: 'watched', dialects: ['openai-chat'], base_url: URL_OF } })
  const { get, post } = await dashboard.signedIn('viewer')
  const page = await get('/upstreams/at/watched')
  assert.equal(page.status, 200)
  assert.doesNotMatch(page.text, /Check it now|\/edit|Deactivate|Remove/)
  for (const [path, form] of [
    ['/upstreams', { name: 'x', base_url: URL_OF, dialects: 'openai-chat' }],
    ['/upstreams/at/watched/edit', { priority: '1', was: '' }],
    ['/upstreams/at/watched/check', {}],
    ['/upstreams/at/watched/active', { active: 'false' }],
    ['/upstreams/at/watched/remove', {}],
  ] as const)
    assert.equal((await post(path, form as unknown as Record<string, string>)).status, 403, path)
  assert.equal((await found('watched')).active, true)
  const arbiter = await dashboard.signedIn('arbiter')
  assert.equal((await arbiter.get('/upstreams')).status, 403)
})
