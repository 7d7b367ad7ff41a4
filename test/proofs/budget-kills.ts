import assert from 'node:assert/strict'
import postgres from 'postgres'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, type Tenant, until } from '../harness/client.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { startProvider } from '../harness/provider.ts'

export const about =
  'ten kill -9 at full rate: afterwards every budget has spent the sum of its rows, nothing stays reserved, and the ledger is the sum of all rows'

const KILLS = 10
const CLIENTS = 16
const CALLS_BEFORE_KILL = 150

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const database = await createServerDatabase()
  const installation = await prepareInstallation(database.url, services.redisUrl === undefined ? {} : { REDIS_URL: services.redisUrl })
  const provider = await startProvider()
  const sql = postgres(database.url, { max: 1 })
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  try {
    let answered = 0
    for (let kill = 0; kill < (short ? 2 : KILLS); kill++) {
      const earthflow = await startProcess(installation, () => tenant)
      if (tenant.tenant_id === '') {
        tenant = await earthflow.newTenant()
        await earthflow.addUpstream({
          name: 'provider',
          dialects: ['openai-chat'],
          base_url: `${provider.origin}/v1`,
          prices: [{ model: '*', input: 3, output: 15 }],
        })
        for (const budget of [
          { scope: 'tenant', amount: 100_000, unit: 'usd', window: 'month', mode: 'hard' },
          { scope: 'tenant', amount: 1_000_000_000, unit: 'tokens', window: 'day', mode: 'hard' },
          { scope: 'key', scope_id: tenant.api_key.slice(0, 16), amount: 100, unit: 'usd', window: 'hour', mode: 'soft' },
          { scope: 'user', scope_id: 'u1', amount: 100_000, unit: 'usd', window: 'week', mode: 'hard' },
        ])
          assert.equal((await earthflow.admin('POST', `/v1/budgets?tenant_id=${tenant.tenant_id}`, budget)).status, 201)
      }
      const before = answered
      let isOver = false
      const clients = Array.from({ length: CLIENTS }, async (_, i) => {
        while (!isOver) {
          try {
            const answer = await earthflow.post('/v1/chat/completions', chat('x'), { 'x-earthflow-user': `u${i % 3}` })
            if (answer.status === 200) answered++
          } catch {
            return // killed in the middle of this one
          }
        }
      })
      await until(() => answered >= before + CALLS_BEFORE_KILL, 'enough calls to be answered', 60_000)
      await earthflow.kill('SIGKILL')
      isOver = true
      await Promise.all(clients)
    }
    const [left] = await sql<{ open: number; reservations: number }[]>`
      select (select count(*)::int from audit_open) as open, (select count(*)::int from reservations) as reservations`
    // The dead processes' heartbeats are made old, instead of waiting a minute for it.
    await sql`update processes set heartbeat_at = heartbeat_at - interval '10 minutes'`
    const last = await startProcess(installation, () => tenant)
    await until(async () => (await sql`select 1 from audit_open union all select 1 from reservations`).length === 0, 'what was left open to be closed', 60_000)
    const windows = await sql<{ scope: string; unit: string; mode: string; spent: string; reserved: string; rows: string }[]>`
      select b.scope, b.unit, b.mode, w.spent, w.reserved, coalesce((
        select sum((c->>'amount')::bigint) from audit_entries e, jsonb_array_elements(e.budgets) c
        where c->>'budget_id' = b.id and (c->>'window')::timestamptz = w.starts_at), 0) as rows
      from budgets b join budget_windows w on w.budget_id = b.id order by b.scope, b.unit`
    const [ledger] = await sql<{ ledger: string; rows: string; requests: string; priced: string }[]>`
      select (select sum(cost_nano) from cost_ledger) as ledger, (select sum(requests) from cost_ledger) as requests,
             (select (sum(cost_usd) * 1e9)::bigint from audit_entries) as rows, (select count(*) from audit_entries where cost_usd is not null) as priced`
    say(`${answered} answers arrived; the kills left ${left?.open} calls open and ${left?.reservations} amounts reserved`)
    for (const { scope, unit, mode, spent, reserved, rows } of windows)
      say(`${mode} budget of a ${scope} in ${unit}: spent ${spent}, rows ${rows}, reserved ${reserved}`)
    say(`ledger ${ledger?.ledger} nano-dollars for ${ledger?.requests} calls, rows ${ledger?.rows} for ${ledger?.priced}`)
    assert.ok(windows.length >= 4)
    for (const { spent, rows, reserved } of windows) assert.deepEqual([spent, reserved], [rows, '0'])
    assert.deepEqual([ledger?.ledger, ledger?.requests], [ledger?.rows, ledger?.priced])
    assert.ok(Number(ledger?.requests) >= answered)
    await last.kill('SIGTERM')
  } finally {
    provider.close()
    installation.remove()
    await sql.end()
    await database.drop()
  }
}
