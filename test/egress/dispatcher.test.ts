import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { promisify } from 'node:util'
import type { Pool } from 'undici'
import { type EgressAllow, parseEgressAllow } from '../../src/egress/allow.ts'
import { createEgress, type Egress } from '../../src/egress/dispatcher.ts'
import { ensureDevelopmentCertificate } from '../../src/proxy/certificates.ts'

const none = parseEgressAllow('')
const loopback = parseEgressAllow('loopback')
const refused = { code: 'EGRESS_REFUSED', name: 'EgressRefused' }

/** Listens on all of this machine's addresses and counts who comes and what they say. */
let canary: { port: number; connections: number; bytes: number; server: TcpServer }
let dir: string
const closing: (() => Promise<unknown> | unknown)[] = []
before(async () => {
  const server = createTcpServer((socket) => {
    canary.connections++
    socket
      .on('error', () => {})
      .on('data', (chunk) => {
        canary.bytes += chunk.length
      })
  }).listen(0, '::')
  await once(server, 'listening')
  canary = { port: (server.address() as AddressInfo).port, connections: 0, bytes: 0, server }
  dir = await mkdtemp(join(tmpdir(), 'earthflow-egress-'))
})
after(async () => {
  for (const close of closing.reverse()) await close()
  canary.server.close()
  await rm(dir, { recursive: true })
})

function poolOf(egress: Egress, ...args: Parameters<Egress['pool']>): Pool {
  const pool = egress.pool(...args)
  closing.push(() => pool.destroy())
  return pool
}

async function provider(listener: RequestListener): Promise<{ server: Server; port: number }> {
  const server = createHttpServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { server, port: (server.address() as AddressInfo).port }
}

const get = (pool: Pool, path = '/', headers: Record<string, string> = {}) => pool.request({ method: 'GET', path, headers })
const names =
  (table: Record<string, readonly string[]>) =>
  async (host: string): Promise<readonly string[]> => {
    if (!table[host]) throw Object.assign(new Error('not found'), { code: 'ENOTFOUND' })
    return table[host]
  }

const LITERALS =
  '127.0.0.1 127.1 2130706433 0x7f000001 0177.0.0.1 127.0.0.1. 0.0.0.0 0 [::] [::1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] ①②⑦.⓪.⓪.① LOCALHOST localhost. localhost ' +
  'any.localhost 127%2e0.0.1 [::ffff:0:127.0.0.1] [64:ff9b::7f00:1]'

test('a pool is asked for a whole answer as well, in a program that loads no more of its library than connects', async () => {
  // In a process of its own: the suite may have loaded the rest for something else.
  const program = `
    const { createEgress } = await import('./src/egress/dispatcher.ts')
    const { parseEgressAllow } = await import('./src/egress/allow.ts')
    const pool = createEgress({ allow: parseEgressAllow('loopback') }).pool('http://127.0.0.1:' + process.argv[1])
    const { statusCode, body } = await pool.request({ method: 'GET', path: '/' })
    process.stdout.write(statusCode + ' ' + (await body.text()))
    await pool.close()`
  const server = createHttpServer((_, response) => void response.end('whole')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => server.close())
  const { port } = server.address() as AddressInfo
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program, String(port)])
  assert.equal(stdout, '200 whole')
})

test('no spelling of a loopback address is configured or connected to', async () => {
  const egress = createEgress({ allow: none })
  for (const host of LITERALS.split(' ')) {
    const url = `http://${host}:${canary.port}`
    await assert.rejects(egress.check(url, { https: 'optional' }), refused, host)
    // The connector must hold without the check: an origin may come from the environment, or from a row of an older version.
    await assert.rejects(async () => get(poolOf(egress, url)), refused, host)
  }
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, family } of addresses ?? []) {
      await assert.rejects(async () => get(poolOf(egress, `http://${family === 'IPv6' ? `[${address}]` : address}:${canary.port}`)), refused, address)
    }
  }
  assert.equal(canary.connections, 0)
})

