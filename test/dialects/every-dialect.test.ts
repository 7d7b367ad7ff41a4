import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { dialects, formats } from '../../src/dialects/index.ts'

test('every format has a table of its bodies and replies, and every place in them is visited', () => {
  for (const { name } of formats) {
    const file = ['', '-generate'].map((rest) => `test/dialects/${name}${rest}.test.ts`).find(exists)
    assert.ok(file, name)
    assert.ok(/^everyPlace\(\s*dialect,/m.test(readFileSync(file, 'utf8')), name)
  }
})

test('every path is described once, and Azure’s are those of OpenAI’s formats', () => {
  const paths = dialects.flatMap((dialect) => dialect.paths)
  assert.equal(new Set(paths).size, paths.length)
  for (const { name, vendor, paths } of formats) {
    if (vendor.name !== 'openai') continue
    const onAzure = dialects.find((dialect) => dialect.name === name && dialect.vendor.name === 'azure')
    assert.deepEqual(
      onAzure?.paths.toSorted(),
      paths.flatMap((path) => [`/openai${path}`, `/openai/deployments/{model}${path.slice('/v1'.length)}`]).toSorted(),
    )
  }
})

function exists(path: string): boolean {
  try {
    return readFileSync(path).length > 0
  } catch {
    return false
  }
}
