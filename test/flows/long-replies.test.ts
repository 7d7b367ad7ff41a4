/** Replies that are judged in turns, and streams that are held, over sockets. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { chat, type Flow, startEarthflow } from '../harness/earthflow.ts'
import { chatEvent, DONE, SSE } from '../harness/provider.ts'

const CARD = '4111 1111 1111 1111'
const long = 'It goes on. '.repeat(40_000)
const bodyOf = (content: string): string => JSON.stringify({ choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }] })

let flow: Flow
before(async () => {
  flow = await startEarthflow()
  await flow.rule({ name: 'card', action: 'REDACT', condition: { operator: 'detects', value: 'credit_card', target: 'response' } })
  await flow.rule({ name: 'codes', action: 'BLOCK', condition: { operator: 'contains', value: 'launch codes', target: 'response' } })
})
after(() => flow.close())

const answered = (content: string) => {
  flow.provider.script = ({ response }) => response.writeHead(200, { 'content-type': 'application/json' }).end(bodyOf(content))
  return flow.post('/v1/chat/completions', chat('hi'))
}

test('a long reply arrives whole and cut, after all of it was judged; others are answered meanwhile', async () => {
  const [first, second] = await Promise.all([answered(`${long}${CARD}`), answered(`${long}${CARD}`)])
  for (const { status, text } of [first, second]) {
    assert.equal(status, 200)
    assert.equal(text, bodyOf(`${long}[CREDIT_CARD]`))
  }
})

test('a long reply that a rule stops at its very end is a refusal with its own status, and nothing of it is told', async () => {
  const { status, text } = await answered(`${long} launch codes`)
  assert.equal(status, 403)
  assert.ok(!text.includes('goes on'))
  const [row] = await flow.rowsOf(1)
  assert.deepEqual([row.status, row.outcome], ['BLOCK', 'refused'])
})

test('of a stream that was judged the metrics say how much of it waited', async () => {
  flow.provider.script = ({ response }) => response.writeHead(200, SSE).end(chatEvent('it is 4111') + chatEvent(' apples.') + DONE)
  const { status } = await flow.post('/v1/chat/completions', chat('hi', { stream: true }))
  assert.equal(status, 200)
  const { text } = await flow.admin('GET', '/v1/dashboard/metrics')
  assert.match(text, /^earthflow_held_characters_count 1$/m)
  assert.match(text, /^earthflow_held_ms_count 1$/m)
})
