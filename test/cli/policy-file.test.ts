import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BadFile, readPolicyFile } from '../../src/cli/policy-file.ts'

const whole = `# who and what
tenant: t_1
mode: replace
settings:
  max_requests_per_minute: 600
rules:
  - name: first
    condition: { operator: contains, value: "yes" }
    action: BLOCK
  - name: second
    condition:
      all:
        - operator: regex
          value: a(?=b)
    action: WARN
dictionaries:
  projects:
    terms: [falcon]
---
upstreams:
  - name: openai
`

test('each document is read with its members, and words stay words', () => {
  const [first, second] = readPolicyFile(whole)
  assert.deepEqual([first.tenant, first.mode, first.settings, first.rules?.length], ['t_1', 'replace', { max_requests_per_minute: 600 }, 2])
  assert.deepEqual(readPolicyFile('settings: {a: yes, b: 2026-01-01, c: 0o7, d: null}')[0].settings, { a: 'yes', b: '2026-01-01', c: 7, d: null })
  assert.deepEqual([second.tenant, second.mode, second.upstreams?.[0].name], [undefined, 'merge', 'openai'])
})

test('a field of the API is found in its line, however the API writes its path; of one that is not there, what surrounds it', () => {
  const [{ lineOf }, second] = readPolicyFile(whole)
  for (const [field, line] of [
    ['tenant', 2],
    ['settings.max_requests_per_minute', 5],
    ['rules.0', 7],
    ['rules.0.condition.value', 8],
    ['rules.1.action', 15],
    ['rules.1.condition.all[0].value', 14],
    ['rules.1.priority', 10],
    ['rules.9', 6],
    ['dictionaries.projects.terms.0', 18],
    ['nothing', 2],
  ] as const)
    assert.equal(lineOf(field), line, field)
  assert.equal(second.lineOf('upstreams.0.name'), 21)
})

test('a place behind an alias is where the alias leads', () => {
  const [{ lineOf }] = readPolicyFile('rules:\n  - &one\n    name: a\n    action: B\n  - *one\n')
  assert.equal(lineOf('rules.1.action'), 4)
})

test('what is no YAML, or not of this outline, is named with its line', () => {
  for (const [text, line, message] of [
    ['', 1, /nothing in the file/],
    ['# only a comment\n', 1, /nothing in the file/],
    ['tenant: [', 1, /./],
    ['tenant: t_1\nmode: x: y', 2, /./],
    ['a: 1\nmode: merge', 1, /^a: Unknown field/],
    ['mode: merge\nmode: replace', 2, /unique/],
    ['tenant: t_1\nmode: append', 2, /^mode: /],
    ['tenant: t_1\nrules:\n  first: {}', 2, /^rules: /],
    ['tenant: t_1\nrules:\n  - {}\n  - words', 4, /^rules\.1: /],
    ['tenant: 5', 1, /^tenant: /],
    ['- a list', 1, /./],
    ['tenant: !secret x', 1, /tag/],
    ['a: &a [*a]', 1, /./],
    ['upstreams:\n  - dialects: [openai-chat]', 2, /^upstreams\.0\.name: /],
  ] as const) {
    assert.throws(
      () => readPolicyFile(text),
      (error) => error instanceof BadFile && error.line === line && message.test(error.message),
      `${JSON.stringify(text)}: ${tried(text)}`,
    )
  }
})

test('a file that multiplies itself is refused', () => {
  const bomb = [
    'a: &a [x, x, x, x, x, x, x, x, x, x]',
    ...'bcdefghi'.split('').map((name, i) => `${name}: &${name} [${Array(10).fill(`*${'abcdefgh'[i]}`).join(', ')}]`),
  ].join('\n')
  assert.throws(() => readPolicyFile(bomb), BadFile)
})

function tried(text: string): string {
  try {
    return JSON.stringify(readPolicyFile(text))
  } catch (error) {
    return error instanceof BadFile ? `${error.line} ${error.message}` : String(error)
  }
}
