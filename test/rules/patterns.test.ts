import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CHECK_MS_MAX, checkBudget, PATTERNS_PER_REQUEST_MAX, type RuleBudget, withoutBudget } from '../../src/rules/budget.ts'
import { parseRule } from '../../src/rules/check-rule.ts'
import { compile } from '../../src/rules/compile.ts'
import { compilePatterns, edgeBudget, PATTERN_BYTES_MAX } from '../../src/rules/matching/patterns.ts'
import type { Leaf } from '../../src/rules/rule.ts'
import { RuleError } from '../../src/rules/rule-error.ts'
import { ask, callOf, chat, rule, subjectOf, textsOf } from './subject.ts'

const regex = (value: string, more: Partial<Leaf> = {}) => rule({ operator: 'regex', value, ...more }, 'WARN')
const save = (value: string) => parseRule({ name: 'x', action: 'WARN', condition: { operator: 'regex', value } })
function found(value: string, call = chat(['user', '']), more: Partial<Leaf> = {}): string[] {
  const { findings } = compile(1, [regex(value, more)]).judge(subjectOf(call))
  return findings.flatMap(({ spans }) => textsOf(call, spans))
}
const refusedAs = (reason: RuleError['reason'], path: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof RuleError)
  assert.deepEqual([error.reason, error.path], [reason, path])
  assert.match(error.message, message)
  return true
}

test('^ and $ are the edges of one text, and no match reaches over two', () => {
  const call = chat(['user', 'one'], ['user', 'two'], ['user', 'one two\nthree'])
  assert.deepEqual(found('^two$', call), ['two'])
  assert.deepEqual(found('^one', call), ['one', 'one'])
  assert.deepEqual(found('^three', call), [], 'a line inside a text is not its edge')
  assert.deepEqual(found('(?m)^three$', call), ['three'], 'unless the pattern says so')
  assert.deepEqual(found('one\\stwo', call), ['one two'])
  assert.deepEqual(found('(?s)one.two', call), ['one two'])
  assert.deepEqual(found('two\\b', call), ['two', 'two'])
})

test('patterns that mean the whole text, or switch flags off, are searched text by text', () => {
  const call = chat(['user', 'one'], ['user', 'two'], ['user', 'x\ntwo'])
  assert.deepEqual(found('\\Atwo\\z', call), ['two'])
  assert.deepEqual(found('(?-i)TWO', call), [])
  assert.deepEqual(found('(?m)(?-m)^two$', call), ['two'])
})

test('positions are right after letters of several bytes, in escapes and outside', () => {
  const call = chat(['user', 'é😀ß nr. 42 ü'], ['user', 'ÄÖ nr. 7'])
  assert.deepEqual(found('nr\\. \\d+', call), ['nr. 42', 'nr. 7'])
  assert.deepEqual(found('äö', call), ['ÄÖ'])
  assert.deepEqual(found('äö', call, { case_sensitive: true }), [])
  assert.deepEqual(found('\\p{Greek}+', chat(['user', 'x αβγ y'])), ['αβγ'])
})

test('a match of nothing is no finding', () => {
  assert.deepEqual(found('x*', chat(['user', 'aaa'])), [])
  assert.deepEqual(found('x*', chat(['user', 'axxa'])), ['xx'])
})

test('look-around, back-references and patterns that cannot be read are refused with the reason', () => {
  for (const value of ['(?=(a+))\\1b', '(?!a)b', '(?<=a)b', '(a)\\1', 'a(', '[z', 'a**', '*a', 'a{2000}', 'a++'])
    assert.throws(() => save(value), refusedAs('config', 'condition.value', /not supported/), value)
  assert.throws(() => save('(?=a)b'), refusedAs('config', 'condition.value', /look-ahead, look-behind and back-references/))
})

test('patterns that are too large are refused before anything is searched', () => {
  assert.throws(() => save('a'.repeat(100_000)), refusedAs('config', 'condition.value', new RegExp(`longer than ${PATTERN_BYTES_MAX} bytes`)))
  assert.throws(() => save(Array.from({ length: 10_000 }, (_, i) => `w${i}`).join('|')), refusedAs('config', 'condition.value', /longer than/))
  assert.throws(() => save('[a-z]{999}b{30}'), refusedAs('config', 'condition.value', /too large/))
  assert.throws(() => save('(?:(?:a{30}){30}){30}'), refusedAs('config', 'condition.value', /./))
})

test('a pattern that matches the empty text is refused, because it would match every text', () => {
  for (const value of ['a*', '(secret)?', '^', 'x|']) assert.throws(() => save(value), refusedAs('config', 'condition.value', /empty text/), value)
})

test('a pattern whose matches take quadratic time to find is refused', () => {
  assert.throws(() => save('a.*z|a'), refusedAs('config', 'condition.value', /narrower/))
})

test('patterns that take long to read are refused by their looks', () => {
  const ranges = '[B-\u{1e900}]'
  const classes: [value: string, message: RegExp][] = [
    ['[a-z]{0,1000}'.repeat(300), /too large/],
    ['(?:a?){1,999}b{30}', /too large/],
    ['\\pL|'.repeat(1000), /properties/],
    [ranges.repeat(500), /beyond ASCII/],
    ['[B-\\x{1e900}]'.repeat(200), /beyond ASCII/],
  ]
  for (const [value, message] of classes) assert.throws(() => save(value), refusedAs('config', 'condition.value', message), value.slice(0, 40))
  for (const value of ['\\d{3}-\\d{2}-\\d{4}', '\\x{1e900}\\{900}\\{900}', '[à-ÿ]+@\\p{L}{2,63}', 'x{1,99}']) save(value)
})

