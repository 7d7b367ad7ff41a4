import assert from 'node:assert/strict'
import { isUtf8 } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import { NONE } from '../../src/dialects/bodies/json.ts'
import { createJsonReader, UnreadableJson } from '../../src/dialects/bodies/json-reader.ts'
import { spacedJson } from './spaced-json.ts'

const read = createJsonReader()
const accepts = (text: string | Buffer): boolean => {
  try {
    read(Buffer.from(text))
    return true
  } catch (error) {
    assert.ok(error instanceof UnreadableJson, String(error))
    return false
  }
}
const parses = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

test('accepts exactly what JSON.parse accepts, save repeated names, half surrogate pairs and numbers beyond a double', () => {
  const seeds = [
    '{"a":[1,-2.5e+10,true,false,null,"x\\n\\u00e9\\ud83d\\ude00"],"b":{"c":{}, "d":[]}}',
    '[0, -0, 1e5, "\\\\\\"", {"k" : "v"}]',
    ' "s" ',
    '{"a":1,"b":"é😀"}',
  ]
  let seed = 7
  const random = (below: number): number => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return seed % below
  }
  const alphabet = '{}[]",:\\u0129aeE+-.tfn \n\té'
  let checked = 0
  let accepted = 0
  for (let round = 0; round < 60_000; round++) {
    const text = [...seeds[random(seeds.length)]]
    for (let edits = 1 + random(3); edits > 0; edits--) {
      const at = random(text.length)
      const kind = random(3)
      text.splice(at, kind === 0 ? 0 : 1, ...(kind === 1 ? [] : [alphabet[random(alphabet.length)]]))
    }
    const mutated = text.join('')
    if (/"(.)"\s*:.*"\1"\s*:/.test(mutated) || /""\s*:.*""\s*:/.test(mutated)) continue
    const parsed = parses(mutated)
    if (parsed && !isStrict(JSON.parse(mutated))) continue
    checked++
    if (parsed) accepted++
    assert.equal(accepts(mutated), parsed, mutated)
  }
  assert.ok(checked > 50_000 && accepted > 3_000, `${checked} checked, ${accepted} accepted`)
})

const isStrict = (value: unknown): boolean => {
  if (typeof value === 'string') return value.isWellFormed()
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || value === null) return true
  return Object.entries(value).every(([key, item]) => isStrict(key) && isStrict(item))
}

test('accepts any JSON, however it is spaced and escaped', () => {
  fc.assert(
    fc.property(spacedJson(), ({ text }) => accepts(text)),
    { numRuns: 500 },
  )
})

test('refuses repeated names, also when one is written with escapes, and in large objects', () => {
  for (const bad of ['{"a":1,"a":2}', '{"model":"x","mod\\u0065l":"y"}', '{"mod\\u0065l":"x","m\\u006fdel":"y"}', '{"x":{"é":1,"\\u00e9":2}}', '{"":1,"":2}']) {
    assert.throws(() => read(Buffer.from(bad)), /repeats a member name/, bad)
  }
  const many = Array.from({ length: 40 }, (_, i) => `"k${i}":${i}`)
  assert.equal(accepts(`{${many.join()}}`), true)
  assert.equal(accepts(`{${many.join()},"k3":0}`), false)
  assert.equal(accepts(`{${many.join()},"k3\\u0039":0}`), false)
  assert.equal(accepts(`{${many.join()},"model":1,"mod\\u0065l":0}`), false)
})

