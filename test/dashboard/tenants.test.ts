import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
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

const HOSTILE = `<script>alert(1)</script> O'Neill & "Sons"`
const found = async (id: string) => (await dashboard.api.ask('GET', `/v1/tenants/${id}`)).json

test('a tenant is created with a key that is shown once, and a command that sends its first call', async () => {
  const { get, post } = await dashboard.signedIn('owner')
  assert.match((await get('/tenants')).text, /There are no tenants yet/)
  const blank = await get('/tenants/new')
  assertAccessible(blank.text, 'a new tenant')
  const form = formIn(blank.text, '/tenants')
  assert.equal(form.get('rules_preset'), 'default')
  form.set('name', HOSTILE)
  form.set('max_requests_per_minute', '600')
  form.set('limits.models.0.model', 'gpt-4*')
  form.set('limits.models.0.max_requests_per_minute', '60')
  const created = await post('/tenants', form)
  assert.equal(created.status, 201)
  const [key] = /ef_test_[\w-]+/.exec(created.text) ?? assert.fail('no key')
  assert.match(created.text, /curl [^<]*https:\/\/proxy\.example\.com\/v1\/chat\/completions/)
  assert.ok(created.text.includes(`Authorization: Bearer ${key}`))
  assert.doesNotMatch(created.text, /<script>alert/)
  assert.equal(created.headers.get('cache-control'), 'no-store')
  const [tenant] = (await dashboard.api.ask('GET', '/v1/tenants')).json.tenants
  assert.deepEqual(
    [tenant.name, tenant.rules_preset, tenant.max_requests_per_minute, tenant.limits.models[0].max_requests_per_minute],
    [HOSTILE, 'default', 600, 60],
  )
  for (const path of ['/tenants', `/tenants/${tenant.tenant_id}`, `/tenants/${tenant.tenant_id}/keys`, `/tenants/${tenant.tenant_id}/edit`]) {
    const { status, text } = await get(path)
    assert.equal(status, 200, path)
    assert.ok(!text.includes(key), path)
    assert.doesNotMatch(text, /<script>alert/, path)
    assertAccessible(text, path)
  }
})

test('every setting of a tenant can be changed; what nobody touched is not sent, the default of the installation least of all', async () => {
  const { id } = await dashboard.api.createTenant({ name: 'Clinic', rules_preset: null, allowed_models: ['gpt-*'] })
  const { get, done } = await dashboard.signedIn('owner')
  const action = `/tenants/${id}/edit`
  const untouched = formIn((await get(action)).text, action)
  await done(action, untouched)
  const [{ max_requests_per_minute: own }] = await database.sql`select max_requests_per_minute from tenants where id = ${id}`
  assert.equal(own, null)
  const form = formIn((await get(action)).text, action)
  const values = {
    name: 'Clinic North',
    contact_email: 'ops@clinic.example.com',
    rules_preset: 'medical',
    uninspectable: 'block',
    stream_stop: 'soft',
    escalation_wait_seconds: '30',
    max_requests_per_minute: '100',
    max_tokens_per_day: '5000000',
    max_concurrency: '9',
    default_max_output_tokens: '2000',
    limits_without_redis: 'refuse',
    'limits.key.max_requests_per_minute': '10',
    'limits.user.max_tokens_per_day': '1000',
    allowed_models: '',
    allowed_regions: 'eu-west\neu-north',
    audit_durability: 'strict',
    audit_retention_days: '90',
    forward_proxy_credentials: 'true',
  }
  for (const [name, value] of Object.entries(values)) form.set(name, value)
  const after = await done(action, form)
  assert.match(after.text, /Clinic North was changed/)
  const tenant = await found(id)
  assert.deepEqual(
    [
      tenant.name,
      tenant.contact_email,
      tenant.rules_preset,
      tenant.uninspectable,
      tenant.stream_stop,
      tenant.escalation_wait_seconds,
      tenant.max_requests_per_minute,
    ],
    ['Clinic North', 'ops@clinic.example.com', 'medical', 'block', 'soft', 30, 100],
  )
  assert.deepEqual(
    [
      tenant.max_tokens_per_day,
      tenant.max_concurrency,
      tenant.default_max_output_tokens,
      tenant.limits_without_redis,
      tenant.limits.key.max_requests_per_minute,
    ],
    [5_000_000, 9, 2000, 'refuse', 10],
  )
  assert.deepEqual(
    [
      tenant.limits.user.max_tokens_per_day,
      tenant.allowed_models,
      tenant.allowed_regions,
      tenant.audit_durability,
      tenant.audit_retention_days,
      tenant.forward_proxy_credentials,
    ],
    [1000, null, ['eu-west', 'eu-north'], 'strict', 90, true],
  )
})

