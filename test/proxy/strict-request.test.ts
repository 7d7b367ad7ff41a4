import assert from 'node:assert/strict'
import { test } from 'node:test'
import { originForm, refusalOf } from '../../src/proxy/strict-request.ts'

const HOST = ['host', 'a']
interface Asked {
  method?: string
  url?: string
  version?: string
  headers?: string[]
}
/** Null, or the status. */
function verdict({ method = 'GET', url = '/v1/models', version = '1.1', headers = [] }: Asked, host: string[] = HOST): string | null {
  const refusal = refusalOf({ method, url, httpVersion: version, rawHeaders: [...host, ...headers] })
  if (refusal) assert.match(refusal.message, /^[A-Z].*\.$/, 'one sentence')
  return refusal?.status.slice(0, 3) ?? null
}

test('what client libraries send passes', () => {
  const targets = [
    '/',
    '/v1/chat/completions',
    '/v1/messages?beta=true',
    '/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse&key=x',
    '/v1beta/cachedContents/a.b-c_d~e',
    '/v1/projects/p/locations/us-central1/publishers/google/models/m@001:predict',
    '/openai/deployments/my%20deployment/chat/completions?api-version=2024-10-21',
    '/v1/models/ft:gpt-4o:org::id',
    '/v1/files/file-abc/content?a=/../b%2F..%2e%00|{}^"<>\\',
    '/u/my-upstream/chat/completions/',
    '/.well-known/openid-configuration',
    '/v1/models/%C3%A9',
    '/v1/tenants/100%25',
    '/a.b/...c/..d',
  ]
  for (const url of targets) assert.equal(verdict({ url }), null, url)
  for (const host of ['a', 'A.example.com:8443', 'earthflow_proxy:1', '127.0.0.1', '[::1]:8443', 'x.']) assert.equal(verdict({}, ['Host', host]), null, host)
  assert.equal(verdict({ version: '1.0' }, []), null, 'HTTP/1.0 names no host')
  for (const connection of ['keep-alive', 'Keep-Alive', 'close', 'close, TE', 'Upgrade, HTTP2-Settings', 'x-something'])
    assert.equal(verdict({ headers: ['Connection', connection] }), null, connection)
  for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) assert.equal(verdict({ method }), null, method)
  const headers = ['anthropic-beta', 'a', 'anthropic-beta', 'b', 'accept', 'x', 'accept', 'y', 'x-forwarded-for', 'a', 'x-forwarded-for', 'b', 'user_id', '1']
  assert.equal(verdict({ headers }), null, 'lists come in several lines')
  for (const coding of ['chunked', 'Chunked', 'CHUNKED']) assert.equal(verdict({ headers: ['Transfer-Encoding', coding] }), null, coding)
})

test('a header that says something once is not said twice, however it is written', () => {
  const names = ['Content-Type', 'authorization', 'X-Api-Key', 'x-goog-api-key', 'API-Key', 'content-encoding', 'anthropic-version', 'expect', 'origin']
  for (const name of [...names, 'transfer-encoding', 'content-length', 'x-earthflow-key', 'X-Earthflow-Tenant', 'x-earthflow-anything'])
    assert.equal(verdict({ headers: [name, 'chunked', 'x', 'y', name.toUpperCase(), 'chunked'] }), '400', name)
  assert.equal(verdict({ headers: ['HOST', 'a'] }), '400')
  assert.equal(verdict({ headers: ['x-earthflow-key', 'a', 'x-earthflow-user', 'b'] }), null, 'two of ours are two')
})

test('a header that would be one of ours, or of those that count, once somebody has respelled it, is refused', () => {
  for (const name of ['X_Earthflow_Tenant', 'x-earthflow_tenant', 'X.Earthflow.Tenant', 'x-earthflow-on_behalf', 'Content_Length', 'transfer_encoding'])
    assert.equal(verdict({ headers: [name, 'x'] }), '400', name)
  for (const name of ['x_api_key', 'X_Forwarded_For', 'x!real!ip', 'Api_Key', 'content~type', 'anthropic_version'])
    assert.equal(verdict({ headers: [name, 'x'] }), '400', name)
})

test('nobody has the next hop take away what others rely on', () => {
  for (const connection of [
    'Authorization',
    'close, x-api-key',
    'keep-alive,Host',
    'content-length',
    'X-Earthflow-Tenant',
    'content-anything',
    'a,\tCookie ,b',
  ])
    assert.equal(verdict({ headers: ['connection', connection] }), '400', connection)
  assert.equal(verdict({ headers: ['connection', 'close', 'connection', 'transfer-encoding'] }), '400', 'in a second line')
  assert.equal(verdict({ headers: ['connection', 'x_api_key'] }), '400', 'respelled')
})

