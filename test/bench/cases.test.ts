import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CALL_NUMBER } from '../../scripts/bench/bodies.ts'
import { benchCases } from '../../scripts/bench/cases.ts'
import { cut, everyDetector, literals, patterns } from '../../scripts/bench/earthflow/rules.ts'
import { benchServers } from '../../scripts/bench/servers.ts'
import { benchSets, checkSet, quickSet, shortSet } from '../../scripts/bench/sets.ts'
import { parseRule } from '../../src/rules/check-rule.ts'
import { compile } from '../../src/rules/compile.ts'
import { rulesOf } from '../../src/rules/presets.ts'
import { callOf, subjectOf } from '../rules/subject.ts'

const caseOf = (name: string) => benchCases.find((one) => one.name === name)!
const textsOf = (body: string): string[] => JSON.parse(body).messages.map((one: { content: string }) => one.content)

test('bodies are as long as their names say, and streamed where the fake provider sees it', () => {
  const sizes = { plain: 1_476, '64k': 65_516, 'agent-first': 512 << 10, 'agent-repeated': 512 << 10, '1m': 1 << 20, stream: 1_476, paced: 1_476 }
  for (const [name, bytes] of Object.entries(sizes)) assert.equal(Buffer.byteLength(caseOf(name).body), bytes, name)
  for (const { name, body, chunks } of benchCases) assert.equal(body.includes('"stream":true'), chunks > 0, name)
})

test('no two calls say the same: every text but the system’s is new, of a repeated turn the last alone', () => {
  for (const { name, body } of benchCases) {
    const [, ...texts] = textsOf(body)
    const fresh = texts.map((text) => text.includes(CALL_NUMBER))
    assert.deepEqual(fresh, name === 'agent-repeated' ? texts.map((_, i) => i === texts.length - 1) : texts.map(() => true), name)
  }
})

test('the sets name servers and cases that there are, and every configuration is in one', () => {
  const [servers, cases] = [benchServers.map(({ name }) => name), benchCases.map(({ name }) => name)]
  for (const set of [...benchSets, quickSet, checkSet, shortSet]) {
    assert.deepEqual(
      [...set.servers, ...set.beside].filter((name) => !servers.includes(name)),
      [],
    )
    assert.deepEqual(
      set.cases.filter((name) => !cases.includes(name)),
      [],
    )
  }
  const measured = new Set(benchSets.flatMap((set) => [...set.servers]))
  assert.deepEqual(
    servers.filter((name) => !measured.has(name)),
    ['earthflow-embedded'],
  )
})

test('nothing of what calls say is found by what is looked for, but the one term that is cut', () => {
  const drafts = [...rulesOf('default'), ...rulesOf('medical'), ...rulesOf('secrets'), ...everyDetector(), ...literals(20), ...patterns(15)].map((draft) =>
    parseRule(draft),
  )
  const rules = [...drafts, ...cut.map((draft) => parseRule(draft))].map((draft, i) => ({ ...draft, id: `rule_${i}` }))
  const policy = compile(1, rules)
  for (const { name, body } of benchCases) {
    const { findings, redactions } = policy.judge(subjectOf(callOf(body.replaceAll(CALL_NUMBER, 'aaaabbccdd'))))
    assert.deepEqual(
      findings.map(({ rule }) => rule.name),
      [cut[0]?.name],
      name,
    )
    assert.equal(redactions.length, 1)
  }
})
