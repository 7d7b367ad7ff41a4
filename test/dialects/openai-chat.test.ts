import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createJsonReader } from '../../src/dialects/bodies/json-reader.ts'
import { CHANNELS_PER_CHOICE, NOTHING_CLOSED, UnreadableCall } from '../../src/dialects/dialect.ts'
import { openaiChat as dialect } from '../../src/dialects/openai/openai-chat.ts'
import { Failure, Refusal } from '../../src/errors.ts'
import { everyPlace } from './every-place.ts'
import { args, assistant, lengthened, opaque, other, plain, readCall, readEvent, sealed, system, thinking, toolName, toolResult, user } from './places.ts'
import { ends } from './reply-ends.ts'

const bodies = {
  'all roles, content as strings': {
    model: 'gpt-4o',
    stream: true,
    n: 2,
    messages: [
      { role: 'system', content: system('Be kind.'), name: 'sys' },
      { role: 'developer', content: system('Be brief.') },
      { role: 'user', content: user('Hello'), name: 'ann' },
      { role: 'assistant', content: assistant('Hi'), refusal: assistant('No.'), name: 'bot', reasoning_content: thinking('Hm.'), audio: { id: 'audio_1' } },
      {
        role: 'assistant',
        content: null,
        reasoning: thinking('So.'),
        reasoning_details: [
          { type: 'reasoning.text', text: thinking('Then'), signature: sealed('c2ln') },
          { type: 'reasoning.encrypted', data: sealed('QUJD'), id: 'rs_1', format: 'f' },
          { type: 'reasoning.encrypted', data: other('536-90-4399'), signature: other('short') },
          { type: 'reasoning.summary', summary: thinking('Short') },
        ],
        tool_calls: [
          {
            id: 'call_1',
            type: 'function',
            function: { name: toolName('lookup'), arguments: args('{"ssn":"1"}') },
            extra_content: { google: { thought_signature: sealed('Z29v') } },
          },
          { id: 'call_2', type: 'custom', custom: { name: toolName('run'), input: args('ls -l') } },
        ],
      },
      { role: 'tool', tool_call_id: 'call_1', content: toolResult('found') },
      { role: 'tool', tool_call_id: 'call_2', content: [{ type: 'text', text: toolResult('listed') }] },
      { role: 'assistant', function_call: { name: toolName('old'), arguments: args('{}') } },
      { role: 'function', name: toolName('old'), content: toolResult('legacy') },
      { role: 'guest', content: user('whoever this is') },
    ],
  },
  'content as parts': {
    model: 'gpt-4o',
    messages: [
      {
        role: 'system',
        content: [
          { type: 'text', text: system('One'), cache_control: { type: 'ephemeral' } },
          { type: 'text', text: system('Two') },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'text', text: user('Look:') },
          { type: 'image_url', image_url: { url: opaque('data:image/png;base64,iVBORw0KGgo='), detail: 'high' } },
          { type: 'image_url', image_url: { url: other('https://example.com/a.png?q=secret') } },
          { type: 'image_url', image_url: { url: other('data:text/plain;base64,SGVsbG8=') } },
          { type: 'image_url', image_url: { url: other('data:image/svg+xml;base64,PHN2Zz4=') } },
          { type: 'image_url', image_url: { url: other('data:image/png,not base64 at all') } },
          { type: 'image_url', image_url: { url: other('data:image/png;base64,this is a prompt') } },
          { type: 'input_audio', input_audio: { data: opaque('UklGRg=='), format: 'wav' } },
          { type: 'file', file: { file_data: opaque('data:application/pdf;base64,JVBERi0='), filename: other('plan.pdf') } },
          { type: 'file', file: { file_data: opaque('JVBERi0'), file_id: 'file_1' } },
          { type: 'file', file: { file_data: other('536-90-4399') } },
          { type: 'input_audio', input_audio: { data: other('4111111111111111') } },
          { type: 'image_url', image_url: { url: other('data:image/png;base64,536-90-4399') } },
          { type: 'video_url', video_url: { url: opaque('data:video/mp4;codecs=avc1;base64,AAAA') } },
          user('a bare part'),
        ],
      },
      {
        role: 'assistant',
        content: [
          { type: 'text', text: assistant('I see') },
          { type: 'refusal', refusal: assistant('but no') },
          { type: 'thinking', thinking: [{ type: thinking('text'), text: thinking('deep') }] },
        ],
      },
    ],
  },
  'tools and settings': {
    messages: [{ role: 'user', content: user('Go') }],
    model: 'gpt-4o',
    tools: [
      {
        type: 'function',
        function: {
          name: toolName('weather'),
          description: other('Tells the weather'),
          strict: true,
          parameters: {
            type: 'object',
            title: other('Query'),
            properties: {
              name: { type: 'string', description: other('The name of a town'), enum: ['Oslo', 'Rome'], default: other('Oslo'), examples: [other('Bergen')] },
              description: { type: 'string', const: 'fixed', pattern: '^a+$' },
              x_list: { type: 'array', items: { anyOf: [{ $ref: '#/$defs/item' }, { type: ['string', 'null'] }] } },
            },
            $defs: { name: { type: 'string', $comment: other('why') } },
            required: ['name'],
          },
        },
      },
      {
        type: 'custom',
        custom: {
          name: toolName('shell'),
          description: other('Runs'),
          format: { type: 'grammar', grammar: { syntax: 'lark', definition: other('start: "a"') } },
        },
      },
    ],
    functions: [{ name: toolName('legacy'), description: other('Old'), parameters: { type: 'object' } }],
    tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [{ type: 'function', function: { name: toolName('weather') } }] } },
    function_call: { name: toolName('legacy') },
    response_format: {
      type: 'json_schema',
      json_schema: {
        name: 'answer',
        description: other('The answer'),
        schema: { type: 'object', properties: { text: { type: 'string', description: other('It') } } },
      },
    },
    prediction: { type: 'content', content: [{ type: other('text'), text: other('I predict') }] },
    metadata: { user_id: other('u-17'), text: other('free') },
    user: other('ann@example.com'),
    stop: [other('END'), other('STOP')],
    service_tier: 'auto',
    reasoning_effort: 'low',
    verbosity: 'low',
    modalities: ['text', 'audio'],
    audio: { voice: 'alloy', format: 'wav' },
    prompt_cache_key: 'cache-1',
    web_search_options: { user_location: { type: other('approximate'), approximate: { city: other('Oslo') } } },
    safety_identifier: other('s-1'),
    logit_bias: { x_50256: -100 },
    x_unknown: { x_inner: [other('anything'), { text: other('goes') }] },
  },
}
const replies = {
  'text, refusal, reasoning, tools, audio': {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    model: 'gpt-4o',
    service_tier: 'default',
    system_fingerprint: 'fp',
    choices: [
      { index: 0, finish_reason: 'stop', message: { role: 'assistant', content: assistant('Hello'), refusal: null, reasoning_content: thinking('Hm') } },
      {
        index: 1,
        finish_reason: 'tool_calls',
        message: {
          role: 'assistant',
          content: [{ type: 'text', text: assistant('parts') }],
          refusal: assistant('No'),
          reasoning: thinking('So'),
          tool_calls: [
            { id: 'c', type: 'function', function: { name: toolName('f'), arguments: args('{}') } },
            { id: 'd', type: 'custom', custom: { name: toolName('g'), input: args('x') } },
          ],
          function_call: { name: toolName('h'), arguments: args('{"a":1}') },
          audio: { id: 'audio', data: opaque('UklG'), transcript: assistant('spoken') },
          annotations: [{ type: other('url_citation'), url_citation: { url: other('https://x'), title: other('X') } }],
        },
      },
    ],
    usage: { prompt_tokens: 1, completion_tokens: 2 },
  },
}

