import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { compileTools } from '../../scripts/bench/bring-tools.ts'
import { createFreshDatabase, pinDatabaseServer } from '../../scripts/bench/fresh-database.ts'
import type { Load } from '../../scripts/bench/load.ts'
import { chooseCores, onCore } from '../../scripts/bench/processes.ts'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, type Tenant, until } from '../harness/client.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { freePort } from '../services/server-process.ts'

export const about =
  'at three times its capacity an Earthflow answers at least nine tenths of what it could at best, turns the rest away within 50 ms, and is itself again 5 s later'

const TIMES = 3
const SHED_US_MAX = 50_000
const RECOVERY_S = 5
/** What an agent sends in the middle of its work. */
const BODY_BYTES = 24 << 10
/** Of an answer that is streamed: some three hundred words. */
const EVENTS = 400
/**
 * What is asked for, and how much of what could be served at best still is. A call that is turned away costs what it takes to receive it, 0.1 ms: of answers
 * that are streamed that is a fiftieth, of short ones that come at once a tenth or more, of which there are three then: they must not bring it down.
 */
const LOADS = [
  { about: `answers of ${EVENTS} events`, more: { stream: true }, goodputShareMin: 0.9 },
  { about: 'short answers', more: {}, goodputShareMin: 0.33 },
]
/** As many as may wait, be under way and be turned away at once: those that have nothing to do are closed and opened anew all the time. */
const CONNECTIONS = 2_800
const PEAK_CONNECTIONS = 64
const WATCH_MS = 250

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const folder = mkdtempSync(join(tmpdir(), 'earthflow-overload-'))
  const tools = await compileTools(folder)
  const cores = await chooseCores()
  const unpinDatabase = await pinDatabaseServer(services.databaseUrl, String(cores.load))
  const database = await createFreshDatabase(services.databaseUrl)
  const installation = await prepareInstallation(database.url, {
    NODE_OPTIONS: '--max-semi-space-size=16', // as `earthflow start` has it
    EARTHFLOW_MAX_CONNECTIONS: String(4 * CONNECTIONS),
    EARTHFLOW_MAX_CONNECTIONS_PER_SOURCE: String(4 * CONNECTIONS),
    ...(services.redisUrl !== undefined && { REDIS_URL: services.redisUrl }),
  })
  const providerPort = await freePort()
  const provider = spawn('taskset', onCore(cores.load, tools.provider, [providerPort, EVENTS, 0, 1024]), { stdio: 'ignore' })
  const sql = postgres(database.url, { max: 1 })
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const earthflow = await startProcess(installation, () => tenant, 'dropped')
  try {
    tenant = await earthflow.newTenant({ rules_preset: 'default', max_requests_per_minute: 10_000_000, max_tokens_per_minute: 1e12 })
    for (const preset of ['medical', 'secrets'])
      assert.equal((await earthflow.admin('POST', `/v1/rules/presets/${preset}/apply?tenant_id=${tenant.tenant_id}`, { mode: 'merge' })).status, 200)
    await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `http://127.0.0.1:${providerPort}/v1` })
    const { origin } = earthflow
    let acknowledged = 0
    /** `rate` calls a second, or as many as so many connections can make; the first seconds are not measured. */
    const load = async (
      bodyFile: string,
      { rate, seconds, warm, connections }: { rate: number; seconds: number; warm: number; connections: number },
    ): Promise<Load> => {
      const flags = { p: new URL(origin).port, c: connections, r: rate.toFixed(0), d: seconds, w: warm, b: bodyFile, k: tenant.api_key }
      const args = Object.entries(flags).flatMap(([name, value]) => [`-${name}`, String(value)])
      const answer: Load = JSON.parse((await promisify(execFile)('taskset', onCore(cores.load, tools.load, args))).stdout)
      acknowledged += answer.ok
      assert.deepEqual([answer.errs, answer.lost], [0, 0], 'every call is answered')
      return answer
    }

    const rows = async (): Promise<number> =>
      (await sql<{ rows: number }[]>`select count(*)::int as rows from audit_entries where kind = 'exchange' and http_status = 200`)[0]!.rows

    const [seconds, warm] = short ? [2, 1] : [15, 3]
    for (const { about, more, goodputShareMin } of LOADS) {
      const bodyFile = join(folder, 'body.json')
      writeFileSync(bodyFile, chat('A sentence of an ordinary conversation, repeated. '.repeat(BODY_BYTES / 50), more))
      const peak = async (): Promise<Load> => {
        const best = await load(bodyFile, { rate: 0, seconds, warm, connections: PEAK_CONNECTIONS })
        say(`${about}: ${best.ok_rps.toFixed(0)} calls a second at best, median ${ms(best.lat_us.p50)}, 99th percentile ${ms(best.lat_us.p99)}`)
        return best
      }
      const before = await peak()

      const watched = watch(origin, tenant.api_key)
      const over = await load(bodyFile, { rate: TIMES * before.ok_rps, seconds, warm, connections: short ? 300 : CONNECTIONS }).finally(watched.stop)
      const seen = await watched.stop()
      acknowledged += seen.served
      say(`  offered ${(TIMES * before.ok_rps).toFixed(0)} a second: ${over.ok_rps.toFixed(0)} served`)
      say(`  turned away: ${over.refused.n}, median ${ms(over.refused.p50_us)}, 99th percentile ${ms(over.refused.p99_us)}`)
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
      const after = await load(bodyFile, { rate: before.ok_rps / 2, seconds: short ? 1 : 10, warm: 0, connections: PEAK_CONNECTIONS })
      say(
        `  ${short ? 'at once' : `${RECOVERY_S} s`} after the load, half of the best: ${after.refused.n} turned away, median ${ms(after.lat_us.p50)}, 99th percentile ${ms(after.lat_us.p99)}`,
      )
      const again = await peak()
      const share = (2 * over.ok_rps) / (before.ok_rps + again.ok_rps)
      say(`  served under load: ${(100 * share).toFixed(0)} % of the best before and after`)
      await until(async () => (await rows()) >= acknowledged, 'a row of every call', 60_000)
      say(`  ${acknowledged} calls answered with 200 until now, ${await rows()} rows`)
      assert.equal(await rows(), acknowledged, 'one row for each call that was answered, none twice')
      await until(async () => (await earthflow.openExchanges()) === 0, 'every exchange to end')

      if (short) continue
      assert.equal(before.refused.n + again.refused.n, 0, 'nobody is turned away for no reason')
      assert.ok(over.refused.n > 0, 'what is too much is turned away')
      assert.ok(share >= goodputShareMin, 'goodput')
      assert.ok(over.refused.p50_us < SHED_US_MAX, 'how fast calls are turned away')
      assert.equal(after.refused.n, 0, 'recovery')
    }
  } finally {
    await earthflow.kill('SIGKILL')
    provider.kill('SIGKILL')
    await sql.end()
    installation.remove()
    await unpinDatabase()
    await database.close()
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