test('refuses half of a surrogate pair in strings and names, and accepts whole ones', () => {
  const halves = ['\\ud800', '\\udc00', 'x\\uD83D', '\\ud83dx', '\\ud83d\\n', '\\ud83d\\u0041', '\\ud83d\\ud83d', '\\ude00\\ud83d', '\\ud83d\\ude00\\ude00']
  for (const half of halves) {
    assert.throws(() => read(Buffer.from(`["${half}"]`)), /half a surrogate pair/, half)
    assert.throws(() => read(Buffer.from(`{"${half}":1}`)), /half a surrogate pair/, half)
  }
  for (const whole of ['\\ud83d\\ude00', '\\uD83D\\uDE00\\ud83d\\ude00', '\\ud7ff\\ue000', '\\\\ud800']) assert.equal(accepts(`["${whole}"]`), true, whole)
  assert.equal(isUtf8(Buffer.from('"\xed\xa0\x80"', 'latin1')), false, 'raw halves are the business of isUtf8')
})

test('refuses numbers that overflow a double, and accepts every other', () => {
  for (const bad of ['1e400', '-1e400', '1E+309', `${'9'.repeat(310)}`, `-${'9'.repeat(310)}.5`, `1${'0'.repeat(300)}e10`]) {
    assert.throws(() => read(Buffer.from(`{"a":${bad}}`)), /too large for a double/, bad.slice(0, 10))
  }
  for (const good of ['123456789012345678901234567890', '9'.repeat(308), '1e308', '1e-400', `1${'0'.repeat(400)}e-300`, '-0', '1.0'])
    assert.equal(accepts(good), true, good.slice(0, 10))
})

test('a long string is read like a short one: its control characters, escapes, end and bounds are found wherever they are', () => {
  const long = 'é'.repeat(200)
  for (const length of [400, 4095, 4096, 4097, 5000, 300_000]) {
    const text = `${long}${'x'.repeat(length - 400)}`
    // The last two are the ends of what the engine reads at once.
    for (const at of [0, 399, length - 1, length, ...(length > 69_632 ? [69_631, 69_632] : [])]) {
      const bytes = Buffer.from(text)
      const withIn = (put: string) => Buffer.concat([Buffer.from('["'), bytes.subarray(0, at), Buffer.from(put), bytes.subarray(at), Buffer.from('", "y"]')])
      for (const [put, taken] of [
        ['', true],
        ['\\n', true],
        ['\\"', true],
        ['\\u00e9', true],
        ['\u007f', true],
        ['\n', false],
        ['\0', false],
        ['\\x', false],
        ['\\ud800', false],
        ['"', false],
      ] as [string, boolean][]) {
        const body = withIn(put)
        assert.equal(accepts(body), taken, `${length} at ${at}: ${JSON.stringify(put)}`)
        if (!taken || at === 399) continue // in the middle of a character
        const json = read(body)
        assert.equal(json.text(json.firstItem(0)), JSON.parse(body.toString())[0])
      }
    }
    assert.equal(accepts(`["${text}`), false, 'a string without end')
    const body = Buffer.from(`"${text}" "`)
    const end = body.length - 3
    assert.throws(() => read(body, 0, end), UnreadableJson, 'its end lies beyond what is read')
    assert.equal(read(body, 0, end + 1).isString(0), true)
  }
})

test('refuses a byte order mark, UTF-16, comments, NaN, single quotes and trailing bytes', () => {
  assert.throws(() => read(Buffer.from('\ufeff{}')), /byte order mark/)
  for (const bad of [
    '{}x',
    '{} {}',
    '[1,]',
    '{"a":1,}',
    '/**/{}',
    '{}//',
    'NaN',
    'Infinity',
    "{'a':1}",
    '{a:1}',
    '',
    ' ',
    '01',
    '+1',
    '.5',
    '1.',
    '"\t"',
    'nul',
    'True',
  ]) {
    assert.equal(accepts(bad), false, bad)
  }
  assert.equal(accepts(Buffer.from('{"a":1}', 'utf16le')), false)
})

