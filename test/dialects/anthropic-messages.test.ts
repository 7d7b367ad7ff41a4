import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anthropic as vendor } from '../../src/dialects/anthropic/anthropic.ts'
import { anthropicMessages as dialect } from '../../src/dialects/anthropic/anthropic-messages.ts'
import { createJsonReader } from '../../src/dialects/bodies/json-reader.ts'
import { CHANNELS_PER_CHOICE, NOTHING_CLOSED, UnreadableCall } from '../../src/dialects/dialect.ts'
import { Failure, Refusal } from '../../src/errors.ts'
import { everyPlace } from './every-place.ts'
import { args, assistant, lengthened, opaque, other, plain, readCall, readEvent, sealed, system, thinking, toolName, toolResult, user } from './places.ts'
import { ends } from './reply-ends.ts'

const cipher = lengthened('RW5j')

const cached = { type: 'ephemeral', ttl: '1h' }
const bodies = {
  'strings, and the system last': {
    model: 'claude-sonnet-4-5',
    messages: [
      { role: 'user', content: user('Hello') },
      { role: 'assistant', content: assistant('Hi') },
      { role: 'system', content: system('Later rule') },
    ],
    system: system('Be kind.'),
  },
  'blocks of a conversation': {
    model: 'claude-sonnet-4-5',
    max_tokens: 100,
    system: [
      { type: 'text', text: system('One'), cache_control: cached },
      { type: 'text', text: system('Two') },
    ],
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: user('Look:'), cache_control: cached, citations: null },
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: opaque('iVBORw0KGgo=') } },
          { type: 'image', source: { type: 'url', url: other('https://example.com/x.png') } },
          { type: 'image', source: { type: 'file', file_id: 'file_1' } },
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: other('this is a prompt') } },
          {
            type: 'document',
            source: { type: 'base64', media_type: 'application/pdf', data: opaque('JVBERi0=') },
            title: user('The plan'),
            context: user('Background'),
          },
          { type: 'document', source: { type: 'base64', media_type: 'text/plain', data: other('SGVsbG8=') }, citations: { enabled: true } },
          { type: 'document', source: { type: 'text', media_type: 'text/plain', data: user('plain text') } },
          { type: 'document', source: { type: 'content', content: user('as a string') } },
          {
            type: 'document',
            source: {
              type: 'content',
              content: [
                { type: 'text', text: user('a block') },
                { type: 'image', source: { type: 'base64', media_type: 'image/webp', data: opaque('AAAA') } },
              ],
            },
          },
          { type: 'document', source: { type: 'url', url: other('https://example.com/a.pdf') } },
          {
            type: 'search_result',
            source: other('https://wiki/page'),
            title: user('Page'),
            content: [{ type: 'text', text: user('found text') }],
            citations: { enabled: true },
          },
          { type: 'container_upload', file_id: 'file_2' },
          user('a bare block'),
        ],
      },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: thinking('Hm.'), signature: sealed('c2lnbmF0dXJl') },
          { type: 'redacted_thinking', data: sealed('ZW5jcnlwdGVk') },
          { type: 'thinking', thinking: thinking('Hm.'), signature: other('536-90-4399') },
          { type: 'redacted_thinking', data: other('536-90-4399') },
          { type: 'text', signature: other(cipher), data: other(cipher), encrypted_content: other(cipher) },
          {
            type: 'text',
            text: assistant('I see'),
            citations: [
              { type: 'char_location', cited_text: other('the source'), document_title: other('Plan'), document_index: 0, file_id: 'file_1' },
              { type: 'web_search_result_location', cited_text: other('web'), url: other('https://x'), title: other('X'), encrypted_index: sealed('RXph') },
            ],
          },
          {
            type: 'tool_use',
            id: 'toolu_1',
            name: toolName('lookup'),
            input: { text: args('123'), x_deep: [{ content: args('here'), type: args('enum'), name: args('ann') }], n: 1 },
            caller: { type: 'direct' },
          },
          { type: 'server_tool_use', id: 'srvtoolu_1', name: toolName('web_search'), input: { x_query: args('find it') } },
          {
            type: 'web_search_tool_result',
            tool_use_id: 'srvtoolu_1',
            content: [
              { type: 'web_search_result', title: toolResult('Result'), url: other('https://y'), encrypted_content: sealed('RW5j'), page_age: other('1 day') },
            ],
          },
          { type: 'web_search_tool_result', tool_use_id: 'srvtoolu_2', content: { type: 'web_search_tool_result_error', error_code: 'max_uses_exceeded' } },
          {
            type: 'web_fetch_tool_result',
            tool_use_id: 'srvtoolu_3',
            content: {
              type: 'web_fetch_result',
              url: other('https://z'),
              retrieved_at: other('2026-01-01'),
              content: { type: 'document', title: toolResult('Z'), source: { type: 'text', media_type: 'text/plain', data: toolResult('fetched') } },
            },
          },
          {
            type: 'code_execution_tool_result',
            tool_use_id: 'srvtoolu_4',
            content: {
              type: 'code_execution_result',
              stdout: toolResult('out'),
              stderr: toolResult('err'),
              return_code: 0,
              content: [{ type: 'code_execution_output', file_id: 'file_3' }],
            },
          },
          {
            type: 'code_execution_tool_result',
            tool_use_id: 'srvtoolu_5',
            content: { type: 'encrypted_code_execution_result', encrypted_stdout: sealed('T3V0'), stderr: toolResult('e') },
          },
          {
            type: 'text_editor_code_execution_tool_result',
            tool_use_id: 'srvtoolu_6',
            content: { type: 'text_editor_code_execution_str_replace_result', lines: [toolResult('-old'), toolResult('+new')] },
          },
          {
            type: 'tool_search_tool_result',
            tool_use_id: 'srvtoolu_7',
            content: { type: 'tool_search_tool_search_result', tool_references: [{ type: 'tool_reference', tool_name: toolName('weather') }] },
          },
          { type: 'mcp_tool_use', id: 'mcptoolu_1', name: toolName('query'), server_name: 'crm', input: { x_q: args('all') } },
          { type: 'mcp_tool_result', tool_use_id: 'mcptoolu_1', is_error: false, content: [{ type: 'text', text: toolResult('row') }] },
          { type: 'compaction', content: assistant('What happened so far') },
          { type: 'not_known_yet', text: assistant('new'), x_payload: { text: other('deep') } },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'toolu_1', content: toolResult('111-22-3333'), is_error: false },
          {
            type: 'tool_result',
            tool_use_id: 'toolu_2',
            content: [
              { type: 'text', text: toolResult('part') },
              { type: 'image', source: { type: 'base64', media_type: 'image/jpeg', data: opaque('/9j/4AA=') } },
              { type: 'document', source: { type: 'text', media_type: 'text/plain', data: toolResult('inside') } },
              { type: 'tool_reference', tool_name: toolName('weather') },
            ],
          },
          { type: 'tool_result', tool_use_id: 'toolu_3' },
        ],
      },
    ],
  },
  'tools and settings': {
    messages: [{ role: 'user', content: user('Go') }],
    model: 'claude-sonnet-4-5',
    stream: true,
    tools: [
      {
        name: toolName('weather'),
        description: other('Tells the weather'),
        input_schema: { type: 'object', properties: { x_city: { type: 'string', description: other('A city'), enum: ['Oslo'] } }, required: ['x_city'] },
        input_examples: [{ x_city: other('Oslo') }],
        cache_control: cached,
      },
      {
        type: 'web_search_20250305',
        name: toolName('web_search'),
        allowed_domains: ['example.com'],
        user_location: { type: other('approximate'), city: other('Oslo') },
      },
      { type: 'custom', name: toolName('c'), input_schema: { type: 'object' }, allowed_callers: ['direct'] },
    ],
    tool_choice: { type: 'tool', name: toolName('weather') },
    metadata: { user_id: other('user_1') },
    stop_sequences: [other('END')],
    service_tier: 'auto',
    thinking: { type: 'enabled', budget_tokens: 1024 },
    output_config: {
      effort: 'low',
      format: { type: 'json_schema', schema: { type: 'object', properties: { text: { type: 'string', description: other('It') } } } },
    },
    output_format: { type: 'json_schema', schema: { type: 'object' } },
    mcp_servers: [{ type: other('url'), url: other('https://mcp'), name: other('crm'), authorization_token: other('token') }],
    container: { id: other('container_1'), skills: [{ type: other('custom'), x_skill: other('pdf') }] },
    x_unknown: { x_inner: [other('anything')] },
  },
}

