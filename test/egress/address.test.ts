import assert from 'node:assert/strict'
import { test } from 'node:test'
import { canonicalAddress, embeddedIPv4, isMetadataAddress, isPublicAddress } from '../../src/egress/address.ts'

const INSIDE = `
  0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.255 169.254.169.254 172.16.0.1 172.31.255.255
  192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255
  240.0.0.1 255.255.255.255 168.63.129.16
  :: ::1 ::127.0.0.1 ::7f00:1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:7f00:1 0:0:0:0:0:ffff:10.0.0.1 ::FFFF:A00:1 ::ffff:0:808:808 ::ffff:0.0.0.0
  64:ff9b::a00:1 64:ff9b::808:808 64:ff9b:1::1 64:ff9c::1 100::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:20::1 2001:db8::1
  2002:a00:1::1 2002:808:808::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fdff::1 fe80::1 fe80::1%eth0 febf::1 fec0::1 ff02::1 ffff::1
`
const PUBLIC = `
  1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0
  192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 ::ffff:8.8.8.8 ::ffff:808:808 2606:4700:4700::1111 2a00:1450:4001::200e
  2001:200::1 2001:4860:4860::8888 2003::1
`
const NO_ADDRESS = [
  '',
  ' ',
  'localhost',
  '127.1',
  '2130706433',
  '0x7f000001',
  '0177.0.0.1',
  '8.8.8',
  '8.8.8.8 ',
  '8.8.8.8/32',
  '[::1]',
  '1:2:3',
  '::ffff:8.8.8',
]

const words = (text: string): string[] => text.trim().split(/\s+/)

test('special-purpose addresses of every range, in every spelling, are not public', () => {
  for (const address of words(INSIDE)) assert.equal(isPublicAddress(address), false, address)
})

test('the addresses just outside those ranges are public', () => {
  for (const address of words(PUBLIC)) assert.equal(isPublicAddress(address), true, address)
})

test('what is not an address written in full is not public', () => {
  for (const text of NO_ADDRESS) assert.equal(isPublicAddress(text), false, text)
})

test('an address has one spelling', () => {
  const spellings = {
    '127.0.0.1': ['127.0.0.1', '::ffff:127.0.0.1', '0:0:0:0:0:FFFF:7F00:0001', '::ffff:7f00:1%lo'],
    '::1': ['::1', '0:0:0:0:0:0:0:1', '0000::0001'],
    'fe80::1': ['fe80::1%eth0', 'FE80:0::1'],
    '0.0.0.0': ['::ffff:0:0'],
    '::ffff:0:7f00:1': ['::ffff:0:127.0.0.1'],
  }
  for (const [canonical, all] of Object.entries(spellings)) for (const one of all) assert.equal(canonicalAddress(one), canonical, one)
})

test('the IPv4 address behind translated and tunnelled addresses is found', () => {
  const table = [
    ['64:ff9b::a9fe:a9fe', '169.254.169.254'],
    ['64:ff9b::', '0.0.0.0'],
    ['64:ff9b::1', '0.0.0.1'],
    ['2002:a00:1::1', '10.0.0.1'],
    ['2002:7f00::', '127.0.0.0'],
    ['::10.0.0.1', '10.0.0.1'],
    ['::1', null],
    ['2606:4700::1111', null],
    ['10.0.0.1', null],
  ] as const
  for (const [address, inner] of table) assert.equal(embeddedIPv4(address), inner, address)
})

test('the places where clouds hand out credentials are known', () => {
  for (const address of ['169.254.169.254', '::ffff:169.254.170.2', 'fe80::a9fe:a9fe', 'fd00:ec2::254', '100.100.100.200', '168.63.129.16', '192.0.0.192']) {
    assert.equal(isMetadataAddress(address), true, address)
  }
  assert.equal(isMetadataAddress('10.0.0.1'), false)
})
