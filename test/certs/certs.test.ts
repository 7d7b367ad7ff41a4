import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type CertsParts, certs } from '../../src/certs/certs.ts'
import { readOrNull } from '../../src/config.ts'

const DAY_MS = 86_400_000
const dir = mkdtempSync(join(tmpdir(), 'earthflow-certs-'))
const path = (...names: string[]): string => join(dir, ...names)
after(() => rmSync(dir, { recursive: true, force: true }))

async function run(args: readonly string[], more: Partial<CertsParts> = {}) {
  const ended = { code: 0, out: '', error: '' }
  const terminal = { out: (text: string) => void (ended.out += text), error: (text: string) => void (ended.error += text) }
  ended.code = await certs(args, terminal, {
    environment: { PATH: `${path('bin')}:${process.env.PATH}`, RECORD: path('record') },
    settings: () => ({ cert: null, key: null, developmentDir: path('development') }),
    readOrNull,
    now: Date.now,
    signal: new AbortController().signal,
    launcher: '/opt/earthflow/scripts/certificates',
    ...more,
  })
  return ended
}
const served = (name: string): string[] => ['--cert', path(name, 'tls.crt'), '--key', path(name, 'tls.key')]

before(async () => {
  // What certbot would have got: a pair of an authority of ours.
  assert.equal((await run(['development', '--host', 'earthflow.example.com', ...served('made')])).code, 0)
  mkdirSync(path('bin'))
  writeFileSync(
    path('bin', 'certbot'),
    `#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word" >> "$RECORD"; done
while [ $# -gt 0 ]; do case "$1" in --config-dir) dir=$2;; --cert-name) name=$2;; esac; shift; done
[ "$name" = refused.example.com ] && { echo 'Some challenges have failed.' >&2; exit 1; }
mkdir -p "$dir/live/$name"
cp "${path('made', 'tls.crt')}" "$dir/live/$name/fullchain.pem"
cp "${path('made', 'tls.key')}" "$dir/live/$name/privkey.pem"
`,
  )
  chmodSync(path('bin', 'certbot'), 0o755)
})

test('a development certificate is made once, and served from where it is told', async () => {
  const before = readFileSync(path('made', 'tls.crt'), 'utf8')
  const { code, out } = await run(['development', '--host', 'earthflow.example.com', ...served('made')])
  assert.equal(code, 0)
  assert.ok(out.includes(path('development', 'ca.pem')))
  assert.equal(readFileSync(path('made', 'tls.crt'), 'utf8'), before)
  assert.equal(statSync(path('made', 'tls.key')).mode & 0o777, 0o600)
  assert.match((await run(['development', '--host', 'no host'])).error, /neither a name nor an address/)
})

test('what a certificate says is shown, and it is told whether key and chain fit', async () => {
  const { code, out } = await run(['show', ...served('made')])
  assert.equal(code, 0, out)
  assert.match(out, /for {6}localhost, .*earthflow\.example\.com\n/)
  assert.match(out, /key {6}fits\n/)
  const { code: told, out: json } = await run(['show', '--json', ...served('made')])
  const facts = JSON.parse(json)
  assert.deepEqual([told, facts.key_matches, facts.chain.length, facts.key_type, facts.problems], [0, true, 1, 'ec', []])
})

test('one that ends soon, has ended, has another key or no chain is told of, and the exit code says so', async () => {
  const [leaf = ''] = readFileSync(path('made', 'tls.crt'), 'utf8').match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----\n/g) ?? []
  await run(['development', '--dir', path('other'), ...served('other')])
  writeFileSync(path('leaf.pem'), leaf)
  writeFileSync(path('wrong.pem'), leaf + readFileSync(path('other', 'tls.crt'), 'utf8'))
  const at = (days: number) => ({ now: () => Date.now() + days * DAY_MS })
  for (const [args, more, said] of [
    [served('made'), at(390), /It expires in \d+ days\./],
    [served('made'), at(400), /It expired on /],
    [served('made'), at(-30), /It is not valid yet/],
    [['--cert', path('made', 'tls.crt'), '--key', path('other', 'tls.key')], {}, /The key is not the one/],
    [['--cert', path('leaf.pem')], {}, /The chain is missing/],
    [['--cert', path('wrong.pem')], {}, /The chain is broken/],
  ] as const) {
    const { code, out } = await run(['show', ...args], more)
    assert.deepEqual([code, said.test(out)], [1, true], out)
  }
  assert.match((await run(['show', '--cert', path('made', 'tls.key')])).error, /no certificate in the file/)
  assert.match((await run(['show', '--cert', path('nowhere')])).error, /cannot be read/)
  assert.equal((await run(['show'])).code, 64)
})

