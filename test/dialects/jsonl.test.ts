import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { pathIn } from '../../src/dialects/bodies/read-call.ts'
import { compile } from '../../src/rules/compile.ts'
import { redact } from '../../src/rules/redact.ts'
import { rule, subjectOf } from '../rules/subject.ts'
import { at, foundIn, promptOf, read, refusalOf } from './form.ts'

const LINES = 'application/jsonl'
const lines = (...values: unknown[]): string => values.map((value) => `${JSON.stringify(value)}\n`).join('')
const openaiLine = (url: string, body: object): object => ({ custom_id: 'r-1', method: 'POST', url, body })
const MARKER = 'mårker "7f3a"'

/** Every place of a line: what the line is, the role with which the marker is found, and what the place is called. */
const places: Readonly<Record<string, { line: object; role: string; path: string }>> = {
  'a training example': { line: { messages: [{ role: 'user', content: MARKER }] }, role: 'other', path: 'messages[0].content' },
  'a member nobody knows': { line: { deeper: { text: [MARKER] } }, role: 'other', path: '*.text[0]' },
  'a member’s name': { line: { [MARKER]: 1 }, role: 'protocol', path: '*' },
  'an id of a batch': { line: { ...openaiLine('/v1/chat/completions', { model: 'm', messages: [] }), custom_id: MARKER }, role: 'protocol', path: 'custom_id' },
  'a system message of OpenAI’s batch': {
    line: openaiLine('/v1/chat/completions', { model: 'm', messages: [{ role: 'system', content: MARKER }] }),
    role: 'system',
    path: 'body.messages[0].content',
  },
  'a user’s message at a URL as Azure writes it': {
    line: openaiLine('/chat/completions', { messages: [{ role: 'user', content: MARKER }], model: 'm' }),
    role: 'user',
    path: 'body.messages[0].content',
  },
  'a tool result in parts': {
    line: openaiLine('/v1/chat/completions', { model: 'm', messages: [{ role: 'tool', tool_call_id: 'c', content: [{ type: 'text', text: MARKER }] }] }),
    role: 'tool_result',
    path: 'body.messages[0].content[0].text',
  },
  'a call at a URL nobody knows': { line: openaiLine('/v1/later', { model: 'm', input: { text: MARKER } }), role: 'other', path: 'body.input.text' },
  'Anthropic’s system prompt': {
    line: { custom_id: 'r', params: { model: 'claude', max_tokens: 5, system: MARKER, messages: [{ role: 'user', content: 'x' }] } },
    role: 'system',
    path: 'params.system',
  },
  'Gemini’s instruction': {
    line: { key: 'r', request: { contents: [{ role: 'user', parts: [{ text: 'x' }] }], systemInstruction: { parts: [{ text: MARKER }] } } },
    role: 'system',
    path: 'request.systemInstruction.parts[0].text',
  },
}

for (const [name, { line, role, path }] of Object.entries(places)) {
  test(`a marker in ${name} is found there, once, with its role, and the line is named`, () => {
    const call = read(`${lines({ a: 1 })}\n${lines(line)}`, LINES)
    const hits = call.slots.filter(({ from, to }) => call.text.toString('utf8', from, to) === MARKER)
    assert.deepEqual(
      hits.map((slot) => slot.role),
      [role],
    )
    assert.equal(pathIn(call)(hits[0].start), `line 3: ${path}`)
  })
}

test('lines are read whatever the type calls them, and the prompts of all lines come first, in their order', () => {
  const chat = (content: string): object => openaiLine('/v1/chat/completions', { model: 'm', messages: [{ role: 'user', content }] })
  for (const type of ['application/jsonl', 'application/x-ndjson', 'application/x-jsonlines', 'text/jsonl; charset=utf-8']) {
    const call = read(lines(chat('one'), chat('two')), type)
    assert.deepEqual([call.format, promptOf(call), call.contentType], ['jsonl', 'one\ntwo', type])
  }
  const last = read(lines(chat('one')).trimEnd(), LINES)
  assert.equal(promptOf(last), 'one', 'a last line needs no end')
  assert.deepEqual(read('\r\n \n', LINES).slots, [])
})

test('the models are those of all lines, wherever a batch names them, each once', () => {
  const body = lines(
    { model: 'a', messages: [] },
    { body: { model: 'b' } },
    { params: { model: 'c' } },
    { request: { model: 'models/d' } },
    { body: { model: 'a' } },
    { model: 5 },
    {},
  )
  assert.deepEqual(read(body, LINES).models, ['a', 'b', 'c', 'd'])
  assert.match(refusalOf(lines(...Array.from({ length: 65 }, (_, i) => ({ body: { model: `m${i}` } }))), LINES).message, /more than 64 models/)
  assert.match(refusalOf(lines({ body: { model: 'm'.repeat(257) } }), LINES).message, /In line 1: 'model'/)
})

