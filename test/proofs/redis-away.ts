import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { startRelay } from '../db/relay.ts'
import { chat, type Tenant } from '../harness/client.ts'
import { offer } from '../harness/load.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { startProvider } from '../harness/provider.ts'
import type { RunningServer } from '../services/postgres.ts'
import { startRedis } from '../services/redis.ts'
import { freePort } from '../services/server-process.ts'

export const about =
  'Redis killed, stopped, slowed to 500 ms and restarted empty under load: every decision within 60 ms, counted locally or refused as each tenant chose, never over the limit, normal again within 5 s'

const RATE = 50
const CAP = 100
const LOAD = 2 * RATE
const DECISION_MS = 60
const NORMAL_MS = 5_000

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  if (services.redisUrl === undefined) return say('no Redis can be had on this machine: nothing was shown')
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const database = await createServerDatabase()
  let redis: RunningServer = await startRedis()
  const password = new URL(redis.url).password
  const relay = await startRelay(redis.url)
  const installation = await prepareInstallation(database.url, {
    REDIS_URL: relay.url,
    RATE_LIMIT_WINDOW_SECONDS: '1',
    RATE_LIMIT_BURST_FACTOR: String(CAP / RATE),
  })
  const provider = await startProvider()
  const sql = postgres(database.url, { max: 1 })
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const processes: Awaited<ReturnType<typeof startProcess>>[] = []
  try {
    for (let i = 0; i < 2; i++) {
      const port = await freePort()
      processes.push(await startProcess({ ...installation, port, environment: { ...installation.environment, EARTHFLOW_PORT: String(port) } }, () => tenant))
    }
    const [first] = processes
    assert.ok(first)
    tenant = await first.newTenant({ max_requests_per_minute: RATE * 60 })
    const strict = await first.newTenant({ max_requests_per_minute: RATE * 60, limits_without_redis: 'refuse' })
    await first.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    // Everybody has seen the other's heartbeat, and so knows how many share a limit while Redis is away.
    const origins = processes.map(({ origin }) => origin)
    await sleep(short ? 1_000 : 11_000)
    const phaseMs = short ? 2_000 : 30_000
    const load = (key: string, perSecond: number, ms: number) => offer({ origins, key, body: chat('x'), perSecond, ms })
    await load(tenant.api_key, RATE, 1_000)

    const outages: [name: string, begin: () => Promise<void>, end: () => Promise<void>][] = [
      ['stopped', async () => void process.kill(redis.pid, 'SIGSTOP'), async () => void process.kill(redis.pid, 'SIGCONT')],
      ['slowed to 500 ms', async () => relay.slow(500), async () => relay.slow(0)],
      [
        'killed, and another one started empty',
        async () => {
          await redis.stop()
          await relay.cut()
        },
        async () => {
          redis = await startRedis(undefined, password)
          relay.lead(redis.url)
          await relay.restore()
        },
      ],
    ]
    for (const [name, begin, end] of outages) {
      const before = await decisions(processes)
      const since = new Date()
      await begin()
      // The first moments belong to finding out: they are in the figures of decisions, not in those of modes.
      await load(tenant.api_key, 20, 1_000)
      const [local, refused] = await Promise.all([load(tenant.api_key, LOAD, phaseMs), load(strict.api_key, 10, phaseMs)])
      const admitted = local.filter(({ status }) => status === 200).length
      const allowed = CAP + (RATE * phaseMs) / 1000
      await end()
      const back = await backToNormal(sql, tenant, strict, load)
      const [modes] = await sql<{ local: number; all: number }[]>`
        select count(*) filter (where degraded = 'limits_local')::int as local, count(*)::int as all from audit_entries
        where kind = 'exchange' and tenant_id = ${tenant.tenant_id} and timestamp >= ${since} and status <> 'REJECTED'`
      const after = await decisions(processes)
      const slow = after.all - after.quick - (before.all - before.quick)
      say(
        `${name}: ${local.length} calls, ${admitted} admitted of ${allowed.toFixed(0)} allowed, ${modes?.local} rows of ${modes?.all} say limits_local; ${refused.filter(({ status }) => status === 503).length} of ${refused.length} calls of the strict tenant got 503; normal after ${back} ms; ${slow} of ${after.all - before.all} decisions took more than ${DECISION_MS} ms`,
      )
      assert.ok(admitted <= allowed + 1, 'never over the limit')
      assert.ok(
        local.every(({ status }) => status === 200 || status === 429),
        'every call was decided',
      )
      assert.ok((modes?.local ?? 0) >= admitted, 'the rows say so')
      assert.equal(refused.filter(({ status }) => status === 200).length, 0, 'who chose to be refused was refused')
      assert.ok(
        processes.every((one) => one.isAlive()),
        'nobody crashed',
      )
      if (!short) {
        assert.equal(slow, 0, `every decision within ${DECISION_MS} ms`)
        assert.ok(back <= NORMAL_MS, `normal within ${NORMAL_MS} ms`)
      }
    }
  } finally {
    await Promise.all(processes.map((one) => one.kill('SIGTERM')))
    await relay.close().catch(() => {})
    await redis.stop()
    provider.close()
    installation.remove()
    await sql.end()
    await database.drop()
  }
}

type Load = (key: string, perSecond: number, ms: number) => Promise<{ status: number }[]>

/** Milliseconds until both tenants' calls are shared again: the strict one's pass, the other's rows no longer say that they were counted locally. */
async function backToNormal(sql: postgres.Sql, tenant: Tenant, strict: Tenant, load: Load): Promise<number> {
  const began = performance.now()
  for (; performance.now() - began < 4 * NORMAL_MS; ) {
    const since = new Date()
    const [ours, theirs] = await Promise.all([load(tenant.api_key, 10, 300), load(strict.api_key, 10, 300)])
    const [row] = await sql<{ local: number }[]>`
      select count(*)::int as local from audit_entries where tenant_id = ${tenant.tenant_id} and timestamp >= ${since} and degraded is not null`
    if (row?.local === 0 && theirs.every(({ status }) => status === 200) && ours.every(({ status }) => status === 200 || status === 429))
      return Math.round(performance.now() - began)
  }
  return Number.POSITIVE_INFINITY
}

/** How many decisions about limits the processes made, and how many of them in time, from their metrics. */
async function decisions(
  processes: readonly { admin: (method: string, path: string) => Promise<{ text: string }> }[],
): Promise<{ all: number; quick: number }> {
  const sum = { all: 0, quick: 0 }
  for (const { admin } of processes) {
    const { text } = await admin('GET', '/v1/dashboard/metrics')
    for (const [, value] of text.matchAll(/^earthflow_limits_ms_count\S* (\d+)$/gm)) sum.all += Number(value)
    for (const [, value] of text.matchAll(new RegExp(`^earthflow_limits_ms_bucket\\{[^}]*le="${DECISION_MS}"[^}]*\\} (\\d+)$`, 'gm')))
      sum.quick += Number(value)
  }
  return sum
}
