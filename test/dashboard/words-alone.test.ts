import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

/** Tables of words and their sentences. No file that reads or writes anything. */
const words = [
  'access/roles.ts',
  'access/scopes.ts',
  'dialects/index.ts',
  'rules/detectors.ts',
  'rules/operators.ts',
  'rules/presets.ts',
  'rules/rule.ts',
  'rules/targets.ts',
  'webhooks/event.ts',
]

test('the dashboard takes nothing from the rest of Earthflow but words: what it shows and does goes through the management API', () => {
  const files = globSync('src/dashboard/**/*.ts')
  assert.ok(files.length > 30)
  const taken = files.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/from '((?:\.\.\/)+)([a-z-]+\/[^']+)'/g)].map(([, up, path]) => ({ file, up, path: path! })),
  )
  const outside = taken.filter(({ path }) => !/^(?:parts|pages)\//.test(path))
  assert.ok(outside.length > 3)
  assert.deepEqual(
    outside.filter(({ path }) => !words.includes(path)).map(({ file, path }) => `${file} → ${path}`),
    [],
  )
})
