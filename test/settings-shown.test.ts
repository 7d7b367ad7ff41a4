import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { settingsRoutes } from '../src/admin/settings.ts'
import { settings } from '../src/settings.ts'
import { secretsOf, showSettings } from '../src/settings-shown.ts'

const dir = mkdtempSync(join(tmpdir(), 'earthflow-shown-'))
after(() => rmSync(dir, { recursive: true }))
const inFile = join(dir, 'openai')
writeFileSync(inFile, 'sk-marked-in-file\n')

const sources = {
  environment: {
    EARTHFLOW_PORT: '9443',
    DATABASE_URL: 'postgres://earthflow:p%40ss-marked@db.internal/x',
    AUDIT_CHECKPOINT_SINK: 'https://keeper:marked-password@sink.internal/notes?token=marked-token',
    OPENAI_API_KEY_FILE: inFile,
    EARTHFLOW_MASTER_KEY: 'first-marked=, second-marked=',
    REDIS_PORT: '',
    PATH: '/bin',
  },
  dotenv: { EARTHFLOW_PORT: '1', RATE_LIMIT_DEFAULT_RPM: '7', TLS_CERT_PATH: '/etc/tls.crt', REDIS_PORT: '6380' },
  defaults: { EARTHFLOW_TLS: 'auto' },
  made: { EARTHFLOW_ADMIN_API_KEY: 'made-and-marked' },
}
const shown = showSettings(settings, sources)
const of = (name: string) => shown.find((one) => one.name === name)

test('every setting is shown once, with where it is from; whatever nobody set has its default', () => {
  assert.deepEqual(
    shown.map(({ name }) => name),
    Object.keys(settings),
  )
  assert.deepEqual(of('EARTHFLOW_PORT'), { name: 'EARTHFLOW_PORT', value: '9443', default: '8443', secret: false, source: 'environment' })
  assert.deepEqual(of('RATE_LIMIT_DEFAULT_RPM'), { name: 'RATE_LIMIT_DEFAULT_RPM', value: '7', default: '1000', secret: false, source: 'file' })
  assert.deepEqual([of('TLS_CERT_PATH')?.value, of('REDIS_HOST')?.value, of('REDIS_HOST')?.source], ['/etc/tls.crt', null, 'default'])
  assert.deepEqual([of('EARTHFLOW_TLS')?.value, of('EARTHFLOW_TLS')?.default, of('EARTHFLOW_TLS')?.source], ['auto', 'on', 'default'])
  assert.deepEqual([of('REDIS_PORT')?.value, of('REDIS_PORT')?.source], ['6379', 'default'], 'an empty variable hides what .env says')
})

test('of secrets nothing is shown but whether they are set, and of a URL neither its user nor its query', async () => {
  for (const name of ['DATABASE_URL', 'OPENAI_API_KEY', 'EARTHFLOW_MASTER_KEY', 'EARTHFLOW_ADMIN_API_KEY'])
    assert.deepEqual([name, of(name)?.value], [name, '***'])
  assert.deepEqual([of('OPENAI_API_KEY')?.source, of('EARTHFLOW_ADMIN_API_KEY')?.source, of('GEMINI_API_KEY')?.value], ['file', 'file', null])
  assert.equal(of('AUDIT_CHECKPOINT_SINK')?.value, 'https://***@sink.internal/notes?***')
  const [route] = settingsRoutes({ settings: shown })
  const answer = route.answer?.parse(await route.run({} as never))
  assert.deepEqual(answer, { settings: shown })
  assert.doesNotMatch(JSON.stringify(answer), /marked/)
})

test('the secrets are those of every setting, of files and of URLs, in each form in which they may turn up', () => {
  assert.deepEqual(
    secretsOf(settings, sources)
      .filter((text) => !text.includes('://'))
      .toSorted(),
    [
      'first-marked',
      'first-marked=, second-marked=',
      'made-and-marked',
      'marked-password',
      'marked-token',
      'p%40ss-marked',
      'p@ss-marked',
      'second-marked',
      'sk-marked-in-file',
    ],
  )
})

test('queries and fragments of URLs are hidden and are secrets wherever they stand: within JSON, before a newline, in a fragment', () => {
  const keys = 'https:\\/\\/idp.example\\/keys\\u003ftoken=marked%2Djson'
  const environment = {
    OIDC_ISSUERS: `[{"issuer":"https://idp.example","jwks_uri":"${keys}","audience":"a"}]`,
    AUDIT_CHECKPOINT_SINK: 'HTTPS://sink.example/x?sig=marked-line&y=2 z\n',
    EGRESS_ALLOW: 'loopback,10.0.0.0/8:8443',
    ALLOWED_ORIGINS: 'https://sink.example/a#key=marked-fragment',
    DATABASE_URL: 'postgres://role:marked-password@db/x?sslmode=verify-full',
  }
  const given = { ...sources, environment, dotenv: {} }
  const values = Object.fromEntries(showSettings(settings, given).map(({ name, value }) => [name, value]))
  assert.deepEqual(JSON.parse(values.OIDC_ISSUERS ?? ''), [{ issuer: 'https://idp.example', jwks_uri: 'https://idp.example/keys?***', audience: 'a' }])
  assert.equal(values.AUDIT_CHECKPOINT_SINK, 'HTTPS://sink.example/x?***')
  assert.equal(values.EGRESS_ALLOW, environment.EGRESS_ALLOW)
  assert.equal(values.ALLOWED_ORIGINS, 'https://sink.example/a#***')
  const secrets = secretsOf(settings, given)
  for (const text of ['marked%2Djson', 'marked-json', 'marked-line', 'marked-fragment', 'marked-password']) assert.ok(secrets.includes(text), text)
  assert.ok(!secrets.includes('verify-full'))
})
