import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { compileTools } from '../../scripts/bench/bring-tools.ts'
import type { Load } from '../../scripts/bench/run-bench.ts'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, type Tenant, until } from '../harness/client.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { freePort } from '../services/server-process.ts'

export const about =
  'at three times its capacity an Earthflow answers at least nine tenths of what it could at best, turns the rest away within 50 ms, and is itself again 5 s later'

const TIMES = 3
const GOODPUT_SHARE = 0.9
const SHED_US_MAX = 50_000
const RECOVERY_S = 5
/** What an agent sends in the middle of its work. */
const BODY_BYTES = 24 << 10
/** As many as may wait, be under way and be turned away at once: those that have nothing to do are closed and opened anew all the time. */
const CONNECTIONS = 2_800
/** Providers take their time, and nobody's capacity is what waits for them. */
const PEAK_CONNECTIONS = 256
const WATCH_MS = 250

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const folder = mkdtempSync(join(tmpdir(), 'earthflow-overload-'))
  const tools = await compileTools(folder)
  const database = await createServerDatabase()
  const installation = await prepareInstallation(database.url, {
    EARTHFLOW_MAX_CONNECTIONS: String(4 * CONNECTIONS),
    EARTHFLOW_MAX_CONNECTIONS_PER_SOURCE: String(4 * CONNECTIONS),
    ...(services.redisUrl !== undefined && { REDIS_URL: services.redisUrl }),
  })
  const providerPort = await freePort()
  const provider = spawn(tools.provider, [String(providerPort), '50', '0', '1024'], { stdio: 'ignore' })
  const sql = postgres(database.url, { max: 1 })
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const earthflow = await startProcess(installation, () => tenant, 'dropped')
  try {
    tenant = await earthflow.newTenant({ rules_preset: 'default', max_requests_per_minute: 10_000_000, max_tokens_per_minute: 1e12 })
    for (const preset of ['medical', 'secrets'])
      assert.equal((await earthflow.admin('POST', `/v1/rules/presets/${preset}/apply?tenant_id=${tenant.tenant_id}`, { mode: 'merge' })).status, 200)
    await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `http://127.0.0.1:${providerPort}/v1` })
    const { origin } = earthflow
    const body = chat('A sentence of an ordinary conversation, repeated. '.repeat(BODY_BYTES / 50))
    const bodyFile = join(folder, 'body.json')
    writeFileSync(bodyFile, body)
    let acknowledged = 0
    /** `rate` calls a second, or as many as so many connections can make; the first seconds are not measured. */
    const load = async ({ rate, seconds, warm, connections }: { rate: number; seconds: number; warm: number; connections: number }): Promise<Load> => {
      const flags = { p: new URL(origin).port, c: connections, r: rate.toFixed(0), d: seconds, w: warm, b: bodyFile, k: tenant.api_key }
      const args = Object.entries(flags).flatMap(([name, value]) => [`-${name}`, String(value)])
      const answer: Load = JSON.parse((await promisify(execFile)(tools.load, args)).stdout)
      acknowledged += answer.ok
      assert.deepEqual([answer.errs, answer.lost], [0, 0], 'every call is answered')
      return answer
    }

    const [seconds, warm] = short ? [2, 1] : [20, 5]
    const [few, many] = short ? [64, 300] : [PEAK_CONNECTIONS, CONNECTIONS]
    const best = await load({ rate: 0, seconds, warm, connections: few })
    say(
      `at best: ${best.ok_rps.toFixed(0)} calls a second of ${(body.length / 1024).toFixed(0)} KiB, median ${ms(best.lat_us.p50)}, 99th percentile ${ms(best.lat_us.p99)}`,
    )

    const watched = watch(origin, tenant.api_key)
    const over = await load({ rate: TIMES * best.ok_rps, seconds, warm, connections: many })
    const seen = await watched.stop()
    acknowledged += seen.served
    say(
      `offered ${(TIMES * best.ok_rps).toFixed(0)} a second: ${over.ok_rps.toFixed(0)} served (${((100 * over.ok_rps) / best.ok_rps).toFixed(0)} % of the best)`,
    )
    say(`turned away: ${over.refused.n}, median ${ms(over.refused.p50_us)}, 99th percentile ${ms(over.refused.p99_us)}`)
    assert.ok(seen.alive.length > 0 && seen.alive.every(Boolean), 'it says that it lives all the while')
    assert.deepEqual(
      [...seen.statuses].filter((status) => status !== 200 && status !== 503),
      [],
      'calls are served or turned away',
    )
    assert.ok(
      seen.waits.every((wait) => wait >= 1),
      'whoever is turned away is told when to come back',
    )

    if (!short) await sleep(RECOVERY_S * 1_000)
    const after = await load({ rate: best.ok_rps / 2, seconds: short ? 1 : 10, warm: 0, connections: few })
    say(
      `${short ? 'at once' : `${RECOVERY_S} s`} after the load, half of the best: ${after.refused.n} turned away, median ${ms(after.lat_us.p50)}, 99th percentile ${ms(after.lat_us.p99)}`,
    )
    const rows = async (): Promise<number> =>
      (await sql<{ rows: number }[]>`select count(*)::int as rows from audit_entries where kind = 'exchange' and http_status = 200`)[0]!.rows
    await until(async () => (await rows()) >= acknowledged, 'a row of every call', 60_000)
    say(`${acknowledged} calls answered with 200, ${await rows()} rows`)
    assert.equal(await rows(), acknowledged, 'one row for each call that was answered, none twice')
    await until(async () => (await earthflow.openExchanges()) === 0, 'every exchange to end')

    if (short) return
    assert.equal(best.refused.n, 0, 'nobody is turned away for no reason')
    assert.ok(over.refused.n > 0, 'what is too much is turned away')
    assert.ok(over.ok_rps >= GOODPUT_SHARE * best.ok_rps, 'goodput')
    assert.ok(over.refused.p99_us < SHED_US_MAX, 'how fast calls are turned away')
    assert.equal(after.refused.n, 0, 'recovery')
  } finally {
    await earthflow.kill('SIGKILL')
    provider.kill('SIGKILL')
    await sql.end()
    installation.remove()
    await database.drop()
    rmSync(folder, { recursive: true, force: true })
  }
}

const ms = (microseconds: number): string => `${(microseconds / 1_000).toFixed(1)} ms`

/** Somebody who asks now and then whether it lives, and makes a call. */
function watch(origin: string, key: string) {
  const alive: boolean[] = []
  const statuses = new Set<number>()
  const waits: number[] = []
  const asked: Promise<void>[] = []
  let served = 0
  const ask = async (): Promise<void> => {
    alive.push((await fetch(`${origin}/health/live`)).ok)
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const answer = await fetch(`${origin}/v1/chat/completions`, { method: 'POST', headers, body: chat('Who is there?') })
    await answer.arrayBuffer()
    statuses.add(answer.status)
    if (answer.status === 200) served++
    else waits.push(Number(answer.headers.get('retry-after')))
  }
  const timer = setInterval(() => asked.push(ask()), WATCH_MS)
  return {
    async stop() {
      clearInterval(timer)
      await Promise.all(asked)
      return { alive, statuses, waits, served }
    },
  }
}
