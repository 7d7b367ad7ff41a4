import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compile } from '../../src/rules/compile.ts'
import { countCharacters, countWords, numberIn } from '../../src/rules/counts.ts'
import { operators } from '../../src/rules/operators.ts'
import { redact } from '../../src/rules/redact.ts'
import type { Action, Condition, Dictionaries, Rule, Target } from '../../src/rules/rule.ts'
import type { Subject } from '../../src/rules/targets.ts'
import { ask, callOf, chat, rule, subjectOf, textsOf } from './subject.ts'

const judge = (rules: readonly Rule[], subject: Subject, dictionaries: Dictionaries = {}) => compile(1, rules, dictionaries).judge(subject)
const holds = (condition: Condition, subject: Subject, action: Action = 'WARN'): boolean => judge([rule(condition, action)], subject).findings.length === 1

/** By operator: what of two user's texts holds, and what does not. */
const two = subjectOf(chat(['user', 'Hello world'], ['user', 'été']))
const cases: Record<string, { yes: unknown[]; no: unknown[] }> = {
  contains: { yes: ['o w', 'ÉT', 'Hello world'], no: ['d été', 'x'] },
  not_contains: { yes: ['x', 'world\nété'], no: ['hello', 'É'] },
  equals: { yes: ['hello WORLD', 'ÉTÉ'], no: ['hello', 'Hello world\nété'] },
  not_equals: { yes: ['hello'], no: ['hello world', 'été'] },
  starts_with: { yes: ['hell', 'ét', 'été'], no: ['world', 'té'] },
  ends_with: { yes: ['WORLD', 'té', 'été'], no: ['hello', 'ét'] },
  in: { yes: [['x', 'été'], ['hello world']], no: [['hello', 'world'], ['x']] },
  not_in: { yes: [['hello', 'world']], no: [['x', 'ÉTÉ']] },
  regex: { yes: ['^été$', 'w.r', '^hello'], no: ['^world', 'd.*é'] },
  detects: { yes: [], no: ['ssn', ['ssn', 'email']] },
  length_gt: { yes: [13, 0], no: [14, 15] },
  length_lt: { yes: [15], no: [14, 0] },
  word_count_gt: { yes: [2, 0], no: [3, 4] },
  threshold: {
    yes: [
      { op: 'eq', value: 14 },
      { op: 'gte', value: 14 },
      { op: 'lt', value: 14.5 },
      { op: 'ne', value: 13 },
    ],
    no: [
      { op: 'gt', value: 14 },
      { op: 'lte', value: 13 },
      { op: 'ne', value: 14 },
    ],
  },
}

test('each operator asks of the texts of its target what its sentence says', () => {
  assert.deepEqual(Object.keys(cases).sort(), Object.keys(operators).sort())
  for (const [operator, { yes, no }] of Object.entries(cases)) {
    for (const value of yes) assert.equal(holds({ operator, value, target: 'user' }, two), true, `${operator} ${JSON.stringify(value)}`)
    for (const value of no) assert.equal(holds({ operator, value, target: 'user' }, two), false, `${operator} ${JSON.stringify(value)}`)
  }
})

test('case_sensitive is about every operator that compares text', () => {
  for (const operator of ['contains', 'equals', 'starts_with', 'ends_with', 'regex', 'in']) {
    const value = operator === 'in' ? ['HELLO'] : 'HELLO'
    assert.equal(holds({ operator, value, target: 'user' }, ask('hello')), true, operator)
    assert.equal(holds({ operator, value, target: 'user', case_sensitive: true }, ask('hello')), false, operator)
    assert.equal(holds({ operator, value, target: 'user', case_sensitive: true }, ask('HELLO')), true, operator)
  }
})

test('what is found at an edge is cut there and nowhere else', () => {
  const cut = (condition: Condition, text: string): string[] => {
    const subject = ask(text)
    return textsOf(subject.call, judge([rule(condition, 'REDACT')], subject).redactions)
  }
  const on = (operator: string, value: unknown): Condition => ({ operator, value, target: 'user' })
  assert.deepEqual(cut(on('starts_with', 'ab'), 'ab ab'), ['ab'])
  assert.deepEqual(
    judge([rule(on('ends_with', 'ab'), 'REDACT')], ask('ab ab')).redactions.map(({ start }) => start),
    [3],
  )
  assert.deepEqual(cut(on('in', ['x', 'ab']), 'ab'), ['ab'])
  assert.deepEqual(cut(on('in', ['x', 'ab']), 'ab '), [])
})

test('a target without texts has no length, and nothing in it is absent for want of being there', () => {
  const subject = ask('hi')
  assert.equal(holds({ operator: 'length_lt', value: 1, target: 'system' }, subject), true)
  assert.equal(holds({ operator: 'length_gt', value: 0, target: 'system' }, subject), false)
  assert.equal(holds({ operator: 'not_contains', value: 'x', target: 'system' }, subject), true)
  assert.equal(holds({ operator: 'length_lt', value: 1, target: 'header.x-team' }, subject), true)
  assert.equal(holds({ operator: 'not_in', value: ['a'], target: 'metadata.team' }, subject), true)
})

