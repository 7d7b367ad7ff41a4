import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { after, test } from 'node:test'
import { parse } from 'yaml'
import { settings } from '../../src/settings.ts'
import { type KubernetesObject, problemsOf } from './kubernetes-object.ts'

const root = join(import.meta.dirname, '..', '..')
const folder = mkdtempSync(join(tmpdir(), 'earthflow-secrets-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const run = (script: string, args: readonly string[], environment: Record<string, string> = {}) =>
  spawnSync('/bin/sh', [join(root, script), ...args], { cwd: folder, env: { PATH: process.env.PATH ?? '', ...environment }, encoding: 'utf8' })

/** Whether the program takes them for its keys. Throws where not. */
function assertKeys(masterKey: string, adminKey: string): void {
  assert.equal(settings.EARTHFLOW_MASTER_KEY.parse(masterKey).length, 1)
  assert.equal(settings.EARTHFLOW_ADMIN_API_KEY.parse(adminKey), adminKey)
  assert.notEqual(masterKey, adminKey)
}

test('secrets for Compose are files that the program takes, readable in a folder that is its owner’s alone, and kept the next time', () => {
  const made = join(folder, 'secrets')
  assert.equal(run('scripts/make-secrets', [made]).status, 0)
  const names = readdirSync(made).toSorted()
  assert.deepEqual(names, ['admin-api-key', 'master-key', 'postgres-password', 'redis-password'])
  const read = (name: string): string => readFileSync(join(made, name), 'utf8')
  assertKeys(read('master-key'), read('admin-api-key'))
  assert.equal(statSync(made).mode & 0o777, 0o700)
  for (const name of names) assert.equal(statSync(join(made, name)).mode & 0o777, 0o444, name)
  assert.equal(new Set(names.map(read)).size, names.length)

  const before = names.map(read)
  rmSync(join(made, 'redis-password'))
  const again = run('scripts/make-secrets', [made])
  assert.equal(again.status, 0)
  assert.deepEqual(
    names.map((name, i) => read(name) === before[i]),
    names.map((name) => name !== 'redis-password'),
  )
  for (const secret of before) assert.ok(!again.stdout.includes(secret))
})

test('the Secret for Kubernetes has keys that the program takes, other ones each time, and passwords that exist already', async () => {
  const print = (environment = {}) => {
    const { status, stdout, stderr } = run('k8s/make-secrets', ['--print'], environment)
    assert.equal(status, 0, stderr)
    const object = parse(stdout) as KubernetesObject & { data: Record<string, string> }
    return { object, data: Object.fromEntries(Object.entries(object.data).map(([name, value]) => [name, Buffer.from(value, 'base64').toString()])) }
  }
  const first = print()
  assert.deepEqual(await problemsOf(first.object), [])
  assertKeys(first.data['master-key'] ?? '', first.data['admin-api-key'] ?? '')
  assert.notEqual(print().data['master-key'], first.data['master-key'])

  const password = join(folder, 'password')
  writeFileSync(password, 'of-postgres\n')
  const given = print({ POSTGRES_PASSWORD_FILE: password, OPENAI_API_KEY_FILE: password }).data
  assert.deepEqual([given['postgres-password'], given['openai-api-key'], given['gemini-api-key']], ['of-postgres', 'of-postgres', undefined])
  const refused = run('k8s/make-secrets', ['--print'], { REDIS_PASSWORD_FILE: join(folder, 'none') })
  assert.equal(refused.status, 1)
  assert.match(refused.stderr, /REDIS_PASSWORD_FILE names a file that is empty or cannot be read/)
})

test('a Secret that exists is not replaced: it is created or refused, and no key stands in a command', () => {
  const bin = mkdtempSync(join(folder, 'bin-'))
  const log = join(folder, 'kubectl.log')
  writeFileSync(
    join(bin, 'kubectl'),
    `#!/bin/sh\necho "$*" >>'${log}'\n[ "$1" = create ] && [ "$2" = -f ] || exit 0\ncat >/dev/null\necho 'AlreadyExists' >&2\nexit 1\n`,
  )
  chmodSync(join(bin, 'kubectl'), 0o755)
  const { status, stderr } = run('k8s/make-secrets', [], { PATH: `${bin}${delimiter}${process.env.PATH}` })
  assert.equal(status, 1)
  assert.match(stderr, /AlreadyExists/)
  assert.deepEqual(readFileSync(log, 'utf8').trim().split('\n'), ['get namespace earthflow', 'create -f -'])
  assert.ok(existsSync(bin))
})
