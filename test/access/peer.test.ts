import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPeerOf, type Peer, type PeerOptions } from '../../src/access/peer.ts'

const asked = (peerOf: ReturnType<typeof createPeerOf>, socket: object, forwarded?: string): Peer =>
  peerOf({ socket, headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded } } as never)
const from = (remoteAddress: string | undefined, forwarded?: string, trustedProxies: PeerOptions['trustedProxies'] = ['10.0.0.0/8', '2001:db8::/32']): string =>
  asked(createPeerOf({ trustedProxies, now: () => 0 }), { remoteAddress }, forwarded).address

test('an address is told in its one spelling, and none where the connection is gone', () => {
  assert.equal(from('::ffff:192.0.2.1'), '192.0.2.1')
  assert.equal(from('2001:0DB8:0:0::1'), '2001:db8::1')
  assert.equal(from('fe80::1%eth0'), 'fe80::1')
  assert.equal(from(undefined), '')
})

test('X-Forwarded-For is read from a trusted proxy, and from nobody else', () => {
  assert.equal(from('10.0.0.1', '192.0.2.7'), '192.0.2.7')
  assert.equal(from('::ffff:10.0.0.1', '192.0.2.7'), '192.0.2.7')
  assert.equal(from('2001:db8::5', '::ffff:192.0.2.7'), '192.0.2.7')
  assert.equal(from('192.0.2.1', '192.0.2.7'), '192.0.2.1')
  assert.equal(from('10.0.0.1', '192.0.2.7', []), '10.0.0.1')
})

test('the client is the first from the right that is no proxy: what stands before it is its own word', () => {
  assert.equal(from('10.0.0.1', '203.0.113.9, 192.0.2.7'), '192.0.2.7')
  assert.equal(from('10.0.0.1', '10.9.9.9, 192.0.2.7, 10.0.0.2,10.0.0.3'), '192.0.2.7')
  assert.equal(from('10.0.0.1', '10.0.0.9, 10.0.0.2'), '10.0.0.9')
})

test('a port is no part of an address; what is no address is nobody, and the proxy stands for itself', () => {
  assert.equal(from('10.0.0.1', '192.0.2.7:4711'), '192.0.2.7')
  assert.equal(from('10.0.0.1', '[2001:db9::1]:4711'), '2001:db9::1')
  for (const text of [
    '',
    ' ',
    ',',
    'unknown',
    '192.0.2.7,',
    '192.0.2.7, x',
    '192.0.2.256',
    '127.1',
    '0x7f.0.0.1',
    'x'.repeat(10_000),
    '192.0.2.7:99999999',
    '10.0.0.2, garbage, 10.0.0.3',
  ])
    assert.equal(from('10.0.0.1', text), '10.0.0.1', text.slice(0, 40))
})

test('a list that is longer than any row of proxies names nobody', () => {
  const proxies = (count: number) => Array.from({ length: count }, (_, i) => `10.0.1.${i}`).join(', ')
  assert.equal(from('10.0.0.1', `192.0.2.7, ${proxies(9)}`), '192.0.2.7')
  assert.equal(from('10.0.0.1', `192.0.2.7, ${proxies(10)}`), '10.0.0.1')
})

test('on one connection of a proxy each call has its own client, and without a header it is the proxy again', () => {
  const peerOf = createPeerOf({ trustedProxies: ['10.0.0.1'], now: () => 0 })
  const socket = { remoteAddress: '10.0.0.1' }
  const addresses = ['192.0.2.1', '192.0.2.2', undefined, '192.0.2.1'].map((forwarded) => asked(peerOf, socket, forwarded).address)
  assert.deepEqual(addresses, ['192.0.2.1', '192.0.2.2', '10.0.0.1', '192.0.2.1'])
})

test('a header says nothing about certificates', () => {
  const peerOf = createPeerOf({ trustedProxies: ['10.0.0.1'], now: () => 0 })
  const headers = { 'x-forwarded-for': '192.0.2.7', 'x-forwarded-client-cert': 'URI=spiffe://a/b', 'x-ssl-client-verify': 'SUCCESS', 'x-client-cert': 'x' }
  assert.deepEqual(peerOf({ socket: { remoteAddress: '10.0.0.1' }, headers } as never), { address: '192.0.2.7', certificate: null })
})

test('what a connection tells is read once', () => {
  let reads = 0
  const socket = {
    get remoteAddress() {
      reads++
      return '192.0.2.1'
    },
  }
  const peerOf = createPeerOf({ trustedProxies: [], now: () => 0 })
  assert.equal(asked(peerOf, socket), asked(peerOf, socket))
  assert.equal(reads, 1)
})
