import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parse } from 'yaml'
import type { ProofContext } from '../../scripts/dev/proof.ts'
import { chat, type Tenant, until } from '../harness/client.ts'
import { startCollector } from '../harness/collector.ts'
import { type Installation, prepareInstallation, startProcess } from '../harness/process.ts'
import { answerJson, startProvider } from '../harness/provider.ts'
import { type UnpackedPrograms, unpackPackage } from '../services/debian.ts'
import { freePort } from '../services/server-process.ts'

export const about =
  'Debian’s promtool takes the alerts, each fires on its series and on no other, and it takes the page of metrics of a running Earthflow; its Prometheus scrapes that, evaluates every alert, and answers every query of the dashboard'
export const rests = true

const FOLDER = 'k8s/monitoring'
/** What there is only where Earthflow speaks TLS itself, or has several workers, and what is Prometheus' own. */
const ELSEWHERE = new Set(['up', 'earthflow_certificate_expires_seconds', 'earthflow_workers', 'earthflow_workers_replaced_total'])

/** Its remarks about style: names that end in _ms are part of what Earthflow promises, and Node's own metrics come with their library. */
const KNOWN = /^(?:earthflow_\w+_ms metric names should not contain abbreviated units|nodejs_\w+ non-counter metrics should not have "_total" suffix)$/

export default async function prove({ services, say }: ProofContext): Promise<void> {
  const prometheus = await unpackPackage('prometheus')
  const { root, env } = prometheus
  const promtool = async (args: readonly string[], input = ''): Promise<{ code: number | null; said: string }> => {
    const child = spawn(join(root, 'usr/bin/promtool'), args, { env, cwd: FOLDER, stdio: ['pipe', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += String(chunk)))
    child.stdin.end(input)
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, said }
  }
  say((await promtool(['--version'])).said.split('\n')[0]!)

  const checked = await promtool(['check', 'rules', 'earthflow.rules.yaml'])
  assert.equal(checked.code, 0, checked.said)
  say(`check rules: ${checked.said.match(/SUCCESS.*/)?.[0]}`)
  const tested = await promtool(['test', 'rules', 'earthflow.rules.test.yaml'])
  assert.equal(tested.code, 0, tested.said)
  const { tests } = parse(readFileSync(join(FOLDER, 'earthflow.rules.test.yaml'), 'utf8')) as { tests: unknown[] }
  say(`test rules: ${tests.length} tests of ${tests.length / 2} alerts passed`)

  const page = await pageOfRunning(services.databaseUrl, async (installation) => {
    const { evaluated, answered, empty } = await scrape(prometheus, installation)
    say(
      `a Prometheus scraped it: ${evaluated} alerts were evaluated without an error, ${answered} queries of the dashboard answered, ${empty.length} of them with nothing`,
    )
    // What is not here: several workers, TLS of its own, Redis that is away, and the like. What every installation has must be there.
    assert.deepEqual(
      empty.filter((expr) => ALWAYS.some((name) => expr.includes(name))),
      [],
    )
  })
  const linted = await promtool(['check', 'metrics'], page)
  const problems = linted.said.split('\n').filter((line) => line !== '')
  const known = problems.filter((line) => KNOWN.test(line))
  say(
    `check metrics: ${page.split('\n').length} lines, ${known.length} remarks about names that are as they are (milliseconds as ms, and Node’s own), no other`,
  )
  assert.deepEqual(
    problems.filter((line) => !KNOWN.test(line)),
    [],
  )

  const asked = selectorsIn(expressions())
  const samples = samplesIn(page)
  const missing = asked.filter(({ name }) => !samples.has(name) && !ELSEWHERE.has(name))
  assert.deepEqual(missing, [])
  for (const { name, labels } of asked)
    for (const label of labels)
      if (!ELSEWHERE.has(name) && samples.get(name)!.size > 0) assert.ok(samples.get(name)!.has(label), `${name} has no label ${label}`)
  const seen = asked.filter(({ name }) => (samples.get(name)?.size ?? 0) > 0)
  say(`${new Set(asked.map(({ name }) => name)).size} metrics are asked for: all are there, and ${seen.length} uses of labels name labels that there are`)
}