test('a name is judged by every address it has, each time it is connected to', async () => {
  const before = canary.connections
  const answers = [
    ['93.184.216.34'],
    ['127.0.0.1'],
    ['93.184.216.34', '127.0.0.1'],
    ['2606:4700::1111', '::1'],
    ['::ffff:127.0.0.1'],
    ['127.1'],
    ['fe80::1%lo'],
  ]
  let asked = 0
  const egress = createEgress({ allow: none, lookup: async () => answers[asked++] })
  const url = `http://rebinding.example:${canary.port}`
  assert.deepEqual(await egress.check(url, { https: 'optional' }), { warning: null })
  const pool = poolOf(egress, url)
  while (asked < answers.length) await assert.rejects(get(pool), refused, String(answers[asked - 1]))
  assert.equal(asked, answers.length)
  assert.equal(canary.connections, before)
})

test('a peer that is not the one that was judged is left before a byte is sent', async () => {
  const before = canary.bytes
  let asked = 0
  const wavering: EgressAllow = { permits: () => asked++ === 0, namesPort: () => false }
  const pool = poolOf(createEgress({ allow: wavering }), `http://127.0.0.1:${canary.port}`)
  await assert.rejects(get(pool), refused)
  assert.equal(asked, 2)
  assert.equal(canary.bytes, before)
})

test('EGRESS_ALLOW opens by word, address, network and name; the name stays the Host', async () => {
  const { port } = await provider((request, response) => response.end(request.headers.host))
  const lookup = names({ 'models.internal': ['127.0.0.1'], 'a.corp.example': ['127.0.0.1'] })
  const open: [string, string][] = [
    ['loopback', '127.0.0.1'],
    ['loopback,127.0.0.0/8', 'localhost'],
    ['127.0.0.1', '2130706433'],
    ['127.0.0.0/8', '127.0.0.1'],
    ['127.0.0.0/8', 'models.internal'],
    ['models.internal', 'models.internal'],
    [`models.internal:${port}`, 'models.internal.'],
    ['*.corp.example', 'a.corp.example'],
  ]
  for (const [entries, host] of open) {
    const egress = createEgress({ allow: parseEgressAllow(entries), lookup })
    const url = `http://${host}:${port}`
    assert.deepEqual(await egress.check(url, { https: 'optional' }), { warning: null })
    const { statusCode, body } = await get(poolOf(egress, url))
    assert.equal(statusCode, 200)
    assert.equal(await body.text(), new URL(url).host)
  }
  const closed: [string, string][] = [
    ['10.0.0.0/8', 'models.internal'],
    ['models.internal', 'a.corp.example'],
    ['models.internal', '127.0.0.1'],
    [`models.internal:${port + 1}`, 'models.internal'],
  ]
  for (const [entries, host] of closed) {
    const egress = createEgress({ allow: parseEgressAllow(entries), lookup })
    await assert.rejects(get(poolOf(egress, `http://${host}:${port}`)), refused, `${entries} ${host}`)
  }
})

test('where a setting closes the internet, nobody connects to it by any name or spelling, whatever is opened; what is private stays open', async () => {
  const { port } = await provider((_, response) => response.end('here'))
  const lookup = names({ 'api.example': ['93.184.216.34'], 'both.internal': ['127.0.0.1', '2606:4700::1111'], 'models.internal': ['127.0.0.1'] })
  const egress = createEgress({ allow: parseEgressAllow('0.0.0.0/0,::/0,2001::/32,64:ff9b:1::/48'), lookup, internetClosedBy: 'EARTHFLOW_LOCALITY=local-only' })
  const closed = { code: 'OUT_OF_REACH' }
  // 64:ff9b::/96 is NAT64: the same host by another door; 64:ff9b:1::/48 is a local one, and 2001::/32 is Teredo.
  const doors = ['[64:ff9b::808:808]', '[64:ff9b:1::808:808]', '[64:ff9b:1:808:8:800::]', '[2001:0:808:808::1]']
  for (const host of ['8.8.8.8', '134744072', '[2606:4700::1111]', '[::ffff:8.8.8.8]', ...doors, 'api.example', 'both.internal']) {
    const url = `http://${host}:${port}`
    await assert.rejects(
      egress.check(url, { https: 'optional' }),
      { ...closed, message: /is on the internet, which EARTHFLOW_LOCALITY=local-only closes\.$/ },
      host,
    )
    await assert.rejects(async () => get(poolOf(egress, url)), closed, host)
  }
  for (const host of ['127.0.0.1', 'models.internal']) assert.equal(await (await get(poolOf(egress, `http://${host}:${port}`))).body.text(), 'here')
})

