import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { getRequestListener } from '@hono/node-server'
import { streamOf } from '../../src/admin/stream.ts'
import { until } from '../harness/client.ts'

const nothing = (error: unknown): void => assert.fail(String(error))

test('what goes wrong before the first piece is thrown, so that the answer can still be "no"', async () => {
  // biome-ignore lint/correctness/useYield: it fails first
  const pieces = async function* (): AsyncGenerator<string> {
    throw new Error('the database is away')
  }
  await assert.rejects(streamOf(pieces(), nothing), /the database is away/)
})

test('what goes wrong later cuts the connection: the client never takes a part for the whole', async () => {
  const cuts: unknown[] = []
  const pieces = async function* (): AsyncGenerator<string> {
    yield 'one\n'
    throw new Error('the database went away')
  }
  const server = createServer(getRequestListener(async () => new Response(await streamOf(pieces(), (error) => void cuts.push(error)))))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  try {
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    assert.equal(response.status, 200)
    await assert.rejects(response.text())
    assert.match(String(cuts[0]), /the database went away/)
  } finally {
    server.closeAllConnections()
    server.close()
  }
})

test('nothing is made for a reader who does not read, and nothing more for one who left', async () => {
  let made = 0
  let ended = false
  const pieces = async function* (): AsyncGenerator<string> {
    try {
      for (;;) yield `piece ${++made}\n`
    } finally {
      ended = true
    }
  }
  const stream = await streamOf(pieces(), nothing)
  assert.equal(made, 1)
  const reader = stream.getReader()
  assert.equal(Buffer.from((await reader.read()).value ?? []).toString(), 'piece 1\n')
  await until(() => made === 2, 'the next piece to be made ready')
  await reader.cancel()
  assert.deepEqual([made, ended], [2, true])
})
