import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, type Tenant, until } from '../harness/client.ts'
import { percentile } from '../harness/load.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { startProvider } from '../harness/provider.ts'
import { keepCalling } from '../harness/steady.ts'
import { startPostgres } from '../services/postgres.ts'

export const about =
  'PostgreSQL away for 60 s at full rate: /health/ready stays 200, calls without a hard budget succeed, and then there are as many rows as calls'

const AWAY_MS = 60_000
const CLIENTS = 64

export default async function prove({ short, say }: ProofContext): Promise<void> {
  const server = await startPostgres()
  const installation = await prepareInstallation(server.url)
  const provider = await startProvider()
  const sql = postgres(server.url, { max: 1, onnotice: () => {} })
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  try {
    const earthflow = await startProcess(installation, () => tenant, 'dropped')
    tenant = await earthflow.newTenant({ max_requests_per_minute: 1e9 })
    await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    const calling = keepCalling({ origin: earthflow.origin, key: tenant.api_key, body: chat('x'), clients: CLIENTS })
    await sleep(2_000)
    const ready: number[] = []
    const answeredIn: number[] = []
    const before = calling.acknowledged.length
    await server.kill()
    const end = performance.now() + (short ? AWAY_MS / 10 : AWAY_MS)
    while (performance.now() < end) {
      const began = performance.now()
      ready.push((await fetch(`${earthflow.origin}/health/ready`)).status)
      answeredIn.push(performance.now() - began)
      await sleep(200)
    }
    const during = calling.acknowledged.length - before
    await server.revive()
    const back = performance.now()
    await sleep(1_000)
    await calling.stop()
    await until(async () => (await metric(earthflow.origin, installation.adminKey)) === 0, 'every row to be written', 120_000)
    const caughtUpMs = performance.now() - back
    const [{ rows, degraded }] = await sql<
      { rows: number; degraded: number }[]
    >`select count(*)::int as rows, count(*) filter (where degraded = 'database_away')::int as degraded from audit_entries where kind = 'exchange'`
    say(
      `${during} calls answered while PostgreSQL was away; ${ready.length} × ready, of which ${ready.filter((status) => status === 200).length} × 200 (p99 ${Math.round(percentile(answeredIn, 0.99))} ms); all statuses: ${[...calling.statuses].map(([status, count]) => `${count} × ${status}`).join(', ')}`,
    )
    say(
      `${rows} rows for ${calling.acknowledged.length} calls, ${degraded} of them marked; caught up ${Math.round(caughtUpMs / 1000)} s after PostgreSQL was back`,
    )
    assert.deepEqual([...new Set(ready)], [200])
    assert.deepEqual([...calling.statuses.keys()], [200])
    assert.equal(rows, calling.acknowledged.length)
    assert.equal(provider.seen.length, rows)
    await earthflow.kill('SIGTERM')
    assert.deepEqual(await earthflow.exited, [0, null])
  } finally {
    provider.close()
    installation.remove()
    await sql.end()
    await server.stop()
  }
}

async function metric(origin: string, adminKey: string): Promise<number> {
  const text = await (await fetch(`${origin}/v1/dashboard/metrics`, { headers: { authorization: `Bearer ${adminKey}` } })).text()
  return Number(/^earthflow_audit_backlog (\d+)/m.exec(text)?.[1] ?? Number.NaN)
}
