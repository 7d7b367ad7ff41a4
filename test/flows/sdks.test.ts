/** The official client libraries, over TLS, against the running proxy with somebody else's mock of the providers behind it. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { LLMock } from '@copilotkit/aimock'
import OpenAI from 'openai'
import { Agent, fetch } from 'undici'
import { type Flow, startEarthflow } from '../harness/earthflow.ts'

const mock = new LLMock({ port: 0 })
let flow: Flow
let dispatcher: Agent
/** Requests made, to count what a library tries again by itself. */
let sent = 0
const counted = ((...args: Parameters<typeof fetch>) => {
  sent++
  return fetch(...args)
}) as unknown as typeof globalThis.fetch

before(async () => {
  mock.onMessage(/weather/, { toolCalls: [{ name: 'get_weather', arguments: '{"city":"Algiers"}' }] })
  mock.onMessage(/.*/, { content: 'Hello from the provider, in several words.' })
  await mock.start()
  flow = await startEarthflow({ preset: 'medical' })
  await flow.addUpstream({ name: 'mock-openai', dialects: ['openai-chat'], base_url: `${mock.url}/v1`, priority: 50 })
  await flow.addUpstream({ name: 'mock-anthropic', dialects: ['anthropic-messages'], base_url: mock.url, priority: 50 })
  dispatcher = new Agent({ connect: { ca: readFileSync(join(flow.dataDir, 'certs', 'ca.pem')) } })
})
after(async () => {
  await dispatcher.close()
  await flow.close()
  await mock.stop()
})
const options = (apiKey = flow.tenant.api_key) => ({ apiKey, fetch: counted, fetchOptions: { dispatcher } as never })
const openai = (apiKey?: string) => new OpenAI({ ...options(apiKey), baseURL: `https://localhost:${flow.port}/v1` })
const anthropic = (apiKey?: string) => new Anthropic({ ...options(apiKey), baseURL: `https://localhost:${flow.port}` })
const user = (content: string) => [{ role: 'user' as const, content }]
const weather = { name: 'get_weather', description: 'Tells the weather', parameters: { type: 'object' as const, properties: { city: { type: 'string' } } } }
const thrown = async (work: () => PromiseLike<unknown>): Promise<unknown> => {
  sent = 0
  try {
    await work()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

test('openai: plain, streamed and through its stream helper', async () => {
  const plain = await openai().chat.completions.create({ model: 'gpt-5', messages: user('hi') })
  assert.equal(plain.choices[0].message.content, 'Hello from the provider, in several words.')
  let text = ''
  for await (const chunk of await openai().chat.completions.create({ model: 'gpt-5', messages: user('hi'), stream: true }))
    text += chunk.choices[0]?.delta.content ?? ''
  assert.equal(text, plain.choices[0].message.content)
  const helped = await openai()
    .chat.completions.stream({ model: 'gpt-5', messages: user('hi') })
    .finalContent()
  assert.equal(helped, text)
  const [row] = await flow.rowsOf(3)
  assert.deepEqual([row.status, row.stream, row.upstream], ['ALLOW', true, 'mock-openai'])
})

test('openai: tool calls, plain and streamed', async () => {
  const tools = [{ type: 'function' as const, function: weather }]
  const plain = await openai().chat.completions.create({ model: 'gpt-5', messages: user('weather?'), tools })
  const [call] = plain.choices[0].message.tool_calls ?? []
  assert.deepEqual(call?.type === 'function' && [call.function.name, JSON.parse(call.function.arguments)], ['get_weather', { city: 'Algiers' }])
  const streamed = await openai()
    .chat.completions.stream({ model: 'gpt-5', messages: user('weather?'), tools })
    .finalMessage()
  const [again] = streamed.tool_calls ?? []
  assert.deepEqual(again?.type === 'function' && JSON.parse(again.function.arguments), { city: 'Algiers' })
})

test('anthropic: plain, streamed, tool calls and its message stream', async () => {
  const call = { model: 'claude-sonnet-4-5', max_tokens: 50 }
  const plain = await anthropic().messages.create({ ...call, messages: user('hi') })
  assert.deepEqual(
    plain.content.map((block) => block.type === 'text' && block.text),
    ['Hello from the provider, in several words.'],
  )
  const text = await anthropic()
    .messages.stream({ ...call, messages: user('hi') })
    .finalText()
  assert.equal(text, 'Hello from the provider, in several words.')
  const tools = [{ name: weather.name, description: weather.description, input_schema: weather.parameters }]
  const used = await anthropic().messages.create({ ...call, messages: user('weather?'), tools })
  assert.deepEqual(
    used.content.flatMap((block) => (block.type === 'tool_use' ? [block.input] : [])),
    [{ city: 'Algiers' }],
  )
  const streamed = await anthropic()
    .messages.stream({ ...call, messages: user('weather?'), tools })
    .finalMessage()
  assert.deepEqual(
    streamed.content.flatMap((block) => (block.type === 'tool_use' ? [block.input] : [])),
    [{ city: 'Algiers' }],
  )
})

test('a BLOCK raises the permission error, once, in both libraries, streamed or not', async () => {
  const secret = user('use AKIAIOSFODNN7EXAMPLE')
  for (const stream of [false, true]) {
    const one = await thrown(() => openai().chat.completions.create({ model: 'gpt-5', messages: secret, stream }))
    assert.ok(one instanceof OpenAI.PermissionDeniedError)
    assert.equal(one.code, 'content_policy_violation')
    assert.ok(one.requestID?.startsWith('req_'))
    assert.equal(sent, 1)
    const other = await thrown(() => anthropic().messages.create({ model: 'claude-sonnet-4-5', max_tokens: 5, messages: secret, stream }))
    assert.ok(other instanceof Anthropic.PermissionDeniedError)
    assert.equal(sent, 1)
  }
})

test('a limit raises the rate-limit error in both libraries, a wrong key the authentication error, a wrong body the bad-request error', async () => {
  const { api_key } = await flow.newTenant({ max_requests_per_minute: 1 })
  const once = { maxRetries: 0 }
  for (let i = 0; i < 2; i++) await openai(api_key).chat.completions.create({ model: 'gpt-5', messages: user('hi') })
  assert.ok((await thrown(() => openai(api_key).chat.completions.create({ model: 'gpt-5', messages: user('hi') }, once))) instanceof OpenAI.RateLimitError)
  assert.ok(
    (await thrown(() => anthropic(api_key).messages.create({ model: 'c', max_tokens: 1, messages: user('hi') }, once))) instanceof Anthropic.RateLimitError,
  )
  for (const wrong of ['ef_live_wrong', 'sk-something', `${api_key.slice(0, -1)}${api_key.endsWith('x') ? 'y' : 'x'}`]) {
    assert.ok((await thrown(() => openai(wrong).chat.completions.create({ model: 'gpt-5', messages: user('hi') }))) instanceof OpenAI.AuthenticationError)
    assert.ok(
      (await thrown(() => anthropic(wrong).messages.create({ model: 'c', max_tokens: 1, messages: user('hi') }))) instanceof Anthropic.AuthenticationError,
    )
  }
  assert.ok((await thrown(() => openai().chat.completions.create({ model: 'gpt-5', messages: 'hi' as never }))) instanceof OpenAI.BadRequestError)
  assert.ok((await thrown(() => anthropic().messages.create({ model: 5 as never, max_tokens: 1, messages: user('hi') }))) instanceof Anthropic.BadRequestError)
  assert.equal(sent, 1)
})

test('a budget that is used up is a rate limit the libraries do not try to get around, plain or streamed', async () => {
  const { api_key, tenant_id } = await flow.newTenant()
  await flow.admin('POST', `/v1/budgets?tenant_id=${tenant_id}`, { scope: 'tenant', amount: 0, unit: 'tokens', window: 'month', mode: 'hard' })
  for (const stream of [false, true]) {
    const refused = await thrown(() => openai(api_key).chat.completions.create({ model: 'gpt-5', messages: user('hi'), stream }))
    assert.ok(refused instanceof OpenAI.RateLimitError)
    assert.deepEqual([refused.code, sent], ['insufficient_quota', 1])
    const too = await thrown(() => anthropic(api_key).messages.create({ model: 'c', max_tokens: 1, messages: user('hi'), stream }))
    assert.ok(too instanceof Anthropic.RateLimitError)
    assert.match(too.message, /budget/)
    assert.equal(sent, 1)
  }
})

test('a redacted call reaches the provider without the number, and the library notices nothing', async () => {
  await openai().chat.completions.create({ model: 'gpt-5', messages: user('My number is 536-90-4399') })
  assert.ok(JSON.stringify(mock.getRequests().at(-1)?.body).includes('My number is [SSN]'))
})

test('anthropic: tokens are counted, and a count is governed like a call', async () => {
  const counted = await anthropic().messages.countTokens({ model: 'sandbox', messages: user('how many tokens are these') })
  assert.ok(counted.input_tokens > 0)
  const refused = await thrown(() => anthropic().messages.countTokens({ model: 'sandbox', messages: user('AKIAIOSFODNN7EXAMPLE') }))
  assert.ok(refused instanceof Anthropic.PermissionDeniedError)
})
