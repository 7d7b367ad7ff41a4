import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, ask } from '../ask.ts'
import type { Ground } from '../ground.ts'
import type { Setup } from './configurations.ts'
import { type Installation, NO_LIMIT_RPM } from './installation.ts'

/** A new key, upstream and policy may take a moment to be known. */
const FIRST_CALL_TRIES_MAX = 50
const FIRST_CALL_PAUSE_MS = 100

/** Makes the tenant, its rules and the upstream of a running Earthflow, and resolves when a call is answered. */
export async function furnish(ground: Ground, setup: Setup, { origin, adminKey, webhookUrl }: Installation): Promise<{ id: string; key: string }> {
  const post = async (key: string, path: string, body: object): Promise<Record<string, unknown>> => {
    const { status, text } = await postJson(origin + path, key, body)
    if (status >= 300) throw new Error(`earthflow answered POST ${path} with ${status}: ${text}`)
    return JSON.parse(text)
  }
  const [first = null, ...presets] = setup.presets
  const made = await post(adminKey, '/v1/tenants', { name: 'bench', rules_preset: first, max_requests_per_minute: NO_LIMIT_RPM })
  const tenant = { id: String(made.tenant_id), key: String(made.api_key) }
  for (const preset of presets) await post(adminKey, `/v1/rules/presets/${preset}/apply?tenant_id=${tenant.id}`, { mode: 'merge' })
  if (setup.rules.length > 0) await post(tenant.key, '/v1/rules/import', { rules: setup.rules, mode: 'merge' })
  const provider = `http://127.0.0.1:${ground.providerPort}`
  await post(adminKey, '/v1/upstreams', { name: 'provider', dialects: ['openai-chat'], base_url: `${provider}/v1`, credential: 'sk-bench', models: ['*'] })
  if (webhookUrl !== null) await post(adminKey, '/v1/webhooks', { url: webhookUrl, events: ['ALLOW', 'WARN'] })
  await firstCall(origin, tenant.key)
  return tenant
}

async function firstCall(origin: string, key: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    const { status, text } = await postJson(`${origin}/v1/chat/completions`, key, { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] })
    if (status === 200) return
    if (tries === FIRST_CALL_TRIES_MAX) throw new Error(`earthflow answered a call with ${status}: ${text}`)
    await sleep(FIRST_CALL_PAUSE_MS)
  }
}

const postJson = (url: string, key: string, body: object): Promise<Answer> =>
  ask(url, { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, body: JSON.stringify(body) })
