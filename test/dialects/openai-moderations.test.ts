import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UnreadableCall } from '../../src/dialects/dialect.ts'
import { openaiModerations as dialect } from '../../src/dialects/openai/openai-moderations.ts'
import { everyPlace } from './every-place.ts'
import { opaque, other, readCall, user } from './places.ts'

const bodies = {
  'a text, without a model': { input: user('Hello'), x_more: other('more') },
  'several texts': { model: 'omni-moderation-latest', input: [user('one'), user('two')] },
  parts: {
    model: 'omni-moderation-latest',
    input: [
      { type: 'text', text: user('Look:') },
      { type: 'image_url', image_url: { url: opaque('data:image/png;base64,iVBORw0KGgo=') } },
      { type: 'image_url', image_url: { url: other('https://example.com/a.png?q=secret') } },
    ],
  },
}
const replies = {
  results: {
    id: 'modr-1',
    model: 'omni-moderation-latest',
    results: [
      {
        flagged: true,
        categories: { harassment: false, 'harassment/threatening': false, 'self-harm': false, 'sexual/minors': false, 'violence/graphic': true, illicit: null },
        category_scores: { hate: 0.1, 'hate/threatening': 0, 'illicit/violent': 0, 'self-harm/intent': 0, 'self-harm/instructions': 0, sexual: 0, violence: 1 },
        category_applied_input_types: { violence: ['text', 'image'] },
      },
    ],
  },
}

everyPlace(dialect, bodies, replies)

test('the prompt is the inputs; the model may be left out, and then none is named', () => {
  assert.equal(readCall(dialect, '{"input":["one",{"type":"text","text":"two"}]}').prompt, 'one\ntwo')
  assert.deepEqual(readCall(dialect, '{"input":"x"}').models, [])
  assert.deepEqual(readCall(dialect, '{"input":"x","model":null}').models, [])
  assert.deepEqual(readCall(dialect, '{"input":"x","model":"m"}').models, ['m'])
})

test('refuses an input that is neither text nor parts, and a model that is no name', () => {
  for (const [body, param] of [
    ['{"input":{"secret":1}}', 'input'],
    ['{"input":[true]}', 'input[0]'],
    ['{"input":"x","model":7}', 'model'],
    ['[]', ''],
  ])
    assert.throws(
      () => readCall(dialect, body),
      (error: Error) => error instanceof UnreadableCall && error.param === param && !error.message.includes('secret'),
      body,
    )
})