test('a second address is tried when the first does not answer', async () => {
  const { port } = await provider((_request, response) => response.end('second'))
  const egress = createEgress({ allow: loopback, lookup: async () => ['::1', '127.0.0.1'] })
  const { body } = await get(poolOf(egress, `http://models.internal:${port}`))
  assert.equal(await body.text(), 'second')
})

test('a redirect is the answer, not followed', async () => {
  const before = canary.connections
  const seen: string[] = []
  const { port } = await provider((request, response) => {
    seen.push(request.url ?? '')
    response.writeHead(Number(request.url?.slice(1)), { location: `http://127.0.0.1:${canary.port}/` }).end()
  })
  const pool = poolOf(createEgress({ allow: loopback }), `http://127.0.0.1:${port}`)
  for (const status of [301, 302, 303, 307, 308]) {
    const { statusCode, body } = await get(pool, `/${status}`, { authorization: 'Bearer secret' })
    await body.dump()
    assert.equal(statusCode, status)
  }
  assert.equal(seen.length, 5)
  assert.equal(canary.connections, before)
})

test('our own listeners are refused by any address that leads to them, even where EGRESS_ALLOW opens it', async () => {
  const before = canary.connections
  const allow = parseEgressAllow('0.0.0.0/0,::/0,loopback')
  const hosts = ['127.0.0.1', 'localhost', '[::1]', '127.0.0.9', '0.0.0.0', '[::]', '[::ffff:127.0.0.1]']
  for (const address of ['0.0.0.0', '::']) {
    const egress = createEgress({ allow, own: () => [{ address, port: canary.port }] })
    for (const host of hosts) await assert.rejects(get(poolOf(egress, `http://${host}:${canary.port}`)), refused, host)
    for (const one of Object.values(networkInterfaces()).flatMap((all) => all ?? [])) {
      if (one.family === 'IPv4') await assert.rejects(get(poolOf(egress, `http://${one.address}:${canary.port}`)), refused, one.address)
    }
  }
  const egress = createEgress({ allow, own: () => [{ address: '127.0.0.1', port: canary.port }] })
  for (const host of ['127.0.0.1', 'localhost', '0.0.0.0'])
    await assert.rejects(get(poolOf(egress, `http://${host}:${canary.port}`)), /leads back to Earthflow/)
  assert.equal(canary.connections, before)
})

test('a path to a local socket is no origin, and no option leads to one', async () => {
  const path = join(dir, 'local.sock')
  let connections = 0
  const server = createTcpServer(() => connections++).listen(path)
  await once(server, 'listening')
  closing.push(() => server.close())
  const egress = createEgress({ allow: loopback })
  for (const origin of [
    `unix:${path}`,
    `unix://${path}`,
    `http+unix://${encodeURIComponent(path)}`,
    path,
    `file://${path}`,
    'gopher://127.0.0.1',
    '//127.0.0.1',
  ]) {
    assert.throws(() => egress.pool(origin), refused, origin)
    await assert.rejects(egress.check(origin, { https: 'optional' }), refused, origin)
  }
  const smuggled = { socketPath: path, connect: { socketPath: path } } as object
  const pool = poolOf(egress, `http://127.0.0.1:${canary.port}`, { ...smuggled, firstByteMs: 50 })
  await assert.rejects(pool.request({ method: 'GET', path: '/', ...smuggled }), { code: 'UND_ERR_HEADERS_TIMEOUT' })
  assert.equal(connections, 0)
})

