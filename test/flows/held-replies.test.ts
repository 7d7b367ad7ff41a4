/** Replies that are held until their end, and values that are put back, on a bad day: who leaves, who breaks off, whose key is rotated. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import OpenAI from 'openai'
import { type Flow, MASTER_KEY, startEarthflow, until } from '../harness/earthflow.ts'
import { chatEvent, DONE, SSE } from '../harness/provider.ts'

const MAIL = 'jane@example.com'
let flow: Flow

before(async () => {
  flow = await startEarthflow()
  await flow.rule({ name: 'whole', action: 'BLOCK', condition: { operator: 'regex', value: 'zebra.*lion', target: 'response' } })
  await flow.rule({ name: 'mail', action: 'REDACT', reversible: true, condition: { operator: 'detects', value: 'email' } })
})
after(() => flow.close())

const streamFrom = (origin: string, content: string, signal?: AbortSignal) =>
  new OpenAI({ apiKey: flow.tenant.api_key, baseURL: `${origin}/v1`, maxRetries: 0 }).chat.completions.create(
    { model: 'm', stream: true, messages: [{ role: 'user', content }] },
    signal ? { signal } : {},
  )

test('clients that leave while their stream is held end its call at the provider, one row each, and nothing stays open', async () => {
  const CLIENTS = 10
  flow.provider.seen.length = 0
  flow.provider.script = ({ response }) => response.writeHead(200, SSE).write(chatEvent('held '))
  const clients = Array.from({ length: CLIENTS }, () => {
    const leaving = new AbortController()
    streamFrom(flow.origin, 'x', leaving.signal).catch(() => {})
    return leaving
  })
  await until(() => flow.provider.seen.length === CLIENTS, 'every call to reach the provider')
  for (const leaving of clients) leaving.abort()
  await until(() => flow.provider.seen.every(({ closed }) => closed), 'every call to end at the provider')
  const rows = await flow.rowsOf(CLIENTS)
  assert.deepEqual(new Set(rows.map(({ outcome }) => outcome)), new Set(['cancelled']))
  assert.equal(rows.length, CLIENTS)
  await until(async () => (await flow.openExchanges()) === 0, 'no exchange to be open')
})

test('a provider that breaks off while its stream is held is an error with a status, and nothing of the half is told', async () => {
  flow.provider.script = ({ response }) => response.writeHead(200, SSE).write(chatEvent('half '), () => response.destroy())
  await assert.rejects(async () => streamFrom(flow.origin, 'x'), { status: 502 })
})

test('under a rotated master key another process puts the same placeholder in, and the value back', async () => {
  const rotated = `${randomBytes(32).toString('base64url')},${MASTER_KEY}`
  const second = await startEarthflow({ databaseUrl: flow.databaseUrl, environment: { EARTHFLOW_MASTER_KEY: rotated } })
  try {
    flow.provider.script = ({ response, body }) => {
      const { messages } = JSON.parse(body.toString()) as { messages: { content: string }[] }
      response.writeHead(200, SSE).end([...messages[0].content].map(chatEvent).join('') + DONE)
    }
    const sent: string[] = []
    for (const origin of [flow.origin, second.origin]) {
      let said = ''
      for await (const { choices } of await streamFrom(origin, `Write to ${MAIL}`)) said += choices[0]?.delta.content ?? ''
      assert.equal(said, `Write to ${MAIL}`)
      sent.push(flow.provider.seen.at(-1)?.body.toString() ?? '')
    }
    assert.match(sent[0], /Write to \[EMAIL_[A-Z2-7]{6}\]/)
    assert.equal(sent[1], sent[0])
  } finally {
    await second.close()
  }
})
