import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { createConnections, sourceOf } from '../../src/proxy/connections.ts'

test('an IPv4 address is a source however it is written, of IPv6 a /64 is one', () => {
  const sources: readonly (readonly [address: string, source: string])[] = [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8::2:0:0:0:1', '2001:db8:0:2::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['2001:db8:1::', '2001:db8:1:0::/64'],
    ['', ''],
  ]
  for (const [address, source] of sources) assert.equal(sourceOf(address), source, address)
})

class Peer extends EventEmitter {
  bytesRead = 0
  destroyed = false
  readonly _handle = { writeQueueSize: 0, bytesWritten: 0 }
  readonly remoteAddress: string
  constructor(remoteAddress: string) {
    super()
    this.remoteAddress = remoteAddress
  }
  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.emit('close')
  }
}
const asSocket = (peer: Peer): Socket => peer as unknown as Socket

function setUp(t: { mock: { timers: { enable(options: { apis: ['setInterval'] }): void; tick(ms: number): void } } }) {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let at = 0
  const receiving = new Set<Socket>()
  const late: Socket[] = []
  const connections = createConnections({
    perSourceMax: 2,
    isUncapped: (address) => address === '10.0.0.1',
    writeStallMs: 30_000,
    bodyIdleMs: 30_000,
    bodyMs: 60_000,
    bodyBytesPerSecondMin: 65_536,
    isReceiving: (socket) => receiving.has(socket),
    late: (socket) => void late.push(socket),
    now: () => at,
  })
  const pass = (seconds: number, each: () => void = () => {}): void => {
    for (let i = 0; i < seconds; i++) {
      each()
      at += 1_000
      t.mock.timers.tick(1_000)
    }
  }
  const add = (address = '192.0.2.1'): Peer => {
    const peer = new Peer(address)
    connections.add(asSocket(peer))
    return peer
  }
  return { connections, receiving, late, pass, add }
}

test('a source has so many connections and no more, others are not touched, and a proxy in front may have any number', (t) => {
  const { connections, add } = setUp(t)
  const first = [add('2001:db8::1'), add('2001:db8::2')]
  assert.equal(add('2001:db8::3').destroyed, true, 'of the same /64')
  assert.equal(add('2001:db8:0:1::3').destroyed, false)
  for (let i = 0; i < 5; i++) assert.equal(add('10.0.0.1').destroyed, false)
  first[0]!.destroy()
  assert.equal(add('2001:db8::4').destroyed, false, 'there is room again')
  assert.equal(add('2001:db8::5').destroyed, true)
  assert.deepEqual(connections.counts, { open: 8, refusedOfSource: 2, stalled: 0 })
})

test('a peer that takes nothing of what waits for it is let go; one that takes a little, or for which nothing waits, is not', (t) => {
  const { connections, pass, add } = setUp(t)
  const [still, slow, idle] = [add('a'), add('b'), add('c')]
  for (const { _handle } of [still, slow]) Object.assign(_handle, { bytesWritten: 100_000, writeQueueSize: 50_000 })
  pass(29, () => slow._handle.writeQueueSize--)
  // What we write is no progress of the peer's.
  Object.assign(still._handle, { bytesWritten: 200_000, writeQueueSize: 150_000 })
  pass(2, () => slow._handle.writeQueueSize--)
  assert.deepEqual([still.destroyed, slow.destroyed, idle.destroyed], [true, false, false])
  pass(60, () => slow._handle.writeQueueSize--)
  assert.deepEqual([slow.destroyed, idle.destroyed, connections.counts.stalled], [false, false, 1])
})

test('a body that no longer comes is late; one that trickles, or is all there, is not', (t) => {
  const { receiving, late, pass, add } = setUp(t)
  const [silent, trickling, complete] = [add('a'), add('b'), add('c')]
  for (const peer of [silent, trickling]) receiving.add(asSocket(peer))
  pass(40, () => trickling.bytesRead++)
  assert.equal(late[0], asSocket(silent))
  assert.ok(!late.includes(asSocket(trickling)) && !late.includes(asSocket(complete)))
})

test('a body that drips is late after its minute; one that comes as fast as is asked, on average, has as long as it takes', (t) => {
  const { connections, receiving, late, pass, add } = setUp(t)
  const [dripping, steady, bursting, waning, next] = ['a', 'b', 'c', 'd', 'e'].map((address) => add(address))
  // A connection's first body is not what its later ones are judged by, nor is the time between them.
  for (const peer of [dripping, next]) peer.bytesRead = 100 << 20
  pass(20)
  const begin = (peer: Peer): void => {
    receiving.add(asSocket(peer))
    connections.began(asSocket(peer))
  }
  for (const peer of [dripping, steady, bursting, waning, next]) begin(peer)
  let seconds = 0
  const send = (): void => {
    seconds++
    dripping.bytesRead += 65_535
    steady.bytesRead += 65_536
    if (seconds % 20 === 1) bursting.bytesRead += 20 * 65_536
    waning.bytesRead += seconds <= 60 ? 2 * 65_536 : 1
    next.bytesRead += 100
    if (seconds % 30 === 0) begin(next) // behind the one before, without a pause
  }
  pass(59, send)
  assert.deepEqual(late, [])
  pass(1, send)
  assert.deepEqual(late, [asSocket(dripping)])
  receiving.delete(asSocket(dripping))
  pass(60, send)
  assert.deepEqual(late, [asSocket(dripping)])
  pass(400, send)
  assert.deepEqual([...new Set(late)], [asSocket(dripping), asSocket(waning)])
})

test('with no connection no timer runs', (t) => {
  const { pass, add, late, receiving } = setUp(t)
  const only = add()
  receiving.add(asSocket(only))
  only.destroy()
  let looked = 0
  Object.defineProperty(only, 'bytesRead', { get: () => looked++ })
  pass(100)
  assert.deepEqual([looked, late.length], [0, 0])
  const next = add()
  receiving.add(asSocket(next))
  pass(31)
  assert.equal(late.length > 0, true, 'and it runs again for the next one')
})
