import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createJsonReader } from '../../src/dialects/bodies/json-reader.ts'
import { CHANNELS_PER_CHOICE, NOTHING_CLOSED, UnreadableCall, WHOLE_TEXT } from '../../src/dialects/dialect.ts'
import { openaiResponses as dialect } from '../../src/dialects/openai/openai-responses.ts'
import { Failure, Refusal } from '../../src/errors.ts'
import { everyPlace } from './every-place.ts'
import { args, assistant, lengthened, opaque, other, plain, readCall, readEvent, sealed, system, thinking, toolName, toolResult, user } from './places.ts'
import { ends } from './reply-ends.ts'

const cached = { mode: 'explicit', ttl: '30m' }
const bodies = {
  'input as a string, the instructions last': {
    model: 'gpt-5',
    input: user('Hello'),
    max_output_tokens: 100,
    stream: true,
    store: false,
    background: false,
    metadata: { user_id: other('u-17'), x_team: other('blue') },
    user: other('ann@example.com'),
    safety_identifier: other('s-1'),
    prompt_cache_key: 'cache-1',
    prompt_cache_retention: '24h',
    prompt_cache_options: { mode: 'explicit', ttl: '30m', comparison_response_id: 'resp_0' },
    previous_response_id: 'resp_1',
    conversation: { id: 'conv_1' },
    service_tier: 'auto',
    truncation: 'auto',
    include: ['reasoning.encrypted_content', 'message.output_text.logprobs'],
    reasoning: { effort: 'low', summary: 'auto' },
    context_management: [{ type: 'compaction', compact_threshold: 1000 }],
    moderation: { model: 'omni-moderation-latest', policy: { input: { mode: 'score' }, output: { mode: 'block' } } },
    stream_options: { include_obfuscation: false },
    top_logprobs: 2,
    tool_choice: 'auto',
    instructions: system('Be kind.'),
  },
  'messages and their parts': {
    model: 'gpt-5',
    instructions: system('Be brief.'),
    input: [
      { role: 'developer', content: system('No jokes.') },
      { type: 'message', role: 'system', status: 'completed', content: [{ type: 'input_text', text: system('Nor riddles.') }] },
      {
        role: 'user',
        content: [
          { type: 'input_text', text: user('Look:'), prompt_cache_breakpoint: cached },
          { type: 'input_image', detail: 'high', image_url: opaque('data:image/png;base64,iVBORw0KGgo=') },
          { type: 'input_image', image_url: other('https://example.com/a.png?q=secret'), file_id: 'file_1' },
          { type: 'input_image', image_url: { url: other('data:image/png;base64,this is a prompt') } },
          { type: 'input_file', file_data: opaque('data:application/pdf;base64,JVBERi0='), filename: other('plan.pdf') },
          { type: 'input_file', file_data: other('536-90-4399'), file_url: other('https://example.com/b.pdf') },
          { type: 'input_audio', input_audio: { data: opaque('UklGRg=='), format: 'wav' } },
          user('a bare part'),
        ],
      },
      {
        type: 'message',
        id: 'msg_1',
        role: 'assistant',
        status: 'completed',
        phase: 'final_answer',
        content: [
          {
            type: 'output_text',
            text: assistant('I see'),
            annotations: [
              { type: 'url_citation', start_index: 0, end_index: 1, url: other('https://x'), title: other('X') },
              { type: 'file_citation', file_id: 'file_2', filename: other('notes.txt'), index: 1 },
              { type: 'container_file_citation', container_id: 'cntr_1', file_id: 'file_3', filename: other('out.csv'), start_index: 0, end_index: 1 },
            ],
            logprobs: [],
          },
          { type: 'refusal', refusal: assistant('but no') },
        ],
      },
      { type: 'message', role: 'assistant', content: assistant('as a string') },
      { type: 'message', role: 'guest', content: user('whoever this is') },
      { type: 'item_reference', id: 'msg_0' },
    ],
  },
  'reasoning, calls and what they answered': {
    model: 'gpt-5',
    input: [
      { role: 'user', content: user('Go') },
      {
        type: 'reasoning',
        id: 'rs_1',
        status: 'completed',
        summary: [{ type: 'summary_text', text: thinking('In short') }],
        content: [{ type: 'reasoning_text', text: thinking('At length') }],
        encrypted_content: sealed('Z0FBQUFB'),
      },
      { type: 'reasoning', summary: [], encrypted_content: other('not base64 at all') },
      { type: 'message', role: 'user', content: user('and'), encrypted_content: other('QUJD'.repeat(40)) },
      { type: 'compaction', id: 'cmp_1', created_by: 'server', encrypted_content: sealed('Y29tcGFjdA') },
      {
        type: 'function_call',
        id: 'fc_1',
        call_id: 'call_1',
        name: toolName('lookup'),
        namespace: toolName('crm'),
        arguments: args('{"ssn":"1"}'),
        status: 'completed',
      },
      { type: 'function_call_output', call_id: 'call_1', output: toolResult('found'), caller: { type: 'program', caller_id: 'p_1' } },
      {
        type: 'function_call_output',
        call_id: 'call_2',
        name: toolName('lookup'),
        output: [
          { type: 'input_text', text: toolResult('in parts') },
          { type: 'input_image', image_url: opaque('data:image/png;base64,iVBORw0KGgo=') },
        ],
      },
      { type: 'custom_tool_call', call_id: 'call_3', name: toolName('shell'), input: args('ls -l') },
      { type: 'custom_tool_call_output', call_id: 'call_3', output: toolResult('total 0') },
      {
        type: 'computer_call',
        call_id: 'call_4',
        action: { type: 'type', text: args('hunter2') },
        actions: [{ type: 'click', button: 'left', x: 1, y: 2, keys: [args('SHIFT')] }],
        pending_safety_checks: [{ id: 'sc_1', code: 'malicious', message: other('Careful') }],
      },
      {
        type: 'computer_call_output',
        call_id: 'call_4',
        acknowledged_safety_checks: [{ id: 'sc_1', code: 'malicious', message: other('Careful') }],
        output: { type: 'computer_screenshot', image_url: opaque('data:image/png;base64,iVBORw0KGgo='), file_id: 'file_4' },
      },
      {
        type: 'web_search_call',
        id: 'ws_1',
        status: 'completed',
        action: { type: 'search', query: args('weather'), queries: [args('weather oslo')], sources: [{ type: 'url', url: toolResult('https://found') }] },
      },
      { type: 'web_search_call', id: 'ws_2', action: { type: 'find_in_page', url: args('https://x'), pattern: args('rain') } },
      {
        type: 'file_search_call',
        id: 'fs_1',
        queries: [args('plan')],
        results: [{ file_id: 'file_5', filename: other('plan.md'), score: 0.5, text: toolResult('The plan'), attributes: { x_owner: other('ann') } }],
      },
      {
        type: 'code_interpreter_call',
        id: 'ci_1',
        container_id: 'cntr_1',
        code: args('print(1)'),
        outputs: [
          { type: 'logs', logs: toolResult('1') },
          { type: 'image', url: opaque('data:image/png;base64,iVBORw0KGgo=') },
        ],
      },
      {
        type: 'image_generation_call',
        id: 'ig_1',
        action: 'generate',
        result: opaque('iVBORw0KGgo='),
        revised_prompt: assistant('A cat'),
        output_format: 'png',
        quality: 'high',
        size: '1024x1024',
        background: 'auto',
      },
      {
        type: 'local_shell_call',
        id: 'ls_1',
        call_id: 'call_5',
        action: { type: 'exec', command: [args('cat'), args('x')], env: { x_PATH: args('/bin') }, working_directory: args('/tmp') },
      },
      { type: 'local_shell_call_output', id: 'ls_1', output: toolResult('x') },
      {
        type: 'shell_call',
        call_id: 'call_6',
        action: { commands: [args('pwd')], timeout_ms: 1 },
        environment: { type: 'container_reference', container_id: 'cntr_2' },
      },
      {
        type: 'shell_call_output',
        call_id: 'call_6',
        output: [{ outcome: { type: 'exit', exit_code: 0 }, stdout: toolResult('/root'), stderr: toolResult('none') }],
      },
      { type: 'apply_patch_call', call_id: 'call_7', operation: { type: 'update_file', path: args('a.txt'), diff: args('+b') } },
      { type: 'apply_patch_call_output', call_id: 'call_7', status: 'completed', output: toolResult('done') },
      {
        type: 'mcp_list_tools',
        id: 'mcpl_1',
        server_label: 'deep',
        tools: [{ name: toolName('ask'), description: other('Asks'), input_schema: { type: 'object', title: other('Q') }, annotations: { read_only: true } }],
        error: toolResult('late'),
      },
      { type: 'mcp_approval_request', id: 'mcpr_1', server_label: 'deep', name: toolName('ask'), arguments: args('{}') },
      { type: 'mcp_approval_response', approval_request_id: 'mcpr_1', approve: true, reason: other('Fine') },
      { type: 'mcp_call', id: 'mcp_1', server_label: 'deep', name: toolName('ask'), arguments: args('{"q":1}'), output: toolResult('42') },
      { type: 'mcp_call', name: toolName('ask'), error: { type: 'http_error', code: 500, message: toolResult('broken') } },
      { type: 'mcp_call', name: toolName('ask'), error: { type: 'mcp_tool_execution_error', content: [{ text: toolResult('worse') }] } },
      { type: 'tool_search_call', execution: 'client', call_id: null, arguments: { x_goal: args('crm') } },
      { type: 'tool_search_output', execution: 'client', tools: [{ type: 'function', name: toolName('crm_get') }] },
      { type: 'additional_tools', role: 'developer', tools: [{ type: 'custom', name: toolName('late_tool'), description: other('Late') }] },
      { type: 'configuration_update', reasoning: { effort: 'high' }, text: { format: { type: 'json_schema', name: 'n', schema: { type: 'object' } } } },
      { type: 'program', id: 'pr_1', call_id: 'call_8', code: args('await f()'), fingerprint: sealed('Zmlu') },
      { type: 'program_output', call_id: 'call_8', result: toolResult('7') },
      { type: 'agent_message', content: user('of a kind nobody knows'), x_extra: other('more') },
    ],
  },
  'a stored prompt': {
    prompt: {
      id: 'pmpt_1',
      version: '2',
      variables: {
        x_city: user('Oslo'),
        x_doc: { type: 'input_file', file_data: opaque('data:application/pdf;base64,JVBERi0='), filename: other('a.pdf') },
        x_note: { type: 'input_text', text: user('Mind the gap') },
      },
    },
  },
  'tools of every kind': {
    model: 'gpt-5',
    input: [{ role: 'user', content: user('Go') }],
    tools: [
      {
        type: 'function',
        name: toolName('weather'),
        description: other('Tells the weather'),
        strict: true,
        allowed_callers: ['direct'],
        defer_loading: true,
        parameters: {
          type: 'object',
          title: other('Query'),
          properties: {
            name: { type: 'string', description: other('A town'), enum: ['Oslo', 'Rome'], default: other('Oslo'), examples: [other('Bergen')] },
            description: { type: 'string', const: 'fixed', pattern: '^a+$' },
          },
          required: ['name'],
        },
        output_schema: { type: 'object', properties: { text: { type: 'string', description: other('It') } } },
      },
      { type: 'custom', name: toolName('shell'), description: other('Runs'), format: { type: 'grammar', syntax: 'lark', definition: other('start: "a"') } },
      {
        type: 'namespace',
        name: toolName('crm'),
        description: other('Customers'),
        tools: [{ type: 'function', name: toolName('get'), description: other('One') }],
      },
      {
        type: 'file_search',
        vector_store_ids: ['vs_1'],
        filters: { type: other('eq'), key: other('owner'), value: other('ann') },
        ranking_options: { ranker: 'auto' },
      },
      {
        type: 'web_search',
        search_context_size: 'low',
        filters: { allowed_domains: [other('example.com')] },
        user_location: { type: 'approximate', city: other('Oslo'), country: other('NO') },
      },
      {
        type: 'mcp',
        server_label: 'deep',
        server_url: other('https://mcp.example.com'),
        server_description: other('Deep thought'),
        authorization: other('token'),
        headers: { 'x_api-key': other('secret') },
        allowed_tools: [toolName('ask')],
        require_approval: { always: { tool_names: [toolName('ask')] }, never: { tool_names: [toolName('tell')] } },
      },
      {
        type: 'mcp',
        server_label: 'dropbox',
        connector_id: 'connector_dropbox',
        allowed_tools: { read_only: true, tool_names: [toolName('list')] },
        require_approval: 'never',
      },
      {
        type: 'code_interpreter',
        container: {
          type: 'auto',
          file_ids: ['file_6'],
          memory_limit: '1g',
          network_policy: {
            type: 'allowlist',
            allowed_domains: [other('pypi.org')],
            domain_secrets: [{ domain: other('pypi.org'), name: other('TOKEN'), value: other('s3cret') }],
          },
        },
      },
      { type: 'code_interpreter', container: 'cntr_3' },
      { type: 'shell', environment: { type: 'local', skills: [{ name: other('pdf'), description: other('Reads'), path: other('/skills/pdf') }] } },
      {
        type: 'image_generation',
        model: 'gpt-image-1',
        size: '1024x1024',
        quality: 'high',
        background: 'auto',
        output_format: 'png',
        input_fidelity: 'high',
        moderation: 'low',
        action: 'auto',
        input_image_mask: { image_url: opaque('data:image/png;base64,iVBORw0KGgo='), file_id: 'file_7' },
      },
      { type: 'tool_search', execution: 'client', description: other('Finds tools'), parameters: { type: 'object', title: other('Goal') } },
      { type: 'computer_use_preview', display_width: 1, display_height: 1, environment: 'browser' },
      { type: 'x_unknown_kind', x_about: other('anything') },
    ],
    tool_choice: {
      type: 'allowed_tools',
      mode: 'auto',
      tools: [
        { type: 'function', name: toolName('weather') },
        { type: 'mcp', server_label: 'deep', name: toolName('ask') },
      ],
    },
    text: {
      verbosity: 'low',
      format: {
        type: 'json_schema',
        name: 'answer',
        description: other('The answer'),
        schema: { type: 'object', properties: { text: { type: 'string', description: other('It') } } },
      },
    },
    x_unknown: { x_inner: [other('anything'), { text: other('goes') }] },
  },
}
const replies = {
  'what was said, thought and called, and the call told once more': {
    id: 'resp_1',
    object: 'response',
    status: 'completed',
    model: 'gpt-5',
    created_at: 1,
    instructions: 'Be kind.',
    tools: [{ type: 'function', name: 'f', description: 'echoed', parameters: { type: 'object' } }],
    tool_choice: 'auto',
    text: { format: { type: 'text' }, verbosity: 'low' },
    metadata: { user_id: 'u-17' },
    user: 'ann',
    error: null,
    incomplete_details: { reason: 'max_output_tokens' },
    reasoning: { effort: 'low', summary: null },
    previous_response_id: 'resp_0',
    service_tier: 'default',
    truncation: 'disabled',
    output: [
      { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: thinking('Hm') }], encrypted_content: sealed('Z0FB') },
      {
        type: 'message',
        id: 'msg_1',
        role: 'assistant',
        status: 'completed',
        content: [
          {
            type: 'output_text',
            text: assistant('Hello'),
            annotations: [{ type: 'url_citation', url: other('https://x'), title: other('X'), start_index: 0, end_index: 1 }],
            logprobs: [{ token: other('Hello'), logprob: 0, bytes: [72], top_logprobs: [{ token: other('Hi'), logprob: -1 }] }],
          },
          { type: 'refusal', refusal: assistant('No') },
        ],
      },
      { type: 'function_call', id: 'fc_1', call_id: 'c', name: toolName('f'), arguments: args('{}'), status: 'completed' },
      { type: 'image_generation_call', id: 'ig_1', result: opaque('iVBORw0KGgo='), revised_prompt: assistant('A dog') },
      { type: 'mcp_call', id: 'mcp_1', server_label: 'deep', name: toolName('ask'), arguments: args('{}'), output: toolResult('42') },
    ],
    output_text: assistant('Hello'),
    usage: { input_tokens: 1, output_tokens: 2, total_tokens: 3 },
  },
  'an error': { id: 'resp_2', object: 'response', status: 'failed', error: { code: 'server_error', message: other('It broke.') }, output: [] },
  'a compacted conversation': {
    id: 'cmp_1',
    object: 'response.compaction',
    output: [
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: user('Hello') }] },
      { type: 'compaction', encrypted_content: sealed('Z0FB') },
    ],
    usage: { input_tokens: 1, output_tokens: 2, total_tokens: 3 },
  },
}

