import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { settings } from '../../src/settings.ts'
import { STOP_SECONDS_MORE, wrongSettings } from './settings-named.ts'
import { readUnit } from './unit-file.ts'
import { wrongCommand } from './verbs-named.ts'

const root = join(import.meta.dirname, '..', '..')
const units = new Map(
  globSync('scripts/systemd/*.{service,timer}', { cwd: root }).map((path) => [basename(path), readUnit(readFileSync(join(root, path), 'utf8'))]),
)
const services = [...units].filter(([name]) => name.endsWith('.service'))
const INSTALLED = '/opt/earthflow/current/'

test('there is a service for the program, and a timer for each thing that is done now and then', () => {
  assert.ok(units.has('earthflow.service'))
  const timed = services.filter(([name]) => name !== 'earthflow.service' && !name.includes('@'))
  for (const [name, { Install }] of timed) {
    assert.equal(Install, undefined, `${name} is started by its timer`)
    const timer = units.get(name.replace('.service', '.timer'))
    assert.ok(timer?.Timer?.OnCalendar?.[0], name)
    assert.deepEqual(timer.Timer.Persistent, ['yes'], name)
    assert.deepEqual(timer.Install?.WantedBy, ['timers.target'], name)
  }
  assert.equal(timed.length, [...units.keys()].filter((name) => name.endsWith('.timer')).length)
})

test('every command is a program of the project and, where it is `earthflow`, a verb with options it has', async () => {
  for (const [name, { Service }] of services) {
    const [program = '', ...args] = Service?.ExecStart?.[0]?.split(' ') ?? []
    assert.ok(program.startsWith(INSTALLED), name)
    assert.match(readFileSync(join(root, program.slice(INSTALLED.length)), 'utf8'), /^#!\/bin\/sh\n/, name)
    if (program.endsWith('/earthflow')) assert.deepEqual(await wrongCommand(args), [], name)
  }
})

test('every variable is a setting, and every secret a file that systemd shows to the unit', () => {
  for (const [name, { Service }] of services) {
    const environment = Object.fromEntries((Service?.Environment ?? []).map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
    const credentials = (Service?.LoadCredential ?? []).map((line) => line.split(':', 1)[0])
    const files = Object.entries(environment).filter(([variable]) => variable.endsWith('_FILE'))
    assert.deepEqual(
      wrongSettings(Object.fromEntries(Object.entries(environment).map(([variable, value]) => [variable, value.replace('%d', '/run')]))),
      [],
      name,
    )
    assert.deepEqual(files.map(([, path]) => path).toSorted(), credentials.map((credential) => `%d/${credential}`).toSorted(), name)
  }
})

test('the program has the time to end its calls, ends its workers itself, and is not tried again with settings that cannot be used', () => {
  const { Service } = units.get('earthflow.service') ?? {}
  assert.ok(Number(Service?.TimeoutStopSec?.[0]) >= Number(settings.EARTHFLOW_DRAIN_SECONDS.default) + STOP_SECONDS_MORE)
  assert.deepEqual([Service?.KillMode, Service?.KillSignal], [['mixed'], ['SIGTERM']])
  assert.deepEqual([Service?.Restart, Service?.RestartPreventExitStatus], [['on-failure'], ['78']])
})

test('every service is an ordinary user’s, without rights, and can write to nothing but its state', () => {
  const wanted = {
    User: 'earthflow',
    NoNewPrivileges: 'yes',
    ProtectSystem: 'strict',
    ProtectHome: 'yes',
    PrivateTmp: 'yes',
    PrivateDevices: 'yes',
    ProtectKernelModules: 'yes',
    ProtectKernelTunables: 'yes',
    ProtectControlGroups: 'yes',
    RestrictNamespaces: 'yes',
    RestrictSUIDSGID: 'yes',
    LockPersonality: 'yes',
    CapabilityBoundingSet: '',
    SystemCallArchitectures: 'native',
    UMask: '0077',
    StateDirectoryMode: '0700',
  }
  for (const [name, { Service = {} }] of services) {
    for (const [key, value] of Object.entries(wanted)) assert.deepEqual(Service[key], [value], `${name}: ${key}`)
    assert.deepEqual(Service.SystemCallFilter, ['@system-service', '~@privileged'], name)
    assert.equal(Service.MemoryDenyWriteExecute, undefined, `${name}: V8 compiles`)
    assert.ok(Service.StateDirectory?.[0]?.split(' ').includes('earthflow'), name)
  }
})
