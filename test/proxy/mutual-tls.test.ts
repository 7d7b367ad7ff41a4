/** Client certificates over real sockets: who shows none, a good one, a foreign one, and what a resumed or renegotiated connection is worth. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { type AddressInfo, connect as connectPlain, createServer, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { createPeerOf, type Peer } from '../../src/access/peer.ts'
import { createListener, type Listener } from '../../src/proxy/listener.ts'
import { type Authority, makeAuthority, type Pair } from './client-certificates.ts'

let now = Date.now()
let authority: Authority
let stranger: Authority
let server: Pair
let robot: Pair
let listener: Listener
let port: number
const open: TLSSocket[] = []
/** Answers that a test ends. */
const waiting: (() => void)[] = []
let arrived: (() => void) | null = null

before(async () => {
  authority = await makeAuthority()
  stranger = await makeAuthority()
  server = await authority.issue({ subject: 'CN=localhost', usage: 'server' })
  robot = await authority.issue({ subject: 'CN=robot', names: [{ type: 'url', value: 'spiffe://example.com/robot' }] })
  const peerOf = createPeerOf({ trustedProxies: ['127.0.0.1'], now: () => now })
  const answer: RequestListener = (incoming, outgoing) => {
    const said = JSON.stringify(peerOf(incoming))
    if (incoming.url === '/') return outgoing.end(said)
    if (incoming.url === '/begun') outgoing.write(' ')
    waiting.push(() => outgoing.end(said))
    arrived?.()
  }
  listener = createListener(answer, { mode: 'auto', tls: { ...server, ca: authority.cert } })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  port = (listener.address() as AddressInfo).port
})
after(() => {
  for (const socket of open) socket.destroy()
  listener.closeAllConnections()
  listener.close()
})

interface Told {
  peer: Peer | null
  socket: TLSSocket
  session: Buffer | undefined
}

/** What Earthflow knows of who asks; null where the connection was ended. */
async function ask(options: ConnectionOptions & { headers?: string } = {}): Promise<Told> {
  const { headers = '', ...tls } = options
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...tls })
  open.push(socket)
  let session: Buffer | undefined
  socket.on('session', (one) => {
    session = one
  })
  socket.on('error', () => {})
  return { peer: await askOn(socket, headers), socket, session }
}

async function askOn(socket: TLSSocket, headers = ''): Promise<Peer | null> {
  socket.write(`GET / HTTP/1.1\r\nhost: x\r\n${headers}\r\n`)
  const answer = await new Promise<string | null>((resolve) => {
    socket.once('data', (chunk) => resolve(String(chunk)))
    socket.once('close', () => resolve(null))
  })
  return answer === null ? null : JSON.parse(answer.split('\r\n\r\n')[1])
}

const NAMES = ['uri:spiffe://example.com/robot', 'cn:robot']
const versions = [{ maxVersion: 'TLSv1.2' }, { minVersion: 'TLSv1.3' }] as const

test('a certificate that verifies is who asks; without one nobody is named, and both are served', async () => {
  for (const version of versions) {
    assert.deepEqual((await ask({ ...robot, ...version })).peer, { address: '127.0.0.1', certificate: NAMES })
    assert.deepEqual((await ask({ ...version })).peer, { address: '127.0.0.1', certificate: null })
  }
})

test('a certificate that does not verify ends the connection: foreign, expired, not yet valid, or of a server', async () => {
  const wrong = {
    foreign: await stranger.issue({ subject: 'CN=robot', names: [{ type: 'url', value: 'spiffe://example.com/robot' }] }),
    expired: await authority.issue({ from: -30, to: -1 }),
    early: await authority.issue({ from: 1, to: 30 }),
    'of a server': await authority.issue({ usage: 'server' }),
  }
  for (const version of versions) for (const [name, pair] of Object.entries(wrong)) assert.equal((await ask({ ...pair, ...version })).peer, null, name)
})

test('no session is resumed: each connection shows its certificate anew, and keeps its identity', async () => {
  for (const version of versions) {
    const first = await ask({ ...robot, ...version })
    for (const own of [robot, {}]) {
      const again = await ask({ ...own, ...version, ...(first.session && { session: first.session }) })
      assert.equal(again.socket.isSessionReused(), false)
      assert.deepEqual(again.peer?.certificate, own === robot ? NAMES : null)
    }
  }
})

