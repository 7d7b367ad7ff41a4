import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CHECK_MS_MAX, checkBudget, PATTERNS_PER_REQUEST_MAX } from '../../src/rules/budget.ts'
import { parseRule } from '../../src/rules/check-rule.ts'
import { compile, type Policy } from '../../src/rules/compile.ts'
import { leavesOf } from '../../src/rules/leaves.ts'
import { type PresetRule, presets, rulesOf } from '../../src/rules/presets.ts'
import { redact } from '../../src/rules/redact.ts'
import type { Condition } from '../../src/rules/rule.ts'
import type { Subject } from '../../src/rules/targets.ts'
import { ordinaryTexts } from './ordinary-texts.ts'
import { ask, callOf, chat, rule, subjectOf, textsOf } from './subject.ts'

const RULES_MIN = 8
const EXAMPLES_MIN = 3

const policyOf = (preset: string): Policy =>
  compile(
    1,
    rulesOf(preset).map((draft, i) => ({ ...draft, id: `rule_${i}` })),
  )
/** A call that an agent's tool was called with this. */
const calling = (command: string): Subject => {
  const called = { id: 'c', type: 'function', function: { name: 'run', arguments: JSON.stringify({ command }) } }
  return subjectOf(callOf(JSON.stringify({ model: 'm', messages: [{ role: 'assistant', content: null, tool_calls: [called] }] })))
}
const readsTools = (condition: Condition): boolean => leavesOf(condition).some(({ leaf }) => leaf.target === 'tool_arguments')

// The same entry in several presets is one set of examples.
const entries = new Map<PresetRule['examples'], PresetRule>()
for (const { rules } of Object.values(presets)) for (const one of rules) if (!entries.has(one.examples)) entries.set(one.examples, one)

for (const { examples, ...draft } of entries.values())
  test(`"${draft.name}" (first in ${draft.preset}) finds its examples and passes what only looks like them`, () => {
    assert.ok(examples.match.length >= EXAMPLES_MIN && examples.pass.length >= EXAMPLES_MIN)
    const policy = compile(1, [rule(draft.condition, draft.action)])
    const saying = readsTools(draft.condition) ? calling : ask
    for (const text of examples.match) assert.equal(policy.judge(saying(text)).action, draft.action, text)
    for (const text of examples.pass) assert.equal(policy.judge(saying(text)).action, 'ALLOW', text)
  })

for (const name of Object.keys(presets)) {
  test(`preset ${name}: at least ${RULES_MIN} rules, each with its purpose and where it comes from, under different names`, () => {
    const drafts = rulesOf(name)
    assert.ok(drafts.length >= RULES_MIN)
    assert.equal(new Set(drafts.map((draft) => draft.name)).size, drafts.length)
    for (const { preset, metadata, name: told } of drafts) {
      assert.equal(preset, name)
      assert.deepEqual(Object.keys(metadata), ['purpose', 'article'])
      for (const text of Object.values(metadata)) assert.match(String(text), /\S.{9,}/, told)
    }
  })

  test(`preset ${name}: its rules are rules anybody could save, and all of them fit in one request`, () => {
    const budget = checkBudget()
    for (const draft of rulesOf(name)) assert.deepEqual(parseRule(structuredClone(draft), budget), draft)
    compile(
      1,
      rulesOf(name).map((draft, i) => ({ ...draft, id: `rule_${i}` })),
      {},
      budget,
    )
    assert.ok(budget.msLeft > 0 && budget.msLeft <= CHECK_MS_MAX && budget.patternsLeft >= 0 && budget.patternsLeft <= PATTERNS_PER_REQUEST_MAX)
  })

  test(`preset ${name}: ordinary texts pass, said or given to a tool`, () => {
    assert.ok(ordinaryTexts.length >= 200, String(ordinaryTexts.length))
    const policy = policyOf(name)
    for (const text of ordinaryTexts)
      for (const subject of [ask(text), calling(text)]) {
        const { findings } = policy.judge(subject)
        assert.deepEqual(
          findings.map(({ rule, spans }) => [rule.name, ...textsOf(subject.call, spans)]),
          [],
          text,
        )
      }
  })
}

