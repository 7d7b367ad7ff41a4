import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { collectGarbage } from '../../src/collect-garbage.ts'
import { createListener } from '../../src/proxy/listener.ts'

const COLLECTIONS_MAX = 20

test('an idle connection holds on to nothing of its last call', async () => {
  const calls: WeakRef<object>[] = []
  const listener = createListener(
    (incoming, outgoing) => {
      calls.push(new WeakRef(incoming), new WeakRef(outgoing))
      incoming.resume().on('end', () => outgoing.end('answer'))
    },
    { tls: null, mode: 'terminated' },
  )
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const call = async (): Promise<void> => {
    const asked = request({ port, host: '127.0.0.1', method: 'POST', agent })
    asked.end('question')
    const [answer] = await once(asked, 'response')
    answer.resume()
    await once(answer, 'end')
  }
  try {
    await call()
    await call()
    for (let i = 0; i < COLLECTIONS_MAX && calls.some((one) => one.deref()); i++) {
      await sleep(1)
      collectGarbage()
    }
    assert.deepEqual(
      calls.map((one) => one.deref()?.constructor.name),
      [undefined, undefined, undefined, undefined],
    )
    assert.equal(listener.counts().open, 1, 'the connection is still there')
  } finally {
    agent.destroy()
    listener.closeAllConnections()
    await new Promise((resolve) => listener.close(resolve))
  }
})
