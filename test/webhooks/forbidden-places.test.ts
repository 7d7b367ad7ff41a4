/** Events go to no place inside, however it is written: not when a webhook is added, not when it is changed, not when something is delivered. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, Socket, type Server as TcpServer } from 'node:net'
import { after, before, beforeEach, mock, test } from 'node:test'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { parseEgressAllow } from '../../src/egress/allow.ts'
import { createEgress, type Egress } from '../../src/egress/dispatcher.ts'
import type { Lookup } from '../../src/egress/lookup.ts'
import type { Refusal } from '../../src/errors.ts'
import { createAttempts, type Outcome } from '../../src/webhooks/attempt.ts'
import { createDeliveries } from '../../src/webhooks/deliveries.ts'
import { createEndpoints } from '../../src/webhooks/endpoints.ts'
import { type Management, manage } from '../admin/management.ts'
import { openTestDatabase, type TestDatabase } from '../db/engines.ts'

const GOOD = 'https://hooks.example.com/earthflow'
const PUBLIC = ['93.184.216.34']

/** Networks of which nothing may be called, by their first and their last address (RFC 6890 and its successors). */
const NETWORKS = `
  0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.1 127.255.255.255 169.254.0.0 169.254.169.254 169.254.255.255
  172.16.0.0 172.31.255.255 192.0.0.0 192.0.0.255 192.0.2.0 192.0.2.255 192.168.0.0 192.168.255.255 198.18.0.0 198.19.255.255 198.51.100.0 198.51.100.255
  203.0.113.0 203.0.113.255 224.0.0.0 239.255.255.255 240.0.0.0 255.255.255.255`
  .trim()
  .split(/\s+/)

/** Every way to write an IPv4 address that some parser, network stack or translator reads as that address. */
function spellings(address: string): string[] {
  const [a, b, c, d] = address.split('.').map(Number) as [number, number, number, number]
  const whole = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
  const hex = (n: number): string => n.toString(16)
  const [high, low] = [hex(whole >>> 16), hex(whole & 0xffff)]
  return [
    address,
    `${address}.`,
    `${a}.${b}.${(c << 8) | d}`,
    `${a}.${(b << 16) | (c << 8) | d}`,
    String(whole),
    `0x${hex(whole)}`,
    `0${whole.toString(8)}`,
    `0x${hex(a)}.0x${hex(b)}.0x${hex(c)}.0x${hex(d)}`,
    `0${a.toString(8)}.0${b.toString(8)}.0${c.toString(8)}.0${d.toString(8)}`,
    `000${a.toString(8)}.${b}.${c}.${d}`,
    address.replaceAll('.', '。'),
    address.replaceAll('.', '%2e'),
    [...address].map((sign) => (sign === '.' ? '．' : String.fromCodePoint(0xff10 + Number(sign)))).join(''),
    `[::ffff:${address}]`,
    `[::ffff:${high}:${low}]`,
    `[0:0:0:0:0:ffff:${high}:${low}]`,
    `[::ffff:0:${address}]`,
    `[::${address}]`,
    `[64:ff9b::${high}:${low}]`,
    `[64:ff9b:1::${high}:${low}]`,
    `[2002:${high}:${low}::1]`,
    `[2001:0:4136:e378:8000:63bf:${hex(0xffff ^ (whole >>> 16))}:${hex(0xffff ^ (whole & 0xffff))}]`,
  ]
}

const OTHERS = `
  127.1 0 ①②⑦.⓪.⓪.① 127%2e0.0.1 [::] [::1] [0:0:0:0:0:0:0:1] [fc00::1] [fdff:ffff::1] [fd00:ec2::254] [fe80::1] [febf::1] [ff00::1] [ff02::1] [ff0e::1]
  [64:ff9b::808:808] [2001:db8::1] [100::1] localhost LOCALHOST localhost. LocalHost. any.localhost ⓛocalhost inside.example.com mixed.example.com mixed6.example.com metadata.example.com`
  .trim()
  .split(/\s+/)

const HOSTS = [...NETWORKS.flatMap(spellings), ...OTHERS]