const replies = {
  'all blocks': {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'claude-sonnet-4-5',
    content: [
      { type: 'thinking', thinking: thinking('Hm.'), signature: sealed('c2ln') },
      { type: 'redacted_thinking', data: sealed('ZW5j') },
      { type: 'text', text: assistant('Hello'), citations: [{ type: 'page_location', cited_text: other('source') }] },
      { type: 'tool_use', id: 'toolu_1', name: toolName('f'), input: { usage: { input_tokens: 5, text: args('x') } } },
      {
        type: 'web_search_tool_result',
        tool_use_id: 's',
        content: [{ type: 'web_search_result', title: toolResult('T'), url: other('https://t'), encrypted_content: sealed('RW5j') }],
      },
    ],
    stop_reason: 'stop_sequence',
    stop_sequence: other('END'),
    usage: { input_tokens: 1, output_tokens: 2, service_tier: other('standard') },
  },
}

everyPlace(dialect, bodies, replies)

const batch = {
  requests: [
    { custom_id: 'one', params: bodies['strings, and the system last'] },
    { custom_id: 'two', params: { ...bodies['tools and settings'], stream: false, max_tokens: 5, model: 'claude-haiku-4-5' } },
    { custom_id: 'three', params: bodies['blocks of a conversation'] },
  ],
}
everyPlace(
  dialect,
  { 'a batch': batch },
  { 'a batch': { id: 'msgbatch_1', type: 'message_batch', processing_status: 'in_progress', results_url: null } },
  '/v1/messages/batches',
)

