import { readFile } from 'node:fs/promises'
import { cpus, release, totalmem } from 'node:os'
import { measureInside } from './figures/inside.ts'
import { measureStartUp } from './figures/start-up.ts'
import { measureSteady } from './figures/steady.ts'
import { prepareGround } from './ground.ts'
import type { BenchResult } from './result.ts'
import { type RunOptions, runSet } from './run-set.ts'
import type { BenchSet } from './sets.ts'

export interface BenchOptions extends RunOptions {
  sets: readonly BenchSet[]
  /** Of one Earthflow alone: how often it is started, in which cases it is looked into; 0 and none leave that out. */
  starts: number
  inside: readonly string[]
  steadyMinutes: number
  /** A server on which databases may be created; and a Redis, or null. */
  services: { databaseUrl: string; redisUrl: string | null }
}

/** Measures all that is asked for, and leaves nothing behind. */
export async function runBench({ sets, starts, inside, steadyMinutes, services, ...run }: BenchOptions): Promise<BenchResult> {
  const { seconds, signal, say } = run
  const began = performance.now()
  await using cleanUp = new AsyncDisposableStack()
  const ground = await prepareGround(services, cleanUp)
  const result: BenchResult = {
    at: new Date().toISOString(),
    tookSeconds: 0,
    machine: await machine(),
    rounds: [],
    problems: [],
    records: [],
    figures: { start: null, stages: [], loop: [] },
    steady: null,
  }
  for (const set of sets) {
    say(`${set.name}: ${set.about}`)
    await runSet(ground, set, result, run)
  }
  if (starts > 0) {
    say('start and rest')
    result.figures.start = await measureStartUp(ground, starts)
  }
  if (inside.length > 0) {
    say('stages and the event loop')
    Object.assign(result.figures, await measureInside(ground, inside, seconds, signal))
  }
  if (steadyMinutes > 0) result.steady = await measureSteady(ground, steadyMinutes, run)
  result.tookSeconds = Math.round((performance.now() - began) / 1000)
  return result
}

async function machine(): Promise<BenchResult['machine']> {
  const allowed = (await readFile('/proc/self/status', 'utf8')).match(/^Cpus_allowed_list:\s*(.+)$/m)?.[1]
  if (allowed === undefined) throw new Error('The bench needs Linux: it reads /proc and pins with taskset.')
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.versions.node,
  }
}
