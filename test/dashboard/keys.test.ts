import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NOW } from '../admin/management.ts'
import { useDashboard } from './dashboard-people.ts'
import { assertAccessible, formIn } from './form-in.ts'

const dashboard = useDashboard()

const keysOf = async (id: string) => (await dashboard.api.ask('GET', `/v1/tenants/${id}/keys`)).json.keys

test('a key is issued with what was chosen, shown once, changed and revoked', async () => {
  const { id } = await dashboard.api.createTenant({ rules_preset: null })
  const agent = (await dashboard.api.ask('POST', '/v1/agents', { tenant: id, body: { name: 'robot' } })).json
  const { get, post, done } = await dashboard.signedIn('owner')
  const base = `/tenants/${id}/keys`
  const blank = await get(`${base}/new`)
  assertAccessible(blank.text, 'a new key')
  const form = formIn(blank.text, base)
  assert.deepEqual(form.getAll('scopes'), ['proxy:write'])
  form.set('name', 'ci <b>')
  form.append('scopes', 'audit:read')
  form.set('agent_id', agent.id)
  form.set('expires_at', '2027-06-01T12:30')
  form.set('allowed_models', 'gpt-*')
  form.set('allowed_addresses', '10.0.0.0/8\n192.0.2.7')
  form.set('limits.max_concurrency', '2')
  const issued = await post(base, form)
  assert.equal(issued.status, 201)
  const [secret] = /ef_test_[\w-]{20,}/.exec(issued.text) ?? assert.fail('no key')
  assert.doesNotMatch(issued.text, /ci <b>/)
  const [key] = await keysOf(id)
  assert.deepEqual(
    [key.name, key.scopes, key.agent_id, key.expires_at, key.allowed_models, key.allowed_addresses, key.limits.max_concurrency],
    ['ci <b>', ['proxy:write', 'audit:read'], agent.id, '2027-06-01T12:30:00.000Z', ['gpt-*'], ['10.0.0.0/8', '192.0.2.7'], 2],
  )
  assert.equal(secret.startsWith(key.prefix), true)
  const list = await get(base)
  assertAccessible(list.text, 'keys')
  assert.ok(list.text.includes(key.prefix) && !list.text.includes(secret))
  assert.match(list.text, /2 calls at once/)

  const path = `${base}/${key.prefix}`
  const changed = formIn((await get(path)).text, path)
  assert.equal(changed.get('expires_at'), '2027-06-01T12:30')
  changed.set('name', 'ci')
  changed.set('allowed_addresses', '')
  await done(path, changed)
  const [after] = await keysOf(id)
  assert.deepEqual([after.name, after.allowed_addresses, after.allowed_models], ['ci', null, ['gpt-*']])

  assert.match((await done(`${path}/revoke`)).text, /is revoked/)
  const [gone] = await keysOf(id)
  assert.ok(gone.revoked_at !== null)
  assert.doesNotMatch((await get(base)).text, new RegExp(`${key.prefix}/revoke`))
  assert.equal((await post(path, changed)).status, 409)
})

test('what the API refuses is said in its words, and what was written stays', async () => {
  const { id } = await dashboard.api.createTenant({ rules_preset: null })
  const { get, post } = await dashboard.signedIn('owner')
  const base = `/tenants/${id}/keys`
  const form = formIn((await get(`${base}/new`)).text, base)
  form.set('name', 'late')
  form.set('expires_at', new Date(NOW - 86_400_000).toISOString().slice(0, 16))
  const { status, text } = await post(base, form)
  assert.equal(status, 400)
  assert.match(text, /Must be in the future\./)
  assert.match(text, /value="late"/)
  form.set('expires_at', '')
  form.set('allowed_addresses', 'nowhere')
  const other = await post(base, form)
  assert.match(other.text, /<a href="#field-allowed_addresses">Addresses: Must be an address or a network/)
  assert.equal((await keysOf(id)).length, 1)
})

test('all keys of a tenant are rotated after a look at which; the new ones are shown once', async () => {
  const { id } = await dashboard.api.createTenant({ rules_preset: null })
  const { get, post } = await dashboard.signedIn('owner')
  const base = `/tenants/${id}/keys`
  const asked = await get(`${base}/rotate`)
  assert.match(asked.text, /Rotate 1 key/)
  assertAccessible(asked.text, 'rotating')
  const wrong = await post(`${base}/rotate`, { revoke_old_after_seconds: 'soon' })
  assert.equal(wrong.status, 400)
  assert.match(wrong.text, /value="soon"/)
  const rotated = await post(`${base}/rotate`, { revoke_old_after_seconds: '600' })
  assert.equal(rotated.status, 200)
  const [secret] = /ef_test_[\w-]{20,}/.exec(rotated.text) ?? assert.fail('no key')
  const [key, old] = await keysOf(id)
  assert.equal(secret.startsWith(key.prefix), true)
  assert.equal(old.successor, key.prefix)
  const list = (await get(base)).text
  assert.match(list, /Replaced/)
  assert.ok(!list.includes(secret))
})

test('a tenant’s operator gives no key what they may not do themselves, and is offered no certificates', async () => {
  const { id } = await dashboard.api.createTenant({ rules_preset: null })
  const { get, post } = await dashboard.signedIn('operator', id)
  assert.equal((await get('/keys')).location, `/tenants/${id}/keys`)
  const { text } = await get(`/tenants/${id}/keys/new`)
  assert.doesNotMatch(text, /value="rules:write"|name="client_certificate"/)
  assert.doesNotMatch((await get(`/tenants/${id}/keys`)).text, /Rotate all/)
  const refused = await post(
    `/tenants/${id}/keys`,
    new URLSearchParams([
      ['name', 'k'],
      ['scopes', 'rules:write'],
    ]),
  )
  assert.equal(refused.status, 403)
  assert.equal((await keysOf(id)).length, 1)
  assert.equal((await get(`/tenants/${id}/keys/rotate`)).status, 403)
})

test('whoever may only look is offered nothing and can do nothing, and others see no keys at all', async () => {
  const { id, key } = await dashboard.api.createTenant({ name: 'Keyed', rules_preset: null })
  const base = `/tenants/${id}/keys`
  const prefix = key.slice(0, 16)
  const auditor = await dashboard.signedIn('auditor')
  assert.match((await auditor.get('/keys')).text, /Keyed/)
  const list = (await auditor.get(base)).text
  assert.ok(list.includes(prefix))
  assert.doesNotMatch(list, /Issue a key|Revoke/)
  for (const [path, form] of [
    [base, { name: 'k', scopes: 'proxy:write' }],
    [`${base}/${prefix}`, { name: 'k', was: '' }],
    [`${base}/${prefix}/revoke`, {}],
    [`${base}/rotate`, { revoke_old_after_seconds: '0' }],
  ] as const)
    assert.equal((await auditor.post(path, form as unknown as Record<string, string>)).status, 403, path)
  const [still] = await keysOf(id)
  assert.equal(still.revoked_at, null)
  const viewer = await dashboard.signedIn('viewer', id)
  assert.equal((await viewer.get(base)).status, 403)
  assert.doesNotMatch((await viewer.get('/')).text, /href="\/keys/)
})
