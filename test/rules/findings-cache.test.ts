import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ModelCall } from '../../src/call.ts'
import { compile } from '../../src/rules/compile.ts'
import type { Verdict } from '../../src/rules/policy.ts'
import type { Leaf, Rule } from '../../src/rules/rule.ts'
import { allowanceFor } from '../../src/rules/search/allowance.ts'
import { eachFinding, findingsOf, packFindings, suffice, unpackFindings } from '../../src/rules/search/findings.ts'
import { createFindingsCache, type FindingsCache } from '../../src/rules/search/findings-cache.ts'
import { SPANS_PER_LEAF_MAX } from '../../src/rules/search/search.ts'
import type { SharedSearch } from '../../src/rules/search/search-in-turns.ts'
import { createFullness } from '../../src/rules/search/tally.ts'
import { atOnce, createTurns } from '../../src/rules/search/turns.ts'
import { callOf, chat, rule, subjectOf } from './subject.ts'

const foundIn = (spans: readonly number[]) => findingsOf({ counted: 1, cuts: 0, hurried: false, passed: [], spans })
const found = (...spans: number[]) => foundIn(spans)

test('what is remembered is bounded, and what was not asked for the longest goes first', () => {
  const one = found(1, 2, 0)
  const measure = createFindingsCache()
  measure.set(measure, 'a', one)
  const cache = createFindingsCache({ bytesMax: 3 * measure.bytes })
  const policy = {}
  for (const digest of ['a', 'b', 'c']) cache.set(policy, digest, one)
  assert.equal(cache.get(policy, 'a'), one)
  cache.set(policy, 'd', one)
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((digest) => cache.get(policy, digest) !== undefined),
    [true, false, true, true],
  )
  assert.ok(cache.bytes <= 3 * measure.bytes)
  cache.set(policy, 'd', found(3, 4, 0))
  assert.equal(cache.bytes, 3 * measure.bytes, 'what replaces another takes its place')
})

test('what one policy found is nothing to another', () => {
  const cache = createFindingsCache()
  const [one, other] = [{}, {}]
  cache.set(one, 'a', found(1, 2, 0))
  assert.equal(cache.get(other, 'a'), undefined)
})

test('findings too many to be worth it are not remembered', () => {
  const cache = createFindingsCache()
  cache.set(cache, 'a', foundIn(Array.from({ length: 300_000 }, (_, i) => i)))
  assert.equal(cache.get(cache, 'a'), undefined)
  assert.equal(cache.bytes, 0)
})

test('findings of several segments become one and several again', () => {
  const list = [found(), findingsOf({ counted: 0, cuts: 0, hurried: false, passed: [], spans: [] }), found(1, 2, 3, 4, 5, 6), found(7, 8, 9)]
  assert.deepEqual(unpackFindings(packFindings(list)), list)
  const passing = findingsOf({ counted: 2, cuts: 0, hurried: false, passed: [4, 9], spans: [1, 2, 3] })
  assert.deepEqual([suffice(passing, { isFull: (leaf) => leaf === 4 }), suffice(passing, { isFull: () => true })], [false, true])
  const told: number[][] = []
  eachFinding(passing, (...one) => told.push(one))
  assert.deepEqual(told, [[1, 2, 3]])
})

/** Searches here and now what the busiest machine would have left to another thread. */
const thread: SharedSearch['thread'] = {
  async search({ search, pieces, textBytes }) {
    const fullness = createFullness(search.leaves)
    const allowance = allowanceFor(textBytes)
    return pieces.map((piece) => {
      const findings = atOnce(search.search(piece, allowance, fullness))
      fullness.take(findings)
      return findings
    })
  },
}
/** A cache, and the digests it was asked to remember since it was last looked at. */
function watched(): { cache: FindingsCache; learned(): number } {
  const cache = createFindingsCache()
  let count = 0
  return {
    cache: {
      ...cache,
      set(...args) {
        count++
        cache.set(...args)
      },
    },
    learned() {
      const since = count
      count = 0
      return since
    },
  }
}
const gist = ({ action, findings, redactions }: Verdict) => ({ action, findings: findings.map(({ rule: { id }, spans }) => [id, spans]), redactions })
const line = (i: number): [string, string] => [i % 2 === 0 ? 'user' : 'assistant', `${i} ${'word '.repeat(150 + (i % 5) * 100)}${i % 3 === 0 ? 'osprey' : ''}`]

