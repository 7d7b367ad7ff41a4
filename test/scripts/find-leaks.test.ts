import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { testEnvironment } from '../../scripts/dev/environment.ts'
import { createLeakFinder, leaksLeft } from '../../scripts/dev/find-leaks.ts'
import { mintKey, prefixOf } from '../../src/access/key-format.ts'
import { canaryMasterKey, newCanaryWord } from '../harness/canary-word.ts'

const project = join(import.meta.dirname, '..', '..')
const word = newCanaryWord()
const master = canaryMasterKey(word)

test('a secret planted in what a run printed is found in every form; what only looks like one is none', () => {
  const key = mintKey('live')
  const isLeak = createLeakFinder(word)
  const leaks = [`sk-${word}`, Buffer.from(`admin:x${word}-1`).toString('base64'), Buffer.from(master, 'base64url').toString('hex'), `key=${key}.`]
  for (const [i, leak] of leaks.entries()) assert.ok(isLeak(`it is ${leak} here`), `form ${i}`)
  for (const other of [newCanaryWord(), prefixOf(key), key.slice(0, -1) + (key.endsWith('A') ? 'B' : 'A')]) assert.ok(!isLeak(`it is ${other} here`))
})

test('a test file that prints a secret or fails with one is named to the run', () => {
  const folder = mkdtempSync(join(tmpdir(), 'earthflow-leak-'))
  try {
    const leaks = {
      'test:stdout': `console.log('a', word)`,
      'test:stderr': `console.error('b', word)`,
      'test:diagnostic': `test('says', (t) => t.diagnostic('c ' + word))`,
      'test:fail': `test('fails', () => assert.deepEqual({ a: [word] }, {}))`,
    }
    for (const [i, leak] of Object.values(leaks).entries()) {
      const begin = `import test from 'node:test'; import assert from 'node:assert'; const word = process.env.EARTHFLOW_TEST_CANARY; test('t', () => {});`
      writeFileSync(join(folder, `${i}.test.ts`), `${begin} ${leak}`)
    }
    const counts = join(folder, 'counts.json')
    const reporter = [`--test-reporter=${join(project, 'scripts/dev/count-tests.ts')}`, `--test-reporter-destination=${counts}`]
    const env = { ...testEnvironment(process.env, { databaseUrl: '', redisUrl: undefined }, word), NODE_TEST_CONTEXT: undefined }
    spawnSync(process.execPath, ['--test', ...reporter, ...Object.keys(leaks).map((_, i) => `${i}.test.ts`)], { cwd: folder, env })
    const found = (JSON.parse(readFileSync(counts, 'utf8')) as { leaks: string[] }).leaks
    for (const [i, type] of Object.keys(leaks).entries()) assert.ok(found.includes(`${type} of ${i}.test.ts`), `${type}: ${found}`)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a secret planted in a file that a run left behind is found; older folders and those of others are not read', () => {
  const parent = mkdtempSync(join(tmpdir(), 'earthflow-left-'))
  try {
    const folder = join(parent, 'earthflow-flow-1')
    for (const dir of [join(folder, 'spool', 'deep'), join(parent, 'earthflow-counts'), join(parent, 'another')]) mkdirSync(dir, { recursive: true })
    const bytes = Buffer.concat([Buffer.alloc(1000, 7), Buffer.from(master, 'base64url'), Buffer.alloc(1000)])
    for (const path of ['earthflow-flow-1/spool/deep/1', 'earthflow-counts/printed', 'another/1']) writeFileSync(join(parent, path), bytes)
    writeFileSync(join(folder, 'harmless'), 'nothing')
    assert.deepEqual(leaksLeft(word, { since: 0, parent, except: join(parent, 'earthflow-counts') }), [join(folder, 'spool', 'deep', '1')])
    assert.deepEqual(leaksLeft(newCanaryWord(), { since: 0, parent }), [])
    assert.deepEqual(leaksLeft(word, { since: Date.now() + 60_000, parent }), [])
  } finally {
    rmSync(parent, { recursive: true })
  }
})
