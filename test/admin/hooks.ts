/** The management API of webhooks, deliveries that have come to them, and a clock that stands still. */
import assert from 'node:assert/strict'
import type { TestDatabase } from '../db/engines.ts'
import { type Answer, type Management, manage, NOW } from './management.ts'

export const HOOK = 'https://api.example.com/hook?key=marked-query'
export const hook = { url: HOOK, description: 'To the SIEM', events: ['BLOCK', 'WARN'] }
const EVENT_AT = '2026-06-01T00:00:00.000Z'

/** When the n-th event of `addDeliveries` happened. */
export const minute = (n: number): string => new Date(Date.parse(EVENT_AT) + n * 60_000).toISOString()

export interface WebhookManagement extends Management {
  clock: { now: number }
  /** Deliveries that were to be attempted at once. Every attempt fails. */
  attempted: string[]
  add(body?: object, tenant?: string): Promise<Answer['json']>
  patch(id: string, body: object): Promise<Answer>
  /** Events that nobody else is told of, a minute apart, with deliveries that were tried once; returns the ids of these, in order. */
  addDeliveries(webhookId: string, howMany: number, more?: { tenantId?: string; state?: string; from?: number }): Promise<string[]>
  /** How many there are in each state. */
  states(webhookId: string): Promise<Record<string, number>>
}

export function manageWebhooks(database: TestDatabase): WebhookManagement {
  const { sql } = database
  const clock = { now: NOW }
  const attempted: string[] = []
  const deliver = async (id: string): Promise<void> => {
    attempted.push(id)
    await sql`update webhook_deliveries set state = 'dead', lease = null, finished_at = now() where id = ${id}`
  }
  const api = manage(database, { now: () => clock.now, more: { webhooks: { deliver } } })

  return {
    ...api,
    clock,
    attempted,
    async add(body = hook, tenant) {
      const { status, json } = await api.ask('POST', '/v1/webhooks', { body, ...(tenant !== undefined && { tenant }) })
      assert.equal(status, 201, JSON.stringify(json))
      return json
    },
    patch: (id, body) => api.ask('PATCH', `/v1/webhooks/${id}`, { body }),
    async addDeliveries(webhookId, howMany, { tenantId = null, state = 'dead', from = 0 } = {}) {
      const last = from + howMany - 1
      await sql`
        insert into webhook_events (id, tenant_id, type, request_id, at, data)
        select 'evt_' || ${webhookId} || n, ${tenantId}, case when n % 2 = 0 then 'BLOCK' else 'WARN' end, 'req_1', ${EVENT_AT}::timestamptz + n * interval '1 minute', '{}'
        from generate_series(${from}::int, ${last}::int) n`
      const rows = await sql<{ id: string }[]>`
        insert into webhook_deliveries (id, event_id, webhook_id, tenant_id, state, due_at, tries, created_at, finished_at)
        select 'dlv_' || ${webhookId} || lpad(n::text, 6, '0'), 'evt_' || ${webhookId} || n, ${webhookId}, ${tenantId}, ${state}, now() + interval '1 hour', 1,
          ${EVENT_AT}::timestamptz + n * interval '1 minute', case when ${state} = 'pending' then null else now() end
        from generate_series(${from}::int, ${last}::int) n returning id`
      return rows.map(({ id }) => id).sort()
    },
    async states(webhookId) {
      const rows = await sql`select state, count(*)::int as n from webhook_deliveries where webhook_id = ${webhookId} group by state`
      return Object.fromEntries(rows.map(({ state, n }) => [state, n]))
    },
  }
}
