import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { isRunning } from '../../src/db/is-running.ts'
import { createBareServerDatabase } from '../db/engines.ts'
import { type Tenant, until } from '../harness/client.ts'
import { verifyOnline } from '../harness/earthflow-verb.ts'
import { startMixedLoad } from '../harness/mixed-load.ts'
import { prepareInstallation, startProcess } from '../harness/process.ts'
import { answerJson, chatEvent, DONE, type Script, SSE, startProvider } from '../harness/provider.ts'

export const about =
  'SIGHUP with two workers under 50 calls/s and 20 streams: no call fails, no stream is cut, each has its row, once; kill -9 of a worker breaks its calls alone; no counter ever falls, and the sum is the calls'

const RESTARTS = 2
const PER_SECOND = 50
const STREAMS = 20
const STREAM_MS = 10_000
const EVENT_MS = 100
const SCRAPES = 200
const AFTER_KILL_MS = 5_000
const SHOWN_MAX = 10

export default async function prove({ short, say, services }: ProofContext): Promise<void> {
  if (services.redisUrl === undefined) return say('not shown: workers in production share a Redis, and none can be had')
  const database = await createBareServerDatabase()
  const installation = await prepareInstallation(database.url, { EARTHFLOW_WORKERS: '2', EARTHFLOW_DRAIN_SECONDS: '60', REDIS_URL: services.redisUrl })
  const provider = await startProvider(answering(short ? STREAM_MS / 10 : STREAM_MS))
  const sql = postgres(database.url, { max: 1, onnotice: () => {} })
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const closers: (() => Promise<unknown>)[] = []
  try {
    const earthflow = await startProcess(installation, () => tenant, 'dropped')
    tenant = await earthflow.newTenant({ max_requests_per_minute: 1e9 })
    await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    const load = startMixedLoad({
      origin: earthflow.origin,
      key: tenant.api_key,
      perSecond: short ? PER_SECOND / 5 : PER_SECOND,
      streams: short ? STREAMS / 5 : STREAMS,
    })
    closers.push(load.close, async () => earthflow.isAlive() && earthflow.kill('SIGKILL'))
    const scrapes = createScrapes(earthflow.origin, installation.adminKey)
    const workers = async (): Promise<number[]> =>
      (await sql<{ pid: number }[]>`select pid from processes where pid <> ${earthflow.pid} order by started_at`).map(({ pid }) => pid)
    const served = (): number => scrapes.latest('earthflow_requests_total')
    await until(async () => (await scrapes.once()) && scrapes.latest('earthflow_workers') === 2, 'both workers to be ready')

    load.begin()
    scrapes.begin()
    for (let i = 1; i <= (short ? 1 : RESTARTS); i++) {
      const old = await workers()
      process.kill(earthflow.pid, 'SIGHUP')
      await until(() => !old.some(isRunning), 'all old workers to have ended', 180_000)
    }
    await until(() => scrapes.count >= (short ? SCRAPES / 10 : SCRAPES), 'so many scrapes', 180_000)
    const before = await load.end()
    await until(scrapes.once, 'the last scrape')
    say(
      `${scrapes.latest('earthflow_workers_replaced_total')} workers replaced under ${before.calls} calls and ${before.streams} streams: ${before.problems.length} failed${before.shed > 0 ? `, ${before.shed} told to come back` : ''}; ${scrapes.count} scrapes, ${scrapes.refused} of them told to ask again: ${served()} calls counted`,
    )
    assert.deepEqual(before.problems.slice(0, SHOWN_MAX), [])
    if (!short) assert.equal(before.shed, 0)
    assert.equal(served(), before.answered.length, 'the sum is the calls')

    const [killed = 0] = await workers()
    load.begin()
    process.kill(killed, 'SIGKILL')
    await sleep(short ? AFTER_KILL_MS / 5 : AFTER_KILL_MS)
    await until(async () => (await scrapes.once()) && scrapes.latest('earthflow_workers') === 2, 'the worker to be replaced')
    const seen = await load.end()
    await scrapes.end()
    say(`a worker killed: ${seen.problems.length} calls broke (${[...new Set(seen.problems.map(codeOf))].join(', ') || 'none'}), and it was replaced`)
    assert.deepEqual(
      seen.problems.filter((problem) => codeOf(problem) === 'ECONNREFUSED' || /^\d/.test(problem)),
      [],
      'the port is always open, and nobody is answered with an error',
    )
    assert.deepEqual(scrapes.fallen.slice(0, SHOWN_MAX), [])
    // Where there is little time, without the seconds in which balancers notice.
    await earthflow.kill(short ? 'SIGINT' : 'SIGTERM')
    assert.deepEqual(await earthflow.exited, [0, null])
    const rows = await sql<{ request_id: string; outcome: string; times: number }[]>`
      select request_id, min(outcome) as outcome, count(*)::int as times from audit_entries where kind = 'exchange' group by request_id`
    const byId = new Map(rows.map((row) => [row.request_id, row]))
    const missing = seen.answered.filter((id) => byId.get(id)?.outcome !== 'completed')
    say(`${seen.answered.length} answers, ${rows.length} rows: ${missing.length} missing, ${rows.filter(({ times }) => times > 1).length} twice`)
    assert.deepEqual([missing.slice(0, SHOWN_MAX), rows.filter(({ times }) => times > 1)], [[], []])
    assert.ok(rows.length >= provider.seen.length, 'every call that reached the provider is on record')
    say(await verifyOnline(installation))
  } finally {
    for (const close of closers) await close()
    provider.close()
    installation.remove()
    await sql.end()
    await database.drop()
  }
}

