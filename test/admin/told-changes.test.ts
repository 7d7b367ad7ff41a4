import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { payloads } from '../../src/admin/documents/events.ts'
import { webhookEvents } from '../../src/db/schema.ts'
import { type EventType, toldActions } from '../../src/webhooks/event.ts'
import { payloadOf } from '../../src/webhooks/payload.ts'
import { openTestDatabase, type TestDatabase } from '../db/engines.ts'
import { escalationsOn, heldCall } from '../escalations/held-calls.ts'
import { listen } from '../webhooks/endpoints-of.ts'
import { type Management, manage } from './management.ts'

let database: TestDatabase
let api: Management
before(async () => {
  database = await openTestDatabase('pglite')
  api = manage(database)
})
after(() => database.drop())

/** Done by the program itself, and held to their schemas where that is tested. */
const ofTheProgram = ['escalation.expire', 'upstream.down', 'upstream.up', 'webhook.disable', 'certificate.expiring', 'audit.degraded', 'audit.spool_damaged']

test('each administrative change that is told is told with the request that made it, in a payload that fits its schema', async () => {
  const endpoint = await listen(database, null, ['*'])
  const { id: tenant, key } = await api.createTenant()
  const requests: string[] = []
  const act = async (method: string, path: string, body?: unknown) => {
    const { status, headers, json } = await api.ask(method, path, { tenant, ...(body === undefined ? {} : { body }) })
    assert.ok(status < 300, `${method} ${path}: ${JSON.stringify(json)}`)
    requests.push(headers.get('x-earthflow-request-id')!)
    return json
  }
  const prefix = key.slice(0, 16)
  const rule = { name: 'x', condition: { operator: 'contains', value: 'x' }, action: 'WARN' }
  const more = await act('POST', `/v1/tenants/${tenant}/keys`, { name: 'more' })
  await act('DELETE', `/v1/tenants/${tenant}/keys/${more.api_key.slice(0, 16)}`)
  const agent = await act('POST', '/v1/agents', { name: 'a' })
  const quarantine = await act('POST', '/v1/quarantine', { agent_id: agent.id, reason: 'an exercise' })
  await act('POST', `/v1/quarantine/${quarantine.id}/release`, {})
  await act('POST', '/v1/sessions/lock-all', { reason: 'an exercise' })
  const made = await act('POST', '/v1/rules', rule)
  await act('PATCH', `/v1/rules/${made.id}`, { priority: 3 })
  await act('DELETE', `/v1/rules/${made.id}`)
  await act('PUT', '/v1/dictionaries/projects', { terms: ['x'] })
  await act('DELETE', '/v1/dictionaries/projects')
  for (const mode of ['merge', 'replace']) {
    await act('POST', '/v1/rules/presets/default/apply', { mode })
    await act('POST', '/v1/rules/import', { rules: [rule], mode })
  }
  await act('POST', '/v1/rules/versions/1/restore', {})
  const [policy] = await database.sql`select max(version) as version from policy_versions where tenant_id = ${tenant}`
  for (const decision of ['approve', 'deny']) {
    const { id } = await escalationsOn(database.db).ask(heldCall(tenant, { policyVersion: policy?.version, callHash: `sha256:${decision}` }))
    await act('POST', `/v1/escalations/${id}/${decision}`, {})
  }
  await act('POST', '/v1/ops/rotate-keys', {})

  const rows = await database.db.select().from(webhookEvents).orderBy(webhookEvents.sequence)
  const actions = new Set<string>()
  for (const { type, data, requestId, tenantId, ...row } of rows) {
    const body = payloadOf({ ...row, type, data, requestId, tenantId, sequence: String(row.sequence) })
    const { success, error } = payloads[type as EventType].safeParse(JSON.parse(body))
    assert.ok(success, `${type}: ${error?.message}\n${body}`)
    assert.equal(tenantId, tenant)
    if (type === 'ESCALATE') continue // it is no change
    const [entry] = await database.sql`select reason, request_id from audit_entries where audit_id = ${String(data.audit_id)}`
    assert.deepEqual([entry?.reason, entry?.request_id], [data.action, requestId])
    assert.ok(data.action === 'tenant.create' || requests.includes(requestId), String(data.action))
    actions.add(String(data.action))
    const [queued] = await database.sql`select count(*)::int as deliveries from webhook_deliveries where event_id = ${row.id} and webhook_id = ${endpoint}`
    assert.equal(queued?.deliveries, 1)
  }
  assert.deepEqual([...actions, ...ofTheProgram].sort(), Object.keys(toldActions).sort())
  assert.doesNotMatch(JSON.stringify(rows), new RegExp(`${key.slice(16)}|${more.api_key.slice(16)}`), 'no key is told')
  assert.match(JSON.stringify(rows), new RegExp(prefix))
})
