import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

const project = dirname(dirname(import.meta.dirname))
const LOCK = { lockfileVersion: 3, packages: { '': {}, 'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' } } }

test('a missing install is made once, also when two launches begin together', async (t) => {
  const copy = createCopy(t, { main: 'console.log("ran")' })
  const ends = await Promise.all([launch(copy, ['start']).end, launch(copy, ['start']).end])
  assert.deepEqual(
    ends.map(({ code, out }) => ({ code, out })),
    [
      { code: 0, out: 'ran\n' },
      { code: 0, out: 'ran\n' },
    ],
  )
  assert.equal(installs(copy).length, 1)
  assert.match(installs(copy)[0]!, /^ci --ignore-scripts --include=dev --include=optional /)
})

test('nothing is installed while node_modules holds what the lockfile asks for, and it is when the lockfile moves on', async (t) => {
  const copy = createCopy(t, { main: '' })
  writeInstalled(copy, LOCK.packages)
  await launch(copy, ['start']).end
  assert.equal(installs(copy).length, 0)

  writeLock(copy, { ...LOCK.packages, 'node_modules/a': { version: '1.0.1', integrity: 'sha512-b' } })
  await launch(copy, ['start']).end
  assert.equal(installs(copy).length, 1)

  writeInstalled(copy, { ...JSON.parse(readFileSync(join(copy, 'package-lock.json'), 'utf8')).packages, 'node_modules/left-over': { version: '1.0.0' } })
  await launch(copy, ['start']).end
  assert.equal(installs(copy).length, 2)
})

test('a package for another platform may be absent', async (t) => {
  const copy = createCopy(t, { main: '' })
  writeLock(copy, { ...LOCK.packages, 'node_modules/node-other': { version: '1.0.0', optional: true } })
  writeInstalled(copy, LOCK.packages)
  await launch(copy, ['start']).end
  assert.equal(installs(copy).length, 0)
})

test('a failed install is said in a sentence and nothing is started', async (t) => {
  const copy = createCopy(t, { main: 'console.log("ran")', npm: 'process.exit(7)' })
  const { code, out, err } = await launch(copy, ['start']).end
  assert.equal(code, 1)
  assert.equal(out, '')
  assert.match(err, /Installing failed: npm ended with exit code 7\. Check the network/)
  assert.equal(existsSync(join(copy, '.earthflow-install')), false)
})

test('the lock of a launch that died is taken over', async (t) => {
  const copy = createCopy(t, { main: '' })
  mkdirSync(join(copy, '.earthflow-install'))
  writeFileSync(join(copy, '.earthflow-install', 'pid'), '99999999')
  assert.equal((await launch(copy, ['start']).end).code, 0)
  assert.equal(installs(copy).length, 1)
})

test('the script runs in the project folder with its arguments, in development, with the right node and the project’s programs first', async (t) => {
  const main =
    'console.log(JSON.stringify({ cwd: process.cwd(), argv: process.argv.slice(2), mode: process.env.EARTHFLOW_ENV, path: process.env.PATH, flags: process.execArgv[0] }))'
  const copy = createCopy(t, { main, installed: true })
  const { out } = await launch(copy, ['start', '--port', 'a b'], { EARTHFLOW_ENV: undefined }).end
  const seen = JSON.parse(out)
  assert.deepEqual(
    { ...seen, path: undefined },
    { cwd: copy, argv: ['--port', 'a b'], mode: 'development', flags: '--max-semi-space-size=16', path: undefined },
  )
  assert.deepEqual(seen.path.split(':').slice(0, 2), [join(copy, 'node_modules', '.bin'), dirname(process.execPath)])

  assert.equal(JSON.parse((await launch(copy, ['start'], { EARTHFLOW_ENV: 'production' }).end).out).mode, 'production')
})

