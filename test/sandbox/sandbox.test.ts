import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import Anthropic, * as anthropicErrors from '@anthropic-ai/sdk'
import OpenAI, * as openaiErrors from 'openai'
import { formats } from '../../src/dialects/index.ts'
import { createSandbox, type Sandbox, sandboxDialects } from '../../src/sandbox/sandbox.ts'

let sandbox: Sandbox
let openai: OpenAI
let anthropic: Anthropic

before(async () => {
  sandbox = await createSandbox()
  openai = new OpenAI({ baseURL: `${sandbox.origin}/v1`, apiKey: 'unused', maxRetries: 0 })
  anthropic = new Anthropic({ baseURL: sandbox.origin, apiKey: 'unused', maxRetries: 0 })
})
after(() => sandbox.close())

const said = (content: string) => [{ role: 'user' as const, content }]
const weather = {
  type: 'object' as const,
  properties: {
    city: { type: 'string', minLength: 10 },
    unit: { enum: ['celsius', 'fahrenheit'] },
    days: { type: 'integer', minimum: 2 },
    where: { $ref: '#/$defs/Point' },
    hourly: { type: ['null', 'boolean'] },
    note: { type: 'string' },
  },
  required: ['city', 'unit', 'days', 'where', 'hourly'],
  $defs: { Point: { type: 'object', properties: { lat: { type: 'number', maximum: 0.5 } }, required: ['lat'] } },
}
const forecast = { city: 'sandboxsan', unit: 'celsius', days: 2, where: { lat: 0.5 }, hourly: false }

async function post(path: string, body: string | Buffer, headers: Record<string, string> = {}): Promise<{ response: Response; text: string }> {
  const response = await fetch(sandbox.origin + path, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } })
  return { response, text: await response.text() }
}