test('a body is framed in one way: chunked alone, and not in HTTP/1.0', () => {
  for (const coding of ['chunked, chunked', 'chunked,', '', ',', 'chunked;a=b', 'chun ked', '"chunked"'])
    assert.equal(verdict({ headers: ['transfer-encoding', coding] }), '400', coding)
  for (const coding of ['gzip, chunked', 'identity', 'chunked, identity', 'xchunked', 'deflate'])
    assert.equal(verdict({ headers: ['transfer-encoding', coding] }), '501', coding)
  assert.equal(verdict({ version: '1.0', headers: ['transfer-encoding', 'chunked'] }), '400')
  assert.equal(verdict({ headers: ['transfer-encoding', 'chunked', 'content-length', '2'] }), '400')
})

test('another version is 505, another method 405 with those that are answered', () => {
  for (const version of ['2.0', '0.9', '1.2', '3.0', '']) assert.equal(verdict({ version }), '505', version)
  for (const method of ['TRACE', 'CONNECT', 'PROPFIND', 'get', 'PRI', 'QUERY', 'SOURCE', '']) {
    assert.equal(verdict({ method }), '405', method)
    assert.equal(refusalOf({ method, url: '/', httpVersion: '1.1', rawHeaders: HOST })?.header?.[0], 'allow')
  }
})

test('a host is a name or an address, and a port: once, and always in HTTP/1.1', () => {
  assert.equal(verdict({}, []), '400')
  for (const host of [
    '',
    'a/b',
    'a@b',
    'user:x@b',
    'a:b',
    'a:123456',
    'a:65536',
    'a:',
    'a b',
    'a,b',
    '[::1',
    '[x]',
    'a?b',
    'a#b',
    'a\\b',
    '%61',
    'é',
    'http://a',
  ])
    assert.equal(verdict({}, ['host', host]), '400', host)
  assert.equal(verdict({ version: '1.0' }, ['host', 'a/b']), '400')
})

test('a target in absolute form has the host of the Host header, and is then read like its path alone', () => {
  assert.equal(verdict({ url: 'http://a/v1/models' }), null)
  assert.equal(verdict({ url: 'HTTPS://A/v1/models' }), null)
  for (const url of ['http://b/', 'http://a:80/', 'http://x@a/', 'http://a.b/', 'http:///x', 'http://a@b/']) assert.equal(verdict({ url }), '421', url)
  assert.equal(verdict({ url: 'http://a/', version: '1.0' }, []), '421')
  for (const url of ['ftp://a/', 'file:///etc/passwd', '*', 'a:443', 'x', '']) assert.equal(verdict({ url }), '400', url)
  for (const url of ['http://a//x', 'http://a/../x', 'http://a/%2e', 'http://a#x', 'http://a/#']) assert.equal(verdict({ url }), '400', url)
  assert.deepEqual(['http://a/x?y', 'http://a', 'http://a?x', '/x'].map(originForm), ['/x?y', '/', '/?x', '/x'])
})

test('a path has one meaning, whoever decodes or resolves it', () => {
  const paths = [
    ...['/.', '/..', '/v1/../x', '/v1/./x', '/v1/..', '/v1/%2e%2e/x', '/v1/%2E./x', '/v1/.%2e/x', '/v1/..;/x', '/v1/.;a=b', '/a%2eb'],
    ...['//', '//x', '/v1//x', '/v1/x//', '/v1%2fx', '/v1%2Fx', '/v1%5cx', '/v1\\x', '/\\x', '/v1\\..\\x'],
    ...['/x%00', '/x%0d%0aX-Inj:%201', '/x%1f', '/x%7F', '/x%', '/x%2', '/x%zz', '/x%u0041', '/x%%41', '/\x7f', '/é', '/x\ty'],
    ...['/x#', '/x#/../y', '/x?y#z', '/?#', '/x?é', '/x?\x00'],
  ]
  for (const url of paths) assert.equal(verdict({ url }), '400', url)
})

test('the longest target and the most headers are read in time that grows with them alone', { timeout: 2_000 }, () => {
  for (const piece of ['/a', '/.a', '.', '%41', '?', '/:', '=/'])
    for (let i = 0; i < 20; i++) verdict({ url: `/${piece.repeat(16_000 / piece.length)}\x00`, headers: Array.from({ length: 400 }, () => 'x_'.repeat(20)) })
})
