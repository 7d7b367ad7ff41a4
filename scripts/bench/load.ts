/** Runs the load generator, and says what it saw. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { BenchCase } from './cases.ts'
import { onCore } from './processes.ts'

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

export interface LoadRun {
  /** The compiled generator. */
  program: string
  /** The core it runs on; null: whichever is free. */
  core: number | null
  target: { port: number; key: string; headers: readonly string[]; isTls: boolean }
  bodyFile: string
  shape: Pick<BenchCase, 'connections' | 'rate'>
  seconds: number
  warmSeconds: number
  /** It ends after so many calls, if not before. */
  callsMax?: number
  signal: AbortSignal
}

/** Rejects where the generator fails: it cannot connect, or is cut off again and again. */
export async function runLoad({ program, core, target, bodyFile, shape, seconds, warmSeconds, callsMax, signal }: LoadRun): Promise<Load> {
  const args = ['-p', target.port, '-k', target.key, '-c', shape.connections, '-r', shape.rate, '-d', seconds, '-w', warmSeconds, '-b', bodyFile]
  if (callsMax !== undefined) args.push('-n', callsMax)
  if (target.isTls) args.push('-t')
  for (const header of target.headers) args.push('-H', header)
  const [command, all] = core === null ? [program, args.map(String)] : ['taskset', onCore(core, program, args)]
  const { stdout } = await promisify(execFile)(command, all, { signal })
  return JSON.parse(stdout) as Load
}