describe('openai', () => {
  test('echoes the text parts of the last user message and counts tokens', async () => {
    const completion = await openai.chat.completions.create({
      model: 'sandbox',
      messages: [
        { role: 'system', content: 'four' },
        { role: 'user', content: 'first' },
        { role: 'assistant', content: 'Yes?' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Grüße' },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } },
            { type: 'text', text: '🌍' },
          ],
        },
      ],
    })
    assert.equal(completion.choices[0]!.message.content, 'You said: Grüße\n🌍')
    assert.equal(completion.choices[0]!.finish_reason, 'stop')
    // 4 + 5 + 4 + 7 + 4 bytes in, 22 out, by four.
    assert.deepEqual([completion.usage!.prompt_tokens, completion.usage!.completion_tokens, completion.usage!.total_tokens], [6, 6, 12])
    assert.match(completion._request_id!, /^req_/)
  })

  test('answers as many choices as asked, plain and streamed', async () => {
    const ask = { model: 'sandbox-two', n: 2, messages: said('twice') }
    assert.deepEqual(
      (await openai.chat.completions.create(ask)).choices.map((choice) => [choice.index, choice.message.content]),
      [0, 1].map((index) => [index, 'You said: twice']),
    )
    const texts = ['', '']
    for await (const chunk of await openai.chat.completions.create({ ...ask, stream: true })) {
      for (const choice of chunk.choices) texts[choice.index] += choice.delta.content ?? ''
    }
    assert.deepEqual(texts, ['You said: twice', 'You said: twice'])
    await assert.rejects(openai.chat.completions.create({ ...ask, n: 0 }), openaiErrors.BadRequestError)
  })

  test('streams role, words, finish reason, and usage only when asked for', async () => {
    const chunks = await Array.fromAsync(await openai.chat.completions.create({ model: 'sandbox', stream: true, messages: said('one two') }))
    assert.deepEqual(
      chunks.map((chunk) => [chunk.choices[0]!.delta.role, chunk.choices[0]!.delta.content, chunk.choices[0]!.finish_reason]),
      [
        ['assistant', '', null],
        [undefined, 'You', null],
        [undefined, ' said:', null],
        [undefined, ' one', null],
        [undefined, ' two', null],
        [undefined, undefined, 'stop'],
      ],
    )
    assert.equal(
      chunks.some((chunk) => 'usage' in chunk),
      false,
    )

    const counted = await Array.fromAsync(
      await openai.chat.completions.create({ model: 'sandbox', stream: true, stream_options: { include_usage: true }, messages: said('one two') }),
    )
    const last = counted.pop()!
    assert.deepEqual([last.choices, last.usage!.prompt_tokens, last.usage!.completion_tokens], [[], 2, 5])
    assert.ok(counted.every((chunk) => chunk.usage === null))
  })

  test('a stream ends with [DONE]', async () => {
    const { response, text } = await post('/v1/chat/completions', JSON.stringify({ model: 'sandbox', stream: true, messages: said('x') }))
    assert.match(response.headers.get('content-type')!, /^text\/event-stream/)
    assert.ok(text.endsWith('\n\ndata: [DONE]\n\n'))
  })

  test('calls the first tool with arguments that satisfy its schema, then reports what it said', async () => {
    const tools = [
      { type: 'function' as const, function: { name: 'get_weather', parameters: weather } },
      { type: 'function' as const, function: { name: 'other' } },
    ]
    const completion = await openai.chat.completions.create({ model: 'sandbox', messages: said('Rain?'), tools })
    const { message, finish_reason } = completion.choices[0]!
    const call = message.tool_calls![0]!
    assert.ok(call.type === 'function')
    assert.deepEqual([message.content, finish_reason, call.function.name, JSON.parse(call.function.arguments)], [null, 'tool_calls', 'get_weather', forecast])

    const next = await openai.chat.completions.create({
      model: 'sandbox',
      messages: [...said('Rain?'), message, { role: 'tool', tool_call_id: call.id, content: 'sunny' }],
      tools,
    })
    assert.equal(next.choices[0]!.message.content, 'The tool said: sunny')

    const silent = await openai.chat.completions.create({ model: 'sandbox', messages: said('Rain?'), tools, tool_choice: 'none' })
    assert.equal(silent.choices[0]!.message.content, 'You said: Rain?')
    const chosen = await openai.chat.completions.create({
      model: 'sandbox',
      messages: said('Rain?'),
      tools,
      tool_choice: { type: 'function', function: { name: 'other' } },
    })
    const other = chosen.choices[0]!.message.tool_calls![0]!
    assert.ok(other.type === 'function' && other.function.name === 'other' && other.function.arguments === '{}')
  })

  test('streams tool calls in pieces the library puts together', async () => {
    const stream = openai.chat.completions.stream({
      model: 'sandbox',
      messages: said('Rain?'),
      tools: [{ type: 'function', function: { name: 'get_weather', parameters: weather } }],
    })
    let pieces = 0
    stream.on('tool_calls.function.arguments.delta', () => pieces++)
    const completion = await stream.finalChatCompletion()
    const call = completion.choices[0]!.message.tool_calls![0]!
    assert.ok(call.type === 'function')
    assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ['get_weather', forecast])
    assert.ok(pieces > 3)
  })

  test('the library runs tools to the end of the conversation', async () => {
    const heard: unknown[] = []
    const hear = (input: object) => {
      heard.push(input)
      return 'wet'
    }
    const runner = openai.chat.completions.runTools({
      model: 'sandbox',
      messages: said('Rain?'),
      tools: [
        {
          type: 'function',
          function: { name: 'w', description: '', parameters: weather, parse: JSON.parse, function: hear },
        },
      ],
    })
    assert.equal(await runner.finalContent(), 'The tool said: wet')
    assert.deepEqual(heard, [forecast])
  })

  test('answers in the JSON schema asked for', async () => {
    const completion = await openai.chat.completions.parse({
      model: 'sandbox',
      messages: said('Rain?'),
      response_format: { type: 'json_schema', json_schema: { name: 'weather', schema: weather } },
    })
    assert.deepEqual(JSON.parse(completion.choices[0]!.message.content!), forecast)
  })

  test('lists and shows its models', async () => {
    const ids = (await Array.fromAsync(openai.models.list())).map((model) => model.id)
    assert.deepEqual(ids, ['sandbox', 'sandbox-429', 'sandbox-500', 'sandbox-slow', 'sandbox-cut'])
    assert.equal((await openai.models.retrieve('sandbox-x')).id, 'sandbox-x')
    await assert.rejects(openai.models.retrieve('gpt-x'), openaiErrors.NotFoundError)
  })

  test('misbehaves on request', async () => {
    const ask = (model: string) => openai.chat.completions.create({ model, messages: said('x') })
    await assert.rejects(ask('sandbox-429'), (error) => {
      assert.ok(error instanceof openaiErrors.RateLimitError)
      assert.deepEqual(
        [error.code, error.type, error.headers.get('retry-after'), error.headers.get('x-ratelimit-remaining-requests')],
        ['rate_limit_exceeded', 'requests', '1', '0'],
      )
      return true
    })
    await assert.rejects(ask('sandbox-500'), (error) => error instanceof openaiErrors.InternalServerError && error.type === 'server_error')
    await assert.rejects(ask('sandbox-cut'))
    await assert.rejects(ask('other'), (error) => error instanceof openaiErrors.NotFoundError && error.code === 'model_not_found')
    assert.equal((await ask('sandbox-slow-5')).choices[0]!.message.content, 'You said: x')
  })

  test('sandbox-cut breaks a stream off after some chunks', async () => {
    let chunks = 0
    await assert.rejects(async () => {
      for await (const _ of await openai.chat.completions.create({ model: 'sandbox-cut', stream: true, messages: said('a b c d e f') })) chunks++
    })
    assert.ok(chunks > 2)
  })
})

