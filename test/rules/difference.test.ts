import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { differenceOf, policyDifference, ruleDifference } from '../../src/rules/difference.ts'
import type { Rule } from '../../src/rules/rule.ts'
import { rule } from './subject.ts'

const said = rule({ operator: 'contains', value: 'x' })

test('a rule that says the same has no difference, whatever the order of its members', () => {
  const { id: _, ...rest } = said
  const shuffled = Object.fromEntries(Object.entries(rest).reverse()) as unknown as Rule
  assert.deepEqual(ruleDifference(said, shuffled), [])
})

test('a difference names each member by its JSON pointer, also deep inside, and leaves out what is not there', () => {
  const before = {
    ...said,
    condition: { any: [{ operator: 'contains', value: 'x' }, { not: { operator: 'regex', value: 'y' } }] },
    metadata: { 'a/b~c': 1, gone: null },
  }
  const after = {
    ...before,
    priority: 90,
    condition: { any: [{ operator: 'contains', value: 'z', target: 'user' as const }] },
    metadata: { 'a/b~c': { d: 2 } },
  }
  assert.deepEqual(ruleDifference(before, after), [
    { path: '/condition/any/0/value', from: 'x', to: 'z' },
    { path: '/condition/any/0/target', to: 'user' },
    { path: '/condition/any/1', from: { not: { operator: 'regex', value: 'y' } } },
    { path: '/priority', from: 50, to: 90 },
    { path: '/metadata/a~1b~0c', from: 1, to: { d: 2 } },
    { path: '/metadata/gone', from: null },
  ])
  assert.deepEqual(differenceOf({ zero: -0 }, { zero: 0 }), [], 'the database knows one zero')
})

test('what is carried out on the first value makes the second of it', () => {
  const value = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 4 }, fc.integer(), fc.string(), fc.boolean(), fc.constant(null), tie('object')),
    object: fc.dictionary(fc.stringMatching(/^[a-c~/]{1,2}$/), tie('value'), { maxKeys: 4, noNullPrototype: true }),
  }))
  fc.assert(
    fc.property(value.object, value.object, (before, after) => {
      const made = { root: structuredClone(before) as unknown }
      for (const { path, ...change } of differenceOf(before, after)) {
        const names = path.split('/').map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'))
        let place: Record<string, unknown> = made
        let last = 'root'
        for (const name of names.slice(1)) [place, last] = [place[last] as Record<string, unknown>, name]
        if ('to' in change) place[last] = change.to
        else delete place[last]
      }
      assert.deepEqual(made.root, { ...after })
    }),
  )
})

test('policies differ by rules known by their ids, and by the terms of dictionaries, whose order says nothing', () => {
  const [kept, changed, gone] = ['kept', 'changed', 'gone'].map((id) => ({ ...said, id, name: `rule ${id}` }))
  const list = (...terms: string[]) => ({ terms, case_sensitive: false })
  const before = { rules: [kept, changed, gone], dictionaries: { same: list('a', 'b'), other: list('a', 'b'), gone: list('x') } }
  const after = {
    rules: [{ ...said, id: 'new', name: 'rule new' }, { ...changed, active: false }, kept],
    dictionaries: { new: list('y'), same: list('b', 'a'), other: { ...list('b', 'c', 'd'), case_sensitive: true } },
  }
  assert.deepEqual(policyDifference(before, after), {
    added: [{ rule_id: 'new', name: 'rule new' }],
    removed: [{ rule_id: 'gone', name: 'rule gone' }],
    changed: [{ rule_id: 'changed', name: 'rule changed', diff: [{ path: '/active', from: true, to: false }] }],
    dictionaries: { added: ['new'], removed: ['gone'], changed: [{ name: 'other', terms_added: 2, terms_removed: 1, case_sensitive: true }] },
  })
})