test('certbot is asked for exactly what was said, its certificate is installed, and renewals are installed by the same launcher', async () => {
  rmSync(path('record'), { force: true })
  const args = ['letsencrypt', '--domain', 'earthflow.example.com', '--domain', 'ai.example.com', '--email', 'ops@example.com', '--webroot', path('web root')]
  const { code, out, error } = await run([...args, '--dir', path('certbot'), ...served('live')])
  assert.deepEqual([code, error], [0, ''])
  assert.match(out, /certbot installs its renewals/)
  const words = readFileSync(path('record'), 'utf8').trimEnd().split('\n')
  assert.deepEqual(words, [
    'certonly',
    '--non-interactive',
    '--agree-tos',
    '--email',
    'ops@example.com',
    '--cert-name',
    'earthflow.example.com',
    '--domain',
    'earthflow.example.com',
    '--domain',
    'ai.example.com',
    '--webroot',
    '--webroot-path',
    path('web root'),
    '--key-type',
    'ecdsa',
    '--deploy-hook',
    `/opt/earthflow/scripts/certificates install --cert ${path('live', 'tls.crt')} --key ${path('live', 'tls.key')}`,
    '--config-dir',
    path('certbot'),
    '--work-dir',
    path('certbot', 'work'),
    '--logs-dir',
    path('certbot', 'logs'),
  ])
  assert.equal(readFileSync(path('live', 'tls.crt'), 'utf8'), readFileSync(path('made', 'tls.crt'), 'utf8'))
  assert.equal(statSync(path('live', 'tls.key')).mode & 0o777, 0o600)
})

test('a renewal is installed from where certbot says it is, whole, and a second time nothing changes', async () => {
  const environment = { RENEWED_LINEAGE: path('certbot', 'live', 'earthflow.example.com') }
  const first = await run(['install', ...served('renewed')], { environment })
  const inode = statSync(path('renewed', 'tls.crt')).ino
  const second = await run(['install', ...served('renewed')], { environment })
  assert.deepEqual([first.code, second.code, /holds it already/.test(second.out)], [0, 0, true])
  assert.equal(statSync(path('renewed', 'tls.crt')).ino, inode)
})

test('a pair that does not fit is not installed, and what was there stays', async () => {
  mkdirSync(path('unfit'))
  writeFileSync(path('unfit', 'fullchain.pem'), readFileSync(path('made', 'tls.crt')))
  writeFileSync(path('unfit', 'privkey.pem'), readFileSync(path('other', 'tls.key')))
  const before = readFileSync(path('live', 'tls.crt'), 'utf8')
  const { code, error } = await run(['install', '--from', path('unfit'), ...served('live')])
  assert.equal(code, 1)
  assert.match(error, /was not installed\. The key is not the one/)
  assert.equal(readFileSync(path('live', 'tls.crt'), 'utf8'), before)
  assert.match((await run(['install', '--from', path('nowhere'), ...served('live')])).error, /does not hold fullchain\.pem/)
})

test('where certbot fails or is missing it is said, and nothing is installed', async () => {
  const args = ['letsencrypt', '--domain', 'refused.example.com', '--email', 'ops@example.com', '--standalone', '--dir', path('certbot'), ...served('none')]
  assert.match((await run(args)).error, /certbot failed: Some challenges have failed\./)
  assert.match((await run(args, { environment: { PATH: path('nowhere') } })).error, /certbot is not on this machine: install it/)
  assert.throws(() => statSync(path('none')))
})

test('arguments that make no sense print what to write instead', async () => {
  const both = ['letsencrypt', '--domain', 'a.example.com', '--email', 'a@example.com', ...served('live')]
  for (const args of [
    [],
    ['forge'],
    ['show', 'more'],
    ['development', '--json'],
    both,
    [...both, '--standalone', '--webroot', 'x'],
    ['letsencrypt', '--email', 'a@example.com', '--standalone', ...served('live')],
    ['letsencrypt', '--domain', '--flag', '--email', 'a@example.com', '--standalone', ...served('live')],
    ['letsencrypt', '--domain', 'a.example.com', '--email', 'a', '--standalone', ...served('live')],
    ['letsencrypt', '--domain', 'a.example.com', '--email', 'a@example.com', '--standalone'],
  ]) {
    const { code, error } = await run(args)
    assert.equal(code, 64, args.join(' '))
    assert.match(error, /earthflow certs show/)
  }
})