describe('anthropic', () => {
  const create = (more: Partial<Anthropic.MessageCreateParamsNonStreaming>) =>
    anthropic.messages.create({ model: 'sandbox', max_tokens: 64, messages: said('Hello'), ...more })

  test('echoes the text blocks of the last user message and counts tokens', async () => {
    const message = await create({
      system: 'four',
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Hello' },
            { type: 'text', text: 'there' },
          ],
        },
      ],
    })
    assert.deepEqual(message.content, [{ type: 'text', text: 'You said: Hello\nthere' }])
    assert.deepEqual([message.stop_reason, message.usage.input_tokens, message.usage.output_tokens], ['end_turn', 4, 6])
    assert.match(message._request_id!, /^req_/)
    assert.deepEqual({ ...(await anthropic.messages.countTokens({ model: 'sandbox', system: 'four', messages: said('Hello') })) }, { input_tokens: 3 })
  })

  test('streams every event of a message', async () => {
    const events = await Array.fromAsync(await anthropic.messages.create({ model: 'sandbox', max_tokens: 64, stream: true, messages: said('one two') }))
    const types = events.map((event) => event.type)
    assert.deepEqual(types, [
      'message_start',
      'content_block_start',
      ...Array(4).fill('content_block_delta'),
      'content_block_stop',
      'message_delta',
      'message_stop',
    ])
    const { text } = await post('/v1/messages?beta=true', JSON.stringify({ model: 'sandbox', max_tokens: 1, stream: true, messages: said('x') }))
    assert.ok(text.includes('event: ping\ndata: {"type":"ping"}\n\n'))

    const stream = anthropic.messages.stream({ model: 'sandbox', max_tokens: 64, messages: said('one two') })
    const message = await stream.finalMessage()
    assert.equal(await stream.finalText(), 'You said: one two')
    assert.deepEqual([message.stop_reason, message.usage.input_tokens, message.usage.output_tokens], ['end_turn', 2, 5])
  })

  test('calls the first tool with a schema, plain and streamed, then reports what it said', async () => {
    const tools: Anthropic.ToolUnion[] = [
      { type: 'web_search_20250305', name: 'web_search' },
      { name: 'get_weather', input_schema: weather },
    ]
    const plain = await create({ tools })
    const streamed = await anthropic.messages.stream({ model: 'sandbox', max_tokens: 64, messages: said('Hello'), tools }).finalMessage()
    for (const message of [plain, streamed]) {
      const [block] = message.content
      assert.ok(block?.type === 'tool_use' && message.content.length === 1)
      assert.deepEqual([message.stop_reason, block.name, block.input], ['tool_use', 'get_weather', forecast])
    }
    const [block] = plain.content
    assert.ok(block?.type === 'tool_use')
    const result = { type: 'tool_result' as const, tool_use_id: block.id, content: [{ type: 'text' as const, text: 'wet' }] }
    const next = await create({ tools, messages: [...said('Rain?'), { role: 'assistant', content: plain.content }, { role: 'user', content: [result] }] })
    assert.deepEqual(next.content, [{ type: 'text', text: 'The tool said: wet' }])
    assert.deepEqual((await create({ tools, tool_choice: { type: 'none' } })).content, [{ type: 'text', text: 'You said: Hello' }])
  })

  test('takes a batch, every call of which it reads', async () => {
    const params = { model: 'sandbox', max_tokens: 9, messages: said('x') }
    const batch = await anthropic.messages.batches.create({
      requests: [
        { custom_id: 'a', params },
        { custom_id: 'b', params },
      ],
    })
    assert.deepEqual([batch.processing_status, batch.request_counts.processing, batch.id.startsWith('msgbatch_')], ['in_progress', 2, true])
    await assert.rejects(
      anthropic.messages.batches.create({ requests: [{ custom_id: 'a', params: { ...params, max_tokens: 0 } }] }),
      anthropicErrors.BadRequestError,
    )
  })

  test('lists its models', async () => {
    assert.equal((await Array.fromAsync(anthropic.models.list()))[0]!.id, 'sandbox')
    assert.equal((await anthropic.models.retrieve('sandbox')).type, 'model')
  })

  test('misbehaves on request', async () => {
    await assert.rejects(create({ model: 'sandbox-429' }), (error) => {
      assert.ok(error instanceof anthropicErrors.RateLimitError)
      assert.deepEqual(
        [error.type, error.headers.get('retry-after'), error.headers.get('anthropic-ratelimit-requests-remaining')],
        ['rate_limit_error', '1', '0'],
      )
      assert.equal((error.error as { request_id: string }).request_id, error.requestID)
      return true
    })
    await assert.rejects(create({ model: 'sandbox-500' }), (error) => error instanceof anthropicErrors.InternalServerError && error.type === 'api_error')
    await assert.rejects(create({ model: 'sandbox-cut' }))
    await assert.rejects(create({ model: 'other' }), (error) => error instanceof anthropicErrors.NotFoundError && error.type === 'not_found_error')
    await assert.rejects(anthropic.messages.countTokens({ model: 'sandbox-429', messages: said('x') }), anthropicErrors.RateLimitError)
    let events = 0
    await assert.rejects(async () => {
      for await (const _ of await anthropic.messages.create({ model: 'sandbox-cut', max_tokens: 9, stream: true, messages: said('a b c d e f') })) events++
    })
    assert.ok(events > 2)
  })
})

