import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Role } from '../../src/call.ts'
import type { Json } from '../../src/dialects/bodies/json.ts'
import { createJsonReader } from '../../src/dialects/bodies/json-reader.ts'
import { collect, decode, locate, pathAt, splice } from '../../src/dialects/bodies/texts.ts'
import { spacedJson } from './spaced-json.ts'

const read = createJsonReader()
const nothing = (): void => {}

const QUOTE = 0x22

test('finds every string of any JSON, decodes it, and maps each decoded position back into its literal', () => {
  fc.assert(
    fc.property(spacedJson(), fc.nat(), ({ text: source, values, names }, dice) => {
      const body = Buffer.from(source)
      const { slots, text, promptEnd, opaqueBytes } = collect(read(body), nothing)
      assert.equal(promptEnd, 0)
      assert.equal(opaqueBytes, 0)
      const decoded = (role: Role): string[] => slots.filter((slot) => slot.role === role).map(({ from, to }) => text.toString('utf8', from, to))
      assert.deepEqual(decoded('other'), values)
      // Long numbers are texts too, behind all others, and have no quotes.
      const numbers = slots.filter(({ start }) => body[start - 1] !== QUOTE).map(({ from, to }) => text.toString('utf8', from, to))
      assert.deepEqual(decoded('protocol'), [...names, ...numbers])
      for (const number of numbers) assert.match(number, /^-?\d{8,}$/)
      assert.deepEqual(
        slots.map(({ from }) => from),
        slots.map((_, i) => (i === 0 ? 0 : slots[i - 1].to + 1)),
        'joined by one newline',
      )
      for (const slot of slots) {
        for (let position = slot.from; position <= slot.to; position++) {
          if (((text[position] ?? 0) & 0xc0) === 0x80 && position < slot.to) continue // inside a character
          const at = locate(body, slot, position)
          const before = slot.escaped ? (JSON.parse(`"${body.toString('utf8', slot.start, at)}"`) as string) : body.toString('utf8', slot.start, at)
          assert.equal(before, text.toString('utf8', slot.from, position))
        }
      }
      // Cutting what lies between two positions changes that string and nothing else.
      const slot = slots[dice % Math.max(1, slots.length)]
      if (slot?.role !== 'other') return
      const cut = splice(body, [{ start: locate(body, slot, slot.from), end: locate(body, slot, slot.to), put: Buffer.from('CUT') }])
      const { slots: after, text: rest } = collect(read(cut), nothing)
      const index = slots.filter(({ role }) => role === 'other').indexOf(slot)
      assert.deepEqual(
        after.filter(({ role }) => role === 'other').map(({ from, to }) => rest.toString('utf8', from, to)),
        values.with(index, 'CUT'),
      )
    }),
    { numRuns: 400 },
  )
})

const texts = (body: string, mark: (json: Json, mark: (path: string[], role: Role) => void) => void): string => {
  const json = read(Buffer.from(body))
  const { text, promptEnd, slots, opaqueBytes } = collect(json, (set) =>
    mark(json, (path, role) =>
      set(
        path.reduce((node, name) => json.get(node, name), 0),
        role,
      ),
    ),
  )
  return JSON.stringify({
    prompt: text.toString('utf8', 0, promptEnd),
    rest: text.toString('utf8', promptEnd),
    roles: slots.map(({ role }) => role).join(),
    opaqueBytes,
  })
}

test('prompt texts come first in the order they were marked, the rest follows in the order of the bytes', () => {
  const body = '{"x1":"one","x2":"two","x3":"three","x4":"AAAA","x5":"five"}'
  assert.equal(
    texts(body, (_, mark) => {
      mark(['x5'], 'system')
      mark(['x4'], 'opaque')
      mark(['x2'], 'user')
      mark(['x1'], 'tool_arguments')
    }),
    JSON.stringify({
      prompt: 'five\ntwo',
      rest: '\nx1\none\nx2\nx3\nthree\nx4\nx5',
      roles: 'system,user,protocol,tool_arguments,protocol,protocol,other,protocol,protocol',
      opaqueBytes: 4,
    }),
  )
})

test('the first word about a string stands; marks on what is no string are ignored', () => {
  const result = texts('{"text":"one","n":1,"content":["a"]}', (_, mark) => {
    mark(['text'], 'user')
    mark(['text'], 'opaque')
    mark(['text'], 'user')
    mark(['n'], 'user')
    mark(['content'], 'user')
    mark(['absent'], 'user')
  })
  assert.equal(result, JSON.stringify({ prompt: 'one', rest: '\na', roles: 'user,other', opaqueBytes: 0 }))
})

test('an empty text is an empty element of the prompt, and a body without prompt has an empty one', () => {
  const empty = texts('{"content":"","text":"b","name":"c"}', (_, mark) => {
    mark(['content'], 'system')
    mark(['text'], 'user')
  })
  assert.equal(empty, JSON.stringify({ prompt: '\nb', rest: '\nc', roles: 'system,user,other', opaqueBytes: 0 }))
  assert.equal(texts('{"text":"b"}', nothing), JSON.stringify({ prompt: '', rest: 'b', roles: 'other', opaqueBytes: 0 }))
  assert.equal(texts('{}', nothing), JSON.stringify({ prompt: '', rest: '', roles: '', opaqueBytes: 0 }))
})

