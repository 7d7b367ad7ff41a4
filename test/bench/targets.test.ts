import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatTargets } from '../../scripts/bench/report/table.ts'
import { judgeTargets } from '../../scripts/bench/report/targets.ts'
import type { BenchResult, Minute } from '../../scripts/bench/result.ts'
import { late, resultOf, round } from './rounds.ts'

const judged = (result: BenchResult, name: RegExp) => {
  const found = judgeTargets(result).filter((one) => name.test(one.name))
  assert.equal(found.length, 1)
  return [found[0]?.measured, found[0]?.holds]
}

test('a figure holds where it is as good as meant, does not where it is worse, and neither where it was not measured', () => {
  const result = resultOf([round('nginx', 1_000), round('earthflow-on', 220), round('earthflow-off', 329)])
  assert.deepEqual(judged(result, /^plain, governance on, beside nginx/), ['0.22 ×', true])
  assert.deepEqual(judged(result, /^plain, governance off, beside nginx/), ['0.33 ×', false])
  assert.deepEqual(judged(result, /^plain, governance on, beside portkey/), ['not measured', null])
})

test('latency is judged as what is added to a direct call, in milliseconds', () => {
  const rate = { case: 'rate-500' }
  const result = resultOf([late(round('direct', 500, rate), 100, 200), late(round('earthflow-on', 500, rate), 700, 3_300)])
  assert.deepEqual(judged(result, /500 calls a second.*p50/), ['0.60 ms', true])
  assert.deepEqual(judged(result, /500 calls a second.*p99/), ['3.10 ms', false])
})

test('memory of a stream is a thousandth of what the process grew by', () => {
  const result = resultOf([round('earthflow-on', 200, { set: 'paced', case: 'paced', residentBeforeKib: 100_000, residentKib: 180_000 })])
  assert.deepEqual(judged(result, /memory of each/), ['80.0 KiB', true])
})

test('two workers are judged beside one, TLS beside none', () => {
  const result = resultOf([
    round('earthflow-on-1', 100, { set: 'workers' }),
    round('earthflow-on-2', 140, { set: 'workers' }),
    round('earthflow-off', 100, { set: 'tls' }),
    round('earthflow-off-tls', 80, { set: 'tls' }),
  ])
  assert.deepEqual(judged(result, /two workers beside one, on/), ['1.40 ×', true])
  assert.deepEqual(judged(result, /TLS beside plain, off/), ['0.80 ×', false])
})

test('minutes are flat where the last third is not much above the first', () => {
  const minute = (p99: number, residentMb: number): Minute => ({ p50: 1, p99, residentMb, rps: 1, failed: 0 })
  const steady = { peakRps: 10, rate: 7, minutes: [minute(2, 200), minute(2, 200), minute(9, 250), minute(9, 250), minute(2, 260), minute(2, 260)] }
  assert.deepEqual(judged(resultOf([], { steady }), /70 % of the peak: p99/), ['1.00 ×', true])
  assert.deepEqual(judged(resultOf([], { steady }), /70 % of the peak: memory/), ['1.30 ×', false])
})

test('what was not measured is counted below the table, and without anything measured there is none', () => {
  const text = formatTargets(resultOf([round('nginx', 100), round('earthflow-on', 10)]))
  assert.match(text, /plain, governance on, beside nginx +\| ≥ 0\.22 × \| +0\.10 × \| does not hold/)
  assert.match(text, /\d+ figures were not measured/)
  assert.equal(formatTargets(resultOf([])), '')
})
