import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createServerFolder, freePort, startServer } from '../../test/services/server-process.ts'
import { compileTools } from './bring-tools.ts'
import { type BenchCase, PROVIDER_BODY_BYTES, PROVIDER_CHUNKS } from './cases.ts'
import { createFreshDatabase } from './fresh-database.ts'
import { chooseCores, coreBusySeconds, cpuSeconds, onCore, residentMb } from './processes.ts'
import type { BenchServer, Running } from './servers.ts'

/** Once before the first round, so that everything is compiled, and again for the connections of each run. */
const WARM_UP_SECONDS_MAX = 2
const CONNECTIONS_WARM_UP_SECONDS = 0.3

export interface BenchOptions {
  rounds: number
  seconds: number
  servers: readonly BenchServer[]
  cases: readonly BenchCase[]
  /** A server on which a database may be created. */
  databaseUrl: string
  signal: AbortSignal
  say(line: string): void
}

/** What the load generator saw in one run; times are microseconds. `total` counts the answers, `lost` what never got one. */
export interface Load {
  rps: number
  /** Of these, the ones answered with 2xx; and the others. */
  ok_rps: number
  refused: { n: number; p50_us: number; p99_us: number }
  ok: number
  total: number
  lost: number
  non2xx: number
  errs: number
  lat_us: { p50: number; p90: number; p99: number; p999: number; max: number }
  ttfb_us: { p50: number; p99: number; p999: number }
  chunks: number
  chunk_us: { p50: number; p99: number; p999: number }
}

export interface Round {
  case: string
  server: string
  load: Load
  /** CPU of the server under test, microseconds per call. */
  cpuUs: number
  /** CPU of the database server meanwhile; null when unknown, or when the server under test does not use it. */
  databaseCpuUs: number | null
  residentMb: number
  /** The share of the server's core that others used meanwhile, 0..1. */
  foreign: number
}

export interface BenchResult {
  at: string
  machine: { cpu: string; cores: number; node: string }
  rounds: Round[]
  /** Servers that did not start, and why. */
  problems: { server: string; problem: string }[]
  /** Calls answered over the whole bench beside rows recorded, for servers that record. */
  records: { server: string; calls: number; rows: number }[]
}

interface Contestant extends Running {
  name: string
  calls: number
}

/** Starts everything, measures in turns so that a disturbance hits everyone alike, and leaves nothing behind. */
export async function runBench({ rounds, seconds, servers, cases, databaseUrl, signal, say }: BenchOptions): Promise<BenchResult> {
  const cores = await chooseCores()
  await using cleanUp = new AsyncDisposableStack()
  const folder = createServerFolder({})
  const tools = await compileTools(folder)
  const providerPort = await startProvider()
  const database = cleanUp.adopt(await createFreshDatabase(databaseUrl, cores.load), (one) => one.close())
  const bodies = await writeBodies()
  const result: BenchResult = {
    at: new Date().toISOString(),
    machine: { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.versions.node },
    rounds: [],
    problems: [],
    records: [],
  }
  const contestants = await startServers()

  for (const one of cases) for (const contestant of contestants) await measure(one, contestant, Math.min(seconds, WARM_UP_SECONDS_MAX))
  for (let round = 1; round <= rounds; round++) {
    for (const one of cases) {
      for (const contestant of contestants) {
        const measured = await measure(one, contestant, seconds)
        result.rounds.push(measured)
        say(`round ${round} of ${rounds}, ${one.name}, ${contestant.name}: ${measured.load.rps} calls/s, ${measured.cpuUs.toFixed(1)} µs CPU per call`)
      }
    }
  }
  for (const { name, calls, countRows } of contestants) if (countRows) result.records.push({ server: name, calls, rows: await countRows() })
  return result

  /** The folder of the compiled tools is the provider's own: it goes when the provider stops, and both go last. */
  async function startProvider(): Promise<number> {
    const port = await freePort()
    const server = await startServer({
      name: 'the fake provider',
      command: 'taskset',
      args: onCore(cores.load, tools.provider, [port, PROVIDER_CHUNKS, 0, PROVIDER_BODY_BYTES]),
      env: process.env,
      account: {},
      folder,
      stopSignal: 'TERM',
      ready: () =>
        fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: '{}' }).then(
          (response) => response.ok,
          () => false,
        ),
    })
    cleanUp.defer(server.stop)
    return port
  }

  async function writeBodies(): Promise<Map<BenchCase, string>> {
    const files = new Map<BenchCase, string>()
    for (const one of cases) {
      const file = join(folder, `${one.name}.json`)
      await writeFile(file, one.body)
      files.set(one, file)
    }
    return files
  }

  /** One that fails to start is reported; the others go on. */
  async function startServers(): Promise<Contestant[]> {
    const started: Contestant[] = []
    for (const server of servers) {
      signal.throwIfAborted()
      try {
        const running = await server.start({ core: cores.server, providerPort, databaseUrl: database.url })
        cleanUp.defer(running.stop)
        started.push({ ...running, name: server.name, calls: 0 })
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error)
        result.problems.push({ server: server.name, problem })
        say(`${server.name} did not start: ${problem}`)
      }
    }
    return started
  }

  async function measure(one: BenchCase, contestant: Contestant, seconds: number): Promise<Round> {
    const { port, key, pids, name, countRows } = contestant
    const options = ['-p', port, '-k', key, '-c', one.connections, '-d', seconds, '-w', CONNECTIONS_WARM_UP_SECONDS, '-b', bodies.get(one)!]
    const before = await readCounters(pids)
    const { stdout } = await promisify(execFile)('taskset', onCore(cores.load, tools.load, options), { signal })
    const after = await readCounters(pids)
    const load: Load = JSON.parse(stdout)
    contestant.calls += load.total
    const own = after.own - before.own
    const usPerCall = (cpuSeconds: number): number => (cpuSeconds * 1e6) / Math.max(1, load.total)
    return {
      case: one.name,
      server: name,
      load,
      cpuUs: usPerCall(own),
      databaseCpuUs: countRows === null || before.database === null || after.database === null ? null : usPerCall(after.database - before.database),
      residentMb: await residentMb(pids),
      foreign: Math.max(0, (after.core - before.core - own) / ((after.atMs - before.atMs) / 1000)),
    }
  }

  async function readCounters(pids: readonly number[]): Promise<{ own: number; core: number; database: number | null; atMs: number }> {
    return { own: await cpuSeconds(pids), core: await coreBusySeconds(cores.server), database: await database.cpuSeconds(), atMs: performance.now() }
  }
}
