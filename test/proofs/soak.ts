import assert from 'node:assert/strict'
import { readdirSync, readlinkSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { Pool } from 'undici'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, type Tenant, until } from '../harness/client.ts'
import { createMemoryGauge, type Memory } from '../harness/live-memory.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { answerJson, chatEvent, SSE, startProvider } from '../harness/provider.ts'

export const about =
  'after half an hour of calls, three in ten of them streams, memory, handles and sockets are what they were after ten minutes, at work and at rest'
export const rests = true

const PER_SECOND = 60
const STREAMS_OF_TEN = 3
const EVENTS = 40
const EVENT_EVERY_MS = 50
/** Until then caches fill and code is compiled. */
const WARM_SHARE = 1 / 3
/** Each sample collects the garbage first, which stops the process for a tenth of a second. */
const SAMPLE_MS = 20_000
/** Over ten minutes, of the least of each minute: calls that are under way hold memory too. */
const SLOPE_MIB_MAX = 1
/** Connections are as many as the most calls at once needed lately, so they are counted while there is no call: when idle ones have had the time to close. */
const REST_MS_MAX = 90_000
const PERIODS = 3
const SLOPE_OVER_MS = 600_000
const MINUTE_MS = 60_000

interface Sample {
  at: number
  /** That is live, in MiB. */
  mib: number
  /** That the system has given, in MiB. */
  resident: number
  handles: number
  sockets: number
}

export default async function prove({ short, services, say }: ProofContext): Promise<void> {
  process.env.TEST_DATABASE_URL = services.databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const database = await createServerDatabase()
  const gauge = createMemoryGauge()
  const installation = await prepareInstallation(database.url, {
    ...gauge.environment,
    ...(services.redisUrl !== undefined && { REDIS_URL: services.redisUrl }),
  })
  const provider = await startProvider((seen) => {
    provider.seen.length = 0 // it would remember every body
    if (seen.body.includes('"stream":true')) stream(seen.response)
    else answerJson(seen)
  })
  const sql = postgres(database.url, { max: 1 })
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const earthflow = await startProcess(installation, () => tenant, 'dropped')
  const newPool = () => new Pool(earthflow.origin, { connections: 256, pipelining: 1 })
  let pool = newPool()
  try {
    tenant = await earthflow.newTenant({ rules_preset: 'default', max_requests_per_minute: 1_000_000, max_tokens_per_minute: 1e12 })
    await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    await earthflow.rule({ name: 'reply', condition: { operator: 'contains', value: 'never said', target: 'response' }, action: 'REDACT' })
    const headers = { authorization: `Bearer ${tenant.api_key}`, 'content-type': 'application/json' }
    const plain = chat('How are you today? '.repeat(60))
    const streamed = chat('How are you today? '.repeat(60), { stream: true })
    let answered = 0
    let failed = 0
    const call = async (isStream: boolean): Promise<void> => {
      try {
        const answer = await pool.request({ method: 'POST', path: '/v1/chat/completions', headers, body: isStream ? streamed : plain })
        const text = await answer.body.text()
        if (answer.statusCode !== 200 || (isStream && !text.endsWith('data: [DONE]\n\n'))) failed++
        else answered++
      } catch {
        failed++
      }
    }

    const periodMs = short ? 4_000 : 10 * MINUTE_MS
    const ms = PERIODS * periodMs
    const sampleMs = short ? 1_000 : SAMPLE_MS
    const underWay = new Set<Promise<void>>()
    const samples: Sample[] = []
    const rests: Sample[] = []
    const began = performance.now()
    let restedMs = 0
    let sent = 0
    for (let period = 1; period <= PERIODS; period++) {
      for (let at = 0; at < period * periodMs; ) {
        at = performance.now() - began - restedMs
        for (const due = Math.floor((at * PER_SECOND) / 1000); sent < due; sent++) {
          const one = call(sent % 10 < STREAMS_OF_TEN).finally(() => underWay.delete(one))
          underWay.add(one)
        }
        if (at >= (samples.length + 1) * sampleMs) samples.push(sampleOf(earthflow.pid, at, await gauge.ask(earthflow.pid)))
        await sleep(5)
      }
      await Promise.all(underWay)
      const stopped = performance.now()
      await pool.close()
      pool = newPool()
      rests.push(await atRest(earthflow.pid, () => gauge.ask(earthflow.pid), short ? periodMs : REST_MS_MAX))
      restedMs += performance.now() - stopped
    }
    assert.equal(failed, 0, 'every call is answered, every stream to its end')
    await until(async () => (await earthflow.openExchanges()) === 0, 'every exchange to end')
    await until(
      async () => (await sql<{ rows: number }[]>`select count(*)::int as rows from audit_entries where kind = 'exchange'`)[0]!.rows >= answered,
      'a row of every call',
      60_000,
    )
    const [counted] = await sql<{ rows: number; twice: number }[]>`
      select count(*)::int as rows, (count(*) - count(distinct audit_id))::int as twice from audit_entries where kind = 'exchange'`
    say(`${answered} calls in ${(ms / 1000).toFixed(0)} s, ${counted?.rows} rows`)
    assert.deepEqual(counted, { rows: answered, twice: 0 })

    const settled = samples.filter(({ at }) => at >= ms * WARM_SHARE)
    const each = (of: (sample: Sample) => number, [first, last] = [settled[0]!, settled.at(-1)!]): string => `${of(first).toFixed(1)} → ${of(last).toFixed(1)}`
    say(`at work: live memory ${each(({ mib }) => mib)} MiB, resident ${each(({ resident }) => resident)} MiB, sockets ${each(({ sockets }) => sockets)}`)
    for (const { mib, resident, handles, sockets } of rests)
      say(`at rest: live memory ${mib.toFixed(1)} MiB, resident ${resident.toFixed(1)} MiB, ${handles} handles, ${sockets} of them sockets`)
    if (short) return
    const mibs = slope(leastOfEach(settled, MINUTE_MS)) * SLOPE_OVER_MS
    say(`in ten minutes of work: ${mibs.toFixed(2)} MiB more`)
    assert.ok(mibs <= SLOPE_MIB_MAX, 'memory at work')
    const [first, last] = [rests[0]!, rests.at(-1)!]
    assert.ok(last.mib - first.mib <= SLOPE_MIB_MAX * (PERIODS - 1), 'memory at rest')
    assert.ok(last.handles <= first.handles && last.sockets <= first.sockets, 'handles and sockets at rest')
  } finally {
    await pool.destroy()
    await earthflow.kill('SIGKILL')
    await sql.end()
    provider.close()
    installation.remove()
    await database.drop()
  }
}

