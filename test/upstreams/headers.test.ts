import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ModelCall } from '../../src/call.ts'
import { anthropicMessages } from '../../src/dialects/anthropic/anthropic-messages.ts'
import { type Endpoint, endpointOf } from '../../src/dialects/endpoint.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import {
  ACCOUNT,
  requestHeaders as allRequestHeaders,
  DROPPED,
  DROPPED_PREFIXES,
  MissingCredential,
  responseHeaders,
  travelling,
  typeOf,
  withoutKeys,
} from '../../src/upstreams/headers.ts'
import { pathFrom, pathOn, type Upstream } from '../../src/upstreams/upstream.ts'

const upstream = (fields: Partial<Upstream> = {}): Upstream => ({
  name: 'up',
  dialects: ['openai-chat'],
  priority: 0,
  origin: 'https://api.example',
  basePath: '/v1',
  pool: undefined as never,
  credential: 'sk-real',
  passthrough: false,
  queueMax: 1,
  serves: ['*'],
  priceOf: () => null,
  costOf: () => null,
  totalMs: 1,
  standing: undefined as never,
  isCurrent: () => true,
  ...fields,
})
/** Beside what every request asks for, whatever its caller did: a reply that can be read (RFC 9110, 12.5.3). */
const requestHeaders: typeof allRequestHeaders = (...given) => {
  const headers = allRequestHeaders(...given)
  const at = headers.indexOf('accept-encoding')
  assert.equal(headers[at + 1], 'identity')
  return headers.toSpliced(at, 2)
}
const own = 'ef_live_abcdefgh_secret'
const JSON_TYPE = 'application/json'

test('what concerns only this hop, every credential and everything of ours stays behind; the rest travels in order', () => {
  const headers = requestHeaders(
    [
      'Host',
      'x',
      'Authorization',
      `Bearer ${own}`,
      'X-Api-Key',
      'sk-ant',
      'OpenAI-Beta',
      'a',
      'TE',
      'trailers',
      'Accept-Encoding',
      'gzip, br',
      'Connection',
      'keep-alive, X-Secret',
      'X-Secret',
      '1',
      'X-Earthflow-User',
      'u',
      'X-Forwarded-Host',
      'h',
      'Forwarded',
      'f',
      'User-Agent',
      'sdk',
      'Content-Length',
      '5',
    ],
    upstream(),
    openaiChat,
    JSON_TYPE,
  )
  assert.deepEqual(headers, ['openai-beta', 'a', 'user-agent', 'sdk', 'content-type', 'application/json', 'authorization', 'Bearer sk-real'])
})

test('what stays behind does so under every spelling that somebody could read as its name', () => {
  for (const character of "_.~!#$%&'*+^`|") {
    const respelled = (name: string): string => name.replaceAll('-', character).toUpperCase()
    for (const name of [...DROPPED, ...DROPPED_PREFIXES.map((prefix) => `${prefix}host`)].filter((one) => one.includes('-'))) {
      const raw = [respelled(name), 'x', respelled('x-kept'), '1']
      for (const passthrough of [false, true]) {
        const given = passthrough ? ['Authorization', 'Bearer sk-mine', ...raw] : raw
        const kept = requestHeaders(given, upstream({ credential: null, passthrough }), openaiChat, null)
        assert.deepEqual(kept.slice(-2), [respelled('x-kept').toLowerCase(), '1'], respelled(name))
        assert.equal(kept.length, passthrough ? 4 : 2, respelled(name))
      }
      assert.deepEqual(travelling(raw), [[respelled('x-kept').toLowerCase(), '1']], respelled(name))
    }
    for (const name of ACCOUNT) {
      assert.deepEqual(requestHeaders([respelled(name), 'x'], upstream({ credential: null }), openaiChat, null), [], respelled(name))
      const own = requestHeaders(['Authorization', 'Bearer sk-mine', respelled(name), 'x'], upstream({ credential: null, passthrough: true }), openaiChat, null)
      assert.ok(own.includes(respelled(name).toLowerCase()), respelled(name))
    }
  }
})

test('each dialect sends a stored credential in its own header', () => {
  const json = ['content-type', 'application/json']
  assert.deepEqual(requestHeaders([], upstream(), anthropicMessages, JSON_TYPE), [...json, 'x-api-key', 'sk-real'])
  assert.deepEqual(requestHeaders([], upstream({ credential: null }), anthropicMessages, JSON_TYPE), json)
  assert.deepEqual(
    requestHeaders(['OpenAI-Organization', 'org', 'Content-Type', 'x'], upstream({ credential: null }), openaiChat, 'application/json; charset=utf-8'),
    ['content-type', 'application/json; charset=utf-8'],
  )
})