everyPlace(dialect, bodies, replies)

test('the prompt is the instructions, then what is put into a stored prompt, then the messages in order, each part on its own', () => {
  const prompt = (table: object): string[] => readCall(dialect, JSON.stringify(plain(table).body)).prompt.split('\n')
  assert.deepEqual(prompt(bodies['input as a string, the instructions last']), ['Be kind.', 'Hello'])
  assert.deepEqual(prompt(bodies['messages and their parts']), [
    'Be brief.',
    'No jokes.',
    'Nor riddles.',
    'Look:',
    'a bare part',
    'I see',
    'but no',
    'as a string',
    'whoever this is',
  ])
  assert.deepEqual(prompt(bodies['a stored prompt']), ['Oslo', 'Mind the gap'])
  assert.deepEqual(prompt(bodies['tools of every kind']), ['Go'])
})

test('a stored prompt may name the model; a call without one must', () => {
  assert.deepEqual(readCall(dialect, '{"prompt":{"id":"pmpt_1"}}').models, [])
  assert.deepEqual(readCall(dialect, '{"prompt":{"id":"pmpt_1"},"model":"m"}').models, ['m'])
  assert.deepEqual(readCall(dialect, '{"input":"x"}', dialect.paths[0], 'deployed').models, ['deployed'])
  assert.deepEqual(readCall(dialect, '{"input":"x","model":"m"}', dialect.paths[0], 'deployed').models, ['deployed', 'm'])
})

