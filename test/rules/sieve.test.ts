import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RE2JS } from 're2js'
import { threadMs, withoutBudget } from '../../src/rules/budget.ts'
import { compileMatchers } from '../../src/rules/matching/compile-matcher.ts'
import { ANY, ANY_OF_LINE, FAIL, MATCH, nextOf, type Program, programOf, reads } from '../../src/rules/matching/pattern-program.ts'
import { compilePatterns } from '../../src/rules/matching/patterns.ts'
import { Sieve } from '../../src/rules/matching/sieve.ts'
import { presets, rulesOf } from '../../src/rules/presets.ts'
import type { Condition } from '../../src/rules/rule.ts'

const patternsIn = (condition: Condition): string[] => {
  if ('all' in condition) return condition.all.flatMap(patternsIn)
  if ('any' in condition) return condition.any.flatMap(patternsIn)
  if ('not' in condition) return patternsIn(condition.not)
  return condition.operator === 'regex' ? [String(condition.value)] : []
}
const OWN = [
  'x.*y',
  'foo$',
  '^foo',
  '\\bab\\b',
  '(?i)straße|STRASSE',
  'kiss[kK]',
  '[^a]bc[d-f]{2,}',
  'größe\\d+',
  'ﬁnance|æther',
  'é+[ß-ü]b',
  '\\p{Greek}{4}',
  '(?:id|nr)[ #]?\\d{3}',
  '\\$\\{[a-z]+\\}',
  '(?s)a.b.c.d',
  '(a|b)*a(a|b){6}',
  'a?b?c?d?e?f',
  '\\x{10400}\\x{10428}',
]
const patterns = [...new Set([...Object.keys(presets).flatMap((name) => rulesOf(name).flatMap(({ condition }) => patternsIn(condition))), ...OWN])]

/** A text that takes one way through a pattern's program, as `random` says; null where it came to no end. */
function textOf({ instructions, start }: Program, random: () => number): string | null {
  let text = ''
  for (let at = start, steps = 0; steps < 3000; steps++) {
    const one = instructions[at]
    if (one.op === MATCH) return text
    if (one.op === FAIL) return null
    if (one.op === ANY || one.op === ANY_OF_LINE) text += 'aK7 é—字'[Math.floor(random() * 7)]
    else if (reads(one)) {
      const pair = 2 * Math.floor((random() * one.runes.length) / 2)
      const last = one.runes.length === 1 ? one.runes[0] : one.runes[pair + 1]
      const codePoint = one.runes[pair] + Math.floor(random() * Math.min(200, last - one.runes[pair] + 1))
      const character = String.fromCodePoint(codePoint)
      text += one.runes.length === 1 && random() < 0.3 ? character.toUpperCase() : character
    }
    const next = nextOf(one)
    at = next[Math.floor(random() * next.length)]
  }
  return null
}

test('where a pattern matches, the sieve says that it may', () => {
  let matched = 0
  for (const exact of [true, false]) {
    for (const source of patterns) {
      const search = compilePatterns([{ source, exact }], withoutBudget())
      const sieve = new Sieve(search.needs.grams, search.needs.unknown)
      const pattern = RE2JS.compile(source, exact ? 0 : RE2JS.CASE_INSENSITIVE)
      const program = programOf(pattern) ?? assert.fail()
      fc.assert(
        fc.property(
          fc.infiniteStream(fc.double({ min: 0, max: 0.999999, noNaN: true })),
          fc.constantFrom('', ' ', 'x', '7', 'é ', 'ab. '),
          fc.constantFrom('', ' ', 'x', '7', ' é', '. ab'),
          (stream, before, after) => {
            const made = textOf(program, () => stream.next().value)
            if (made === null || !made.isWellFormed()) return
            const text = Buffer.from(before + made + after)
            if (!pattern.test(text.toString())) return
            matched++
            assert.deepEqual(search.candidates(text, sieve.groupsIn(text)), [0], JSON.stringify({ source, text: text.toString() }))
          },
        ),
        { numRuns: 8 },
      )
    }
  }
  assert.ok(matched > patterns.length, `${matched} texts matched`)
})

const letter = fc.constantFrom(...'aAbBeEkKsSzZ09çÉßжЖνΝæﬁ字密 -_.\u200b\u00ad\u0301\x1a')
const phrase = fc.array(letter, { minLength: 1, maxLength: 12 }).map((letters) => letters.join(''))
const disguised = (text: string, how: number): string =>
  how === 0
    ? text
    : how === 1
      ? text.toUpperCase()
      : how === 2
        ? text.toLowerCase()
        : how === 3
          ? [...text].join(' ')
          : how === 4
            ? [...text].reverse().join('')
            : text.replaceAll('a', 'а').replaceAll('e', 'е').replaceAll('k', 'K').replaceAll('s', 'ſ')