everyPlace(dialect, bodies, replies)

test('the prompt is the texts of the messages in conversation order, each part on its own', () => {
  const prompt = (table: object): string[] => readCall(dialect, JSON.stringify(plain(table).body)).prompt.split('\n')
  assert.deepEqual(prompt(bodies['all roles, content as strings']), [
    'Be kind.',
    'Be brief.',
    'Hello',
    'Hi',
    'No.',
    'found',
    'listed',
    'legacy',
    'whoever this is',
  ])
  assert.deepEqual(prompt(bodies['content as parts']), ['One', 'Two', 'Look:', 'a bare part', 'I see', 'but no'])
  assert.deepEqual(prompt(bodies['tools and settings']), ['Go'])
  assert.equal(readCall(dialect, '{"messages":[{"content":"Hello","role":"user"}],"model":"m"}').prompt, 'Hello')
  assert.equal(
    readCall(
      dialect,
      '{"model":"m","messages":[{"role":"system","content":""},{"role":"user","content":[{"type":"text","text":""},{"type":"text","text":"x"}]}]}',
    ).prompt,
    '\n\nx',
  )
})

test('reads the model and whether the reply is streamed, also through escapes', () => {
  const { models, streaming } = readCall(dialect, '{"mod\\u0065l":"gpt\\u002d4o","m\\u0065ssages":[],"stream":true}')
  assert.deepEqual({ models, streaming }, { models: ['gpt-4o'], streaming: true })
  for (const rest of ['', ',"stream":false', ',"stream":null']) assert.equal(readCall(dialect, `{"model":"m","messages":[]${rest}}`).streaming, false)
})

