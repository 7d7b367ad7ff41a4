import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseRule } from '../../src/rules/check-rule.ts'
import type { Action, Condition } from '../../src/rules/rule.ts'
import { RuleError } from '../../src/rules/rule-error.ts'
import { inReply } from './screened.ts'

const onCall: Condition = { operator: 'contains', value: 'x' }
const onReply = inReply('x')
const onModel: Condition = { operator: 'equals', value: 'gpt-4o', target: 'model' }
const parse = (condition: Condition, action: Action = 'BLOCK', more: object = {}) => parseRule({ name: 'x', condition, action, ...more })
const refused = (path: string, message: RegExp) => (error: unknown) =>
  error instanceof RuleError && error.reason === 'config' && error.path === path && message.test(error.message)

test('a rule about replies may ask whatever a rule about calls may, with who and where beside it', () => {
  const conditions: Condition[] = [
    onReply,
    inReply('^a', { operator: 'regex', target: 'response_tool_arguments' }),
    { ...onReply, operator: 'not_contains' },
    { operator: 'length_gt', value: 5, target: 'response' },
    { not: onReply },
    { all: [onReply, { ...onReply, value: 'y' }, onModel] },
    { any: [onReply, onModel] },
  ]
  for (const condition of conditions) for (const action of ['WARN', 'BLOCK'] as const) parse(condition, action)
  parse({ all: [onReply, { not: { ...onReply, value: 'y' } }] }, 'REDACT')
})

test('a reply cannot be escalated, nor be cut where nothing stands that could be', () => {
  assert.throws(() => parse(onReply, 'ESCALATE'), refused('action', /already|long been made/))
  assert.throws(() => parse({ ...onReply, operator: 'not_contains' }, 'REDACT'), refused('condition', /cut/))
})

test('reversible is what a REDACT rule cuts from a call, and nothing else', () => {
  assert.equal(parse(onCall, 'REDACT', { reversible: true }).reversible, true)
  for (const action of ['WARN', 'BLOCK', 'ESCALATE'] as const) assert.throws(() => parse(onCall, action, { reversible: true }), refused('reversible', /REDACT/))
  assert.throws(() => parse(onReply, 'REDACT', { reversible: true }), refused('reversible', /put back/))
})
