/** The documentation is compared with the tables in the code, so that it stays true. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path/posix'
import { test } from 'node:test'
import { operationRoutes, readDocs, tables, withTables } from '../scripts/dev/doc-tables.ts'
import { dialects } from '../src/dialects/index.ts'
import { buildPipeline } from '../src/pipeline/pipeline.ts'
import { detectors } from '../src/rules/detectors.ts'
import { settings } from '../src/settings.ts'
import { createMetrics } from '../src/telemetry/metrics.ts'

const docs = readDocs()
const rows = docs.flatMap(({ text }) => text.split('\n')).filter((line) => line.startsWith('| '))

test('every setting, route, reason, event, operator, target, detector and preset stands in the documentation as the code has it, and no other', () => {
  for (const { path, text } of docs) assert.equal(text, withTables(text), `${path}: npm run docs writes its tables anew`)
  for (const [header, made] of Object.entries(tables)) {
    assert.ok(made.length > 5, header)
    assert.equal(docs.filter(({ text }) => text.split('\n').includes(header)).length, 1, `one page has the table ${header}`)
  }
})

test('a table is made anew wherever it stands, whatever it said before, and nothing else is touched', () => {
  const [header, made] = Object.entries(tables)[0]!
  const page = (said: readonly string[]) => ['# A page', '', header, '|---|---|---|', ...said, '', '| another | table |', '|---|---|', '| x | y |'].join('\n')
  assert.equal(withTables(page(['| `OLD` | | gone |', made[0]!])), page(made))
  assert.equal(withTables(page([])), page(made))
})

test('every setting stands in both example files', () => {
  for (const name of Object.keys(settings))
    for (const file of ['.env.example', '.env.prod.example']) assert.match(readFileSync(file, 'utf8'), new RegExp(`^#?${name}=`, 'm'), `${name} in ${file}`)
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

/** Azure's paths, and Gemini's other versions and Vertex AI: the same formats once more, of which the documentation says in a sentence how they are made. */
const isVariant = (vendor: string, path: string): boolean => vendor === 'azure' || (vendor === 'gemini' && !/^\/v1beta\/(?:models\/|[^/]+$)/.test(path))

test('every path of a dialect and of operations stands in a table, and every route in a table exists', () => {
  const [routeTable = []] = Object.entries(tables).flatMap(([header, made]) => (header.startsWith('| route |') ? [made] : []))
  const routeOf = /`((?:GET|POST|PUT|PATCH|DELETE) \/[^`]*)`/g
  const managed = routeTable.flatMap((row) => /`([^`]+)`/.exec(row)?.[1] ?? [])
  for (const route of operationRoutes) assert.ok(managed.includes(route), route)
  const exist = new Set([
    ...managed,
    ...dialects.flatMap(({ vendor, paths }) => paths.filter((path) => !isVariant(vendor.name, path)).map((path) => `POST ${path}`)),
  ])
  const told = new Set(rows.flatMap((row) => [...row.matchAll(routeOf)].map(([, route]) => route)))
  assert.deepEqual([...told].filter((route) => !exist.has(route!)).sort(), [])
  assert.deepEqual([...exist].filter((route) => !told.has(route)).sort(), [])
})

test('every metric of ours stands in the documentation, and every metric there exists', async () => {
  const wired = ['services', 'serving', 'listen', 'audit-service', 'webhook-service', 'trace-service', 'telemetry/metrics', 'workers/primary'].map((name) =>
    readFileSync(`src/${name}.ts`, 'utf8'),
  )
  const page = `${await createMetrics({ now: Date.now }).text()}${wired.join('')}`
  const exist = new Set(page.match(/\bearthflow_\w+?(?=_bucket|_sum|_count|\b)/g))
  const told = new Set(
    rows.flatMap((row) => row.split('|')[1]?.match(/earthflow_\w+/g) ?? []).filter((name) => !detectors.some((detector) => detector.name === name)),
  )
  assert.deepEqual([...told].sort(), [...exist].sort())
})

test('the documentation tells the stages in their order', () => {
  const parts = { bounds: {}, fingerprints: {} } as never
  const stages = buildPipeline(parts).steps.map(({ name }) => name)
  assert.ok(
    docs.some(({ text }) => text.includes(stages.join(' → '))),
    stages.join(' → '),
  )
})

test('every link from one page to another file leads somewhere', () => {
  const links = docs.flatMap(({ path, text }) =>
    [...text.matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)/g)].map(([, to]) => ({ path, to: normalize(join(dirname(path), to!)) })),
  )
  assert.ok(links.length > 10, 'links were found')
  assert.deepEqual(
    links.filter(({ to }) => !existsSync(to)),
    [],
  )
})