/** Whoever asks for a stream gets an event now and then for so long. */
const answering =
  (streamMs: number): Script =>
  (seen) => {
    if (!seen.body.includes('"stream":true')) return answerJson(seen)
    const { response } = seen
    response.writeHead(200, SSE).write(chatEvent('a'))
    const timer = setInterval(() => response.write(chatEvent('b')), EVENT_MS)
    const end = setTimeout(() => response.end(chatEvent('c') + DONE), streamMs)
    response.on('close', () => {
      clearInterval(timer)
      clearTimeout(end)
    })
  }

/** Reads the metrics over and over, and notes every counter that falls. */
function createScrapes(origin: string, adminKey: string) {
  const last = new Map<string, number>()
  const scrapes = {
    count: 0,
    /** Not everybody had told in time. */
    refused: 0,
    fallen: [] as string[],
    /** The sum over all labels. */
    latest: (name: string): number => [...last].reduce((sum, [series, value]) => (series === name || series.startsWith(`${name}{`) ? sum + value : sum), 0),
    /** Whether there was an answer: of a worker that is killed there is none. One after the other. */
    once: (): Promise<boolean> => (turn = turn.then(read)),
    begin(): void {
      isOn = true
      underWay = (async () => {
        for (; isOn; await sleep(EVENT_MS)) await scrapes.once()
      })()
    },
    async end(): Promise<void> {
      isOn = false
      await underWay
    },
  }
  async function read(): Promise<boolean> {
    const answer = await fetch(`${origin}/v1/dashboard/metrics`, { headers: { authorization: `Bearer ${adminKey}` } }).catch(() => null)
    const text = (await answer?.text().catch(() => null)) ?? null
    if (answer?.status === 503) scrapes.refused++
    if (answer?.status !== 200 || text === null) return false
    scrapes.count++
    const counting = new Set([...text.matchAll(/^# TYPE (\S+) (?:counter|histogram)$/gm)].map(([, name]) => name))
    const present = new Map([...text.matchAll(/^([^#\s]\S*(?: [^{}]*\})?) (\S+)$/gm)].map(([, series = '', value]) => [series, Number(value)]))
    for (const [series, before] of last) {
      const name = (series.split('{')[0] ?? '').replace(/_(?:bucket|sum|count)$/, '')
      if ((counting.has(name) || counting.has(series.split('{')[0])) && (present.get(series) ?? 0) < before)
        scrapes.fallen.push(`${series}: ${before} → ${present.get(series)}`)
    }
    last.clear()
    for (const [series, value] of present) last.set(series, value)
    return true
  }
  let isOn = false
  let underWay: Promise<void> = Promise.resolve()
  let turn = Promise.resolve(true)
  return scrapes
}

const codeOf = (problem: string): string => problem.split(' ')[0] ?? problem