/** What carries more than a place, is read differently by different parsers, or leads to what speaks something else than HTTP. */
const MALFORMED = [
  'https://user@hooks.example.com/',
  'https://user:password@hooks.example.com/',
  'https://@hooks.example.com/',
  'https://hooks.example.com@127.0.0.1/',
  'https://127.0.0.1@hooks.example.com/',
  'https://hooks.example.com/#',
  'https://hooks.example.com/#@127.0.0.1',
  'https://hooks.example.com\\@127.0.0.1/',
  'https:\\\\hooks.example.com/',
  'https:/hooks.example.com/',
  'https:hooks.example.com/',
  '//hooks.example.com/',
  'hooks.example.com',
  'https://hooks.exa\tmple.com/',
  'https://hooks.example.com/\r\nx',
  '\thttps://hooks.example.com/',
  'https://hooks.example.com/ ',
  'https://hooks.example.com /',
  'https://hooks%2eexample.com/',
  'https://hооks.example.com/', // two letters of Cyrillic
  'https://hooks。example.com/',
  'https://',
  'https:///x',
  'https://:443/',
  'https://?x',
  'https://.',
  'https://hooks..example.com/',
  'https://hooks.example.com:0/',
  'https://hooks.example.com:99999/',
  ...[21, 22, 23, 25, 53, 445, 2375, 3306, 5432, 6379, 9200, 11211, 27017].map((port) => `https://hooks.example.com:${port}/`),
  'file:///etc/passwd',
  'ftp://hooks.example.com/',
  'gopher://hooks.example.com/',
  'unix:/var/run/docker.sock',
  'http+unix://%2fvar%2frun%2fdocker.sock/',
  'data:text/plain,x',
  'javascript:alert(1)',
]

/** Listens on all of this machine's addresses. */
let canary: { port: number; connections: number; server: TcpServer }
let database: TestDatabase
/** Addresses to which something on this machine began to connect. */
const begun: string[] = []
/** What names lead to; a test may set it. */
let lookup: Lookup
const names: Record<string, readonly string[]> = {
  'inside.example.com': ['10.0.0.7'],
  'mixed.example.com': [...PUBLIC, '192.168.1.1'],
  'mixed6.example.com': [...PUBLIC, '2606:4700::1111', '::1'],
  'metadata.example.com': ['169.254.169.254'],
}
const byName: Lookup = async (host) => names[host] ?? PUBLIC
const closing: (() => unknown)[] = []
const closed = createEgress({ allow: parseEgressAllow(''), lookup: (host) => lookup(host), connectTimeoutMs: 500 })

before(async () => {
  const server = createTcpServer((socket) => {
    canary.connections++
    socket.on('error', () => {}).destroy()
  }).listen(0, '::')
  await once(server, 'listening')
  canary = { port: (server.address() as AddressInfo).port, connections: 0, server }
  database = await openTestDatabase('pglite')
  const { connect } = Socket.prototype
  mock.method(Socket.prototype, 'connect', function (this: Socket, ...args: Parameters<Socket['connect']>) {
    this.on('connectionAttempt', (address: string) => begun.push(address))
    return connect.apply(this, args)
  })
})
beforeEach(() => {
  lookup = byName
  begun.length = 0
  canary.connections = 0
})
after(async () => {
  mock.restoreAll()
  for (const close of closing.reverse()) await close()
  canary.server.close()
  await database.drop()
})

/** The management API, where webhooks are judged and tried out by the egress. */
function managed(egress: Egress, https: 'required' | 'unless opened' = 'required'): Management {
  const endpoints = createEndpoints({
    db: database.db,
    keyring: createKeyring(database.db, [Buffer.alloc(32, 7)]),
    checkUrl: (url) => egress.check(url, { https }),
    now: Date.now,
  })
  const deliveries = createDeliveries({
    database,
    egress,
    https,
    secretsOf: (row) => endpoints.secretsOf(row),
    settings: { retries: 0, backoffMs: 1, longRetries: false, timeoutMs: 2_000 },
    version: '0',
    now: () => performance.now(),
    wallNow: Date.now,
    random: Math.random,
    record: async () => {},
    disabled: async () => {},
    report: assert.ifError,
  })
  closing.push(() => deliveries.close())
  return manage(database, { more: { endpoints, webhooks: deliveries } })
}

/** What comes of one attempt to deliver to a row with this address. */
async function attempted(egress: Egress, url: string): Promise<Outcome> {
  const { send, close } = createAttempts({ egress, https: 'unless opened', timeoutMs: 2_000, now: () => performance.now(), wallNow: Date.now })
  try {
    return await send({ webhookId: 'wh_1', url, headers: {}, body: Buffer.from('{}'), secrets: [] })
  } finally {
    close()
  }
}

