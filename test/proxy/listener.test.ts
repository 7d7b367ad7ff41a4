import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type IncomingMessage, type RequestListener, request, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ConnectionOptions, type SecureContextOptions, TLSSocket as ServerTlsSocket, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { ensureDevelopmentCertificate } from '../../src/proxy/certificates.ts'
import { createListener, type Listener, type ListenerBounds, type TlsMode } from '../../src/proxy/listener.ts'

let dir: string
let tls: { key: string; cert: string }
let other: { key: string; cert: string }
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'earthflow-listener-'))
  tls = await ensureDevelopmentCertificate(join(dir, 'one'))
  other = await ensureDevelopmentCertificate(join(dir, 'two'))
})
after(() => rm(dir, { recursive: true }))

const listeners: Listener[] = []
const clients: Socket[] = []
const counts = new Map<Listener, number>()
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  for (const listener of listeners.splice(0)) {
    listener.closeAllConnections()
    if (listener.listening) await new Promise((resolve) => listener.close(resolve))
  }
})

/** Reads the whole body, then answers `{"ok":true}`. */
const echo: RequestListener = (incoming, outgoing) => {
  incoming
    .on('error', () => {})
    .on('end', () => outgoing.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}'))
    .resume()
}
async function start(mode: TlsMode, handler: RequestListener = echo, bounds: Partial<ListenerBounds> = {}): Promise<{ listener: Listener; port: number }> {
  const listener = createListener(handler, { mode, tls: mode === 'terminated' ? null : tls, ...bounds })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  listeners.push(listener)
  return { listener, port: (listener.address() as AddressInfo).port }
}

interface Client {
  socket: Socket
  text: () => string
  /** The end of the connection, however it came. */
  over: () => boolean
}
function watch<S extends Socket>(socket: S): Client & { socket: S } {
  let text = ''
  let over = false
  clients.push(socket)
  socket
    .on('error', () => {})
    .on('data', (chunk) => {
      text += String(chunk)
    })
    .on('end', () => {
      over = true
    })
    .on('close', () => {
      over = true
    })
  return { socket, text: () => text, over: () => over }
}
const plain = (port: number): Client => watch(connect({ port, host: '127.0.0.1' }))
const secure = (port: number, options: ConnectionOptions = {}): Client & { socket: TLSSocket } =>
  watch(tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options }))

async function until(condition: () => boolean, what: string, limitMs = 60_000): Promise<void> {
  for (const stop = Date.now() + limitMs; !condition(); await sleep(2)) if (Date.now() > stop) throw new Error(`Waited ${limitMs} ms for: ${what}`)
}

