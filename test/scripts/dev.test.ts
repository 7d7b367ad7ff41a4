import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { COMPILE_CACHE, testEnvironment } from '../../scripts/dev/environment.ts'
import { findTests, selectTests } from '../../scripts/dev/find-tests.ts'
import { formatDuration, runGroup } from '../../scripts/dev/run-group.ts'

const project = join(import.meta.dirname, '..', '..')

test('every test file of the project is found, and proofs are not among them', () => {
  const found = findTests(project)
  assert.ok(found.includes('test/scripts/dev.test.ts'))
  assert.ok(found.every((path) => path.endsWith('.test.ts') && !path.startsWith('test/proofs/')))
})

test('a filter chooses files by folder, path or part of it, and one that chooses nothing is an error', () => {
  const files = ['test/rules/a.test.ts', 'test/rules/b.test.ts', 'test/db/a.test.ts']
  assert.deepEqual(selectTests(files, [], '/p'), files)
  assert.deepEqual(selectTests(files, ['./test/rules/'], '/p'), files.slice(0, 2))
  assert.deepEqual(selectTests(files, ['/p/test/db/a.test.ts'], '/p'), files.slice(2))
  assert.deepEqual(selectTests(files, ['rules/b', 'db'], '/p'), files.slice(1))
  assert.throws(() => selectTests(files, ['rules', 'rulez'], '/p'), /No test file has "rulez" in its path/)
})

test('tests see their services and none of the developer’s settings or keys', () => {
  const mine = {
    PATH: '/bin',
    HOME: '/h',
    DATABASE_URL: 'postgres://live',
    EARTHFLOW_ENV: 'production',
    OPENAI_API_KEY: 'sk',
    AUDIT_HASH_MODE: 'x',
    NODE_ENV: 'production',
  }
  const env = testEnvironment(mine, { databaseUrl: 'postgres://test', redisUrl: undefined })
  assert.deepEqual(
    Object.entries(env).filter(([, value]) => value !== undefined),
    [
      ['PATH', '/bin'],
      ['HOME', '/h'],
      ['EARTHFLOW_TEST_RUN', '1'],
      ['TEST_DATABASE_URL', 'postgres://test'],
      ['NODE_COMPILE_CACHE', COMPILE_CACHE],
    ],
  )
})

test('what a command leaves behind is killed when it ends, runs out of time or is interrupted', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'earthflow-group-'))
  const note = join(folder, 'pid')
  const leaveBehind = `sleep 600 & echo $! > ${note}`
  const run = (script: string, timeMaxMs: number, signal = new AbortController().signal) =>
    runGroup('/bin/sh', ['-c', script], { env: process.env, timeMaxMs, signal })
  try {
    assert.deepEqual(await run(`${leaveBehind}; exit 3`, 60_000), { kind: 'ended', code: 3, signal: null })
    await isGone(note)
    assert.deepEqual(await run(`${leaveBehind}; wait`, 300), { kind: 'overtime' })
    await isGone(note)
    const interrupt = new AbortController()
    const running = run(`${leaveBehind}; wait`, 60_000, interrupt.signal)
    setTimeout(() => interrupt.abort(), 300)
    assert.deepEqual(await running, { kind: 'interrupted' })
    await isGone(note)
    assert.deepEqual(await run('exit 0', 60_000, interrupt.signal), { kind: 'interrupted' })
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('what a group writes goes to whoever asked for it, to its last line', async () => {
  let text = ''
  const output = (more: string): void => {
    text += more
  }
  const { signal } = new AbortController()
  await runGroup('/bin/sh', ['-c', 'echo seen; echo so >&2; sleep 600 &'], { env: process.env, timeMaxMs: 60_000, signal, output })
  assert.deepEqual(text.trim().split('\n').sort(), ['seen', 'so'])
})

test('durations are said for people', () => {
  assert.deepEqual([900, 59_400, 60_000, 200_000].map(formatDuration), ['1 s', '59 s', '1 min 0 s', '3 min 20 s'])
})

/** Waits until the process named in the file has ended; one that nobody has collected yet (Z) has. */
async function isGone(note: string): Promise<void> {
  const pid = readFileSync(note, 'utf8').trim()
  const state = () => spawnSync('ps', ['-o', 'stat=', '-p', pid], { encoding: 'utf8' }).stdout.trim()
  for (let tries = 0; !['', 'Z'].includes(state().slice(0, 1)); tries++) {
    assert.ok(tries < 100, `process ${pid} is gone`)
    await delay(20)
  }
}
