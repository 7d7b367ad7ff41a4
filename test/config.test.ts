import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { readClientConfig } from '../src/client-config.ts'
import { type Config, ConfigError, readConfig, readStoreConfig } from '../src/config.ts'
import { generateMasterKey } from '../src/crypto/master-key.ts'

const dir = mkdtempSync(join(tmpdir(), 'earthflow-config-'))
after(() => rmSync(dir, { recursive: true }))
const file = (name: string, content: string): string => {
  writeFileSync(join(dir, name), content)
  return join(dir, name)
}
const good = {
  EARTHFLOW_MASTER_KEY: generateMasterKey(),
  EARTHFLOW_ADMIN_API_KEY: 'k9Zs8dfTq2Lw0xVb7Rn4Yc1Hm6Jg3Pe5',
  DATABASE_URL: 'postgres://u:p@db/x',
  TLS_CERT_PATH: file('cert.pem', 'x'),
  TLS_KEY_PATH: file('key.pem', 'x'),
}
const read = (environment: Record<string, string>, dotenv: string | null = null): Config =>
  readConfig(environment, { dotenv, provide: () => assert.fail('production makes no secrets') })
const problemsOf = (environment: Record<string, string>): readonly string[] => {
  try {
    read(environment)
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.problems
  }
}

test('a complete production configuration is read', () => {
  const config = read(good)
  assert.deepEqual([config.env, config.port, config.tls.mode, config.bodyBytesMax, config.limits.defaultRpm], ['production', 8443, 'on', 32 << 20, 1000])
})

test('production without anything lists every missing setting at once', () => {
  const problems = problemsOf({}).join('\n')
  for (const name of ['EARTHFLOW_MASTER_KEY', 'EARTHFLOW_ADMIN_API_KEY', 'TLS_CERT_PATH', 'TLS_KEY_PATH', 'DATABASE_URL'])
    assert.match(problems, new RegExp(`^${name} `, 'm'))
})

test('what is weak, wrong or contradictory is refused, in sentences that quote no secret', () => {
  const cases: [Record<string, string>, RegExp][] = [
    [{ EARTHFLOW_MASTER_KEY: Buffer.alloc(32).toString('base64url') }, /^EARTHFLOW_MASTER_KEY /],
    [{ EARTHFLOW_MASTER_KEY: 'hunter2hunter2' }, /^EARTHFLOW_MASTER_KEY /],
    [{ EARTHFLOW_ADMIN_API_KEY: 'hunter2' }, /^EARTHFLOW_ADMIN_API_KEY must be at least 32/],
    [{ EARTHFLOW_ADMIN_API_KEY: 'a'.repeat(64) }, /^EARTHFLOW_ADMIN_API_KEY /],
    [{ EARTHFLOW_PORT: '99999' }, /^EARTHFLOW_PORT must be a whole number from 0 to 65535/],
    [{ EARTHFLOW_PORT: '8443x' }, /^EARTHFLOW_PORT /],
    [{ EARTHFLOW_MAX_BODY_MB: '-1' }, /^EARTHFLOW_MAX_BODY_MB /],
    [{ EARTHFLOW_TLS: 'auto' }, /^EARTHFLOW_TLS=auto is for development/],
    [{ EARTHFLOW_TLS: 'terminated' }, /^TRUSTED_PROXIES is missing/],
    [{ EARTHFLOW_TLS: 'off' }, /^EARTHFLOW_TLS must be one of/],
    [{ TRUSTED_PROXIES: 'nonsense' }, /^TRUSTED_PROXIES must be addresses/],
    [{ TRUSTED_PROXIES: '10.0.0.0/33' }, /^TRUSTED_PROXIES must be addresses/],
    [{ ALLOWED_ORIGINS: '*' }, /^ALLOWED_ORIGINS must be origins .* without \*/],
    [{ ALLOWED_ORIGINS: 'https://a.example/path' }, /^ALLOWED_ORIGINS must be origins/],
    [{ ALLOWED_HOSTS: 'a.example:8443' }, /^ALLOWED_HOSTS must be host names/],
    [{ EARTHFLOW_LOCALITY: 'any,eu-west' }, /^EARTHFLOW_LOCALITY must be any, local-only, or regions/],
    [{ EARTHFLOW_LOCALITY: 'EU West' }, /^EARTHFLOW_LOCALITY must be any/],
    [{ OIDC_ISSUERS: 'https://id.example' }, /^OIDC_ISSUERS must be a JSON list/],
    [{ OIDC_ISSUERS: '[{"issuer":"https://id.example","audience":"a","roles":{"x":"king"},"tenant":"*"}]' }, /^OIDC_ISSUERS is not understood at 0\.roles\.x/],
    [{ OIDC_ISSUERS: '[{"issuer":"https://id.example","audience":"a","roles":{"x":"owner"}}]' }, /either tenant or tenant_claim/],
    [{ OIDC_ISSUERS: '[{"issuer":"http://id.example","audience":"a","roles":{"x":"owner"},"tenant":"*"}]' }, /^OIDC_ISSUERS must name https/],
    [{ OIDC_ISSUERS: '[{"issuer":"https://id.example","audience":"a","roles":{"x":"owner"},"tenant":"*","algorithms":["HS256"]}]' }, /^OIDC_ISSUERS is not/],
    [{ EARTHFLOW_TLS: 'terminated', TRUSTED_PROXIES: '10.0.0.1', TLS_CA_PATH: good.TLS_CERT_PATH }, /^TLS_CA_PATH must not be set/],
    [{ EARTHFLOW_ADMIN_API_KEY: 'with blanks k9Zs8dfTq2Lw0xVb7Rn4Yc1H' }, /^EARTHFLOW_ADMIN_API_KEY must be at most 512/],
    [{ NODE_OPTIONS: '--inspect=0.0.0.0' }, /^NODE_OPTIONS must not hold/],
    [{ TLS_CERT_PATH: '/nowhere/cert.pem' }, /^TLS_CERT_PATH names a file that cannot be read/],
    [{ DATABASE_URL: 'mysql://hunter2@x' }, /^DATABASE_URL must be a URL that begins with postgres/],
    [{ EGRESS_ALLOW: '10.0.0.0/99' }, /^EGRESS_ALLOW /],
    [{ AUDIT_DURABILITY: 'never' }, /^AUDIT_DURABILITY must be one of/],
    [{ NODE_TLS_REJECT_UNAUTHORIZED: '0' }, /^NODE_TLS_REJECT_UNAUTHORIZED=0 must not be set/],
    [{ EARTHFLOW_MASTER_KEY_FILE: file('m', 'x') }, /^EARTHFLOW_MASTER_KEY and EARTHFLOW_MASTER_KEY_FILE are both set/],
  ]
  for (const [wrong, expected] of cases) {
    const problems = problemsOf({ ...good, ...wrong })
    assert.equal(problems.length, 1, `${JSON.stringify(wrong)}: ${problems.join(' | ')}`)
    assert.match(problems[0], expected)
    assert.ok(!problems[0].includes('hunter2'))
  }
})

