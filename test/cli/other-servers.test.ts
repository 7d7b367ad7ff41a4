/** What verbs say of a server that is none of ours, or of another version. */
import assert from 'node:assert/strict'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { createApi } from '../../src/cli/api.ts'
import { EXIT } from '../../src/cli/exits.ts'
import { tenants } from '../../src/cli/tenants.ts'
import { users } from '../../src/cli/users.ts'
import { until } from '../harness/client.ts'
import { type Ended, keptTerminal } from './running.ts'

const createFile = () => assert.fail('no file is made')

/** Both verbs, against a server that answers like this. */
async function asked(answer: (response: ServerResponse) => void): Promise<{ ended: Ended[]; open(): number; close(): void }> {
  let open = 0
  const server = createServer((_request, response) => {
    open++
    response.on('close', () => open--)
    answer(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const api = createApi({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, key: 'x', ca: null })
  const [first, second] = [keptTerminal(), keptTerminal()]
  first.ended.code = await tenants(['list', '--json'], first.terminal, { api: () => api, isTerminal: true, createFile })
  second.ended.code = await users(['list', '--json'], second.terminal, { api, isTerminal: true, createFile })
  return {
    ended: [first.ended, second.ended],
    open: () => open,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

test('an answer that is not understood is said in a sentence, and nothing else', async () => {
  for (const body of ['{"tenants":7,"users":7}', '<html>', '', 'null']) {
    const { ended, close } = await asked((response) => response.writeHead(200, { 'x-earthflow-request-id': 'r' }).end(body))
    for (const { code, out, error } of ended) {
      assert.deepEqual([code, out], [EXIT.failed, ''], body)
      assert.match(error, /^Earthflow answered something that this version does not understand \([a-z .]+\); compare versions\.\n$/)
    }
    close()
  }
})

test('nobody waits for the end of an answer that is of no Earthflow', async () => {
  const { ended, open, close } = await asked((response) => void response.writeHead(200).write('x'))
  for (const { code, error } of ended) assert.deepEqual([code, /is no Earthflow; check EARTHFLOW_URL/.test(error)], [EXIT.failed, true])
  await until(() => open() === 0, 'the connections to end')
  close()
})
