/** What is cut from a call and put back into its reply, over sockets and through the official client libraries. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { GoogleGenAI } from '@google/genai'
import OpenAI from 'openai'
import { type Flow, startEarthflow } from '../harness/earthflow.ts'
import { type Script, SSE } from '../harness/provider.ts'

const SSN = '536-90-4399'
const OTHER = '536-90-4398'
/** With what must be escaped in a text, and once more in arguments. */
const NAME = 'Zoë "Zo" \\ Quinn'
const LINES = 'Osprey\n\t"nests"\r\nat 河川 😀'
const CARD = '4111111111111111'
/** As nobody would write it. */
const DISGUISED = 'Jack\u200bdaw\u2060s'
const CODE = '[A-Z2-7]{6}'

let flow: Flow
before(async () => {
  flow = await startEarthflow()
  await flow.addUpstream({ name: 'responses-like', dialects: ['openai-responses'], base_url: `${flow.provider.origin}/v1` })
  await flow.addUpstream({ name: 'gemini-like', dialects: ['gemini'], base_url: flow.provider.origin })
  const cut = { action: 'REDACT', reversible: true }
  await flow.rule({ name: 'Numbers', condition: { operator: 'detects', value: ['ssn', 'credit_card'] }, ...cut })
  await flow.rule({ name: 'Names', condition: { any: [NAME, LINES].map((value) => ({ operator: 'contains', value })) }, ...cut })
  await flow.rule({ name: 'Birds', condition: { operator: 'regex', value: 'jack.?daw.?s' }, ...cut })
  await flow.rule({ name: 'Replies', condition: { operator: 'detects', value: 'ssn', target: 'response' }, action: 'BLOCK' })
})
after(() => flow.close())
beforeEach(() => {
  flow.provider.seen.length = 0
  written = (said) => said
})

/** What the model makes of what it was told. */
let written: (said: string) => string
/** Between the arguments of one tool call and those of the next. */
const BETWEEN = ' | '
const PIECE_CHARACTERS = 3
const piecesOf = (text: string): string[] => text.match(new RegExp(`.{1,${PIECE_CHARACTERS}}`, 'gsu')) ?? []
const events = (all: readonly object[]): string =>
  all.map((data) => `${'type' in data ? `event: ${data.type}\n` : ''}data: ${JSON.stringify(data)}\n\n`).join('')

/** What a model says: a text, or what it calls a tool with. */
interface Said {
  text: string
  /** The tool's only argument, call by call; null where no tool is called. */
  calls: string[] | null
}
interface Read {
  text: string
  /** The arguments of each call, as the library's user reads them. */
  calls: unknown[]
}
interface Format {
  name: string
  /** The path of its calls. */
  path: RegExp
  /** What the user said last, in a body as the provider got it. */
  last(body: never): string
  whole(said: Said): object
  stream(said: Said): string
  /** Asks through the official library. */
  ask(prompt: string, tool: boolean): Promise<Read>
  askStream(prompt: string, tool: boolean): Promise<Read>
}
const argumentsOf = (q: string): string => JSON.stringify({ q })
const parameters = { type: 'object' as const, properties: { q: { type: 'string' } } }
const read = (text: string | null | undefined, calls: readonly (string | object | null | undefined)[] = []): Read => ({
  text: text ?? '',
  calls: calls.map((args) => (typeof args === 'string' ? JSON.parse(args) : args)),
})

const chatTool = { type: 'function' as const, function: { name: 'look', parameters } }
const chatBody = (content: string, tool: boolean) => ({
  model: 'gpt-5',
  messages: [{ role: 'user' as const, content }],
  ...(tool && { tools: [chatTool] }),
})
const readChat = ({ choices: [{ message }] }: OpenAI.ChatCompletion): Read =>
  read(
    message.content,
    message.tool_calls?.map((call) => (call.type === 'function' && call.function.arguments) || null),
  )