test('a batch is read call by call: every model, each conversation in order, and never as a stream', () => {
  const read = (requests: object[]) => readCall(dialect, JSON.stringify(plain({ requests }).body), '/v1/messages/batches')
  const { models, streaming, prompt } = read(batch.requests.slice(0, 2))
  assert.deepEqual([models, streaming, prompt], [['claude-sonnet-4-5', 'claude-haiku-4-5'], false, 'Be kind.\nHello\nHi\nLater rule\nGo'])
  const most = (...bounds: (number | null)[]) => {
    const requests = bounds.map((max_tokens) => ({ custom_id: 'x', params: { model: 'm', messages: [], max_tokens } }))
    return dialect.readCall(createJsonReader()(Buffer.from(JSON.stringify({ requests }))), () => {}, '/v1/messages/batches', null).maxOutputTokens
  }
  assert.deepEqual([most(5, 7), most(5, null, 7), most(null)], [12, 12, null], 'one without a bound does not hide what the others may take')
  const cases: [requests: unknown, param: string][] = [
    [{}, 'requests'],
    [[null], 'requests[0].params'],
    [[{ custom_id: 'x' }], 'requests[0].params'],
    [[batch.requests[0], { params: { messages: [] } }], 'requests[1].params.model'],
    [[{ params: { model: 'm', messages: [1] } }], 'requests[0].params.messages[0]'],
  ]
  for (const [requests, param] of cases)
    assert.throws(
      () => read(requests as object[]),
      (error: Error) => error instanceof UnreadableCall && error.param === param,
      param,
    )
})

test('the prompt is the system first, wherever it stands, then the messages in order, each part on its own', () => {
  const prompt = (table: object): string[] => readCall(dialect, JSON.stringify(plain(table).body)).prompt.split('\n')
  assert.deepEqual(prompt(bodies['strings, and the system last']), ['Be kind.', 'Hello', 'Hi', 'Later rule'])
  assert.deepEqual(prompt(bodies['blocks of a conversation']), [
    ...['One', 'Two'],
    ...['Look:', 'The plan', 'Background', 'plain text', 'as a string', 'a block', 'Page', 'found text', 'a bare block'],
    ...['I see', 'Result', 'Z', 'fetched', 'out', 'err', 'e', '-old', '+new', 'row', 'What happened so far', 'new'],
    ...['111-22-3333', 'part', 'inside'],
  ])
  assert.deepEqual(prompt(bodies['tools and settings']), ['Go'])
  assert.equal(readCall(dialect, '{"messages":[{"content":"Hello","role":"user"}],"model":"m"}').prompt, 'Hello')
})

