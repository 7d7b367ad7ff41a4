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
import { PHRASE_BYTES_MAX } from '../../src/rules/operators.ts'
import type { Condition } from '../../src/rules/rule.ts'
import { RuleError } from '../../src/rules/rule-error.ts'

const leaf: Condition = { operator: 'contains', value: 'x' }
const onReply: Condition = { operator: 'contains', value: 'x', target: 'response' }
const onModel: Condition = { operator: 'equals', value: 'gpt-4o', target: 'model' }
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
  refused(draft({}), 'invalid_request', 'condition.operator', /contains, equals, regex, detects/)
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

test('an unknown detector is refused and the known ones are named', () => {
  refused(draft({ operator: 'detects', value: 'iban' }), 'config', 'condition.value', /credit_card, ssn, email/)
  refused(draft({ operator: 'detects', value: ['ssn', 'iban'] }), 'config', 'condition.value[1]')
})

test('an ALLOW rule may ask who and where, never text', () => {
  parseRule(draft({ all: [onModel, { not: { operator: 'contains', value: 'x', target: 'endpoint' } }] }, 'ALLOW'))
  for (const condition of [leaf, onReply, { any: [onModel, leaf] }, { not: leaf }]) refused(draft(condition, 'ALLOW'), 'config', 'condition', /who and where/)
})

test('a REDACT rule must always have something to cut', () => {
  parseRule(draft({ all: [leaf, onModel] }, 'REDACT'))
  for (const condition of [onModel, { not: leaf }, { any: [leaf, onModel] }]) refused(draft(condition, 'REDACT'), 'config', 'condition', /cut/)
})

test('reversible redaction is refused in this version', () => {
  refused(draft(leaf, 'REDACT', { reversible: true }), 'config', 'reversible', /not available in this version/)
})

test('a rule reads the call or the response, not both', () => {
  refused(draft({ any: [leaf, onReply] }), 'config', 'condition', /two rules/)
  parseRule(draft({ all: [onReply, onModel] }))
})

test('a response rule must be decidable while the response is relayed', () => {
  parseRule(draft({ any: [onReply, { operator: 'detects', value: 'ssn', target: 'response' }] }, 'REDACT'))
  refused(draft(onReply, 'ESCALATE'), 'config', 'action', /already on its way/)
  for (const operator of ['regex', 'equals']) refused(draft({ ...onReply, operator }), 'config', 'condition.operator', /held back/)
  refused(draft({ all: [onReply, onReply] }), 'config', 'condition', /several/)
  refused(draft({ any: [onReply, { not: onReply }] }), 'config', 'condition.any[1]', /absent/)
  refused(draft({ any: [onReply, onModel] }, 'WARN'), 'config', 'condition', /always find/)
})