const body = '{"model":"m"}'
const call = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
async function answersThreeCalls({ socket, text }: Client): Promise<void> {
  for (let i = 1; i <= 3; i++) {
    socket.write(call)
    await until(() => text().split('{"ok":true}').length === i + 1, `answer ${i}, so far ${text()}`)
  }
}
async function assertRefused(client: Client, status: number, code = 'VALIDATION_ERROR'): Promise<void> {
  await until(client.over, `a refusal, so far ${JSON.stringify(client.text())}`)
  const [head, json] = client.text().split('\r\n\r\n')
  assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} [A-Z]`))
  assert.match(head, /^connection: close$/im)
  const { error, message, context, timestamp, request_id } = JSON.parse(json)
  assert.equal(error, code)
  assert.match(message, /\.$/)
  assert.deepEqual(context, {})
  assert.ok(Date.parse(timestamp) > 0)
  assert.match(request_id, /^req_/)
}
const alive = async (port: number): Promise<void> => answersThreeCalls(plain(port))

test('auto: one port answers plain and TLS, three calls on each connection', async () => {
  const { port } = await start('auto')
  await answersThreeCalls(plain(port))
  await answersThreeCalls(secure(port))
})

test('on: the port answers TLS; a plain client is told so and let go', async () => {
  const { port } = await start('on')
  await answersThreeCalls(secure(port))
  const client = plain(port)
  client.socket.write(call)
  await assertRefused(client, 400)
  assert.match(client.text(), /This port speaks TLS/)
  await answersThreeCalls(secure(port))
})

test('terminated: the port answers plain HTTP, and a TLS hello is a bad request', async () => {
  const { port } = await start('terminated')
  await answersThreeCalls(plain(port))
  const client = secure(port)
  await until(client.over, 'the end of the TLS attempt')
  assert.equal(client.text(), '')
  await alive(port)
})

test('a listener that should speak TLS is not made without a certificate', () => {
  for (const mode of ['on', 'auto'] as const) assert.throws(() => createListener(echo, { tls: null, mode }), /needs a key and a certificate/)
})

test('a first byte that comes alone, and bytes one by one, are understood', async () => {
  const { port } = await start('auto')
  const client = plain(port)
  client.socket.setNoDelay(true)
  for (const char of call) {
    client.socket.write(char)
    await new Promise(setImmediate)
  }
  await until(() => client.text().includes('{"ok":true}'), 'the answer')
})

test('a TLS session is resumed', async () => {
  for (const mode of ['on', 'auto'] as const) {
    const { port } = await start(mode)
    const [session] = (await once(secure(port).socket, 'session')) as [Buffer]
    const second = secure(port, { session })
    await once(second.socket, 'secureConnect')
    assert.equal(second.socket.isSessionReused(), true)
  }
})

test('TLS below 1.2 is refused, HTTP/1.1 is what is agreed on, and what is not on offer is refused', async () => {
  const { port } = await start('auto')
  const agreed = secure(port, { ALPNProtocols: ['h2', 'http/1.1'] })
  await once(agreed.socket, 'secureConnect')
  assert.equal(agreed.socket.alpnProtocol, 'http/1.1')
  for (const options of [{ ALPNProtocols: ['h2'] }, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }] as const) {
    const socket = tlsConnect({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ...options,
      ALPNProtocols: [...('ALPNProtocols' in options ? options.ALPNProtocols : [])],
    })
    clients.push(socket)
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
    assert.match(String(error.code), /ALERT|ECONNRESET/)
  }
  await alive(port)
})

test('a new certificate serves new connections, the old ones go on; a bad one changes nothing', async () => {
  const { listener, port } = await start('on')
  const fingerprint = async (): Promise<[Client, string]> => {
    const client = secure(port)
    await once(client.socket, 'secureConnect')
    return [client, client.socket.getPeerCertificate().fingerprint256]
  }
  const [first, before] = await fingerprint()
  listener.setSecureContext(other)
  const [, renewed] = await fingerprint()
  assert.notEqual(renewed, before)
  await answersThreeCalls(first)
  for (const bad of [
    { key: tls.key, cert: other.cert },
    { key: 'x', cert: 'y' },
  ] satisfies SecureContextOptions[])
    assert.throws(() => listener.setSecureContext(bad))
  assert.equal((await fingerprint())[1], renewed)
  const { listener: plainOnly } = await start('terminated')
  assert.throws(() => plainOnly.setSecureContext(tls), /speaks no TLS/)
})

test('time limits hold behind every door, and say so', async () => {
  const { port } = await start('auto', echo, { headersMs: 100, bodyMs: 200 })
  const silent = plain(port)
  const slowHeads = [plain(port), secure(port)]
  for (const { socket } of slowHeads) socket.write('POST / HTTP/1.1\r\nx: ')
  const slowBodies = [plain(port), secure(port)]
  for (const { socket } of slowBodies) socket.write(call.slice(0, -1))
  for (const client of [...slowHeads, ...slowBodies]) await assertRefused(client, 408)
  await until(silent.over, 'the silent connection to be closed')
  assert.equal(silent.text(), '')
})

test('a client that never finishes the TLS handshake is let go', async () => {
  const { port } = await start('on', echo, { handshakeMs: 50 })
  const client = plain(port)
  client.socket.write(Buffer.from([0x16, 3, 1]))
  await until(client.over, 'the end')
})

test('what is not HTTP is answered with 400 and a reason, also when more of it follows', async () => {
  const { port } = await start('terminated')
  const garbage = [
    'rubbish\r\n\r\n',
    'GET / HTTP/1.1\r\n\r\n',
    'GET / HTTP/1.1\r\nhost: x\r\n space: x\r\n\r\n',
    'GET / HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n',
    'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!',
    'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nnot a length\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\x16\x03\x01\x00\x05hello',
  ]
  for (const bytes of garbage) {
    const client = plain(port)
    client.socket.write(Buffer.from(bytes, 'latin1'))
    await assertRefused(client, 400)
  }
  const talkative = plain(port)
  const errors: unknown[] = []
  talkative.socket.on('error', (error) => errors.push(error))
  talkative.socket.write(`rubbish\r\n\r\n${'x'.repeat(1_000_000)}`)
  await until(() => talkative.text() !== '', 'the answer')
  talkative.socket.write('x'.repeat(1_000_000))
  await assertRefused(talkative, 400)
  await until(() => talkative.socket.closed, 'its close')
  assert.deepEqual(errors, [], 'the connection ended, it was not reset')
  await alive(port)
})

test('a head that is too large or has too many headers is answered with 431; nothing is dropped silently', async () => {
  let headers = 0
  const { port } = await start('terminated', (incoming, outgoing) => {
    headers = incoming.rawHeaders.length / 2
    echo(incoming, outgoing)
  })
  const withHeaders = (count: number): string => `GET / HTTP/1.1\r\nhost: x\r\n${'a: b\r\n'.repeat(count - 1)}\r\n`
  const most = plain(port)
  most.socket.write(withHeaders(200))
  await until(() => most.text().includes('{"ok":true}'), 'the answer')
  assert.equal(headers, 200)
  const tooMany = plain(port)
  tooMany.socket.write(withHeaders(201))
  await assertRefused(tooMany, 431)
  const tooLarge = plain(port)
  tooLarge.socket.write(`GET / HTTP/1.1\r\nhost: x\r\na: ${'b'.repeat(17_000)}\r\n\r\n`)
  await assertRefused(tooLarge, 431)
})

test('nothing is written into the middle of an answer, nor before one that waits its turn', async () => {
  const outgoings: ServerResponse[] = []
  const { port } = await start('terminated', (_incoming, outgoing) => {
    outgoings.push(outgoing)
    if (outgoings.length === 1) outgoing.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
  })
  const get = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n'
  const begun = plain(port)
  begun.socket.write(get)
  await until(() => begun.text().includes('data: 1'), 'the first event')
  begun.socket.write('rubbish\r\n\r\n')
  await until(begun.over, 'the end')
  assert.doesNotMatch(begun.text(), /400/)
  outgoings.length = 0
  const pipelined = plain(port)
  pipelined.socket.write(get + get)
  await until(() => outgoings.length === 2, 'both requests')
  pipelined.socket.write('rubbish\r\n\r\n')
  await until(pipelined.over, 'the end')
  assert.doesNotMatch(pipelined.text(), /400/)
})

test('a client that breaks off its own body is answered, and the handler that answers all the same harms nobody', async () => {
  let outgoing: ServerResponse | undefined
  const { port } = await start('terminated', (incoming, response) => {
    incoming.on('error', () => {}).resume()
    outgoing = response
  })
  const client = plain(port)
  client.socket.write('POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n')
  await until(() => outgoing !== undefined, 'the request')
  client.socket.write('rubbish\r\n')
  await until(() => client.text() !== '', 'the answer')
  outgoing
    ?.on('error', () => {})
    .writeHead(200)
    .end('late')
  await assertRefused(client, 400)
  assert.doesNotMatch(client.text(), /late/)
})

test('a request that expects 100 gets it when its body is wanted, and not before', async () => {
  const waiting: [IncomingMessage, ServerResponse][] = []
  const { port } = await start('auto', (...pair) => waiting.push(pair))
  const head = `POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: ${body.length}\r\n\r\n`
  const client = plain(port)
  client.socket.write(head)
  await until(() => waiting.length === 1, 'the request')
  assert.equal(client.text(), '')
  const [incoming, outgoing] = waiting[0]
  assert.equal(incoming.headers.expect, '100-continue')
  outgoing.writeContinue()
  await until(() => client.text() !== '', 'the 100')
  assert.equal(client.text(), 'HTTP/1.1 100 Continue\r\n\r\n')
  echo(incoming, outgoing)
  client.socket.write(body)
  await until(() => client.text().includes('{"ok":true}'), 'the answer')
  assert.match(client.text(), /connection: keep-alive/i)

  // Refused without a 100, the client may or may not send the body: the connection ends, so that it is never read as a request.
  client.socket.write(head)
  await until(() => waiting.length === 2, 'the second request')
  waiting[1][1].writeHead(413).end()
  client.socket.write('GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n')
  await until(client.over, 'the end')
  assert.match(client.text(), /HTTP\/1\.1 413 [\s\S]*connection: close/i)
  assert.equal(client.text().split('100 Continue').length, 2)
  assert.equal(waiting.length, 2)
})

test('any other expectation is answered with 417, and HTTP/1.0 expects nothing', async () => {
  const { port } = await start('terminated', (incoming, outgoing) => {
    assert.equal(incoming.headers.expect, undefined)
    echo(incoming, outgoing)
  })
  const strange = plain(port)
  strange.socket.write(`POST / HTTP/1.1\r\nhost: x\r\nexpect: a-pony\r\ncontent-length: 2\r\n\r\n{}`)
  await assertRefused(strange, 417)
  const old = plain(port)
  old.socket.write('POST / HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n{}')
  await until(old.over, 'the end')
  assert.match(old.text(), /^HTTP\/1\.1 200 /)
})

test('a WebSocket handshake is answered with 426; an offer of HTTP/2 is ignored', async () => {
  for (const mode of ['auto', 'terminated'] as const) {
    const { port } = await start(mode)
    const client = plain(port)
    client.socket.write('GET /v1/responses HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n')
    await assertRefused(client, 426)
    assert.match(client.text(), /^upgrade: HTTP\/1\.1$/im)
    const offering = plain(port)
    offering.socket.write(call.replace('host: x', 'host: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA'))
    await until(() => offering.text().includes('{"ok":true}'), 'the answer')
    await answersThreeCalls(plain(port))
  }
})

test('a tunnel is refused, unless somebody ends tunnels; then its inside reaches the same handler', async () => {
  const connectHead = 'CONNECT api.openai.com:443 HTTP/1.1\r\nhost: api.openai.com:443\r\n\r\n'
  for (const mode of ['auto', 'terminated'] as const) {
    const { listener, port } = await start(mode)
    const refused = plain(port)
    refused.socket.write(connectHead)
    await assertRefused(refused, 405, 'METHOD_NOT_ALLOWED')
    listener.on('connect', (_request, socket: Socket) => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      listener.emit('connection', new ServerTlsSocket(socket, { isServer: true, ...tls }))
    })
    const tunnelled = connect({ port, host: '127.0.0.1' })
    clients.push(tunnelled)
    tunnelled.write(connectHead)
    assert.match(String(await once(tunnelled, 'data')), /^HTTP\/1.1 200 /)
    await answersThreeCalls(watch(tlsConnect({ socket: tunnelled, servername: 'api.openai.com', rejectUnauthorized: false })))
  }
})

test('a connection ends politely after its number of requests', async () => {
  const { port } = await start('terminated', echo, { requestsPerConnectionMax: 2 })
  const client = plain(port)
  client.socket.write(call)
  await until(() => client.text().split('{"ok":true}').length === 2, 'the first answer')
  assert.doesNotMatch(client.text(), /connection: close/i)
  client.socket.write(call)
  await until(() => client.text().split('{"ok":true}').length === 3, 'the last answer')
  assert.match(client.text(), /connection: close/i)
})

test('connections beyond the bound are closed, and there is room again when others leave', async () => {
  const { listener, port } = await start('terminated', echo, { connectionsMax: 2 })
  const kept = [plain(port), plain(port)]
  for (const client of kept) await answersThreeCalls(client)
  const third = plain(port)
  await until(third.over, 'the third to be closed')
  kept[0].socket.destroy()
  await until(() => connectionsOf(listener) === 1, 'room')
  await answersThreeCalls(plain(port))
})

test('of one source so many connections are taken, more are closed before anything is read, and all is counted', async () => {
  const { listener, port } = await start('on', echo, { connectionsPerSourceMax: 2 })
  const kept = [secure(port), secure(port)]
  for (const client of kept) await answersThreeCalls(client)
  const third = secure(port)
  await until(third.over, 'the third to be closed')
  assert.deepEqual(listener.counts(), { open: 2, refusedOfSource: 1, stalled: 0, refusedInAll: 0 })
  kept[0]!.socket.destroy()
  await until(() => listener.counts().open === 1, 'room')
  await answersThreeCalls(secure(port))
  const all = createListener(echo, { mode: 'terminated', tls: null, connectionsPerSourceMax: 1, isUncapped: (address) => address === '127.0.0.1' })
  listeners.push(all)
  all.listen(0, '127.0.0.1')
  await once(all, 'listening')
  const many = [1, 2, 3].map(() => plain((all.address() as AddressInfo).port))
  for (const client of many) await answersThreeCalls(client)
})

test('who does not read what waits for him is let go, behind TLS too, whatever it is that he asked for', async () => {
  for (const mode of ['terminated', 'on'] as const) {
    const { listener, port } = await start(mode, (_incoming, outgoing) => void outgoing.writeHead(200).end(Buffer.alloc(32 << 20)), { writeStallMs: 100 })
    const socket = mode === 'on' ? tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false }) : connect({ port, host: '127.0.0.1' })
    clients.push(socket.on('error', () => {}))
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    await until(() => listener.counts().stalled === 1, 'the reader to be let go')
    await until(() => listener.counts().open === 0, 'its end')
  }
})

test('a body of which nothing comes any more is 408, behind TLS too', async () => {
  const { port } = await start('auto', echo, { bodyIdleMs: 100 })
  for (const client of [plain(port), secure(port)]) {
    client.socket.write(call.slice(0, -1))
    await assertRefused(client, 408)
  }
})

test('a body that drips has its time and no more; one that comes at the least speed has longer, behind TLS too', async (t) => {
  const { port } = await start('auto', echo, { bodyMs: 1_000, bodyBytesPerSecondMin: 1_000 })
  const head = 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n'
  const fast = [plain(port), secure(port)]
  const dripping = [plain(port), secure(port)]
  // What came before on a connection counts for nothing.
  for (const { socket, text } of dripping) {
    socket.write(`${head}f4240\r\n${'x'.repeat(1_000_000)}\r\n0\r\n\r\n`)
    await until(() => text().includes('{"ok":true}'), 'the first answer')
  }
  for (const { socket } of [...fast, ...dripping]) socket.write(head)
  const timer = setInterval(() => {
    for (const { socket } of fast) socket.write(`3e8\r\n${'x'.repeat(1_000)}\r\n`)
    for (const { socket } of dripping) if (socket.writable) socket.write('1\r\nx\r\n')
  }, 50)
  t.after(() => clearInterval(timer))
  for (const { over, text } of dripping) {
    await until(over, 'the end of what drips', 20_000)
    assert.match(text(), /\{"ok":true\}\r\n0\r\n\r\nHTTP\/1\.1 408 /)
  }
  clearInterval(timer)
  for (const { socket, text } of fast) {
    socket.write('0\r\n\r\n')
    await until(() => text().includes('{"ok":true}'), `the answer, so far ${text()}`)
  }
})

test('the largest body may take as long as it needs at the least speed, and none less than its minute', () => {
  const timeoutOf = (bodyBytesMax: number): number => createListener(echo, { mode: 'terminated', tls: null, bodyBytesMax }).requestTimeout
  assert.deepEqual([32 << 20, 1 << 20].map(timeoutOf), [512_000, 60_000])
})

test('what is refused is the last of its connection: neither what came with it nor what comes later reaches anybody', async () => {
  const urls: string[] = []
  const { port } = await start('terminated', (incoming, outgoing) => {
    urls.push(incoming.url ?? '')
    setImmediate(() => echo(incoming, outgoing))
  })
  const bad = 'GET /bad HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n'
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`
  const client = plain(port)
  client.socket.write(bad + get('/after'))
  await until(() => client.text() !== '', 'the refusal')
  client.socket.write(get('/later'))
  await assertRefused(client, 400)
  const behind = plain(port)
  behind.socket.write(get('/first') + bad + get('/after'))
  await until(behind.over, 'the end')
  assert.deepEqual(
    [...behind.text().matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status),
    ['200', '400'],
    'in order',
  )
  assert.deepEqual(urls, ['/first'])
})