test('refuses a body that lacks what it depends on, and names the member', () => {
  const cases: [body: string, param: string][] = [
    ['[]', ''],
    ['"text"', ''],
    ['{}', 'model'],
    ['{"model":"","messages":[]}', 'model'],
    ['{"model":7,"messages":[]}', 'model'],
    ['{"model":null,"messages":[]}', 'model'],
    ['{"model":["secret"],"messages":[]}', 'model'],
    ['{"model":"m"}', 'messages'],
    ['{"model":"m","messages":"secret"}', 'messages'],
    ['{"model":"m","messages":{"0":{}}}', 'messages'],
    ['{"model":"m","messages":[{},"secret"]}', 'messages[1]'],
    ['{"model":"m","messages":[[]]}', 'messages[0]'],
    ['{"model":"m","messages":[],"stream":"true"}', 'stream'],
    ['{"model":"m","messages":[],"stream":1}', 'stream'],
  ]
  for (const [body, param] of cases) {
    assert.throws(
      () => readCall(dialect, body),
      (error: Error) => error instanceof UnreadableCall && error.param === param && !error.message.includes('secret'),
      body,
    )
  }
})

test('an event gives each text a channel of its own: by choice, by kind, by tool call', () => {
  const chunk = (choices: unknown[]) => readEvent(dialect, { id: 'x', object: 'chat.completion.chunk', choices })
  const base = 2 * CHANNELS_PER_CHOICE
  const { pieces, closed } = chunk([
    {
      index: 2,
      delta: {
        role: 'assistant',
        content: 'a',
        refusal: 'b',
        reasoning_content: 'c',
        reasoning: 'd',
        audio: { transcript: 'e', data: lengthened('QUJD') },
        function_call: { name: 'n', arguments: 'f' },
        reasoning_details: [{ type: 'reasoning.text', text: 'g' }],
        tool_calls: [
          { index: 0, id: 'i', function: { name: 'n', arguments: 'h' } },
          { index: 3, type: 'custom', custom: { name: 'n', input: 'i' } },
        ],
      },
      finish_reason: null,
    },
    { delta: { content: 'j', refusal: null }, finish_reason: null },
  ])
  assert.equal(closed, NOTHING_CLOSED)
  assert.deepEqual(pieces, [
    [base, 'assistant', 'a'],
    [base + 1, 'assistant', 'b'],
    [base + 2, 'thinking', 'c'],
    [base + 3, 'thinking', 'd'],
    [base + 4, 'assistant', 'e'],
    [0, 'opaque', lengthened('QUJD')],
    [base + 5, 'tool_arguments', 'f'],
    [base + 6, 'thinking', 'g'],
    [base + 8, 'tool_arguments', 'h'],
    [base + 11, 'tool_arguments', 'i'],
    [0, 'assistant', 'j'],
  ])
  assert.deepEqual(chunk([{ index: 1, delta: { content: [{ type: 'text', text: 'k' }] }, finish_reason: null }]).pieces, [
    [CHANNELS_PER_CHOICE, 'assistant', 'k'],
  ])
})

test('finish_reason closes its choice, and nothing else does', () => {
  const closedBy = (event: unknown): number => readEvent(dialect, event).closed
  assert.equal(closedBy({ choices: [{ index: 3, delta: {}, finish_reason: 'stop' }] }), 3)
  assert.equal(closedBy({ choices: [{ index: 0, delta: { content: 'last' }, finish_reason: 'content_filter' }] }), 0)
  for (const open of [{ choices: [] }, {}, { choices: [{ index: 0, delta: { content: 'x' } }] }, { choices: null }, { error: { message: 'x' } }])
    assert.equal(closedBy(open), NOTHING_CLOSED)
})

