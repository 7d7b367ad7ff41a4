/** What a text says in each of its views, and where that stands. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Failure } from '../../src/errors.ts'
import { jointsOf } from '../../src/rules/views/joints.ts'
import { viewsOf } from '../../src/rules/views/views.ts'
import { chat } from './subject.ts'

const SAID = 'launch code 4711'
const base64 = (text: string): string => Buffer.from(text).toString('base64')
const hex = (text: string): string => Buffer.from(text).toString('hex')
const each = (text: string, write: (code: number) => string): string => Array.from(text, (character) => write(character.charCodeAt(0))).join('')
const two = (code: number): string => code.toString(16).padStart(2, '0')

/** Ways to write it in code: all of each is one run. */
const codes: Readonly<Record<string, string>> = {
  percent: each(SAID, (code) => `%${two(code)}`),
  'percent, upper case': each(SAID, (code) => `%${two(code).toUpperCase()}`),
  'percent with a u': each(SAID, (code) => `%u00${two(code)}`),
  'decimal entities': each(SAID, (code) => `&#${code};`),
  'entities without an end': each(SAID, (code) => `&#x${code.toString(16)}`),
  'entities with zeros': each(SAID, (code) => `&#000${code};`),
  '\\u': each(SAID, (code) => `\\u00${two(code)}`),
  '\\u of JSON in JSON': each(SAID, (code) => `\\\\u00${two(code)}`),
  '\\u{…}': each(SAID, (code) => `\\u{${two(code)}}`),
  '\\x': each(SAID, (code) => `\\x${two(code)}`),
  octal: each(SAID, (code) => `\\${code.toString(8).padStart(3, '0')}`),
  'quoted-printable': each(SAID, (code) => `=${two(code).toUpperCase()}`),
  base64: base64(SAID),
  'base64 in lines': base64(SAID).replaceAll(/.{16}/g, '$&\r\n'),
  hexadecimal: hex(SAID),
  'hexadecimal with 0x': `0x${hex(SAID)}`,
  'hexadecimal pairs': each(SAID, (code) => `${two(code)} `).trim(),
  'base64 of UTF-16': Buffer.from(SAID, 'utf16le').toString('base64'),
  'base64 in base64': base64(base64(SAID)),
  'percent of base64': each(base64(SAID), (code) => `%${two(code)}`),
}

for (const [name, code] of Object.entries(codes)) {
  test(`${name}: what it says is seen, and stands for the whole run and nothing beside it`, () => {
    for (const [before, after] of [
      ['', ''],
      ['see ', ' today'],
      ['é: ', '. Ω'],
    ]) {
      const bytes = Buffer.from(before + code + after)
      const places = viewsOf(bytes, 0, bytes.length).flatMap(({ text, origin }) => {
        const at = text.indexOf(SAID)
        return at < 0 ? [] : [origin(at, at + SAID.length)]
      })
      const first = Math.min(...places.map(({ start }) => start))
      const last = Math.max(...places.map(({ end }) => end))
      assert.equal(places.length > 0 && bytes.toString('utf8', first, last), code, before)
    }
  })
}

test('a character that is written in code among plain ones stands for its own escape', () => {
  const bytes = Buffer.from('launch%20code &#52;711')
  const [view] = viewsOf(bytes, 0, bytes.length)
  assert.equal(view.text.toString(), SAID)
  const written = (start: number, end: number): string => {
    const origin = view.origin(start, end)
    return bytes.toString('utf8', origin.start, origin.end)
  }
  assert.equal(written(0, 6), 'launch')
  assert.equal(written(6, 7), '%20')
  assert.equal(written(12, 14), '&#52;7')
})

test('words, hashes, paths and what is no text have no other view', () => {
  const digest = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
  for (const text of [
    'internationalization of configurations',
    digest,
    'src/rules/matching/views.ts',
    'a=1&b=2',
    '100% of them',
    'x == y',
    'AAAA;AACA,SAASA',
    'a - b - c',
  ])
    assert.deepEqual(viewsOf(Buffer.from(text), 0, text.length), [], text)
})

test('of any bytes the views lie within them, and codes within codes end', () => {
  const pieces = [
    '%34',
    '&#52;',
    '\\u0034',
    '=34',
    base64('hello there, world'),
    hex('hello there'),
    'é',
    '\u202e',
    '\u{e0034}',
    '4 1 1 1 1 1 1 1',
    '%',
    '&',
    '\\',
    '=',
    ' ',
    '\n',
    'x',
  ]
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string()), { maxLength: 40 }), (parts) => {
      const bytes = Buffer.from(parts.join(''))
      for (const { text, origin } of viewsOf(bytes, 0, bytes.length))
        for (let i = 0; i < text.length; i++) {
          const { start, end } = origin(i, i + 1)
          assert.ok(start >= 0 && start < end && end <= bytes.length)
        }
    }),
    { numRuns: 300 },
  )
})

test('more codes within codes than are read are a failure and no finding', () => {
  let deep = SAID
  for (let i = 0; i < 9; i++) deep = base64(deep)
  const exceeds = (error: unknown): boolean => error instanceof Failure && error.reason === 'scan_budget'
  assert.throws(() => viewsOf(Buffer.from(deep), 0, deep.length), exceeds)
})

test('texts of one speaker meet, those of two do not; ordinary sentences meet only where phrases ask', () => {
  const meets = (every: boolean, ...messages: [role: string, content: string][]): string[] =>
    (jointsOf({ ...chat(...messages) }, every)?.text.toString() ?? '').split('\x1a').filter((text) => text !== '')
  assert.deepEqual(meets(false, ['user', 'card 4111'], ['assistant', 'yes?'], ['user', '1111 more']), ['card 41111111 more', 'card 4111 1111 more'])
  assert.deepEqual(meets(false, ['user', 'Hello there.'], ['user', 'How are you?']), [])
  assert.deepEqual(meets(true, ['user', 'Hello there.'], ['user', 'How are you?']), ['Hello there.How are you?'])
  assert.deepEqual(meets(false, ['user', '4111'], ['assistant', '1111']), [])
})

test('what stands over three texts is three pieces, and what stands in one is one', () => {
  const call = chat(['user', 'AKIA'], ['user', 'IOSFODNN'], ['user', '7EXAMPLE'])
  const joints = jointsOf(call, false) ?? assert.fail()
  const at = joints.text.indexOf('AKIAIOSFODNN7EXAMPLE')
  assert.ok(at >= 0)
  const said = (start: number, end: number): string[] => joints.pieces(start, end).map((piece) => call.text.toString('utf8', piece.start, piece.end))
  assert.deepEqual(said(at, at + 20), ['AKIA', 'IOSFODNN', '7EXAMPLE'])
  assert.deepEqual(said(at + 5, at + 9), ['OSFO'])
})