test('the form asks for everything that the API takes of a tenant', async () => {
  const { id } = await dashboard.api.createTenant({ rules_preset: null })
  const { get } = await dashboard.signedIn('owner')
  const { text } = await get(`/tenants/${id}/edit`)
  const said = ['tenant_id', 'created_at', 'api_key_count']
  for (const name of Object.keys(await found(id)).filter((one) => !said.includes(one))) assert.match(text, new RegExp(`name="${name}[."]`), name)
})

test('what the API refuses is said at each field that it names, with a link from above', async () => {
  const { id } = await dashboard.api.createTenant({ name: 'Unchanged', rules_preset: null })
  const { get, post } = await dashboard.signedIn('owner')
  const action = `/tenants/${id}/edit`
  const form = formIn((await get(action)).text, action)
  form.set('contact_email', 'nobody')
  form.set('allowed_models', 'gpt-*\nwith blanks in it')
  form.set('limits.models.0.model', 'gpt-4*')
  const { status, text } = await post(action, form)
  assert.equal(status, 400)
  assert.match(text, /<a href="#field-contact_email">Contact: /)
  assert.match(text, /<a href="#field-allowed_models">Models: Must be 1 to 200 printable characters without blanks\./)
  assert.match(text, /Must limit something\./)
  assert.match(text, /value="nobody"/)
  assertAccessible(text, 'a refused tenant')
  assert.equal((await found(id)).contact_email, null)
})

test('a tenant is closed only where its name is typed, and can be opened again', async () => {
  const { id } = await dashboard.api.createTenant({ name: 'Short-lived', rules_preset: null })
  const { get, post, done } = await dashboard.signedIn('operator')
  const asked = await get(`/tenants/${id}/close`)
  assertAccessible(asked.text, 'closing')
  const wrong = await post(`/tenants/${id}/close`, { name: 'Short' })
  assert.deepEqual([wrong.status, (await found(id)).active], [422, true])
  assert.match(wrong.text, /to close it, type its name/)
  assert.match((await done(`/tenants/${id}/close`, { name: 'Short-lived' })).text, /Short-lived is closed/)
  assert.deepEqual([(await found(id)).active, (await found(id)).api_key_count], [false, 0])
  const form = formIn((await get(`/tenants/${id}/edit`)).text, `/tenants/${id}/edit`)
  assert.equal(form.has('active'), false)
  form.set('active', 'true')
  await done(`/tenants/${id}/edit`, form)
  assert.equal((await found(id)).active, true)
})

test('whoever may not change rules is not offered presets, and whoever may only look is offered nothing', async () => {
  const { id } = await dashboard.api.createTenant({ name: 'Watched', rules_preset: null })
  const operator = await dashboard.signedIn('operator')
  assert.doesNotMatch((await operator.get(`/tenants/${id}/edit`)).text, /name="rules_preset"/)
  assert.doesNotMatch((await operator.get('/tenants/new')).text, /name="rules_preset"/)
  const { get, post } = await dashboard.signedIn('viewer', id)
  const { text } = await get(`/tenants/${id}`)
  assert.match(text, /Watched/)
  assert.doesNotMatch(text, /\/edit"|\/close|\/keys"/)
  assert.doesNotMatch((await get('/tenants')).text, /Create a tenant/)
  for (const [path, form] of [
    ['/tenants', { name: 'Mine' }],
    [`/tenants/${id}/edit`, { name: 'Mine', was: '' }],
    [`/tenants/${id}/close`, { name: 'Watched' }],
  ] as const)
    assert.equal((await post(path, form as unknown as Record<string, string>)).status, 403, path)
  assert.deepEqual([(await found(id)).name, (await found(id)).active], ['Watched', true])
  const other = await dashboard.api.createTenant({ rules_preset: null })
  for (const path of [`/tenants/${other.id}`, `/tenants/${other.id}/edit`, `/tenants/${other.id}/keys`])
    assert.ok([403, 404].includes((await get(path)).status), path)
})
