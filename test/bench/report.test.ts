import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drawChart } from '../../scripts/bench/report/chart.ts'
import { formatFigures, formatTables } from '../../scripts/bench/report/table.ts'
import { resultOf, round } from './rounds.ts'

test('the table says which calls failed, who is missing and what was recorded', () => {
  const failing = round('earthflow-on', 10)
  failing.load = { ...failing.load, non2xx: 3, errs: 2, lost: 1 }
  const missing = [{ server: 'nginx', problem: 'no nginx' }]
  const text = formatTables(resultOf([failing], { problems: missing, records: [{ server: 'earthflow-on', calls: 10, rows: 9 }] }))
  assert.match(text, /\| plain \| earthflow-on .*\| +6 \|\n/)
  assert.match(text, /nginx is missing: no nginx/)
  assert.match(text, /earthflow-on: 10 calls answered, 9 rows recorded\./)
})

test('each set has a table of its own, whose rows are as wide as each other', () => {
  const text = formatTables(resultOf([round('nginx', 10), round('earthflow-on-tls', 123_456, { set: 'tls' })]))
  assert.deepEqual(text.match(/^### .*/gm), ['### beside', '### tls'])
  const [, table] = text.split('### tls')
  assert.equal(new Set([...(table ?? '').matchAll(/^\|.*$/gm)].map(([line]) => line.length)).size, 1)
})

test('figures of one Earthflow are told as far as they were measured', () => {
  assert.equal(formatFigures(resultOf([])), '')
  const figures = {
    start: { readyMs: [900, 1_000, 1_100], idleMb: 150 },
    loop: [{ case: 'plain', p50: 1, p99: 4, max: 20 }],
    stages: [{ case: 'plain', callsPerSecond: 5_000, cpuUs: 200, stages: [{ name: 'judge', us: 50 }] }],
  }
  const text = formatFigures(resultOf([], { figures }))
  assert.match(text, /Ready after 1,000 ms \(900–1,100, 3 starts\).* 150 MB at rest/)
  assert.match(text, /\| judge +\| +50\.0 \| +25\.0 \|/)
  assert.match(text, /\| other threads +\| +150\.0 \| +75\.0 \|/)
})

test('the chart has a bar for each server, says in words what it shows, and suits dark pages', () => {
  const svg = drawChart(resultOf([round('nginx', 40_000), round('earthflow-on', 10_000), round('direct', 80_000)])) ?? ''
  assert.equal(svg.match(/<rect /g)?.length, 2)
  assert.match(svg, /<title id="title">[^<]+<\/title>/)
  assert.match(svg, /<desc id="desc">1\.5 KB calls a second, one core: nginx 40,000, Earthflow, governance on 10,000\.<\/desc>/)
  assert.match(svg, /prefers-color-scheme: dark/)
  assert.match(svg, /class="ours" x="200" y="\d+" width="120"/)
  assert.equal(drawChart(resultOf([])), null)
})
