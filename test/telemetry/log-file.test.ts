import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { logFileName, openLogFile } from '../../src/telemetry/log-file.ts'
import { until } from '../harness/client.ts'

const root = mkdtempSync(join(tmpdir(), 'earthflow-log-file-'))
after(() => rmSync(root, { recursive: true, force: true }))
let folders = 0
const folder = (): string => join(root, String(++folders))
const quiet = { onChange: () => {} }
const lineOf = (n: number): string => `${JSON.stringify({ n })}\n`

test('lines are appended to a file of this process, which its group may read', async () => {
  const directory = folder()
  for (const n of [1, 2]) {
    const file = openLogFile(directory, quiet)
    file.write(lineOf(n))
    await file.close()
  }
  const [name] = readdirSync(directory)
  assert.equal(name, logFileName())
  assert.equal(readFileSync(join(directory, name!), 'utf8'), lineOf(1) + lineOf(2))
  assert.equal(statSync(join(directory, name!)).mode & 0o7, 0, 'and nobody else')
})

test('names of hosts make no paths', () => {
  assert.equal(logFileName('../a/b c', 7), 'earthflow-.._a_b_c-7.log')
})

test('a file that was moved away is begun anew, and no line is lost', async () => {
  const directory = folder()
  const file = openLogFile(directory, { ...quiet, lookEveryMs: 5 })
  let written = 0
  const writing = setInterval(() => file.write(lineOf(written++)), 1)
  try {
    for (let rotation = 1; rotation <= 3; rotation++) {
      const before = written
      await until(() => written > before + 5, 'lines to be written')
      renameSync(file.path, `${file.path}.${rotation}`)
      await until(() => existsSync(file.path), 'the file to be begun anew')
    }
  } finally {
    clearInterval(writing)
  }
  await file.close()
  const names = [1, 2, 3].map((rotation) => `${file.path}.${rotation}`)
  const lines = [...names, file.path].map((path) => readFileSync(path, 'utf8')).join('')
  assert.equal(lines, Array.from({ length: written }, (_, n) => lineOf(n)).join(''))
})

test('a file that was cut short where it lies is written on from its new end', async () => {
  const file = openLogFile(folder(), { ...quiet, lookEveryMs: 5 })
  for (let n = 0; n < 2_000; n++) file.write(lineOf(n))
  await until(() => statSync(file.path).size > 0, 'lines to be written')
  await until(() => statSync(file.path).size >= 8 << 10, 'some more')
  writeFileSync(file.path, '')
  file.write(lineOf(7))
  await file.close()
  assert.ok(readFileSync(file.path, 'utf8').endsWith(lineOf(7)))
  assert.ok(!readFileSync(file.path).includes(0), 'without a hole')
})

test('while its directory is gone lines wait, which is told once, and stand in the file once there is one again', async () => {
  const directory = folder()
  const told: (string | undefined)[] = []
  const file = openLogFile(directory, { onChange: (trouble) => told.push(trouble?.code), lookEveryMs: 5, flushEveryMs: 2 })
  renameSync(directory, `${directory}.away`)
  await until(() => told.length > 0, 'the trouble to be told')
  const lines = Array.from({ length: 200 }, (_, n) => `${JSON.stringify({ n, more: 'x'.repeat(200) })}\n`)
  for (const line of lines) file.write(line)
  let turns = 0
  await until(() => turns++ > 10, 'some turns to pass')
  assert.deepEqual(told, ['ENOENT'])
  mkdirSync(directory)
  await until(() => told.length > 1, 'the file to be begun anew')
  await file.close()
  assert.deepEqual(told, ['ENOENT', undefined])
  assert.equal(readFileSync(file.path, 'utf8'), lines.join(''))
})

test('a disk that is full costs lines and no more, and is told once', { skip: !existsSync('/dev/full') }, async () => {
  const directory = folder()
  mkdirSync(directory)
  symlinkSync('/dev/full', join(directory, logFileName()))
  const told: (string | undefined)[] = []
  const file = openLogFile(directory, { onChange: (trouble) => told.push(trouble?.code), lookEveryMs: 5 })
  const line = `${'x'.repeat(1023)}\n`
  for (let i = 0; i < 10_000; i++) file.write(line)
  await until(() => told.length > 0, 'the trouble to be told')
  for (let i = 0; i < 10_000; i++) file.write(line)
  await file.close()
  assert.deepEqual(told, ['ENOSPC'])
})

test('a directory that cannot be made or written to is said at once', () => {
  const taken = join(root, 'taken')
  writeFileSync(taken, '')
  assert.throws(() => openLogFile(join(taken, 'below'), quiet), { code: 'ENOTDIR' })
  if (process.getuid?.() === 0) return
  const closed = folder()
  mkdirSync(closed)
  chmodSync(closed, 0o500)
  assert.throws(() => openLogFile(closed, quiet), { code: 'EACCES' })
})