test('refuses a body that lacks what it depends on, and names the member; counting tokens needs the same', () => {
  assert.deepEqual(dialect.paths, ['/v1/messages', '/v1/messages/count_tokens', '/v1/messages/batches'])
  const cases: [body: string, param: string][] = [
    ['[]', ''],
    ['{"messages":[]}', 'model'],
    ['{"model":1,"messages":[]}', 'model'],
    ['{"model":"m","messages":{}}', 'messages'],
    ['{"model":"m","messages":[null]}', 'messages[0]'],
    ['{"model":"m","messages":[],"stream":"yes"}', 'stream'],
  ]
  for (const [body, param] of cases)
    assert.throws(
      () => readCall(dialect, body),
      (error: Error) => error instanceof UnreadableCall && error.param === param,
      body,
    )
  const { models, streaming } = readCall(dialect, '{"stream":true,"messages":[],"model":"m"}')
  assert.deepEqual({ models, streaming }, { models: ['m'], streaming: true })
})

test('an event gives each text of a block a channel of its own, and a stopped block is closed', () => {
  const delta = (index: number, fields: object) => readEvent(dialect, { type: 'content_block_delta', index, delta: fields })
  const base = 3 * CHANNELS_PER_CHOICE
  assert.deepEqual(delta(3, { type: 'text_delta', text: 'a' }), { pieces: [[base, 'assistant', 'a']], closed: NOTHING_CLOSED })
  assert.deepEqual(delta(3, { type: 'input_json_delta', partial_json: '{"a' }).pieces, [[base + 1, 'tool_arguments', '{"a']])
  assert.deepEqual(delta(3, { type: 'thinking_delta', thinking: 'b' }).pieces, [[base + 2, 'thinking', 'b']])
  assert.deepEqual(delta(3, { type: 'citations_delta', citation: { type: 'char_location', cited_text: 'c' } }).pieces, [[base + 3, 'other', 'c']])
  assert.deepEqual(delta(3, { type: 'compaction_delta', content: 'd' }).pieces, [[base, 'assistant', 'd']])
  assert.deepEqual(delta(3, { type: 'signature_delta', signature: cipher }).pieces, [[0, 'sealed', cipher]])
  assert.deepEqual(delta(3, { type: 'signature_delta', signature: '536-90-4399' }).pieces, [], 'a text of its own')
  assert.deepEqual(delta(3, { type: 'text_delta', signature: cipher }).pieces, [], 'a text of its own')
  assert.deepEqual(delta(3, { type: 'signature_delta', signature: 'not base64' }).pieces, [], 'a text of its own')
  assert.equal(readEvent(dialect, { type: 'content_block_stop', index: 3 }).closed, 3)
  for (const type of ['message_start', 'message_delta', 'message_stop', 'ping', 'error', 'not_known_yet']) {
    assert.deepEqual(readEvent(dialect, { type, index: 3, message: { content: [] }, delta: { stop_reason: 'end_turn' } }), {
      pieces: [],
      closed: NOTHING_CLOSED,
    })
  }
})

test('texts a block brings along are on the channels its deltas go on with; whole ones each have their own', () => {
  const all = (block: object) => readEvent(dialect, { type: 'content_block_start', index: 1, content_block: block }).pieces
  const start = (block: object) => all(block).filter(([, role]) => role !== 'protocol')
  const base = CHANNELS_PER_CHOICE
  assert.deepEqual(all({ type: 'tool_use', id: 'i', name: 'f', input: {} }), [
    [base, 'protocol', 'tool_use'],
    [base, 'protocol', 'i'],
  ])
  assert.deepEqual(start({ type: 'text', text: 'a' }), [[base, 'assistant', 'a']])
  assert.deepEqual(start({ type: 'thinking', thinking: 'b', signature: '' }), [[base + 2, 'thinking', 'b']])
  assert.deepEqual(start({ type: 'tool_use', id: 'i', name: 'f', input: {} }), [])
  const results = [
    { type: 'web_search_result', title: 'c', url: 'https://x', encrypted_content: cipher },
    { type: 'web_search_result', title: 'd', url: 'https://y', encrypted_content: cipher },
  ]
  assert.deepEqual(start({ type: 'web_search_tool_result', tool_use_id: 's', content: results }), [
    [base + 8, 'tool_result', 'c'],
    [0, 'sealed', cipher],
    [base + 9, 'tool_result', 'd'],
    [0, 'sealed', cipher],
  ])
  assert.deepEqual(start({ type: 'redacted_thinking', data: cipher }), [[0, 'sealed', cipher]])
  assert.deepEqual(start({ type: 'redacted_thinking', data: 'plain words' }), [[base + 8, 'other', 'plain words']])
})

