import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createJsonReader } from '../../src/dialects/bodies/json-reader.ts'
import { NOTHING_CLOSED, UnreadableCall, WHOLE_TEXT } from '../../src/dialects/dialect.ts'
import { openaiAudio as dialect } from '../../src/dialects/openai/openai-audio.ts'
import { Refusal } from '../../src/errors.ts'
import { everyPlace } from './every-place.ts'
import { at, FORM_TYPE, form, foundIn, promptOf, read, refusalOf } from './form.ts'
import { assistant, lengthened, opaque, other, readCall, readEvent, system, user } from './places.ts'

const bodies = {
  'a text to be spoken': {
    model: 'gpt-4o-mini-tts',
    input: user('Hello'),
    instructions: system('Speak kindly.'),
    voice: 'alloy',
    response_format: 'wav',
    stream_format: 'sse',
    speed: 1,
    x_more: other('more'),
  },
  'a voice of the caller’s own': { model: 'tts-1', input: user('Hello'), voice: { id: 'voice_1' } },
  'speech in JSON, as compatible providers take it': {
    model: 'whisper-1',
    file: opaque('UklGRg=='),
    prompt: user('Names: Ann'),
    language: 'en',
    timestamp_granularities: ['word'],
    include: ['logprobs'],
    keywords: [other('Earthflow')],
  },
}
const replies = {
  'what was said, in one piece, in segments and in words': {
    task: 'transcribe',
    language: 'english',
    duration: 1.5,
    text: assistant('Hello Ann'),
    segments: [
      {
        id: 0,
        seek: 0,
        start: 0,
        end: 1,
        text: assistant('Hello Ann'),
        tokens: [1, 2],
        temperature: 0,
        avg_logprob: 0,
        compression_ratio: 1,
        no_speech_prob: 0,
      },
    ],
    words: [{ word: assistant('Hello'), start: 0, end: 1 }],
    logprobs: [{ token: other('Hello'), bytes: [72], logprob: 0 }],
    usage: { type: 'tokens', input_tokens: 1, output_tokens: 2, total_tokens: 3 },
  },
  'who said what': {
    text: assistant('Hello'),
    languages: [{ code: 'en' }],
    segments: [{ type: 'transcript.text.segment', id: 'seg_1', speaker: other('Ann'), start: 0, end: 1, text: assistant('Hello') }],
    usage: { type: 'duration', seconds: 2 },
  },
}

everyPlace(dialect, bodies, replies)

test('the prompt is what is to be spoken; the reply is streamed where events are asked for', () => {
  assert.equal(readCall(dialect, '{"model":"m","input":"Hello","voice":"alloy","instructions":"Kindly"}').prompt, 'Kindly\nHello')
  const streaming = (more: string): boolean => readCall(dialect, `{"model":"m","input":"x"${more}}`).streaming
  assert.deepEqual(
    [streaming(''), streaming(',"stream_format":"audio"'), streaming(',"stream_format":"sse"'), streaming(',"stream":true')],
    [false, false, true, true],
  )
  assert.throws(() => readCall(dialect, '{"input":"x"}'), UnreadableCall)
})

const wav = Buffer.concat([Buffer.from('RIFF\0\0\0\0WAVE', 'latin1'), Buffer.alloc(200, 0xff)])
const transcriptions = at('/v1/audio/transcriptions')
const sound = { name: 'file', filename: 'audio.wav', type: 'audio/wav', content: wav }

test('a form says what is to be written down: model, prompt, stream; the sound is counted, and every other field is read', () => {
  const call = read(
    form(
      sound,
      { name: 'model', content: 'gpt-4o-transcribe' },
      { name: 'prompt', content: 'Names: Ann' },
      { name: 'language', content: 'en' },
      { name: 'timestamp_granularities[]', content: 'word' },
      { name: 'keywords[]', content: 'Earthflow' },
      { name: 'stream', content: 'true' },
    ),
    FORM_TYPE,
    transcriptions,
  )
  assert.deepEqual([call.models, call.streaming, promptOf(call), call.opaqueBytes], [['gpt-4o-transcribe'], true, 'Names: Ann', wav.length])
  for (const one of ['user: Names: Ann', 'other: Earthflow', 'protocol: en', 'protocol: word']) assert.ok(foundIn(call).includes(one), one)
  const deployed = read(form(sound), FORM_TYPE, at('/openai/deployments/whisper/audio/translations'))
  assert.deepEqual(deployed.models, ['whisper'])
})

test('a form without a model is refused', () => {
  assert.equal(refusalOf(form(sound), FORM_TYPE, transcriptions).context.param, 'model')
})

test('what is written down comes in pieces of one text, which the whole text closes', () => {
  const texts = (event: object) => {
    const { pieces, closed } = readEvent(dialect, event)
    return { texts: pieces.filter(([, role]) => role !== 'protocol'), closed }
  }
  assert.deepEqual(texts({ type: 'transcript.text.delta', delta: 'Hel', segment_id: 's' }), { texts: [[0, 'assistant', 'Hel']], closed: NOTHING_CLOSED })
  assert.deepEqual(texts({ type: 'transcript.text.segment', id: 's', speaker: 'A', text: 'Hello' }), {
    texts: [[WHOLE_TEXT, 'assistant', 'Hello']],
    closed: NOTHING_CLOSED,
  })
  assert.deepEqual(texts({ type: 'transcript.text.done', text: 'Hello' }), { texts: [[WHOLE_TEXT, 'assistant', 'Hello']], closed: 0 })
  const audio = lengthened('UklG')
  assert.deepEqual(texts({ type: 'speech.audio.delta', audio }), { texts: [[WHOLE_TEXT, 'opaque', audio]], closed: NOTHING_CLOSED })
})

test('a stream ends with its last event', () => {
  const isLast = (type: string): boolean => dialect.isLastEvent(Buffer.from(`data: ${JSON.stringify({ type })}\n\n`))
  assert.deepEqual(['transcript.text.delta', 'speech.audio.delta', 'transcript.text.done', 'speech.audio.done'].map(isLast), [false, false, true, true])
})

test('words and tokens are the text once more', () => {
  const json = createJsonReader()(Buffer.from('{"text":"a","words":[1],"logprobs":null,"segments":[{"tokens":[2],"text":"a"},{"tokens":null}]}'))
  const found: string[] = []
  dialect.eachRepeat(json, (node) => found.push(json.bytes.toString('utf8', json.tape[node], json.tape[node + 1])))
  assert.deepEqual(found, ['[1]', '[2]'])
})

test('usage is tokens where there are any, and not seconds', () => {
  const tokens = { type: 'tokens', input_tokens: 3, input_token_details: { text_tokens: 1, audio_tokens: 2 }, output_tokens: 4, total_tokens: 7 }
  const counted = { input_tokens: 3, audio_input_tokens: 2, output_tokens: 4 }
  assert.deepEqual(dialect.readUsage(JSON.stringify({ text: 'x', usage: tokens })), counted)
  assert.deepEqual(dialect.readUsage(`data: ${JSON.stringify({ type: 'speech.audio.done', usage: tokens })}\n\n`), counted)
  assert.equal(dialect.readUsage(JSON.stringify({ text: 'x', usage: { type: 'duration', seconds: 3 } })), null)
})

test('a stream is stopped by the error, softly or not', () => {
  for (const soft of [true, false])
    assert.match(dialect.stopStream({ refusal: new Refusal('blocked_by_rule', 'm'), requestId: 'r', soft, open: [] }), /^data: \{"error":\{"message":"m"/)
})
