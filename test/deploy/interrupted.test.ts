/** What is left of a deployment that somebody, or something, ends in the middle. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { until } from '../harness/client.ts'
import { type Fakes, startFakes } from './fakes.ts'

/** Runs it, and ends it when the program is called with this. */
async function interrupted(fakes: Fakes, args: readonly string[], call: string) {
  fakes.calls()
  const interrupt = new AbortController()
  const running = fakes.run(args, { HANGS: call }, interrupt.signal)
  await until(() => existsSync(fakes.path('record')) && readFileSync(fakes.path('record'), 'utf8').includes(call), call)
  interrupt.abort()
  return running
}

const HANGS = `case "$*" in *"$HANGS"*) [ -n "$HANGS" ] && exec sleep 60;; esac`

describe('with compose', () => {
  let fakes: Fakes
  let args: (...more: string[]) => string[]
  before(async () => {
    fakes = await startFakes({
      docker: `${HANGS}
case "$*" in
  *" up "*) [ -n "$NO_UP" ] && { echo "no such image" >&2; exit 1; }; echo "$EARTHFLOW_VERSION" > "$DIR/running";;
  *" tools backup "*) : > "$DIR/backups/earthflow-1.tar"; echo '{"path": "/backups/earthflow-1.tar"}';;
  *" tools restore "*) echo "does not open this backup" >&2; exit 1;;
  *" stop "*) rm -f "$DIR/running";;
esac`,
    })
    mkdirSync(fakes.path('backups'))
    fakes.said.version = () => readFileSync(fakes.path('running'), 'utf8').trim()
    args = (...more) => [...more, '--dir', fakes.dir, '--url', fakes.url, '--ready-seconds', '1']
    for (const version of ['1.0.0', '1.1.0']) assert.equal((await fakes.run(args('deploy', '--to', version))).code, 0)
  })
  after(() => fakes.close())

  test('a rollback goes to the version before the one that was begun, and not to the one before that', async () => {
    const { code, error } = await interrupted(fakes, args('update', '--to', '1.2.0'), ' up ')
    assert.deepEqual([code, /It was interrupted/.test(error)], [1, true], error)
    assert.match((await fakes.run(args('status'))).out, /^version 1\.1\.0, before it 1\.0\.0; .*\nversion 1\.2\.0 was begun, and not seen to work/)
    assert.equal((await fakes.run(args('rollback'))).out, 'version 1.1.0 is deployed\n')
    assert.equal((await fakes.run(args('rollback'))).out, 'version 1.0.0 is deployed\n')
  })

  test('a restore that is ended is followed by a start', async () => {
    const { code } = await interrupted(fakes, args('restore', 'earthflow-1.tar', '--force'), 'tools restore')
    assert.equal(code, 1)
    assert.match(fakes.calls().at(-1) ?? '', / up --detach .* \[1\.0\.0\]$/)
    assert.ok(existsSync(fakes.path('running')))
  })

  test('where a restore fails, and the start after it, both are said', async () => {
    const { code, error } = await fakes.run(args('restore', 'earthflow-1.tar', '--force'), { NO_UP: '1' })
    assert.equal(code, 1)
    assert.match(error, /does not open this backup[\s\S]*no such image/)
  })
})

describe('with systemd', () => {
  let fakes: Fakes
  let args: (...more: string[]) => string[]
  before(async () => {
    fakes = await startFakes({
      systemctl: `${HANGS}
case "$*" in
  *"--value"*) [ -f "$DIR/running" ] && echo active;;
  "restart earthflow" | "start earthflow") : > "$DIR/running";;
  "stop earthflow") rm -f "$DIR/running";;
esac`,
    })
    for (const version of ['1.0.0', '1.1.0', '1.2.0']) {
      mkdirSync(fakes.path('releases', version), { recursive: true })
      writeFileSync(fakes.path('releases', version, 'package.json'), '{}')
    }
    mkdirSync(fakes.path('backups'))
    writeFileSync(fakes.path('backups', 'earthflow-1.tar'), '')
    writeFileSync(fakes.path('earthflow.env'), 'EARTHFLOW_EMBEDDED_DB=true\n')
    fakes.said.version = () => readlinkSync(fakes.path('current')).replace('releases/', '')
    const places = ['--mode', 'systemd', '--dir', fakes.dir, '--env-file', fakes.path('earthflow.env'), '--backups', fakes.path('backups')]
    args = (...more) => [...more, ...places, '--url', fakes.url, '--ready-seconds', '1']
    for (const version of ['1.0.0', '1.1.0']) assert.equal((await fakes.run(args('deploy', '--to', version, '--no-backup'))).code, 0)
  })
  after(() => fakes.close())

  test('an Earthflow that was stopped to be copied, or restored, runs again, and nothing else uses its database then', async () => {
    for (const [verb, unit] of [
      [['backup'], 'earthflow-backup'],
      [['restore', 'earthflow-1.tar', '--force'], 'earthflow-restore@earthflow-1.tar.service'],
    ] as const) {
      const { code } = await interrupted(fakes, args(...verb), `start ${unit}`)
      assert.equal(code, 1)
      assert.deepEqual(fakes.calls().slice(-3), [`systemctl start ${unit}`, `systemctl stop ${unit}`, 'systemctl start earthflow'])
      assert.ok(existsSync(fakes.path('running')))
    }
  })

  test('a rollback goes to the version before the one that was begun, though its link is there', async () => {
    await interrupted(fakes, args('update', '--to', '1.2.0', '--no-backup'), 'restart earthflow')
    assert.equal(readlinkSync(fakes.path('current')), 'releases/1.2.0')
    assert.equal((await fakes.run(args('rollback', '--no-backup'))).out, 'version 1.1.0 is deployed\n')
    assert.equal((await fakes.run(args('rollback', '--no-backup'))).out, 'version 1.0.0 is deployed\n')
  })
})
