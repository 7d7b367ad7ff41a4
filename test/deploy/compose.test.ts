import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { after, before, beforeEach, test } from 'node:test'
import { lockDirectory } from '../../src/db/lock.ts'
import { DOCKER, type Fakes, startFakes } from './fakes.ts'

const COMPOSE = 'docker compose --file docker-compose.prod.yml'
let fakes: Fakes
let args: (...more: string[]) => string[]
const running = (): string => (existsSync(fakes.path('running')) ? readFileSync(fakes.path('running'), 'utf8').trim() : '')

before(async () => {
  fakes = await startFakes({ docker: DOCKER })
  writeFileSync(fakes.path('docker-compose.prod.yml'), 'services: {}\n')
  args = (...more) => [...more, '--dir', fakes.dir, '--url', fakes.url, '--ready-seconds', '1']
})
beforeEach(() => {
  fakes.said.version = running
  fakes.said.ready = () => true
  fakes.calls()
})
after(() => fakes.close())

test('the first deployment starts the version, waits until it is ready, and has nothing to back up', async () => {
  const { code, out, error } = await fakes.run(args('deploy', '--to', '1.0.0'))
  assert.deepEqual([code, out], [0, 'version 1.0.0 is deployed\n'], error)
  assert.match(error, /nothing was deployed yet/)
  assert.deepEqual(fakes.calls(), ['docker compose version', `${COMPOSE} config --quiet`, `${COMPOSE} up --detach --remove-orphans [1.0.0]`])
})

test('an update backs up with the version that runs, then starts the new one; the last ten backups are asked to stay', async () => {
  const { code, out } = await fakes.run(args('update', '--to', '1.1.0', '--scale', '3'))
  assert.deepEqual([code, out], [0, 'version 1.1.0 is deployed\n'])
  assert.deepEqual(fakes.calls().slice(2), [
    `${COMPOSE} run --rm -T tools backup --output /backups --keep 10 --json [1.0.0]`,
    `${COMPOSE} up --detach --remove-orphans --scale proxy=3 [1.1.0]`,
  ])
  assert.equal(statSync(fakes.path('backups')).mode & 0o777, 0o700)
})

test('what is built is built with its tools, and a backup is left out only where that is said', async () => {
  assert.equal((await fakes.run(args('deploy', '--to', '1.1.0', '--build', '--no-backup'))).code, 0)
  assert.deepEqual(fakes.calls().slice(2), [`${COMPOSE} --profile tools build [1.1.0]`, `${COMPOSE} up --detach --remove-orphans [1.1.0]`])
})

test('a version that does not become ready is replaced by the one before', async () => {
  fakes.said.ready = () => running() !== '1.2.0'
  const { code, error } = await fakes.run(args('update', '--to', '1.2.0'))
  assert.equal(code, 1)
  assert.match(error, /Version 1\.2\.0 did not become ready within 1 s: it says failed\.\nVersion 1\.1\.0 runs again\./)
  assert.equal(running(), '1.1.0')
  assert.match((await fakes.run(args('status'))).out, /^version 1\.1\.0, before it 1\.0\.0; running\n/)
})

test('a version that answers but is not the one that was meant does not count as ready', async () => {
  fakes.said.version = () => '1.1.0'
  const { code, error } = await fakes.run(args('update', '--to', '1.2.0'))
  assert.equal(code, 1)
  assert.match(error, /it is version 1\.1\.0/)
  assert.equal(running(), '1.1.0')
})

test('an image that cannot be started leaves the version before in place', async () => {
  const { code, error } = await fakes.run(args('update', '--to', '6.6.6'), { BROKEN_IMAGE: '6.6.6' })
  assert.equal(code, 1)
  assert.match(error, /failed \(1\): pull access denied[\s\S]*Version 1\.1\.0 runs again\./)
})

test('where the backup fails nothing is changed', async () => {
  const { code, error } = await fakes.run(args('update', '--to', '1.3.0'), { NO_BACKUP: '1' })
  assert.equal(code, 1)
  assert.match(error, /pg_dump failed[\s\S]*nothing was changed; --no-backup goes on without/)
  assert.equal(fakes.calls().filter((call) => call.includes(' up ')).length, 0)
})

test('a smoke test that fails rolls back', async () => {
  writeFileSync(fakes.path('key'), 'ef_live_x\n')
  const { code, error } = await fakes.run(args('update', '--to', '1.4.0', '--key-file', fakes.path('key')))
  assert.equal(code, 1)
  assert.match(error, /The smoke test failed: allowed: .*\n.*Version 1\.1\.0 runs again/s)
  assert.equal(running(), '1.1.0')
})

