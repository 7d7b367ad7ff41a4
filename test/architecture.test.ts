/** Which part of src may import which. Domain folders never import each other; only services.ts wires things together. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path/posix'
import { test } from 'node:test'

const everything = ['*']

/** A folder of src, or a file directly in it, and what it may import besides itself and the shared nouns. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  main: ['verbs', 'cli'],
  verbs: ['start', 'exit', 'version', 'config', 'client-config', 'db', 'cli', 'migrate-logs', 'verify', 'rotation', 'doctor', 'backup', 'certs', 'deploy'],
  version: [],
  start: ['services', 'collect-garbage', 'config', 'drain', 'exit', 'first-run', 'process-log', 'telemetry', 'why-not', 'workers'],
  exit: ['config'],
  'process-log': ['config', 'exit', 'telemetry'],
  'why-not': ['db'],
  workers: ['drain', 'tending', 'telemetry'],
  services: everything,
  'identity-service': ['access', 'config', 'crypto', 'db', 'egress'],
  'upstream-service': ['audit', 'config', 'crypto', 'db', 'dialects', 'egress', 'prices', 'sandbox', 'telemetry', 'upstreams', 'ways-out'],
  'trace-service': ['config', 'egress', 'telemetry'],
  'webhook-service': ['audit', 'config', 'crypto', 'db', 'egress', 'telemetry', 'webhooks'],
  serving: ['access', 'config', 'db', 'dialects', 'drain', 'escalations', 'listen', 'pipeline', 'proxy', 'telemetry'],
  'dashboard-port': ['access', 'config', 'dashboard', 'drain', 'listen', 'proxy', 'serving'],
  drain: [],
  tending: ['audit', 'chores', 'telemetry'],
  chores: ['db'],
  'collect-garbage': [],
  listen: ['access', 'config', 'proxy', 'telemetry'],
  rotation: ['config', 'audit', 'crypto', 'db'],
  'audit-service': ['audit', 'config', 'crypto', 'db', 'egress', 'telemetry'],
  'first-run': ['services', 'config', 'crypto'],
  config: ['settings', 'setting-values', 'settings-shown', 'crypto', 'egress'],
  settings: ['setting-values', 'crypto', 'egress'],
  'settings-shown': [],
  'ways-out': ['config', 'egress', 'upstreams'],
  doctor: ['config', 'settings', 'settings-shown', 'crypto', 'db', 'egress', 'upstreams'],
  'setting-values': ['access', 'egress'],
  'client-config': ['config', 'settings'],
  cli: [],
  'migrate-logs': ['config', 'cli', 'audit', 'crypto', 'db', 'telemetry'],
  verify: ['config', 'audit', 'crypto', 'db', 'telemetry'],
  backup: ['config', 'version', 'cli', 'audit', 'crypto', 'db', 'verify'],
  certs: ['config', 'cli', 'proxy'],
  deploy: ['config', 'version', 'cli', 'db'],

  proxy: ['pipeline', 'dialects', 'telemetry'],
  // Words and what they mean: which files of these is said by a test of the dashboard's.
  dashboard: ['access', 'dialects', 'rules'],
  admin: ['access', 'webhooks', 'escalations', 'rules', 'dialects', 'upstreams', 'prices', 'limits', 'budgets', 'audit', 'telemetry', 'db'],

  pipeline: ['access', 'escalations', 'limits', 'budgets', 'dialects', 'rules', 'upstreams', 'prices', 'audit', 'telemetry'],

  access: ['crypto', 'db', 'egress'],
  upstreams: ['dialects', 'prices', 'crypto', 'db', 'egress'],
  rules: ['dialects', 'db'],
  limits: ['db'],
  budgets: ['db'],
  audit: ['db'],
  prices: [],
  sandbox: [],
  webhooks: ['crypto', 'db', 'egress'],
  escalations: ['crypto', 'db'],

  crypto: ['db'],
  db: [],
  dialects: [],
  egress: [],
  telemetry: [],
}

/** What every part may import, types and values: the words they have in common. */
const nouns = [
  'our-keys.ts',
  'call.ts',
  'errors.ts',
  'ids.ts',
  'sink.ts',
  'slots.ts',
  'model-pattern.ts',
  'rules/rule.ts',
  'audit/entry.ts',
  'webhooks/event.ts',
]

