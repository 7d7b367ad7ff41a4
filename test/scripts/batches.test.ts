/** Files of tests that share a process: none of them is lost, whatever the others do. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { writeBatches } from '../../scripts/dev/batches.ts'
import type { TestCounts } from '../../scripts/dev/count-tests.ts'

const project = join(import.meta.dirname, '..', '..')
/** Of a file that does nothing: enough for a slow machine to read it. */
const ENDS_MS = 2_000
const BEGINNING = `import test, { after, before, beforeEach, mock } from 'node:test'; import { canaries } from '${join(project, 'test/harness/canaries.ts')}'\n`

/** Runs files with these contents as `npm test` does, and says what it would be told. */
function run(files: Record<string, string>, timeMaxMs?: number): TestCounts & { code: number | null; printed: string } {
  const folder = mkdtempSync(join(tmpdir(), 'earthflow-batches-'))
  try {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content && BEGINNING + content)
    const counts = join(folder, 'counts.json')
    const reporters = [`--test-reporter=${join(project, 'scripts/dev/count-tests.ts')}`, `--test-reporter-destination=${counts}`]
    const readable = ['--test-reporter=spec', '--test-reporter-destination=stdout']
    const programs = writeBatches(Object.keys(files), join(folder, 'batches'), timeMaxMs)
    // Under a test run, NODE_TEST_CONTEXT would make the inner runner report to the outer one.
    const env = { ...process.env, NODE_TEST_CONTEXT: undefined }
    const { status: code, stdout } = spawnSync(process.execPath, ['--test', ...reporters, ...readable, ...programs], { cwd: folder, env, encoding: 'utf8' })
    return { ...(JSON.parse(readFileSync(counts, 'utf8')) as TestCounts), code, printed: stdout }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('neighbours are run together, in batches of much the same size, each file once', () => {
  const folder = mkdtempSync(join(tmpdir(), 'earthflow-batches-'))
  try {
    const files = Array.from({ length: 23 }, (_, i) => `test/f${String(i).padStart(2, '0')}.test.ts`)
    const paths = writeBatches(files, folder)
    assert.deepEqual(
      paths.map((path) => path.slice(folder.length + 1)),
      ['01-from-test-f00.mjs', '02-from-test-f07.mjs', '03-from-test-f15.mjs'],
    )
    assert.deepEqual(
      paths.flatMap((path) => readFileSync(path, 'utf8').match(/test\/f\d+\.test\.ts/g)),
      files,
    )
    assert.deepEqual(writeBatches([], folder), [])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('tests are counted as in processes of their own; a file that fails, cannot be read or has none is named, and the others are run', () => {
  const { code, printed, ...counts } = run({
    'a.test.ts': `test('a', () => {}); test('b', { skip: true }, () => {}); test('c', () => { throw 1 })`,
    'b.test.ts': `throw new Error('cannot be read')`,
    'c.test.ts': '',
    'd.test.ts': `await new Promise((go) => setTimeout(go, 10)); test('a', (t) => t.test('within', () => {}))`,
    'e.test.ts': `before(() => { throw new Error('no beginning') }); test('a', () => {})`,
    'f.test.ts': `after(() => { throw new Error('no end') }); test('a', () => {})`,
    'g.test.ts': `test('a', () => {})`,
  })
  assert.equal(code, 1)
  assert.deepEqual(counts, {
    tests: 8,
    passed: 5,
    failed: 1,
    cancelled: 1,
    skipped: 1,
    todo: 0,
    files: ['a.test.ts', 'b.test.ts', 'c.test.ts', 'd.test.ts', 'e.test.ts', 'f.test.ts', 'g.test.ts'],
    failedFiles: ['a.test.ts', 'b.test.ts', 'e.test.ts', 'f.test.ts'],
    emptyFiles: ['b.test.ts', 'c.test.ts'],
    leaks: [],
  })
  for (const said of ['cannot be read', 'no beginning', 'no end']) assert.ok(printed.includes(said), said)
})

test('a file begins when the one before it has ended, and finds nothing of it', () => {
  const { failedFiles, printed } = run({
    'a.test.ts': `
      beforeEach(() => { throw new Error('of another file') })
      mock.timers.enable({ apis: ['setTimeout', 'Date'] })
      mock.method(console, 'error', () => {})
      canaries.prompt('what only the first file says to a model')
      canaries.secret('a secret', 'what nobody may ever see')
      let isOver = false
      after(async () => { await new Promise(setImmediate); globalThis.firstIsOver = true; throw new Error('with a failing end') })`,
    'b.test.ts': `
      import assert from 'node:assert'
      assert.ok(globalThis.firstIsOver && Date.now() > 1e12 && !console.error.mock)
      await new Promise((go) => setTimeout(go, 1))
      test('b', async () => {
        await canaries.check([{ name: 'a place', bytes: Buffer.from('what only the first file says to a model') }])
        await assert.rejects(canaries.check([{ name: 'a place', bytes: Buffer.from('what nobody may ever see') }]), /a secret in a place/)
      })`,
  })
  assert.deepEqual(failedFiles, ['a.test.ts'], printed)
})

test('a process that ends early, by itself or by a crash, has not run the file that it was at and those that it leaves', () => {
  const whole = `test('a', () => {})`
  const ends = {
    exit: `test('a', () => {}); test('b', () => { process.exit(0) })`,
    crash: `test('a', () => { setImmediate(() => process.kill(process.pid, 'SIGKILL')); return new Promise(() => {}) })`,
  }
  for (const [how, end] of Object.entries(ends)) {
    const { code, files, failedFiles } = run({ 'a.test.ts': whole, 'b.test.ts': end, 'c.test.ts': whole })
    const passed = files.filter((file) => !failedFiles.includes(file))
    assert.ok(!passed.includes('b.test.ts') && !passed.includes('c.test.ts'), `${how}: ${passed}`)
    if (how !== 'exit') assert.equal(code, 1, how)
  }
})

test('a file that waits for what never comes, or leaves something open, is ended when the time is over; one that waits for a timer that was unref’d is not', () => {
  const waits = `test('a', () => new Promise((go) => setTimeout(go, 20).unref()))`
  const opens = `test('a', () => {}); setInterval(() => {}, 1000)`
  const never = run({ 'a.test.ts': `${waits}; await new Promise(() => {})`, 'b.test.ts': waits }, ENDS_MS)
  assert.deepEqual([never.files, never.code], [[], 1])
  assert.match(never.printed, /a\.test\.ts is not over/)
  const open = run({ 'a.test.ts': opens }, ENDS_MS)
  assert.equal(open.code, 1)
  assert.match(open.printed, /keeps its process alive after its end: a\.test\.ts/)
  assert.equal(run({ 'a.test.ts': waits, 'b.test.ts': waits, 'c.test.ts': waits }).code, 0)
})

test('an error that nobody caught fails the run, wherever it comes from', () => {
  const { code } = run({
    'a.test.ts': `test('a', () => { setTimeout(() => Promise.reject(new Error('late')), 50) })`,
    'b.test.ts': `test('a', () => new Promise((go) => setTimeout(go, 200)))`,
  })
  assert.equal(code, 1)
})
