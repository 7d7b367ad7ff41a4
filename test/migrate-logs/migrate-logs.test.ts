import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { appendFileSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, test } from 'node:test'
import { exits } from '../../src/migrate-logs/migrate-logs.ts'
import { USAGE } from '../../src/migrate-logs/options.ts'
import { fields } from '../../src/migrate-logs/read-line.ts'
import { textFields } from '../../src/migrate-logs/unknown-fields.ts'
import { createFolder, type Ended } from './running.ts'

const project = dirname(dirname(import.meta.dirname))
const one = '{"ts":1709294400,"action":"WARN","prompt":"Hello","tenant":"acme"}\n'
const BAR_GONE = '\r\u001B[K'
const two = '{"ts":1709294401,"action":"BLOCK"}\n'

let at: ReturnType<typeof createFolder>
let args: string[]
beforeEach(() => {
  at = createFolder()
  args = ['--input', at.path('v1.jsonl'), '--output', at.path('v2.jsonl')]
  at.write('v1.jsonl', one + two)
})
afterEach(() => at.remove())

const rowsIn = (name: string): { status: string; prompt_hash: string | null; tenant_id: string | null }[] =>
  at
    .read(name)
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

test('a log becomes a file of entries, and only that', async () => {
  const { code, out, error } = await at.run([...args, '--from-version', '1', '--to-version', '2'])
  assert.deepEqual([code, error], [exits.done.code, ''])
  assert.equal(out, `2 lines: 2 rows, 0 rejected, 0 blank\nrows in ${at.path('v2.jsonl')}\n`)
  assert.deepEqual(at.names(), ['v1.jsonl', 'v2.jsonl'])
  assert.deepEqual(
    rowsIn('v2.jsonl').map(({ status, prompt_hash, tenant_id }) => [status, prompt_hash, tenant_id]),
    [
      ['WARN', 'sha256:185f8db32271fe25f561a6fc938b2e264306ec304eda518007d1764826381969', 'acme'],
      ['BLOCK', null, null],
    ],
  )
  assert.equal(at.read('v1.jsonl'), one + two)
})

test('what is rejected is told with its line, kept unchanged, and said by the exit code', async () => {
  at.write('v1.jsonl', `${one}secret nonsense\r\n\n${two}`)
  const { code, out, error } = await at.run(args)
  assert.equal(code, exits.rejected.code)
  assert.match(out, /^4 lines: 2 rows, 1 rejected, 1 blank\n/)
  assert.equal(error, 'line 2: it is not JSON\n')
  assert.equal(at.read('v2.jsonl.rejected'), 'secret nonsense\r\n')
})

test('twenty rejected lines are named, and with --verbose all', async () => {
  at.write('v1.jsonl', 'x\n'.repeat(30))
  const brief = await at.run(args)
  assert.equal(brief.error.split('\n').length, 20 + 1 + 1)
  assert.match(brief.error, /\nmore lines are rejected; --verbose names them all\n$/)
  const whole = await at.run([...args, '--backup', '--verbose'])
  assert.match(whole.error, /\nline 30: it is not JSON\n$/)
})

test('a dry run writes nothing and says what would be', async () => {
  at.write('v1.jsonl', `${one}nonsense\n`)
  const { code, out, error } = await at.run([...args, '--dry-run', '--backup'])
  assert.deepEqual([code, error], [exits.rejected.code, 'line 2: it is not JSON\n'])
  assert.match(
    out,
    /^2 lines: 1 rows, 1 rejected, 0 blank\nrows would be in .*\nrejected lines would be, unchanged, in .*\nnothing was written: this was a dry run\n$/,
  )
  assert.deepEqual(at.names(), ['v1.jsonl'])
})

test('what another run made meanwhile is not replaced either', async () => {
  const stdin = Readable.from(
    (function* () {
      at.write('v2.jsonl', 'of another run')
      at.write('v2.jsonl.rejected', 'rejected there')
      yield Buffer.from(one)
    })(),
  )
  const { code, error } = await at.run([...args.map((arg) => (arg.endsWith('v1.jsonl') ? '-' : arg))], { stdin })
  assert.equal(code, exits.failed.code)
  assert.match(error, /v2\.jsonl was made by somebody else meanwhile/)
  assert.deepEqual(at.names(), ['v1.jsonl', 'v2.jsonl', 'v2.jsonl.rejected'])
  assert.deepEqual([at.read('v2.jsonl'), at.read('v2.jsonl.rejected')], ['of another run', 'rejected there'])
})