test('a table with a column called model names no models, however many it lists', () => {
  const { models, slots } = read(lines(...Array.from({ length: 100 }, (_, i) => ({ make: 'Ford', model: `Focus ${i}` }))), LINES)
  assert.deepEqual([models, slots.filter(({ role }) => role === 'other').length], [[], 200])
})

const bad: Readonly<Record<string, [body: string | Buffer, message: RegExp]>> = {
  'a line that is no JSON': ['{}\n\n{"a":\n{}', /^In line 3: .*ends too early/],
  'a line with a repeated name': ['{}\n{"a":"x","a":"y"}\n', /^In line 2: .*repeats a member name/],
  'two values on one line': ['{}{}\n', /^In line 1: .*goes on after its end/],
  'a lone carriage return between values': ['{"a":1}\r{"b":2}\n', /^In line 1: /],
  'a control character': ['{"a":"\u0001"}\n', /^In line 1: .*control character/],
  'a byte order mark': ['\uFEFF{}\n', /^In line 1: .*byte order mark/],
  'broken UTF-8': [Buffer.from([0x22, 0xff, 0x22]), /not valid UTF-8/],
  'a call that lacks its messages': [lines(openaiLine('/v1/chat/completions', { model: 'm' })), /^In line 1: 'messages' must be an array/],
}
for (const [name, [body, message]] of Object.entries(bad)) {
  test(`${name}: refused, and the line is named`, () => {
    const refusal = refusalOf(body, LINES)
    assert.equal(refusal.reason, 'invalid_request')
    assert.match(refusal.message, message)
  })
}

test('more lines or texts than the bounds are refused', () => {
  assert.match(refusalOf('1\n'.repeat(100_001), LINES).message, /^In line 100001: /)
  assert.match(refusalOf(`[${'"",'.repeat(99_999)}""]\n`.repeat(6), LINES).message, /^In line 6: .*more than 500000 texts/)
})

test('lines are no body of a call that a dialect describes', () => {
  assert.equal(refusalOf('{}\n', LINES, at('/v1/chat/completions')).status, 415)
})

test('a line that is cut stays the line it was, and every other line keeps its bytes', () => {
  const text = fc.array(fc.constantFrom('123-45-6789', 'é', '"', '\\', '\n', '😀', ' ', 'x', '\u2028'), { maxLength: 6 }).map((parts) => parts.join(''))
  const shapes: readonly ((text: string) => object)[] = [
    (content) => openaiLine('/v1/chat/completions', { messages: [{ role: 'user', content }], model: 'm', temperature: 1 }),
    (text) => ({ text, n: [1, 2.5e3] }),
    (text) => ({ custom_id: 'r', params: { messages: [{ content: [{ type: 'text', text }], role: 'user' }], model: 'm', max_tokens: 3 } }),
  ]
  const policy = compile(1, [rule({ operator: 'detects', value: 'ssn' }, 'REDACT')])
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(2), text, fc.constantFrom('\n', '\r\n', '\n\n')), { maxLength: 6 }), (rows) => {
      const body = rows.map(([shape, said, end]) => JSON.stringify(shapes[shape](said)) + end).join('')
      const call = read(body, LINES)
      const verdict = policy.judge(subjectOf(call))
      const result = redact(call, verdict)
      assert.ok('outbound' in result)
      const cut = (said: string): string => {
        const spans = policy.judge(subjectOf(read(lines([said]), LINES))).redactions
        let bytes = Buffer.from(said)
        for (const { start, end } of spans.toReversed()) bytes = Buffer.concat([bytes.subarray(0, start), Buffer.from('[SSN]'), bytes.subarray(end)])
        return bytes.toString()
      }
      const expected = rows.map(([shape, said, end]) => JSON.stringify(shapes[shape](cut(said))) + end).join('')
      assert.equal(result.outbound.toString(), expected)
    }),
    { numRuns: 200 },
  )
})

test('strings of a batch line are found once, marked or not', () => {
  const call = read(lines({ ...openaiLine('/v1/chat/completions', { model: 'm', messages: [{ role: 'user', content: 'hi', later: 'l' }] }), note: 'n' }), LINES)
  assert.deepEqual(foundIn(call), [
    'user: hi',
    'protocol: r-1',
    'protocol: POST',
    'protocol: /v1/chat/completions',
    'protocol: m',
    'protocol: user',
    'protocol: later',
    'other: l',
    'protocol: note',
    'other: n',
  ])
})