test('TLS is always verified: to a certificate of another name, authority or age not one byte of a call is sent', async () => {
  const mine = await ensureDevelopmentCertificate(join(dir, 'mine'), { hosts: ['models.internal'] })
  const others = await ensureDevelopmentCertificate(join(dir, 'others'), { hosts: ['models.internal'] })
  const expired = await ensureDevelopmentCertificate(join(dir, 'expired'), { hosts: ['models.internal'], now: Date.now() - 400 * 86_400_000 })
  const ca = await readFile(mine.caPath, 'utf8')
  const lookup = async (): Promise<string[]> => ['127.0.0.1']
  const egress = createEgress({ allow: loopback, lookup })
  let plaintext = 0
  const servernames: unknown[] = []
  const listen = async (options: TlsOptions): Promise<number> => {
    const server = createTlsServer(options, (socket) => {
      servernames.push(socket.servername)
      socket
        .on('error', () => {})
        .on('data', (chunk) => {
          plaintext += chunk.length
          socket.end('HTTP/1.1 204 No Content\r\n\r\n')
        })
    })
      .on('tlsClientError', () => {})
      .listen(0, '0.0.0.0')
    await once(server, 'listening')
    closing.push(() => server.close())
    return (server.address() as AddressInfo).port
  }
  const goodPort = await listen(mine)
  const attempts: [string, number, string | undefined, string][] = [
    [`other.internal`, goodPort, ca, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['127.0.0.2', goodPort, ca, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['models.internal', goodPort, undefined, 'SELF_SIGNED_CERT_IN_CHAIN'],
    ['models.internal', await listen(others), ca, 'SELF_SIGNED_CERT_IN_CHAIN'],
    ['models.internal', await listen(expired), await readFile(expired.caPath, 'utf8'), 'CERT_HAS_EXPIRED'],
    [
      'models.internal',
      await listen({ ...mine, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
      ca,
      'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    ],
  ]
  const allow = parseEgressAllow('127.0.0.0/8')
  for (const [host, port, trusted, code] of attempts) {
    const options = trusted === undefined ? {} : { ca: trusted }
    const pool = poolOf(createEgress({ allow, lookup }), `https://${host}:${port}`, options)
    await assert.rejects(pool.request({ method: 'POST', path: '/', body: 'prompt' }), (error: NodeJS.ErrnoException) => {
      assert.match(String(error.code), code.startsWith('ERR_SSL') ? /^ERR_SSL_|^ECONNRESET$/ : new RegExp(`^${code}$`), `${host} ${code}`)
      return true
    })
  }
  assert.equal(plaintext, 0)
  servernames.length = 0
  for (const host of ['models.internal', '127.0.0.1']) {
    const { statusCode } = await get(poolOf(egress, `https://${host}:${goodPort}`, { ca }), '/', { host: 'evil.example' })
    assert.equal(statusCode, 204)
  }
  assert.deepEqual(servernames, ['models.internal', false])
})

test('a name server that never answers costs the connect time-out, and is no refusal', async () => {
  const egress = createEgress({ allow: none, lookup: () => new Promise(() => {}), connectTimeoutMs: 50 })
  await assert.rejects(get(poolOf(egress, 'https://hanging.example')), { code: 'UND_ERR_CONNECT_TIMEOUT' })
  const unknown = createEgress({ allow: none, lookup: names({}) })
  await assert.rejects(get(poolOf(unknown, 'https://unknown.example')), { code: 'ENOTFOUND' })
  assert.match((await unknown.check('https://unknown.example', { https: 'required' })).warning ?? '', /unknown\.example could not be resolved now/)
})

test('an answer larger than the pool allows is an error', async () => {
  const { port } = await provider((_request, response) => response.end('x'.repeat(100_000)))
  const pool = poolOf(createEgress({ allow: loopback }), `http://127.0.0.1:${port}`, { responseBytesMax: 65_536 })
  const { body } = await get(pool)
  await assert.rejects(body.text(), { code: 'UND_ERR_RES_EXCEEDED_MAX_SIZE' })
})