test('a secret may lie in a file; one that is missing or empty is a problem', () => {
  const { EARTHFLOW_ADMIN_API_KEY: key, ...rest } = good
  assert.equal(read({ ...rest, EARTHFLOW_ADMIN_API_KEY_FILE: file('admin', `${key}\n`) }).adminKey, key)
  assert.match(problemsOf({ ...rest, EARTHFLOW_ADMIN_API_KEY_FILE: join(dir, 'none') }).join(), /EARTHFLOW_ADMIN_API_KEY_FILE names a file that cannot be read/)
  assert.match(problemsOf({ ...rest, EARTHFLOW_ADMIN_API_KEY_FILE: file('empty', '') }).join(), /names an empty file/)
})

test('.env is read, and the environment wins over it', () => {
  const config = read({ ...good, RATE_LIMIT_DEFAULT_RPM: '7' }, 'RATE_LIMIT_DEFAULT_RPM=5\nPOSTGRES_POOL_MAX="9"\n# comment\n')
  assert.equal(config.limits.defaultRpm, 7)
  assert.deepEqual(config.database.kind === 'postgres' && config.database.poolMax, 9)
})

test('POSTGRES_* make the same connection as a DATABASE_URL, whatever the password holds', () => {
  const { DATABASE_URL: _, ...rest } = good
  const { database } = read({ ...rest, POSTGRES_HOST: 'db.internal', POSTGRES_PASSWORD: 'p@ss/w:rd', POSTGRES_DB: 'ef' })
  assert.ok(database.kind === 'postgres')
  const url = new URL(database.url)
  assert.deepEqual([url.hostname, url.port, decodeURIComponent(url.password), url.pathname], ['db.internal', '5432', 'p@ss/w:rd', '/ef'])
})

test('development makes its secrets, listens on this machine alone and may reach loopback', () => {
  const made: string[] = []
  const config = readConfig(
    { EARTHFLOW_ENV: 'development' },
    {
      dotenv: null,
      provide: (name) => {
        made.push(name)
        return name === 'EARTHFLOW_MASTER_KEY' ? generateMasterKey() : good.EARTHFLOW_ADMIN_API_KEY
      },
    },
  )
  assert.deepEqual(made, ['EARTHFLOW_MASTER_KEY', 'EARTHFLOW_ADMIN_API_KEY'])
  assert.deepEqual([config.host, config.tls.mode, config.database.kind], ['127.0.0.1', 'auto', 'embedded'])
  assert.equal(config.egressAllow.permits({ host: 'localhost', address: '127.0.0.1', port: 9000 }), true)
  assert.equal(read(good).egressAllow.permits({ host: 'localhost', address: '127.0.0.1', port: 9000 }), false)
})

