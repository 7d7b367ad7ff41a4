import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { detectors } from '../../src/rules/detectors.ts'
import { foldCase, foldedLiterals } from '../../src/rules/folded-literals.ts'
import { literals } from '../../src/rules/literals.ts'
import { insert, type Matcher, merge, type Span, together } from '../../src/rules/match.ts'

/** What a watcher reports of a text that comes in pieces; on the way, that it never reports what it had called decided. */
function find(matcher: Matcher, pieces: readonly Buffer[]): string[] {
  const found: string[] = []
  let decided = 0
  const watch = matcher((start, end, leaf) => {
    assert.ok(start >= decided, `a finding at ${start} begins before what was decided, ${decided}`)
    found.push(`${start}-${end}:${leaf}`)
  })
  let fed = 0
  for (const piece of pieces) {
    watch.feed(piece, 0, piece.length)
    fed += piece.length
    assert.ok(watch.decided >= decided && watch.decided <= fed, 'what is decided only grows, and not beyond what was read')
    decided = watch.decided
  }
  watch.finish()
  assert.equal(watch.decided, fed, 'after the end everything is decided')
  return found.sort()
}

function sameHoweverCut(matcher: Matcher, text: string): string[] {
  const bytes = Buffer.from(text)
  const whole = find(matcher, [bytes])
  for (let a = 0; a <= bytes.length; a++)
    for (let b = a; b <= bytes.length; b++)
      assert.deepEqual(find(matcher, [bytes.subarray(0, a), bytes.subarray(a, b), bytes.subarray(b)]), whole, `${a}, ${b}`)
  assert.deepEqual(
    find(
      matcher,
      Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)),
    ),
    whole,
  )
  return whole.map((span) => {
    const [start, end] = span.split(/[-:]/).map(Number)
    return bytes.toString('utf8', start, end)
  })
}
const detector = (name: string): Matcher => detectors.find((one) => one.name === name)?.build(0) ?? assert.fail(name)
const phrase = (text: string, exact = false, leaf = 0) => ({ text, exact, leaf })

test('phrases are found in any ASCII case and wherever they lie, overlapping ones too, however the text is cut', () => {
  const matcher = literals([phrase('she'), phrase('he', false, 1), phrase('HERS', false, 2), phrase('rs, s', false, 3)])
  assert.deepEqual(sameHoweverCut(matcher, 'uSHErs, sHe').sort(), ['HE', 'HErs', 'He', 'SHE', 'rs, s', 'sHe'].sort())
})

test('an exact phrase is found in its very case only, also where a cut goes through it', () => {
  const matcher = literals([phrase('AbC', true), phrase('abcd', false, 1), phrase('Éa', true, 2)])
  assert.deepEqual(sameHoweverCut(matcher, 'abc AbC ABC AbCD éa Éa ÉA').sort(), ['AbC', 'AbC', 'AbCD', 'Éa'].sort())
})

test('phrases with letters outside ASCII are found in any case, also where the cases differ in length, however the text is cut', () => {
  const matcher = foldedLiterals([phrase('straße Köln'), phrase('ὈΔΥΣΣΕΎΣ', false, 1), phrase('привет', false, 2), phrase('𐐀b', false, 3)])
  assert.deepEqual(sameHoweverCut(matcher, 'x STRAẞE \u212aÖLN ὀδυσσεύς ПриВЕТ! 𐐨B').sort(), ['STRAẞE \u212aÖLN', 'ПриВЕТ', 'ὀδυσσεύς', '𐐨B'].sort())
})

test('case folding is the simple folding of Unicode', () => {
  for (let codePoint = 0; codePoint < 0x1e944; codePoint++) {
    if (codePoint >= 0xd800 && codePoint < 0xe000) continue
    const folded = foldCase(codePoint)
    if (folded !== codePoint) assert.match(String.fromCodePoint(codePoint), new RegExp(`^\\u{${folded.toString(16)}}$`, 'iu'), codePoint.toString(16))
  }
  for (const same of ['kK\u212a', 'sSſ', 'åÅ\u212b', 'σςΣ', 'ßẞ', 'θϑϴΘ', 'µμΜ', 'ǆǅǄ'])
    assert.equal(new Set(Array.from(same, (letter) => foldCase(letter.codePointAt(0) ?? 0))).size, 1, same)
  assert.notEqual(foldCase(0x131), foldCase(0x69))
})