test('a connection cannot be given another certificate in its middle', async () => {
  const { socket } = await ask({ maxVersion: 'TLSv1.2' })
  const refused = new Promise<Error | null>((resolve) => {
    socket.once('error', resolve)
    socket.once('close', () => resolve(new Error('closed')))
    socket.renegotiate({}, (error) => resolve(error))
  })
  assert.ok((await refused) instanceof Error)
})

test('a certificate that expires while its connection lasts is none from then on', async () => {
  const { socket } = await ask(robot)
  assert.deepEqual((await askOn(socket))?.certificate, NAMES)
  now += 31 * 86_400_000
  try {
    for (let i = 0; i < 2; i++) assert.equal((await askOn(socket, 'x-forwarded-for: 192.0.2.7\r\n'))?.certificate, null)
  } finally {
    now = Date.now()
  }
})

test('all lines of X-Forwarded-For count, and the certificate is the connection’s', async () => {
  const { peer } = await ask({ ...robot, headers: 'x-forwarded-for: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\n' })
  assert.deepEqual(peer, { address: '192.0.2.2', certificate: NAMES })
})

test('other authorities count for connections from now on', async () => {
  const theirs = await stranger.issue()
  listener.setSecureContext({ ...server, ca: stranger.cert })
  assert.deepEqual((await ask(theirs)).peer?.certificate, ['cn:robot'])
  assert.equal((await ask(robot)).peer, null)
  listener.setSecureContext({ ...server, ca: authority.cert })
  assert.deepEqual((await ask(robot)).peer?.certificate, NAMES)
})

test('when the authorities change, connections made under the old ones end: the idle at once, others with their answer, and no further call is served on them', {
  timeout: 10_000,
}, async () => {
  const silent = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...robot })
  open.push(silent)
  await once(silent, 'secureConnect')
  const idle = await ask(robot)
  const busy: { socket: TLSSocket; told: string }[] = []
  for (const path of ['/held', '/begun']) {
    const one = { socket: (await ask(robot)).socket, told: '' }
    one.socket.on('data', (chunk) => {
      one.told += String(chunk)
    })
    const there = new Promise<void>((resolve) => {
      arrived = resolve
    })
    one.socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`)
    await there
    busy.push(one)
  }
  const ended = [silent, idle.socket, ...busy.map(({ socket }) => socket)].map((socket) => {
    socket.on('error', () => {})
    return once(socket, 'close')
  })
  // Another certificate of the same authorities ends nothing.
  listener.setSecureContext({ ...server, ca: authority.cert })
  assert.deepEqual((await askOn(idle.socket))?.certificate, NAMES)
  listener.setSecureContext({ ...server, ca: stranger.cert })
  await Promise.all(ended.slice(0, 2))
  for (const { socket } of busy) socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
  await ask(await stranger.issue()) // what was written before has arrived
  for (const end of waiting.splice(0)) end()
  await Promise.all(ended)
  for (const { told } of busy) assert.equal(told.split('spiffe:').length, 2, told)
  listener.setSecureContext({ ...server, ca: authority.cert })
  assert.deepEqual((await ask(robot)).peer?.certificate, NAMES)
})

test('a handshake that began under the old authorities makes no connection under the new ones', { timeout: 10_000 }, async (t) => {
  let release = (): void => {}
  let held: Promise<void> = Promise.resolve()
  const sockets: Socket[] = []
  const relay = createServer((near) => {
    const far = connectPlain(port, '127.0.0.1')
    sockets.push(near, far)
    for (const [one, other] of [
      [near, far],
      [far, near],
    ]) {
      one?.on('error', () => {})
      one?.once('close', () => other?.destroy())
    }
    far.pipe(near)
    held = new Promise((resolve) => {
      near.once('data', (hello) => {
        far.write(hello)
        near.once('data', (rest) => {
          near.pause()
          release = () => {
            far.write(rest)
            near.pipe(far)
          }
          resolve()
        })
      })
    })
  }).listen(0, '127.0.0.1')
  t.after(() => {
    listener.setSecureContext({ ...server, ca: authority.cert })
    for (const socket of sockets) socket.destroy()
    relay.close()
  })
  await once(relay, 'listening')
  const answered = ask({ ...robot, port: (relay.address() as AddressInfo).port })
  await once(relay, 'connection')
  await held
  listener.setSecureContext({ ...server, ca: stranger.cert })
  release()
  assert.equal((await answered).peer, null)
})