test('an index that is none, or more texts than channels, makes the reply unreadable instead of mixing texts', () => {
  const isUnreadable = (error: Error): boolean => error instanceof Failure && error.reason === 'reply_unreadable'
  for (const index of [-1, 0.5, '0', 1 << 16, {}]) {
    assert.throws(() => readEvent(dialect, { type: 'content_block_delta', index, delta: { text: 'x' } }), isUnreadable)
    assert.throws(() => readEvent(dialect, { type: 'content_block_stop', index }), isUnreadable)
  }
  const content = Array.from({ length: CHANNELS_PER_CHOICE }, () => ({ type: 'web_search_result', title: 'x' }))
  assert.throws(() => readEvent(dialect, { type: 'content_block_start', index: 0, content_block: { type: 'web_search_tool_result', content } }), isUnreadable)
})

test('usage: from a plain reply, only from its own member', () => {
  const usage = {
    input_tokens: 12,
    cache_creation_input_tokens: 3,
    cache_read_input_tokens: 4,
    cache_creation: { ephemeral_5m_input_tokens: 1, ephemeral_1h_input_tokens: 2 },
    output_tokens: 34,
    output_tokens_details: { thinking_tokens: 20 },
    service_tier: 'standard',
  }
  const counted = { input_tokens: 19, output_tokens: 34, cached_input_tokens: 4, cache_write_tokens: 3, cache_write_1h_tokens: 2, reasoning_tokens: 20 }
  const lie = { type: 'tool_use', id: 't', name: 'f', input: { usage: { input_tokens: 666, output_tokens: 666 } } }
  const reply = (block: object, members: object) =>
    ends(JSON.stringify({ id: 'm', type: 'message', content: [block], stop_reason: 'end_turn', stop_sequence: null, ...members }))
  assert.deepEqual(dialect.readUsage(reply(lie, { usage })), counted)
  assert.deepEqual(dialect.readUsage(reply({ type: 'text', text: '"usage":{"input_tokens":1} \\" }'.repeat(900) }, { usage })), counted)
  const { cache_creation_input_tokens: _sum, ...parts } = usage
  assert.deepEqual(dialect.readUsage(reply(lie, { usage: parts })), counted, 'of parts the sum')
  assert.equal(dialect.readUsage(reply(lie, {})), null)
  assert.equal(dialect.readUsage(reply({ ...lie, input: { usage: [lie, { usage: lie.input.usage }] } }, {})), null)
  assert.equal(dialect.readUsage('{"input_tokens":2095}'), null, 'counting tokens uses none')
  assert.equal(dialect.readUsage('{"type":"error","error":{"type":"api_error","message":"usage"}}'), null)
})

