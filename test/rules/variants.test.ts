import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { insertTenant } from '../../src/access/tenants.ts'
import type { Db } from '../../src/db/connect.ts'
import { compile } from '../../src/rules/compile.ts'
import { redact } from '../../src/rules/redact.ts'
import type { Condition, Rule } from '../../src/rules/rule.ts'
import { createFindingsCache } from '../../src/rules/search/findings-cache.ts'
import { createTurns } from '../../src/rules/search/turns.ts'
import { createPolicies, writeRules } from '../../src/rules/store.ts'
import { createVariants, type Variant } from '../../src/rules/variants.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { ask, callOf, chat, rule, subjectOf } from './subject.ts'

const PLAIN: Variant = { warnRedacts: false, irreversible: false }
const CUTS: Variant = { warnRedacts: true, irreversible: false }
const VAULT: Variant = { warnRedacts: true, irreversible: true }

const osprey: Condition = { operator: 'contains', value: 'osprey' }
const long: Condition = { operator: 'length_gt', value: 3 }
const dictionaries = { birds: { terms: ['jackdaw'], case_sensitive: false } }

const under = (variant: Variant, ...rules: Rule[]) => {
  const policy = compile(7, rules, dictionaries)
  policy.redactionKey = Buffer.alloc(32, 1)
  return createVariants(policy, { version: 7, dictionaries })(variant)
}

/** What becomes of a call that says this. */
function outcomeOf(variant: Variant, text: string, ...rules: Rule[]) {
  const call = chat(['user', text])
  const verdict = under(variant, ...rules).judge(subjectOf(call))
  const cut = verdict.action === 'REDACT' ? redact(call, verdict) : null
  return { action: verdict.action, says: cut && 'outbound' in cut ? JSON.parse(cut.outbound.toString()).messages[0].content : null, verdict, cut }
}

test('where REDACT replaces WARN, what a rule would warn of is cut, and its finding says so', () => {
  const warns = rule(osprey, 'WARN')
  assert.equal(outcomeOf(PLAIN, 'an osprey', warns).action, 'WARN')
  const { action, says, verdict } = outcomeOf(CUTS, 'an osprey', warns)
  assert.deepEqual([action, says], ['REDACT', 'an [REDACTED]'])
  assert.deepEqual(
    verdict.findings.map((finding) => [finding.rule.id, finding.rule.action, finding.mode]),
    [[warns.id, 'REDACT', 'enforce']],
  )
  assert.equal(verdict.policy.version, 7, 'the same version')
  const ofDictionary = rule({ operator: 'detects', value: ['birds'] }, 'WARN')
  assert.equal(outcomeOf(CUTS, 'a jackdaw', ofDictionary).says, 'a [BIRDS]')
})

test('a rule that asks who, how long or how many has nothing to cut, and still warns', () => {
  const conditions: Condition[] = [
    long,
    { operator: 'word_count_gt', value: 0 },
    { operator: 'not_contains', value: 'osprey' },
    { operator: 'equals', target: 'model', value: 'gpt-4o' },
    { operator: 'threshold', target: 'estimated_tokens', value: { op: 'gt', value: 0 } } as Condition,
    { not: osprey },
    { any: [osprey, long] },
  ]
  for (const condition of conditions) assert.equal(outcomeOf(VAULT, 'a jackdaw', rule(condition, 'WARN')).action, 'WARN', JSON.stringify(condition))
  assert.equal(outcomeOf(CUTS, 'an osprey', rule({ all: [osprey, long] }, 'WARN')).says, 'an [REDACTED]', 'with a text beside it there is')
})

test('other actions stay what they are, and so do shadow rules', () => {
  for (const action of ['BLOCK', 'ESCALATE', 'REDACT'] as const) assert.equal(outcomeOf(VAULT, 'an osprey', rule(osprey, action)).action, action)
  const allows = rule({ operator: 'equals', target: 'model', value: 'gpt-4o' }, 'ALLOW', { priority: 90 })
  assert.equal(outcomeOf(VAULT, 'an osprey', allows, rule(osprey, 'WARN')).action, 'ALLOW')
  const { action, verdict } = outcomeOf(VAULT, 'an osprey', rule(osprey, 'WARN', { mode: 'shadow' }))
  assert.equal(action, 'ALLOW')
  assert.deepEqual(
    verdict.findings.map(({ rule: { action }, mode }) => [action, mode]),
    [['REDACT', 'shadow']],
  )
})

test('what stands where a placeholder would break the call is refused, not warned of', () => {
  const tools = [{ type: 'function', function: { name: 'osprey', parameters: {} } }]
  const call = callOf(JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'x' }], tools }))
  const warns = rule({ operator: 'contains', value: 'osprey', target: 'tool_names' }, 'WARN')
  assert.equal(under(PLAIN, warns).judge(subjectOf(call)).action, 'WARN')
  const verdict = under(CUTS, warns).judge(subjectOf(call))
  assert.equal(verdict.action, 'REDACT')
  assert.deepEqual(redact(call, verdict), { cannot: 'tools[0].function.name' })
})