const chatCompletions: Format = {
  name: 'openai chat',
  path: /\/chat\/completions$/,
  last: (body: { messages: { content: string }[] }) => body.messages.at(-1)?.content ?? '',
  whole: ({ text, calls }) => {
    const tool_calls = calls?.map((q, i) => ({ id: `call_${i}`, type: 'function', function: { name: 'look', arguments: argumentsOf(q) } }))
    const message = { role: 'assistant', content: calls ? null : text, ...(calls && { tool_calls }) }
    return { id: 'c', created: 1, model: 'm', object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }] }
  },
  stream: ({ text, calls }) => {
    const chunk = (delta: object, finish_reason: string | null = null) => ({
      ...{ id: 'c', created: 1, model: 'm', object: 'chat.completion.chunk' },
      choices: [{ index: 0, delta, finish_reason }],
    })
    const called = (index: number, call: object) => chunk({ tool_calls: [{ index, ...call }] })
    const begun = calls?.map((_, i) => called(i, { id: `call_${i}`, type: 'function', function: { name: 'look', arguments: '' } })) ?? []
    const args = interleaved(calls?.map((q, i) => piecesOf(argumentsOf(q)).map((piece) => called(i, { function: { arguments: piece } }))) ?? [])
    const texts = calls ? [] : piecesOf(text).map((content) => chunk({ content }))
    return `${events([chunk({ role: 'assistant' }), ...texts, ...begun, ...args, chunk({}, 'stop')])}data: [DONE]\n\n`
  },
  ask: async (prompt, tool) => readChat(await openai().chat.completions.create(chatBody(prompt, tool))),
  askStream: async (prompt, tool) => readChat(await openai().chat.completions.stream(chatBody(prompt, tool)).finalChatCompletion()),
}

const responsesBody = (input: string, tool: boolean) => ({
  model: 'gpt-5',
  input,
  ...(tool && { tools: [{ type: 'function' as const, strict: false, name: 'look', parameters }] }),
})
interface Called {
  id: string
  arguments: string
}
interface Spoken {
  id: string
  content: { text: string }[]
}
const itemsOf = ({ text, calls }: Said) =>
  calls?.map((q, i) => ({ type: 'function_call', id: `fc_${i}`, call_id: `call_${i}`, name: 'look', arguments: argumentsOf(q), status: 'completed' })) ?? [
    { type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text, annotations: [] }] },
  ]
const readResponse = ({ output, output_text }: OpenAI.Responses.Response): Read =>
  read(
    output_text,
    output.flatMap((item) => (item.type === 'function_call' ? [item.arguments] : [])),
  )
const responses: Format = {
  name: 'openai responses',
  path: /\/responses$/,
  last: (body: { input: string }) => body.input,
  whole: (said) => ({ id: 'resp_1', object: 'response', created_at: 1, model: 'm', status: 'completed', output: itemsOf(said) }),
  stream: (said) => {
    const response = responses.whole(said)
    const told = (itemsOf(said) as (Called | Spoken)[]).flatMap((item, output_index): object[] => {
      const at = { output_index, item_id: item.id }
      const added = (begun: object) => ({ type: 'response.output_item.added', output_index, item: { ...item, ...begun } })
      const done = { type: 'response.output_item.done', output_index, item }
      if (!('content' in item))
        return [
          added({ arguments: '' }),
          ...piecesOf(item.arguments).map((delta) => ({ type: 'response.function_call_arguments.delta', ...at, delta })),
          { type: 'response.function_call_arguments.done', ...at, arguments: item.arguments },
          done,
        ]
      const [part] = item.content
      const within = { ...at, content_index: 0 }
      return [
        added({ content: [] }),
        { type: 'response.content_part.added', ...within, part: { ...part, text: '' } },
        ...piecesOf(part.text).map((delta) => ({ type: 'response.output_text.delta', ...within, delta })),
        { type: 'response.output_text.done', ...within, text: part.text },
        { type: 'response.content_part.done', ...within, part },
        done,
      ]
    })
    return events([{ type: 'response.created', response: { ...response, output: [] } }, ...told, { type: 'response.completed', response }])
  },
  ask: async (prompt, tool) => readResponse(await openai().responses.create(responsesBody(prompt, tool))),
  askStream: async (prompt, tool) => {
    const pieces: Record<string, string[]> = { text: [] }
    const stream = openai().responses.stream(responsesBody(prompt, tool))
    stream.on('response.output_text.delta', ({ delta }) => pieces.text.push(delta))
    stream.on('response.function_call_arguments.delta', ({ delta, item_id }) => (pieces[item_id] ??= []).push(delta))
    const whole = readResponse(await stream.finalResponse())
    const { text, ...calls } = pieces
    const pieced = read(
      text.join(''),
      Object.values(calls).map((args) => args.join('')),
    )
    assert.deepEqual(pieced, whole, 'the pieces say what is told whole')
    return pieced
  },
}

const messagesBody = (content: string, tool: boolean) => ({
  model: 'claude',
  max_tokens: 50,
  messages: [{ role: 'user' as const, content }],
  ...(tool && { tools: [{ name: 'look', input_schema: parameters }] }),
})
const anthropicMessage = { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } }
const readMessage = ({ content }: Anthropic.Message): Read =>
  read(
    content.map((block) => (block.type === 'text' ? block.text : '')).join(''),
    content.flatMap((block) => (block.type === 'tool_use' ? [block.input as object] : [])),
  )
