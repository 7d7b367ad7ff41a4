import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { after, before, beforeEach, test } from 'node:test'
import { type Fakes, startFakes } from './fakes.ts'

const SYSTEMCTL = `
case "$*" in
  *"--value"*) [ -f "$DIR/running" ] && echo active || echo inactive;;
  "start earthflow-backup") number=$(ls "$DIR/backups" | wc -l); : > "$DIR/backups/earthflow-$number.tar";;
  "start earthflow-restore@"*) ;;
  "restart earthflow" | "start earthflow") : > "$DIR/running";;
  "stop earthflow") rm -f "$DIR/running";;
  "show "*) echo "Id=earthflow.service";;
esac`

let fakes: Fakes
let args: (...more: string[]) => string[]
const current = (): string => readlinkSync(fakes.path('current')).replace('releases/', '')

before(async () => {
  fakes = await startFakes({ systemctl: SYSTEMCTL, journalctl: 'echo "It was restored."' })
  for (const version of ['1.0.0', '1.1.0']) {
    mkdirSync(fakes.path('releases', version), { recursive: true })
    writeFileSync(fakes.path('releases', version, 'package.json'), '{}')
  }
  mkdirSync(fakes.path('backups'))
  writeFileSync(fakes.path('earthflow.env'), 'POSTGRES_HOST=db\n')
  const places = ['--mode', 'systemd', '--dir', fakes.dir, '--env-file', fakes.path('earthflow.env'), '--backups', fakes.path('backups')]
  args = (...more) => [...more, ...places, '--url', fakes.url, '--ready-seconds', '1']
})
beforeEach(() => {
  fakes.said.version = current
  fakes.said.ready = () => true
  fakes.calls()
})
after(() => fakes.close())

const changes = (): string[] => fakes.calls().filter((call) => !/--version| show /.test(call))

test('a version is deployed by one link, and a backup is made before the next', async () => {
  assert.equal((await fakes.run(args('deploy', '--to', '1.0.0'))).code, 0)
  assert.deepEqual([current(), changes()], ['1.0.0', ['systemctl restart earthflow']])
  const { code, error } = await fakes.run(args('update', '--to', '1.1.0'))
  assert.deepEqual([code, current()], [0, '1.1.0'], error)
  assert.deepEqual(changes(), ['systemctl start earthflow-backup', 'systemctl restart earthflow'])
  assert.match(error, /backup earthflow-0\.tar/)
})

test('a version that does not become ready is replaced by the one before', async () => {
  assert.equal((await fakes.run(args('rollback'))).code, 0)
  fakes.said.ready = () => current() === '1.0.0'
  const { code, error } = await fakes.run(args('update', '--to', '1.1.0'))
  assert.deepEqual([code, current()], [1, '1.0.0'])
  assert.match(error, /Version 1\.0\.0 runs again/)
})

test('a version that is not there is refused before anything is changed but the backup', async () => {
  const { error } = await fakes.run(args('update', '--to', '9.9.9'))
  assert.match(error, /There is no version 9\.9\.9 in .*: unpack it there/)
  assert.equal(current(), '1.0.0')
})

test('with the embedded database Earthflow is stopped while it is copied', async () => {
  writeFileSync(fakes.path('earthflow.env'), 'EARTHFLOW_EMBEDDED_DB=true\n')
  assert.equal((await fakes.run(args('backup'))).code, 0)
  assert.deepEqual(changes(), ['systemctl stop earthflow', 'systemctl start earthflow-backup', 'systemctl start earthflow'])
  assert.ok(existsSync(fakes.path('running')))
})

test('a restore stops Earthflow, has systemd restore, starts it and shows what was said', async () => {
  assert.match((await fakes.run(args('restore', 'earthflow-0.tar'))).error, /say --force/)
  fakes.calls()
  const { code, out } = await fakes.run(args('restore', 'earthflow-0.tar', '--force'))
  assert.deepEqual([code, out], [0, 'It was restored.\n'])
  assert.deepEqual(
    changes().filter((call) => call.startsWith('systemctl')),
    ['systemctl stop earthflow', 'systemctl start earthflow-restore@earthflow-0.tar.service', 'systemctl start earthflow'],
  )
})
