/** A tenant that owns one of everything, and how each route is asked so that it would answer. */
import { randomBytes } from 'node:crypto'
import type { Route } from '../../src/admin/route.ts'
import { newId } from '../../src/ids.ts'
import { insertEntries } from '../audit/entries.ts'
import type { TestDatabase } from '../db/engines.ts'
import { escalationsOn, heldCall } from '../escalations/held-calls.ts'
import type { Management } from './management.ts'

/** A body that each writing route would accept. */
export const bodies: Record<string, unknown> = {
  'POST /v1/tenants': { name: 'x' },
  'PATCH /v1/tenants/{id}': { name: 'changed by a stranger' },
  'POST /v1/tenants/{id}/keys': { name: 'x' },
  'PATCH /v1/tenants/{id}/keys/{prefix}': { name: 'changed by a stranger' },
  'POST /v1/audit/erasures': { user_id: 'marked-user' },
  'POST /v1/agents': { name: 'x' },
  'PATCH /v1/agents/{id}': { name: 'changed by a stranger' },
  'POST /v1/quarantine/{id}/release': {},
  'POST /v1/rules': { name: 'x', condition: { operator: 'contains', value: 'x' }, action: 'WARN' },
  'PUT /v1/rules/{id}': { name: 'changed by a stranger', condition: { operator: 'contains', value: 'x' }, action: 'WARN' },
  'PATCH /v1/rules/{id}': { name: 'changed by a stranger' },
  'POST /v1/rules/presets/{preset}/apply': { mode: 'replace' },
  'POST /v1/rules/test': { text: 'x' },
  'POST /v1/rules/versions/{version}/restore': {},
  'POST /v1/rules/simulate': { samples: [{ text: 'x' }], added: [] },
  'POST /v1/rules/import': { rules: [{ name: 'x', condition: { operator: 'contains', value: 'x' }, action: 'WARN' }] },
  'PUT /v1/dictionaries/{name}': { terms: ['changed by a stranger'] },
  'POST /v1/upstreams': { name: 'x', dialects: ['openai-chat'], base_url: 'https://api.example.com/v1' },
  'PATCH /v1/upstreams/{name}': { priority: 9 },
  'POST /v1/upstreams/{name}/check': {},
  'POST /v1/audit/hash': { text: 'x' },
  'POST /v1/ops/rotate-keys': { dry_run: true },
  'POST /v1/ops/rotate-master': {},
  'PATCH /v1/users/{id}': { name: 'changed by a stranger' },
  'POST /v1/auth/password': { current_password: 'nobody has this password', password: 'four other words instead' },
  'POST /v1/auth/login': { email: 'nobody@example.com', password: 'nobody has this password' },
  'POST /v1/sessions': {},
  'POST /v1/sessions/lock-all': {},
  'POST /v1/sessions/unlock': {},
  'POST /v1/sessions/cleanup': {},
  'POST /v1/budgets': { scope: 'tenant', amount: 1, unit: 'usd', window: 'day' },
  'PATCH /v1/budgets/{id}': { amount: 2 },
  'POST /v1/webhooks': { url: 'https://api.example.com/hook' },
  'PATCH /v1/webhooks/{id}': { description: 'changed by a stranger' },
  'POST /v1/webhooks/{id}/test': {},
  'POST /v1/webhooks/{id}/rotate-secret': {},
  'POST /v1/webhooks/{id}/replay': { from: '2026-01-01T00:00:00Z', to: '2027-01-01T00:00:00Z' },
  'POST /v1/webhooks/deliveries/{id}/replay': {},
  'POST /v1/escalations/{id}/approve': { comment: 'decided by a stranger' },
  'POST /v1/escalations/{id}/deny': { comment: 'decided by a stranger' },
}

export const nameOf = (route: Route): string => `${route.method} ${route.path}`