/** The metrics of an Earthflow that has had calls that went well, were blocked, over a limit, without a key, and failed at their provider. */
async function pageOfRunning(databaseUrl: string, meanwhile: (installation: Installation) => Promise<void>): Promise<string> {
  process.env.TEST_DATABASE_URL = databaseUrl
  const { createServerDatabase } = await import('../db/engines.ts')
  const database = await createServerDatabase()
  const collector = await startCollector()
  const provider = await startProvider()
  const installation = await prepareInstallation(database.url, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.origin })
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const earthflow = await startProcess(installation, () => tenant)
  const call = (text: string, headers: Record<string, string> = {}) => earthflow.post('/v1/chat/completions', chat(text), headers)
  const page = async (): Promise<string> => (await earthflow.admin('GET', '/v1/dashboard/metrics')).text
  try {
    tenant = await earthflow.newTenant({ rules_preset: 'medical' })
    await earthflow.addUpstream({ name: 'provider', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    assert.equal((await call('Hello')).status, 200)
    assert.equal((await call('AKIAIOSFODNN7EXAMPLE')).status, 403)
    assert.equal((await call('x', { authorization: 'Bearer sk-nobody' })).status, 401)
    const limited = await earthflow.newTenant({ max_requests_per_minute: 1 })
    await until(async () => (await call('x', { authorization: `Bearer ${limited.api_key}` })).status === 429, 'a limit to refuse')
    provider.script = ({ response }) => void response.destroy()
    assert.equal((await call('x')).status, 502)
    provider.script = answerJson
    await until(async () => /^earthflow_trace_spans_total\{result="sent"\} [1-9]/m.test(await page()), 'spans to be sent')
    await meanwhile(installation)
    return await page()
  } finally {
    await earthflow.kill('SIGTERM')
    await earthflow.exited
    provider.close()
    collector.close()
    installation.remove()
    await database.drop()
  }
}

/** What a Prometheus says of the alerts and the dashboard once it has scraped an Earthflow a few times. */
async function scrape({ root, env }: UnpackedPrograms, { port, adminKey }: Installation): Promise<{ evaluated: number; answered: number; empty: string[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'earthflow-prometheus-'))
  const own = `127.0.0.1:${await freePort()}`
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [resolve(FOLDER, 'earthflow.rules.yaml')],
    scrape_configs: [
      {
        job_name: 'earthflow',
        metrics_path: '/v1/dashboard/metrics',
        authorization: { credentials: adminKey },
        static_configs: [{ targets: [`127.0.0.1:${port}`] }],
      },
    ],
  }
  writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config), { mode: 0o600 }) // JSON is YAML
  const args = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=${own}`, '--log.level=error']
  const child = spawn(join(root, 'usr/bin/prometheus'), args, { env, cwd: folder, stdio: 'ignore' })
  const exited = once(child, 'exit')
  const ask = async <Data>(path: string): Promise<Data> => {
    const answer = (await (await fetch(`http://${own}/api/v1/${path}`)).json()) as { status: string; error?: string; data: Data }
    assert.equal(answer.status, 'success', `${path}: ${answer.error}`)
    return answer.data
  }
  const query = (expr: string) => ask<{ result: unknown[] }>(`query?query=${encodeURIComponent(expr)}`)
  try {
    const isScraped = (): Promise<boolean> =>
      query('count_over_time(earthflow_build_info[1m]) > 3').then(
        ({ result }) => result.length > 0,
        () => false,
      )
    await until(isScraped, 'Prometheus to have scraped Earthflow')
    const rulesOf = async () =>
      (await ask<{ groups: { rules: { name: string; health: string; lastError?: string }[] }[] }>('rules')).groups.flatMap(({ rules }) => rules)
    await until(async () => (await rulesOf()).every(({ health }) => health !== 'unknown'), 'every alert to be evaluated')
    const rules = await rulesOf()
    assert.deepEqual(
      rules.filter(({ health }) => health !== 'ok').map(({ name, lastError }) => [name, lastError]),
      [],
    )
    const empty: string[] = []
    const exprs = panelExpressions()
    for (const expr of exprs) {
      const plain = expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$(?:job|instance|tenant)\b/g, '.*')
      if ((await query(plain)).result.length === 0) empty.push(expr)
    }
    return { evaluated: rules.length, answered: exprs.length, empty }
  } finally {
    child.kill('SIGTERM')
    await exited
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What no installation is without. */
const ALWAYS = [
  'earthflow_requests_total',
  'earthflow_block_rate',
  'earthflow_latency_p99_ms',
  'earthflow_audit_',
  'earthflow_memory_share',
  'earthflow_upstream_attempts_total',
  'earthflow_build_info',
]

function panelExpressions(): string[] {
  const { panels } = JSON.parse(readFileSync(join(FOLDER, 'grafana-dashboard.json'), 'utf8')) as { panels: { targets?: { expr: string }[] }[] }
  return panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
}

function expressions(): string[] {
  const { groups } = parse(readFileSync(join(FOLDER, 'earthflow.rules.yaml'), 'utf8')) as { groups: { rules: { expr: string }[] }[] }
  return [...groups.flatMap(({ rules }) => rules.map(({ expr }) => expr)), ...panelExpressions()]
}

/** Labels that Prometheus adds itself. */
const ADDED = new Set(['job', 'instance'])

/** Each metric that is asked for with the labels it is asked by. */
function selectorsIn(exprs: readonly string[]): { name: string; labels: string[] }[] {
  return exprs.flatMap((expr) =>
    Array.from(expr.matchAll(/\b((?:earthflow|process|nodejs)_\w+|up)\b(?:\{([^}]*)\})?/g), ([, name, selector = '']) => ({
      name: name!,
      labels: Array.from(selector.matchAll(/(\w+)(?:=~|!~|!=|=)"/g), ([, label]) => label!).filter((label) => !ADDED.has(label)),
    })),
  )
}

/** The label names of each metric on the page; none where it has no sample yet, or has no labels. */
function samplesIn(page: string): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  for (const [, name, type] of page.matchAll(/^# TYPE (\S+) (\S+)$/gm))
    for (const part of type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']) found.set(`${name}${part}`, new Set())
  for (const [, name, labels = ''] of page.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm))
    for (const [, label] of labels.matchAll(/(\w+)="/g)) found.get(name!)?.add(label!)
  return found
}