test('refuses a body that lacks what it depends on, and names the member', () => {
  const cases: [body: string, param: string][] = [
    ['[]', ''],
    ['{}', 'model'],
    ['{"input":"x"}', 'model'],
    ['{"model":7,"input":"x"}', 'model'],
    ['{"model":"","prompt":{}}', 'model'],
    ['{"model":"m","input":{"secret":1}}', 'input'],
    ['{"model":"m","input":7}', 'input'],
    ['{"model":"m","input":["secret"]}', 'input[0]'],
    ['{"model":"m","input":[{},[]]}', 'input[1]'],
    ['{"model":"m","input":"x","stream":"true"}', 'stream'],
  ]
  for (const [body, param] of cases)
    assert.throws(
      () => readCall(dialect, body),
      (error: Error) => error instanceof UnreadableCall && error.param === param && !error.message.includes('secret'),
      body,
    )
})

/** Events of one item, by their type without `response.`; the pieces of one text get one number, whatever it is. */
const read = (type: string, more: object) => readEvent(dialect, { type: `response.${type}`, sequence_number: 7, item_id: 'i', output_index: 2, ...more })
const textsIn = (type: string, more: object) => read(type, more).pieces.filter(([, role]) => role !== 'protocol')

test('pieces of one text have one channel, those of different parts, kinds and items have different ones', () => {
  const pieces: [type: string, more: object, role: string][] = [
    ['output_text.delta', { content_index: 0, delta: 'a' }, 'assistant'],
    ['output_text.delta', { content_index: 1, delta: 'a' }, 'assistant'],
    ['output_text.delta', { content_index: 0, output_index: 3, delta: 'a' }, 'assistant'],
    ['refusal.delta', { content_index: 0, delta: 'a' }, 'assistant'],
    ['reasoning_text.delta', { content_index: 0, delta: 'a' }, 'thinking'],
    ['reasoning_summary_text.delta', { summary_index: 0, delta: 'a' }, 'thinking'],
    ['reasoning_summary_text.delta', { summary_index: 60, delta: 'a' }, 'thinking'],
    ['function_call_arguments.delta', { delta: 'a' }, 'tool_arguments'],
    ['function_call_arguments.delta', { output_index: 4, delta: 'a' }, 'tool_arguments'],
    ['shell_call_command.delta', { command_index: 1, delta: 'a' }, 'tool_arguments'],
    ['audio.transcript.delta', { delta: 'a' }, 'assistant'],
    ['of_a_kind_nobody_knows.delta', { delta: 'a' }, 'assistant'],
  ]
  const channels = pieces.map(([type, more, role]) => {
    const [[channel, found, text], ...rest] = textsIn(type, more)
    assert.deepEqual([found, text, rest], [role, 'a', []], type)
    assert.deepEqual(textsIn(type, more)[0][0], channel)
    return channel
  })
  assert.equal(new Set(channels).size, channels.length)
  assert.ok(channels.every((channel) => Number.isSafeInteger(channel) && channel >= 0))
  for (const type of ['custom_tool_call_input', 'mcp_call_arguments', 'code_interpreter_call_code', 'apply_patch_call_operation_diff'])
    assert.deepEqual(textsIn(`${type}.delta`, { delta: 'a' })[0].slice(1), ['tool_arguments', 'a'], type)
})