test('tool calls without an index are told apart by their place in the event', () => {
  const call = (text: string) => ({ function: { name: 'f', arguments: text } })
  const { pieces } = readEvent(dialect, { choices: [{ index: 0, delta: { tool_calls: [call('a'), call('b')] } }] })
  assert.deepEqual(pieces, [
    [8, 'tool_arguments', 'a'],
    [9, 'tool_arguments', 'b'],
  ])
})

test('an index beyond the channels, or that is no index, makes the reply unreadable instead of mixing texts', () => {
  const tool = (index: unknown) => ({ choices: [{ index: 0, delta: { tool_calls: [{ index, function: { arguments: 'x' } }] } }] })
  const choice = (index: unknown) => ({ choices: [{ index, delta: { content: 'x' } }] })
  assert.equal(readEvent(dialect, tool(247)).pieces[0][0], CHANNELS_PER_CHOICE - 1)
  for (const event of [tool(248), tool(-1), tool(1.5), tool('1'), tool(1e300), choice(-1), choice(1 << 16), choice('0'), choice(0.5), choice(true)]) {
    assert.throws(
      () => readEvent(dialect, event),
      (error: Error) => error instanceof Failure && error.reason === 'reply_unreadable',
    )
  }
})

test('what tells a choice’s text once more in tokens is visited, each value whole; null, and the same names elsewhere, are not', () => {
  const visited = (body: unknown): string[] => {
    const json = createJsonReader()(Buffer.from(JSON.stringify(body)))
    const found: string[] = []
    dialect.eachRepeat(json, (node) => found.push(json.bytes.toString('utf8', json.tape[node], json.tape[node + 1])))
    return found
  }
  const choices = [
    { logprobs: { content: [{ token: '}' }] }, token_ids: [1, 2], message: { logprobs: [3] } },
    { logprobs: null, token_ids: null },
    { token_ids: 4, delta: { token_ids: 5 } },
  ]
  assert.deepEqual(visited({ choices, logprobs: 6, data: { choices } }), ['{"content":[{"token":"}"}]}', '[1,2]', '4'])
  for (const body of [{}, [], { choices: null }, { choices: {} }, { choices: ['x', null] }]) assert.deepEqual(visited(body), [])
})

test('usage: from a plain reply, however large, and only from its own member', () => {
  const usage = {
    prompt_tokens: 12,
    completion_tokens: 34,
    total_tokens: 46,
    prompt_tokens_details: { cached_tokens: 5, cache_write_tokens: 2, audio_tokens: 1 },
    completion_tokens_details: { reasoning_tokens: 7, audio_tokens: 3 },
  }
  const counted = {
    input_tokens: 12,
    output_tokens: 34,
    cached_input_tokens: 5,
    cache_write_tokens: 2,
    audio_input_tokens: 1,
    reasoning_tokens: 7,
    audio_output_tokens: 3,
  }
  const reply = (content: string, members: object) => ends(JSON.stringify({ id: 'x', choices: [{ message: { content } }], ...members }))
  assert.deepEqual(dialect.readUsage(reply('Hi', { usage })), counted)
  assert.deepEqual(dialect.readUsage(reply('x"}]{\\'.repeat(5000), { usage, system_fingerprint: 'fp' })), counted)
  assert.deepEqual(dialect.readUsage(ends(JSON.stringify({ usage, choices: [{ message: { content: 'y'.repeat(9000) } }] }))), counted)
  assert.deepEqual(dialect.readUsage(`${ends(JSON.stringify({ choices: [], usage }, null, 2))}\n`), counted)
  assert.deepEqual(dialect.readUsage(reply('Hi', { usage: { prompt_tokens: 3 } })), { input_tokens: 3, output_tokens: 0 })
  const lie = '"usage":{"prompt_tokens":1000000,"completion_tokens":1}'
  for (const nothing of [
    reply(lie, {}),
    reply(`","usage":{"prompt_tokens":9}`, {}),
    reply('Hi', { usage: null }),
    reply('Hi', { usage: { prompt_tokens: -1, completion_tokens: 1.5 } }),
    reply('Hi', { usage: { prompt_tokens: 1e15 } }),
    reply('Hi', { usage: { prompt_tokens: '12' } }),
    reply('Hi', { metadata: { usage } }),
    ends(JSON.stringify({ choices: [{ usage }] })),
    '',
    '{',
    '{"usage":',
    'not json',
    '<html>"usage": {"prompt_tokens": 1}</html>',
  ]) {
    assert.equal(dialect.readUsage(nothing), null, nothing.slice(0, 80))
  }
  assert.deepEqual(dialect.readUsage(reply(lie, { usage })), counted)
})