test('the length of a prompt is that of what was said: the words, ids and names of the format do not count', () => {
  const subject = ask('hi you')
  assert.equal(holds({ operator: 'threshold', value: { op: 'eq', value: 6 } }, subject), true)
  assert.equal(holds({ operator: 'word_count_gt', value: 1 }, subject), true)
  assert.equal(holds({ operator: 'word_count_gt', value: 2 }, subject), false)
})

test('characters are code points and words are what white space parts', () => {
  for (const text of [
    '',
    ' ',
    'a',
    'a b',
    ' a\t\nb ',
    'é\u00a0è',
    '日本\u3000語',
    'a\u2028b\u2029c',
    '😀 😀',
    'a\u200bb',
    '\u1680',
    '\u2003x',
    'x\u2003',
    '\u0085a\u202fb\u205fc',
  ]) {
    const bytes = Buffer.from(`..${text}..`)
    assert.equal(countCharacters(bytes, 2, bytes.length - 2), [...text].length, JSON.stringify(text))
    assert.equal(countWords(bytes, 2, bytes.length - 2), text.split(/\p{White_Space}+/u).filter((word) => word !== '').length, JSON.stringify(text))
  }
})

test('values that look like numbers are, and nothing else is', () => {
  for (const [value, number] of [
    ['3', 3],
    [' -2.5 ', -2.5],
    ['1e3', 1000],
    ['007', 7],
  ] as const)
    assert.equal(numberIn(value), number)
  for (const value of ['', ' ', 'a', '1a', '0x10', 'Infinity', 'NaN', '1,5', '--1', 'true']) assert.equal(numberIn(value), null, value)
})

test('the last message is every text in it, and no text before or beside it', () => {
  const body = {
    model: 'm',
    messages: [
      { role: 'user', content: 'first' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'last one' },
          { type: 'text', text: 'last two' },
        ],
        name: 'named',
      },
    ],
    note: 'beside',
  }
  const subject = subjectOf(callOf(JSON.stringify(body)))
  for (const [word, found] of [
    ['first', false],
    ['last one', true],
    ['last two', true],
    ['named', true],
    ['beside', false],
    ['m', false],
  ] as const) {
    assert.equal(holds({ operator: 'equals', value: word, target: 'last_message' }, subject), found, word)
    assert.equal(holds({ operator: 'regex', value: `^${word}$`, target: 'last_message' }, subject), found, word)
  }
  assert.equal(holds({ operator: 'threshold', value: { op: 'eq', value: 16 }, target: 'last_message' }, subject), true)
  assert.equal(holds({ operator: 'length_gt', value: 0, target: 'last_message' }, subjectOf({ ...subject.call, lastMessage: null })), false)
})

test('headers, metadata and the agent are asked by value; what is not there is none', () => {
  const base = subjectOf(chat(['user', 'x']))
  const subject: Subject = {
    ...base,
    caller: { ...base.caller, agent: { id: 'agent_7' } },
    headers: { 'user-agent': 'curl/8', 'x-many': ['a', 'b'] },
    metadata: { team: 'Red', level: 3, paid: true, price: '2.50' },
  }
  const equals = (target: Target, value: string): boolean => holds({ operator: 'equals', value, target }, subject)
  for (const [target, value] of [
    ['header.User-Agent', 'CURL/8'],
    ['header.x-many', 'b'],
    ['metadata.team', 'red'],
    ['metadata.level', '3'],
    ['metadata.paid', 'true'],
    ['agent', 'agent_7'],
  ] as const) {
    assert.equal(equals(target, value), true, target)
    assert.equal(equals(target, 'else'), false, target)
    assert.equal(holds({ operator: 'not_equals', value, target }, subject), false, target)
  }
  const over = (target: Target, value: number): boolean => holds({ operator: 'threshold', value: { op: 'gt', value }, target }, subject)
  assert.deepEqual([over('metadata.level', 2), over('metadata.level', 3), over('metadata.price', 2.4), over('metadata.team', -9)], [true, false, true, false])
  for (const target of ['header.x-none', 'metadata.none', 'metadata.toString', 'header.__proto__'] as const) {
    assert.equal(equals(target, 'x'), false, target)
    assert.equal(holds({ operator: 'regex', value: '.', target }, subject), false, target)
    assert.equal(over(target, -1), false, target)
  }
})

test('what a field said in one call is not remembered for the next', () => {
  const policy = compile(1, [rule({ operator: 'contains', value: 'a', target: 'header.x-team' })])
  const actionFor = (headers: Subject['headers']): Action => policy.judge({ ...ask('x'), headers }).action
  const seen = [{ 'x-team': 'a' }, {}, { 'x-team': 'a' }, { 'x-team': 'b' }, { 'x-team': ['b', 'a'] }, { 'x-team': ['b'] }].map(actionFor)
  assert.deepEqual(seen, ['BLOCK', 'ALLOW', 'BLOCK', 'ALLOW', 'BLOCK', 'ALLOW'])
})

