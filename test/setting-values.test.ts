import assert from 'node:assert/strict'
import { test } from 'node:test'
import { server, sink } from '../src/setting-values.ts'

test('a server is a name or an address that can stand in a URL; IPv6 gets its brackets, and whatever makes no URL is refused', () => {
  const good = [
    ['db.internal', 'db.internal'],
    ['my_db-1', 'my_db-1'],
    ['10.0.0.7', '10.0.0.7'],
    ['::1', '[::1]'],
    ['[fd00::7]', '[fd00::7]'],
  ] as const
  for (const [given, host] of good) assert.equal(server(given), host)
  for (const bad of ['/var/run/postgresql', './run', 'db:5433', '[::1]:5432', 'user@db', 'user:word@db', 'db/x', 'db?x', 'db#x', 'a b', 'fe80::1%eth0'])
    assert.throws(() => server(bad), /^Error: must be a host name or an address, without a port/, bad)
})

test('a sink is a directory or a URL without a user, whose password would be dropped; the sentence does not quote it', () => {
  assert.deepEqual(sink('https://sink.example/x?token=t'), { kind: 'url', url: 'https://sink.example/x?token=t' })
  assert.deepEqual(sink('/var/lib/notes'), { kind: 'directory', path: '/var/lib/notes' })
  for (const bad of [
    'https://keeper:marked@sink.example/',
    'https://marked@sink.example/',
    'HTTPS:keeper:marked@sink.example',
    ' https://:marked@sink.example/',
  ])
    assert.throws(
      () => sink(bad),
      (error: Error) => /^must not hold a user name or a password/.test(error.message) && !error.message.includes('marked'),
      bad,
    )
  assert.throws(() => sink('notes'), /absolute path/)
})