test('the one type travels on by which the body was judged, and none where there was none', () => {
  const types: [format: ModelCall['format'], contentType: string, type: string | null][] = [
    ['json', '', JSON_TYPE],
    ['json', 'text/plain;charset=UTF-8', JSON_TYPE],
    ['json', 'application/x-www-form-urlencoded', JSON_TYPE],
    ['json', 'application/json; charset=utf-8', 'application/json; charset=utf-8'],
    ['json', 'application/octet-stream', 'application/octet-stream'],
    ['multipart', 'multipart/form-data; boundary="A b"', 'multipart/form-data; boundary="A b"'],
    ['jsonl', 'application/jsonl', 'application/jsonl'],
    ['text', 'text/plain', 'text/plain'],
    ['text', '', null],
    ['binary', 'image/png', 'image/png'],
    ['none', '', null],
    ['none', 'application/json', 'application/json'],
  ]
  for (const [format, contentType, type] of types) assert.equal(typeOf({ format, contentType }), type, `${format} ${contentType}`)
  const raw = ['Content-Type', 'text/a', 'content-type', 'text/b', 'Connection', 'content-type, x']
  assert.deepEqual(requestHeaders(raw, upstream({ credential: null }), openaiChat, 'text/a'), ['content-type', 'text/a'])
  assert.deepEqual(requestHeaders(raw, upstream({ credential: null }), openaiChat, null), [])
})

test('a body is sent as it was judged: its coding and the sums of its bytes stay behind', () => {
  const raw = ['Content-Encoding', 'zstd', 'Content-Digest', 'd', 'Content-MD5', 'm', 'Digest', 'd', 'Repr-Digest', 'r', 'X-Kept', '1']
  assert.deepEqual(requestHeaders(raw, upstream({ credential: null }), openaiChat, null), ['x-kept', '1'])
})

test('passthrough lets exactly the caller’s own credential for that dialect through, never a key of ours', () => {
  const passthrough = upstream({ passthrough: true, credential: null })
  assert.deepEqual(requestHeaders(['Authorization', 'Bearer sk-mine', 'X-Api-Key', own, 'api-key', 'azure'], passthrough, openaiChat, JSON_TYPE), [
    'authorization',
    'Bearer sk-mine',
    'content-type',
    'application/json',
  ])
  assert.deepEqual(requestHeaders(['X-Api-Key', 'sk-ant-mine', 'Authorization', `Bearer ${own}`], passthrough, anthropicMessages, JSON_TYPE), [
    'x-api-key',
    'sk-ant-mine',
    'content-type',
    'application/json',
  ])
  for (const value of [`Bearer ${own}`, `Bearer\t${own}`, `Bearer sk-mine,${own}`, `Bearer sk-mine ${own}`, ''])
    assert.throws(() => requestHeaders(['Authorization', value], passthrough, openaiChat, JSON_TYPE), MissingCredential, value)
})

test('a key of ours travels under no name at all, and nothing nominated by Connection travels however short the nomination', () => {
  const raw = ['X-Gateway-Key', own, 'X-Note', `key ${own}`, 'Connection', 'X-A', 'X-A', '1', 'connection', 'close,\tX-B', 'X-B', '2', 'X-Kept', '3']
  assert.deepEqual(requestHeaders(raw, upstream({ credential: null }), openaiChat, null), ['x-kept', '3'])
})

test('tokens of sessions and logins are keys of ours: they travel in no header and in no query', () => {
  for (const token of ['ef_session_eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln', 'ef_login_eyJhbGciOiJIUzI1NiJ9.e30.c2ln', 'ef_test_abcdefgh_secret']) {
    assert.deepEqual(requestHeaders(['X-Note', `token ${token}`, 'X-Other', token], upstream({ credential: null }), openaiChat, null), [], token)
    assert.throws(
      () => requestHeaders(['Authorization', `Bearer ${token}`], upstream({ passthrough: true, credential: null }), openaiChat, null),
      MissingCredential,
    )
    assert.equal(withoutKeys(`?a=1&b=${token}`), '?a=1')
  }
})

test('whose pages may read an answer is not for a provider to say', () => {
  assert.deepEqual(responseHeaders({ 'access-control-allow-origin': '*', 'access-control-expose-headers': 'x', 'x-kept': '1' }, upstream()), ['x-kept', '1'])
})

test('of a provider’s headers, hop-by-hop and nominated ones, cookies and the limits of a shared credential stay behind', () => {
  const parsed = {
    'content-type': 'application/json',
    connection: 'x-hop',
    'x-hop': '1',
    'keep-alive': 'timeout=5',
    'set-cookie': ['a=1', 'b=2'],
    'x-ratelimit-remaining-requests': '1',
    'anthropic-ratelimit-tokens-limit': '2',
    'x-many': ['1', '2'],
    'x-earthflow-decision': 'allow',
  }
  assert.deepEqual(responseHeaders(parsed, upstream()), ['content-type', 'application/json', 'x-many', '1', 'x-many', '2'])
  const kept = responseHeaders(parsed, upstream({ passthrough: true }))
  assert.ok(kept.includes('x-ratelimit-remaining-requests') && kept.includes('anthropic-ratelimit-tokens-limit'))
})