export function everyRoute(api: Management, database: TestDatabase) {
  /** A tenant that owns one of everything, and the path of each route that leads to it. */
  async function owner() {
    const tenant = await api.createTenant({ name: 'Marked Owner' })
    const rule = await api.ask('POST', '/v1/rules', {
      tenant: tenant.id,
      body: { name: 'marked rule', condition: { operator: 'contains', value: 'x' }, action: 'WARN', metadata: { mark: 'marked' } },
    })
    await api.ask('POST', '/v1/upstreams', {
      tenant: tenant.id,
      body: { name: 'marked-upstream', dialects: ['openai-chat'], base_url: 'https://api.example.com/v1', credential: 'marked-credential' },
    })
    const [auditId] = await insertEntries(database.db, [{ tenantId: tenant.id, model: 'marked-model' }])
    await api.ask('PUT', '/v1/dictionaries/projects', { tenant: tenant.id, body: { terms: ['marked term'] } })
    const budget = await api.ask('POST', '/v1/budgets', {
      tenant: tenant.id,
      body: { scope: 'user', scope_id: 'marked-user', amount: 1, unit: 'usd', window: 'day' },
    })
    const agent = await api.ask('POST', '/v1/agents', { tenant: tenant.id, body: { name: 'marked-agent' } })
    const quarantine = await api.ask('POST', '/v1/quarantine', { tenant: tenant.id, body: { agent_id: agent.json.id, reason: 'marked-reason' } })
    const session = await api.ask('POST', '/v1/sessions', { tenant: tenant.id, body: {} })
    const user = await api.ask('POST', '/v1/users', { tenant: tenant.id, body: { email: `${tenant.id}@marked.example.com`, role: 'viewer' } })
    const webhook = await api.ask('POST', '/v1/webhooks', {
      tenant: tenant.id,
      body: { url: 'https://api.example.com/marked-hook', events: ['BLOCK'], description: 'marked-webhook' },
    })
    const deliveryId = await insertDelivery(database, tenant.id, webhook.json.id)
    const escalationId = await holdCall(database, tenant.id)
    const bodyOf = (route: Route): unknown =>
      nameOf(route) === 'POST /v1/quarantine'
        ? { agent_id: agent.json.id, reason: 'x' }
        : nameOf(route) === 'POST /v1/users'
          ? { email: `${randomBytes(6).toString('hex')}@example.com`, role: 'viewer' }
          : bodies[nameOf(route)]
    const ids: Record<string, string> = {
      '/v1/agents/{id}': agent.json.id,
      '/v1/quarantine/{id}/release': quarantine.json.id,
      '/v1/rules/{id}': rule.json.id,
      '/v1/audit/{id}': auditId,
      '/v1/audit/{id}/proof': auditId,
      '/v1/dictionaries/{name}': 'projects',
      '/v1/budgets/{id}': budget.json.id,
      '/v1/users/{id}': user.json.id,
      '/v1/sessions/{id}': session.json.session_id,
      ...Object.fromEntries(['', '/test', '/rotate-secret', '/deliveries', '/replay'].map((verb) => [`/v1/webhooks/{id}${verb}`, webhook.json.id])),
      '/v1/webhooks/deliveries/{id}/replay': deliveryId,
      ...Object.fromEntries(['', '/content', '/approve', '/deny'].map((verb) => [`/v1/escalations/{id}${verb}`, escalationId])),
    }
    const pathOf = (route: Route): string =>
      (route.path in ids ? route.path.replace(/\{(?:id|name)\}/, ids[route.path]) : route.path)
        .replace('{id}', tenant.id)
        .replace('{prefix}', tenant.key.slice(0, 16))
        .replace('{name}', 'marked-upstream')
        .replace('{preset}', 'default')
        .replace('{version}', '1')
    return { ...tenant, pathOf, bodyOf }
  }

  /** Everything of a tenant that a request may have changed. */
  const everythingOf = (id: string) =>
    Promise.all([
      database.sql`select * from tenants where id = ${id}`,
      database.sql`select * from api_keys where tenant_id = ${id} order by id`,
      database.sql`select * from users where tenant_id = ${id} order by id`,
      database.sql`select * from sessions where tenant_id = ${id} order by id`,
      database.sql`select * from agents where tenant_id = ${id} order by id`,
      database.sql`select * from quarantines where tenant_id = ${id} order by id`,
      database.sql`select * from rules where tenant_id = ${id} order by id`,
      database.sql`select * from policy_versions where tenant_id = ${id} order by version`,
      database.sql`select * from dictionaries where tenant_id = ${id} order by name`,
      database.sql`select * from upstreams where tenant_id = ${id} order by id`,
      database.sql`select * from budgets where tenant_id = ${id} order by id`,
      database.sql`select * from webhooks where tenant_id = ${id} order by id`,
      database.sql`select * from webhook_events where tenant_id = ${id} order by id`,
      database.sql`select * from webhook_deliveries where tenant_id = ${id} order by id`,
      database.sql`select * from escalations where tenant_id = ${id} order by id`,
      database.sql`select * from audit_entries where tenant_id = ${id} order by audit_id`,
    ]).then((tables) => JSON.stringify(tables))

  return { owner, everythingOf }
}

/** One that has come to an event that happened. */
async function insertDelivery({ sql }: TestDatabase, tenantId: string, webhookId: string): Promise<string> {
  const [eventId, deliveryId] = [newId('evt'), newId('dlv')]
  await sql`
    insert into webhook_events (id, tenant_id, type, request_id, at, data)
    values (${eventId}, ${tenantId}, 'BLOCK', 'req_marked', '2026-06-01T00:00:00Z', '{"mark": "marked-event"}')`
  await sql`
    insert into webhook_deliveries (id, event_id, webhook_id, tenant_id, state, due_at, tries, finished_at)
    values (${deliveryId}, ${eventId}, ${webhookId}, ${tenantId}, 'delivered', now(), 1, now())`
  return deliveryId
}

/** A call that waits for a person, under the rules that are in force now. */
async function holdCall({ db, sql }: TestDatabase, tenantId: string): Promise<string> {
  const [{ version }] = await sql`select max(version) as version from policy_versions where tenant_id = ${tenantId}`
  const content = {
    ...{ method: 'POST', path: '/v1/chat/completions', query: '', headers: [], content_type: 'application/json', models: ['marked-model'], user: null },
    ...{ metadata: {}, rules: [], texts: [], texts_left_out: 0, opaque_bytes: 0, sealed_bytes: 0, sent_as_is: true },
    ...{ body: '{"model": "marked-model"}', body_encoding: 'utf-8' },
  }
  const held = heldCall(tenantId, { policyVersion: version, model: 'marked-model', callHash: `sha256:${tenantId}`, content: () => JSON.stringify(content) })
  const { why, id } = await escalationsOn(db).ask(held)
  if (why !== 'pending' || id === null) throw new Error(`The call was not held: ${why}`)
  return id
}