test('an old Node hands over to the packaged one, and says what to do when there is none', async (t) => {
  const copy = createCopy(t, { main: 'console.log(process.version)', installed: true })
  const old = { NODE_OPTIONS: `--import=${pretend(copy, '20.20.2')}` }
  const without = await launch(copy, ['start'], old).end
  assert.equal(without.code, 1)
  assert.match(without.err, /^Earthflow needs Node 24\.12 or later; this is 20\.20\.2.* Install Node 26 and try again\.\n$/)

  const packaged = join(copy, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin')
  mkdirSync(packaged, { recursive: true })
  writeFileSync(join(packaged, 'node'), '#!/bin/sh\necho packaged\n')
  chmodSync(join(packaged, 'node'), 0o755)
  assert.equal((await launch(copy, ['start'], old).end).out, 'packaged\n')
})

test('the exit code is the script’s', async (t) => {
  const copy = createCopy(t, { main: 'process.exit(3)', installed: true })
  assert.equal((await launch(copy, ['start']).end).code, 3)
})

test('a signal reaches the script once, although terminal and npm both deliver it, and the script ends in its own time', async (t) => {
  const main = `
    let seen = 0
    process.on('SIGINT', () => { seen++; if (seen === 1) setTimeout(() => { console.log('seen', seen); process.exit(0) }, 100) })
    setInterval(() => {}, 1000)
    console.log('ready')`
  const copy = createCopy(t, { main, installed: true })
  const { child, end } = launch(copy, ['start'])
  await once(child.stdout!, 'data')
  process.kill(-child.pid!, 'SIGINT') // The terminal's: to everyone in the group.
  await delay(20)
  child.kill('SIGINT') // npm's
  assert.deepEqual(await end, { code: 0, signal: null, out: 'ready\nseen 1\n', err: '' })
})

test('a script that dies of a signal makes the launcher die of it', async (t) => {
  const copy = createCopy(t, { main: 'console.log("ready"); setInterval(() => {}, 1000)', installed: true })
  const { child, end } = launch(copy, ['start'])
  await once(child.stdout!, 'data')
  child.kill('SIGTERM')
  assert.equal((await end).signal, 'SIGTERM')
})

test('a launcher killed with SIGKILL takes the script with it', async (t) => {
  const copy = createCopy(t, {
    main: 'process.on("SIGTERM", () => { console.log("left"); process.exit() }); console.log("ready"); setInterval(() => {}, 1000)',
    installed: true,
  })
  const { child, end } = launch(copy, ['start'])
  await once(child.stdout!, 'data')
  child.kill('SIGKILL')
  // Its output ends only when the script, which shares it, has ended too.
  assert.equal((await end).out, 'ready\nleft\n')
})

test('a word that is no verb is answered with the verbs', async (t) => {
  const copy = createCopy(t, { main: '' })
  const { code, err } = await launch(copy, ['toString']).end
  assert.deepEqual({ code, err }, { code: 1, err: 'Say what to run: start, test, prove, bench, bench:check, docs, bench:rules.\n' })
})

test('scripts/earthflow becomes the server: from any folder, through a link, with its arguments, installing nothing', (t) => {
  const copy = createCopy(t, { main: 'console.log(process.argv.slice(2).join("|"), process.execArgv.join())' })
  const link = join(copy, 'linked')
  symlinkSync(join(copy, 'scripts', 'earthflow'), link)
  const { stdout, status } = spawnSync(link, ['start', 'a b'], { cwd: '/', encoding: 'utf8', env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin` } })
  assert.deepEqual({ stdout, status }, { stdout: 'start|a b --max-semi-space-size=16\n', status: 0 })
  assert.equal(installs(copy).length, 0)
})

/** A project in miniature around the real launcher: `main` is its src/main.ts, `npm` what its npm does after noting the call. */
function createCopy(t: { after(fn: () => void): void }, { main, npm = '', installed = false }: { main: string; npm?: string; installed?: boolean }): string {
  const copy = realpathSync(mkdtempSync(join(tmpdir(), 'earthflow-launch-')))
  t.after(() => rmSync(copy, { recursive: true, force: true }))
  for (const folder of ['scripts', 'src']) mkdirSync(join(copy, folder))
  for (const name of ['launch.mjs', 'leave-with-parent.mjs', 'earthflow']) copyFileSync(join(project, 'scripts', name), join(copy, 'scripts', name))
  writeFileSync(join(copy, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(copy, 'src', 'main.ts'), main)
  writeLock(copy, LOCK.packages)
  if (installed) writeInstalled(copy, LOCK.packages)
  const noted = `require('node:fs').appendFileSync('installs', process.argv.slice(2).join(' ') + '\\n')`
  const done = `require('node:fs').mkdirSync('node_modules', { recursive: true }); require('node:fs').copyFileSync('package-lock.json', 'node_modules/.package-lock.json')`
  mkdirSync(join(copy, 'npm'))
  writeFileSync(join(copy, 'npm', 'package.json'), '{}')
  writeFileSync(join(copy, 'npm', 'npm-cli.js'), `${noted}\n${npm}\n${done}\n`)
  return copy
}

function writeLock(copy: string, packages: object): void {
  writeFileSync(join(copy, 'package-lock.json'), JSON.stringify({ ...LOCK, packages }))
}

function writeInstalled(copy: string, packages: object): void {
  mkdirSync(join(copy, 'node_modules'), { recursive: true })
  writeFileSync(join(copy, 'node_modules', '.package-lock.json'), JSON.stringify({ ...LOCK, packages }))
}

function installs(copy: string): string[] {
  const noted = join(copy, 'installs')
  return existsSync(noted) ? readFileSync(noted, 'utf8').trim().split('\n') : []
}

/** A module that makes the launcher believe it runs on another Node. */
function pretend(copy: string, version: string): string {
  const path = join(copy, 'pretend.mjs')
  writeFileSync(path, `Object.defineProperty(process.versions, 'node', { value: '${version}' })`)
  return path
}

interface End {
  code: number | null
  signal: NodeJS.Signals | null
  out: string
  err: string
}

function launch(copy: string, args: string[], env: NodeJS.ProcessEnv = {}): { child: ChildProcess; end: Promise<End> } {
  const child = spawn(process.execPath, [join(copy, 'scripts', 'launch.mjs'), ...args], {
    env: { ...process.env, npm_execpath: join(copy, 'npm', 'npm-cli.js'), npm_lifecycle_event: undefined, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk) => (out += chunk))
  child.stderr.on('data', (chunk) => (err += chunk))
  return { child, end: once(child, 'close').then(([code, signal]) => ({ code, signal, out, err })) }
}
