import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseEgressAllow } from '../../src/egress/allow.ts'

/** entries, host, address, port, whether they permit it */
const table: [string, string, string, number, boolean][] = [
  ['', '10.0.0.1', '10.0.0.1', 443, false],
  ['loopback', 'localhost', '127.0.0.1', 443, true],
  ['LOOPBACK', '[::1]', '::1', 443, true],
  ['loopback', 'x.example', '127.9.9.9', 443, true],
  ['loopback', 'x.example', '::ffff:7f00:1', 443, true],
  ['loopback', '10.0.0.1', '10.0.0.1', 443, false],
  ['loopback:8000', '127.0.0.1', '127.0.0.1', 8000, true],
  ['loopback:8000', '127.0.0.1', '127.0.0.1', 8001, false],
  ['10.0.0.0/8', 'a.example', '10.200.0.1', 443, true],
  ['10.0.0.0/8', 'a.example', '::ffff:10.200.0.1', 443, true],
  ['10.0.0.0/8', 'a.example', '11.0.0.1', 443, false],
  ['10.0.0.0/8:8000', 'a.example', '10.0.0.1', 8000, true],
  ['10.0.0.0/8:8000', 'a.example', '10.0.0.1', 443, false],
  ['fd00::/8', 'a.example', 'fd12::1', 443, true],
  ['[fd00::/8]:8000', 'a.example', 'fd12::1', 443, false],
  ['[fd00::/8]:8000', 'a.example', 'fd12::1', 8000, true],
  ['192.168.1.5', 'a.example', '192.168.1.5', 443, true],
  ['192.168.1.5', 'a.example', '192.168.1.6', 443, false],
  ['192.168.1.5:8000', 'a.example', '192.168.1.5', 8000, true],
  ['fd00::1', 'a.example', 'fd00:0::1', 443, true],
  ['[fd00::1]', 'a.example', 'fd00::1', 443, true],
  ['[fd00::1]:8000', 'a.example', 'fd00::1', 443, false],
  ['models.internal', 'models.internal', '10.0.0.1', 443, true],
  ['Models.Internal.', 'MODELS.internal.', '10.0.0.1', 443, true],
  ['models.internal', 'evil.models.internal', '10.0.0.1', 443, false],
  ['models.internal', 'models.internal.evil.example', '10.0.0.1', 443, false],
  ['models.internal', '10.0.0.1', '10.0.0.1', 443, false],
  ['models.internal:8443', 'models.internal', '10.0.0.1', 443, false],
  ['models.internal:8443', 'models.internal', '10.0.0.1', 8443, true],
  ['ollama', 'ollama', '172.17.0.2', 11434, true],
  ['*.corp.example', 'a.b.corp.example', '10.0.0.1', 443, true],
  ['*.corp.example', 'corp.example', '10.0.0.1', 443, false],
  ['*.corp.example', 'evilcorp.example', '10.0.0.1', 443, false],
  [' loopback , 10.0.0.0/8 ,', 'a.example', '10.0.0.1', 443, true],
  ['::/0', 'a.example', '10.0.0.1', 443, false],
  ['0.0.0.0/0', 'a.example', 'fd00::1', 443, false],
  // Metadata addresses only by their own address.
  ['models.internal', 'models.internal', '169.254.169.254', 80, false],
  ['0.0.0.0/0,::/0', '169.254.169.254', '169.254.169.254', 80, false],
  ['0.0.0.0/0', 'a.example', '::ffff:169.254.169.254', 80, false],
  ['::/0', 'a.example', 'fd00:ec2::254', 80, false],
  ['169.254.0.0/16', '169.254.169.254', '169.254.169.254', 80, false],
  ['169.254.169.254', 'a.example', '169.254.169.254', 80, true],
  // A translating network is a way to IPv4, not around these rules.
  ['64:ff9b::/96', 'api.example', '64:ff9b::808:808', 443, true],
  ['64:ff9b::/96', 'api.example', '64:ff9b::a00:1', 443, false],
  ['64:ff9b::/96,10.0.0.0/8', 'api.example', '64:ff9b::a00:1', 443, true],
  ['64:ff9b::/96,10.0.0.0/8', 'api.example', '64:ff9b::a9fe:a9fe', 80, false],
  ['10.0.0.0/8', 'a.example', 'not an address', 443, false],
]

test('each kind of entry permits what it says and nothing else', () => {
  for (const [entries, host, address, port, permitted] of table) {
    assert.equal(parseEgressAllow(entries).permits({ host, address, port }), permitted, `${entries} → ${host} ${address} ${port}`)
  }
})

test('a port that is otherwise closed is opened by the entry that names it, and by no other', () => {
  const destination = { host: 'models.internal', address: '10.0.0.1', port: 6379 }
  assert.equal(parseEgressAllow('models.internal,10.0.0.0/8').namesPort(destination), false)
  assert.equal(parseEgressAllow('models.internal:6379').namesPort(destination), true)
  assert.equal(parseEgressAllow('10.0.0.0/8:6379').namesPort(destination), true)
  assert.equal(parseEgressAllow('other.internal:6379').namesPort(destination), false)
})

test('an entry that cannot be read is refused with a sentence that shows it', () => {
  const bad =
    '*|*.|*.*.example|a b|10.0.0.0/33|10.0.0.0/-1|10.0.0.0/|fd00::/129|/8|127.1|2130706433|0x7f000001|127.0.0.1:0|127.0.0.1:70000|http://a.example|a.example/path|' +
    'a..b|-a.example|[fd00::1|fd00::1%eth0|[fd00::1]:x|a.example:|a.example:port|10.0.0/8|::ffff:10.0.0.0/104|münchen.example'
  for (const entry of bad.split('|')) {
    assert.throws(
      () => parseEgressAllow(`loopback,${entry}`),
      (error: Error) =>
        error.message.startsWith('EGRESS_ALLOW cannot be read at') && error.message.includes(JSON.stringify(entry)) && error.message.endsWith('.'),
      entry,
    )
  }
  assert.throws(() => parseEgressAllow('loopback,'.repeat(201)), /201 entries; 200 are possible/)
})