/** Every way one file names another: `from '…'`, `import '…'`, `import('…')`, `require('…')`, `new URL('…', import.meta.url)`. Types count like values. */
const imports = /\b(?:from|import|require|new URL)\s*\(?\s*(['"`])(\.{1,2}\/[^'"`]+)\1/g

/** The imports of the files (paths relative to src → their text) that no arrow allows, each as `rules/bad.ts → db/schema.ts`. */
function forbiddenImports(files: ReadonlyMap<string, string>, allowed: typeof arrows): string[] {
  const found: string[] = []
  for (const [path, text] of files) {
    for (const [, , specifier] of text.matchAll(imports)) {
      const target = normalize(join(dirname(path), specifier!))
      if (!isAllowed(path, target, allowed)) found.push(`${path} → ${target}`)
    }
  }
  return found
}

function isAllowed(path: string, target: string, allowed: typeof arrows): boolean {
  const from = partOf(path)
  const to = partOf(target)
  const isCode = /\.[cm]?[jt]s$/.test(target) // A folder of migrations is not an import.
  if (!isCode || from === to || nouns.includes(target)) return true
  const row = allowed[from] ?? []
  return row === everything || row.includes(to)
}

/** `rules` for rules/card.ts, `main` for main.ts, `..` for what lies outside src. */
function partOf(path: string): string {
  return path.split('/')[0]!.replace(/\.ts$/, '')
}

const src = new Map(globSync('**/*.ts', { cwd: 'src' }).map((path) => [path.replaceAll('\\', '/'), readFileSync(join('src', path), 'utf8')]))

test('every import in src follows an arrow of the table', () => {
  assert.ok(src.size > 50, 'src was read')
  assert.deepEqual(forbiddenImports(src, arrows), [])
})

test('every part of src has a row in the table, and every row a part', () => {
  const shared = nouns.filter((path) => !path.includes('/')).map(partOf)
  const parts = [...new Set([...src.keys()].map(partOf))].filter((part) => !shared.includes(part))
  assert.deepEqual(parts.sort(), Object.keys(arrows).sort())
})

test('a planted import against the arrows is caught however it is written, and an allowed one is not', () => {
  const table = { rules: ['db'], db: [], services: everything, limits: [] }
  const caught = (path: string, text: string) => forbiddenImports(new Map([[path, text]]), table)
  assert.deepEqual(caught('db/bad.ts', `import { a } from '../rules/policy.ts'`), ['db/bad.ts → rules/policy.ts'])
  assert.deepEqual(caught('db/bad.ts', `import type { A } from '../rules/policy.ts'`), ['db/bad.ts → rules/policy.ts'])
  assert.deepEqual(caught('db/bad.ts', `import {\n  a,\n  b,\n} from "../rules/policy.ts"`), ['db/bad.ts → rules/policy.ts'])
  assert.deepEqual(caught('db/bad.ts', `export * from '../rules/policy.ts'`), ['db/bad.ts → rules/policy.ts'])
  assert.deepEqual(caught('db/bad.ts', `import '../rules/policy.ts'`), ['db/bad.ts → rules/policy.ts'])
  assert.deepEqual(caught('db/bad.ts', 'await import(`../rules/policy.ts`)'), ['db/bad.ts → rules/policy.ts'])
  assert.deepEqual(caught('db/bad.ts', `type A = import('../rules/policy.ts').A`), ['db/bad.ts → rules/policy.ts'])
  assert.deepEqual(caught('db/bad.ts', `new Worker(new URL('../rules/worker.ts', import.meta.url))`), ['db/bad.ts → rules/worker.ts'])
  assert.deepEqual(caught('db/deep/bad.ts', `import '../../services.ts'`), ['db/deep/bad.ts → services.ts'])
  assert.deepEqual(caught('rules/bad.ts', `import '../limits/limits.ts'`), ['rules/bad.ts → limits/limits.ts'])
  assert.deepEqual(caught('rules/bad.ts', `import '../../scripts/launch.ts'`), ['rules/bad.ts → ../scripts/launch.ts'])
  assert.deepEqual(caught('unknown/bad.ts', `import '../db/schema.ts'`), ['unknown/bad.ts → db/schema.ts'])
  assert.deepEqual(caught('main.ts', `import './db/schema.ts'`), ['main.ts → db/schema.ts'])

  assert.deepEqual(caught('rules/good.ts', `import '../db/schema.ts'; import './rule.ts'; import fs from 'node:fs'`), [])
  assert.deepEqual(caught('db/good.ts', `import type { Rule } from '../rules/rule.ts'; import { Refusal } from '../errors.ts'`), [])
  assert.deepEqual(caught('services.ts', `import './rules/policy.ts'; import './limits/limits.ts'`), [])
})
