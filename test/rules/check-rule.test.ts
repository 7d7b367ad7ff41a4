import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  CONDITION_DEPTH_MAX,
  checkPolicy,
  LEAVES_PER_RULE_MAX,
  PHRASE_BYTES_PER_POLICY_MAX,
  parseRule,
  RULES_PER_POLICY_MAX,
} from '../../src/rules/check-rule.ts'
import { PHRASE_BYTES_MAX, PHRASES_PER_LIST_MAX } from '../../src/rules/operators.ts'
import type { Condition } from '../../src/rules/rule.ts'
import { RuleError } from '../../src/rules/rule-error.ts'

const leaf: Condition = { operator: 'contains', value: 'x' }
const onReply: Condition = { operator: 'contains', value: 'x', target: 'response' }
const onModel: Condition = { operator: 'equals', value: 'gpt-4o', target: 'model' }
const tokens: Condition = { operator: 'threshold', value: { op: 'lt', value: 9 }, target: 'estimated_tokens' }
const draft = (condition: unknown = leaf, action = 'BLOCK', more: object = {}): unknown => ({ name: 'x', condition, action, ...more })

function refused(input: unknown, reason: RuleError['reason'], path: string, message = /./): void {
  assert.throws(
    () => parseRule(input),
    (error) => {
      assert.ok(error instanceof RuleError, String(error))
      assert.deepEqual([error.reason, error.path], [reason, path], error.message)
      assert.match(error.message, message)
      assert.match(error.message, /\.$/, 'it is a sentence')
      return true
    },
  )
}

test('a rule gets defaults for what it leaves out, and keeps what it says', () => {
  assert.deepEqual(parseRule(draft()), {
    name: 'x',
    condition: leaf,
    action: 'BLOCK',
    priority: 50,
    mode: 'enforce',
    reversible: false,
    active: true,
    preset: null,
    metadata: {},
  })
  const whole = {
    name: 'all of it',
    condition: {
      all: [
        { any: [leaf, { not: { operator: 'regex', value: 'a+', target: 'system', case_sensitive: true } }] },
        { operator: 'detects', value: ['ssn', 'email'] },
      ],
    },
    action: 'WARN',
    priority: 0,
    mode: 'shadow',
    reversible: false,
    active: false,
    preset: 'default',
    metadata: { about: 'why' },
  }
  assert.deepEqual(parseRule(whole), whole)
})

test('what is not shaped like a rule is refused as an invalid request, with the place', () => {
  for (const input of [null, 'rule', [], 7]) refused(input, 'invalid_request', '')
  refused(draft(leaf, 'BLOCK', { nmae: 'y' }), 'invalid_request', 'nmae')
  refused({ condition: leaf, action: 'BLOCK' }, 'invalid_request', 'name')
  for (const name of ['', ' ', 'a\nb', 'a'.repeat(201), 7, '\ud800']) refused(draft(leaf, 'BLOCK', { name }), 'invalid_request', 'name')
  refused(draft(leaf, 'block'), 'invalid_request', 'action', /ALLOW, WARN, REDACT, ESCALATE, BLOCK/)
  for (const priority of [-1, 101, 1.5, '5', null]) refused(draft(leaf, 'BLOCK', { priority }), 'invalid_request', 'priority')
  refused(draft(leaf, 'BLOCK', { mode: 'off' }), 'invalid_request', 'mode')
  refused(draft(leaf, 'BLOCK', { active: 1 }), 'invalid_request', 'active')
  for (const metadata of [[], 'x', { a: 'b'.repeat(9000) }, { a: '\0' }, { '\ud800': 1 }])
    refused(draft(leaf, 'BLOCK', { metadata }), 'invalid_request', 'metadata')
  parseRule(draft(leaf, 'BLOCK', { metadata: { path: 'C:\\u0000' } }))
})