test('usage: output is whole where a provider counts reasoning beside it, in the total only', () => {
  const usage = { prompt_tokens: 12, completion_tokens: 4, total_tokens: 23, completion_tokens_details: { reasoning_tokens: 7 } }
  assert.deepEqual(dialect.readUsage(JSON.stringify({ usage })), { input_tokens: 12, output_tokens: 11, reasoning_tokens: 7 })
  assert.equal(dialect.readUsage(JSON.stringify({ usage: { ...usage, total_tokens: 3 } }))?.output_tokens, 4, 'a total that is too small takes nothing away')
})

test('usage: from a stream the last count, null where no event has one', () => {
  const chunk = (members: object) => `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', ...members })}\n\n`
  const text = (content: string) => chunk({ choices: [{ index: 0, delta: { content } }], usage: null })
  const count = (prompt: number, completion: number) => chunk({ choices: [], usage: { prompt_tokens: prompt, completion_tokens: completion } })
  const lie = 'data: {"usage":{"prompt_tokens":666,"completion_tokens":666}}\n\n'
  const stream = (...events: string[]) => ends(`${events.join('')}data: [DONE]\n\n`)
  assert.deepEqual(dialect.readUsage(stream(text('a'), count(10, 20))), { input_tokens: 10, output_tokens: 20 })
  assert.deepEqual(dialect.readUsage(stream(count(10, 1), text(lie), count(10, 20), text(lie))), { input_tokens: 10, output_tokens: 20 })
  assert.deepEqual(dialect.readUsage(stream(...Array.from({ length: 400 }, (_, i) => text(`token ${i}`)), count(7, 400))), {
    input_tokens: 7,
    output_tokens: 400,
  })
  assert.deepEqual(dialect.readUsage(stream(text('a'), count(10, 20)).replaceAll('\n', '\r\n').replaceAll('data: ', 'data:')), {
    input_tokens: 10,
    output_tokens: 20,
  })
  assert.equal(dialect.readUsage(stream(text('a'), text(lie))), null)
  assert.equal(dialect.readUsage(stream(chunk({ choices: [{ delta: {}, usage: { prompt_tokens: 5 } }] }))), null)
  assert.equal(dialect.readUsage(': comment\n\ndata: {"usage":{"prompt_tok'), null)
})

test('a refusal is a page the OpenAI libraries read as the right error, and is not tried again unless that may help', () => {
  const page = (refusal: Refusal) => {
    const { status, headers, body } = dialect.vendor.refuse(refusal, 'req_1')
    const fields = Object.fromEntries(headers.flatMap((item, i) => (i % 2 === 0 ? [[item, headers[i + 1]]] : []))) as Record<string, string>
    assert.equal(fields['content-type'], 'application/json')
    const { error, ...rest } = JSON.parse(body) as { error: Record<string, unknown> }
    assert.deepEqual(rest, {})
    assert.deepEqual(Object.keys(error), ['message', 'type', 'param', 'code'])
    return { status, type: error.type, code: error.code, param: error.param, message: error.message, again: fields['x-should-retry'] ?? 'as usual' }
  }
  const cases: [refusal: Refusal, status: number, type: string, code: string, again: string][] = [
    [new Refusal('blocked_by_rule', 'm'), 403, 'invalid_request_error', 'content_policy_violation', 'false'],
    [new Refusal('cannot_redact', 'm'), 403, 'invalid_request_error', 'cannot_redact', 'false'],
    [new Refusal('approval_required', 'm'), 403, 'invalid_request_error', 'approval_required', 'false'],
    [new Refusal('model_not_allowed', 'm'), 403, 'permission_error', 'model_not_allowed', 'false'],
    [new Refusal('forbidden', 'm'), 403, 'permission_error', 'forbidden', 'false'],
    [new Refusal('unauthenticated', 'm'), 401, 'authentication_error', 'invalid_api_key', 'false'],
    [new Refusal('invalid_request', 'm'), 400, 'invalid_request_error', 'invalid_request', 'false'],
    [new Refusal('model_not_found', 'm'), 404, 'invalid_request_error', 'model_not_found', 'false'],
    [new Refusal('too_large', 'm'), 413, 'invalid_request_error', 'request_too_large', 'false'],
    [new Refusal('unsupported_media_type', 'm'), 415, 'invalid_request_error', 'unsupported_media_type', 'false'],
    [new Refusal('rate_limited', 'm', { headers: ['retry-after', '2'] }), 429, 'rate_limit_exceeded', 'rate_limit_exceeded', 'as usual'],
    [new Refusal('rate_limited', 'm', { headers: ['Retry-After', '61'] }), 429, 'rate_limit_exceeded', 'rate_limit_exceeded', 'false'],
    [new Refusal('rate_limited', 'm', { headers: ['retry-after', '90', 'x-should-retry', 'true'] }), 429, 'rate_limit_exceeded', 'rate_limit_exceeded', 'true'],
    [new Refusal('internal', 'm'), 500, 'server_error', 'internal_error', 'as usual'],
    [new Refusal('upstream_unreachable', 'm'), 502, 'server_error', 'upstream_unreachable', 'as usual'],
    [new Refusal('reply_unreadable', 'm'), 502, 'server_error', 'reply_unreadable', 'false'],
    [new Refusal('audit_unavailable', 'm'), 503, 'server_error', 'audit_unavailable', 'as usual'],
    [new Refusal('upstream_timeout', 'm'), 504, 'server_error', 'upstream_timeout', 'as usual'],
  ]
  for (const [refusal, status, type, code, again] of cases)
    assert.deepEqual(page(refusal), { status, type, code, param: null, message: 'm', again }, refusal.reason)
  assert.equal(page(new Refusal('invalid_request', 'm', { context: { param: 'messages[2]' } })).param, 'messages[2]')
  assert.equal(page(new Refusal('invalid_request', 'm', { context: { param: '' } })).param, null)
})