test('refuses deep nesting and too many values', () => {
  assert.equal(accepts('['.repeat(64) + ']'.repeat(64)), true)
  assert.throws(() => read(Buffer.from('['.repeat(65) + ']'.repeat(65))), /deeper than 64 \(byte 64\)/)
  assert.throws(() => read(Buffer.from('['.repeat(100_000))), /deeper/)
  assert.throws(() => read(Buffer.from('{"a":'.repeat(100_000))), /deeper/)
  assert.equal(accepts(`[${'0,'.repeat(199_998)}0]`), true)
  assert.throws(() => read(Buffer.from(`[${'0,'.repeat(499_999)}0]`)), /more than 500000 values/)
  assert.throws(() => read(Buffer.from(`[${'{},'.repeat(2_000_000)}{}]`)), /more than/)
})

test('50,000 names that look like integers are read, and a repeated one among them is found', () => {
  const names = Array.from({ length: 50_000 }, (_, i) => `"${i}":0`)
  assert.equal(accepts(`{${names.join()}}`), true)
  assert.equal(accepts(`{${names.join()},"49999":0}`), false)
})

test('a message names the byte and what is wrong, and never quotes the body', () => {
  for (const bad of [
    '{"secret" "x"}',
    '{"a":"secret\n"}',
    '["secret\\q"]',
    '[secret]',
    '{"secret":1,"secret":2}',
    '"secret',
    '{"secret":1e999}',
    '{"secret\\ud800":1}',
    '"a" secret',
  ]) {
    assert.throws(
      () => read(Buffer.from(bad)),
      (error: Error) =>
        error instanceof UnreadableJson && /\(byte \d+\)\.$/.test(error.message) && !error.message.includes('secret') && error.cause === undefined,
      bad,
    )
  }
})

test('reads a part of a buffer and nothing beyond it', () => {
  const bytes = Buffer.from('data: {"a":"b"}\n\n"rest"')
  const json = read(bytes, 6, 15)
  assert.equal(json.text(json.get(0, 'a')), 'b')
  assert.equal(json.start(json.get(0, 'a')), 12)
  for (const [start, end] of [
    [6, 14],
    [6, 13],
    [6, 16 + 2],
    [17, 20],
  ])
    assert.throws(() => read(bytes, start, end), UnreadableJson)
  assert.throws(() => read(Buffer.from('{"a":12}'), 0, 7), UnreadableJson)
  assert.throws(() => read(Buffer.from('tru' + 'e'), 0, 3), UnreadableJson)
})

test('walks objects and arrays, finds members by known and unknown names, however they are spelled, and tells kinds apart', () => {
  const json = read(Buffer.from('{"mod\\u0065l":"m","zzz":[1,"two",{"n":-3.5}],"t":true,"f":false,"nil":null,"e":{},"ea":[]}'))
  assert.equal(json.text(json.get(0, 'model')), 'm')
  const list = json.get(0, 'zzz')
  assert.ok(json.isArray(list) && !json.isObject(list))
  assert.equal(json.number(json.firstItem(list)), 1)
  assert.equal(json.firstMember(list), NONE)
  assert.ok(json.is(json.next(json.firstItem(list)), 'two'))
  const last = json.next(json.next(json.firstItem(list)))
  assert.equal(json.number(json.get(last, 'n')), -3.5)
  assert.equal(json.next(last), NONE)
  assert.equal(json.firstItem(0), NONE)
  assert.equal(json.name(json.firstMember(0)), 'model')
  assert.equal(json.name(json.next(json.firstMember(0))), '')
  assert.ok(json.isTrue(json.get(0, 't')) && json.isFalse(json.get(0, 'f')) && json.isNull(json.get(0, 'nil')))
  assert.equal(json.firstMember(json.get(0, 'e')), NONE)
  assert.equal(json.firstItem(json.get(0, 'ea')), NONE)
  assert.equal(json.get(0, 'absent'), NONE)
  assert.equal(json.get(NONE, 'x'), NONE)
  assert.ok(Number.isNaN(json.number(NONE)) && Number.isNaN(json.number(json.get(0, 't'))))
  assert.equal(json.text(list), '')
})