test('what a command prints comes in two texts, and one event closes both', () => {
  const [[out, ...printed], [err, ...warned]] = textsIn('shell_call_output_content.delta', { command_index: 0, delta: { stdout: 'a', stderr: 'b' } })
  assert.deepEqual(
    [printed, warned],
    [
      ['tool_result', 'a'],
      ['tool_result', 'b'],
    ],
  )
  assert.notEqual(out, err)
  const done = read('shell_call_output_content.done', { command_index: 0, output: [{ stdout: 'a', stderr: 'b', outcome: { type: 'exit' } }] })
  for (const channel of [out, err]) assert.equal(Math.floor(channel / CHANNELS_PER_CHOICE), done.closed)
  assert.deepEqual(
    done.pieces.filter(([, role]) => role === 'tool_result').map(([channel, , text]) => [channel, text]),
    [
      [WHOLE_TEXT, 'a'],
      [WHOLE_TEXT, 'b'],
    ],
  )
})

test('an event that tells a text whole closes its pieces, and is a text by itself', () => {
  const cases: [stem: string, member: string, role: string][] = [
    ['output_text', 'text', 'assistant'],
    ['refusal', 'refusal', 'assistant'],
    ['reasoning_text', 'text', 'thinking'],
    ['reasoning_summary_text', 'text', 'thinking'],
    ['function_call_arguments', 'arguments', 'tool_arguments'],
    ['custom_tool_call_input', 'input', 'tool_arguments'],
    ['mcp_call_arguments', 'arguments', 'tool_arguments'],
    ['code_interpreter_call_code', 'code', 'tool_arguments'],
    ['shell_call_command', 'command', 'tool_arguments'],
  ]
  for (const [stem, member, role] of cases) {
    const [[channel]] = textsIn(`${stem}.delta`, { content_index: 1, summary_index: 1, command_index: 1, delta: 'a' })
    const done = read(`${stem}.done`, { content_index: 1, summary_index: 1, command_index: 1, [member]: 'abc' })
    assert.equal(done.closed, Math.floor(channel / CHANNELS_PER_CHOICE), stem)
    assert.deepEqual(
      done.pieces.filter(([, found]) => found !== 'protocol'),
      [[WHOLE_TEXT, role, 'abc']],
      stem,
    )
    assert.equal(read(`${stem}.delta`, { delta: 'a' }).closed, NOTHING_CLOSED)
  }
})