const messages: Format = {
  name: 'anthropic messages',
  path: /\/messages$/,
  last: (body: { messages: { content: string }[] }) => body.messages.at(-1)?.content ?? '',
  whole: ({ text, calls }) => {
    const content = calls?.map((q, i) => ({ type: 'tool_use', id: `toolu_${i}`, name: 'look', input: { q } })) ?? [{ type: 'text', text }]
    return { ...anthropicMessage, stop_reason: 'end_turn', content }
  },
  stream: ({ text, calls }) => {
    const block = (index: number, content_block: object, deltas: readonly object[]) => [
      { type: 'content_block_start', index, content_block },
      ...deltas.map((delta) => ({ type: 'content_block_delta', index, delta })),
      { type: 'content_block_stop', index },
    ]
    const blocks = calls?.map((q, i) =>
      block(
        i,
        { type: 'tool_use', id: `toolu_${i}`, name: 'look', input: {} },
        piecesOf(argumentsOf(q)).map((partial_json) => ({ type: 'input_json_delta', partial_json })),
      ),
    ) ?? [
      block(
        0,
        { type: 'text', text: '' },
        piecesOf(text).map((piece) => ({ type: 'text_delta', text: piece })),
      ),
    ]
    return events([
      { type: 'message_start', message: { ...anthropicMessage, stop_reason: null, content: [] } },
      ...blocks.flat(),
      { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 1 } },
      { type: 'message_stop' },
    ])
  },
  ask: async (prompt, tool) => readMessage(await anthropic().messages.create(messagesBody(prompt, tool))),
  askStream: async (prompt, tool) => readMessage(await anthropic().messages.stream(messagesBody(prompt, tool)).finalMessage()),
}

const geminiBody = (contents: string, tool: boolean) => ({
  model: 'gemini-3',
  contents,
  ...(tool && { config: { tools: [{ functionDeclarations: [{ name: 'look', parametersJsonSchema: parameters }] }] } }),
})
const candidate = (parts: readonly object[], more: object = {}) => ({ candidates: [{ index: 0, content: { role: 'model', parts }, ...more }] })
const gemini: Format = {
  name: 'gemini',
  path: /:(?:stream)?[gG]enerateContent/,
  last: (body: { contents: { parts: { text: string }[] }[] }) => body.contents.at(-1)?.parts[0].text ?? '',
  whole: ({ text, calls }) => candidate(calls?.map((q) => ({ functionCall: { name: 'look', args: { q } } })) ?? [{ text }], { finishReason: 'STOP' }),
  // Of a call each piece is a string, told with its place.
  stream: ({ text, calls }) => {
    const partial = (stringValue: string, willContinue: boolean) => ({
      functionCall: { partialArgs: [{ jsonPath: '$.q', stringValue, willContinue }], willContinue: true },
    })
    const parts = calls?.flatMap((q) => [
      { functionCall: { name: 'look', willContinue: true } },
      ...piecesOf(q).map((piece, i, { length }) => partial(piece, i < length - 1)),
      { functionCall: {} },
    ])
    return events([...(parts ?? piecesOf(text).map((piece) => ({ text: piece }))).map((part) => candidate([part])), candidate([], { finishReason: 'STOP' })])
  },
  ask: async (prompt, tool) => {
    const answer = await google().models.generateContent(geminiBody(prompt, tool))
    return read(tool ? '' : answer.text, answer.functionCalls?.map(({ args }) => args) ?? [])
  },
  askStream: async (prompt, tool) => {
    let text = ''
    const calls: { q: string }[] = []
    for await (const chunk of await google().models.generateContentStream(geminiBody(prompt, tool))) {
      text += tool ? '' : (chunk.text ?? '')
      for (const { name, partialArgs } of chunk.functionCalls ?? []) {
        if (name !== undefined) calls.push({ q: '' })
        for (const { stringValue } of partialArgs ?? []) calls[calls.length - 1].q += stringValue ?? ''
      }
    }
    return read(text, calls)
  },
}

const formats = [chatCompletions, responses, messages, gemini]
const openai = () => new OpenAI({ apiKey: flow.tenant.api_key, baseURL: `${flow.origin}/v1` })
const anthropic = () => new Anthropic({ apiKey: flow.tenant.api_key, baseURL: flow.origin })
const google = () => new GoogleGenAI({ apiKey: flow.tenant.api_key, httpOptions: { baseUrl: flow.origin } })