test('a rollback goes back to the version before, with a backup first', async () => {
  const { code, out } = await fakes.run(args('rollback'))
  assert.deepEqual([code, out], [0, 'version 1.0.0 is deployed\n'])
  const calls = fakes.calls()
  assert.ok(calls.some((call) => call.endsWith('--json [1.1.0]')))
  assert.equal(calls.at(-1), `${COMPOSE} up --detach --remove-orphans [1.0.0]`)
})

test('a restore stops what takes calls, restores one of the backups, and starts again; another name is refused', async () => {
  const [name = ''] = readdirSync(fakes.path('backups'))
  const { code, out } = await fakes.run(args('restore', name, '--force'))
  assert.deepEqual([code, out], [0, 'It was restored.\n'])
  assert.deepEqual(fakes.calls().slice(2), [
    `${COMPOSE} stop proxy dashboard`,
    `${COMPOSE} run --rm -T tools restore /backups/${name} --force [1.0.0]`,
    `${COMPOSE} up --detach --remove-orphans [1.0.0]`,
  ])
  for (const wrong of ['../../etc/passwd', 'none.tar']) {
    const { code: refused, error } = await fakes.run(args('restore', wrong))
    assert.deepEqual([refused, /Say which backup: earthflow-0\.tar/.test(error)], [64, true], error)
  }
})

test('a restore that is refused leaves Earthflow running as it was', async () => {
  const [name = ''] = readdirSync(fakes.path('backups'))
  const { code, error } = await fakes.run(args('restore', name, '--force'), { NO_RESTORE: '1' })
  assert.deepEqual([code, /does not open this backup/.test(error), running()], [1, true, '1.0.0'])
})

test('status, logs and stop ask Docker for just that', async () => {
  const { out } = await fakes.run(args('status', '--json'))
  const { current, running: isRunning, backups } = JSON.parse(out)
  assert.deepEqual([current, isRunning, backups.length > 0], ['1.0.0', true, true])
  fakes.calls()
  assert.equal((await fakes.run(args('logs', '--lines', '5'))).code, 0)
  assert.equal(fakes.calls().at(-1), `${COMPOSE} logs --no-color --tail 5 proxy dashboard`)
  assert.equal((await fakes.run(args('stop'))).code, 0)
  assert.equal(running(), '')
})

test('two at once are refused, and looking is not', async () => {
  const held = lockDirectory(fakes.path('.earthflow-deploy'))
  try {
    const { code, error } = await fakes.run(args('deploy'))
    assert.equal(code, 1)
    assert.match(error, new RegExp(`Another deployment is under way \\(process ${process.pid} `))
    assert.equal((await fakes.run(args('status'))).code, 0)
  } finally {
    held.release()
  }
})

test('what is missing is said, with what to do', async () => {
  mkdirSync(fakes.path('elsewhere'))
  assert.match(
    (await fakes.run(['deploy', '--dir', fakes.path('elsewhere')], { DIR: fakes.path('elsewhere') })).error,
    /docker-compose\.prod\.yml: no such file/,
  )
  assert.match((await fakes.run(['status', '--dir', fakes.dir], { PATH: fakes.path('nowhere') })).error, /docker is not on this machine: install it/)
  assert.match((await fakes.run(['update', '--to', '2.0.0', '--dir', fakes.path('elsewhere')])).error, /Nothing was deployed from here yet|no such file/)
})

test('one that is interrupted says so', async () => {
  const { code, error } = await fakes.run(args('deploy', '--to', '1.0.0'), {}, AbortSignal.abort())
  assert.deepEqual([code, /It was interrupted/.test(error)], [1, true], error)
})

test('arguments that make no sense print how it is used', async () => {
  for (const wrong of [
    [],
    ['redeploy'],
    ['deploy', 'more'],
    ['update'],
    ['deploy', '--to', '../x'],
    ['deploy', '--mode', 'helm'],
    ['deploy', '--url', 'x'],
    ['status', '--nonsense'],
    ['backup', '--json'],
    ['deploy', '--scale', '0'],
  ]) {
    const { code, error } = await fakes.run([...wrong, '--dir', fakes.dir])
    assert.equal(code, 64, wrong.join(' '))
    assert.match(error, /earthflow deploy deploy/)
  }
})