test('what follows an ignored offer to upgrade is not read as if its middle were its beginning', async () => {
  const urls: string[] = []
  const { port } = await start('terminated', (incoming, outgoing) => {
    urls.push(incoming.url ?? '')
    setTimeout(() => echo(incoming, outgoing), 20)
  })
  const client = plain(port)
  client.socket.write(
    'GET /offer HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nPOST /next HTTP/1.1\r\nhost: x\r\ncontent-length: 37\r\n\r\n',
  )
  await until(() => urls.length === 1, 'the request')
  client.socket.write('GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n')
  await until(client.over, 'the end')
  assert.match(client.text(), /^HTTP\/1\.1 200 [\s\S]*connection: close/i)
  assert.deepEqual(urls, ['/offer'])
})

test('an answer is not taken back for what follows a client’s own last request', async () => {
  const { port } = await start('terminated', (incoming, outgoing) => void setTimeout(() => echo(incoming, outgoing), 20))
  const client = plain(port)
  client.socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\nGET /again HTTP/1.1\r\nhost: x\r\n\r\n')
  await until(client.over, 'the end')
  assert.match(client.text(), /^HTTP\/1\.1 200 /)
})

test('closing: what follows a request whose answer ends the connection is not acted upon, since nobody could be told', async () => {
  const waiting: [url: string | undefined, outgoing: ServerResponse][] = []
  const { listener, port } = await start('auto', (incoming, outgoing) => void waiting.push([incoming.url, outgoing]))
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`
  const urls = (): (string | undefined)[] => waiting.map(([url]) => url)
  const before = [plain(port), secure(port)]
  for (const { socket } of before) socket.write(get('/a'))
  await until(() => waiting.length === 2, 'the calls')
  listener.announceClose()
  for (const { socket } of before) socket.write(get('/b'))
  const since = [plain(port), secure(port)]
  for (const { socket } of since) socket.write(get('/c') + get('/d'))
  await until(() => urls().filter((url) => url === '/c').length === 2, 'the calls since')
  for (const [, outgoing] of waiting) outgoing.end('done')
  for (const client of [...before, ...since]) {
    await until(client.over, `the end, so far ${client.text()}`)
    assert.match(client.text(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*connection: close\r\n[\s\S]*done$/i)
  }
  assert.deepEqual(urls().sort(), ['/a', '/a', '/c', '/c'])
})

test('closing: idle connections end at once, calls under way are answered, and nothing new is accepted', async () => {
  const waiting: ServerResponse[] = []
  const { listener, port } = await start('auto', (incoming, outgoing) => {
    if (incoming.url !== '/slow') return echo(incoming, outgoing)
    if (waiting.push(outgoing) === 2) outgoing.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
  })
  const idle = [plain(port), secure(port)]
  for (const client of idle) await answersThreeCalls(client)
  const busy = [plain(port), secure(port)]
  for (const [i, { socket }] of busy.entries()) {
    socket.write('GET /slow HTTP/1.1\r\nhost: x\r\n\r\n')
    await until(() => waiting.length === i + 1, 'the call')
  }
  let closed = false
  listener.close(() => {
    closed = true
  })
  await until(() => idle.every(({ over }) => over()), 'idle connections to close')
  const late = plain(port)
  const [error] = (await once(late.socket, 'error')) as [NodeJS.ErrnoException]
  assert.equal(error.code, 'ECONNREFUSED')
  assert.equal(closed, false)
  for (const outgoing of waiting) outgoing.end('done')
  await until(() => closed, 'the listener to close')
  assert.match(busy[0].text(), /connection: close[\s\S]*done$/i)
  assert.match(busy[1].text(), /data: 1\n\n[\s\S]*done/)
})

test('closing: a client that dribbles its head is still cut off', async () => {
  const { listener, port } = await start('auto', echo, { headersMs: 100 })
  const client = plain(port)
  client.socket.write('GET / HTTP/1.1\r\nx: ')
  await until(() => connectionsOf(listener) === 1, 'the connection')
  await new Promise((resolve) => listener.close(resolve))
  assert.match(client.text(), /^(HTTP\/1\.1 408 |$)/)
})

test('closing everything also closes who has said nothing yet or is shaking hands', async () => {
  for (const mode of ['on', 'auto'] as const) {
    const { listener, port } = await start(mode)
    const silent = plain(port)
    const shaking = plain(port)
    shaking.socket.write(Buffer.from([0x16, 3, 1, 2, 0]))
    await until(() => connectionsOf(listener) === 2, 'both connections')
    listener.close()
    listener.closeAllConnections()
    await until(() => silent.over() && shaking.over(), 'both to be closed')
    await until(() => connectionsOf(listener) === 0, 'nothing left')
  }
})

test('a thousand clients that connect and vanish, and broken TLS hellos, leave nothing behind, not even until a time-out', { timeout: 9_000 }, async () => {
  const unhandled: unknown[] = []
  const note = (error: unknown): void => {
    unhandled.push(error)
  }
  process.on('uncaughtExceptionMonitor', note)
  for (const mode of ['on', 'auto', 'terminated'] as const) {
    const { listener, port } = await start(mode)
    const bytes = ['', '\x16', '\x16\x03\x01\x02\x00\x01\x00', `\x16\x03\x01\x00\x10${'\xff'.repeat(16)}`, 'GET / HTTP/1.1\r\n', call, call.slice(0, -3), '\0']
    for (let round = 0; round < 4; round++) {
      await Promise.all(
        Array.from({ length: 84 }, async (_, i) => {
          const socket = connect({ port, host: '127.0.0.1' }).on('error', () => {})
          await once(socket, 'connect')
          socket.write(Buffer.from(bytes[i % bytes.length], 'latin1'))
          const leave = [() => socket.destroy(), () => socket.resetAndDestroy(), () => socket.resume().end()][(i >> 3) % 3]
          if (i % 2 === 0) await new Promise(setImmediate)
          leave()
          await once(socket, 'close')
        }),
      )
    }
    await until(() => connectionsOf(listener) === 0, `no connection left in mode ${mode}`)
    if (mode === 'on') await answersThreeCalls(secure(port))
    else await alive(port)
  }
  process.off('uncaughtExceptionMonitor', note)
  assert.deepEqual(unhandled, [])
})

test('a body refused while it still arrives does not cost the client its answer', async () => {
  const { port } = await start('terminated')
  const outgoing = request({ port, host: '127.0.0.1', method: 'POST', headers: { expect: 'nothing', 'content-length': 4_000_000 } })
  outgoing.on('error', () => {}).end(Buffer.alloc(4_000_000, 'x'))
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  assert.equal(response.statusCode, 417)
})

/** Connections handed over by the kernel that are still open, as last counted (getConnections answers later). */
function connectionsOf(listener: Listener): number {
  listener.getConnections((_error, open) => counts.set(listener, open))
  return counts.get(listener) ?? -1
}