/** The field for which something is refused. */
const refusedField = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'it was not refused',
    (refusal: Refusal) => (refusal.reason === 'config' ? refusal.context.field : refusal),
  )

const nothingWasOpened = (what: string): void => assert.deepEqual([begun, canary.connections], [[], 0], what)
const hosted = (host: string, scheme = 'https'): string => `${scheme}://${host}:${canary.port}/hook`

/** The places of one webhook that is at a good one, to be asked for others. */
async function goodWebhook(api: Management): Promise<string> {
  const { status, json } = await api.ask('POST', '/v1/webhooks', { body: { url: GOOD } })
  assert.equal(status, 201, JSON.stringify(json))
  return json.id
}

test('no webhook is added at, or moved to, an address inside, in any spelling, by name or by number', async () => {
  const api = managed(closed)
  const id = await goodWebhook(api)
  const row = (await api.endpoints.find(null, id))!
  for (const url of HOSTS.map((host) => hosted(host))) {
    const fields = { url, description: '', events: ['*'], active: true }
    const [added, moved] = [api.endpoints.prepare(null, fields, { createdBy: 'x' }), api.endpoints.prepareChange(fields)].map(refusedField)
    assert.deepEqual([await added, await moved], ['url', 'url'], url)
  }
  for (const url of [...NETWORKS, ...OTHERS].map((host) => hosted(host))) {
    for (const { status, json } of [
      await api.ask('POST', '/v1/webhooks', { body: { url } }),
      await api.ask('PATCH', `/v1/webhooks/${id}`, { body: { url } }),
    ]) {
      assert.deepEqual([status, json.error, json.context.field], [422, 'CONFIG_ERROR', 'url'], url)
    }
  }
  assert.deepEqual([await api.endpoints.find(null, id), (await api.ask('GET', '/v1/webhooks')).json.total], [row, 1])
  for (const url of ['https://8.8.8.8/', 'https://1.1.1.1:8443/hook?x=y', 'https://[2606:4700::1111]/'])
    assert.equal((await api.ask('PATCH', `/v1/webhooks/${id}`, { body: { url } })).status, 200, url)
  await api.ask('DELETE', `/v1/webhooks/${id}`)
  nothingWasOpened('to judge an address is not to call it')
})

test('what carries more than a place, what parsers read differently, closed ports, other schemes and, in production, plain http are refused', async () => {
  const api = managed(closed)
  const id = await goodWebhook(api)
  for (const url of [...MALFORMED, GOOD.replace('https', 'http')]) {
    for (const { status, json } of [await api.ask('POST', '/v1/webhooks', { body: { url } }), await api.ask('PATCH', `/v1/webhooks/${id}`, { body: { url } })])
      assert.deepEqual([status, json.context.field], [422, 'url'], JSON.stringify(url))
  }
  assert.equal((await managed(closed, 'unless opened').ask('POST', '/v1/webhooks', { body: { url: 'http://8.8.8.8/' } })).status, 422, 'http to the internet')
  await api.ask('DELETE', `/v1/webhooks/${id}`)
})

test('nothing is delivered to a row that is already at such a place: no connection is begun', async () => {
  for (const scheme of ['https', 'http']) {
    for (const host of HOSTS) {
      const { status, error } = await attempted(closed, hosted(host, scheme))
      assert.deepEqual([status, error], [null, 'EGRESS_REFUSED'], `${scheme} ${host}`)
    }
  }
  // Where all that they name is open, only that they are no such places keeps them from being called.
  const open = createEgress({ allow: parseEgressAllow('loopback'), lookup: async () => ['127.0.0.1'] })
  for (const url of MALFORMED) {
    const { status, error } = await attempted(open, url)
    assert.deepEqual([status, error], [null, 'EGRESS_REFUSED'], JSON.stringify(url))
  }
  nothingWasOpened('to forbidden places')

  const api = managed(closed)
  const id = await goodWebhook(api)
  for (const url of [
    hosted('127.0.0.1', 'http'),
    hosted('[::1]'),
    hosted('inside.example.com'),
    'https://169.254.169.254/latest/meta-data',
    GOOD.replace('https', 'http'),
  ]) {
    await database.sql`update webhooks set url = ${url} where id = ${id}`
    const { json } = await api.ask('POST', `/v1/webhooks/${id}/test`, { body: {} })
    assert.deepEqual([json.state, json.attempts.length, json.attempts[0].status, json.attempts[0].error], ['dead', 1, null, 'EGRESS_REFUSED'], url)
  }
  nothingWasOpened('from rows')
  await api.ask('DELETE', `/v1/webhooks/${id}`)
})

