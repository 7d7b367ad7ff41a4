/** What is cut from a call and put back into its reply, over sockets and through the official client libraries. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { type Flow, startEarthflow } from '../harness/earthflow.ts'
import { type Script, SSE } from '../harness/provider.ts'

const SSN = '536-90-4399'
/** With what must be escaped in a text, and once more in arguments. */
const NAME = 'Zoë "Zo" \\ Quinn'
const SAID = `${NAME} has ${SSN}`
const CUT = /^\[REDACTED_[A-Z2-7]{6}\] has \[SSN_[A-Z2-7]{6}\]$/

let flow: Flow
before(async () => {
  flow = await startEarthflow()
  await flow.rule({ name: 'Numbers', condition: { operator: 'detects', value: 'ssn' }, action: 'REDACT', reversible: true })
  await flow.rule({ name: 'Names', condition: { operator: 'contains', value: NAME }, action: 'REDACT', reversible: true })
  await flow.rule({ name: 'Replies', condition: { operator: 'detects', value: 'ssn', target: 'response' }, action: 'BLOCK' })
})
after(() => flow.close())
beforeEach(() => {
  flow.provider.script = echo
})

interface Body {
  messages: { content: string }[]
  stream?: boolean
  tools?: unknown[]
}
const PIECE_CHARACTERS = 3
const piecesOf = (text: string): string[] => text.match(new RegExp(`.{1,${PIECE_CHARACTERS}}`, 'gsu')) ?? []
const event = (data: { type?: string }): string => `${data.type ? `event: ${data.type}\n` : ''}data: ${JSON.stringify(data)}\n\n`

/** Says the last message again, as a text or as a tool's argument, in one piece or in small ones. */
const echo: Script = ({ url, body, response }) => {
  const { messages, stream = false, tools } = JSON.parse(body.toString()) as Body
  const said = messages.at(-1)?.content ?? ''
  const args = JSON.stringify({ q: said })
  const answers = url.endsWith('/messages') ? anthropic(said, args, tools !== undefined) : openai(said, args, tools !== undefined)
  if (stream) response.writeHead(200, SSE).end(answers.stream())
  else response.writeHead(200, { 'content-type': 'application/json' }).end(answers.plain())
}

function openai(said: string, args: string, asTool: boolean) {
  const base = { id: 'c', created: 1, model: 'm' }
  const call = (more: object) => ({ tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'look', ...more } }] })
  const chunk = (delta: object, finish_reason: string | null = null): string =>
    event({ ...base, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason }] } as object)
  return {
    plain: () =>
      JSON.stringify({
        ...base,
        object: 'chat.completion',
        choices: [{ index: 0, message: { role: 'assistant', content: asTool ? null : said, ...(asTool && call({ arguments: args })) }, finish_reason: 'stop' }],
      }),
    stream: () =>
      [
        chunk(asTool ? { role: 'assistant', ...call({ arguments: '' }) } : { role: 'assistant', content: '' }),
        ...piecesOf(asTool ? args : said).map((piece) => chunk(asTool ? { tool_calls: [{ index: 0, function: { arguments: piece } }] } : { content: piece })),
        chunk({}, 'stop'),
        'data: [DONE]\n\n',
      ].join(''),
  }
}

function anthropic(said: string, args: string, asTool: boolean) {
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } }
  const block = { type: 'tool_use', id: 'toolu_1', name: 'look' }
  return {
    plain: () => JSON.stringify({ ...message, stop_reason: 'end_turn', content: [asTool ? { ...block, input: { q: said } } : { type: 'text', text: said }] }),
    stream: () =>
      [
        { type: 'message_start', message: { ...message, stop_reason: null, content: [] } },
        { type: 'content_block_start', index: 0, content_block: asTool ? { ...block, input: {} } : { type: 'text', text: '' } },
        ...piecesOf(asTool ? args : said).map((piece) => ({
          type: 'content_block_delta',
          index: 0,
          delta: asTool ? { type: 'input_json_delta', partial_json: piece } : { type: 'text_delta', text: piece },
        })),
        { type: 'content_block_stop', index: 0 },
        { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 1 } },
        { type: 'message_stop' },
      ]
        .map(event)
        .join(''),
  }
}