/** First the first of each, then the second of each, as parallel calls arrive. */
const interleaved = <T>(lists: readonly (readonly T[])[]): T[] =>
  Array.from({ length: Math.max(0, ...lists.map(({ length }) => length)) }, (_, i) => lists.flatMap((list) => list.slice(i, i + 1))).flat()

/** Says the last message again, as a text or as what it calls tools with, whole or in small pieces. */
const echo: Script = ({ url, body, response }) => {
  const call = JSON.parse(body.toString())
  const format = formats.find(({ path }) => path.test(url.split('?')[0])) ?? assert.fail(url)
  const text = written(format.last(call as never))
  const said = { text, calls: call.tools === undefined ? null : text.split(BETWEEN) }
  if (call.stream === true || url.includes(':stream')) response.writeHead(200, SSE).end(format.stream(said))
  else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(format.whole(said)))
}

/** What the provider was told in the last call. */
const told = (): string => {
  const { url, body } = flow.provider.seen.at(-1) ?? assert.fail('The provider was not called.')
  const format = formats.find(({ path }) => path.test(url.split('?')[0])) ?? assert.fail(url)
  return format.last(JSON.parse(body.toString()) as never)
}

/** What is said, and what the provider is told of it. */
const sayings: Readonly<Record<string, [said: string, told: RegExp]>> = {
  'a number': [`It is ${SSN}.`, new RegExp(`^It is \\[SSN_${CODE}\\]\\.$`)],
  'quotes, backslashes and letters beyond ASCII': [`${NAME} has ${SSN}`, new RegExp(`^\\[REDACTED_${CODE}\\] has \\[SSN_${CODE}\\]$`)],
  'line breaks and tabs': [`[${LINES}]\n${CARD}`, new RegExp(`^\\[\\[REDACTED_${CODE}\\]\\]\\n\\[CREDIT_CARD_${CODE}\\]$`)],
  'a path': [`C:\\Users\\${SSN}\\${NAME}`, new RegExp(`^C:\\\\Users\\\\\\[SSN_${CODE}\\]\\\\\\[REDACTED_${CODE}\\]$`)],
  'invisible characters within': [`${DISGUISED}, Jackdaws`, new RegExp(`^(\\[REDACTED_${CODE}\\]), (?!\\1)\\[REDACTED_${CODE}\\]$`)],
  'invisible characters within a number': [`It is 536\u200b-90-43\u206099, ${SSN}`, new RegExp(`^It is (\\[SSN_${CODE}\\]), (?!\\1)\\[SSN_${CODE}\\]$`)],
  'several at once': [
    [`${NAME} has ${SSN}`, `${OTHER}: ${LINES}`].join(BETWEEN),
    new RegExp(`^\\[REDACTED_${CODE}\\] has \\[SSN_${CODE}\\] \\| \\[SSN_${CODE}\\]: \\[REDACTED_${CODE}\\]$`),
  ],
}

for (const { name, ask, askStream } of formats) {
  test(`${name}: what the provider never saw stands in the answer again, plain and streamed`, async () => {
    flow.provider.script = echo
    for (const [what, [said, expected]] of Object.entries(sayings)) {
      assert.deepEqual(await ask(said, false), { text: said, calls: [] }, what)
      assert.match(told(), expected, what)
      const first = told()
      assert.deepEqual(await askStream(said, false), { text: said, calls: [] }, `${what}, streamed`)
      assert.equal(told(), first, 'the same value has the same placeholder in every call')
    }
  })

  test(`${name}: the same in the arguments of tool calls, one or several side by side, which stay the JSON they were`, async () => {
    flow.provider.script = echo
    for (const [what, [said, expected]] of Object.entries(sayings)) {
      const calls = said.split(BETWEEN).map((q) => ({ q }))
      assert.deepEqual(await ask(said, true), { text: '', calls }, what)
      assert.match(told(), expected, what)
      assert.deepEqual(await askStream(said, true), { text: '', calls }, `${what}, streamed`)
    }
  })

  test(`${name}: a placeholder that the model escapes as Markdown is put back, one that it cuts, changes or makes up is not`, async () => {
    flow.provider.script = echo
    written = (said) => `**${said.replaceAll(/[[_\]]/g, '\\$&')}**, ${said.toLowerCase()}, ${said.slice(0, -2)}, \`${said}\`, [SSN\\_AAAAAA]`
    for (const asking of [ask, askStream])
      for (const tool of [false, true]) {
        const { text, calls } = await asking(SSN, tool)
        const placeholder = told()
        const expected = `**${SSN}**, ${placeholder.toLowerCase()}, ${placeholder.slice(0, -2)}, \`${SSN}\`, [SSN\\_AAAAAA]`
        assert.deepEqual(tool ? calls : text, tool ? [{ q: expected }] : expected)
      }
  })
}

