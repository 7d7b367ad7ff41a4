import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { chat, type Flow, startEarthflow, until } from '../harness/earthflow.ts'

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
  await until(async () => (await call(other, api_key)).status === 403, 'the rule to hold there', 2500)
  await one.admin('PATCH', '/v1/upstreams/openai-like', { active: false })
  assert.equal((await call(one, api_key, chat('x'))).status, 404)
  await until(async () => (await call(other, api_key, chat('x'))).status === 404, 'the upstream to be gone there', 2500)
  await one.admin('PATCH', '/v1/upstreams/openai-like', { active: true })
  await until(async () => (await call(other, api_key, chat('x'))).status === 200, 'the upstream to be back there', 2500)
  await one.admin('DELETE', `/v1/tenants/${tenant_id}/keys/${api_key.slice(0, 16)}`)
  assert.equal((await call(one, api_key, chat('x'))).status, 401)
  await until(async () => (await call(other, api_key, chat('x'))).status === 401, 'the key to be refused there although it is cached', 2500)
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
