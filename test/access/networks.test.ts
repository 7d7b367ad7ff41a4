import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isNetwork, isWithin } from '../../src/access/networks.ts'

test('an address is in a network however either is written', () => {
  const spellings = ['10.0.0.1', '::ffff:10.0.0.1', '::FFFF:a00:1', '0:0:0:0:0:ffff:10.0.0.1', '::ffff:10.0.0.1%eth0']
  for (const network of ['10.0.0.0/8', '10.0.0.1', '10.0.0.1/32', '::ffff:10.0.0.0/104', '::ffff:10.0.0.1', '0.0.0.0/0']) {
    assert.equal(isNetwork(network), true, network)
    for (const address of spellings) assert.equal(isWithin(address, ['192.0.2.0/24', network]), true, `${address} in ${network}`)
  }
  for (const address of ['2001:db8::1', '2001:0DB8:0:0:0:0:0:1']) assert.equal(isWithin(address, ['2001:DB8::/32']), true, address)
})

test('an address is in no other network: neighbours, the other family, and what is no address', () => {
  for (const address of ['11.0.0.0', '9.255.255.255', '::ffff:11.0.0.1', '::10.0.0.1', '64:ff9b::a00:1', '', 'x', '10.0.0', '010.0.0.1', '10.0.0.1, 10.0.0.1'])
    assert.equal(isWithin(address, ['10.0.0.0/8']), false, address)
  assert.equal(isWithin('10.0.0.1', ['::/0']), false)
  assert.equal(isWithin('2001:db8::1', ['0.0.0.0/0']), false)
  assert.equal(isWithin('10.0.0.1', []), false)
})

test('what is no network is none', () => {
  for (const text of [
    '',
    '/8',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10.0.0.0/8 ',
    '10.0.0',
    'localhost',
    '::/129',
    '::ffff:10.0.0.0/8',
    '10.0.0.0/255.0.0.0',
  ])
    assert.equal(isNetwork(text), false, text)
})
