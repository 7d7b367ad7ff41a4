/** The documentation is compared with the tables in the code, so that it stays true. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { createAdmin } from '../src/admin/app.ts'
import { dialects } from '../src/dialects/index.ts'
import { reasons } from '../src/errors.ts'
import { buildPipeline } from '../src/pipeline/pipeline.ts'
import { createOperations } from '../src/proxy/operations.ts'
import { detectors } from '../src/rules/detectors.ts'
import { operators } from '../src/rules/operators.ts'
import { presets } from '../src/rules/presets.ts'
import { targetTable } from '../src/rules/targets.ts'
import { settings } from '../src/settings.ts'
import { createMetrics } from '../src/telemetry/metrics.ts'
import { events } from '../src/webhooks/event.ts'

const readme = readFileSync('README.md', 'utf8')
const rows = readme.split('\n').filter((line) => line.startsWith('| '))
/** The first cell's names of every table row that has them, and the rest of the row. */
const documented = (name: string): string | undefined => rows.find((row) => row.split('|')[1]?.includes(`\`${name}\``))

test('every setting stands in the README with its default and its sentence, and in both example files', () => {
  for (const [name, { about, default: fallback }] of Object.entries(settings)) {
    const row = documented(name)
    assert.ok(row, name)
    assert.ok(row.includes(about), `${name}: ${about}`)
    assert.equal(row.split('|')[2]?.trim(), fallback === null ? '' : `\`${fallback}\``, name)
    for (const file of ['.env.example', '.env.prod.example']) assert.match(readFileSync(file, 'utf8'), new RegExp(`^#?${name}=`, 'm'), `${name} in ${file}`)
  }
  const table = rows.slice(rows.findIndex((row) => row.startsWith('| setting |')) + 2)
  for (const name of table.flatMap((row) => /^\| `([A-Z_]+)` \|/.exec(row)?.[1] ?? [])) assert.ok(name in settings, `${name} is no setting`)
})

test('the example files hold no secret and nothing that is no setting', () => {
  for (const file of ['.env.example', '.env.prod.example']) {
    for (const [, name, value] of readFileSync(file, 'utf8').matchAll(/^#?([A-Z_]+)=(.*)$/gm)) {
      if (name === 'NAME_FILE') continue
      const setting = settings[name as keyof typeof settings]
      assert.ok(setting, `${name} in ${file}`)
      if ('secret' in setting && name !== 'DATABASE_URL') assert.equal(value, '', `${name} in ${file}`)
    }
  }
})

/** Azure's paths, and Gemini's other versions and Vertex AI: the same formats once more, of which the README says in a sentence how they are made. */
const isVariant = (vendor: string, path: string): boolean => vendor === 'azure' || (vendor === 'gemini' && !/^\/v1beta\/(?:models\/|[^/]+$)/.test(path))

test('every route stands in the README, and every route there exists', () => {
  const admin = createAdmin({ keys: {}, upstreams: {}, dialects, adminKey: null } as never)
  const operations = createOperations({ adminKey: 'x' } as never)
  const exist = new Set([
    ...admin.routes.map(({ method, path }) => `${method} ${path}`),
    ...operations.routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => `${method} ${path}`),
    ...dialects.flatMap(({ vendor, paths }) => paths.filter((path) => !isVariant(vendor.name, path)).map((path) => `POST ${path}`)),
  ])
  const told = new Set(rows.flatMap((row) => [...row.matchAll(/`((?:GET|POST|PUT|PATCH|DELETE) \/[^`]*)`/g)].map(([, route]) => route)))
  assert.deepEqual([...told].sort(), [...exist].sort())
  for (const { method, path, scope, summary } of admin.routes)
    assert.ok(rows.includes(`| \`${method} ${path}\` | ${scope} | ${summary} |`), `${method} ${path}`)
})

test('every reason stands in the README with its status, its code and whether it may be retried', () => {
  for (const [reason, { status, code, retry }] of Object.entries(reasons))
    assert.ok(rows.includes(`| ${status} | \`${reason}\` | \`${code}\` | ${retry ? 'yes' : 'no'} |`), reason)
})

test('every event stands in the README with when it is told, and every event there exists', () => {
  const at = rows.findIndex((row) => row.startsWith('| event |'))
  const told = rows.slice(at + 1).flatMap((row) => /^\| `([A-Z_]+)` \| ([^|]+) \|$/.exec(row)?.slice(1) ?? [])
  assert.deepEqual(told.slice(0, Object.keys(events).length * 2), Object.entries(events).flat())
})

test('every operator, detector, preset and target stands in the README with its sentence', () => {
  for (const [name, { about }] of Object.entries(operators)) assert.ok(documented(name)?.includes(about), name)
  for (const { name, about, limits, placeholder } of detectors) assert.ok(rows.includes(`| \`${name}\` | ${about} | ${limits} | \`${placeholder}\` |`), name)
  for (const [name, { about }] of Object.entries(presets)) assert.ok(documented(name)?.includes(about), name)
  for (const [name, { about }] of Object.entries(targetTable)) assert.ok(rows.includes(`| \`${name}\` | ${about} |`), name)
})

test('every metric of ours stands in the README, and every metric there exists', async () => {
  const wired = ['services', 'serving', 'listen', 'audit-service', 'webhook-service', 'telemetry/metrics', 'workers/primary'].map((name) =>
    readFileSync(`src/${name}.ts`, 'utf8'),
  )
  const page = `${await createMetrics({ now: Date.now }).text()}${wired.join('')}`
  const exist = new Set(page.match(/\bearthflow_\w+?(?=_bucket|_sum|_count|\b)/g))
  const told = new Set(
    rows.flatMap((row) => row.split('|')[1]?.match(/earthflow_\w+/g) ?? []).filter((name) => !detectors.some((detector) => detector.name === name)),
  )
  assert.deepEqual([...told].sort(), [...exist].sort())
})

test('the README tells the stages in their order', () => {
  const parts = { bounds: {}, fingerprints: {} } as never
  const stages = buildPipeline(parts).steps.map(({ name }) => name)
  assert.ok(readme.includes(stages.join(' → ')), stages.join(' → '))
})
