import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { test } from 'node:test'
import type { Caller } from '../../src/call.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import { Failure } from '../../src/errors.ts'
import { Pipeline, serve } from '../../src/pipeline/run.ts'
import type { Known, Outcome, Settler, Stage } from '../../src/pipeline/stage.ts'
import { until } from '../harness/earthflow.ts'
import { tenantNamed } from '../harness/nouns.ts'

const caller: Caller = {
  tenant: tenantNamed('t'),
  keyPrefix: 'reserved',
  keyLimits: null,
  allowedModels: null,
  allowedAddresses: null,
  clientCertificate: null,
  session: null,
  agent: null,
  scopes: new Set(),
}

async function play(first: Stage<never, 'caller'>, settlers: Settler[], leave: boolean) {
  const reached: string[] = []
  const reply: Stage<'caller', 'reply'> = ({ outgoing }) => {
    reached.push('reply')
    return { reply: { status: 200, end: () => outgoing.end() } }
  }
  const errors: unknown[] = []
  const statuses: (number | null)[] = []
  const run = serve(new Pipeline().stage('first', first).stage('reply', reply), settlers, {
    report: (error) => errors.push(error),
    ended: (_known, _outcome, status) => statuses.push(status),
  })
  let ended: Promise<void> | undefined
  const server = createServer((incoming, outgoing) => {
    ended = run({
      incoming,
      outgoing,
      endpoint: { kind: 'call', dialect: openaiChat, path: '/', model: null, upstream: null },
      peer: { address: '192.0.2.1', certificate: null },
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' }).on('error', () => {})
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
  let text = ''
  socket.on('data', (chunk) => {
    text += String(chunk)
  })
  await until(() => ended !== undefined, 'the exchange to begin')
  if (leave) socket.destroy()
  await ended
  if (!leave) await until(() => text.length > 0, 'an answer')
  socket.destroy()
  server.close()
  return { reached, errors, text, statuses }
}

test('what a stage establishes while the client leaves is not lost: it is settled, once, and nothing runs after it', async () => {
  const settled: [Known, Outcome][] = []
  const reserve: Stage<never, 'caller'> = async ({ signal }) => {
    await once(signal, 'abort')
    return { caller }
  }
  const { reached, statuses } = await play(reserve, [(known, outcome) => void settled.push([known, outcome])], true)
  assert.deepEqual(
    settled.map(([known, { kind }]) => [known.caller?.keyPrefix, kind]),
    [['reserved', 'cancelled']],
  )
  assert.deepEqual([reached, statuses], [[], [null]])
})

test('a stage that throws fails closed: a 500 without details, settled once, later settlers not silenced by an earlier one', async () => {
  const settled: string[] = []
  const broken: Stage<never, 'caller'> = () => {
    throw new Error('secret detail')
  }
  const fails: Settler = () => {
    throw new Error('settler')
  }
  const { reached, errors, text, statuses } = await play(broken, [fails, (_, outcome) => void settled.push(outcome.kind)], false)
  assert.deepEqual([reached, settled, errors.length, statuses], [[], ['failed'], 2, [500]])
  assert.match(text, /^HTTP\/1.1 500 /)
  assert.ok(!text.includes('secret detail'))
})

test('an answer whose settling fails is not handed over: 503, with when to come back', async () => {
  const fails: Settler = () => Promise.reject(new Failure('audit_unavailable', new Error('secret detail')))
  const { text, reached } = await play(() => ({ caller }), [fails], false)
  assert.deepEqual(reached, ['reply'])
  assert.match(text, /^HTTP\/1.1 503 /)
  assert.match(text, /retry-after: \d/i)
  assert.ok(!text.includes('secret detail'))
})