test('a variable that looks like a setting and is none is noticed', () => {
  assert.deepEqual(read({ ...good, EARTHFLOW_PROT: '1', EARTHFLOW_TEST_RUN: '1' }).unknown, ['EARTHFLOW_PROT'])
})

const KEY = 'k9Zs8dfTq2Lw0xVb7Rn4Yc1Hm6Jg3Pe5'
const clientProblems = (environment: Record<string, string>): string => {
  try {
    readClientConfig({ EARTHFLOW_DATA_DIR: join(dir, 'none'), ...environment }, null)
    return ''
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    assert.doesNotMatch(error.message, new RegExp(KEY))
    return error.problems.join('\n')
  }
}

test('a verb that asks Earthflow finds address, key and authority in the environment, a tenant’s key first', () => {
  const { url, key, ca, secret } = readClientConfig(
    {
      EARTHFLOW_URL: 'https://earthflow.example.com',
      EARTHFLOW_ADMIN_API_KEY_FILE: file('admin', `${KEY}\n`),
      EARTHFLOW_CA_PATH: file('ca.pem', 'pem'),
      A: 'b',
    },
    'PROVIDER=from .env',
  )
  assert.deepEqual([url, key, ca, secret('A'), secret('PROVIDER'), secret('NONE')], ['https://earthflow.example.com', KEY, 'pem', 'b', 'from .env', undefined])
  assert.equal(readClientConfig({ EARTHFLOW_API_KEY: 'ef_live_x', EARTHFLOW_ADMIN_API_KEY: KEY }, null).key, 'ef_live_x')
})

test('what the first run made on this machine is found for this machine alone', () => {
  const dataDir = join(dir, 'first-run')
  mkdirSync(join(dataDir, 'certs'), { recursive: true })
  writeFileSync(join(dataDir, 'secrets'), `EARTHFLOW_ADMIN_API_KEY=${KEY}\n`)
  writeFileSync(join(dataDir, 'certs', 'ca.pem'), 'made here')
  const { url, key, ca } = readClientConfig({ EARTHFLOW_DATA_DIR: dataDir }, null)
  assert.deepEqual([url, key, ca], ['https://localhost:8443', KEY, 'made here'])
  assert.match(clientProblems({ EARTHFLOW_DATA_DIR: dataDir, EARTHFLOW_URL: 'https://earthflow.example.com' }), /EARTHFLOW_ADMIN_API_KEY is missing/)
})

test('a key never travels in clear to another machine', () => {
  for (const url of ['https://', 'http://earthflow.example.com', 'http://127.0.0.1.example.com', 'ftp://localhost', 'earthflow.example.com'])
    assert.match(clientProblems({ EARTHFLOW_API_KEY: KEY, EARTHFLOW_URL: url }), /EARTHFLOW_URL must/, url)
  assert.equal(clientProblems({ EARTHFLOW_API_KEY: KEY, EARTHFLOW_URL: 'http://127.0.0.1:8443' }), '')
  assert.match(clientProblems({ EARTHFLOW_API_KEY: KEY, EARTHFLOW_CA_PATH: join(dir, 'none.pem') }), /EARTHFLOW_CA_PATH/)
})

test('what only the verbs read is no unknown setting of the server', () => {
  assert.deepEqual(read({ ...good, EARTHFLOW_URL: 'https://x', EARTHFLOW_API_KEY: 'x', EARTHFLOW_NONSENSE: '1' }).unknown, ['EARTHFLOW_NONSENSE'])
})

test('a chore that writes to the audit log needs the settings of the database and of hashes, and no others', () => {
  const none = join(dir, 'none')
  assert.deepEqual(readStoreConfig({ EARTHFLOW_DATA_DIR: none }, null), {
    dataDir: none,
    masterKeys: [],
    database: { kind: 'embedded' },
    hashPrompts: true,
    hashMode: 'sha256',
  })
  const { database, hashPrompts } = readStoreConfig({ POSTGRES_HOST: 'db', POSTGRES_PASSWORD: 'p@', EARTHFLOW_TLS: 'perhaps' }, 'AUDIT_HASH_PROMPTS=false')
  assert.deepEqual([database, hashPrompts], [{ kind: 'postgres', url: 'postgres://earthflow:p%40@db:5432/earthflow', tls: false, poolMax: 4 }, false])
  assert.throws(
    () => readStoreConfig({ POSTGRES_PORT: 'x', AUDIT_HASH_PROMPTS: 'no' }, null),
    /The settings cannot be used:\n {2}- POSTGRES_PORT .*\n {2}- AUDIT_HASH_PROMPTS /,
  )
})