test('whose a shared credential is, and what is left of it, is told by no provider in any way; when to come back is', () => {
  const limits = [
    'x-ratelimit-limit-requests',
    'x-ratelimit-reset-tokens',
    'anthropic-ratelimit-unified-status',
    'anthropic-priority-input-tokens-remaining',
    'anthropic-fast-output-tokens-reset',
    'x-ms-ratelimit-remaining-subscription-reads',
    'ratelimit',
    'ratelimit-policy',
    'x-rate-limit-remaining',
    'x-quota-remaining',
    'openai-organization',
    'openai-project',
    'anthropic-organization-id',
  ]
  const kept = ['retry-after', 'retry-after-ms', 'x-should-retry', 'openai-version', 'openai-processing-ms', 'request-id', 'x-ms-region', 'x-separate-limits']
  const parsed = Object.fromEntries([...limits, ...kept].map((name) => [name, '1']))
  const names = (passthrough: boolean) => responseHeaders(parsed, upstream({ passthrough })).filter((_, i) => i % 2 === 0)
  assert.deepEqual(names(false), kept)
  assert.deepEqual(names(true), [...limits, ...kept])
})

test('hop-by-hop headers stay behind in an answer too, and what it nominates, however it is written', () => {
  const hop = ['keep-alive', 'proxy-authenticate', 'proxy-authentication-info', 'te', 'trailer', 'trailers', 'upgrade', 'transfer-encoding', 'set-cookie2']
  const parsed = {
    ...Object.fromEntries(hop.map((name) => [name, 'x'])),
    connection: ['close,\tX-Secret', ' x-second ,x-third'],
    'x-secret': '1',
    'x-second': ['2', '2'],
    'x-third': '3',
    'x-kept': 'é',
    'x-long': 'a'.repeat(8_192),
  }
  for (const passthrough of [false, true]) assert.deepEqual(responseHeaders(parsed, upstream({ passthrough })), ['x-kept', 'é', 'x-long', 'a'.repeat(8_192)])
  const raw = ['HTTP2-Settings', 'x', 'Trailers', 'x', 'Keep-Alive', 'x', 'Proxy-Authenticate', 'x', 'Trailer', 'x', 'X-Kept', '1']
  assert.deepEqual(requestHeaders(raw, upstream({ credential: null }), openaiChat, null), ['x-kept', '1'])
})

test('a key never travels in the query, however its name is spelled; the rest does, byte for byte', () => {
  const own = 'ef_live_abcdefgh_secret'
  const cases: [string, string][] = [
    ['?key=a&alt=sse', '?alt=sse'],
    ['?alt=%73se&key=a', '?alt=%73se'],
    ['?key=a', ''],
    ['?monkey=a', '?monkey=a'],
    ['?Key=a&access_token=b&oauth_token=c&Subscription-Key=d&x=1', '?x=1'],
    [`?%6bey=${own}&x=1`, '?x=1'],
    [`?other=${own}&x=1`, '?x=1'],
    [`?other=${own.replace('_', '%5f')}`, ''],
    ['', ''],
    ['?beta=true', '?beta=true'],
  ]
  for (const [query, expected] of cases) assert.equal(withoutKeys(query), expected, query)
})

test('a header the caller nominates to be dropped is dropped, but not the credential that is not his', () => {
  assert.deepEqual(requestHeaders(['Connection', 'authorization, x-secret', 'X-Secret', '1'], upstream(), openaiChat, JSON_TYPE), [
    'content-type',
    'application/json',
    'authorization',
    'Bearer sk-real',
  ])
})

const endpointAt = (path: string): Endpoint => {
  const endpoint = endpointOf('POST', path, {})
  assert.ok('kind' in endpoint)
  return endpoint
}

test('the path is the one an SDK with the upstream’s base URL would call', () => {
  assert.equal(pathOn(upstream({ basePath: '/v1' }), endpointAt('/v1/chat/completions')), '/v1/chat/completions')
  assert.equal(pathOn(upstream({ basePath: '/openai/v1' }), endpointAt('/v1/chat/completions')), '/openai/v1/chat/completions')
  assert.equal(pathOn(upstream({ basePath: '' }), endpointAt('/v1/messages')), '/v1/messages')
  for (const basePath of ['', '/openai', '/openai/v1', '/v1'])
    assert.equal(pathOn(upstream({ basePath }), endpointAt('/openai/deployments/gpt/chat/completions')), '/openai/deployments/gpt/chat/completions', basePath)
  assert.equal(pathOn(upstream({ basePath: '/v1' }), endpointAt('/u/some/chat/completions')), '/v1/chat/completions')
  assert.equal(pathOn(upstream({ basePath: '/v1' }), endpointAt('/u/some/v1/files/f1')), '/v1/files/f1')
})

test('from a provider’s path to ours and back is no change, whatever the base URL', () => {
  for (const path of ['/v1/files/f1', '/v1beta/files/f1', '/v1/messages/batches', '/openai/operations/x'])
    for (const basePath of ['', '/v1', '/gateway', '/gateway/v1', '/openai/v1', null]) {
      const theirs = pathOn(upstream({ basePath }), endpointAt(path))
      assert.equal(pathOn(upstream({ basePath }), endpointAt(pathFrom(upstream({ basePath }), endpointAt(path), theirs))), theirs, `${basePath} ${path}`)
    }
})
