import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { mintKey, prefixOf } from '../../src/access/key-format.ts'
import { createScrub } from '../../src/telemetry/scrub.ts'

const scrub = createScrub()
const said = (message: string, take = scrub): string => JSON.parse(take(`${JSON.stringify({ level: 'INFO', message })}\n`)).message
const key = mintKey('live')
const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c3JfMSJ9.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const pem = generateKeyPairSync('ed25519', { privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } })

const secrets: readonly [secret: string, left: string][] = [
  [key, ''],
  [mintKey('test'), ''],
  [`ef_session_${'a1-_'.repeat(10)}.sig`, ''],
  [`ef_login_${jwt}`, ''],
  ['sk-proj-abcdefghijklmnop0123', ''],
  ['sk-ant-api03-abcdefghijklmnop_0123', ''],
  [`AIza${'Sy0_-'.repeat(7)}`, ''],
  [`gsk_${'a1'.repeat(20)}`, ''],
  ['AKIAIOSFODNN7EXAMPLE', ''],
  [jwt, ''],
  ['eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn', ''],
  [pem.privateKey, ''],
]

test('whatever looks like a key or a token is taken out, wherever in a text it stands', () => {
  for (const [secret] of secrets) {
    for (const before of ['', 'with ', 'a\nline\t', '"', '\\', 'é', '=', '\u0001']) {
      const line = scrub(`${JSON.stringify({ [`${before}${secret}`]: 1, deep: [[before + secret]] })}\n`)
      assert.ok(line.endsWith('\n') && !line.slice(0, -1).includes('\n'))
      assert.equal(JSON.parse(line).deep[0][0], `${before}[secret]`, secret)
      assert.ok(!line.includes(secret.slice(12, 24)), secret)
    }
  }
  assert.equal(said('Authorization: Bearer x'), 'Authorization: Bearer [secret]')
  assert.equal(said('authorization: bearer  aGVsbG8= failed'), 'authorization: bearer  [secret] failed')
  assert.equal(said('redis://:p@ss:w@cache:6379/0 and https://user@host/'), 'redis://[secret]@cache:6379/0 and https://[secret]@host/')
})

test('what may be shown is left as it is, byte for byte', () => {
  for (const text of [
    prefixOf(key),
    'req_01k9',
    'https://api.example.com/v1@2',
    'a task-force of risk-averse people',
    'PRIVATE KEY',
    'eyJ',
    pem.publicKey,
    'ask-me',
    'Basic authentication, Basic Authentication, basic understanding',
    'tokens: 123456, input_tokens=1234567, the token was refused, secrets',
    '/v1/models?pageSize=123456&monkey=banana',
  ])
    assert.equal(said(text), text)
  const line = '{"level":"INFO","n":1.0,"key_prefix":"ef_live_abcdefgh","message":"x"}\n'
  assert.equal(scrub(line), line)
})

test('the secrets of the installation are taken out by value, escaped or not, the longest first; a short one would take words', () => {
  const own = createScrub(['pass"word\\1', 'pass"word\\1-longer', 'admin', 'k9Zs8dfTq2Lw0xVb7Rn4Yc1Hm6Jg3Pe5', '$&(.*)[a-z]'])
  assert.equal(said('a pass"word\\1 and pass"word\\1-longer, admin', own), 'a [secret] and [secret], admin')
  assert.equal(said('xk9Zs8dfTq2Lw0xVb7Rn4Yc1Hm6Jg3Pe5y', own), 'x[secret]y')
  assert.equal(said('$&(.*)[a-z] abcdefgh', own), '[secret] abcdefgh')
})

test('the secrets of the installation are taken out of JSON within JSON too, which stays JSON', () => {
  const value = 'p"a/s\\s\nwört+<k>'
  const own = createScrub([value])
  let text = JSON.stringify({ a: value })
  for (let depth = 1; depth <= 3; depth++) {
    let found: unknown = JSON.parse(own(`${JSON.stringify({ message: text })}\n`)).message
    for (let i = 0; i < depth; i++) found = JSON.parse(String(found))
    assert.deepEqual(found, { a: '[secret]' }, `depth ${depth}`)
    text = JSON.stringify(text)
  }
  // As Go, .NET and Python write it.
  assert.equal(said('"p\\u0022a\\/s\\\\s\\u000Aw\\u00f6rt\\u002B\\u003ck\\u003e"', own), '"[secret]"')
})

test('what a name, a scheme or a URL calls a secret is taken out, whatever it looks like', () => {
  const pairs: [text: string, left: string][] = [
    ['Basic dXNlcjpwYXNz', 'Basic [secret]'],
    ['authorization: basic dXNlcjpwYXNz and more', 'authorization: basic [secret] and more'],
    ['api-key: 0123456789abcdef0123456789abcdef', 'api-key: [secret]'],
    ['X-API-Key=0123456789abcdef;', 'X-API-Key=[secret];'],
    ['authorization: 0123456789abcdef', 'authorization: [secret]'],
    ['password = "four words it\'s said", then', 'password = "[secret]", then'],
    ["{'client_secret': 'a b'}", "{'client_secret': '[secret]'}"],
    ['https://h/v1/models?key=short&x=1&sig=abc#f', 'https://h/v1/models?key=[secret]&x=1&sig=[secret]#f'],
    ['https://h/?access_token=abcdefgh', 'https://h/?access_token=[secret]'],
    ['Bearer x', 'Bearer [secret]'],
  ]
  for (const [text, left] of pairs) assert.equal(said(text), left)
  const deep = { a: JSON.stringify({ 'api-key': 'k 1', more: [JSON.stringify({ password: 'x y', n: 1 })] }), token: 'plain', tokens: 3 }
  const found = JSON.parse(scrub(`${JSON.stringify(deep)}\n`))
  assert.deepEqual([found.token, found.tokens], ['[secret]', 3])
  const inner = JSON.parse(found.a)
  assert.equal(inner['api-key'], '[secret]')
  assert.deepEqual(JSON.parse(inner.more[0]), { password: '[secret]', n: 1 })
})

test('a line that is no JSON is made one, without the secret', () => {
  assert.deepEqual(JSON.parse(scrub(`half a line ${key}`)), { message: 'half a line [secret]' })
})