test('a number in the arguments of an earlier call is told as a string, and comes back as one', async () => {
  const history = (args: string, script: Script) => {
    flow.provider.script = script
    const call = { id: 'call_1', type: 'function' as const, function: { name: 'look', arguments: args } }
    const said = [
      { role: 'user' as const, content: 'Again.' },
      { role: 'assistant' as const, content: null, tool_calls: [call] },
      { role: 'tool' as const, tool_call_id: 'call_1', content: 'ok' },
    ]
    return openai().chat.completions.create({ model: 'gpt-5', messages: said, tools: [chatTool] })
  }
  const again: Script = ({ body, response }) => {
    const { messages: said } = JSON.parse(body.toString())
    const message = { role: 'assistant', content: null, tool_calls: said[1].tool_calls }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ choices: [{ index: 0, message, finish_reason: 'tool_calls' }] }))
  }
  const { choices } = await history(`{"n": ${CARD}, "s": "${CARD}", "m": 7}`, again)
  const { messages: sent } = JSON.parse(flow.provider.seen.at(-1)?.body.toString() ?? '')
  assert.match(sent[1].tool_calls[0].function.arguments, new RegExp(`^\\{"n": "(\\[CREDIT_CARD_${CODE}\\])", "s": "\\1", "m": 7\\}$`))
  const [call] = choices[0].message.tool_calls ?? []
  assert.deepEqual(call.type === 'function' && JSON.parse(call.function.arguments), { n: CARD, s: CARD, m: 7 })
})

test('a conversation that goes on begins, at the provider, with the bytes it had', async () => {
  flow.provider.script = echo
  const turns: OpenAI.ChatCompletionMessageParam[] = [{ role: 'system', content: `Known: ${OTHER}` }]
  let before = ''
  for (const said of Object.values(sayings).map(([text]) => text)) {
    turns.push({ role: 'user', content: said })
    const { choices } = await openai().chat.completions.create({ messages: turns, model: 'gpt-5' })
    turns.push({ role: 'assistant', content: choices[0].message.content })
    const body = flow.provider.seen.at(-1)?.body.toString() ?? ''
    const end = body.lastIndexOf(']')
    assert.ok(body.startsWith(before))
    before = body.slice(0, end)
    for (const secret of [SSN, OTHER, CARD, 'Quinn', 'nests']) assert.ok(!body.includes(secret))
  }
  assert.equal(turns.length, 1 + 2 * Object.keys(sayings).length)
})

test('a rule about replies stops what the provider says by itself, though what is put back would be the same', async () => {
  flow.provider.script = echo
  written = () => SSN
  for (const tool of [false, true]) {
    await assert.rejects(chatCompletions.ask(SSN, tool), OpenAI.PermissionDeniedError)
    await assert.rejects(messages.ask(SSN, tool), Anthropic.PermissionDeniedError)
  }
})

test('another tenant’s placeholders are others, and a placeholder that a call did not make stays in its reply', async () => {
  flow.provider.script = echo
  assert.equal((await chatCompletions.ask(SSN, false)).text, SSN)
  const placeholder = told()
  assert.match(placeholder, new RegExp(`^\\[SSN_${CODE}\\]$`))
  assert.equal((await chatCompletions.ask(placeholder, false)).text, placeholder)
  const other = await flow.newTenant()
  const rule = { name: 'Numbers', condition: { operator: 'detects', value: 'ssn' }, action: 'REDACT', reversible: true }
  assert.equal((await flow.admin('POST', `/v1/rules?tenant_id=${other.tenant_id}`, rule)).status, 201)
  const theirs = await new OpenAI({ apiKey: other.api_key, baseURL: `${flow.origin}/v1` }).chat.completions.create(chatBody(SSN, false))
  assert.equal(theirs.choices[0].message.content, SSN)
  assert.match(told(), new RegExp(`^\\[SSN_${CODE}\\]$`))
  assert.notEqual(told(), placeholder)
})

test('no row, log line or error holds what was cut', async () => {
  flow.provider.script = echo
  await chatCompletions.ask(`${NAME} has ${SSN}`, false)
  const [row] = await flow.rows()
  assert.equal(row.status, 'REDACT')
  for (const kept of [JSON.stringify(await flow.rows()), flow.logged.join('')]) for (const secret of [SSN, 'Quinn', '[SSN_']) assert.ok(!kept.includes(secret))
})
