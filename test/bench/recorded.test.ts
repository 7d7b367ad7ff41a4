import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { drawChart } from '../../scripts/bench/report/chart.ts'
import { FRONT_HEAD, frontRows } from '../../scripts/bench/report/front-table.ts'
import { CHART, pageOf, readRecorded, TABLES } from '../../scripts/bench/report/record.ts'
import { resultOf, round } from './rounds.ts'

test('the page and the chart of the recorded run say what the run found', () => {
  const recorded = readRecorded()
  assert.equal(readFileSync(TABLES, 'utf8'), pageOf(recorded))
  assert.equal(readFileSync(CHART, 'utf8'), drawChart(recorded))
})

test('the front page shows the peers, governance off and on, and a dash for what was not measured', () => {
  const rows = frontRows(resultOf([round('nginx', 60_000), round('earthflow-on', 6_000)]))
  assert.deepEqual(rows, [
    '| nobody in between | – | – | – | – | – | – | – | – |',
    '| nginx, `proxy_pass` | 60,000 | 1.00 | – | 17 | – | – | – | – |',
    '| HAProxy | – | – | – | – | – | – | – | – |',
    '| Portkey’s gateway, no guardrails | – | – | – | – | – | – | – | – |',
    '| Earthflow, governance off | – | – | – | – | – | – | – | – |',
    '| Earthflow, governance on | 6,000 | 0.10 | – | 167 | – | – | – | – |',
  ])
  assert.equal(FRONT_HEAD.split('|').length, rows[0]!.split('|').length)
})
