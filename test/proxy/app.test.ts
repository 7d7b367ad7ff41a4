/** What the port does before anybody's handler: names, origins, certificates, and the headers that go with every page. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { afterEach, test } from 'node:test'
import { Hono } from 'hono'
import { createApp, type ProxyParts } from '../../src/proxy/app.ts'
import { createListener, type Listener } from '../../src/proxy/listener.ts'

const listeners: Listener[] = []
afterEach(async () => {
  for (const listener of listeners.splice(0)) {
    listener.closeAllConnections()
    await new Promise((resolve) => listener.close(resolve))
  }
})

const operations = new Hono()
operations.get('/health', (c) => c.json({ status: 'OK' }))
operations.get('/info', (c) => c.json({ name: 'earthflow' }))
operations.get('/page', (c) => c.html('<p>', 200, { 'content-security-policy': "default-src 'self'" }))
operations.get('/broken', () => {
  throw new Error('broken')
})

/** A port whose pipeline answers `relayed`, and whose management API answers the path and the peer it was given. */
async function start(parts: Partial<ProxyParts> = {}): Promise<number> {
  const app = createApp({
    run: async ({ outgoing, headers = [], peer, endpoint }) =>
      void outgoing
        .writeHead(200, [...headers, 'vary', 'accept-encoding', 'content-type', 'application/json'])
        .end(JSON.stringify({ relayed: endpoint.path, peer })),
    admin: { fetch: async (request, peer) => Response.json({ path: new URL(request.url).pathname, peer }) },
    operations,
    shedder: {
      take(_outgoing, begin) {
        begin()
        return null
      },
    },
    peerOf: ({ headers }) => ({ address: '192.0.2.1', certificate: headers['x-test-certificate'] === undefined ? null : ['cn:robot'] }),
    needsCertificate: false,
    allowedHosts: null,
    allowedOrigins: [],
    isStrictTransport: true,
    report: () => {},
    ...parts,
  })
  const listener = createListener(app, { mode: 'terminated', tls: null })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  listeners.push(listener)
  return (listener.address() as AddressInfo).port
}

interface Told {
  status: number
  headers: Record<string, string | string[] | undefined>
  // biome-ignore lint/suspicious/noExplicitAny: a test reads what it wants
  json: any
}
const ask = (port: number, method: string, path: string, headers: Record<string, string> = {}): Promise<Told> =>
  new Promise((resolve, reject) => {
    const asked = request({ port, host: '127.0.0.1', method, path, headers, setHost: headers.host === undefined }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += String(chunk)
      })
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          json: /json/.test(response.headers['content-type'] ?? '') ? JSON.parse(text) : text,
        }),
      )
    })
    asked.on('error', reject).end()
  })
/** The status of a request that Node's client would not write. */
const raw = async (port: number, text: string): Promise<string> => {
  const socket = connect(port, '127.0.0.1')
  socket.write(text)
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return String(chunk)
}

const CALL = ['POST', '/v1/chat/completions'] as const
const guards = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'strict-transport-security': 'max-age=31536000',
}

test('every answer that is not a provider’s is guarded against browsers, also what goes wrong; a page keeps its own policy', async () => {
  const port = await start()
  for (const path of ['/health', '/v1/tenants', '/nothing', '/broken']) {
    const { headers } = await ask(port, 'GET', path)
    for (const [name, value] of Object.entries(guards)) assert.equal(headers[name], value, `${path} ${name}`)
  }
  assert.match(await raw(port, 'GET /v1/tenants HTTP/1.1\r\nhost: a/b@c\r\n\r\n'), /^HTTP\/1\.1 400 [\s\S]*x-frame-options: DENY/i)
  assert.equal((await ask(port, 'GET', '/page')).headers['content-security-policy'], "default-src 'self'")
  const call = await ask(port, ...CALL)
  for (const name of Object.keys(guards)) assert.equal(call.headers[name], undefined, name)
  const development = await start({ isStrictTransport: false })
  assert.equal((await ask(development, 'GET', '/health')).headers['strict-transport-security'], undefined)
})