test('no model hides behind another that the call names beside it', () => {
  const both = subjectOf({ ...chat(['user', 'ab']), models: ['good', 'bad'] })
  const on = (operator: string, value: unknown): Condition => ({ operator, value, target: 'model' })
  for (const condition of [on('equals', 'bad'), on('not_equals', 'good'), on('not_in', ['good']), { not: on('starts_with', 'go') }]) {
    assert.equal(holds(condition, both, 'BLOCK'), true, JSON.stringify(condition))
    assert.equal(holds(condition, both, 'ALLOW'), false, JSON.stringify(condition))
  }
  assert.equal(holds(on('in', ['good', 'bad']), both, 'ALLOW'), true)
  const cut = rule(
    { any: ['good', 'bad'].map((model, i) => ({ all: [on('equals', model), { operator: 'contains', value: 'ab'[i], target: 'user' }] })) },
    'REDACT',
  )
  assert.deepEqual(textsOf(both.call, judge([cut], both).redactions), ['a', 'b'])
})

test('tokens and cost are estimated from the bytes of all texts, the longest answer and the price', () => {
  const call = { ...chat(['user', 'é'.repeat(200)]), maxOutputTokens: 500 }
  const subject: Subject = { ...subjectOf(call), price: { input: 2, output: 10 } }
  const tokens = Math.ceil((400 + 'gpt-4o'.length + 'user'.length) / 4)
  const is = (target: Target, value: number, who = subject): boolean => holds({ operator: 'threshold', value: { op: 'eq', value }, target }, who)
  assert.equal(is('estimated_tokens', tokens), true)
  assert.equal(is('estimated_cost_usd', (tokens * 2 + 500 * 10) / 1e6), true)
  const unsaid: Subject = { ...subject, call: { ...call, maxOutputTokens: null } }
  assert.equal(is('estimated_cost_usd', (tokens * 2) / 1e6, unsaid), true)
  const tenant = { ...subject.caller.tenant, defaultMaxOutputTokens: 100 }
  assert.equal(is('estimated_cost_usd', (tokens * 2 + 100 * 10) / 1e6, { ...unsaid, caller: { ...subject.caller, tenant } }), true)
  for (const op of ['gt', 'lt', 'ne'])
    assert.equal(holds({ operator: 'threshold', value: { op, value: 1 }, target: 'estimated_cost_usd' }, { ...subject, price: null }), false)
})

const birds: Dictionaries = { 'water-birds': { terms: ['osprey', 'Étang'], case_sensitive: false }, metals: { terms: ['Au'], case_sensitive: true } }

test('a dictionary is found by its name, in the case it was told to mind, beside detectors', () => {
  const found = (value: unknown, text: string) => {
    const subject = ask(text)
    return textsOf(subject.call, judge([rule({ operator: 'detects', value })], subject, birds).findings[0]?.spans ?? [])
  }
  assert.deepEqual(found('water-birds', 'An OSPREY by the étang'), ['OSPREY', 'étang'])
  assert.deepEqual(found('metals', 'Au au AU'), ['Au'])
  assert.deepEqual(found(['metals', 'ssn'], 'Au 123-45-6789'), ['Au', '123-45-6789'])
  assert.throws(() => compile(1, [rule({ operator: 'detects', value: 'metals' })]), /no such detector or dictionary/)
})

test('a term is replaced by the name of its dictionary, once', () => {
  const rules = [
    rule({ operator: 'detects', value: ['water-birds', 'metals'] }, 'REDACT'),
    rule({ operator: 'contains', value: 'water' }, 'REDACT', { id: 'r2' }),
  ]
  const cut = (text: string): string => {
    const { call } = ask(text)
    const verdict = judge(rules, subjectOf(call), birds)
    if (verdict.action !== 'REDACT') return text
    const result = redact(call, verdict)
    assert.ok('outbound' in result)
    return JSON.parse(result.outbound.toString()).messages[0].content
  }
  const once = cut('Osprey, Au, water')
  assert.equal(once, '[WATER_BIRDS], [METALS], [REDACTED]')
  assert.equal(cut(once), once)
})

test('several rules about one dictionary all find it', () => {
  const rules = ['BLOCK', 'WARN', 'ESCALATE'].map((action) => rule({ operator: 'detects', value: 'metals' }, action as Action, { mode: 'shadow' }))
  assert.deepEqual(
    judge(rules, ask('Au'), birds).findings.map(({ rule: { action }, spans }) => [action, spans.length]),
    [
      ['BLOCK', 1],
      ['ESCALATE', 1],
      ['WARN', 1],
    ],
  )
})