const clients = () => ({
  openai: new OpenAI({ apiKey: flow.tenant.api_key, baseURL: `${flow.origin}/v1` }),
  anthropic: new Anthropic({ apiKey: flow.tenant.api_key, baseURL: flow.origin }),
})
const messages = [{ role: 'user' as const, content: SAID }]
const parameters = { type: 'object' as const, properties: { q: { type: 'string' } } }
const ofOpenai = { model: 'gpt-5', messages, tools: [{ type: 'function' as const, function: { name: 'look', parameters } }] }
const ofAnthropic = { model: 'claude', max_tokens: 50, messages, tools: [{ name: 'look', input_schema: parameters }] }
const without = <Call extends { tools: unknown }>({ tools: _, ...call }: Call) => call
/** What the provider was told in the last call. */
const told = (): string => (JSON.parse(flow.provider.seen.at(-1)?.body.toString() ?? '') as Body).messages[0].content

test('openai: what the provider never saw stands in the answer again, plain and streamed', async () => {
  const { chat } = clients().openai
  const plain = await chat.completions.create(without(ofOpenai))
  assert.equal(plain.choices[0].message.content, SAID)
  assert.match(told(), CUT)
  const first = told()
  assert.equal(await chat.completions.stream(without(ofOpenai)).finalContent(), SAID)
  assert.equal(told(), first, 'the same value has the same placeholder in every call')
})

test('openai: the same in the arguments of a tool call, which stay the JSON they were', async () => {
  const { chat } = clients().openai
  const final = [await chat.completions.create(ofOpenai), await chat.completions.stream(ofOpenai).finalChatCompletion()]
  for (const { choices } of final) {
    const [call] = choices[0].message.tool_calls ?? []
    assert.deepEqual(call.type === 'function' && JSON.parse(call.function.arguments), { q: SAID })
  }
  assert.match(told(), CUT)
})

test('anthropic: what the provider never saw stands in the answer again, plain and streamed', async () => {
  const client = clients().anthropic
  const plain = await client.messages.create(without(ofAnthropic))
  assert.deepEqual(plain.content[0].type === 'text' && plain.content[0].text, SAID)
  assert.match(told(), CUT)
  assert.equal(await client.messages.stream(without(ofAnthropic)).finalText(), SAID)
})

test('anthropic: the same in the input of a tool, whole or as JSON in pieces', async () => {
  const client = clients().anthropic
  for (const { content } of [await client.messages.create(ofAnthropic), await client.messages.stream(ofAnthropic).finalMessage()])
    assert.deepEqual(content[0].type === 'tool_use' && content[0].input, { q: SAID })
  assert.match(told(), CUT)
})

test('a rule about replies stops what the provider says by itself, though what is put back would be the same', async () => {
  flow.provider.script = ({ response }) => response.writeHead(200, { 'content-type': 'application/json' }).end(openai(SSN, '', false).plain())
  await assert.rejects(clients().openai.chat.completions.create(without(ofOpenai)), OpenAI.PermissionDeniedError)
})

test('another tenant’s placeholders are others, and a placeholder that a call did not make stays in its reply', async () => {
  const mine = await clients().openai.chat.completions.create(without(ofOpenai))
  const placeholder = /\[SSN_.*\]/.exec(told())?.[0] ?? assert.fail()
  assert.equal(mine.choices[0].message.content, SAID)
  const repeated = await clients().openai.chat.completions.create({ model: 'gpt-5', messages: [{ role: 'user', content: placeholder }] })
  assert.equal(repeated.choices[0].message.content, placeholder)
  const other = await flow.newTenant()
  const rule = { name: 'Numbers', condition: { operator: 'detects', value: 'ssn' }, action: 'REDACT', reversible: true }
  assert.equal((await flow.admin('POST', `/v1/rules?tenant_id=${other.tenant_id}`, rule)).status, 201)
  const theirs = await new OpenAI({ apiKey: other.api_key, baseURL: `${flow.origin}/v1` }).chat.completions.create(without(ofOpenai))
  assert.equal(theirs.choices[0].message.content, SAID)
  assert.match(told(), /\[SSN_[A-Z2-7]{6}\]/)
  assert.ok(!told().includes(placeholder))
})

test('no row, log line or error holds what was cut', async () => {
  await clients().openai.chat.completions.create(without(ofOpenai))
  const [row] = await flow.rows()
  assert.equal(row.status, 'REDACT')
  for (const kept of [JSON.stringify(await flow.rows()), flow.logged.join('')]) for (const secret of [SSN, 'Quinn', '[SSN_']) assert.ok(!kept.includes(secret))
})