test('the management API and the pipeline are told from whom a request is', async () => {
  const port = await start()
  const peer = { address: '192.0.2.1', certificate: ['cn:robot'] }
  assert.deepEqual((await ask(port, 'GET', '/v1/tenants', { 'x-test-certificate': '1' })).json, { path: '/v1/tenants', peer })
  assert.deepEqual((await ask(port, ...CALL, { 'x-test-certificate': '1' })).json.peer, peer)
})

test('the management API takes a body that is announced first, as the pipeline does', async () => {
  const port = await start({ admin: { fetch: async (request) => Response.json({ body: await request.text() }) } })
  const asked = request({ port, host: '127.0.0.1', method: 'POST', path: '/v1/tenants', headers: { expect: '100-continue', 'content-length': 5 } })
  asked.flushHeaders()
  await once(asked, 'continue', { signal: AbortSignal.timeout(10_000) })
  asked.end('hello')
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  assert.deepEqual(JSON.parse(String(await response.toArray())), { body: 'hello' })
})

test('by another name than its own Earthflow is asked for nothing but its health: 421, in the words of whoever asks', async () => {
  const port = await start({ allowedHosts: ['earthflow.example.com', '::1', '10.0.0.7'] })
  const good = ['earthflow.example.com', 'EARTHFLOW.example.com:8443', 'earthflow.example.com.', '[::1]:8443', '10.0.0.7:1']
  for (const host of good) for (const path of ['/v1/tenants', '/info']) assert.equal((await ask(port, 'GET', path, { host })).status, 200, host)
  assert.equal((await ask(port, ...CALL, { host: good[0] })).json.relayed, '/v1/chat/completions')
  const bad = ['evil.example.com', 'earthflow.example.com.evil.example.com', 'xearthflow.example.com', '[::2]']
  for (const host of bad) {
    const refused = await ask(port, 'GET', '/v1/tenants', { host })
    assert.deepEqual([refused.status, refused.json.error], [421, 'MISDIRECTED_REQUEST'], host)
  }
  for (const host of bad.slice(0, 3)) assert.equal((await ask(port, 'GET', '/health', { host })).status, 200)
  for (const host of ['earthflow.example.com:x', 'a@earthflow.example.com', ''])
    assert.equal((await ask(port, 'GET', '/v1/tenants', { host })).status, 400, `${host} is no name`)
  const call = await ask(port, ...CALL, { host: 'evil.example.com' })
  assert.equal(call.status, 421)
  assert.match(call.json.error.message, /ALLOWED_HOSTS/)
  assert.equal((await ask(port, 'POST', '/health', { host: 'evil.example.com' })).status, 421)
})

test('a target in absolute form names a host as well, and neither it nor the Host header changes which path is asked', async () => {
  const port = await start({ allowedHosts: ['a.example.com'] })
  const status = async (target: string, host: string): Promise<string> => (await raw(port, `GET ${target} HTTP/1.1\r\nhost: ${host}\r\n\r\n`)).slice(9, 12)
  assert.equal(await status('http://a.example.com/v1/tenants', 'a.example.com'), '200')
  for (const target of [
    'http://evil.example.com/v1/tenants',
    'http://evil.example.com/health',
    'HTTP://evil.example.com',
    'http://a.example.com@evil.example.com/info',
  ])
    assert.equal(await status(target, 'a.example.com'), '421', target)
  assert.equal(await status('http://a.example.com/v1/tenants', 'evil.example.com'), '421')
  assert.equal(await status('http://evil.example.com/v1/tenants', 'evil.example.com'), '421', 'the same name twice is still none of ours')
  assert.match(await raw(port, 'GET /v1/tenants HTTP/1.1\r\nhost: a.example.com\r\nhost: evil.example.com\r\n\r\n'), /^HTTP\/1\.1 400 /)
  const open = await start()
  assert.match(await raw(open, 'GET /info HTTP/1.1\r\nhost: a/v1/tenants?x=\r\n\r\n'), /^HTTP\/1\.1 400 /)
  assert.match(await raw(open, 'GET /v1/models HTTP/1.1\r\nhost: a/v1/tenants\r\n\r\n'), /^HTTP\/1\.1 400 /)
  assert.match(await raw(open, 'GET http://a/v1/models?x=1 HTTP/1.1\r\nhost: a\r\n\r\n'), /"relayed":"\/v1\/models"/)
})

