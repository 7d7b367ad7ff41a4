import assert from 'node:assert/strict'
import { test } from 'node:test'
import { spreadOf, summarize } from '../../scripts/bench/report/summary.ts'
import { late, resultOf, round } from './rounds.ts'

test('a summary is the median and spread of the quiet rounds, and of all where none was quiet', () => {
  const disturbed = { foreign: 0.5 }
  const rounds = [round('nginx', 100), round('nginx', 300), round('nginx', 200), round('ours', 10, disturbed), round('ours', 50), round('other', 7, disturbed)]
  const short = summarize(resultOf(rounds)).map(({ server, rps, quiet, rounds: all }) => [server, rps.median, rps.min, rps.max, quiet, all])
  assert.deepEqual(short, [
    ['nginx', 200, 100, 300, 3, 3],
    ['ours', 50, 50, 50, 1, 2],
    ['other', 7, 7, 7, 0, 1],
  ])
})

test('ratios are to others in the same set and case, and null without them', () => {
  const rounds = [round('nginx', 200), round('portkey', 10), round('ours', 50), round('ours', 40, { case: 'stream' }), round('ours', 30, { set: 'tls' })]
  const times = summarize(resultOf(rounds)).filter(({ server }) => server === 'ours')
  assert.deepEqual(
    times.map((one) => one.times),
    [
      { nginx: 0.25, haproxy: null, portkey: 5 },
      { nginx: null, haproxy: null, portkey: null },
      { nginx: null, haproxy: null, portkey: null },
    ],
  )
})

test('what a server adds is what is over a call to the provider itself', () => {
  const [, ours] = summarize(resultOf([late(round('direct', 1), 100, 300), late(round('ours', 1), 400, 1_300)]))
  assert.deepEqual(ours?.added, { p50: 300, p99: 1_000, firstByte: 0 })
})

test('calls that were refused, cut off or never answered have failed', () => {
  const one = round('ours', 10)
  one.load = { ...one.load, non2xx: 3, errs: 2, lost: 1 }
  assert.equal(summarize(resultOf([one, round('ours', 10)]))[0]?.failed, 6)
})

test('the median of two is between them, and there is none of nothing', () => {
  assert.deepEqual(spreadOf([3, 1]), { median: 2, min: 1, max: 3 })
  assert.throws(() => spreadOf([]))
})