test('what an item or a part begins with is the beginning of its pieces', () => {
  const channelOf = (type: string, more: object): number => textsIn(type, more)[0][0]
  const message = {
    type: 'message',
    role: 'assistant',
    content: [
      { type: 'output_text', text: 'a' },
      { type: 'refusal', refusal: 'b' },
    ],
  }
  assert.deepEqual(textsIn('output_item.added', { item: message }), [
    [channelOf('output_text.delta', { content_index: 0, delta: 'x' }), 'assistant', 'a'],
    [channelOf('refusal.delta', { content_index: 1, delta: 'x' }), 'assistant', 'b'],
  ])
  const thought = { type: 'reasoning', summary: [{ type: 'summary_text', text: 'a' }], content: [{ type: 'reasoning_text', text: 'b' }] }
  assert.deepEqual(textsIn('output_item.added', { item: thought }), [
    [channelOf('reasoning_summary_text.delta', { summary_index: 0, delta: 'x' }), 'thinking', 'a'],
    [channelOf('reasoning_text.delta', { content_index: 0, delta: 'x' }), 'thinking', 'b'],
  ])
  for (const [member, stem] of [
    ['arguments', 'function_call_arguments'],
    ['input', 'custom_tool_call_input'],
    ['code', 'code_interpreter_call_code'],
  ])
    assert.deepEqual(textsIn('output_item.added', { item: { type: 'x', [member]: 'a' } }), [
      [channelOf(`${stem}.delta`, { delta: 'x' }), 'tool_arguments', 'a'],
    ])
  assert.deepEqual(textsIn('content_part.added', { content_index: 1, part: { type: 'output_text', text: 'a' } }), [
    [channelOf('output_text.delta', { content_index: 1, delta: 'x' }), 'assistant', 'a'],
  ])
  assert.deepEqual(textsIn('content_part.added', { content_index: 1, part: { type: 'reasoning_text', text: 'a' } }), [
    [channelOf('reasoning_text.delta', { content_index: 1, delta: 'x' }), 'thinking', 'a'],
  ])
  assert.deepEqual(textsIn('reasoning_summary_part.added', { summary_index: 1, part: { type: 'summary_text', text: 'a' } }), [
    [channelOf('reasoning_summary_text.delta', { summary_index: 1, delta: 'x' }), 'thinking', 'a'],
  ])
})

