import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareRuns } from '../../scripts/bench/report/compare.ts'
import { resultOf, round } from './rounds.ts'

const recorded = resultOf([round('nginx', 1_000), round('portkey', 50), round('earthflow-on', 200)])

test('a faster or slower machine is no matter: ratios are compared', () => {
  const now = resultOf([round('nginx', 100, { set: 'check' }), round('portkey', 5, { set: 'check' }), round('earthflow-on', 20, { set: 'check' })])
  assert.deepEqual(compareRuns(recorded, now), { compared: 2, worse: [] })
})

test('a ratio within the tolerance is the same, and each below it is a sentence', () => {
  const slower = (rps: number) => compareRuns(recorded, resultOf([round('nginx', 1_000), round('portkey', 50), round('earthflow-on', rps)]))
  assert.deepEqual(slower(175).worse, [])
  assert.deepEqual(slower(160).worse, [
    'earthflow-on in case plain makes 0.160 of nginx’s calls a second at 6.25 of its CPU a call; it was 0.200 at 5.00.',
    'earthflow-on in case plain makes 3.200 of portkey’s calls a second at 0.31 of its CPU a call; it was 4.000 at 0.25.',
  ])
})

test('fewer calls a second at the same CPU a call are the machine’s, not the program’s', () => {
  const now = resultOf([round('nginx', 1_000), round('earthflow-on', 100, { cpuUs: 5_000 })])
  assert.deepEqual(compareRuns(recorded, now), { compared: 1, worse: [] })
})

test('failures where there were none are worse', () => {
  const failing = round('earthflow-on', 200)
  failing.load = { ...failing.load, errs: 2 }
  assert.deepEqual(compareRuns(recorded, resultOf([round('nginx', 1_000), failing])).worse, ['earthflow-on in case plain failed 2 calls; it failed none.'])
})

test('what only one of the runs has is not compared', () => {
  assert.deepEqual(compareRuns(recorded, resultOf([round('nginx', 1), round('earthflow-off', 1)])), { compared: 0, worse: [] })
})
