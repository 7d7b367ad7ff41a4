/** An Earthflow with a dashboard in which something has happened: calls of every verdict, one that waits, webhooks that arrived and that did not. */
import { costLedger } from '../../src/db/schema.ts'
import { insertEntries } from '../audit/entries.ts'
import { canaries } from '../harness/canaries.ts'
import { canarySecret } from '../harness/canary-word.ts'
import { request } from '../harness/client.ts'
import { chat, startEarthflow, until } from '../harness/earthflow.ts'
import { startReceiver } from '../harness/receiver.ts'

export type Scene = Awaited<ReturnType<typeof openScene>>

const OWNER = 'owner@earthflow.test'

const MINUTE_MS = 60_000
const HOURS = 20
const models = ['gpt-5.2', 'claude-sonnet-5', 'gemini-3-pro', 'gpt-5.2-mini']
const verdicts = [
  'ALLOW',
  'ALLOW',
  'ALLOW',
  'REDACT',
  'ALLOW',
  'ALLOW',
  'WARN',
  'ALLOW',
  'ALLOW',
  'BLOCK',
  'ALLOW',
  'ALLOW',
  'ALLOW',
  'ESCALATE',
  'ALLOW',
  'ALLOW',
]

/** The same each time: more by day than by night. */
function traffic(tenantId: string) {
  const now = Date.now()
  return Array.from({ length: HOURS * 60 }, (_, minute) => minute)
    .filter((minute) => (minute * 7) % 11 < 4 + 3 * Math.sin(minute / 190))
    .map((minute) => {
      const status = verdicts[(minute * 5) % verdicts.length] ?? 'ALLOW'
      const isRefused = status === 'BLOCK' || status === 'ESCALATE'
      const latencyMs = isRefused ? 4 + (minute % 5) : 380 + ((minute * 37) % 900)
      return {
        tenantId,
        timestamp: new Date(now - (minute + 2) * MINUTE_MS),
        status,
        outcome: isRefused ? 'refused' : 'completed',
        reason: status === 'BLOCK' ? 'rule' : status === 'ESCALATE' ? 'approval_required' : null,
        model: models[(minute * 3) % models.length] ?? null,
        latencyMs,
        overheadMs: 2 + (minute % 3),
        httpStatus: isRefused ? 403 : 200,
      }
    })
}