test('what is not shaped like a condition is refused as an invalid request, with the place', () => {
  for (const condition of [undefined, null, 'x', []]) refused({ name: 'x', action: 'BLOCK', condition }, 'invalid_request', 'condition')
  refused(draft({}), 'invalid_request', 'condition.operator', /contains, .*equals, .*regex, detects/)
  refused(draft({ all: [] }), 'invalid_request', 'condition.all')
  refused(draft({ any: leaf }), 'invalid_request', 'condition.any')
  refused(draft({ any: [leaf], all: [leaf] }), 'invalid_request', 'condition.any')
  refused(draft({ not: [leaf] }), 'invalid_request', 'condition.not')
  refused(draft({ all: [leaf, { any: [leaf, { operator: 'soundslike', value: 'x' }] }] }), 'invalid_request', 'condition.all[1].any[1].operator')
  refused(draft({ operator: 'toString', value: 'x' }), 'invalid_request', 'condition.operator')
  refused(draft({ ...leaf, target: 'prompts' }), 'invalid_request', 'condition.target')
  refused(draft({ ...leaf, case_sensitive: 'yes' }), 'invalid_request', 'condition.case_sensitive')
  refused(draft({ ...leaf, pattern: 'x' }), 'invalid_request', 'condition.pattern')
  for (const value of [undefined, 7, '', ['x'], '\ud800', 'a\0']) refused(draft({ operator: 'contains', value }), 'invalid_request', 'condition.value')
  for (const value of [undefined, [], {}, 7]) refused(draft({ operator: 'detects', value }), 'invalid_request', 'condition.value')
})

test('what is larger than its bound is refused', () => {
  refused(draft({ operator: 'contains', value: 'é'.repeat(PHRASE_BYTES_MAX / 2 + 1) }), 'config', 'condition.value')
  const deep = (depth: number): Condition => (depth === 1 ? leaf : { not: deep(depth - 1) })
  parseRule(draft(deep(CONDITION_DEPTH_MAX)))
  refused(draft(deep(CONDITION_DEPTH_MAX + 1)), 'config', `condition${'.not'.repeat(CONDITION_DEPTH_MAX)}`)
  parseRule(draft({ any: Array.from({ length: LEAVES_PER_RULE_MAX }, () => leaf) }))
  refused(draft({ any: Array.from({ length: LEAVES_PER_RULE_MAX + 1 }, () => leaf) }), 'config', `condition.any[${LEAVES_PER_RULE_MAX}]`)
  const one = parseRule(draft())
  checkPolicy(new Array(RULES_PER_POLICY_MAX).fill(one))
  assert.throws(() => checkPolicy(new Array(RULES_PER_POLICY_MAX + 1).fill(one)), RuleError)
  checkPolicy([...new Array(RULES_PER_POLICY_MAX).fill(one), { ...one, active: false }])
  const long = parseRule(draft({ operator: 'contains', value: 'x'.repeat(PHRASE_BYTES_MAX) }))
  assert.throws(() => checkPolicy(new Array(PHRASE_BYTES_PER_POLICY_MAX / PHRASE_BYTES_MAX + 1).fill(long)), RuleError)
})

test('a dictionary counts once for the bound of phrases, however many rules name it, and only where one does', () => {
  const large = { birds: { terms: Array.from({ length: 1000 }, () => 'x'.repeat(700)), case_sensitive: false } }
  const naming = parseRule(draft({ operator: 'detects', value: 'birds' }), undefined, new Set(['birds']))
  const other = parseRule(draft({ operator: 'contains', value: 'x'.repeat(PHRASE_BYTES_MAX) }))
  checkPolicy([naming, naming, naming], large)
  checkPolicy(new Array(1000).fill(other), large)
  assert.throws(() => checkPolicy([naming, ...new Array(400).fill(other)], large), RuleError)
})

test('an unknown detector or dictionary is refused and the known ones are named', () => {
  refused(draft({ operator: 'detects', value: 'birds' }), 'config', 'condition.value', /detectors are .*ssn.*no dictionary/)
  refused(draft({ operator: 'detects', value: ['ssn', 'birds'] }), 'config', 'condition.value[1]')
  const parsed = parseRule(draft({ operator: 'detects', value: ['ssn', 'birds'] }), undefined, new Set(['birds']))
  assert.deepEqual(parsed.condition, { operator: 'detects', value: ['ssn', 'birds'] })
  const many = new Set(Array.from({ length: 60 }, (_, i) => `list_${i}`))
  assert.throws(
    () => parseRule(draft({ operator: 'detects', value: 'fish' }), undefined, many),
    (error) => error instanceof RuleError && /dictionaries are list_0, .*list_49 and 10 more/.test(error.message),
  )
})