test('a name that leads elsewhere once its webhook is there is judged by every address it has, each time it is called', async () => {
  const api = managed(closed)
  lookup = async () => PUBLIC
  const { json: made } = await api.ask('POST', '/v1/webhooks', { body: { url: `https://rebinding.example.com:${canary.port}/` } })
  let asked = 0
  const answers = [
    ['127.0.0.1'],
    ['::1'],
    [...PUBLIC, '127.0.0.1'],
    ['127.0.0.1', ...PUBLIC],
    ['2606:4700::1111', '::ffff:127.0.0.1'],
    ['fe80::1%lo'],
    ['127.1'],
  ]
  for (const addresses of answers) {
    lookup = async () => {
      asked++
      return addresses
    }
    const { json } = await api.ask('POST', `/v1/webhooks/${made.id}/test`, { body: {} })
    assert.deepEqual([json.state, json.attempts[0].error], ['dead', 'EGRESS_REFUSED'], String(addresses))
  }
  assert.ok(asked >= answers.length)
  nothingWasOpened('to what it leads to by now')
  await api.ask('DELETE', `/v1/webhooks/${made.id}`)
})

test('a name that is open when it is looked at, and leads elsewhere when it is called a moment later, is not called', async () => {
  const answers = [['10.0.0.7'], ['127.0.0.1']]
  const egress = createEgress({ allow: parseEgressAllow('10.0.0.0/8'), lookup: async () => answers.shift() ?? [] })
  const { status, error } = await attempted(egress, hosted('rebinding.example.com', 'http'))
  assert.deepEqual([status, error, answers], [null, 'EGRESS_REFUSED', []])
  nothingWasOpened('on the way')
})

test('no redirect is followed, to places inside or anywhere: it is an answer that is no success', async () => {
  const receiver: Server = createHttpServer((request, response) => {
    seen.push(String(request.url))
    const [, status, location] = /^\/(\d+)\/(.*)$/.exec(request.url ?? '') ?? []
    response.writeHead(Number(status), { location: decodeURIComponent(location ?? '') }).end()
  }).listen(0, '127.0.0.1')
  const seen: string[] = []
  await once(receiver, 'listening')
  closing.push(() => {
    receiver.closeAllConnections()
    receiver.close()
  })
  const { port } = receiver.address() as AddressInfo
  // Open to all of this machine: only that nobody follows keeps anybody from the canary.
  const api = managed(createEgress({ allow: parseEgressAllow('loopback') }), 'unless opened')
  const places = [
    `http://127.0.0.1:${canary.port}/`,
    `//127.0.0.1:${canary.port}/`,
    `http://127.0.0.1:${port}/200/`,
    'http://169.254.169.254/',
    'file:///etc/passwd',
    'gopher://127.0.0.1/',
    'unix:/x',
  ]
  const { json: made } = await api.ask('POST', '/v1/webhooks', { body: { url: `http://127.0.0.1:${port}/200/` } })
  assert.equal((await api.ask('POST', `/v1/webhooks/${made.id}/test`, { body: {} })).json.state, 'delivered')
  for (const [i, place] of places.entries()) {
    for (const status of i === 0 ? [300, 301, 302, 303, 307, 308] : [302, 307]) {
      seen.length = 0
      await api.ask('PATCH', `/v1/webhooks/${made.id}`, { body: { url: `http://127.0.0.1:${port}/${status}/${encodeURIComponent(place)}` } })
      const { json } = await api.ask('POST', `/v1/webhooks/${made.id}/test`, { body: {} })
      assert.deepEqual([json.state, json.attempts[0].status, seen.length], ['dead', status, 1], `${status} ${place}`)
    }
  }
  assert.equal(canary.connections, 0)
  // And what these tests count does count: a webhook at the canary reaches it.
  begun.length = 0
  await api.ask('PATCH', `/v1/webhooks/${made.id}`, { body: { url: `http://127.0.0.1:${canary.port}/` } })
  await api.ask('POST', `/v1/webhooks/${made.id}/test`, { body: {} })
  assert.deepEqual([begun, canary.connections], [['127.0.0.1'], 1])
})