function stream(response: ServerResponse): void {
  response.writeHead(200, SSE)
  let left = EVENTS
  const timer = setInterval(() => {
    if (left-- > 0) response.write(chatEvent('word '))
    else response.end('data: [DONE]\n\n')
  }, EVENT_EVERY_MS)
  response.on('close', () => clearInterval(timer))
}

function sampleOf(pid: number, at: number, { live, resident }: Memory): Sample {
  const links = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => linkOf(`/proc/${pid}/fd/${fd}`))
  const sockets = links.filter((link) => link.startsWith('socket:')).length
  return { at, mib: live / 2 ** 20, resident: resident / 2 ** 20, handles: links.length, sockets }
}

function linkOf(path: string): string[] {
  try {
    return [readlinkSync(path)]
  } catch {
    return [] // closed since it was listed
  }
}

/** The moment of least handles while nobody calls. */
async function atRest(pid: number, ask: () => Promise<Memory>, ms: number): Promise<Sample> {
  const samples: Sample[] = []
  for (const until = performance.now() + ms; performance.now() < until; await sleep(1_000)) samples.push(sampleOf(pid, 0, await ask()))
  return samples.reduce((least, one) => (one.handles <= least.handles ? one : least))
}

/** Of each span the least memory there was. */
function leastOfEach(samples: readonly Sample[], spanMs: number): [at: number, least: number][] {
  const spans = Map.groupBy(samples, ({ at }) => Math.floor(at / spanMs))
  return [...spans].map(([span, some]) => [span * spanMs, Math.min(...some.map(({ mib }) => mib))])
}

/** Of the line that lies closest to the points (least squares), per unit of x. */
function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (of: readonly number[]): number => of.reduce((sum, one) => sum + one, 0) / of.length
  const [x, y] = [mean(points.map(([one]) => one)), mean(points.map(([, one]) => one))]
  const over = points.reduce((sum, [a, b]) => sum + (a - x) * (b - y), 0)
  const under = points.reduce((sum, [a]) => sum + (a - x) ** 2, 0)
  return under === 0 ? 0 : over / under
}
