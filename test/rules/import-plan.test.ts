import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { PolicyContent } from '../../src/rules/difference.ts'
import { type Imported, type ImportPlan, planImport } from '../../src/rules/import-plan.ts'
import type { Dictionaries, Rule } from '../../src/rules/rule.ts'

// Few names and values, so that rules often share them.
const draft = fc.record({
  name: fc.constantFrom('a', 'b'),
  preset: fc.constantFrom(null, 'default'),
  priority: fc.constantFrom(1, 2),
  action: fc.constantFrom('WARN' as const, 'BLOCK' as const),
  condition: fc.constant({ operator: 'contains', value: 'x' } as const),
  mode: fc.constant('enforce' as const),
  reversible: fc.constant(false),
  active: fc.boolean(),
  metadata: fc.constantFrom({}, { why: 'law' }),
}) as fc.Arbitrary<Omit<Rule, 'id'>>
const id = fc.constantFrom('rule_1', 'rule_2', 'rule_3', 'rule_4', 'rule_of_another')
const rule = fc.tuple(id, draft).map(([id, one]): Rule => ({ id, ...one }))
const rulesOf = fc.uniqueArray(rule, { selector: (one) => one.id, maxLength: 5 })
const dictionaries: fc.Arbitrary<Dictionaries> = fc.dictionary(
  fc.constantFrom('one', 'two'),
  // In one order: terms in another are the same dictionary.
  fc.record({ terms: fc.constantFrom(['x'], ['y'], ['x', 'y']), case_sensitive: fc.boolean() }, { noNullPrototype: true }),
  { noNullPrototype: true },
)
const content: fc.Arbitrary<PolicyContent> = fc.record({ rules: rulesOf, dictionaries })
const brought: fc.Arbitrary<Imported> = fc.record({
  rules: fc
    .array(fc.tuple(fc.option(id), draft), { maxLength: 6 })
    .map((all) =>
      all
        .filter(([id], at) => id === null || all.findIndex(([other]) => other === id) === at)
        .map(([id, one]) => ({ id, draft: one as Imported['rules'][number]['draft'] })),
    ),
  dictionaries: fc.option(dictionaries),
  mode: fc.constantFrom('merge' as const, 'replace' as const),
})

let made = 0
function carriedOut({ created, updated, deleted, putDictionaries, removedDictionaries }: ImportPlan, present: PolicyContent): PolicyContent {
  const changed = new Map(updated.map(({ id, draft }) => [id, draft]))
  const kept = present.rules.filter(({ id }) => !deleted.includes(id)).map((one) => ({ ...one, ...changed.get(one.id) }))
  const lists = { ...present.dictionaries, ...putDictionaries }
  for (const name of removedDictionaries) delete lists[name]
  return { rules: [...kept, ...created.map((one) => ({ ...one, id: `rule_made_${++made}` }))], dictionaries: lists }
}
const exported = ({ rules, dictionaries }: PolicyContent, withIds: boolean): Imported => ({
  rules: rules.map(({ id, ...one }) => ({ id: withIds ? id : null, draft: one as Imported['rules'][number]['draft'] })),
  dictionaries,
  mode: 'replace',
})
const bare = ({ rules }: PolicyContent): string[] => rules.map(({ id: _id, ...one }) => JSON.stringify(one)).sort()

test('whatever is imported, importing it again changes nothing; after replace there is what was brought and nothing else', () => {
  fc.assert(
    fc.property(content, brought, (present, given) => {
      const after = carriedOut(planImport(given, present), present)
      assert.equal(planImport(given, after).changesNothing, true)
      if (given.mode === 'replace') assert.deepEqual(bare(after), given.rules.map(({ draft }) => JSON.stringify(draft)).sort())
      assert.equal(new Set(after.rules.map(({ id }) => id)).size, after.rules.length)
    }),
  )
})

test('a policy that goes out, with its ids or without, changes nothing where it came from, and is the same policy anywhere else', () => {
  fc.assert(
    fc.property(content, content, fc.boolean(), (here, there, withIds) => {
      const out = exported(here, withIds)
      assert.equal(planImport(out, here).changesNothing, true)
      const copy = carriedOut(planImport(out, there), there)
      assert.deepEqual([bare(copy), copy.dictionaries], [bare(here), here.dictionaries])
    }),
  )
})
