import assert from 'node:assert/strict'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, type Tenant, until } from '../harness/client.ts'
import { offer, percentile } from '../harness/load.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { answerJson, startProvider } from '../harness/provider.ts'
import { answers, answersAfter, type Received, startReceiver } from '../harness/receiver.ts'

export const about = 'a receiver that takes 30 s for each call beside 20 healthy ones: 95 % of what is told reaches the healthy ones within 5 s'
export const rests = true

const HEALTHY = 20
const RATE = 10
const LASTS_MS = 60_000
const SLOW_MS = 30_000
const DELAY_MS_MAX = 5_000

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const database = await createServerDatabase()
  // Receivers are on this machine, and speak plain HTTP, which production forbids.
  const installation = await prepareInstallation(database.url, { EARTHFLOW_ENV: 'staging' })
  const provider = await startProvider(answerJson)
  const slow = await startReceiver(answersAfter(SLOW_MS))
  const healthy = await startReceiver(answers(204))
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const earthflow = await startProcess(installation, () => tenant, 'dropped')
  try {
    tenant = await earthflow.newTenant({ max_requests_per_minute: 1e9 })
    await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    const add = async (url: string, query: string): Promise<void> => {
      const { status, text } = await earthflow.admin('POST', `/v1/webhooks${query}`, { url, events: ['ALLOW'] })
      assert.equal(status, 201, text)
    }
    const mine = `?tenant_id=${tenant.tenant_id}`
    await add(slow.url, mine)
    // A tenant has twenty at most: the last one is the installation's.
    for (let i = 0; i < HEALTHY; i++) await add(`${healthy.origin}/${i}`, i < HEALTHY - 1 ? mine : '')
    const ms = short ? LASTS_MS / 10 : LASTS_MS
    const calls = await offer({ origins: [earthflow.origin], key: tenant.api_key, body: chat('x'), perSecond: RATE, ms })
    assert.deepEqual([...new Set(calls.map(({ status }) => status))], [200])
    await until(() => healthy.received.length >= calls.length * HEALTHY, 'every healthy one to be told of every call')
    const delays = healthy.received.map(delayOf)
    const at = (share: number): string => `${Math.round(percentile(delays, share))} ms`
    say(`${calls.length} calls in ${ms / 1000} s, told to ${HEALTHY} healthy receivers: median ${at(0.5)}, 95th percentile ${at(0.95)}, slowest ${at(1)}`)
    say(`the slow one was called ${slow.received.length} times, on ${slow.connections} connections`)
    assert.equal(new Set(healthy.received.map(({ path, headers }) => `${path} ${headers['webhook-id']}`)).size, calls.length * HEALTHY)
    assert.ok(slow.received.length > 0)
    if (!short) assert.ok(percentile(delays, 0.95) < DELAY_MS_MAX, 'nobody waits for the slow one')
  } finally {
    await earthflow.kill('SIGTERM')
    slow.close()
    healthy.close()
    provider.close()
    installation.remove()
    await database.drop()
  }
}

/** From the beginning of the call. */
const delayOf = ({ body, at }: Received): number => at - Date.parse((JSON.parse(body.toString()) as { timestamp: string }).timestamp)
