/** The alerts and the dashboard are compared with the metrics that there are, with one another, and with what their page says. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import { createMetrics } from '../../src/telemetry/metrics.ts'

interface Rule {
  alert: string
  expr: string
  for?: string
  labels: { severity: string }
  annotations: { summary: string; description: string }
}
interface Groups {
  groups: { name: string; rules: Rule[] }[]
}
interface RuleTest {
  name: string
  input_series: { series: string; values: string }[]
  promql_expr_test: { expr: string; eval_time: string; exp_samples: { labels: string; value: number }[] }[]
}
interface Panel {
  id: number
  type: string
  title: string
  description?: string
  datasource?: { uid: string }
  gridPos: { x: number; y: number; w: number; h: number }
  targets?: { refId: string; expr: string; datasource: { uid: string } }[]
}
interface Dashboard {
  uid: string
  schemaVersion: number
  panels: Panel[]
  templating: { list: { name: string; type: string; definition?: string }[] }
  annotations: { list: { expr: string }[] }
}

const textOf = (name: string): string => readFileSync(`k8s/monitoring/${name}`, 'utf8')
const rulesText = textOf('earthflow.rules.yaml')
const { groups } = parse(rulesText) as Groups
const rules = groups.flatMap((group) => group.rules)
const { tests } = parse(textOf('earthflow.rules.test.yaml')) as { tests: RuleTest[] }
const dashboard = JSON.parse(textOf('grafana-dashboard.json')) as Dashboard
/** As Grafana writes the variable. */
const SOURCE = `$${'{datasource}'}`
const targets = dashboard.panels.flatMap(({ targets = [] }) => targets)