test('where client certificates are asked for nobody is answered without one, but on health', async () => {
  const port = await start({ needsCertificate: true })
  for (const [method, path] of [
    CALL,
    ['GET', '/v1/models'],
    ['GET', '/v1/tenants'],
    ['GET', '/info'],
    ['GET', '/nothing'],
    ['POST', '/health'],
    ['GET', '/health/services'],
  ] as const) {
    const refused = await ask(port, method, path)
    assert.equal(refused.status, 403, path)
    assert.match(JSON.stringify(refused.json), /client certificate/, path)
  }
  assert.equal((await ask(port, ...CALL)).json.error.code, 'certificate_required')
  assert.equal((await ask(port, 'GET', '/health')).status, 200)
  for (const [method, path] of [CALL, ['GET', '/v1/tenants'], ['GET', '/info']] as const) {
    assert.equal((await ask(port, method, path, { 'x-test-certificate': '1' })).status, 200, path)
  }
})

const page = 'https://console.example.com'
const asked = { origin: page, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization, content-type' }

test('a page that is allowed is told so beforehand, with the headers it means to send', async () => {
  const port = await start({ allowedOrigins: [page], needsCertificate: true })
  for (const path of ['/v1/chat/completions', '/v1/tenants', '/health']) {
    const { status, headers } = await ask(port, 'OPTIONS', path, asked)
    assert.equal(status, 204, path)
    assert.equal(headers['access-control-allow-origin'], page)
    assert.equal(headers['access-control-allow-credentials'], 'true')
    assert.match(String(headers['access-control-allow-methods']), /POST/)
    assert.equal(headers['access-control-allow-headers'], 'authorization, content-type')
    assert.equal(headers['access-control-max-age'], '600')
    assert.match(String(headers.vary), /origin/i)
  }
  for (const names of ['*, x y', 'a;b', `x-${'a'.repeat(5_000)}`, 'a,,b']) {
    assert.equal(
      (await ask(port, 'OPTIONS', '/v1/tenants', { ...asked, 'access-control-request-headers': names })).headers['access-control-allow-headers'],
      undefined,
      names.slice(0, 20),
    )
  }
})

test('its answers may be read by it, those of the pipeline, of the management API and refusals alike, and caches are told', async () => {
  const port = await start({ allowedOrigins: [page], allowedHosts: ['127.0.0.1', 'a'] })
  for (const [method, path, host] of [
    CALL,
    ['GET', '/v1/tenants'],
    ['GET', '/nothing'],
    ['PUT', '/v1/chat/completions'],
    ['GET', '/v1/tenants', 'evil'],
  ] as const) {
    const { headers } = await ask(port, method, path, { origin: page, host: host ?? 'a' })
    assert.equal(headers['access-control-allow-origin'], page, path)
    assert.equal(headers['access-control-allow-credentials'], 'true')
    assert.match(String(headers['access-control-expose-headers']), /x-earthflow-request-id.*retry-after/)
    assert.match(String(headers.vary), /origin/)
  }
})

test('any other page is told nothing of the sort: no wildcard, no null, no look-alike', async () => {
  const ports = [await start({ allowedOrigins: [page] }), await start()]
  for (const port of ports) {
    for (const origin of [
      'https://evil.example.com',
      'null',
      'https://console.example.com.evil.example.com',
      'http://console.example.com',
      'https://console.example.com:8443',
      'HTTPS://console.example.com',
    ]) {
      const before = await ask(port, 'OPTIONS', '/v1/chat/completions', { ...asked, origin })
      assert.equal(before.status, 405, origin)
      for (const { headers } of [before, await ask(port, ...CALL, { origin }), await ask(port, 'GET', '/v1/tenants', { origin })])
        assert.deepEqual(
          Object.keys(headers).filter((name) => name.startsWith('access-control-')),
          [],
          origin,
        )
    }
  }
  assert.equal((await ask(ports[0], 'OPTIONS', '/v1/chat/completions', { origin: page })).status, 405, 'no question beforehand')
})