describe('the wire', () => {
  test('malformed and incomplete bodies are a 400 that never quotes them', async () => {
    const secret = 'my-secret-words'
    for (const body of [
      `{"model": ${secret}`,
      '',
      'null',
      '[]',
      `{"model":"sandbox","messages":"${secret}"}`,
      `{"model":7,"messages":[{"${secret}":1}]}`,
      '{"model":"sandbox","messages":[null]}',
    ]) {
      const chat = await post('/v1/chat/completions', body)
      assert.deepEqual([chat.response.status, JSON.parse(chat.text).error.type], [400, 'invalid_request_error'])
      const messages = await post('/v1/messages', body)
      assert.deepEqual(
        [messages.response.status, JSON.parse(messages.text).type, JSON.parse(messages.text).error.type],
        [400, 'error', 'invalid_request_error'],
      )
      assert.ok(!(chat.text + messages.text).includes(secret))
    }
    const { text } = await post('/v1/messages', JSON.stringify({ model: 'sandbox', messages: said('x') }))
    assert.match(JSON.parse(text).error.message, /^max_tokens/)
  })

  test('unknown paths and methods are a 404 in the shape of the client that asks', async () => {
    const plain = await post('/v1/nothing', '{}')
    assert.deepEqual([plain.response.status, JSON.parse(plain.text).error.type], [404, 'invalid_request_error'])
    const versioned = await post('/v1/nothing', '{}', { 'anthropic-version': '2023-06-01' })
    assert.deepEqual([versioned.response.status, JSON.parse(versioned.text).error.type], [404, 'not_found_error'])
    const got = await fetch(`${sandbox.origin}/v1/messages`)
    assert.deepEqual([got.status, ((await got.json()) as { error: { type: string } }).error.type], [404, 'not_found_error'])
  })

  test('a body over the bound is refused before it is sent', async () => {
    const status = await new Promise<number>((resolve, reject) => {
      const req = request(`${sandbox.origin}/v1/messages`, { method: 'POST', headers: { 'content-length': 65 * 1024 * 1024 } }, (res) => {
        resolve(res.statusCode!)
        req.destroy()
      })
      req.on('error', reject)
      req.flushHeaders()
    })
    assert.equal(status, 413)
  })

  test('schemas that refer to themselves, and huge ones, end', async () => {
    const loop = {
      $ref: '#/$defs/Loop',
      $defs: { Loop: { type: 'object', properties: { a: { $ref: '#/$defs/Loop' }, b: { $ref: '#/$defs/Loop' } }, required: ['a', 'b'] } },
    }
    const many = { type: 'object', properties: { list: { type: 'array', minItems: 1e9, items: { type: 'string', minLength: 1e9 } } }, required: ['list'] }
    for (const parameters of [loop, many]) {
      const { text, response } = await post(
        '/v1/chat/completions',
        JSON.stringify({ model: 'sandbox', messages: said('x'), tools: [{ type: 'function', function: { name: 'f', parameters } }] }),
      )
      assert.equal(response.status, 200)
      assert.ok(text.length < 4_000_000)
    }
  })

  test('a long text is streamed whole, in a bounded number of pieces', async () => {
    const long = 'word '.repeat(100_000)
    const chunks = await Array.fromAsync(await openai.chat.completions.create({ model: 'sandbox', stream: true, messages: said(long) }))
    assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''), `You said: ${long}`)
    assert.ok(chunks.length < 2100)
  })

  test('a client that leaves while the model thinks leaves nothing behind, and closing does not wait for anyone', async () => {
    const other = await createSandbox()
    const client = new OpenAI({ baseURL: `${other.origin}/v1`, apiKey: 'unused', maxRetries: 0 })
    const leave = new AbortController()
    const left = client.chat.completions.create({ model: 'sandbox-slow-600000', messages: said('x') }, { signal: leave.signal })
    setImmediate(() => leave.abort())
    await assert.rejects(left)
    const waiting = client.chat.completions.create({ model: 'sandbox-slow-600000', messages: said('x') })
    const failed = assert.rejects(waiting)
    await client.models.list()
    await other.close()
    await failed
    await assert.rejects(fetch(other.origin))
  })

  test('an Azure path is OpenAI’s, and its deployment is the model', async () => {
    const body = JSON.stringify({ model: 'gpt-other', messages: said('x') })
    for (const path of ['/openai/deployments/sandbox-mine/chat/completions?api-version=2024-10-21', '/openai/v1/chat/completions']) {
      const { response, text } = await post(path, body)
      assert.deepEqual([response.status, JSON.parse(text).model], path.includes('mine') ? [200, 'sandbox-mine'] : [404, undefined])
    }
    const listed = (await (await fetch(`${sandbox.origin}/openai/models?api-version=2024-10-21`)).json()) as { object: string }
    assert.equal(listed.object, 'list')
  })

  test('a path that is not valid UTF-8 once decoded is no model', async () => {
    assert.equal((await fetch(`${sandbox.origin}/v1/models/%ff`)).status, 404)
    assert.equal((await post('/openai/deployments/%ff/chat/completions', JSON.stringify({ messages: said('x') }))).response.status, 404)
    assert.equal((await post('/v1beta/models/%ff:generateContent', JSON.stringify({ contents: [{}] }))).response.status, 404)
  })

  test('plays every dialect that Earthflow reads', () => assert.deepEqual([...sandboxDialects].sort(), formats.map(({ name }) => name).sort()))
})