test('an item, a part and a response that are complete hold texts by themselves', () => {
  const content = [{ type: 'output_text', text: 'a', annotations: [] }]
  const item = { type: 'message', id: 'm', role: 'assistant', content }
  const whole = [[WHOLE_TEXT, 'assistant', 'a']]
  assert.deepEqual(textsIn('output_item.done', { item }), whole)
  assert.deepEqual(textsIn('content_part.done', { content_index: 0, part: content[0] }), whole)
  assert.deepEqual(textsIn('reasoning_summary_part.done', { part: { type: 'summary_text', text: 'a' } }), [[WHOLE_TEXT, 'thinking', 'a']])
  for (const type of ['created', 'in_progress', 'completed', 'incomplete', 'failed'])
    assert.deepEqual(textsIn(type, { response: { id: 'r', status: 'x', instructions: 'of the caller', output: [item] } }), whole)
})

test('media in events are opaque', () => {
  const base64 = lengthened('QUJD')
  assert.deepEqual(textsIn('image_generation_call.partial_image', { partial_image_b64: base64 }), [[WHOLE_TEXT, 'opaque', base64]])
  assert.deepEqual(textsIn('audio.delta', { delta: base64 }), [[WHOLE_TEXT, 'opaque', base64]])
})

test('an index that is no small number makes the reply unreadable instead of mixing texts', () => {
  for (const more of [{ output_index: -1 }, { output_index: 1.5 }, { output_index: '0' }, { content_index: 1 << 16 }])
    assert.throws(
      () => read('output_text.delta', { content_index: 0, delta: 'x', ...more }),
      (error: Error) => error instanceof Failure && error.reason === 'reply_unreadable',
    )
})