test('names that no format knows are collected, decoded, and known ones are not, however they are spelled', () => {
  assert.equal(
    texts('{"model":1,"Model":2,"m\\u006fdel2":3,"c\\u006fntent":4,"my secret":5,"modelz":6}', nothing),
    JSON.stringify({ prompt: '', rest: 'Model\nmodel2\nmy secret\nmodelz', roles: 'protocol,protocol,protocol,protocol', opaqueBytes: 0 }),
  )
})

test('decode writes nothing outside the room it was given', () => {
  for (const source of ['plain text', 'a\\nb', `${'long '.repeat(100)}`, `${'long\\u00e9'.repeat(100)}`, '\\ud83d\\ude00']) {
    const bytes = Buffer.from(`"${source}"`)
    const end = bytes.length - 1
    const expected = Buffer.from(JSON.parse(`"${source}"`) as string)
    const out = Buffer.alloc(end - 1 + 8, 0xff)
    const to = decode(bytes, 1, end, source.includes('\\'), out.subarray(4, out.length - 4), 0)
    assert.deepEqual(out.subarray(4, 4 + to), expected)
    assert.ok(out.subarray(0, 4).every((byte) => byte === 0xff) && out.subarray(-4).every((byte) => byte === 0xff))
    assert.throws(() => decode(bytes, 1, end, source.includes('\\'), Buffer.alloc(end - 2), 0), RangeError)
  }
})

test('bytes that are no UTF-8 do not make decoded text outgrow its literal', () => {
  const bytes = Buffer.from(`"\\n${'\xff'.repeat(400)}"`, 'latin1')
  const out = Buffer.alloc(bytes.length + 100, 0x2e)
  const to = decode(bytes, 1, bytes.length - 1, true, out, 0)
  assert.ok(to <= bytes.length - 2 && out.subarray(bytes.length - 2).every((byte) => byte === 0x2e))
})

test('a cut leaves odd spacing, escapes, 1.0 and large integers as they are', () => {
  const source = '{ "a" :\t"\\u00e9 111-22-3333 \\/ \\u0041",\r\n "n": [1.0, 12345678901234567890123, 1E+2, -0],"unknown":{"k":"\\ud83d\\ude00"} }  '
  const body = Buffer.from(source)
  const { slots, text } = collect(read(body), nothing)
  const at = text.indexOf('111-22-3333')
  const slot = slots.find(({ from, to }) => from <= at && at < to)
  assert.ok(slot)
  const cut = splice(body, [{ start: locate(body, slot, at), end: locate(body, slot, at + 11), put: Buffer.from('[SSN]') }])
  assert.equal(cut.toString(), source.replace('111-22-3333', '[SSN]'))
  assert.equal(splice(body, []), body)
})

test('an escape that means several bytes is one piece: no position points into it', () => {
  const body = Buffer.from('"a\\ud83d\\ude00b\\u00e9"')
  const { slots } = collect(read(body), nothing)
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6, 7, 8].map((position) => locate(body, slots[0], position)),
    [1, 2, 14, 14, 14, 14, 15, 21, 21],
  )
})

test('pathAt names the place of every string of any JSON by its known names', () => {
  const source = ' {"messages":[{"role":"user"},{"content":[{"text":"a"}, "b"]}],"metadata":{"my secret":"c","":{"text":"d"}},"tools":["e"]}'
  const json = read(Buffer.from(source))
  const at = (needle: string): string => pathAt(json, source.indexOf(needle))
  assert.equal(at('user"'), 'messages[0].role')
  assert.equal(at('"user'), 'messages[0].role')
  assert.equal(at('a"}'), 'messages[1].content[0].text')
  assert.equal(at('"b"'), 'messages[1].content[1]')
  assert.equal(at('c","'), 'metadata.*')
  assert.equal(at('my secret'), 'metadata.*', 'a name may itself be what must not be told')
  assert.equal(at('d"}'), 'metadata.*.text')
  assert.equal(at('"e"'), 'tools[0]')
  assert.equal(at('"content"'), 'messages[1].content')
  assert.equal(at('content"'), 'messages[1].content')
  for (const nowhere of [0, 1, source.indexOf(':['), source.indexOf(', "b"'), source.length - 1, source.length, 10_000]) assert.equal(pathAt(json, nowhere), '')
  assert.equal(pathAt(read(Buffer.from('"root"')), 2), '')
})

test('whole numbers of nine digits or more are found where they stand, shorter ones and fractions are not', () => {
  const source = '{"a":4111111111111111,"b":[-123456789,12345678,0.1234567890,1e10,1234567890],"c":"x"}'
  const { slots, text } = collect(read(Buffer.from(source)), nothing)
  const found = slots.filter(({ start }) => source[start - 1] !== '"')
  assert.deepEqual(
    found.map(({ role, start, end, from, to }) => [role, source.slice(start, end), text.toString('utf8', from, to)]),
    ['4111111111111111', '-123456789', '1234567890'].map((number) => ['protocol', number, number]),
  )
})
