import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BenchCase, caseNamed } from './cases.ts'
import { emptyLog, type Ground } from './ground.ts'
import { type Load, runLoad } from './load.ts'
import { coreBusySeconds, cpuSeconds, residentKib } from './processes.ts'
import type { BenchResult, Round } from './result.ts'
import type { BenchServer, Running } from './running.ts'
import { serverNamed } from './servers.ts'
import type { BenchSet } from './sets.ts'

/** A slow server is not waited for longer, however many calls it was to be warmed with. */
const WARM_SECONDS_MAX = 8
/** Of what everybody is warmed with at first. */
const WARM_CASE = 'plain'
const CASE_WARM_SECONDS_MAX = 1.5
/** Rounds in which others used more of the server's core than this are repeated, and do not count where there are quieter ones. */
export const FOREIGN_MAX = 0.1
const WATCH_MEMORY_MS = 250

export interface RunOptions {
  rounds: number
  seconds: number
  /** How often a round is measured at most, while others disturb it. */
  triesMax: number
  signal: AbortSignal
  say(line: string): void
}

interface Contestant extends Running {
  server: BenchServer
  calls: number
}

/** Measures in turns, so that a disturbance hits everyone alike, and adds what it found to the result. Nothing it started is left. */
export async function runSet(ground: Ground, set: BenchSet, result: BenchResult, options: RunOptions): Promise<void> {
  const servers = set.servers.map(serverNamed)
  const size = Math.min(set.groupsOf, servers.length)
  for (let i = 0; i < servers.length; i += size) await runGroup(ground, set, [...set.beside.map(serverNamed), ...servers.slice(i, i + size)], result, options)
}

async function runGroup(
  ground: Ground,
  set: BenchSet,
  servers: readonly BenchServer[],
  result: BenchResult,
  { rounds, seconds, triesMax, signal, say }: RunOptions,
): Promise<void> {
  await using cleanUp = new AsyncDisposableStack()
  if (servers.every((server) => server.isUnpinned)) cleanUp.defer(await ground.spread())
  const cases = set.cases.map(caseNamed)
  const bodies = new Map<BenchCase, string>()
  for (const one of [caseNamed(WARM_CASE), ...cases]) bodies.set(one, await writeBody(ground.folder, one))
  const contestants = await start()

  for (const contestant of contestants) await warm(contestant, caseNamed(WARM_CASE), { calls: set.warmCalls, secondsMax: WARM_SECONDS_MAX })
  for (const one of cases) {
    for (const contestant of contestants)
      if (!one.without.includes(contestant.server.name)) await warm(contestant, one, { calls: one.warmCalls, secondsMax: CASE_WARM_SECONDS_MAX })
    for (let round = 1; round <= Math.min(rounds, one.roundsMax, set.roundsMax); round++) {
      for (const contestant of contestants) {
        if (one.without.includes(contestant.server.name)) continue
        const measured = await measure(one, contestant)
        result.rounds.push(measured)
        say(
          `${set.name}, ${one.name}, round ${round}, ${contestant.server.name}: ${Math.round(measured.load.ok_rps)} calls/s, ${measured.cpuUs.toFixed(1)} µs CPU per call`,
        )
      }
    }
  }
  for (const { server, calls, countRows } of contestants) if (countRows) result.records.push({ server: server.name, calls, rows: await countRows() })

  /** One that fails to start is reported; the others go on. */
  async function start(): Promise<Contestant[]> {
    const started: Contestant[] = []
    for (const server of servers) {
      signal.throwIfAborted()
      try {
        if (server.isTls && !ground.tools.speaksTls) throw new Error('the load generator was compiled without OpenSSL, whose headers are not to be had here')
        const running = await server.start(ground)
        cleanUp.defer(running.stop)
        started.push({ ...running, server, calls: 0 })
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error)
        if (!result.problems.some((other) => other.server === server.name)) result.problems.push({ server: server.name, problem })
        say(`${server.name} did not start: ${problem}`)
      }
    }
    return started
  }

  async function warm(contestant: Contestant, one: BenchCase, { calls, secondsMax }: { calls: number; secondsMax: number }): Promise<void> {
    if (calls === 0 || contestant.server.name === 'direct') return
    const shape = { connections: Math.min(one.connections, 64), rate: 0 }
    await load(contestant, { one, shape, seconds: secondsMax, warmSeconds: 0, callsMax: calls })
  }

  async function load(
    contestant: Contestant,
    run: { one: BenchCase; shape: BenchCase | { connections: number; rate: number }; seconds: number; warmSeconds: number; callsMax?: number },
  ): Promise<Load> {
    const { one, ...more } = run
    const core = contestant.server.isUnpinned ? null : ground.cores.load
    const seen = await runLoad({ program: ground.tools.load, core, target: contestant, bodyFile: bodies.get(one)!, signal, ...more })
    contestant.calls += seen.ok
    if (contestant.folder !== null) await emptyLog(contestant.folder)
    return seen
  }

  /** Again, a few times, where others disturbed it; the quietest of them. */
  async function measure(one: BenchCase, contestant: Contestant): Promise<Round> {
    let best: Round | null = null
    for (let tries = 1; tries <= triesMax; tries++) {
      const measured = { ...(await measureOnce(one, contestant)), tries }
      if (best === null || measured.foreign < best.foreign) best = measured
      if (measured.foreign <= FOREIGN_MAX) break
    }
    return best!
  }

  async function measureOnce(one: BenchCase, contestant: Contestant): Promise<Round> {
    const { pids, server } = contestant
    const before = await readCounters(contestant)
    const memory = watchMemory(pids)
    const seen = await load(contestant, { one, shape: one, seconds: one.seconds ?? seconds, warmSeconds: one.warmSeconds }).finally(memory.stop)
    const after = await readCounters(contestant)
    const own = after.own - before.own
    const usPerCall = (cpuSeconds: number): number => (cpuSeconds * 1e6) / Math.max(1, seen.total)
    return {
      set: set.name,
      case: one.name,
      server: server.name,
      load: seen,
      cpuUs: usPerCall(own),
      databaseCpuUs: before.database === null || after.database === null ? null : usPerCall(after.database - before.database),
      residentBeforeKib: before.resident,
      residentKib: Math.max(memory.most(), after.resident),
      foreign: server.isUnpinned ? 0 : Math.max(0, (after.core - before.core - own) / ((after.atMs - before.atMs) / 1000)),
      tries: 1,
    }
  }

  async function readCounters({
    pids,
    databaseCpuSeconds,
  }: Contestant): Promise<{ own: number; core: number; database: number | null; resident: number; atMs: number }> {
    const [own, core, database, resident] = [
      await cpuSeconds(pids),
      await coreBusySeconds(ground.cores.server),
      await databaseCpuSeconds(),
      await residentKib(pids),
    ]
    return { own, core, database, resident, atMs: performance.now() }
  }
}

async function writeBody(folder: string, one: BenchCase): Promise<string> {
  const file = join(folder, `${one.name}.json`)
  await writeFile(file, one.body)
  return file
}

/** The most memory that the processes have had since. */
function watchMemory(pids: readonly number[]): { most(): number; stop(): void } {
  let most = 0
  const timer = setInterval(() => void residentKib(pids).then((kib) => (most = Math.max(most, kib))), WATCH_MEMORY_MS)
  return { most: () => most, stop: () => clearInterval(timer) }
}