test('all patterns of a request share one budget, of time and of number', () => {
  const saved = (value: string, budget: RuleBudget) => parseRule({ name: 'x', action: 'WARN', condition: { operator: 'regex', value } }, budget)
  const spent = { ...checkBudget(), msLeft: 0 }
  assert.throws(
    () => {
      for (let i = 0; i < 1000; i++) saved(`[a-z0-9._-]{1,64}@corp${i}`, spent)
    },
    refusedAs('config', 'condition.value', /too long to prepare/),
  )
  const budget = { ...checkBudget(), msLeft: Infinity }
  for (let i = 0; i < PATTERNS_PER_REQUEST_MAX; i++) saved(`code-${i}`, budget)
  assert.ok(budget.instructions > PATTERNS_PER_REQUEST_MAX)
  assert.throws(() => saved('one more', budget), refusedAs('config', 'condition', /at most 100 patterns/))
})

test('a rule of many costly patterns is refused after the first ones, and compiling has a budget too', () => {
  for (const value of ['(?:[a-z0-9 @._-]{1,40}x){1,8}10', '[\\w @.-]{1,300}Q|1|x']) {
    const any = Array.from({ length: 60 }, (_, i) => ({ operator: 'regex', value: `${value}${i}` }))
    assert.throws(
      () => parseRule({ name: 'x', action: 'WARN', condition: { any } }, { ...checkBudget(), msLeft: CHECK_MS_MAX / 4 }), // a fast machine prepares more
      (error) => error instanceof RuleError && error.reason === 'config',
    )
    assert.throws(
      () => compile(1, [rule({ any }, 'WARN')], {}, { ...checkBudget(), msLeft: 1 }),
      (error) => error instanceof RuleError && error.reason === 'config' && /too long/.test(error.message),
    )
  }
})

test('patterns that explode elsewhere are linear here, and are taken', () => {
  for (const value of ['^(a+)+$', '(x+x+)+y', '(a|a)*b', '(a|b)*a(a|b){12}']) {
    save(value)
    const policy = compile(1, [regex(value)])
    policy.judge(ask(`${'a'.repeat(5000)}!`))
    policy.judge(ask('x'.repeat(5000)))
  }
})

test('once the time for edges is over, every text that matches counts as found whole, however many there are', () => {
  const search = compilePatterns([{ source: 'x[a-z]+', exact: false }], withoutBudget())
  const text = Buffer.from('see xab here')
  const found: number[][] = []
  search.find(0, text, [{ from: 0, to: text.length }], edgeBudget(10, 0), (start, end) => found.push([start, end]))
  search.find(0, text, [{ from: 0, to: 3 }], edgeBudget(10, 0), (start, end) => found.push([start, end]))
  assert.deepEqual(found, [[0, text.length]], 'and a text that does not match is not')
})

test('what a quadratic pattern that came in anyway would take is cut short, and then the rest of the text counts as found', () => {
  const text = 'a'.repeat(200_000)
  const call = chat(['user', text])
  const verdict = compile(1, [rule({ operator: 'regex', value: 'a.*z|a' }, 'REDACT')]).judge(subjectOf(call))
  assert.equal(verdict.action, 'REDACT')
  assert.equal(
    verdict.redactions.reduce((sum, { start, end }) => sum + end - start, 0),
    text.length,
    'nothing that matched is left in',
  )
})

test('among a hundred thousand texts each that matches is found, whether it begins, ends or lies between them', () => {
  const texts = Array.from({ length: 100_000 }, () => 'ab')
  for (const i of [0, 17, 4095, 70_001, 99_999]) texts[i] = `one ${i}`
  const call = callOf(JSON.stringify({ model: 'm', messages: [], zzz: texts }))
  const expected = ['one 0', 'one 17', 'one 4095', 'one 70001', 'one 99999']
  for (const value of ['one [0-9]+', '^one [0-9]+$', '(?-i)one [0-9]+', '\\^|one [0-9]+']) assert.deepEqual(found(value, call), expected, value)
})

test('a pattern that several rules share speaks for each of them in its own texts', () => {
  const call = chat(...Array.from({ length: 1200 }, (): [string, string] => ['user', 'osprey']), ['system', 'osprey'], ['user', 'osprey'])
  const rules = (['prompt', 'system', 'last_message', 'tool_results'] as const).map((target) =>
    rule({ operator: 'regex', value: 'o.prey', target }, 'WARN', { id: target }),
  )
  const { findings } = compile(1, [...rules, rule({ operator: 'regex', value: 'o.prey' }, 'REDACT', { id: 'cut' })]).judge(subjectOf(call))
  assert.deepEqual(findings.map(({ rule: { id }, spans }) => [id, spans.length]).sort(), [
    ['cut', 1202],
    ['last_message', 1],
    ['prompt', 1000],
    ['system', 1],
  ])
})

test('a thousand patterns are one policy, and each still names what it found', () => {
  const policy = compile(
    1,
    Array.from({ length: 1000 }, (_, i) => rule({ operator: 'regex', value: `\\bcode-${i}-[a-z]{2}\\b` }, 'WARN', { id: `rule_${i}` })),
  )
  const { findings } = policy.judge(ask('we saw code-7-ab and CODE-999-zz and code-1000-ab'))
  assert.deepEqual(findings.map(({ rule: { id } }) => id).sort(), ['rule_7', 'rule_999'])
})