test('tokens with their probabilities are visited wherever they spell a text: in events, parts, items and responses', () => {
  const visited = (body: unknown): string[] => {
    const json = createJsonReader()(Buffer.from(JSON.stringify(body)))
    const found: string[] = []
    dialect.eachRepeat(json, (node) => found.push(json.bytes.toString('utf8', json.tape[node], json.tape[node + 1])))
    return found
  }
  const output = [{ content: [{ logprobs: [1] }, { logprobs: null }, { logprobs: [2] }] }, { content: 'x' }, {}]
  assert.deepEqual(visited({ output }), ['[1]', '[2]'])
  assert.deepEqual(visited({ type: 'response.completed', response: { output } }), ['[1]', '[2]'])
  assert.deepEqual(visited({ type: 'response.output_item.done', item: output[0] }), ['[1]', '[2]'])
  assert.deepEqual(visited({ type: 'response.content_part.done', part: { logprobs: [3] } }), ['[3]'])
  assert.deepEqual(visited({ type: 'response.output_text.delta', delta: 'x', logprobs: [] }), ['[]'])
  for (const body of [{}, [], { output: null }, { logprobs: null }, { metadata: { logprobs: 1 } }]) assert.deepEqual(visited(body), [])
})

const usage = {
  input_tokens: 12,
  input_tokens_details: { cached_tokens: 5, cache_write_tokens: 1 },
  output_tokens: 34,
  output_tokens_details: { reasoning_tokens: 7 },
  total_tokens: 46,
}
const counted = { input_tokens: 12, output_tokens: 34, cached_input_tokens: 5, cache_write_tokens: 1, reasoning_tokens: 7 }
const event = (type: string, more: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`
const response = (text: string, more: object) => ({ id: 'resp_1', output: [{ content: [{ text }] }], tools: [], ...more, user: null, metadata: {} })

test('usage: from a plain reply, and from how a stream ends, however large that event is', () => {
  assert.deepEqual(dialect.readUsage(ends(JSON.stringify(response('x'.repeat(20_000), { usage })))), counted)
  const stream = (text: string, type = 'response.completed') =>
    ends(
      event('response.created', { response: response(text, { usage: null }) }) +
        event('response.output_text.delta', { delta: text }) +
        event(type, { response: response(text, { usage }) }),
    )
  for (const text of ['short', 'x'.repeat(2000), 'x'.repeat(50_000), '"}]{\\'.repeat(4000), ',"usage":{"input_tokens":1},'.repeat(1000)]) {
    assert.deepEqual(dialect.readUsage(stream(text)), counted, text.slice(0, 20))
    assert.deepEqual(dialect.readUsage(stream(text, 'response.incomplete')), counted)
    assert.deepEqual(dialect.readUsage(`${stream(text)}data: [DONE]\n\n`), counted)
  }
  const lie = event('response.output_text.delta', { delta: '"usage":{"input_tokens":9}', x: { deep: { usage } } })
  for (const nothing of ['', lie, ends(lie.repeat(100)), ends(stream('x'.repeat(50_000)).slice(0, -600)), ends(JSON.stringify(response('x', { usage: null })))])
    assert.equal(dialect.readUsage(nothing), null, nothing.slice(-80))
})

test('a stream ends with how its response ended, or with an error, and with nothing else', () => {
  const isLast = (text: string): boolean => dialect.isLastEvent(Buffer.from(text))
  for (const type of ['response.completed', 'response.failed', 'response.incomplete', 'error']) {
    assert.ok(isLast(event(type, { response: {} })))
    assert.ok(isLast(`data: ${JSON.stringify({ type, response: {} })}\n\n`))
    assert.ok(isLast(event(type, {}).replaceAll('\n', '\r\n')))
  }
  for (const type of ['response.created', 'response.output_text.done', 'response.completed_not', 'response.mcp_call.failed'])
    assert.ok(!isLast(event(type, { text: 'event: response.completed\n' })), type)
})

test('a stopped stream ends as a response that failed or is incomplete, under the id it began with, and counts on', () => {
  const refusal = new Refusal('blocked_by_rule', 'Stopped by\npolicy "x".')
  const said = event('response.created', { sequence_number: 0, response: { id: 'resp_7', object: 'response', created_at: 99, model: 'gpt-5' } })
  const lie = event('response.output_text.delta', { sequence_number: 41, delta: '{"id":"resp_666","sequence_number":999}' })
  const parse = (text: string) =>
    text
      .trimEnd()
      .split('\n\n')
      .map((one) => {
        const [, type, data] = /^event: (\S+)\ndata: ([^\n]+)$/.exec(one) as RegExpExecArray
        const parsed = JSON.parse(data) as Record<string, unknown> & { response: Record<string, unknown> }
        assert.equal(parsed.type, type)
        return parsed
      })
  const stop = (soft: boolean, reason = refusal, ends: string | undefined = said + lie) =>
    parse(dialect.stopStream({ refusal: reason, requestId: 'req_1', soft, open: [], ends }))

  const [failed, error] = stop(false)
  assert.deepEqual([failed.type, failed.sequence_number, failed.response.id, failed.response.status], ['response.failed', 42, 'resp_7', 'failed'])
  assert.deepEqual([failed.response.created_at, failed.response.model, failed.response.output], [99, 'gpt-5', []])
  assert.deepEqual(failed.response.error, { code: 'invalid_prompt', message: 'Stopped by\npolicy "x".' })
  assert.deepEqual(error, { type: 'error', code: 'content_policy_violation', message: 'Stopped by\npolicy "x".', param: null, sequence_number: 43 })
  assert.deepEqual(stop(false, new Refusal('upstream_unreachable', 'm'))[0].response.error, { code: 'server_error', message: 'm' })

  const [incomplete, ...rest] = stop(true)
  assert.deepEqual(rest, [])
  assert.deepEqual([incomplete.type, incomplete.response.id, incomplete.response.status], ['response.incomplete', 'resp_7', 'incomplete'])
  assert.deepEqual(incomplete.response.incomplete_details, { reason: 'content_filter' })
  assert.deepEqual([stop(true, refusal, '')[0].response.id, stop(true, refusal, '')[0].sequence_number], ['resp_stopped', 0])
})