test('replies are read under the same terms', () => {
  const warns = rule({ operator: 'contains', value: 'osprey', target: 'response' }, 'WARN')
  assert.equal(under(PLAIN, warns).judge(ask('x')).reply?.stopsOrCuts, false)
  assert.equal(under(CUTS, warns).judge(ask('x')).reply?.stopsOrCuts, true)
})

test('a reversible rule cuts for good where nothing may be put back, and only there', () => {
  const cuts = rule(osprey, 'REDACT', { reversible: true })
  const back = outcomeOf(CUTS, 'an osprey', cuts)
  assert.match(back.says, /^an \[REDACTED_[A-Z2-7]{6}\]$/)
  assert.ok(back.cut && 'originals' in back.cut && back.cut.originals?.size === 1)
  const gone = outcomeOf(VAULT, 'an osprey', cuts)
  assert.equal(gone.says, 'an [REDACTED]')
  assert.ok(gone.cut && 'originals' in gone.cut && gone.cut.originals === null)
})

test('a variant is compiled once, and is the policy itself where nothing in it changes', () => {
  const compiled = compile(1, [rule(osprey, 'WARN')])
  const variants = createVariants(compiled, { version: 1, dictionaries: {} })
  assert.equal(variants(PLAIN), compiled)
  assert.notEqual(variants(CUTS), compiled)
  assert.equal(variants(CUTS), variants({ ...CUTS }))
  const blocks = compile(1, [rule(osprey, 'BLOCK'), rule(long, 'WARN')])
  assert.equal(createVariants(blocks, { version: 1, dictionaries: {} })(VAULT), blocks)
})

test('what was remembered of a text under one variant decides nothing under another', async () => {
  const shared = { turns: createTurns(), cache: createFindingsCache(), thread: { search: () => assert.fail('too long') } }
  const plain = compile(1, [rule(osprey, 'WARN')])
  const variants = createVariants(plain, { version: 1, dictionaries: {} })
  const subject = subjectOf(chat(['user', 'an osprey'], ['assistant', 'a bird'], ['user', 'more of it']))
  for (let round = 0; round < 2; round++) {
    assert.equal((await plain.judgeInTurns(subject, { shared, waiting: null })).action, 'WARN')
    const cut = await variants(CUTS).judgeInTurns(subject, { shared, waiting: null })
    assert.deepEqual([cut.action, cut.redactions.length], ['REDACT', 1])
  }
})

forEachEngine((_engine, open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  after(() => database.drop())

  test('the policy of a variant follows its tenant’s policy: read once for both, forgotten with it, under the same number', async () => {
    const author = { createdBy: 'admin', at: new Date('2026-11-20T12:00:00Z') }
    const fields = { name: 'Acme', rulesPreset: null, maxRequestsPerMinute: null, allowedModels: null, contactEmail: null }
    const { id } = await database.db.transaction((tx) => insertTenant(tx, fields))
    const add = ({ id: _id, ...fresh }: Rule) => database.db.transaction((tx) => writeRules(tx, id, author, (write) => write.insert([fresh])))
    await add(rule(osprey, 'WARN'))
    await add(rule({ operator: 'contains', value: 'jackdaw' }, 'REDACT', { reversible: true }))
    let reads = 0
    const db = new Proxy(database.db, {
      get(target, name, receiver) {
        if (name === 'select') reads++
        return Reflect.get(target, name, receiver)
      },
    }) as Db
    const policies = createPolicies({ db, now: () => 0, report: assert.fail, redactionKey: async () => Buffer.alloc(32, 9) })
    const [plain, cuts] = await Promise.all([policies.of(id), policies.of(id, CUTS)])
    const vault = policies.of(id, VAULT)
    assert.ok(plain && cuts && vault && !(vault instanceof Promise), 'loaded: at once, no promise')
    assert.equal(reads, 1)
    assert.equal(policies.of(id, PLAIN), plain)
    assert.equal(policies.of(id, null), plain)
    assert.equal(policies.of(id, CUTS), cuts)
    assert.deepEqual(
      [plain, cuts, vault].map(({ version }) => version),
      [2, 2, 2],
    )
    assert.deepEqual(
      [plain, cuts, vault].map((policy) => policy.judge(ask('osprey')).action),
      ['WARN', 'REDACT', 'REDACT'],
    )
    assert.deepEqual([cuts.redactionKey, vault.redactionKey], [plain.redactionKey, null])

    await add(rule({ operator: 'contains', value: 'gull' }, 'BLOCK'))
    await policies.forget(id)
    const fresh = policies.of(id, CUTS)
    assert.ok(fresh && !(fresh instanceof Promise))
    assert.deepEqual([fresh.version, fresh.judge(ask('gull')).action], [3, 'BLOCK'])
    assert.equal(await policies.of('t_unknown', CUTS), undefined, 'no policy is no policy')
  })
})
