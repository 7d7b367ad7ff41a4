import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, type Tenant } from '../harness/client.ts'
import { leaveAtEveryMoment } from '../harness/leaving.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { answerJson, startProvider } from '../harness/provider.ts'

export const about =
  'calls blocked, redacted, over limit, failed and cancelled at five moments leave one right row each; the process lives, every upstream call is closed'

const CLIENTS_PER_MOMENT = 40
const SSN = '536-90-4399'
const sha256 = (text: string): string => `sha256:${hash('sha256', text)}`

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const database = await createServerDatabase()
  const installation = await prepareInstallation(database.url)
  const provider = await startProvider()
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const earthflow = await startProcess(installation, () => tenant)
  try {
    tenant = await earthflow.newTenant({ rules_preset: 'medical' })
    await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    const flow = { ...earthflow, provider, tenant }
    const limited = await earthflow.newTenant({ max_requests_per_minute: 1 })

    const cases: [string, () => Promise<{ status: number; headers: Headers }>, Record<string, unknown>][] = [
      [
        'blocked',
        () => flow.post('/v1/chat/completions', chat('AKIAIOSFODNN7EXAMPLE')),
        { status: 'BLOCK', outcome: 'refused', http_status: 403, prompt_hash: sha256('AKIAIOSFODNN7EXAMPLE'), forwarded_hash: null },
      ],
      [
        'redacted',
        () => flow.post('/v1/chat/completions', chat(SSN)),
        { status: 'REDACT', outcome: 'completed', http_status: 200, prompt_hash: sha256(SSN), forwarded_hash: sha256(chat('[SSN]')) },
      ],
      [
        'failed',
        () => {
          provider.script = ({ response }) => response.destroy()
          return flow.post('/v1/chat/completions', chat('x'))
        },
        { status: 'ALLOW', outcome: 'failed', reason: 'upstream_unreachable', http_status: 502, prompt_hash: sha256('x') },
      ],
    ]
    for (const [name, call, expected] of cases) {
      provider.script = answerJson
      const answer = await call()
      const rows = await flow.rows(`&request_id=${answer.headers.get('x-earthflow-request-id')}`)
      assert.equal(rows.length, 1)
      assert.deepEqual(Object.fromEntries(Object.keys(expected).map((key) => [key, rows[0][key as keyof (typeof rows)[0]]])), expected)
      assert.equal(rows[0].policy_version, 1)
      say(
        `${name}: ${answer.status}, one row ${rows[0].status} ${rows[0].outcome}, rules ${rows[0].rules_triggered.length}, policy version ${rows[0].policy_version}`,
      )
    }
    provider.script = answerJson
    const key = { authorization: `Bearer ${limited.api_key}` }
    for (let i = 0; i < 2; i++) assert.equal((await flow.post('/v1/chat/completions', chat('x'), key)).status, 200)
    assert.equal((await flow.post('/v1/chat/completions', chat('over'), key)).status, 429)
    const { entries } = (await flow.admin('GET', `/v1/audit?tenant_id=${limited.tenant_id}&status=REJECTED`)).json as {
      entries: { reason: string; prompt_hash: string }[]
    }
    assert.deepEqual(
      entries.map(({ reason, prompt_hash }) => [reason, prompt_hash]),
      [['rate_limit', sha256('over')]],
    )
    say('over the limit: 429, one row REJECTED rate_limit')

    for (const { moment, left, rows, upstreamClosed } of await leaveAtEveryMoment(flow, short ? CLIENTS_PER_MOMENT / 10 : CLIENTS_PER_MOMENT)) {
      assert.deepEqual([rows.length, [...new Set(rows.map(({ outcome }) => outcome))], upstreamClosed], [left, ['cancelled'], true], moment)
      say(`${left} clients left ${moment}: ${rows.length} rows, all cancelled, every upstream call closed`)
    }
    provider.script = answerJson
    assert.equal((await flow.post('/v1/chat/completions', chat('still alive'))).status, 200)
    assert.ok(earthflow.isAlive())
    const { text } = await flow.admin('GET', '/v1/dashboard/metrics')
    assert.match(text, /^earthflow_open_exchanges 0$/m)
    say('the process is alive and has no open exchange')
    await earthflow.kill('SIGTERM')
    assert.deepEqual(await earthflow.exited, [0, null])
    assert.ok(!earthflow.output().includes('something unexpected happened'), earthflow.output())
  } finally {
    if (earthflow.isAlive()) await earthflow.kill('SIGKILL')
    provider.close()
    installation.remove()
    await database.drop()
  }
}
