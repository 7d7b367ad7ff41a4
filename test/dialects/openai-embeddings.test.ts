import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UnreadableCall } from '../../src/dialects/dialect.ts'
import { openaiEmbeddings as dialect } from '../../src/dialects/openai/openai-embeddings.ts'
import { everyPlace } from './every-place.ts'
import { opaque, other, readCall, sealed, user } from './places.ts'

const bodies = {
  'a text': { model: 'text-embedding-3-small', input: user('Hello'), dimensions: 8, encoding_format: 'base64', user: other('ann'), x_more: other('more') },
  'several texts': { input: [user('one'), user('two')], model: 'text-embedding-3-small' },
  'parts of compatible providers': {
    model: 'm',
    input: [{ text: user('one') }, { image_url: opaque('data:image/png;base64,AAAA') }],
    metadata: { user_id: other('u') },
  },
}
const replies = {
  'vectors as numbers and as base64': {
    object: 'list',
    model: 'text-embedding-3-small',
    data: [
      { object: 'embedding', index: 0, embedding: [0.1, -0.2] },
      { object: 'embedding', index: 1, embedding: sealed('zczMPQ==') },
    ],
    usage: { prompt_tokens: 1, total_tokens: 1 },
  },
}

everyPlace(dialect, bodies, replies)

test('the prompt is the inputs; numbers of tokens are counted and not read', () => {
  assert.equal(readCall(dialect, '{"model":"m","input":["one","two"]}').prompt, 'one\ntwo')
  assert.equal(readCall(dialect, '{"model":"m","input":[1,2]}').opaqueBytes, '[1,2]'.length)
  assert.equal(readCall(dialect, '{"model":"m","input":[[1,2],[3]]}').opaqueBytes, '[1,2][3]'.length)
})

test('names its model, which a deployment may do for it, and refuses an input that is neither text nor tokens', () => {
  assert.deepEqual(readCall(dialect, '{"input":"x"}', '/openai/deployments/d/embeddings', 'd').models, ['d'])
  for (const [body, param] of [
    ['{"model":"m","input":true}', 'input'],
    ['{"model":"m","input":[null]}', 'input[0]'],
    ['{"input":"x"}', 'model'],
  ])
    assert.throws(
      () => readCall(dialect, body),
      (error: Error) => error instanceof UnreadableCall && error.param === param,
      body,
    )
})

test('usage is what the inputs cost', () => {
  assert.deepEqual(dialect.readUsage('{"data":[],"usage":{"prompt_tokens":3,"total_tokens":3}}'), { input_tokens: 3, output_tokens: 0 })
})
