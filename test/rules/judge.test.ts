import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Failure } from '../../src/errors.ts'
import { compile } from '../../src/rules/compile.ts'
import { type Action, actions, type Condition, type Leaf, type Rule, severity } from '../../src/rules/rule.ts'
import { RuleError } from '../../src/rules/rule-error.ts'
import { FINDINGS_MAX, SPANS_PER_LEAF_MAX } from '../../src/rules/search/search.ts'
import type { Subject } from '../../src/rules/targets.ts'
import { ask, callOf, chat, rule, slotsOf, subjectOf, textsOf } from './subject.ts'

const contains = (value: string, more: Partial<Leaf> = {}): Leaf => ({ operator: 'contains', value, ...more })
const judge = (rules: readonly Rule[], subject: Subject) => compile(1, rules).judge(subject)
const actionOf = (condition: Condition, subject: Subject): Action => judge([rule(condition)], subject).action

test('nothing that matches is ALLOW, and every rule was asked', () => {
  const { action, findings, redactions, rulesEvaluated } = judge([rule(contains('secret')), rule(contains('other'), 'WARN')], ask('Hello'))
  assert.deepEqual({ action, findings, redactions, rulesEvaluated }, { action: 'ALLOW', findings: [], redactions: [], rulesEvaluated: 2 })
})

test('a policy without rules that read calls allows at once', () => {
  const policy = compile(7, [rule(contains('x'), 'BLOCK', { active: false })])
  assert.equal(policy.isEmpty, true)
  const verdict = policy.judge(ask('x'))
  assert.deepEqual([verdict.action, verdict.rulesEvaluated, verdict.policy.version], ['ALLOW', 0, 7])
})

test('contains ignores case in every script unless it is told not to', () => {
  for (const [value, text] of [
    ['Falcon', 'project FALCON'],
    ['straße', 'STRAẞE'],
    ['ПРИВЕТ', 'привет'],
    ['東京', 'in 東京 now'],
  ] as const) {
    assert.equal(actionOf(contains(value), ask(text)), 'BLOCK', value)
    assert.equal(actionOf(contains(value, { case_sensitive: true }), ask(text)), value === '東京' ? 'BLOCK' : 'ALLOW', value)
  }
})

test('equals asks for a whole text', () => {
  const equals = (value: string): Condition => ({ operator: 'equals', value, target: 'user' })
  assert.equal(actionOf(equals('hello'), ask('Hello')), 'BLOCK')
  assert.equal(actionOf(equals('ÉTÉ'), ask('été')), 'BLOCK')
  assert.equal(actionOf(equals('hello'), ask('hello you')), 'ALLOW')
  assert.equal(actionOf(equals('a\nb'), subjectOf(chat(['user', 'a'], ['user', 'b']))), 'ALLOW')
})

test('a phrase with a line break is found in one text and never over two, what is told in pieces over two texts of one speaker', () => {
  assert.equal(actionOf(contains('a\nb'), ask('xa\nby')), 'BLOCK')
  assert.equal(actionOf(contains('a\nb'), subjectOf(chat(['user', 'xa'], ['user', 'by']))), 'ALLOW')
  assert.equal(actionOf(contains('\n'), subjectOf(chat(['user', ''], ['user', 'b']))), 'ALLOW')
  assert.equal(actionOf({ operator: 'detects', value: 'credit_card' }, subjectOf(chat(['user', '4111 1111'], ['user', '1111 1111']))), 'BLOCK')
  assert.equal(actionOf({ operator: 'detects', value: 'credit_card' }, subjectOf(chat(['user', '4111 1111'], ['assistant', '1111 1111']))), 'ALLOW')
})

test('each target means its texts and no others', () => {
  const call = callOf(
    JSON.stringify({
      model: 'gpt-4o',
      messages: [
        { role: 'system', content: 'one' },
        { role: 'user', content: 'two' },
        { role: 'assistant', content: null, tool_calls: [{ id: 'c', type: 'function', function: { name: 'three', arguments: '{"a":"four"}' } }] },
        { role: 'tool', tool_call_id: 'c', content: 'five' },
      ],
      unknown: 'six',
    }),
  )
  assert.deepEqual(slotsOf(call, 'tool_result'), ['five'])
  const where: Record<string, string> = { system: 'one', user: 'two', tool_names: 'three', tool_arguments: 'four', tool_results: 'five' }
  for (const [target, own] of Object.entries(where))
    for (const word of [...Object.values(where), 'six']) {
      assert.equal(actionOf(contains(word, { target: target as 'user' }), subjectOf(call)), word === own ? 'BLOCK' : 'ALLOW', `${target} ${word}`)
      assert.equal(actionOf({ operator: 'regex', value: word, target: target as 'user' }, subjectOf(call)), word === own ? 'BLOCK' : 'ALLOW')
      assert.equal(actionOf(contains(word), subjectOf(call)), 'BLOCK', `prompt is every text: ${word}`)
    }
})

