/** Replies that are neither one JSON value nor a stream of events, and what in any reply no rule can read. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openaiNative } from '../../src/dialects/index.ts'
import { openaiAudio } from '../../src/dialects/openai/openai-audio.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import { openaiImages } from '../../src/dialects/openai/openai-images.ts'
import { Refusal } from '../../src/errors.ts'
import { compile } from '../../src/rules/compile.ts'
import { screenFor } from '../../src/rules/replies/screen.ts'
import { tenantNamed } from '../harness/nouns.ts'
import { answer, CARD, inReply, JSON_HEAD, open, openai, rules, run, SSE, unreadable } from './screened.ts'
import { ask, rule } from './subject.ts'

const typed = (type: string): string[] => ['content-type', type]
const blocking = tenantNamed('t_1', { uninspectable: 'block' })
const allowing = tenantNamed('t_1', { uninspectable: 'allow' })
const stopped = (error: unknown): boolean => error instanceof Refusal && error.reason === 'blocked_by_rule'
const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')
const MEDIA = Buffer.alloc(300, 7).toString('base64')

test('text is judged as one text, cut as it stands, and its length corrected', () => {
  const srt = `1\r\n00:00:01,000 --> 00:00:02,000\r\nPay "${CARD}", Straße\r\n`
  for (const type of ['text/plain; charset=utf-8', 'text/vtt', 'application/x-subrip', 'text/html', 'application/xml']) {
    const { output, headers, counts } = answer(srt, { headers: [...typed(type), 'content-length', '9'] })
    assert.equal(output, srt.replace(CARD, '[CREDIT_CARD]').replace('Straße', '[REDACTED]'))
    assert.deepEqual(headers, [...typed(type), 'content-length', String(Buffer.byteLength(output))])
    assert.equal(counts.length, 2)
    assert.throws(() => answer('the launch codes', { headers: typed(type) }), stopped)
  }
  assert.throws(() => answer('no osprey', { headers: typed('text/plain'), policyRules: [rule(inReply('source', { operator: 'not_contains' }))] }), stopped)
})

test('text that a client could read as something else is judged as that, or not relayed', () => {
  const json = (text: string): string => `{"choices":[{"message":{"content":"${text}"}}]}`
  assert.equal(answer(json('\\u0034111 1111 1111 1111'), { headers: typed('text/plain') }).output, json('[CREDIT_CARD]'))
  assert.equal(answer('[Music] 4111-1111-1111-1111', { headers: typed('text/plain') }).output, '[Music] [CREDIT_CARD]')
  assert.throws(() => answer(openai.text('hello'), { headers: typed('text/plain') }), unreadable)
  assert.throws(() => answer('hello', { headers: typed('text/plain; charset=utf-16') }), unreadable)
  assert.throws(() => answer(Buffer.from('h\0e\0', 'latin1'), { headers: typed('text/plain') }), unreadable)
  assert.throws(() => answer(Buffer.from([0x68, 0xff]), { headers: typed('text/csv') }), unreadable)
})

test('lines of JSON are judged string by string, in every line, escapes included', () => {
  const lines = (...texts: string[]): string => texts.map((text) => `{"response":{"body":{"content":"${text}"}}}`).join('\n')
  const said = lines('\\u0034111 1111 1111 1111', 'clean', '\\n Osprey 4111111111111111')
  for (const type of ['application/jsonl', 'application/x-ndjson'])
    assert.equal(
      answer(`${said}\n\n`, { headers: typed(type), dialect: openaiNative }).output,
      `${lines('[CREDIT_CARD]', 'clean', '\\n Osprey [CREDIT_CARD]')}\n\n`,
    )
  assert.throws(() => answer(`${said}\n{`, { headers: typed('application/jsonl'), dialect: openaiNative }), unreadable)
  const apart = [rule({ all: [inReply('eagle'), inReply('osprey')] })]
  assert.throws(() => answer(lines('eagle', 'osprey'), { headers: typed('application/jsonl'), dialect: openaiNative, policyRules: apart }), stopped)
})

test('what does not say what it is counts as what it begins like', () => {
  for (const headers of [[], typed('application/octet-stream')]) {
    assert.equal(answer(`é ${CARD}`, { headers }).output, 'é [CREDIT_CARD]')
    const { output, uninspected } = answer(PNG, { headers })
    assert.deepEqual([output, uninspected], [PNG.toString(), PNG.length])
    const { sink, seen, uninspectedBytes } = open(openaiChat)
    sink.head(200, [...headers])
    for (const byte of Buffer.from('aé €')) sink.data(Buffer.of(byte))
    sink.end()
    assert.deepEqual([seen.written.join(''), uninspectedBytes()], ['aé €', 0])
    assert.equal(answer('', { headers }).ended, 'end')
  }
  const late = Buffer.concat([Buffer.from('text at first'), PNG])
  assert.equal(answer(late, { headers: [] }).uninspected, late.length)
})

test('media pass, are counted and leave a finding; whoever allows them is told only how many bytes; whoever blocks them gets none', () => {
  for (const type of ['audio/mpeg', 'image/png', 'video/mp4']) {
    const warned = answer(PNG, { headers: typed(type) })
    assert.deepEqual([warned.output, warned.uninspected, warned.counts], [PNG.toString(), PNG.length, [['uninspectable', 1]]])
    const allowed = answer(PNG, { headers: typed(type), tenant: allowing })
    assert.deepEqual([allowed.output, allowed.uninspected, allowed.counts], [PNG.toString(), PNG.length, []])
    const { sink, seen, counts } = open(openaiChat, rules, { tenant: blocking })
    assert.throws(() => sink.head(200, typed(type)), stopped)
    assert.deepEqual([seen.status, seen.written, counts()], [0, [], [['uninspectable', 1]]])
  }
  assert.throws(() => answer(PNG, { headers: typed('application/octet-stream'), tenant: blocking }), stopped)
  assert.equal(answer('hello', { headers: typed('application/octet-stream'), tenant: blocking }).output, 'hello')
})

test('media inside JSON and inside events are media all the same', () => {
  const image = JSON.stringify({ created: 1, data: [{ b64_json: MEDIA }] })
  const plain = answer(image, { dialect: openaiImages })
  assert.deepEqual([plain.output, plain.uninspected, plain.counts], [image, MEDIA.length, [['uninspectable', 1]]])
  assert.throws(() => answer(image, { dialect: openaiImages, tenant: blocking }), stopped)
  const event = `data: ${JSON.stringify({ type: 'speech.audio.delta', audio: MEDIA })}\n\n`
  const streamed = run(openaiAudio, [event, event], rules)
  assert.deepEqual([streamed.output, streamed.uninspected, streamed.counts], [event + event, 2 * MEDIA.length, [['uninspectable', 2]]])
  const { sink, seen } = open(openaiChat, [], { tenant: blocking })
  sink.head(200, [...SSE])
  sink.data(Buffer.from(openai.text('listen')))
  assert.throws(() => sink.data(Buffer.from(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { audio: { data: MEDIA } } }] })}\n\n`)), stopped)
  sink.error()
  assert.deepEqual(seen.written, [openai.text('listen')])
})

test('where no rule reads replies nothing stands in the way, unless the tenant blocks what cannot be inspected', () => {
  const screenOf = (tenant: typeof blocking) => screenFor(compile(1, []).judge(ask('hi')), openaiChat, { tenant })
  assert.equal(screenOf(tenantNamed('t_1')), null)
  assert.equal(screenOf(allowing), null)
  assert.notEqual(screenOf(blocking), null)
  const chunks = [openai.text('it is 4111'), openai.text(' [SSN_'), openai.end]
  const { output, after, counts } = run(openaiChat, chunks, [], { tenant: blocking })
  assert.deepEqual([output, after, counts], [chunks.join(''), [1, 2, 4], []], 'every event leaves at once')
  const logprobs = '{"choices":[{"message":{"content":"x"},"logprobs":{"content":[]}}]}'
  assert.equal(answer(logprobs, { policyRules: [], tenant: blocking, headers: JSON_HEAD }).output, logprobs)
})