test('what watchers find of phrases without a sieve, they find where the sieve decides who looks', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(phrase, fc.boolean(), fc.boolean()), { minLength: 1, maxLength: 4 }),
      fc.array(fc.tuple(fc.nat(3), fc.nat(5), phrase), { maxLength: 4 }),
      (phrases, parts) => {
        const leaves = phrases.map(([text, exact, absent]) => ({
          operand: { kind: 'literal' as const, phrases: [text, `${text}!`], at: 'anywhere' as const, exact, absent },
        }))
        const { all, unlessPhrases, grams } = compileMatchers(leaves, 'whole', 1)
        const text = Buffer.from(parts.map(([which, how, other]) => disguised(phrases[which % phrases.length][0], how) + other).join(' '))
        const found = (matcher: typeof all): string[] => {
          const spans: string[] = []
          const watch = matcher?.((start, end, leaf) => void spans.push(`${start} ${end} ${leaf}`))
          watch?.feed(text, 0, text.length)
          watch?.finish()
          return spans
        }
        const mayHave = grams === null || new Sieve(grams).groupsIn(text) !== 0
        if (!mayHave) assert.deepEqual(found(unlessPhrases), found(all), JSON.stringify({ phrases, text: text.toString() }))
      },
    ),
    { numRuns: 3000 },
  )
})

test('a text without the letters of a phrase or pattern is told from one with them, also across its pieces', () => {
  const { grams } = compileMatchers(
    [{ operand: { kind: 'literal', phrases: ['confidential project'], at: 'anywhere', exact: false, absent: false } }],
    'whole',
    1,
  )
  const sieve = new Sieve(grams ?? [])
  const has = (text: string): boolean => sieve.groupsIn(Buffer.from(text)) !== 0
  assert.ok(!has('A conference about confidence and projects, in private.'))
  assert.ok(has('The CONFIDENTIAL  project'))
  assert.ok(has('c.o.n.f.i.d.e.n.t.i.a.l p.r.o.j.e.c.t'))
})

test('control characters between letters hide no phrase from the sieve', () => {
  const { grams } = compileMatchers([{ operand: { kind: 'literal', phrases: ['project aurora'], at: 'anywhere', exact: false, absent: false } }], 'whole', 1)
  const sieve = new Sieve(grams ?? [])
  for (let code = 0; code < 0x20; code++) assert.equal(sieve.groupsIn(Buffer.from([...'project aurora'].join(String.fromCharCode(code)))), 1, `${code}`)
})

test('many names with one ending are not compared one by one with a text that repeats the ending', () => {
  const name = (i: number): string => String.fromCharCode(97 + (i % 26), 97 + (Math.floor(i / 26) % 26), 97 + Math.floor(i / 676))
  const phrases = Array.from({ length: 4000 }, (_, i) => `${name(i)}x zqjx`)
  const { grams } = compileMatchers([{ operand: { kind: 'literal', phrases, at: 'anywhere', exact: false, absent: false } }], 'whole', 1)
  assert.ok(grams !== null && grams.length > phrases.length)
  const sieve = new Sieve(grams)
  for (const same of sieve.grams.values()) assert.ok(same.length <= 16)
  for (const one of phrases.slice(0, 100)) assert.equal(sieve.groupsIn(Buffer.from(`Say ${one}.`)), 1)
})

test('a text of signs is not compared with what stands around the signs of each pattern', () => {
  const sources = Array.from({ length: 50 }, (_, i) => `[0-9]{${i + 3}}-[0-9]{3}`)
  const search = compilePatterns(
    sources.map((source) => ({ source, exact: true })),
    withoutBudget(),
  )
  for (const piece of ['1!', '1 ', '12-', '!', '12 345']) {
    const text = Buffer.from(piece.repeat((256 << 10) / piece.length))
    const begin = threadMs()
    assert.deepEqual(search.candidates(text), [])
    assert.ok(threadMs() - begin < 250, `${piece}: ${threadMs() - begin} ms`)
  }
  for (const text of ['123-456', 'a1234-567', '12345-678']) assert.ok(search.candidates(Buffer.from(text)).includes(0), text)
  assert.deepEqual(search.candidates(Buffer.from('12-345 123-45')), [])
})