test('medical, financial and hr hold everything of default, which holds everything of secrets and prompt_injection', () => {
  const names = (preset: string) => rulesOf(preset).map((draft) => draft.name)
  const missing = (preset: string, from: string) => names(preset).filter((name) => !names(from).includes(name))
  for (const preset of ['medical', 'financial', 'hr']) assert.deepEqual(missing('default', preset), [], preset)
  for (const preset of ['secrets', 'prompt_injection']) assert.deepEqual(missing(preset, 'default'), [], preset)
  assert.deepEqual(missing('secrets', 'coding_agents'), [])
})

test('the actions of the presets are what the documentation says', () => {
  const actions = (preset: string) => [...new Set(rulesOf(preset).map(({ action }) => action))].sort()
  assert.deepEqual(actions('default'), ['BLOCK', 'REDACT', 'WARN'])
  assert.deepEqual(actions('medical'), ['BLOCK', 'REDACT', 'WARN'])
  assert.deepEqual(actions('financial'), ['BLOCK', 'ESCALATE', 'REDACT', 'WARN'])
  assert.deepEqual(actions('hr'), ['BLOCK', 'ESCALATE', 'REDACT', 'WARN'])
  assert.deepEqual(actions('eu_ai_act'), ['BLOCK', 'ESCALATE', 'WARN'])
  assert.deepEqual(actions('secrets'), ['BLOCK'])
  assert.deepEqual(actions('prompt_injection'), ['WARN'])
  assert.deepEqual(actions('coding_agents'), ['BLOCK', 'ESCALATE', 'WARN'])
})

test('each letter of Article 5(1) that concerns a request has a rule that blocks, each point of Annex III one that escalates', () => {
  const articles = (action: string) =>
    rulesOf('eu_ai_act')
      .filter((draft) => draft.action === action)
      .map(({ metadata }) => String(metadata.article))
  for (const letter of 'abcdefgh')
    assert.ok(
      articles('BLOCK').some((article) => article.includes(`Art. 5(1)(${letter})`)),
      letter,
    )
  for (const point of '12345678')
    assert.ok(
      articles('ESCALATE').some((article) => new RegExp(`Annex III\\(${point}`).test(article)),
      point,
    )
})

test('a preset nobody knows is refused', () => {
  assert.throws(() => rulesOf('toString'))
})

test('under hr a trait and a word about hiring that stand far apart in a long call say nothing together; near each other, or in a short call, they do', () => {
  const { judge } = policyOf('hr')
  const filler = 'Our office has a garden and two kitchens. '.repeat(60)
  const hiringWord = 'Here is the profile of the candidate.'
  assert.equal(judge(ask(`${hiringWord} ${filler} Parental leave takes two years.`)).action, 'ALLOW')
  assert.equal(judge(ask(`${filler} ${hiringWord} There are gaps from parental leave. ${filler}`)).action, 'ESCALATE')
  assert.equal(judge(ask(`${filler} Parental leave is mentioned.\n\n${hiringWord} ${filler}`)).action, 'ESCALATE')
  assert.equal(judge(subjectOf(chat(['system', 'You screen applicants.'], ['user', 'Is she pregnant?']))).action, 'ESCALATE')
})

test('under medical a note about a patient leaves without what names the patient', () => {
  const subject = ask('MRN: 00123456, DOB: 04/12/1961, jane.doe@example.org, +1 202 555 0143, SSN 123-45-6789: cough')
  const result = redact(subject.call, policyOf('medical').judge(subject))
  assert.ok('outbound' in result)
  assert.equal(
    JSON.parse(result.outbound.toString()).messages[0].content,
    'MRN: [MEDICAL_RECORD_NUMBER], DOB: [BIRTH_DATE], [EMAIL], [PHONE], SSN [SSN]: cough',
  )
})

test('under financial a payment leaves without its accounts', () => {
  const subject = ask('From account number 000123456789, routing number 021000021, to DE89 3704 0044 0532 0130 00, tax id 86 095 742 719')
  const result = redact(subject.call, policyOf('financial').judge(subject))
  assert.ok('outbound' in result)
  assert.doesNotMatch(JSON.parse(result.outbound.toString()).messages[0].content, /\d/)
})
