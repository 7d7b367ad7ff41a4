import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createJsonReader } from '../../src/dialects/bodies/json-reader.ts'
import { CHANNELS_PER_CHOICE, NOTHING_CLOSED, UnreadableCall } from '../../src/dialects/dialect.ts'
import { openaiCompletions as dialect } from '../../src/dialects/openai/openai-completions.ts'
import { Refusal } from '../../src/errors.ts'
import { everyPlace } from './every-place.ts'
import { assistant, opaque, other, readCall, readEvent, user } from './places.ts'

const bodies = {
  'a prompt': {
    model: 'davinci-002',
    prompt: user('Once upon'),
    suffix: user('the end'),
    max_tokens: 16,
    stream: true,
    stop: [other('END')],
    user: other('ann'),
    best_of: 1,
    echo: false,
    logprobs: 1,
    logit_bias: { x_50256: -100 },
    metadata: { user_id: other('u-1') },
    x_unknown: { x_inner: [other('anything')] },
  },
  'several prompts': { prompt: [user('one'), user('two')], model: 'davinci-002', stop: other('END') },
  'a prompt as parts': {
    model: 'm',
    prompt: [
      { type: 'text', text: user('one') },
      { type: 'image_url', image_url: { url: opaque('data:image/png;base64,AAAA') } },
    ],
  },
}
const replies = {
  choices: {
    id: 'cmpl-1',
    object: 'text_completion',
    created: 1,
    model: 'davinci-002',
    system_fingerprint: 'fp',
    choices: [
      {
        index: 0,
        text: assistant('a time'),
        finish_reason: 'stop',
        logprobs: { tokens: [other('a'), other(' time')], token_logprobs: [0, 0], text_offset: [0, 1], top_logprobs: [{ x_a: -1 }] },
      },
      { index: 1, text: assistant('a hill'), finish_reason: 'length', logprobs: null },
    ],
    usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
  },
}

everyPlace(dialect, bodies, replies)

test('the prompt is each of the prompts; numbers of tokens are counted and not read', () => {
  assert.equal(readCall(dialect, '{"model":"m","prompt":["one","two"],"suffix":"three"}').prompt, 'one\ntwo\nthree')
  assert.equal(readCall(dialect, '{"model":"m"}').prompt, '')
  assert.equal(readCall(dialect, '{"model":"m","prompt":[ 1, 23 ]}').opaqueBytes, '[ 1, 23 ]'.length)
  assert.equal(readCall(dialect, '{"model":"m","prompt":[[1,23],[4]]}').opaqueBytes, '[1,23][4]'.length)
  assert.equal(readCall(dialect, '{"model":"m","prompt":["text",[4]]}').opaqueBytes, '[4]'.length)
  const mixed = readCall(dialect, '{"model":"m","prompt":[1,["hidden"]]}')
  assert.deepEqual(
    mixed.found.map(({ text }) => text).filter((text) => text === 'hidden'),
    ['hidden'],
  )
})

test('the last message is the prompt, however it is written', () => {
  const json = createJsonReader()(Buffer.from('{"model":"m","prompt":["one","two"]}'))
  const head = dialect.readCall(json, () => {}, '/v1/completions', null)
  assert.deepEqual(json.rangeOf(head.lastMessage), { start: 22, end: 35 })
})

test('what a call may take is for every prompt and every answer that is paid', () => {
  const most = (members: object) => {
    const json = createJsonReader()(Buffer.from(JSON.stringify({ model: 'm', prompt: 'x', max_tokens: 10, ...members })))
    return dialect.readCall(json, () => {}, '/v1/completions', null).maxOutputTokens
  }
  assert.deepEqual([most({}), most({ n: 2 }), most({ n: 2, best_of: 20 }), most({ n: null, best_of: 3 })], [10, 20, 200, 30])
  assert.deepEqual(
    [most({ prompt: ['x', 'y', 'z'], n: 2 }), most({ prompt: [[1, 2], 'y'] }), most({ prompt: [1, 2, 3] }), most({ prompt: [] })],
    [60, 20, 10, 10],
  )
  assert.equal(most({ max_tokens: null, n: 2 }), null)
})

test('refuses a prompt that is neither text nor tokens', () => {
  for (const [body, param] of [
    ['{"model":"m","prompt":7}', 'prompt'],
    ['{"model":"m","prompt":{"secret":1}}', 'prompt'],
    ['{"model":"m","prompt":["x",true]}', 'prompt[1]'],
    ['{"prompt":"x"}', 'model'],
  ])
    assert.throws(
      () => readCall(dialect, body),
      (error: Error) => error instanceof UnreadableCall && error.param === param && !error.message.includes('secret'),
      body,
    )
})

test('a stream has one text for each choice, closed by its finish reason, and ends with [DONE]', () => {
  const choice = (index: number, text: string, finish_reason: string | null = null) => ({ choices: [{ index, text, finish_reason }] })
  assert.deepEqual(readEvent(dialect, choice(0, 'a')), { pieces: [[0, 'assistant', 'a']], closed: NOTHING_CLOSED })
  assert.deepEqual(readEvent(dialect, choice(2, 'b', 'stop')), { pieces: [[2 * CHANNELS_PER_CHOICE, 'assistant', 'b']], closed: 2 })
  assert.ok(dialect.isLastEvent(Buffer.from('data: [DONE]\n\n')))
  assert.ok(!dialect.isLastEvent(Buffer.from(`data: ${JSON.stringify(choice(0, '[DONE]'))}\n\n`)))
})

test('tokens with their probabilities are visited, and usage is read', () => {
  const json = createJsonReader()(Buffer.from('{"choices":[{"logprobs":{"tokens":["a"]}},{"logprobs":null}]}'))
  const found: string[] = []
  dialect.eachRepeat(json, (node) => found.push(json.bytes.toString('utf8', json.tape[node], json.tape[node + 1])))
  assert.deepEqual(found, ['{"tokens":["a"]}'])
  assert.deepEqual(dialect.readUsage('{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}'), { input_tokens: 3, output_tokens: 4 })
})

test('a stopped stream ends softly as filtered text, or with the error', () => {
  const refusal = new Refusal('blocked_by_rule', 'm')
  const [last, done, rest] = dialect.stopStream({ refusal, requestId: 'r', soft: true, open: [1], ends: 'data: {"id":"cmpl-9","model":"m"}' }).split('\n\n')
  assert.deepEqual(JSON.parse(last.slice(6)), {
    id: 'cmpl-9',
    object: 'text_completion',
    created: 0,
    model: 'm',
    choices: [{ index: 1, text: '', logprobs: null, finish_reason: 'content_filter' }],
  })
  assert.deepEqual([done, rest], ['data: [DONE]', ''])
  assert.match(dialect.stopStream({ refusal, requestId: 'r', soft: false, open: [] }), /^data: \{"error":\{"message":"m"/)
})
