import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseRule } from '../../src/rules/check-rule.ts'
import { compile } from '../../src/rules/compile.ts'
import { presets, rulesOf } from '../../src/rules/presets.ts'
import { redact } from '../../src/rules/redact.ts'
import { ask, rule } from './subject.ts'

for (const [name, { rules }] of Object.entries(presets)) {
  for (const { examples, ...draft } of rules)
    test(`preset ${name}, "${draft.name}": finds its examples and passes what only looks like them`, () => {
      assert.ok(examples.match.length >= 3 && examples.pass.length >= 3)
      const policy = compile(1, [rule(draft.condition, draft.action)])
      for (const text of examples.match) assert.equal(policy.judge(ask(text)).action, draft.action, text)
      for (const text of examples.pass) assert.equal(policy.judge(ask(text)).action, 'ALLOW', text)
    })

  test(`preset ${name}: its rules are rules anybody could save, under different names`, () => {
    const drafts = rulesOf(name)
    for (const draft of drafts) assert.deepEqual(parseRule(structuredClone(draft)), draft)
    assert.equal(new Set(drafts.map((draft) => draft.name)).size, drafts.length)
    assert.ok(drafts.every((draft) => draft.preset === name && typeof draft.metadata.about === 'string'))
  })

  test(`preset ${name}: ordinary texts pass`, () => {
    const policy = compile(
      1,
      rulesOf(name).map((draft, i) => ({ ...draft, id: `rule_${i}` })),
    )
    for (const text of [
      'Please summarise the meeting of 12 November 2026 in three sentences.',
      'commit 3f786850e387550fdab836ed7e6dc881de23001b, order 1234567890, IPv6 2001:db8::1',
      'id 550e8400-e29b-41d4-a716-446655440000, phone +1 (202) 555-0143',
      'データを要約してください。Что нового? 👨‍👩‍👧‍👦',
      'for (let i = 0; i < 10; i++) { print(i) }',
    ])
      assert.equal(policy.judge(ask(text)).action, 'ALLOW', text)
  })
}

test('medical holds everything of default', () => {
  const names = (preset: string) => rulesOf(preset).map((draft) => draft.name)
  assert.deepEqual(
    names('default').filter((name) => !names('medical').includes(name)),
    [],
  )
})

test('a preset nobody knows is refused', () => {
  assert.throws(() => rulesOf('toString'))
})

test('under medical a note about a patient leaves without what names the patient', () => {
  const policy = compile(
    1,
    rulesOf('medical').map((draft, i) => ({ ...draft, id: `rule_${i}` })),
  )
  const subject = ask('MRN: 00123456, DOB: 04/12/1961, jane.doe@example.org, SSN 123-45-6789: cough')
  const result = redact(subject.call, policy.judge(subject))
  assert.ok('outbound' in result)
  assert.equal(JSON.parse(result.outbound.toString()).messages[0].content, '[REDACTED], [REDACTED], [EMAIL], SSN [SSN]: cough')
})
