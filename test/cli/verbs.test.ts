/** The program itself, started as its users start it. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { EXIT } from '../../src/cli/exits.ts'
import { migrate } from '../../src/cli/migrate.ts'
import { usageOf, verbs } from '../../src/verbs.ts'
import { version } from '../../src/version.ts'
import { type Ended, keptTerminal } from './running.ts'

const root = join(import.meta.dirname, '..', '..')
const dir = mkdtempSync(join(tmpdir(), 'earthflow-verbs-'))
after(() => rmSync(dir, { recursive: true, force: true }))

/** With no settings but these, in a folder of its own. */
function run(program: string, args: readonly string[], more: Record<string, string> = {}): Promise<Ended> {
  const env = { PATH: process.env.PATH ?? '', NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? '', EARTHFLOW_DATA_DIR: join(dir, 'data'), ...more }
  return new Promise((resolve) => {
    execFile(program, [...args], { cwd: dir, env }, (error, out, said) => resolve({ code: error === null ? 0 : Number(error.code), out, error: said }))
  })
}
const earthflow = (args: readonly string[], more?: Record<string, string>): Promise<Ended> =>
  run(process.execPath, [join(root, 'src', 'main.ts'), ...args], more)

test('every verb says how it is used without any settings, and help names each with one line', async () => {
  for (const [name, verb] of Object.entries(verbs)) {
    assert.match(await verb.usage([]), new RegExp(`earthflow ${name}|scripts/${name}`), name)
    assert.match(usageOf(), new RegExp(`^ {2}earthflow ${name} +${verb.about.slice(0, 20)}`, 'm'))
  }
  const { code, out, error } = await earthflow(['apply', '--help'])
  assert.deepEqual([code, error], [0, ''])
  assert.match(out, /^earthflow apply -f FILE/)
  assert.equal((await earthflow(['help'])).out, usageOf())
  assert.equal((await earthflow(['version'])).out, `${version}\n`)
})

test('a verb there is not, and arguments that make no sense, end with 64; settings that cannot be used with 78', async () => {
  const [unknown, inherited, usage, settings] = await Promise.all([
    earthflow(['nonsense']),
    earthflow(['constructor']),
    earthflow(['keys', 'list']),
    earthflow(['tenants', 'list'], { EARTHFLOW_URL: 'nonsense' }),
  ])
  assert.deepEqual([unknown.code, inherited.code, usage.code, settings.code], [EXIT.usage, EXIT.usage, EXIT.usage, EXIT.settings])
  assert.match(unknown.error, /^There is no verb "nonsense"\./)
  assert.match(settings.error, /EARTHFLOW_URL must be a URL/)
})

test('migrate makes a database of this version, says how much was missing, and again finds nothing', async () => {
  const first = await earthflow(['migrate'])
  assert.deepEqual([first.code, first.error], [0, ''])
  assert.match(first.out, /^\d+ migrations were applied\n$/)
  const again = await earthflow(['migrate', '--check', '--json'])
  assert.deepEqual([again.code, JSON.parse(again.out)], [0, { pending: 0, applied: 0 }])
})

test('migrate --check changes nothing, and its exit code says that something is missing', async () => {
  const { ended, terminal } = keptTerminal()
  const open = async () => ({ pending: async () => 2, apply: () => assert.fail('nothing is changed'), close: async () => {} })
  ended.code = await migrate(['--check'], terminal, { open, sentenceFor: () => null })
  assert.deepEqual(ended, { code: 1, out: '2 migrations are missing\n', error: '' })
})

test('where there is no database yet migrate --check says so, and makes none', async () => {
  const nowhere = join(dir, 'nowhere')
  const { code, out, error } = await earthflow(['migrate', '--check'], { EARTHFLOW_DATA_DIR: nowhere })
  assert.deepEqual([code, out, existsSync(nowhere)], [1, '', false])
  assert.match(error, /^There is no database in /)
})

/** As `run`, of whom nobody reads the standard output. */
function unread(args: readonly string[]): Promise<Pick<Ended, 'code' | 'error'>> {
  const child = spawn(process.execPath, [join(root, 'src', 'main.ts'), ...args], { cwd: dir, env: { PATH: process.env.PATH ?? '' } })
  child.stdout.destroy()
  let error = ''
  child.stderr.on('data', (chunk: Buffer) => (error += chunk))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code: code ?? -1, error })))
}

test('a reader who leaves is no mistake of the program', async () => {
  for (const args of [['help'], ['backup', '--help'], ['certs', 'development', '--dir', join(dir, 'certs')], ['version']])
    assert.deepEqual(await unread(args), { code: 0, error: '' }, args.join(' '))
})

test('what could not be written down whole ends with 1', { skip: !existsSync('/dev/full') }, async () => {
  assert.equal((await run('/bin/sh', ['-c', `'${process.execPath}' '${join(root, 'src', 'main.ts')}' help > /dev/full`])).code, EXIT.failed)
})

test('a healthcheck without anything to check ends with 1', async () => {
  const { code, error } = await earthflow(['healthcheck', '--plain', '--port', '1'])
  assert.deepEqual([code, /^not well: /.test(error)], [1, true])
})

test('each launcher runs its verb', async () => {
  const launchers = {
    deploy: 'deploy',
    healthcheck: 'healthcheck',
    smoke: 'smoke',
    backup: 'backup',
    restore: 'restore',
    'rotate-keys': 'rotate-keys',
    certificates: 'certs',
    'migrate-logs': 'migrate-logs',
  }
  for (const [name, verb] of Object.entries(launchers)) {
    const path = join(root, 'scripts', name)
    accessSync(path, constants.X_OK)
    const { code, out } = await run(path, ['--help'])
    assert.deepEqual([code, out], [0, await verbs[verb].usage([])], name)
  }
})

test('scripts/README.md tells of every verb with the line the program has for it, and of every exit code', () => {
  const readme = readFileSync(join(root, 'scripts', 'README.md'), 'utf8')
  for (const [name, { about }] of Object.entries(verbs)) assert.ok(readme.includes(`| \`${name}\` | ${about} |`), name)
  for (const code of Object.values(EXIT)) assert.match(readme, new RegExp(`^\\| ${code} \\| `, 'm'))
})
