import assert from 'node:assert/strict'
import { test } from 'node:test'
import { benchCases } from '../../scripts/bench/cases.ts'
import { formatTable, summarize } from '../../scripts/bench/report.ts'
import type { BenchResult, Round } from '../../scripts/bench/run-bench.ts'

const round = (server: string, rps: number, more: Partial<Round> = {}): Round => ({
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
  residentMb: 10,
  foreign: 0,
  ...more,
})
const resultOf = (rounds: Round[], more: Partial<BenchResult> = {}): BenchResult => ({
  at: '2026-01-01T00:00:00.000Z',
  machine: { cpu: 'a processor', cores: 2, node: '26.0.0' },
  rounds,
  problems: [],
  records: [],
  ...more,
})

test('a summary is the median of the quiet rounds, beside nginx in the same case', () => {
  const disturbed = { foreign: 0.5 }
  const rounds = [round('nginx', 100), round('nginx', 300), round('nginx', 200), round('ours', 10, disturbed), round('ours', 50), round('other', 7, disturbed)]
  const summaries = summarize(resultOf([...rounds, round('ours', 40, { case: 'stream' })]))
  const short = summaries.map((one) => [one.case, one.server, one.rps, one.quiet, one.rounds, one.timesNginx?.rps ?? null])
  assert.deepEqual(short, [
    ['plain', 'nginx', 200, 3, 3, 1],
    ['plain', 'ours', 50, 1, 2, 0.25],
    ['plain', 'other', 7, 0, 1, 0.035],
    ['stream', 'ours', 40, 1, 1, null],
  ])
})

test('the table says which calls failed, what did not start and what was recorded', () => {
  const failing = round('ours', 10)
  failing.load = { ...failing.load, non2xx: 3, errs: 2, lost: 1 }
  const table = formatTable(resultOf([failing], { problems: [{ server: 'nginx', problem: 'no nginx' }], records: [{ server: 'ours', calls: 10, rows: 9 }] }))
  assert.match(table, /\| plain \| ours .*\| +6 \|\n/)
  assert.match(table, /nginx did not start: no nginx/)
  assert.match(table, /ours: 10 calls answered, 9 rows recorded\./)
})

test('the bodies are as long as the measurements they are compared with, and streamed where the fake provider sees it', () => {
  for (const { body, chunks } of benchCases) {
    assert.equal(body.length, 1476)
    assert.equal(body.includes('"stream":true'), chunks > 0)
    assert.equal(JSON.parse(body).messages.length, 2)
  }
})
