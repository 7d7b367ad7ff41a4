import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, type Tenant, until } from '../harness/client.ts'
import { verifyOnline } from '../harness/earthflow-verb.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { startProvider } from '../harness/provider.ts'
import { keepCalling } from '../harness/steady.ts'
import { startPostgres } from '../services/postgres.ts'

export const about =
  'kill -9 under load, and PostgreSQL killed for 30 s: every call whose answer arrived has its row, once; what was under way becomes one row with outcome unknown; no chain has a gap'

const KILLS = 20
const CLIENTS = 64
const BETWEEN_MS = 3_000
const AWAY_MS = 30_000

export default async function prove({ short, say }: ProofContext): Promise<void> {
  const server = await startPostgres()
  const installation = await prepareInstallation(server.url)
  const provider = await startProvider()
  const sql = postgres(server.url, { max: 1, onnotice: () => {} })
  const acknowledged: string[] = []
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  try {
    const start = () => startProcess(installation, () => tenant, 'dropped')
    const began = performance.now()
    let earthflow = await start()
    tenant = await earthflow.newTenant({ max_requests_per_minute: 1e9 })
    await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    const load = () => keepCalling({ origin: earthflow.origin, key: tenant.api_key, body: chat('x'), clients: CLIENTS })
    let servedMs = 0
    for (let kill = 0; kill < (short ? KILLS / 10 : KILLS); kill++) {
      const calling = load()
      const from = performance.now()
      await sleep(BETWEEN_MS * (0.5 + Math.random()))
      await earthflow.kill('SIGKILL')
      servedMs += performance.now() - from
      await calling.stop()
      acknowledged.push(...calling.acknowledged)
      earthflow = await start()
    }
    say(`${Math.round((acknowledged.length / servedMs) * 1000)} calls/s answered between the kills, on ${CLIENTS} connections`)

    const calling = load()
    await sleep(1_000)
    await server.kill()
    const killedAt = performance.now()
    await sleep(short ? AWAY_MS / 10 : AWAY_MS)
    await server.revive()
    const awayMs = performance.now() - killedAt
    await sleep(1_000)
    await calling.stop()
    acknowledged.push(...calling.acknowledged)
    say(`PostgreSQL was gone for ${Math.round(awayMs / 1000)} s: ${[...calling.statuses].map(([status, count]) => `${count} × ${status}`).join(', ')}`)
    assert.deepEqual([...calling.statuses.keys()], [200], 'nobody notices')

    // A clean stop writes what is still on the disk.
    await earthflow.kill('SIGTERM')
    assert.deepEqual(await earthflow.exited, [0, null])
    await sql`update processes set heartbeat_at = heartbeat_at - interval '10 minutes'`
    const last = await start()
    await until(async () => (await sql`select 1 from audit_open`).length === 0, 'what was left open to be closed')
    const rows = await sql<
      { audit_id: string; outcome: string; times: number }[]
    >`select audit_id, min(outcome) as outcome, count(*)::int as times from audit_entries where kind = 'exchange' group by audit_id`
    const byId = new Map(rows.map((row) => [row.audit_id, row]))
    const missing = acknowledged.filter((id) => byId.get(id)?.outcome !== 'completed')
    const duplicates = rows.filter(({ times }) => times > 1)
    const unknown = rows.filter(({ outcome }) => outcome === 'unknown')
    const [gaps] = await sql<{ writers: number; gaps: number }[]>`
      select count(distinct writer_id)::int as writers, count(*) filter (where first_seq <> expected)::int as gaps from (
        select writer_id, first_seq, coalesce(lag(first_seq + length(leaves) / 32) over (partition by writer_id order by first_seq), 1) as expected from audit_batches) b`
    say(
      `${acknowledged.length} answers arrived, ${provider.seen.length} calls reached the provider, ${rows.length} rows: ${missing.length} missing, ${duplicates.length} twice, ${unknown.length} unknown; ${gaps?.writers} chains, ${gaps?.gaps} gaps; ${Math.round((performance.now() - began) / 1000)} s in all`,
    )
    assert.deepEqual([missing, duplicates, gaps?.gaps], [[], [], 0])
    assert.ok(rows.length >= provider.seen.length, 'every call that reached the provider is on record')
    await last.kill('SIGTERM')
    assert.deepEqual(await last.exited, [0, null])
    say(await verifyOnline(installation))
  } finally {
    provider.close()
    installation.remove()
    await sql.end()
    await server.stop()
  }
}