test('nothing is replaced that is not copied first, and no copy replaces another', async () => {
  at.write('v2.jsonl', 'old')
  const refused = await at.run(args)
  assert.equal(refused.code, exits.failed.code)
  assert.match(refused.error, /v2\.jsonl is there already; name another --output, move it away, or say --backup/)
  assert.equal(at.read('v2.jsonl'), 'old')

  at.write('v2.jsonl.rejected', 'old rejected')
  assert.equal((await at.run([...args, '--backup'])).code, exits.done.code)
  assert.equal((await at.run([...args, '--backup'])).code, exits.done.code)
  assert.deepEqual(at.names(), [
    'v1.jsonl',
    'v1.jsonl.backup-1',
    'v1.jsonl.backup-2',
    'v2.jsonl',
    'v2.jsonl.backup-1',
    'v2.jsonl.backup-2',
    'v2.jsonl.rejected.backup-1', // The old one is gone, for nothing was rejected now.
  ])
  assert.deepEqual([at.read('v2.jsonl.backup-1'), at.read('v2.jsonl.rejected.backup-1'), at.read('v1.jsonl.backup-2')], ['old', 'old rejected', one + two])
  assert.equal(at.read('v2.jsonl.backup-2'), at.read('v2.jsonl'))
})

test('a log may replace itself, through a link too, where it is copied first', async () => {
  symlinkSync(at.path('v1.jsonl'), at.path('link'))
  const here = ['--input', at.path('v1.jsonl'), '--output', at.path('link')]
  assert.equal((await at.run(here)).code, exits.failed.code)
  assert.equal((await at.run([...here, '--backup'])).code, exits.done.code)
  assert.equal(rowsIn('v1.jsonl').length, 2)
  assert.deepEqual(at.names(), ['link', 'v1.jsonl', 'v1.jsonl.backup-1'])
  assert.equal(at.read('v1.jsonl.backup-1'), one + two)
})

test('a log that something still writes to, or empties, does not replace itself', async () => {
  for (const change of [() => at.write('v1.jsonl', ''), () => appendFileSync(at.path('v1.jsonl'), two)]) {
    at.write('v1.jsonl', one)
    const write = (text: string): void => void (text === BAR_GONE && change()) // It goes when all was read.
    const { code } = await at.run(['--input', at.path('v1.jsonl'), '--output', at.path('v1.jsonl'), '--backup'], { screen: { isTerminal: true, write } })
    assert.equal(code, exits.failed.code)
    assert.doesNotMatch(at.read('v1.jsonl'), /audit_id/)
  }
  assert.deepEqual(at.names(), ['v1.jsonl', 'v1.jsonl.backup-1', 'v1.jsonl.backup-2'])
})

test('a run that fails leaves no file behind', async () => {
  const interrupted = new AbortController()
  interrupted.abort()
  const { code, error } = await at.run(args, { signal: interrupted.signal })
  assert.deepEqual([code, error], [exits.failed.code, 'It was interrupted.\n'])
  assert.deepEqual(at.names(), ['v1.jsonl'])
})