test('the words a format prescribes are no text of the call; anything else in their place is', () => {
  const call = (role: string, type: string) => subjectOf(callOf(`{"model":"m","messages":[{"role":"${role}","content":[{"type":"${type}","text":"hi"}]}]}`))
  for (const word of ['user', 'text']) {
    assert.equal(actionOf(contains(word), call('user', 'text')), 'ALLOW')
    assert.equal(actionOf({ operator: 'regex', value: word }, call('user', 'text')), 'ALLOW')
  }
  assert.equal(actionOf(contains('user'), subjectOf(chat(['user', 'the user']))), 'BLOCK')
})

test('a rule about a key holds for its whole line: the keys whose place it took, and those that took its place', () => {
  const subject = subjectOf(chat(['user', 'x']), { key: 'ef_live_newestxx' })
  const line = ['ef_live_firstxxx', 'ef_live_secondxx', 'ef_live_newestxx']
  for (const keyPrefix of line) {
    const one = { ...subject, caller: { ...subject.caller, keyPrefix, line } }
    for (const value of line) assert.equal(actionOf({ operator: 'equals', value, target: 'key' }, one), 'BLOCK')
  }
  assert.equal(actionOf({ operator: 'equals', value: 'ef_live_firstxxx', target: 'key' }, subject), 'ALLOW')
})

test('who and where are asked by value', () => {
  const subject = subjectOf(chat(['user', 'x']), { tenant: 't_9', key: 'ef_live_zyxwvuts' })
  for (const [target, value] of [
    ['model', 'GPT-4o'],
    ['endpoint', '/v1/chat/completions'],
    ['tenant', 't_9'],
    ['key', 'ef_live_zyxwvuts'],
  ] as const) {
    assert.equal(actionOf({ operator: 'equals', value, target }, subject), 'BLOCK')
    assert.equal(actionOf({ operator: 'equals', value: value.slice(1), target }, subject), 'ALLOW')
    assert.equal(actionOf(contains(value.slice(1), { target }), subject), 'BLOCK')
    assert.equal(actionOf({ operator: 'regex', value: `^${value.slice(0, 3)}`, target }, subject), 'BLOCK')
  }
})

test('of two actions on one text the more severe wins, in whatever order the rules are stored', () => {
  for (const one of actions)
    for (const other of actions) {
      const rules = [one, other].map((action, i) =>
        rule(action === 'ALLOW' ? contains('gpt', { target: 'model' }) : contains('x'), action, { id: `rule_${i}` }),
      )
      const worse = severity[one] > severity[other] ? one : other
      assert.equal(judge(rules, ask('x')).action, worse, `${one} and ${other}`)
      assert.equal(judge(rules.toReversed(), ask('x')).action, worse)
    }
})

test('an ALLOW rule ends what is of lower priority, and nothing of its own or a higher one', () => {
  const allow = rule({ operator: 'equals', value: 'gpt-4o', target: 'model' }, 'ALLOW', { priority: 60 })
  const block = (priority: number) => rule(contains('x'), 'BLOCK', { priority })
  assert.equal(judge([block(59), allow], ask('x')).action, 'ALLOW')
  assert.equal(judge([block(60), allow], ask('x')).action, 'BLOCK')
  assert.equal(judge([block(61), allow], ask('x')).action, 'BLOCK')
  const { findings, rulesEvaluated } = judge([block(59), allow, rule(contains('x'), 'WARN', { priority: 70 })], ask('x'))
  assert.deepEqual([findings.map((finding) => finding.rule.action), rulesEvaluated], [['WARN', 'ALLOW'], 2])
})

test('a shadow rule is recorded and has no effect, not even as ALLOW', () => {
  const shadow = { mode: 'shadow', priority: 90 } as const
  const allow = rule({ operator: 'equals', value: 'gpt-4o', target: 'model' }, 'ALLOW', shadow)
  const verdict = judge([allow, rule(contains('x'), 'BLOCK', shadow), rule(contains('x'), 'REDACT', shadow), rule(contains('x'), 'WARN')], ask('x'))
  assert.equal(verdict.action, 'WARN')
  assert.deepEqual(
    verdict.findings.map(({ rule: { action }, mode, spans }) => [action, mode, spans.length]),
    [
      ['BLOCK', 'shadow', 1],
      ['REDACT', 'shadow', 1],
      ['ALLOW', 'shadow', 0],
      ['WARN', 'enforce', 1],
    ],
  )
  assert.deepEqual(verdict.redactions, [])
})