test('usage: of a stream the start counts what went in, caches and all, and the last event the total that came out', () => {
  const event = (type: string, members: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`
  const start = event('message_start', {
    message: { id: 'm', content: [], usage: { input_tokens: 25, cache_creation_input_tokens: 7, cache_read_input_tokens: 9, output_tokens: 1 } },
  })
  const text = (value: string) => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: value } })
  const delta = (usage: object) => event('message_delta', { delta: { stop_reason: 'end_turn' }, usage })
  const stop = event('message_stop', {})
  const lie = text('event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":666}}\n\n')
  const usage = { input_tokens: 41, output_tokens: 15, cached_input_tokens: 9, cache_write_tokens: 7 }
  assert.deepEqual(dialect.readUsage(ends(start + text('a') + delta({ output_tokens: 15 }) + stop)), usage)
  assert.deepEqual(
    dialect.readUsage(ends(start + delta({ output_tokens: 3 }) + lie + delta({ output_tokens: 15, cache_read_input_tokens: null }) + stop)),
    usage,
  )
  assert.deepEqual(
    dialect.readUsage(ends(start + Array.from({ length: 300 }, (_, i) => text(`token ${i}`)).join('') + delta({ output_tokens: 15 }) + stop)),
    usage,
  )
  assert.deepEqual(
    dialect.readUsage(ends(start + delta({ input_tokens: 30, output_tokens: 15 }) + stop)),
    { ...usage, input_tokens: 46 },
    'a later total counts',
  )
  assert.deepEqual(
    dialect.readUsage(ends(start + delta({ input_tokens: 25, cache_creation_input_tokens: 7, cache_read_input_tokens: 9, output_tokens: 15 }) + stop)),
    usage,
    'what is said twice is not added twice',
  )
  assert.deepEqual(dialect.readUsage(ends(start + text('cut off') + stop)), { ...usage, output_tokens: 0 }, 'nobody has counted what came out')
  assert.equal(dialect.readUsage(ends(text('a') + lie + stop)), null)
})

test('a refusal is a page the Anthropic libraries read as the right error, and is not tried again unless that may help', () => {
  const page = (reason: Refusal['reason']) => {
    const { status, headers, body } = vendor.refuse(new Refusal(reason, 'm', { context: { param: 'model' } }), 'req_1')
    const at = headers.indexOf('x-should-retry')
    assert.deepEqual(headers.slice(0, 2), ['content-type', 'application/json'])
    const { error, ...rest } = JSON.parse(body) as { error: Record<string, unknown> }
    assert.deepEqual(rest, { type: 'error', request_id: 'req_1' })
    assert.equal(error.message, 'm')
    assert.deepEqual(Object.keys(error), ['type', 'message'])
    return [status, error.type, at < 0 ? 'as usual' : headers[at + 1]]
  }
  assert.deepEqual(page('blocked_by_rule'), [403, 'permission_error', 'false'])
  assert.deepEqual(page('cannot_redact'), [403, 'permission_error', 'false'])
  assert.deepEqual(page('approval_required'), [403, 'permission_error', 'false'])
  assert.deepEqual(page('unauthenticated'), [401, 'authentication_error', 'false'])
  assert.deepEqual(page('invalid_request'), [400, 'invalid_request_error', 'false'])
  assert.deepEqual(page('unsupported_media_type'), [415, 'invalid_request_error', 'false'])
  assert.deepEqual(page('model_not_found'), [404, 'not_found_error', 'false'])
  assert.deepEqual(page('too_large'), [413, 'request_too_large', 'false'])
  assert.deepEqual(page('rate_limited'), [429, 'rate_limit_error', 'as usual'])
  assert.deepEqual(page('internal'), [500, 'api_error', 'as usual'])
  assert.deepEqual(page('upstream_unreachable'), [502, 'api_error', 'as usual'])
  assert.deepEqual(page('unavailable'), [503, 'api_error', 'as usual'])
  assert.deepEqual(page('upstream_timeout'), [504, 'timeout_error', 'as usual'])
})

test('a stream is stopped by an event named error, which the client libraries would otherwise drop, and open blocks end before it', () => {
  const stopped = (soft: boolean, open: number[]) =>
    dialect.stopStream({ refusal: new Refusal('blocked_by_rule', 'Stopped\nby policy.'), requestId: 'req_1', soft, open })
  const event = stopped(false, [])
  assert.match(event, /^event: error\ndata: [^\n]+\n\n$/)
  assert.deepEqual(JSON.parse(event.slice(event.indexOf('{'))), {
    type: 'error',
    error: { type: 'permission_error', message: 'Stopped\nby policy.' },
    request_id: 'req_1',
  })
  const closed = [2, 4].map((index) => `event: content_block_stop\ndata: {"type":"content_block_stop","index":${index}}\n\n`).join('')
  assert.equal(stopped(false, [2, 4]), closed + event)

  const soft = stopped(true, [2, 4])
  assert.ok(soft.startsWith(`${closed}event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"refusal",`))
  assert.ok(soft.endsWith('}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'))
  assert.ok(!soft.includes('policy'))
  assert.equal(dialect.isLastEvent(Buffer.from(soft.slice(soft.lastIndexOf('event:')))), true)
})

test("limits are told in Anthropic's headers, the reset as RFC 3339, never too early", () => {
  const now = Date.parse('2026-11-20T12:00:00.400Z')
  const limits = (fullInMs: number) => vendor.limitHeaders({ requestsPerMinute: 60, remaining: 2, fullInMs, retryInMs: 0, tokens: null }, now)
  assert.deepEqual(limits(1200), [
    'anthropic-ratelimit-requests-limit',
    '60',
    'anthropic-ratelimit-requests-remaining',
    '2',
    'anthropic-ratelimit-requests-reset',
    '2026-11-20T12:00:02Z',
  ])
  assert.equal(limits(600)[5], '2026-11-20T12:00:01Z')
})

test("the provider's own credential travels in x-api-key; a caller's may also be a bearer token", () => {
  assert.deepEqual(vendor.credential('sk-ant'), ['x-api-key', 'sk-ant'])
  assert.deepEqual(vendor.credentialHeaders, ['x-api-key', 'authorization'])
  assert.equal(vendor.requestIdHeader, 'request-id')
})