test('each operator takes its own kind of value', () => {
  const good: Record<string, unknown[]> = {
    in: [['a'], ['a', 'b']],
    not_in: [['a']],
    length_gt: [0, 7],
    length_lt: [1],
    word_count_gt: [3],
    threshold: [{ op: 'gte', value: -1.5 }],
  }
  for (const operator of ['contains', 'not_contains', 'equals', 'not_equals', 'starts_with', 'ends_with', 'regex']) good[operator] = ['x']
  for (const [operator, values] of Object.entries(good)) for (const value of values) parseRule(draft({ operator, value }, 'WARN'))
  const bad: [operator: string, value: unknown, path: string][] = [
    ['in', [], ''],
    ['in', 'a', ''],
    ['in', ['a', 7], '[1]'],
    ['not_in', ['a', ''], '[1]'],
    ['length_gt', -1, ''],
    ['length_lt', 1.5, ''],
    ['word_count_gt', '3', ''],
    ['threshold', 3, ''],
    ['threshold', { op: '>', value: 1 }, '.op'],
    ['threshold', { op: 'toString', value: 1 }, '.op'],
    ['threshold', { op: 'gt', value: '1' }, '.value'],
    ['threshold', { op: 'gt', value: Number.POSITIVE_INFINITY }, '.value'],
    ['threshold', { op: 'gt', value: 1, unit: 'usd' }, '.unit'],
  ]
  for (const [operator, value, path] of bad) refused(draft({ operator, value }), 'invalid_request', `condition.value${path}`)
  refused(draft({ operator: 'in', value: new Array(PHRASES_PER_LIST_MAX + 1).fill('x') }), 'config', 'condition.value', /dictionary/)
})

test('an operator that can ask nothing of its target is refused', () => {
  const over = { op: 'gt', value: 1 }
  for (const target of ['estimated_tokens', 'estimated_cost_usd']) {
    parseRule(draft({ operator: 'threshold', value: over, target }))
    for (const [operator, value] of [
      ['contains', 'x'],
      ['length_gt', 1],
      ['in', ['x']],
      ['detects', 'ssn'],
      ['regex', 'x'],
    ])
      refused(draft({ operator, value, target }), 'config', 'condition.operator', /is a number/)
  }
  for (const target of ['header.x-level', 'metadata.level', 'prompt', 'response']) parseRule(draft({ operator: 'threshold', value: over, target }, 'WARN'))
  for (const target of ['model', 'endpoint', 'tenant', 'agent', 'key']) {
    refused(draft({ operator: 'threshold', value: over, target }), 'config', 'condition.target', /is no number/)
    parseRule(draft({ operator: 'length_gt', value: 3, target }))
  }
})

test('a header or a field of the metadata is named after the dot, and what carries a credential is not read', () => {
  const on = (target: string) => draft({ operator: 'equals', value: 'x', target })
  for (const target of ['header.x-team', 'header.User-Agent', 'metadata.team', 'metadata.Équipe 1', 'metadata.a.b']) parseRule(on(target))
  for (const target of [
    'header.',
    'metadata.',
    'header.a b',
    'header.x:y',
    'header.<name>',
    'metadata.a\nb',
    `metadata.${'a'.repeat(65)}`,
    'header',
    'Header.x',
  ])
    refused(on(target), 'invalid_request', 'condition.target')
  for (const name of [
    'authorization',
    'Authorization',
    'proxy-authorization',
    'cookie',
    'x-api-key',
    'api-key',
    'x-goog-api-key',
    'x-earthflow-key',
    'x-auth-token',
  ])
    refused(on(`header.${name}`), 'config', 'condition.target', /credential/)
})

test('an ALLOW rule may ask who and where, never text', () => {
  parseRule(draft({ all: [onModel, { not: { operator: 'contains', value: 'x', target: 'endpoint' } }] }, 'ALLOW'))
  for (const condition of [leaf, onReply, { any: [onModel, leaf] }, { not: leaf }, tokens])
    refused(draft(condition, 'ALLOW'), 'config', 'condition', /who and where/)
})

test('a REDACT rule must always have something to cut', () => {
  parseRule(draft({ all: [leaf, onModel] }, 'REDACT'))
  const absent = { operator: 'not_contains', value: 'x' }
  for (const condition of [onModel, { not: leaf }, { any: [leaf, onModel] }, absent, { operator: 'length_gt', value: 1 }, tokens])
    refused(draft(condition, 'REDACT'), 'config', 'condition', /cut/)
})

test('a rule reads the call or the response, not both', () => {
  refused(draft({ any: [leaf, onReply] }), 'config', 'condition', /two rules/)
  parseRule(draft({ all: [onReply, onModel] }))
})
