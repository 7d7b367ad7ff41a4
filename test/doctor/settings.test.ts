import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ROTATE_EXIT, type RotateParts, rotateKeys } from '../../src/cli/rotate-keys.ts'
import { readConfig } from '../../src/config.ts'
import type { Context } from '../../src/doctor/check.ts'
import { checks } from '../../src/doctor/checks.ts'
import { createInstallation, type Installation, look, type Made, machine, makeCertificate, strong } from './installation.ts'

let installation: Installation
before(async () => {
  installation = await createInstallation(`postgres://earthflow:${strong()}@127.0.0.1:5432/earthflow`)
})
after(() => installation.remove())

const at = (host: string, password = strong()) => `postgres://role:${password}@${host}:5432/x`
const same = strong()
const text32 = Buffer.from('Pack my box with 5 dozen liquors')
const spaced = Buffer.from(Array.from({ length: 32 }, (_, i) => i * 3))
const issuer = (url: string) => JSON.stringify([{ issuer: url, audience: 'a', roles: { x: 'viewer' }, tenant: '*' }])

type Case = [check: string, settings: Record<string, string>, expected: RegExp, more?: Partial<Context>]
const cases: Case[] = [
  ['environment', { EARTHFLOW_ENV: 'development' }, /^fail: EARTHFLOW_ENV=development/],
  ['environment', { EARTHFLOW_ENV: 'staging' }, /^warn: EARTHFLOW_ENV=staging/],
  ['settings', { EARTHFLOW_PROT: '1' }, /^warn: EARTHFLOW_PROT: no settings/],
  ['log-level', { EARTHFLOW_LOG_LEVEL: 'DEBUG' }, /^warn: EARTHFLOW_LOG_LEVEL=DEBUG/],
  ['node', {}, /^fail: Node.js v24.2.0 is older than 24/, { nodeVersion: 'v24.2.0' }],
  ['node', { NODE_OPTIONS: '--max-old-space-size=1 --tls-keylog=/tmp/x' }, /^fail: NODE_OPTIONS holds --tls-keylog: /],
  ['node', { NODE_OPTIONS: '-r /tmp/x.js' }, /^warn: NODE_OPTIONS loads code/],
  ['node', { NODE_DEBUG: 'fs,http' }, /^fail: NODE_DEBUG/],
  ['hashes', { AUDIT_HASH_MODE: 'sha256' }, /^warn: AUDIT_HASH_MODE=sha256/],
  ['hashes', { AUDIT_HASH_PROMPTS: 'false' }, /^warn: AUDIT_HASH_PROMPTS=false/],
  ['retention', { AUDIT_RETENTION_DAYS: '0' }, /^warn: AUDIT_RETENTION_DAYS=0/],
  ['retention', { AUDIT_RETENTION_DAYS: '7' }, /^warn: AUDIT_RETENTION_DAYS is below 30/],
  ['alerts', { AUDIT_CHECKPOINT_SINK: '' }, /^warn: AUDIT_CHECKPOINT_SINK is not set/],
  ['alerts', { AUDIT_CHECKPOINT_SINK: '/nowhere/at/all' }, /^fail: AUDIT_CHECKPOINT_SINK is no directory/],
  ['alerts', { AUDIT_CHECKPOINT_SINK: 'http://sink.internal/x' }, /^warn: AUDIT_CHECKPOINT_SINK is spoken to in clear/],
  ['alerts', { AUDIT_CHECKPOINT_SINK: 'https://sink.example/x', EARTHFLOW_LOCALITY: 'eu' }, /^fail: AUDIT_CHECKPOINT_SINK is on the internet/],
  ['disk', {}, /^fail: AUDIT_SPOOL_DIR lies in memory/, { volumeOf: () => ({ kind: 'memory', freeBytes: 2 ** 40 }) }],
  ['disk', {}, /^warn: AUDIT_SPOOL_DIR lies in the container/, { volumeOf: () => ({ kind: 'container', freeBytes: 2 ** 40 }) }],
  ['disk', {}, /^warn: Less than 2 GiB/, { volumeOf: () => ({ kind: 'disk', freeBytes: 2 ** 30 }) }],
  ['default-limit', { RATE_LIMIT_DEFAULT_RPM: '1000000' }, /^warn: RATE_LIMIT_DEFAULT_RPM is above/],
  ['default-limit', { BUDGET_ENFORCE: 'false' }, /^warn: BUDGET_ENFORCE=false/],

  ['admin-key', { EARTHFLOW_ADMIN_API_KEY: 'changeme-k9Zs8dfTq2Lw0xVb7Rn4Yc1Hm6Jg3' }, /^fail: EARTHFLOW_ADMIN_API_KEY does not look random/],
  ['admin-key', { EARTHFLOW_ADMIN_API_KEY: 'aaaaaaaaaaaaaaaaaaaaaaaaabcdxyzwvutsr' }, /^fail: EARTHFLOW_ADMIN_API_KEY does not look random/],
  ['master-key', { EARTHFLOW_MASTER_KEY: text32.toString('base64url') }, /^fail: EARTHFLOW_MASTER_KEY is made of text or of a pattern/],
  ['master-key', { EARTHFLOW_MASTER_KEY: spaced.toString('base64url') }, /^fail: EARTHFLOW_MASTER_KEY is made of text or of a pattern/],
  ['passwords', { DATABASE_URL: 'postgres://role@db/x' }, /^fail: The database is asked without a password/],
  ['passwords', { DATABASE_URL: 'postgres://role@localhost/x' }, /^warn: The database is asked without a password/],
  ['passwords', { DATABASE_URL: at('db', 'role') }, /^fail: The password in DATABASE_URL or POSTGRES_PASSWORD is the first/],
  ['passwords', { DATABASE_URL: at('db', 'Postgres') }, /^fail: The password in DATABASE_URL or POSTGRES_PASSWORD is the first/],
  ['passwords', { DATABASE_URL: at('db', 'k3%40xQ9') }, /^warn: The password in DATABASE_URL or POSTGRES_PASSWORD has fewer than 12/],
  ['passwords', { REDIS_HOST: 'cache', REDIS_TLS: 'true' }, /^fail: Redis is asked without a password/],
  ['passwords', { REDIS_URL: 'rediss://:foobared@cache' }, /^fail: The password in REDIS_URL or REDIS_PASSWORD is the first/],
  [
    'repeated-secrets',
    { OPENAI_API_KEY: same, REDIS_URL: `rediss://:${same}@cache` },
    /^fail: REDIS_URL or REDIS_PASSWORD and OPENAI_API_KEY hold the same secret/,
  ],

  ['tls', { EARTHFLOW_TLS: 'terminated', TRUSTED_PROXIES: '10.0.0.4' }, /^warn: EARTHFLOW_TLS=terminated/],
  ['tls', { EARTHFLOW_ENV: 'development', EARTHFLOW_TLS: 'auto' }, /^fail: EARTHFLOW_TLS=auto/],
  ['tls', { TRUSTED_PROXIES: '10.0.0.0/8,::/0' }, /^fail: TRUSTED_PROXIES holds every address/],
  ['hosts', { ALLOWED_HOSTS: '' }, /^warn: ALLOWED_HOSTS is empty/],
  ['dashboards-exposed', { ALLOWED_HOSTS: '' }, /^warn: EARTHFLOW_HOST=0\.0\.0\.0 listens on every address, .*\/docs, \/openapi\.json/],
  ['dashboards-exposed', { EARTHFLOW_HOST: '::', ALLOWED_HOSTS: '' }, /^warn: EARTHFLOW_HOST=:: listens on every address/],
  ['hosts', { ALLOWED_ORIGINS: 'http://localhost:3000,http://console.example.com' }, /^fail: ALLOWED_ORIGINS holds http:\/\/console/],
  ['database-tls', { DATABASE_URL: at('db.internal') }, /^fail: PostgreSQL is spoken to in clear/],
  ['database-tls', { DATABASE_URL: `${at('db.internal')}?sslmode=prefer` }, /^fail: PostgreSQL is spoken to in clear/],
  ['database-tls', { DATABASE_URL: `${at('db.internal')}?sslmode=require` }, /^warn: sslmode=require in DATABASE_URL does not verify/],
  ['redis-tls', { REDIS_URL: `redis://:${strong()}@cache` }, /^fail: Redis is spoken to in clear/],
  ['traces', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector.internal:4318' }, /^warn: OTEL_EXPORTER_OTLP_ENDPOINT is spoken to in clear/],
  ['traces', { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://sink.example', EARTHFLOW_LOCALITY: 'eu' }, /^fail: OTEL_EXPORTER_OTLP_ENDPOINT is on the internet/],
  ['identity-providers', { EARTHFLOW_ENV: 'development', OIDC_ISSUERS: issuer('http://idp.example.com') }, /^fail: OIDC_ISSUERS: the keys of http:\/\/idp/],
  [
    'identity-providers',
    { OIDC_ISSUERS: issuer('https://idp.example.com'), EARTHFLOW_LOCALITY: 'local-only' },
    /^fail: OIDC_ISSUERS: the keys of https:\/\/idp\.example\.com are on the internet, which EARTHFLOW_LOCALITY=local-only closes/,
  ],
]

for (const [check, settings, expected, more] of cases) {
  test(`${check} finds ${JSON.stringify(settings).slice(0, 80)}${more ? ` and ${Object.keys(more)}` : ''}`, async () => {
    const found = await look(check, { ...installation.environment, ...settings }, more)
    assert.equal(found.length, 1, found.join(' | '))
    assert.match(found[0] ?? '', expected)
  })
}

test('a good installation gives none of these checks anything to find, nor do good answers to the same questions', async () => {
  const rest = strong()
  const good: Record<string, string>[] = [
    {},
    { DATABASE_URL: `${at('db.internal')}?sslmode=verify-full`, REDIS_URL: `rediss://:${strong()}@cache` },
    { DATABASE_URL: at('db.internal'), POSTGRES_TLS: 'true', POSTGRES_PASSWORD: rest, REDIS_HOST: 'localhost', REDIS_PASSWORD: strong() },
    { ALLOWED_ORIGINS: 'https://console.example.com', OIDC_ISSUERS: issuer('https://idp.example.com'), AUDIT_CHECKPOINT_SINK: 'https://sink.example/x' },
    {
      EARTHFLOW_LOCALITY: 'local-only',
      AUDIT_CHECKPOINT_SINK: 'https://sink.internal/x',
      EGRESS_ALLOW: 'sink.internal,idp.internal',
      OIDC_ISSUERS: issuer('https://idp.internal'),
    },
    { EARTHFLOW_HOST: '127.0.0.1', ALLOWED_HOSTS: '', NODE_OPTIONS: '--max-old-space-size=4096', NODE_DEBUG: 'timer' },
  ]
  for (const settings of good) {
    for (const check of checks.filter((one) => 'run' in one))
      assert.deepEqual(await look(check.name, { ...installation.environment, ...settings }), [], `${check.name} ${JSON.stringify(settings)}`)
  }
})

test('a certificate is found that has ended, ends soon, has not begun, is weak, or is another key’s', async () => {
  const found = async (made: Made, more: Record<string, string> = {}) => {
    const { cert, key } = await makeCertificate(made)
    const paths = { TLS_CERT_PATH: installation.write('other.crt', cert), TLS_KEY_PATH: installation.write('other.key', key) }
    return look('certificate', { ...installation.environment, ...paths, ...more })
  }
  assert.deepEqual(await found({ days: 31 }), [])
  assert.deepEqual(await found({ days: 12 }), ['warn: The certificate of TLS_CERT_PATH expires in 12 days: renew it.'])
  assert.match((await found({ begins: -9, days: -2 })).join(), /^fail: The certificate of TLS_CERT_PATH has expired: renew it\.$/)
  assert.match((await found({ begins: 3 })).join(), /^fail: The certificate of TLS_CERT_PATH is not valid yet/)
  assert.match((await found({ rsaBits: 1024 })).join(), /^fail: The certificate of TLS_CERT_PATH has an RSA key of 1024 bits: use at least 2048\.$/)
  assert.deepEqual(await found({ rsaBits: 2048 }), [])
  const { TLS_KEY_PATH = '' } = installation.environment
  assert.match((await found({}, { TLS_KEY_PATH })).join(), /^fail: TLS_KEY_PATH is not the key/)
  assert.match((await found({}, { TLS_KEY_PATH: installation.write('no.key', 'x') })).join(), /^fail: TLS_KEY_PATH holds no private key/)
  assert.match((await found({}, { TLS_CERT_PATH: installation.write('no.crt', 'x') })).join(), /^fail: TLS_CERT_PATH holds no certificate/)
  const ca = installation.write('ca.crt', (await makeCertificate({ days: 3 })).cert)
  assert.match((await found({}, { TLS_CA_PATH: ca })).join(), /^warn: An authority in TLS_CA_PATH expires in 3 days/)
})

test('a folder or a secret that others may read is found, wherever it comes from', async () => {
  const { dir, environment, write } = installation
  const { EARTHFLOW_ADMIN_API_KEY: key = '', ...rest } = environment
  const data = join(dir, 'data')
  mkdirSync(join(data, 'certs'), { mode: 0o700 })
  const secret = write('admin-key', key)
  const made = write('data/secrets', 'EARTHFLOW_MASTER_KEY=x')
  const server = write('data/certs/server.pem', 'x')
  const owner = write('data/owner', 'password of the first run')
  const given = { ...rest, EARTHFLOW_ADMIN_API_KEY_FILE: secret }
  const path = write('.env', 'A=1')
  const find = (text: string) => look('files', given, { dotenv: { path, text } })
  write('data/certs/ca.pem', 'x', 0o644)
  assert.deepEqual(await find('RATE_LIMIT_DEFAULT_RPM=9\nOPENAI_API_KEY='), [])
  for (const [file, mode] of [
    [secret, 0o604],
    [made, 0o644],
    [server, 0o606],
    [owner, 0o644],
    [environment.TLS_KEY_PATH ?? '', 0o644],
  ] as const) {
    chmodSync(file, mode)
    assert.deepEqual(await find(''), [`fail: ${file} can be read by everybody: chmod 600 ${file}.`])
    chmodSync(file, 0o640)
    assert.deepEqual(await find(''), [`warn: ${file} can be read by its group: chmod 600 ${file}.`])
    chmodSync(file, 0o600)
  }
  chmodSync(path, 0o644)
  assert.deepEqual(await find('RATE_LIMIT_DEFAULT_RPM=9\n#OPENAI_API_KEY=sk-x'), [])
  assert.deepEqual(await find('export OPENAI_API_KEY=sk-x'), [`fail: ${path} can be read by everybody: chmod 600 ${path}.`])
  chmodSync(data, 0o750)
  assert.deepEqual(await find(''), [`fail: The folder ${data} is open to its group: chmod 700 ${data}.`])
  chmodSync(data, 0o700)
})

test('a path that cannot be looked at is a finding of its own, and takes none of the others away', async () => {
  const { dir, environment, write } = installation
  const loop = join(dir, 'loop')
  symlinkSync(loop, loop)
  const long = join(dir, 'x'.repeat(300))
  const open = write('data/demo', 'x', 0o644)
  const { OPENAI_API_KEY: _, ...rest } = environment
  const given: Record<string, string> = { ...rest, OPENAI_API_KEY_FILE: loop, GEMINI_API_KEY_FILE: long }
  const files = checks.find(({ name }) => name === 'files')
  assert.ok(files && 'run' in files)
  const context = { config: readConfig(environment, { dotenv: null, provide: () => assert.fail() }), given, dotenv: null, lookup: async () => [], ...machine }
  const found = (await files.run(context)).map(({ sentence }) => sentence)
  rmSync(open)
  assert.equal(found.length, 3, found.join(' | '))
  assert.equal(found[0], `${open} can be read by everybody: chmod 600 ${open}.`)
  assert.match(found[1] ?? '', /loop cannot be looked at \(ELOOP\): see where it leads, and that this user may\.$/)
  assert.match(found[2] ?? '', /cannot be looked at \(ENAMETOOLONG\)/)
})

test('every command that a sentence names is one that the program takes, and every path one that it answers', async () => {
  const folder = new URL('../../src/doctor/checks/', import.meta.url)
  const text = readdirSync(folder)
    .map((name) => readFileSync(new URL(name, folder), 'utf8'))
    .join('\n')
  const commands = [...text.matchAll(/earthflow rotate-keys((?: --[a-z-]+(?: [A-Z]+)?)*)/g)].map(([, args = '']) => args.trim().split(' ').filter(Boolean))
  assert.ok(commands.length >= 3)
  const terminal = { read: async () => '', out: () => {}, error: () => {} }
  const parts = { isTerminal: false, open: () => Promise.reject(new Error('taken')), sentenceFor: () => '' } as unknown as RotateParts
  for (const args of commands) assert.notEqual(await rotateKeys(args, terminal, parts), ROTATE_EXIT.usage, args.join(' '))
  const routes = readdirSync(new URL('../../src/admin/', import.meta.url), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(new URL(`../../src/admin/${name}`, import.meta.url), 'utf8'))
    .join('\n')
  const paths = [...text.matchAll(/(GET|POST|PATCH|PUT|DELETE) (\/v1\/[\w/{}-]+)/g)]
  assert.ok(paths.length >= 3)
  for (const [said, method, path] of paths) assert.ok(routes.includes(`method: '${method}',\n      path: '${path}',`), said)
})
