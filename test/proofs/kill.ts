import assert from 'node:assert/strict'
import postgres from 'postgres'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, type Tenant, until } from '../harness/client.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { startProvider } from '../harness/provider.ts'

export const about = 'kill -9 under load: every call whose answer arrived has its row, once; what was under way becomes one row with outcome unknown'

const KILLS = 10
const CLIENTS = 16
const CALLS_BEFORE_KILL = 150

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const database = await createServerDatabase()
  const installation = await prepareInstallation(database.url)
  const provider = await startProvider()
  const sql = postgres(database.url, { max: 1 })
  const acknowledged: string[] = []
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  try {
    let reached = 0
    for (let kill = 0; kill < (short ? KILLS / 10 : KILLS); kill++) {
      const earthflow = await startProcess(installation, () => tenant)
      if (tenant.tenant_id === '') {
        tenant = await earthflow.newTenant()
        await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
      }
      const before = acknowledged.length
      let isOver = false
      const clients = Array.from({ length: CLIENTS }, async () => {
        while (!isOver) {
          try {
            const answer = await earthflow.post('/v1/chat/completions', chat('x'))
            if (answer.status === 200) acknowledged.push(answer.headers.get('x-earthflow-audit-id') ?? '')
          } catch {
            return // killed in the middle of this one
          }
        }
      })
      await until(() => acknowledged.length >= before + CALLS_BEFORE_KILL, 'enough calls to be answered', 60_000)
      await earthflow.kill('SIGKILL')
      isOver = true
      await Promise.all(clients)
      reached = provider.seen.length
    }
    // The dead processes' heartbeats are made old, instead of waiting a minute for it.
    await sql`update processes set heartbeat_at = heartbeat_at - interval '10 minutes'`
    const last = await startProcess(installation, () => tenant)
    await until(async () => (await sql`select 1 from audit_open`).length === 0, 'what was left open to be closed')
    const rows = await sql<
      { audit_id: string; outcome: string; times: number }[]
    >`select audit_id, min(outcome) as outcome, count(*)::int as times from audit_entries where kind = 'exchange' group by audit_id`
    const byId = new Map(rows.map((row) => [row.audit_id, row]))
    const missing = acknowledged.filter((id) => byId.get(id)?.outcome !== 'completed')
    const duplicates = rows.filter(({ times }) => times > 1)
    const unknown = rows.filter(({ outcome }) => outcome === 'unknown')
    say(
      `${acknowledged.length} answers arrived, ${reached} calls reached the provider, ${rows.length} rows: ${missing.length} missing, ${duplicates.length} twice, ${unknown.length} unknown`,
    )
    assert.deepEqual([missing, duplicates], [[], []])
    assert.ok(rows.length >= reached, 'every call that reached the provider is on record')
    await last.kill('SIGTERM')
    assert.deepEqual(await last.exited, [0, null])
  } finally {
    provider.close()
    installation.remove()
    await sql.end()
    await database.drop()
  }
}
