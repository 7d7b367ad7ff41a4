import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatOf, pathIn } from '../../src/dialects/bodies/read-call.ts'
import { Refusal } from '../../src/errors.ts'
import { compile } from '../../src/rules/compile.ts'
import { redact } from '../../src/rules/redact.ts'
import { rule, subjectOf } from '../rules/subject.ts'
import { at, files, foundIn, read, refusalOf } from './form.ts'

const chat = at('/v1/chat/completions')
const upload = at('/upload/v1beta/files')
const JSON_BODY = '{"model":"m","messages":[{"role":"user","content":"hi"}]}'
const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')

/** How a body is read: by its type, its bytes, and what the path is. */
const formats: [name: string, body: string | Buffer, type: string, endpoint: typeof files, format: string][] = [
  ['JSON', '{"a":1}', 'application/json', files, 'json'],
  ['JSON of some kind', '{"a":1}', 'application/vnd.x+json; charset="UTF-8"', files, 'json'],
  ['JSON that does not say so', '{"a":1}', 'text/plain;charset=UTF-8', files, 'json'],
  ['JSON without any type', '[1]', '', files, 'json'],
  ['a call without any type', JSON_BODY, '', chat, 'json'],
  ['a call as fetch sends it', JSON_BODY, 'text/plain;charset=UTF-8', chat, 'json'],
  ['a call as curl sends it', JSON_BODY, 'application/x-www-form-urlencoded', chat, 'json'],
  ['text', 'hello', 'text/plain', files, 'text'],
  ['text of any other type', 'a,b\n1,2', 'text/csv', files, 'text'],
  ['text in the bytes of an upload', 'hello', 'application/octet-stream', upload, 'text'],
  ['JSON in the bytes of an upload', ' {"a":"\\u0041"}', 'application/octet-stream', upload, 'json'],
  ['lines in the bytes of an upload', '{"a":1}\n{"a":2}\n', 'application/octet-stream', upload, 'jsonl'],
  ['text that begins like JSON in an upload', '[link](https://example.org)', 'text/plain', upload, 'text'],
  ['a picture', PNG, 'image/png', upload, 'binary'],
  ['a picture that says it is text', PNG, 'text/plain', upload, 'binary'],
  ['UTF-16', Buffer.from('hello', 'utf16le'), 'text/plain', upload, 'binary'],
  ['nothing', '', '', files, 'none'],
  ['nothing that says it is JSON', '', 'application/json', files, 'none'],
]
for (const [name, body, type, endpoint, format] of formats) {
  test(`${name} is read as ${format}, and travels on as it came`, () => {
    const call = read(body, type, endpoint)
    assert.deepEqual([call.format, call.contentType, call.body.equals(Buffer.from(body))], [format, type, true])
    assert.equal(call.opaqueBytes, format === 'binary' ? body.length : 0)
    assert.equal(call.slots.length > 0, ['text', 'jsonl'].includes(format) || String(body).includes('"') || name === 'UTF-16')
  })
}

test('a form is known by its type before its body is there, and what no endpoint takes is refused then', () => {
  assert.equal(formatOf('multipart/form-data; boundary=x', files, null), 'multipart')
  assert.equal(formatOf('application/jsonl', files, null), 'jsonl')
  assert.equal(formatOf('image/png', files, null), 'none')
  for (const [type, endpoint] of [
    ['application/json; charset=utf-16', files],
    ['application/json; charset=utf-8; charset=utf-16', files],
    ['application/json; charset = utf-7', chat],
    ['application/json; charset*=utf-8', chat],
    ['application/json; x="; charset=utf-8"; charset=utf-7', chat],
    ['text/plain; charset=latin1', files],
    ['multipart/mixed; boundary=x', files],
    ['multipart/form-data; boundary=x', chat],
    ['application/xml', chat],
    ['application/octet-stream', chat],
  ] as const) {
    const refusal = formatOf(type, endpoint, null)
    assert.ok(refusal instanceof Refusal && refusal.status === 415, type)
  }
})

test('what is refused: JSON that is none, bytes that are no UTF-8, and fields behind percent signs', () => {
  assert.equal(refusalOf('{"a":1,"a":2}', 'application/octet-stream; x=y', at('/v1/chat/completions')).status, 415)
  assert.match(refusalOf('{"a":', 'text/plain').message, /ends too early/)
  assert.match(refusalOf(Buffer.from([0x7b, 0xff]), 'application/json').message, /not valid UTF-8/)
  assert.equal(refusalOf('a=%73ecret', 'application/x-www-form-urlencoded').status, 415)
  assert.match(refusalOf('', 'application/json', chat).message, /ends too early/)
  const { message, context } = refusalOf('{"model":"m","messages":"a secret"}', 'application/json', chat)
  assert.deepEqual([message, context.param], ["'messages' must be an array.", 'messages'])
})

test('a text is one text, at the place `body`, and is cut as it lies', () => {
  const call = read('Contact: me@example.org, \\u0041 "x"', 'text/csv')
  assert.deepEqual(foundIn(call), ['other: Contact: me@example.org, \\u0041 "x"'])
  assert.equal(pathIn(call)(0), 'body')
  const verdict = compile(1, [rule({ operator: 'detects', value: 'email' }, 'REDACT')]).judge(subjectOf(call))
  const result = redact(call, verdict)
  assert.equal('outbound' in result && result.outbound.toString(), 'Contact: [EMAIL], \\u0041 "x"')
})

test('the model of a path counts for whatever its body is', () => {
  const endpoint = at('/v1/models/gpt-4o/later')
  assert.deepEqual(read('hello', 'text/csv', endpoint).models, ['gpt-4o'])
  assert.deepEqual(read('{"model":"other"}', 'application/json', endpoint).models, ['gpt-4o', 'other'])
  assert.deepEqual(read('{"model":"other"}\n', 'application/jsonl', endpoint).models, ['gpt-4o', 'other'])
  assert.deepEqual(read('', '', endpoint).models, ['gpt-4o'])
  assert.match(refusalOf(`{"model":"${'m'.repeat(257)}"}`, 'application/json', endpoint).message, /'model' must be/)
})

test('an empty prompt and its absence differ in nothing a hash could tell; the last message is where it stands', () => {
  const call = read(JSON_BODY, 'application/json', chat)
  assert.equal(JSON_BODY.slice(call.lastMessage?.start, call.lastMessage?.end), '{"role":"user","content":"hi"}')
  assert.deepEqual([call.promptEnd, call.models, call.streaming], [2, ['m'], false])
})