export async function openScene() {
  const earthflow = await startEarthflow({
    engine: 'pglite',
    environment: { EARTHFLOW_SERVICES: 'both', WEBHOOK_MAX_RETRIES: '0', WEBHOOK_LONG_RETRIES: 'false' },
    script: ({ response }) => {
      response.setHeader('content-type', 'application/json')
      response.end(
        JSON.stringify({
          id: 'c',
          object: 'chat.completion',
          model: 'm',
          choices: [{ index: 0, message: { role: 'assistant', content: 'Hello.' }, finish_reason: 'stop' }],
          usage: { prompt_tokens: 12, completion_tokens: 30, total_tokens: 42 },
        }),
      )
    },
  })
  const receiver = await startReceiver()
  const password = canarySecret('password-')
  canaries.secret('the password of an owner', password)
  await earthflow.ensureOwner({ email: OWNER, password, reset: true })
  const { admin, newTenant } = earthflow
  const post = async (path: string, body: unknown): Promise<Record<string, string>> => {
    const answer = await admin('POST', path, body)
    if (answer.status >= 300) throw new Error(`POST ${path}: ${answer.status} ${answer.text}`)
    return answer.json as Record<string, string>
  }
  const tenant = await newTenant({ name: 'Acme Clinic', rules_preset: 'default' })
  const of = (path: string): string => `${path}${path.includes('?') ? '&' : '?'}tenant_id=${tenant.tenant_id}`
  await post(of('/v1/rules'), { name: 'Discharge letters need a person', action: 'ESCALATE', condition: { operator: 'contains', value: 'discharge letter' } })
  const shadow = await post(of('/v1/rules'), { name: 'Large prompts', action: 'WARN', mode: 'shadow', condition: { operator: 'length_gt', value: 3 } })
  const webhook = await post(of('/v1/webhooks'), { url: receiver.url, events: ['BLOCK', 'ESCALATE'] })
  const agent = await post(of('/v1/agents'), { name: 'Night shift' })
  await post(of('/v1/budgets'), { scope: 'tenant', amount: 50, unit: 'usd', window: 'month', mode: 'soft' })

  /** As a client of the tenant. */
  const call = (content: string, key = tenant.api_key) =>
    request(earthflow.origin, 'POST', '/v1/chat/completions', chat(content), { authorization: `Bearer ${key}`, 'content-type': 'application/json' })
  await call('Good morning.')
  await call('My number is 536-90-4399, keep it.')
  const deliveries = async (): Promise<{ state: string }[]> =>
    ((await admin('GET', of(`/v1/webhooks/${webhook.id}/deliveries`))).json as { deliveries: { state: string }[] }).deliveries
  const over = (count: number): Promise<void> =>
    until(async () => (await deliveries()).filter(({ state }) => state !== 'pending').length >= count, `${count} deliveries to be over`)
  receiver.react = ({ response }) => response.writeHead(500).end()
  await call('Deploy with AKIAIOSFODNN7EXAMPLE please.')
  await over(1)
  receiver.react = ({ response }) => response.writeHead(204).end()
  await call('Write the discharge letter of today.')
  const rows = async (): Promise<{ audit_id: string; status: string }[]> =>
    ((await admin('GET', of('/v1/audit'))).json as { entries: { audit_id: string; status: string }[] }).entries
  await until(async () => (await rows()).length >= 4, 'four calls in the log')
  await over(2)
  const pending = ((await admin('GET', of('/v1/escalations'))).json as { escalations: { id: string }[] }).escalations[0]
  const blocked = (await rows()).find(({ status }) => status === 'BLOCK')

  const dashboard = `http://localhost:${earthflow.dashboardPort}`
  return {
    earthflow,
    receiver,
    dashboard,
    owner: { email: OWNER, password },
    tenant,
    call,
    /** Every page there is, with something on it. */
    paths: [
      '/',
      of('/'),
      '/exchanges',
      `/exchanges/${blocked?.audit_id}`,
      '/rules',
      of('/rules/new'),
      of(`/rules/${shadow.id}`),
      of('/rules/try'),
      of('/rules/presets'),
      of('/rules/versions'),
      of('/rules/versions/2'),
      '/escalations',
      `/escalations/${pending?.id}`,
      '/tenants',
      '/tenants/new',
      `/tenants/${tenant.tenant_id}`,
      `/tenants/${tenant.tenant_id}/edit`,
      of('/keys'),
      `/tenants/${tenant.tenant_id}/keys`,
      `/tenants/${tenant.tenant_id}/keys/new`,
      `/tenants/${tenant.tenant_id}/keys/rotate`,
      '/users',
      '/users/new',
      of('/agents'),
      of(`/agents/${agent.id}`),
      of(`/agents/${agent.id}/edit`),
      of('/budgets'),
      of('/budgets/new'),
      '/upstreams',
      '/upstreams/new',
      '/upstreams/at/openai-like',
      '/upstreams/at/openai-like/edit',
      of('/webhooks'),
      of(`/webhooks/${webhook.id}`),
      of('/webhooks/new'),
      '/checkpoints',
      of('/checkpoints/erase'),
      '/doctor',
      '/settings',
      '/account',
      '/nowhere',
    ],
    /** Some hours of ordinary traffic, as rows that nobody called for. */
    async fill() {
      const { db } = earthflow.database
      await insertEntries(db, traffic(tenant.tenant_id))
      const day = new Date().toISOString().slice(0, 10)
      const cost = { tenantId: tenant.tenant_id, day, agentId: '', keyPrefix: '', userId: '', model: models[0]!, upstream: 'openai', unpriced: 0, estimated: 0 }
      await db.insert(costLedger).values({ ...cost, requests: 340, inputTokens: 412_800, outputTokens: 96_340, costNano: 6_482_000_000 })
    },
    async close() {
      receiver.close()
      await earthflow.close()
    },
  }
}
