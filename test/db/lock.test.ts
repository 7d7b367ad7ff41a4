import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { lockDirectory } from '../../src/db/lock.ts'

let root: string
let dir: string
let round = 0
before(() => {
  root = mkdtempSync(join(tmpdir(), 'earthflow-test-'))
})
beforeEach(() => {
  dir = join(root, `dir${round++}`)
})
after(() => rmSync(root, { recursive: true }))

const source = new URL('../../src/db/lock.ts', import.meta.url).href
/** A program that takes the lock, says so, and stays. */
const taker = () => [
  '--input-type=module',
  '-e',
  `import { lockDirectory } from '${source}'; lockDirectory(${JSON.stringify(dir)}); console.log('locked'); setInterval(() => {}, 1000)`,
]

async function processWithLock() {
  const child = spawn(process.execPath, taker(), { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return child
}

async function kill(child: Awaited<ReturnType<typeof processWithLock>>) {
  child.kill('SIGKILL')
  await once(child, 'exit')
}

test('a second process is refused, and told which one holds the directory', async () => {
  const child = await processWithLock()
  assert.throws(() => lockDirectory(dir), new RegExp(`in use by process ${child.pid};`))
  await kill(child)
})

test('the lock of a killed process is taken over', async () => {
  await kill(await processWithLock())
  assert.ok(existsSync(`${dir}.lock`))
  lockDirectory(dir).release()
  assert.ok(!existsSync(`${dir}.lock`))
})

test('the same process cannot take a directory twice', () => {
  const lock = lockDirectory(dir)
  assert.throws(() => lockDirectory(`${dir}/`), new RegExp(`in use by process ${process.pid};`))
  lock.release()
  lockDirectory(dir).release()
})

test('a process that ends by itself leaves no lock', () => {
  const { status } = spawnSync(
    process.execPath,
    taker().map((arg) => arg.replace('setInterval(() => {}, 1000)', 'process.exit(0)')),
  )
  assert.equal(status, 0)
  assert.ok(!existsSync(`${dir}.lock`))
})

test('a living process with the number of a dead one is no holder', { skip: !existsSync('/proc/self/stat') && 'needs /proc' }, () => {
  writeFileSync(`${dir}.lock`, JSON.stringify({ pid: process.pid, host: hostname(), started: '1' }))
  lockDirectory(dir).release()
})

test('a lock of another machine is never stolen', () => {
  writeFileSync(`${dir}.lock`, JSON.stringify({ pid: 1, host: 'elsewhere.example' }))
  assert.throws(() => lockDirectory(dir), /process 1 on elsewhere\.example \(delete .* if it no longer exists\)/)
})

test('a torn lock file is taken over', () => {
  writeFileSync(`${dir}.lock`, '{"pid":')
  lockDirectory(dir).release()
})

test('of several processes that find a stale lock at once, exactly one gets it', async () => {
  writeFileSync(`${dir}.lock`, JSON.stringify({ pid: 2 ** 30, host: hostname() }))
  const children = Array.from({ length: 4 }, () => spawn(process.execPath, taker(), { stdio: ['ignore', 'pipe', 'ignore'] }))
  const locked = await Promise.all(children.map((child) => Promise.race([once(child.stdout, 'data').then(() => true), once(child, 'exit').then(() => false)])))
  await Promise.all(children.filter((_, i) => locked[i]).map(kill))
  assert.deepEqual(locked.filter(Boolean), [true])
  lockDirectory(dir).release()
  assert.deepEqual(
    readdirSync(root).filter((name) => name.startsWith(`dir${round - 1}.`)),
    [],
  )
})