/** Every metric of the code with its type, those that are only wired up where a process is put together included. */
async function metricsOf(): Promise<Map<string, string>> {
  const page = await createMetrics({ now: Date.now }).text()
  const found = new Map(Array.from(page.matchAll(/^# TYPE (\S+) (\S+)$/gm), ([, name, type]) => [name!, type!]))
  found.set('up', 'gauge') // Prometheus' own
  for (const path of globSync('src/**/*.ts')) {
    const text = readFileSync(path, 'utf8')
    for (const [, kind, name] of text.matchAll(/\.(gauge|counted)\(\s*'(earthflow_\w+)'/g)) found.set(name!, kind === 'gauge' ? 'gauge' : 'counter')
    for (const [, kind, name] of text.matchAll(/new (Gauge|Counter)(?:<\w+>)?\(\{\s*name: '(earthflow_\w+)'/g)) found.set(name!, kind!.toLowerCase())
  }
  return found
}

/** The metrics that an expression asks for, as they are named in it. */
const namesIn = (expr: string): string[] => expr.replaceAll(/"[^"]*"/g, '""').match(/\b(?:earthflow|process|nodejs)_\w+|\bup\b/g) ?? []
const baseOf = (name: string, metrics: ReadonlyMap<string, string>): string => (metrics.has(name) ? name : name.replace(/_(?:bucket|sum|count)$/, ''))

test('every metric that an alert or the dashboard asks for is one that Earthflow has', async () => {
  const metrics = await metricsOf()
  const asked = [...rules.map(({ expr }) => expr), ...targets.map(({ expr }) => expr), ...dashboard.templating.list.map(({ definition = '' }) => definition)]
  assert.ok(asked.flatMap(namesIn).length > 100)
  assert.deepEqual(
    [...new Set(asked.flatMap(namesIn))].filter((name) => !metrics.has(baseOf(name, metrics))),
    [],
  )
  for (const expr of asked) {
    // Of what goes up and down no rate can be told, and of a histogram there is nothing but its parts.
    for (const [, name] of expr.matchAll(/(?:rate|increase)\((\w+)/g)) assert.notEqual(metrics.get(baseOf(name!, metrics)), 'gauge', expr)
    for (const name of namesIn(expr)) assert.ok(metrics.get(name) !== 'histogram', `${name} is a histogram: ${expr}`)
  }
})

test('every metric of Earthflow is on the dashboard', async () => {
  const metrics = await metricsOf()
  const shown = new Set(targets.flatMap(({ expr }) => namesIn(expr)).map((name) => baseOf(name, metrics)))
  assert.deepEqual(
    [...metrics.keys()].filter((name) => name.startsWith('earthflow_') && !shown.has(name)),
    [],
  )
})

test('the PrometheusRule holds the very groups', () => {
  const object = parse(textOf('prometheus-rule.yaml')) as { apiVersion: string; kind: string; metadata: { name: string; labels: object }; spec: Groups }
  assert.deepEqual([object.apiVersion, object.kind, object.metadata.name], ['monitoring.coreos.com/v1', 'PrometheusRule', 'earthflow'])
  assert.deepEqual(object.spec, { groups }, 'prometheus-rule.yaml is earthflow.rules.yaml below spec, two blanks further in')
})

test('every alert has a severity, says what is so and what to do, and its templates are whole', () => {
  assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length)
  for (const { alert, labels, annotations, ...rest } of rules) {
    assert.match(alert, /^Earthflow[A-Z]\w+$/)
    assert.ok(['info', 'warning', 'critical'].includes(labels.severity), alert)
    assert.deepEqual(Object.keys(annotations), ['summary', 'description'])
    assert.deepEqual(
      Object.keys(rest).filter((key) => key !== 'expr' && key !== 'for'),
      [],
    )
    const { summary, description } = annotations
    assert.ok(!summary.includes('{{') && !summary.endsWith('.'), alert)
    assert.ok(description.split(/[.:;] /).length >= 2 && description.endsWith('.') && description.length > 80, `${alert} says what to do`)
    for (const [template] of description.matchAll(/\{\{.*?\}\}/g))
      assert.match(
        template,
        /^\{\{ (?:\$labels\.(?:instance|tenant|upstream)|\$value \| humanize(?:Percentage|Duration)|printf "%\.[0-2]f" \$value) \}\}$/,
        alert,
      )
    // What a sum leaves out cannot be named.
    const [, by] = /^\w+ by \(([^)]*)\)/.exec(rest.expr) ?? []
    for (const [, label] of description.matchAll(/\$labels\.(\w+)/g)) if (by !== undefined) assert.ok(by.split(', ').includes(label!), `${alert}: ${label}`)
  }
})

test('the figures that were asked for are those of the alerts', () => {
  const when = (alert: string) => rules.filter((rule) => rule.alert === alert).map(({ expr, for: time, labels }) => [expr, time, labels.severity])[0]
  assert.deepEqual(when('EarthflowBlockRateHigh'), ['earthflow_block_rate > 0.10', '5m', 'warning'])
  assert.deepEqual(when('EarthflowBlockRateCritical'), ['earthflow_block_rate > 0.30', '1m', 'critical'])
  assert.deepEqual(when('EarthflowErrorRateHigh'), ['earthflow_error_rate > 0.01', '5m', 'warning'])
  assert.equal(when('EarthflowLatencyHigh')?.[0], 'earthflow_latency_p99_ms > 500')
})

test('every alert has series on which it fires, series on which it does not, and a row on its page', () => {
  assert.deepEqual(tests.map(({ name }) => name).sort(), rules.flatMap(({ alert }) => [`${alert} fires`, `${alert} is quiet`]).sort())
  const page = textOf('README.md').split('\n')
  for (const { alert, labels, annotations, expr } of rules) {
    const [fires, quiet] = ['fires', 'is quiet'].map((what) => tests.find(({ name }) => name === `${alert} ${what}`)!)
    assert.equal(fires!.promql_expr_test[0]!.exp_samples[0]?.labels, `{alertname="${alert}",severity="${labels.severity}"}`)
    assert.deepEqual(quiet!.promql_expr_test[0]!.exp_samples, [])
    for (const { promql_expr_test } of [fires!, quiet!]) assert.ok(promql_expr_test[0]!.expr.includes(`alertname="${alert}"`))
    // A test that fires on nothing, or is quiet because it feeds nothing, shows nothing.
    assert.notDeepEqual(fires!.input_series, quiet!.input_series)
    const fed = new Set(quiet!.input_series.flatMap(({ series }) => namesIn(series)))
    assert.ok(
      namesIn(expr).every((name) => fed.has(name)),
      `${alert} is quiet on the metrics that it asks for`,
    )
    const row = page.find((line) => line.startsWith(`| \`${alert}\` |`))
    assert.ok(row?.includes(`| ${labels.severity} | ${annotations.summary}: \`${expr}\``), `${alert} in k8s/monitoring/README.md`)
  }
  assert.equal(page.filter((line) => line.startsWith('| `Earthflow')).length, rules.length)
})

test('the dashboard works with any Prometheus, and its panels do not lie on one another', () => {
  const { panels, templating, schemaVersion, annotations } = dashboard
  assert.ok(schemaVersion >= 38, 'Grafana 10')
  assert.deepEqual(
    templating.list.map(({ name }) => name),
    ['datasource', 'job', 'instance', 'tenant'],
  )
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  for (const { type, title, datasource, targets = [] } of panels) {
    if (type === 'row') continue
    assert.ok(['timeseries', 'stat'].includes(type), type)
    assert.ok(targets.length > 0 && datasource?.uid === SOURCE, title)
    assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length)
    for (const target of targets) {
      assert.equal(target.datasource.uid, SOURCE)
      for (const [selector] of target.expr.matchAll(/\{[^}]*\}/g)) assert.match(selector, /job=~"\$job",instance=~"\$instance"/, title)
    }
  }
  const taken = new Set<string>()
  for (const { gridPos, title } of panels) {
    assert.ok(gridPos.x + gridPos.w <= 24, title)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        assert.ok(!taken.has(`${x} ${y}`), title)
        taken.add(`${x} ${y}`)
      }
  }
  assert.match(annotations.list[0]!.expr, /ALERTS/)
})
