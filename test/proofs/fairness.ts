import assert from 'node:assert/strict'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, type Tenant } from '../harness/client.ts'
import { offer, percentile } from '../harness/load.ts'
import { offerFromThread } from '../harness/load-thread.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { startProvider } from '../harness/provider.ts'

export const about =
  'a tenant at 20 calls a second beside one at a hundred times its share: all but one of its 1,200 calls pass, with a 99th percentile at most twice as long as alone'

const RATE = 20
const SHARE = 10
const FLOOD = 100 * SHARE

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const database = await createServerDatabase()
  const installation = await prepareInstallation(database.url, {
    ...(services.redisUrl !== undefined && { REDIS_URL: services.redisUrl }),
    // What two seconds bring in may come at once; with a burst of a minute and a half the flood would be within its limit for a second.
    RATE_LIMIT_WINDOW_SECONDS: '1',
    RATE_LIMIT_BURST_FACTOR: '2',
  })
  // A provider that thinks a little, as providers do.
  const provider = await startProvider(({ response }) => {
    setTimeout(
      () => response.writeHead(200, { 'content-type': 'application/json' }).end('{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'),
      20,
    )
  })
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const earthflow = await startProcess(installation, () => tenant, 'dropped')
  try {
    tenant = await earthflow.newTenant({ max_requests_per_minute: 10 * RATE * 60 })
    const loud = await earthflow.newTenant({ max_requests_per_minute: SHARE * 60 })
    await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    const ms = short ? 6_000 : 60_000
    const quiet = () => offer({ origins: [earthflow.origin], key: tenant.api_key, body: chat('x'), perSecond: RATE, ms })
    await offer({ origins: [earthflow.origin], key: tenant.api_key, body: chat('x'), perSecond: 200, ms: 3_000 })
    const alone = await quiet()
    const [beside, flood] = await Promise.all([
      quiet(),
      offerFromThread({ origins: [earthflow.origin], key: loud.api_key, body: chat('x'), perSecond: FLOOD, ms }),
    ])
    const passed = beside.filter(({ status }) => status === 200).length
    const at = (answers: typeof alone, share: number) =>
      percentile(
        answers.map((answer) => answer.ms),
        share,
      )
    const told = (answers: typeof alone): string =>
      `median ${at(answers, 0.5).toFixed(1)}, 99th percentile ${at(answers, 0.99).toFixed(1)} ms, of which Earthflow's own ${percentile(
        answers.map(({ headers }) => Number(headers['x-earthflow-overhead-ms'])),
        0.99,
      ).toFixed(1)} ms`
    const of = (answers: typeof flood, wanted: number): number => answers.filter(({ status }) => status === wanted).length
    say(`alone: ${of(alone, 200)} of ${alone.length} calls passed, ${told(alone)}`)
    say(
      `beside ${flood.length} calls of another (${of(flood, 200)} admitted, ${of(flood, 429)} refused): ${passed} of ${beside.length} passed, ${told(beside)}`,
    )
    assert.ok(passed >= beside.length - 1, 'at most one call suffered')
    assert.equal(flood.filter(({ status }) => status !== 200 && status !== 429).length, 0, 'the flood was answered')
    if (!short) assert.ok(at(beside, 0.99) <= 2 * at(alone, 0.99), 'at most twice as slow')
  } finally {
    await earthflow.kill('SIGTERM')
    provider.close()
    installation.remove()
    await database.drop()
  }
}