test('of a conversation that grows by a turn only what is new is searched, and nothing of one that came before', async () => {
  const policy = compile(1, [
    rule({ operator: 'contains', value: 'osprey' }, 'REDACT', { id: 'cut' }),
    rule({ operator: 'regex', value: 'osp[a-z]+', target: 'last_message' }, 'WARN', { id: 'last' }),
  ])
  const { cache, learned } = watched()
  const shared = { turns: createTurns(), cache, thread }
  const judge = async (call: ModelCall) => {
    const verdict = await policy.judgeInTurns(subjectOf(call), { shared, waiting: null })
    assert.deepEqual(gist(verdict), gist(policy.judge(subjectOf(call))))
    return learned()
  }
  const turns = Array.from({ length: 50 }, (_, i) => line(i))
  assert.ok((await judge(chat(...turns))) > 10)
  assert.equal(await judge(chat(...turns)), 0)
  for (let i = 50; i < 56; i++) assert.ok((await judge(chat(...turns, line(i)))) <= 3, 'the message that was the last is another than it was')
  assert.ok((await judge(callOf(JSON.stringify({ model: 'm', messages: turns.map(([, content]) => ({ role: 'system', content })) })))) > 10, 'so is a role')
})

test('once enough of a text is found, what was passed over is looked for where it is no longer enough', async () => {
  const policy = compile(1, [
    rule({ operator: 'contains', value: 'x' }, 'WARN', { id: 'count' }),
    rule({ operator: 'regex', value: 'x' }, 'WARN', { id: 'regex' }),
  ])
  const { cache } = watched()
  const shared = { turns: createTurns(), cache, thread }
  const full: [string, string][] = [
    ['user', 'x'.repeat(SPANS_PER_LEAF_MAX + 4096)],
    ['user', `${'y'.repeat(5000)}xx`],
    ['user', `${'z'.repeat(5000)}xx`],
  ]
  for (const call of [chat(...full), chat(...full.slice(1)), chat(...full), chat(...full.toReversed())]) {
    const verdict = await policy.judgeInTurns(subjectOf(call), { shared, waiting: null })
    assert.deepEqual(gist(verdict), gist(policy.judge(subjectOf(call))))
    assert.ok(verdict.findings.every(({ spans }) => spans.length > 0))
  }
})

const word = fc.constantFrom('osprey', 'falcon', 'x', '4111 1111 1111 1111', 'ann@example.com', '[REDACTED]', 'user', 'a\nb', 'plain words', 'é😀')
const content = fc.tuple(fc.array(word, { maxLength: 30 }), fc.integer({ min: 0, max: 60 })).map(([words, times]) => words.join(' ').repeat(times))
const message = fc.tuple(fc.constantFrom('system', 'user', 'assistant', 'tool'), content)
const target = fc.constantFrom('prompt', 'user', 'system', 'last_message', 'tool_results')
const leaf = fc.oneof(
  fc.record({
    operator: fc.constantFrom('contains', 'starts_with', 'ends_with', 'equals'),
    value: fc.constantFrom('osprey', 'x', 'user', 'a\nb', 'É'),
    target,
  }),
  fc.record({ operator: fc.constant('regex'), value: fc.constantFrom('o[a-z]+y', '^plain', 'x$', '[0-9]{4}', 'b|x'), target }),
  fc.record({ operator: fc.constant('detects'), value: fc.constantFrom('email', 'credit_card'), target }),
) as fc.Arbitrary<Leaf>
const drawn = fc.array(fc.tuple(leaf, fc.constantFrom('WARN' as const, 'REDACT' as const, 'BLOCK' as const)), { minLength: 1, maxLength: 4 })

test('whatever the rules and however a conversation grows, the verdict is that of a search which remembers nothing', async () => {
  const shared = { turns: createTurns(), cache: createFindingsCache({ bytesMax: 1 << 20 }), thread }
  await fc.assert(
    fc.asyncProperty(drawn, fc.array(message, { minLength: 1, maxLength: 12 }), async (leaves, messages) => {
      const rules: Rule[] = leaves.map(([condition, action], i) => rule(condition, action, { id: `rule_${i}` }))
      const policy = compile(1, rules)
      for (let count = 1; count <= messages.length; count += 2) {
        const subject = subjectOf(chat(...messages.slice(0, count)))
        assert.deepEqual(gist(await policy.judgeInTurns(subject, { shared, waiting: null })), gist(policy.judge(subject)))
      }
    }),
    { numRuns: 150 },
  )
})
