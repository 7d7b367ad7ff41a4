import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { parseEgressAllow } from '../../src/egress/allow.ts'
import { createEgress } from '../../src/egress/dispatcher.ts'

const OWN = 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nown'
const EVIL = 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nEVIL'

/** What an upstream may send for /bad, and whether it can be read as an answer at all. */
const replies: [name: string, bytes: string, outcome: 'error' | 'answer'][] = [
  ['content-length and transfer-encoding', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', 'error'],
  ['two content-lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 5\r\n\r\nhello', 'error'],
  ['an answer behind the answer', `HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok${EVIL}`, 'answer'],
  ['a bare answer with another behind it', `HTTP/1.1 204 No Content\r\n\r\n${EVIL}`, 'answer'],
  ['a 204 with a body', 'HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nEVIL', 'answer'],
  ['a chunk that is no chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n', 'error'],
  ['a chunked body that stops', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel', 'error'],
  ['a body that stops', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhel', 'error'],
  ['a NUL in a header', 'HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 2\r\n\r\nok', 'error'],
  ['a 64 KiB header', `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(65_536)}\r\ncontent-length: 2\r\n\r\nok`, 'error'],
  ['a 1 MiB chunk extension', `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;${'a'.repeat(1 << 20)}\r\nok\r\n0\r\n\r\n`, 'answer'],
  ['a hundred early hints', `${'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n'.repeat(100)}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok`, 'answer'],
  ['another protocol, unasked', `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: evil\r\n\r\n${EVIL}`, 'error'],
  ['status 999', 'HTTP/1.1 999 Odd\r\ncontent-length: 2\r\n\r\nok', 'answer'],
  ['garbage', '\x16\x03\x01 what?\r\n\r\n', 'error'],
  ['nothing', '', 'error'],
]

test('whatever an upstream sends, a call gets an answer or an error, and the next call gets its own answer', async () => {
  let reply = ''
  const server = createServer((socket) => {
    socket
      .on('error', () => {})
      .on('data', (chunk) => {
        if (String(chunk).startsWith('GET /good')) return socket.write(OWN)
        socket.write(Buffer.from(reply, 'latin1'))
        if (/stops|nothing/.test(replies.find(([, bytes]) => bytes === reply)?.[0] ?? '')) socket.end()
      })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const pool = createEgress({ allow: parseEgressAllow('loopback') }).pool(`http://127.0.0.1:${port}`, { connections: 1, firstByteMs: 500, idleMs: 500 })
  const call = async (path: string): Promise<string> => {
    const { body } = await pool.request({ method: 'GET', path })
    return body.text()
  }
  try {
    for (const [name, bytes, outcome] of replies) {
      reply = bytes
      const result = await call('/bad').catch((error: NodeJS.ErrnoException) => error)
      if (outcome === 'error') assert.ok(result instanceof Error, `${name}: ${String(result)}`)
      else assert.ok(typeof result === 'string' && !result.includes('EVIL'), `${name}: ${String(result)}`)
      assert.equal(await call('/good'), 'own', name)
    }
  } finally {
    await pool.destroy()
    server.close()
  }
})