test('only enforced REDACT rules say what is cut, and only when the action is REDACT', () => {
  const redact = rule(contains('bc'), 'REDACT')
  const subject = ask('abcd')
  const cuts = (more: Rule[]) => textsOf(subject.call, judge([redact, ...more], subject).redactions)
  assert.deepEqual(cuts([rule(contains('a'), 'WARN'), rule(contains('d'), 'REDACT', { id: 'r2', mode: 'shadow' })]), ['bc'])
  assert.deepEqual(cuts([rule(contains('a'), 'BLOCK')]), [])
  assert.deepEqual(cuts([rule(contains('a'), 'ESCALATE')]), [])
})

test('of a rule that cuts nothing a bounded number of findings is kept', () => {
  const subject = ask('x'.repeat(SPANS_PER_LEAF_MAX + 500))
  const count = (condition: Condition, action: Action) => judge([rule(condition, action)], subject).findings[0].spans.length
  for (const condition of [contains('x'), { operator: 'regex', value: 'x' }]) {
    assert.equal(count(condition, 'WARN'), SPANS_PER_LEAF_MAX)
    assert.equal(count(condition, 'REDACT'), SPANS_PER_LEAF_MAX + 500)
  }
})

test('a text in which many rules find something at every letter is refused instead of holding everybody else up, and one that is only large is not', () => {
  const asking = (count: number, action: Action): Rule[] => Array.from({ length: count }, (_, i) => rule(contains('x'), action, { id: `r${i}` }))
  const large = ask('x'.repeat(FINDINGS_MAX))
  const refused = (error: unknown): boolean => error instanceof Failure && error.reason === 'too_large'
  for (const [count, action] of [
    [5, 'WARN'],
    [2, 'REDACT'],
  ] as const)
    assert.throws(() => judge(asking(count, action), large), refused)
  assert.equal(judge(asking(4, 'WARN'), large).findings.length, 4)
})

test('a call that names more models than can be asked for one by one is refused', () => {
  const naming = (count: number) => subjectOf({ ...chat(['user', 'hi']), models: Array.from({ length: count }, (_, i) => `m${i}`) })
  const last: Condition = { operator: 'equals', value: 'm63', target: 'model' }
  assert.equal(actionOf(last, naming(64)), 'BLOCK')
  assert.throws(
    () => actionOf(last, naming(65)),
    (error) => error instanceof Failure && error.reason === 'too_large',
  )
})

test('a stored rule this version does not know how to judge by makes no policy, instead of one that lets calls pass', () => {
  const good = rule(contains('secret'))
  const broken: Record<string, unknown>[] = [
    { action: 'DENY' },
    { action: 'block' },
    { action: undefined },
    { action: 'toString' },
    { mode: 'audit' },
    { mode: undefined },
    { active: undefined },
    { active: 'true' },
    { priority: undefined },
    { priority: 'NaN' },
    { reversible: 'yes' },
    { condition: undefined },
    { condition: null },
    { condition: [] },
    { condition: {} },
    { condition: { all: [] } },
    { condition: { any: [good.condition], none: [] } },
    { condition: { xor: [good.condition] } },
    { condition: { not: null } },
    { condition: { operator: 'soundslike', value: 'x' } },
    { condition: { operator: 'toString', value: 'x' } },
    { condition: { operator: 'contains' } },
    { condition: { operator: 'contains', value: 'x', target: 'images' } },
    { condition: { operator: 'contains', value: 'x', negate: true } },
    { condition: { operator: 'detects', value: 'no_such_thing' } },
    { condition: { operator: 'regex', value: '(' } },
    // Well-formed, and would do nothing, or the contrary:
    { action: 'ALLOW' },
    { action: 'REDACT', condition: { not: contains('x') } },
    { action: 'ALLOW', condition: contains('x', { target: 'response' }) },
  ]
  for (const change of broken) {
    const stored = JSON.parse(JSON.stringify({ ...good, ...change })) as Rule
    assert.throws(() => compile(1, [good, stored]), RuleError, JSON.stringify(change))
  }
  for (const stored of [null, 'rule', []]) assert.throws(() => compile(1, [stored as unknown as Rule]), RuleError)
})