test('what keeps a log from being imported is said in a sentence that quotes nothing', async () => {
  const away = Object.assign(new Error('MARKED'), { code: 'ECONNREFUSED' })
  const refused = new Error('MARKED', { cause: Object.assign(new Error('MARKED'), { code: '28P01' }) })
  for (const [error, said] of [
    [away, /^The database does not answer; check DATABASE_URL or POSTGRES_HOST\.\n$/],
    [refused, /^The database refuses \(28P01\); check DATABASE_URL/],
    [new TypeError('MARKED'), /^Something unexpected happened: \{"error":"TypeError"/],
  ] as const) {
    const ended = await at.run([...args, '--import'], { openStore: () => Promise.reject(error) })
    assert.equal(ended.code, exits.failed.code)
    assert.match(ended.error, said)
    assert.doesNotMatch(ended.error, /MARKED/)
  }
  assert.deepEqual(at.names(), ['v1.jsonl'])
})

test('standard input is read, and what is not text is refused with the command that makes it text', async () => {
  const to = ['--input', '-', '--output', at.path('v2.jsonl')]
  assert.equal((await at.run(to, { stdin: Readable.from([Buffer.from(one)]) })).code, exits.done.code)
  assert.equal(rowsIn('v2.jsonl').length, 1)
  at.write('v1.gz', Buffer.from([0x1f, 0x8b, 8, 0]))
  at.write('v1.utf16', Buffer.from('\uFEFF{}', 'utf16le'))
  for (const [name, said] of [
    ['v1.gz', /is compressed: gunzip -c FILE \| scripts\/migrate-logs --input -/],
    ['v1.utf16', /is UTF-16: iconv/],
  ] as const) {
    const { code, error } = await at.run(['--input', at.path(name), '--output', at.path('none')])
    assert.deepEqual([code, said.test(error)], [exits.failed.code, true], error)
  }
  assert.equal(at.names().includes('none'), false)
})

test('prompts are hashed as the settings say', async () => {
  await at.run(args, { settings: { hashPrompts: false } })
  assert.equal(rowsIn('v2.jsonl')[0]?.prompt_hash, null)
  const keyed = await at.run([...args, '--backup'], { settings: { hashMode: 'hmac-sha256' } })
  assert.equal(keyed.code, exits.failed.code)
  assert.match(keyed.error, /AUDIT_HASH_MODE=hmac-sha256 hashes under keys that are in the database: say --import, or AUDIT_HASH_MODE=sha256\./)
})

test('tenants are renamed, those without a name too', async () => {
  await at.run([...args, '--tenant-map', 'acme=t_1', '--tenant-map', '=t_2'])
  assert.deepEqual(
    rowsIn('v2.jsonl').map(({ tenant_id }) => tenant_id),
    ['t_1', 't_2'],
  )
})

test('a bar is drawn on a terminal and nowhere else, and sentences stand apart from it', async () => {
  at.write('v1.jsonl', `${one}nonsense\n`)
  let shown = ''
  const screen = { isTerminal: true, write: (text: string) => void (shown += text) }
  await at.run(args, { screen })
  assert.match(shown, /line 2: it is not JSON\n/)
  assert.match(shown, /\[#{30}\] 100 % {2}2 lines, 1 rejected/)
  assert.ok(shown.endsWith(BAR_GONE))
})

test('arguments that make no sense are answered with what to write instead', async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /^Say with --input which log/],
    [['--input', 'a'], /^Say with --output where the entries shall go, or --import/],
    [['--input', 'a', '--output', '-'], /^The output appears whole or not at all/],
    [['--input', '-', '--import'], /^Say with --output where lines that are rejected shall go/],
    [['--input', '-', '--output', 'b', '--backup'], /^Standard input cannot be copied/],
    [['--input', 'a', '--output', 'b', '--from-version', '2'], /^Only --from-version 1 with --to-version 2/],
    [['--input', 'a', '--output', 'b', '--to-version', '3'], /^Only --from-version 1 with --to-version 2/],
    [['--input', 'a', '--output', 'b', '--tenant-map', 'acme'], /^Write --tenant-map V1=ID/],
    [['--input', 'a', '--output', 'b', '--tenant-map', 'a=t_1', '--tenant-map', 'a=t_2'], /^Say for each tenant/],
    [['--inputs', 'a'], /^Unknown option '--inputs'/],
    [['a'], /^Unexpected argument/],
  ]
  for (const [given, said] of cases) {
    const { code, out, error } = await at.run(given)
    assert.deepEqual([code, out], [exits.usage.code, ''])
    assert.match(error, said)
    assert.ok(error.endsWith(`\n\n${USAGE}`))
  }
  assert.deepEqual(await at.run(['--help']), { code: 0, out: USAGE, error: '' } satisfies Ended)
  for (const [given, said] of [
    [['--input', at.path('none'), '--output', at.path('b')], /none cannot be read or written: there is no such file or folder/],
    [['--input', at.folder, '--output', at.path('b')], /it is a folder/],
    [['--input', at.path('v1.jsonl'), '--output', join(at.folder, 'none', 'b')], /there is no such file or folder/],
    [['--input', at.path('v1.jsonl'), '--output', '/dev/null'], /is there and no regular file/],
  ] as const) {
    const { code, error } = await at.run(given)
    assert.deepEqual([code, said.test(error)], [exits.failed.code, true], error)
  }
})

test('scripts/migrate-logs runs from any folder and through a link, with the Node it finds', () => {
  symlinkSync(join(project, 'scripts', 'migrate-logs'), at.path('migrate'))
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: at.folder }
  const { status, stdout, stderr } = spawnSync('./migrate', ['--input', 'v1.jsonl', '--output', 'v2.jsonl'], { cwd: at.folder, env, encoding: 'utf8' })
  assert.deepEqual([status, stdout, stderr], [0, '2 lines: 2 rows, 0 rejected, 0 blank\nrows in v2.jsonl\n', ''])
  assert.equal(rowsIn('v2.jsonl').length, 2)
})

test('scripts/README.md tells the options, the fields and the exit codes as the code has them', () => {
  const readme = readFileSync(join(project, 'scripts', 'README.md'), 'utf8')
  const rows = readme.split('\n')
  for (const [name, { to, about }] of Object.entries(fields)) assert.ok(rows.includes(`| \`${name}\` | \`${to}\` | ${about} |`.replace('|  |', '| |')), name)
  for (const { code, about } of Object.values(exits)) assert.ok(rows.includes(`| ${code} | ${about} |`), String(code))
  assert.ok(
    readme.includes(
      USAGE.split('\n')
        .map((text) => `    ${text}`.trimEnd())
        .join('\n')
        .trimEnd(),
    ),
  )
  assert.ok(readme.includes(textFields.map((name) => `\`${name}\``).join(', ')))
})
