/** Rounds as the bench would have measured them. */
import type { BenchResult, Round } from '../../scripts/bench/result.ts'

export const round = (server: string, rps: number, more: Partial<Round> = {}): Round => ({
  set: 'beside',
  case: 'plain',
  server,
  load: {
    rps,
    ok_rps: rps,
    refused: { n: 0, p50_us: 0, p99_us: 0 },
    ok: rps,
    total: rps,
    lost: 0,
    non2xx: 0,
    errs: 0,
    lat_us: { p50: 1000, p90: 0, p99: 2000, p999: 0, max: 0 },
    ttfb_us: { p50: 500, p99: 0, p999: 0 },
    chunks: 0,
    chunk_us: { p50: 0, p99: 0, p999: 0 },
  },
  cpuUs: 1e6 / rps,
  databaseCpuUs: null,
  residentBeforeKib: 10_240,
  residentKib: 10_240,
  foreign: 0,
  tries: 1,
  ...more,
})

/** With these latencies, in microseconds. */
export const late = (one: Round, p50: number, p99: number): Round => ({ ...one, load: { ...one.load, lat_us: { ...one.load.lat_us, p50, p99 } } })

export const resultOf = (rounds: Round[], more: Partial<BenchResult> = {}): BenchResult => ({
  at: '2026-01-01T00:00:00.000Z',
  tookSeconds: 60,
  machine: { cpu: 'a processor', cores: 2, memoryGb: 4, kernel: '6.1', node: '26.0.0' },
  rounds,
  problems: [],
  records: [],
  figures: { start: null, stages: [], loop: [] },
  steady: null,
  ...more,
})
