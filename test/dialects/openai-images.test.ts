import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NOTHING_CLOSED, UnreadableCall, WHOLE_TEXT } from '../../src/dialects/dialect.ts'
import { openaiImages as dialect } from '../../src/dialects/openai/openai-images.ts'
import { Refusal } from '../../src/errors.ts'
import { everyPlace } from './every-place.ts'
import { at, FORM_TYPE, form, foundIn, promptOf, read, refusalOf } from './form.ts'
import { assistant, lengthened, opaque, other, readCall, readEvent, user } from './places.ts'
import { ends } from './reply-ends.ts'

const bodies = {
  'a prompt': {
    prompt: user('A cat'),
    model: 'gpt-image-1',
    n: 1,
    size: '1024x1024',
    quality: 'high',
    style: 'vivid',
    background: 'auto',
    moderation: 'low',
    output_format: 'png',
    response_format: 'b64_json',
    output_compression: 90,
    partial_images: 1,
    stream: true,
    user: other('ann'),
    safety_identifier: other('s-1'),
    svg: { model: 'gpt-5', reasoning: { effort: 'low' } },
    x_more: other('more'),
  },
  'pictures by address, by id and inline': {
    prompt: user('A dog'),
    images: [{ image_url: opaque('data:image/png;base64,iVBORw0KGgo=') }, { file_id: 'file_1' }, { image_url: other('https://example.com/a.png') }],
    mask: { image_url: opaque('data:image/png;base64,iVBORw0KGgo='), file_id: 'file_2' },
    image: [opaque('data:image/png;base64,iVBORw0KGgo='), opaque('iVBORw0KGgo='), other('not a picture')],
  },
}
const replies = {
  pictures: {
    created: 1,
    background: 'auto',
    output_format: 'png',
    quality: 'high',
    size: '1024x1024',
    data: [
      { b64_json: opaque('iVBORw0KGgo='), revised_prompt: assistant('A ginger cat') },
      { url: other('https://cdn/x.png') },
      { b64_json: other('a prompt') },
    ],
    usage: { input_tokens: 1, output_tokens: 2, total_tokens: 3, input_tokens_details: { image_tokens: 0, text_tokens: 1 } },
  },
  'pictures that are text': { output_format: 'svg', data: [{ b64_json: other('PHN2Zz4='.repeat(40)) }], svg_usage: { model: 'gpt-5', input_tokens: 1 } },
}

everyPlace(dialect, bodies, replies)

test('the prompt is the prompt; the model may be left out, and then none is named', () => {
  assert.equal(readCall(dialect, '{"prompt":"A cat"}').prompt, 'A cat')
  assert.deepEqual(readCall(dialect, '{"prompt":"A cat"}').models, [])
  assert.deepEqual(readCall(dialect, '{"prompt":"A cat"}', '/openai/deployments/d/images/generations', 'd').models, ['d'])
  assert.throws(() => readCall(dialect, '{"prompt":"x","model":["secret"]}'), UnreadableCall)
})

const png = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), Buffer.alloc(200, 0xff)])
const edits = at('/v1/images/edits')

test('a form says the same: prompt, model, stream; its pictures are counted, and every other field is read', () => {
  const call = read(
    form(
      { name: 'image[]', filename: 'image.png', type: 'image/png', content: png },
      { name: 'mask', filename: 'mask.png', type: 'image/png', content: png },
      { name: 'prompt', content: 'A dog' },
      { name: 'model', content: 'gpt-image-1' },
      { name: 'size', content: '1024x1024' },
      { name: 'user', content: 'ann@example.com' },
      { name: 'stream', content: 'true' },
    ),
    FORM_TYPE,
    edits,
  )
  assert.deepEqual([call.models, call.streaming, promptOf(call), call.opaqueBytes], [['gpt-image-1'], true, 'A dog', 2 * png.length])
  const found = foundIn(call)
  for (const one of ['user: A dog', 'other: ann@example.com', 'protocol: 1024x1024', 'protocol: gpt-image-1']) assert.ok(found.includes(one), one)
  assert.deepEqual(call.lastMessage && call.body.toString('utf8', call.lastMessage.start, call.lastMessage.end), 'A dog')
  assert.deepEqual(read(form({ name: 'image', filename: 'image.png', type: 'image/png', content: png }), FORM_TYPE, at('/v1/images/variations')).models, [])
})

test('a form whose fields contradict one another is read as all of them or refused', () => {
  const fields = (...pairs: [name: string, content: string][]) => form(...pairs.map(([name, content]) => ({ name, content })))
  assert.deepEqual(read(fields(['model', 'a'], ['model', 'b'], ['prompt', 'x']), FORM_TYPE, edits).models, ['a', 'b'])
  for (const [body, param] of [
    [fields(['stream', 'true'], ['stream', 'false']), 'stream'],
    [fields(['stream', 'yes']), 'stream'],
    [fields(['model', '']), 'model'],
    [fields(['model', 'm'.repeat(257)]), 'model'],
  ] as const)
    assert.equal(refusalOf(body, FORM_TYPE, edits).context.param, param)
})

test('a streamed picture is opaque, what is said beside it is a text by itself, and the completed one ends the stream', () => {
  const b64_json = lengthened('iVBORw0KGgo=')
  const event = (type: string, more = {}) => ({ type, b64_json, size: '1024x1024', ...more })
  const { pieces, closed } = readEvent(dialect, event('image_generation.partial_image', { revised_prompt: 'A cat' }))
  assert.deepEqual(
    pieces.filter(([, role]) => role !== 'protocol'),
    [
      [WHOLE_TEXT, 'opaque', b64_json],
      [WHOLE_TEXT, 'assistant', 'A cat'],
    ],
  )
  assert.equal(closed, NOTHING_CLOSED)
  const isLast = (type: string): boolean => dialect.isLastEvent(Buffer.from(`event: ${type}\ndata: ${JSON.stringify(event(type))}\n\n`))
  assert.deepEqual(['image_generation.partial_image', 'image_generation.completed', 'image_edit.completed'].map(isLast), [false, true, true])
})

test('usage is found behind a picture of any size', () => {
  const usage = { input_tokens: 3, output_tokens: 4, input_tokens_details: { text_tokens: 3 } }
  const data = [{ b64_json: 'A'.repeat(30_000) }]
  for (const reply of [
    { created: 1, data, usage },
    { created: 1, usage, data },
  ])
    assert.deepEqual(dialect.readUsage(ends(JSON.stringify(reply))), { input_tokens: 3, output_tokens: 4 })
  const completed = { type: 'image_generation.completed', ...data[0], size: '1024x1024', usage }
  assert.deepEqual(dialect.readUsage(ends(`event: image_generation.completed\ndata: ${JSON.stringify(completed)}\n\n`)), { input_tokens: 3, output_tokens: 4 })
})

test('a stream is stopped by the error, softly or not', () => {
  for (const soft of [true, false])
    assert.match(dialect.stopStream({ refusal: new Refusal('blocked_by_rule', 'm'), requestId: 'r', soft, open: [] }), /^data: \{"error":\{"message":"m"/)
})
