import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { chat, type Flow, startEarthflow, until } from '../harness/earthflow.ts'

/** Far less than what is cached is believed without being told of a change. */
const HEARD_MAX_MS = 10_000

let one: Flow
let other: Flow
before(async () => {
  one = await startEarthflow()
  other = await startEarthflow({ databaseUrl: one.databaseUrl })
})
after(async () => {
  await other.close()
  await one.close()
})
const call = (flow: Flow, key: string, body = chat('about project falcon')) => flow.post('/v1/chat/completions', body, { authorization: `Bearer ${key}` })

test('what one process changes holds in the other: a key made, a rule written, an upstream moved, a key revoked, a tenant closed', async () => {
  const { tenant_id, api_key } = await one.newTenant()
  assert.equal((await call(other, api_key)).status, 200)
  await one.admin('POST', `/v1/rules?tenant_id=${tenant_id}`, { name: 'falcon', action: 'BLOCK', condition: { operator: 'contains', value: 'project falcon' } })
  assert.equal((await call(one, api_key)).status, 403, 'here at once')
  await until(async () => (await call(other, api_key)).status === 403, 'the rule to hold there', HEARD_MAX_MS)
  await one.admin('PATCH', '/v1/upstreams/openai-like', { active: false })
  assert.equal((await call(one, api_key, chat('x'))).status, 404)
  await until(async () => (await call(other, api_key, chat('x'))).status === 404, 'the upstream to be gone there', HEARD_MAX_MS)
  await one.admin('PATCH', '/v1/upstreams/openai-like', { active: true })
  await until(async () => (await call(other, api_key, chat('x'))).status === 200, 'the upstream to be back there', HEARD_MAX_MS)
  await one.admin('DELETE', `/v1/tenants/${tenant_id}/keys/${api_key.slice(0, 16)}`)
  assert.equal((await call(one, api_key, chat('x'))).status, 401)
  await until(async () => (await call(other, api_key, chat('x'))).status === 401, 'the key to be refused there although it is cached', HEARD_MAX_MS)
})

test("so do a dictionary's new term, a version that is restored, an import and a tenant's setting", async () => {
  const { tenant_id, api_key } = await one.newTenant()
  const write = (method: string, path: string, body: object) => one.admin(method, `${path}?tenant_id=${tenant_id}`, body)
  const there = (status: number, what: string, body = chat('about heron')) =>
    until(async () => (await call(other, api_key, body)).status === status, what, HEARD_MAX_MS)
  await write('PUT', '/v1/dictionaries/projects', { terms: ['falcon'] })
  await write('POST', '/v1/rules', { name: 'projects', action: 'BLOCK', condition: { operator: 'detects', value: 'projects' } })
  await there(403, 'the rule to hold there', chat('about falcon'))
  await there(200, 'a heron to be nothing yet')
  await write('PUT', '/v1/dictionaries/projects', { terms: ['falcon', 'heron'] })
  await there(403, 'the new term to be found there')
  await write('POST', '/v1/rules/versions/3/restore', {})
  await there(200, 'the version before it to hold there')
  await write('POST', '/v1/rules/import', { rules: [{ name: 'birds', action: 'BLOCK', condition: { operator: 'contains', value: 'heron' } }] })
  await there(403, 'the imported rule to hold there')
  await one.admin('PATCH', `/v1/tenants/${tenant_id}`, { allowed_models: ['other-*'] })
  await there(403, 'the setting to hold there', chat('x'))
})

test('an exchange that a dead process left open becomes one row with outcome unknown', async () => {
  const before = (await one.rows()).length

  await call(one, one.tenant.api_key, chat('x'))
  const [template] = await one.rows()
  const { sql } = one.database
  await sql`insert into audit_open (audit_id, tenant_id, process_id, opened_at, entry) values ('aud_left_open', ${one.tenant.tenant_id}, 'proc_dead', ${template.timestamp}, ${sql.json({ ...template, audit_id: 'aud_left_open', request_id: 'req_left_open', outcome: 'unknown', timestamp: template.timestamp } as never)})`
  assert.equal(await one.sweep(), 1)
  assert.equal(await other.sweep(), 0)
  const rows = await one.rows('&request_id=req_left_open')
  assert.deepEqual(
    rows.map(({ outcome }) => outcome),
    ['unknown'],
  )
  assert.equal((await one.rows()).length, before + 2)
})
