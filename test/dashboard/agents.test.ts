import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTestDatabase } from '../db/engines.ts'
import { openDashboard, useDashboard } from './dashboard-people.ts'
import { assertAccessible, formIn } from './form-in.ts'

const dashboard = useDashboard()

const HOSTILE = `<img src=x onerror=alert(1)> "'&`

test('an agent is added, changed and deactivated, and only what somebody changed is sent', async () => {
  const tenant = await dashboard.api.createTenant({ rules_preset: null })
  const { get, post, done } = await dashboard.signedIn('operator', tenant.id)
  assert.match((await get('/agents')).text, /There are no agents yet/)
  const blank = await get('/agents/new')
  assertAccessible(blank.text, 'a new agent')
  const form = formIn(blank.text, '/agents')
  form.set('name', 'crawler')
  form.set('allowed_models', 'gpt-*\r\nclaude-*')
  form.set('limits.max_requests_per_minute', '60')
  form.set('quarantine.blocks', '10')
  const added = await done('/agents', form)
  assert.match(added.text, /crawler was added/)
  assert.match(added.text, /gpt-\*, claude-\*/)
  const [agent] = (await dashboard.api.ask('GET', '/v1/agents', { tenant: tenant.id })).json.agents
  assert.deepEqual(
    [agent.allowed_models, agent.limits.max_requests_per_minute, agent.quarantine.blocks, agent.quarantine.window_seconds],
    [['gpt-*', 'claude-*'], 60, 10, 600],
  )

  assert.ok(added.text.includes(`/tenants/${tenant.id}/keys/new?agent=${agent.id}`))
  assert.equal(formIn((await get(`/tenants/${tenant.id}/keys/new?agent=${agent.id}`)).text, `/tenants/${tenant.id}/keys`).get('agent_id'), agent.id)

  const change = await get(`/agents/${agent.id}/edit`)
  assertAccessible(change.text, 'an agent')
  // Somebody else changes it meanwhile.
  await dashboard.api.ask('PATCH', `/v1/agents/${agent.id}`, { tenant: tenant.id, body: { allowed_models: ['o3'] } })
  const sent = formIn(change.text, `/agents/${agent.id}/edit`)
  sent.set('limits.max_requests_per_minute', '')
  sent.set('limits.max_concurrency', '4')
  await done(`/agents/${agent.id}/edit`, sent)
  const after = (await dashboard.api.ask('GET', `/v1/agents/${agent.id}`)).json
  assert.deepEqual([after.limits.max_requests_per_minute, after.limits.max_concurrency, after.allowed_models, after.active], [null, 4, ['o3'], true])

  await done(`/agents/${agent.id}/deactivate`)
  assert.equal((await dashboard.api.ask('GET', `/v1/agents/${agent.id}`)).json.status, 'inactive')
  assert.equal((await post('/agents/agent_nobody/deactivate')).status, 404)
})

test('what the API refuses is said in its words, at the field, and what was written stays', async () => {
  const tenant = await dashboard.api.createTenant({ rules_preset: null })
  const { get, post } = await dashboard.signedIn('operator', tenant.id)
  const form = formIn((await get('/agents/new')).text, '/agents')
  form.set('name', HOSTILE)
  form.set('quarantine.window_seconds', '5')
  const { status, text } = await post('/agents', form)
  assert.equal(status, 400)
  assert.match(text, /role="alert"/)
  assert.match(text, /<a href="#field-quarantine-window_seconds">Window in seconds: /)
  assert.match(text, /aria-invalid="true"/)
  assert.ok(text.includes('value="&lt;img src=x onerror=alert(1)&gt; &quot;&#39;&amp;"'))
  assertAccessible(text, 'a refused agent')
  assert.equal((await dashboard.api.ask('GET', '/v1/agents', { tenant: tenant.id })).json.total, 0)
})

test('an agent is put into quarantine with a reason, and released with a comment; both are shown as text', async () => {
  const tenant = await dashboard.api.createTenant({ rules_preset: null })
  const agent = (await dashboard.api.ask('POST', '/v1/agents', { tenant: tenant.id, body: { name: HOSTILE } })).json
  const { get, post, done } = await dashboard.signedIn('owner')
  const without = await post(`/agents/${agent.id}/quarantine`, { reason: ' ' })
  assert.equal(without.status, 400)
  assert.match(without.text, /Must say something/)
  const held = await done(`/agents/${agent.id}/quarantine`, { reason: HOSTILE })
  assert.match(held.text, /In quarantine/)
  assert.doesNotMatch(held.text, /<img/)
  assertAccessible(held.text, 'an agent in quarantine')
  const released = await done(`/agents/${agent.id}/release`, { comment: 'the loop is mended' })
  assert.match(released.text, /the loop is mended/)
  assert.equal((await dashboard.api.ask('GET', `/v1/agents/${agent.id}`)).json.status, 'active')
  const list = await get('/agents?status=quarantined')
  assert.match(list.text, /No agent is in this state/)
  assert.doesNotMatch((await get('/agents')).text, /<img/)
})

test('whoever may only look is offered nothing, and can do nothing', async () => {
  const tenant = await dashboard.api.createTenant({ rules_preset: null })
  const agent = (await dashboard.api.ask('POST', '/v1/agents', { tenant: tenant.id, body: { name: 'watched' } })).json
  const { get, post } = await dashboard.signedIn('viewer', tenant.id)
  const list = await get('/agents')
  assert.match(list.text, /watched/)
  assert.doesNotMatch(list.text, /Add an agent/)
  const page = await get(`/agents/${agent.id}`)
  assert.equal(page.status, 200)
  assert.doesNotMatch(page.text, /Deactivate|Quarantine<|\/edit"/)
  for (const [path, form] of [
    ['/agents', { name: 'mine' }],
    [`/agents/${agent.id}/edit`, { name: 'mine', was: '' }],
    [`/agents/${agent.id}/quarantine`, { reason: 'x' }],
    [`/agents/${agent.id}/release`, {}],
    [`/agents/${agent.id}/deactivate`, {}],
  ] as const) {
    const { status, text } = await post(path, form as unknown as Record<string, string>)
    assert.equal(status, 403, path)
    assert.match(text, /This needs the scope agents:write/)
  }
  const after = (await dashboard.api.ask('GET', `/v1/agents/${agent.id}`)).json
  assert.deepEqual([after.name, after.status], ['watched', 'active'])
})

test('where several tenants are seen, a form asks whose the agent is, and without any tells what to do first', async () => {
  const other = await openTestDatabase('pglite')
  const fresh = await openDashboard(other)
  try {
    const { get, post } = await fresh.signedIn('owner')
    assert.match((await get('/agents/new')).text, /There is no tenant yet/)
    const tenant = await fresh.api.createTenant({ rules_preset: null })
    const form = formIn((await get('/agents/new')).text, '/agents')
    form.set('name', 'roaming')
    const nobodys = await post('/agents', form)
    assert.equal(nobodys.status, 400)
    assert.match(nobodys.text, /Choose a tenant\./)
    form.set('for_tenant', tenant.id)
    assert.equal((await post('/agents', form)).status, 303)
    assert.equal((await fresh.api.ask('GET', '/v1/agents', { tenant: tenant.id })).json.total, 1)
  } finally {
    await fresh.close()
    await other.drop()
  }
})
