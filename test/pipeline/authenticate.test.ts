/** Who stands behind a call: by key, or by certificate where no key was sent. What is no key of ours costs no question, and all of it is told one sentence. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mintKey } from '../../src/access/key-format.ts'
import { createKeys } from '../../src/access/keys.ts'
import type { Caller } from '../../src/call.ts'
import { Refusal } from '../../src/errors.ts'
import { authenticate, type Keys } from '../../src/pipeline/authenticate.ts'
import { callerOf, tenantNamed } from '../harness/nouns.ts'

type Known = Parameters<ReturnType<typeof authenticate>>[0]
const caller = callerOf(tenantNamed('t'))
const known = (rawHeaders: string[], { url = '/v1/models', certificate = null as string[] | null, headers = {} as Record<string, string> } = {}): Known =>
  ({ incoming: { rawHeaders, url, headers }, peer: { address: '', certificate }, headers: [], auditId: 'aud_1' }) as unknown as Known

function keysThat(found: (asked: string) => Caller | null): { keys: Keys; asked: string[] } {
  const asked: string[] = []
  const note = (what: string): Caller | null => {
    asked.push(what)
    return found(what)
  }
  return { asked, keys: { find: note, findByCertificate: (names) => note(names.join()) } }
}
const reasonOf = (decision: unknown): string | null => (decision instanceof Refusal ? decision.reason : null)

/** No call of these is a session's. */
const nobodys = { follow: () => {} }

test('a certificate stands for its key where no key was sent, and a provider’s credential beside it is not in the way', async () => {
  const { keys, asked } = keysThat(() => caller)
  assert.deepEqual(await authenticate(keys, nobodys)(known([], { certificate: ['cn:robot', 'dns:a'] })), { caller })
  assert.deepEqual(await authenticate(keys, nobodys)(known(['Authorization', 'Bearer sk-proj-1'], { certificate: ['cn:robot'] })), { caller })
  assert.deepEqual(asked, ['cn:robot,dns:a', 'cn:robot'])
})

test('a certificate that a browser shows for a page of elsewhere stands for nobody', async () => {
  const { keys, asked } = keysThat(() => caller)
  const from = async (headers: Record<string, string>) =>
    reasonOf(await authenticate(keys, nobodys)(known([], { certificate: ['cn:ann'], headers: { host: 'ef.example:8443', ...headers } })))
  for (const headers of [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'https://ef.example' },
    { 'sec-fetch-site': 'cross-site' },
  ] as Record<string, string>[])
    assert.equal(await from(headers), 'unauthenticated', JSON.stringify(headers))
  assert.deepEqual(asked, [])
  for (const headers of [{}, { origin: 'https://ef.example:8443', 'sec-fetch-site': 'same-origin' }] as Record<string, string>[])
    assert.equal(await from(headers), null)
})

test('a key that was sent counts, whatever certificate comes with it: a wrong one is not made good by it', async () => {
  const { keys, asked } = keysThat((what) => (what.startsWith('cn:') ? caller : null))
  const decision = await authenticate(keys, nobodys)(known(['Authorization', `Bearer ${mintKey('live')}`], { certificate: ['cn:robot'] }))
  assert.equal(reasonOf(decision), 'unauthenticated')
  assert.equal(asked.length, 1)
  assert.match(asked[0], /^ef_live_/)
})

test('a certificate that is nobody’s is told what who sends nothing is told', async () => {
  const { keys } = keysThat(() => null)
  const [stranger, nobody] = [
    await authenticate(keys, nobodys)(known([], { certificate: ['cn:x'] })),
    await authenticate(keys, nobodys)(known([])),
  ] as Refusal[]
  assert.equal(reasonOf(stranger), 'unauthenticated')
  assert.equal(stranger.message, nobody.message)
})

test('a session’s token is asked about like a key, as it came', async () => {
  const { keys, asked } = keysThat(() => caller)
  const token = 'ef_session_eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln-_'
  for (const name of ['Authorization', 'x-api-key', 'x-goog-api-key', 'x-earthflow-key'])
    assert.deepEqual(await authenticate(keys, nobodys)(known([name, name === 'Authorization' ? `Bearer ${token}` : token])), { caller })
  assert.deepEqual(await authenticate(keys, nobodys)(known([], { url: `/v1beta/models?key=${token}` })), { caller })
  assert.deepEqual(new Set(asked), new Set([token]))
  assert.equal(reasonOf(await authenticate(keys, nobodys)(known(['Authorization', `Bearer ${token}`, 'x-api-key', mintKey('live')]))), 'invalid_request')
})

test('keys and tokens of every wrong kind are 401 with one sentence, and nothing is asked of the database or the keyring', async () => {
  const untouched = new Proxy({}, { get: (_, name) => assert.fail(`asked for ${String(name)}`) }) as never
  const keys = createKeys({ db: untouched, keyring: untouched, now: () => 0, defaultRequestsPerMinute: 1, kind: 'live' })
  const good = mintKey('live')
  const wrong = [
    'ef_live_',
    "ef_live_'OR'1'='1",
    "ef_live_abcdefgh_x';DROP TABLE api_keys;--",
    'ef_live_{jndi:ldap://x}',
    `${good.slice(0, -1)}${good.endsWith('0') ? '1' : '0'}`,
    `${good}0`,
    good.toLowerCase(),
    `ef_test${good.slice(7)}`,
    'ef_live_🔑🔑🔑🔑',
    'ef_live_%00%00',
    'ef_live_\u0000',
    `ef_live_${'k'.repeat(8_192)}`,
    'ef_login_eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln',
  ]
  const sentences = new Set<string>()
  for (const key of wrong) {
    for (const headers of [
      ['authorization', `Bearer ${key}`],
      ['x-api-key', key],
    ]) {
      const decision = authenticate(keys, nobodys)(known(headers))
      assert.ok(decision instanceof Refusal, 'at once')
      assert.equal(decision.reason, 'unauthenticated', key)
      sentences.add(decision.message)
    }
    const inQuery = authenticate(keys, nobodys)(known([], { url: `/v1beta/models?key=${encodeURIComponent(key)}` }))
    assert.equal(reasonOf(inQuery), 'unauthenticated')
  }
  assert.equal(sentences.size, 1)
})