const cases: Record<string, { finds: [text: string, ...found: string[]][]; passes: string[] }> = {
  credit_card: {
    finds: [
      ['Pay 4111 1111 1111 1111 now', '4111 1111 1111 1111'],
      ['4111-1111-1111-1111', '4111-1111-1111-1111'],
      ['a 378282246310005, b 6011000990139424', '378282246310005', '6011000990139424'],
    ],
    passes: ['4111 1111 1111 1112', '4111  1111 1111 1111', '0000 0000 0000 0000', '12345678901234567890123456789', '4111 1111 1111'],
  },
  ssn: {
    finds: [
      ['123-45-6789', '123-45-6789'],
      ['SSN 078 05 1120.', '078 05 1120'],
      ['x123-45-6789- y', '123-45-6789'],
      ['899-99-9999/001-01-0001', '899-99-9999', '001-01-0001'],
      ['1 123-45-6789 2', '123-45-6789'],
      ['(123-45-6789)', '123-45-6789'],
      ['123 456-78-9012', '456-78-9012'],
    ],
    passes: [
      '000-12-3456',
      '666-12-3456',
      '900-12-3456',
      '123-00-4567',
      '123-45-0000',
      '123456789',
      '123-45-67890',
      '1123-45-6789',
      '1-123-45-6789',
      '123-45-6789-1',
      '123--45-6789',
      '123-45',
      '100 20 3000 400',
      '123.45.6789',
    ],
  },
  email: {
    finds: [
      ['Write to jane.doe+x@mail.example.co.uk, please', 'jane.doe+x@mail.example.co.uk'],
      ['a@b.io', 'a@b.io'],
      ['<x_y@example.org>.', 'x_y@example.org'],
      ['mail ...me@example.org.', 'me@example.org'],
      ['me@example.org.x1', 'me@example.org'],
      ['a@b.com@c.org', 'a@b.com', 'b.com@c.org'],
      [`${'a'.repeat(64)}@example.com`, `${'a'.repeat(64)}@example.com`],
      ['联系foo@bar.com或者', 'foo@bar.com'],
    ],
    passes: [
      'me@localhost',
      '@example.org',
      'me@example.c0m',
      'me@.org',
      'me@ex..org',
      'a@b.c',
      `${'a'.repeat(65)}@example.com`,
      `x${'.'.repeat(10)}${'a'.repeat(60)}@example.com`,
    ],
  },
}
for (const [name, { finds, passes }] of Object.entries(cases)) {
  test(`${name} finds what it should and nothing else, however the text is cut`, () => {
    for (const [text, ...found] of finds) assert.deepEqual(sameHoweverCut(detector(name), text).sort(), found.sort(), text)
    for (const text of passes) assert.deepEqual(sameHoweverCut(detector(name), text), [], text)
  })
  test(`${name} finds the same in random texts however they are cut, and holds back a bounded part`, () => {
    const bits = ['4111', '1111', '123', '45', '6789', '-', ' ', '.', '@', 'a', 'example', 'com', 'x', '\n', 'é', '..', '12', 'a'.repeat(30)]
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...bits), { maxLength: 40 }), fc.array(fc.nat(200), { maxLength: 6 }), (parts, cuts) => {
        const bytes = Buffer.from(parts.join(''))
        const edges = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length]
        const whole = find(detector(name), [bytes])
        assert.deepEqual(
          find(
            detector(name),
            edges.slice(1).map((to, i) => bytes.subarray(edges[i], to)),
          ),
          whole,
        )
      }),
      { numRuns: 500 },
    )
    for (const text of [
      '1'.repeat(2000),
      '1 '.repeat(1000),
      '12-'.repeat(500),
      'a'.repeat(2000),
      'a@'.repeat(500),
      `a@${'b.'.repeat(1000)}`,
      '@'.repeat(2000),
    ]) {
      const watch = detector(name)(() => {})
      const bytes = Buffer.from(text)
      for (let i = 0; i < bytes.length; i++) {
        watch.feed(bytes, i, i + 1)
        assert.ok(i + 1 - watch.decided <= 64 + 1 + 255 + 1, `${name} holds ${i + 1 - watch.decided} bytes`)
      }
    }
  })
}

test('watchers side by side decide no more than the slowest of them', () => {
  const both = together([literals([phrase('abc def')]), detector('ssn')]) ?? assert.fail()
  assert.deepEqual(sameHoweverCut(both, 'x abc def 123-45-6789').sort(), ['123-45-6789', 'abc def'])
})

test('spans that overlap become one under the lowest leaf, in whatever order they come; adjacent ones stay apart', () => {
  const spans: Span[] = [
    { start: 4, end: 8, leaf: 2 },
    { start: 0, end: 4, leaf: 3 },
    { start: 7, end: 9, leaf: 1 },
    { start: 20, end: 21, leaf: 0 },
  ]
  const expected = [
    { start: 0, end: 4, leaf: 3 },
    { start: 4, end: 9, leaf: 1 },
    { start: 20, end: 21, leaf: 0 },
  ]
  fc.assert(
    fc.property(fc.shuffledSubarray(spans, { minLength: 4 }), (order) => {
      const inserted: Span[] = []
      for (const { start, end, leaf } of order) insert(inserted, start, end, leaf)
      assert.deepEqual(inserted, expected)
      assert.deepEqual(merge(order), expected)
    }),
  )
})