test('a stream is stopped by one data line with the error, whatever the message holds', () => {
  const event = dialect.stopStream({ refusal: new Refusal('blocked_by_rule', 'Stopped by\npolicy "x".'), requestId: 'req_1', soft: false, open: [0] })
  assert.match(event, /^data: [^\n]+\n\n$/)
  assert.deepEqual(JSON.parse(event.slice(6)), {
    error: { message: 'Stopped by\npolicy "x".', type: 'invalid_request_error', param: null, code: 'content_policy_violation' },
  })
})

test('a stream that is stopped softly ends every open choice as filtered, under the id it began with, and says that it is done', () => {
  const stop = (open: number[], ends?: string) =>
    dialect.stopStream({ refusal: new Refusal('blocked_by_rule', 'm'), requestId: 'req_1', soft: true, open, ends }).split('\n\n')
  const head = { id: 'chatcmpl-9', object: 'chat.completion.chunk', created: 99, model: 'gpt-4o' }
  const said = `data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta: { content: ',"id":"chatcmpl-666"' } }] })}\n\n`
  const last = (index: number) => `data: ${JSON.stringify({ ...head, choices: [{ index, delta: {}, logprobs: null, finish_reason: 'content_filter' }] })}`
  assert.deepEqual(stop([0, 2], said), [last(0), last(2), 'data: [DONE]', ''])
  assert.deepEqual(stop([], said), [last(0), 'data: [DONE]', ''])
  assert.deepEqual((JSON.parse(stop([])[0].slice(6)) as { id: string; model: string }).id, 'chatcmpl-stopped')
})

test("limits are told in OpenAI's headers, the reset as a duration", () => {
  const reset = (fullInMs: number) => dialect.vendor.limitHeaders({ requestsPerMinute: 60, remaining: 3, fullInMs, retryInMs: 0, tokens: null }, 0)
  assert.deepEqual(reset(1000), ['x-ratelimit-limit-requests', '60', 'x-ratelimit-remaining-requests', '3', 'x-ratelimit-reset-requests', '1s'])
  assert.deepEqual(
    [0, 0.2, 12, 999, 1500, 8640, 59_999, 60_000, 61_001, 360_000, 3_600_000].map((ms) => reset(ms)[5]),
    ['0s', '1ms', '12ms', '999ms', '1.5s', '8.64s', '59.999s', '1m0s', '1m2s', '6m0s', '60m0s'],
  )
})

test("the provider's own credential travels as a bearer token", () => {
  assert.deepEqual(dialect.vendor.credential('sk-1'), ['authorization', 'Bearer sk-1'])
  assert.deepEqual(dialect.vendor.credentialHeaders, ['authorization'])
  assert.equal(dialect.vendor.requestIdHeader, 'x-request-id')
})
