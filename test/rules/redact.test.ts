import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compile } from '../../src/rules/compile.ts'
import { placesIn } from '../../src/rules/places.ts'
import { redact } from '../../src/rules/redact.ts'
import type { Condition, Rule } from '../../src/rules/rule.ts'
import { callOf, rule, subjectOf } from './subject.ts'

const contains = (value: string): Condition => ({ operator: 'contains', value })
const detects = (value: string | string[]): Condition => ({ operator: 'detects', value })

/** The body as it leaves, or the place that cannot be cut. */
function cut(body: string, ...conditions: Condition[]): string {
  const rules = conditions.map((condition, i) => rule(condition, 'REDACT', { id: `rule_${i}` }))
  return leaving(body, rules)
}
function leaving(body: string, rules: readonly Rule[]): string {
  const call = callOf(body)
  const verdict = compile(1, rules).judge(subjectOf(call))
  if (verdict.action !== 'REDACT') return body
  const result = redact(call, verdict)
  if ('cannot' in result) return `cannot: ${result.cannot}`
  JSON.parse(result.outbound.toString())
  return result.outbound.toString()
}
const user = (content: string): string => `{"model":"m","messages":[{"role":"user","content":${JSON.stringify(content)}}]}`

test('only the characters that were found are replaced; every other byte is as it came', () => {
  const odd = (ssn: string): string =>
    `{ "model" : "m",\r\n"messages":[{"role":"user","content":"\\u00e9\\/ my SSN is ${ssn}, \\"ok\\"?"}],"n":1.0,"big":12345678901234567890,"x":[ ],"é":"\\ud83d\\ude00"}`
  assert.equal(cut(odd('123-45-6789'), detects('ssn')), odd('[SSN]'))
})

test('findings at the beginning, at the end, side by side and overlapping are cut cleanly', () => {
  assert.equal(cut(user('secret'), contains('secret')), user('[REDACTED]'))
  assert.equal(cut(user('secret and secret'), contains('secret')), user('[REDACTED] and [REDACTED]'))
  assert.equal(cut(user('abcdef'), contains('abc'), contains('def')), user('[REDACTED][REDACTED]'))
  assert.equal(cut(user('xabcdefx'), contains('abcd'), contains('cdef')), user('x[REDACTED]x'))
  assert.equal(cut(user('aaaa'), contains('aa')), user('[REDACTED]'))
  assert.equal(cut(user('4111 1111 1111 1111 me@example.org'), detects(['credit_card', 'email'])), user('[CREDIT_CARD] [EMAIL]'))
})

test('a finding that is written with escapes is cut as a whole, and no escape or letter is split', () => {
  const body = (content: string): string => `{"model":"m","messages":[{"role":"user","content":"${content}"}]}`
  assert.equal(cut(body('a\\u00e9\\u0031\\u00323-45-6789\\ud83d\\ude00z'), detects('ssn')), body('a\\u00e9[SSN]\\ud83d\\ude00z'))
  assert.equal(cut(body('x\\ud83d\\ude00y😀\\u00fc'), contains('😀')), body('x[REDACTED]y[REDACTED]\\u00fc'))
  assert.equal(cut(body('say \\"hi\\"\\n\\\\'), contains('"hi"\n')), body('say [REDACTED]\\\\'))
  assert.equal(cut(body('\\u00e9\\u0041é'), contains('éA')), body('[REDACTED]é'))
})

test('tool arguments stay the JSON they were', () => {
  const body = (inner: string): string =>
    `{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"pay","arguments":${JSON.stringify(inner)}}}]}]}`
  const out = cut(body('{"card":"4111 1111 1111 1111","n": 2}'), detects('credit_card'))
  assert.equal(out, body('{"card":"[CREDIT_CARD]","n": 2}'))
})

test('a number in arguments is cut with quotes of its own, the same digits within a string or in free text without', () => {
  const called = (args: string): string =>
    JSON.stringify({ model: 'm', messages: [{ role: 'assistant', tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: args } }] }] })
  const all: Record<string, string> = {
    '{"n":4111111111111111}': '{"n":"[CREDIT_CARD]"}',
    '[ 1.5, 4111111111111111 ]': '[ 1.5, "[CREDIT_CARD]" ]',
    '{"note":"card: 4111111111111111, thanks"}': '{"note":"card: [CREDIT_CARD], thanks"}',
    '{"a":"\\\\","b":"say \\": 4111111111111111, ok"}': '{"a":"\\\\","b":"say \\": [CREDIT_CARD], ok"}',
    'card: 4111111111111111, thanks': 'card: [CREDIT_CARD], thanks',
  }
  for (const [args, expected] of Object.entries(all)) assert.equal(cut(called(args), { operator: 'detects', value: 'credit_card' }), called(expected))
})

test('what stands in a name or id cannot be cut, and the place is named', () => {
  const body = (model: string, name: string, id: string): string =>
    `{"model":"${model}","messages":[{"role":"user","content":"hi"},{"role":"tool","tool_call_id":"${id}","content":"x"}],"tools":[{"type":"function","function":{"name":"${name}"}}]}`
  assert.equal(cut(body('secret', 'f', 'c'), contains('secret')), 'cannot: model')
  assert.equal(cut(body('m', 'secret', 'c'), contains('secret')), 'cannot: tools[0].function.name')
  assert.equal(cut(body('m', 'f', 'secret'), contains('secret')), 'cannot: messages[1].tool_call_id')
  assert.equal(cut('{"model":"m","messages":[{"role":"user","content":"hi"}],"my secret":1}', contains('secret')), 'cannot: *')
})

test('a text that no dialect knows is cut like any other', () => {
  const body = (text: string): string => `{"later":{"hidden":["${text}"]},"model":"m","messages":[{"role":"user","content":"${text}"}]}`
  assert.equal(cut(body('me@example.org'), detects('email')), body('[EMAIL]'))
})

test('a text that was redacted is not redacted again', () => {
  for (const condition of [
    contains('redacted'),
    contains('ED'),
    contains('['),
    { operator: 'regex', value: '.+', target: 'user' } as const,
    { operator: 'regex', value: '[A-Z]+', target: 'user' } as const,
    detects(['ssn', 'email', 'credit_card']),
  ]) {
    const once = cut(user('a REDACTED text [ 123-45-6789, 4111111111111111, me@example.org'), condition)
    assert.notEqual(once, user('a REDACTED text [ 123-45-6789, 4111111111111111, me@example.org'))
    assert.equal(cut(once, condition), once)
  }
})

test('whatever the text and the rules, what leaves is JSON, holds nothing that was found, and has all the rest', () => {
  const pieces = fc.constantFrom('123-45-6789', 'me@example.org', 'Osprey', 'é', '"', '\\', '\n', '😀', ' ', 'x', '7', '\u2028', '\\u0041')
  const rules = [
    rule(detects(['ssn', 'email']), 'REDACT', { id: 'a' }),
    rule(contains('osprey'), 'REDACT', { id: 'b' }),
    rule(contains('"é'), 'REDACT', { id: 'c' }),
  ]
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), fc.array(fc.boolean(), { minLength: 60, maxLength: 60 }), (parts, escapes) => {
      const text = parts.join('')
      // Any character may be spelled with an escape.
      const literal = Array.from(text, (character, i) =>
        escapes[i % 60]
          ? Array.from({ length: character.length }, (_, k) => `\\u${character.charCodeAt(k).toString(16).padStart(4, '0')}`).join('')
          : JSON.stringify(character).slice(1, -1),
      ).join('')
      const body = `{"model":"m","messages":[{"role":"user","content":"${literal}"}], "n": 1.0}`
      const call = callOf(body)
      const { redactions, policy } = compile(1, rules).judge(subjectOf(call))
      const bytes = Buffer.from(text)
      let expected = ''
      let at = 0
      for (const { start, end, leaf } of redactions) {
        expected += bytes.toString('utf8', at, start) + policy.leaves[leaf].placeholder
        at = end
      }
      assert.equal(JSON.parse(leaving(body, rules)).messages[0].content, expected + bytes.toString('utf8', at))
      assert.ok(leaving(body, rules).endsWith('"}], "n": 1.0}'))
    }),
    { numRuns: 500 },
  )
})

test('many findings in one long escaped text are cut in linear time', () => {
  const count = 20_000
  const body = user('\n"secret"'.repeat(count))
  assert.equal(cut(body, contains('secret')), user('\n"[REDACTED]"'.repeat(count)))
})

test('the places of findings are JSON paths, each once and not more than asked for', () => {
  const call = callOf('{"model":"m","messages":[{"role":"user","content":"x x"},{"role":"user","content":[{"type":"text","text":"x"}]}],"metadata":{"k":"x"}}')
  const [{ spans }] = compile(1, [rule(contains('x'))]).judge(subjectOf(call)).findings
  assert.deepEqual(placesIn(call)(spans, 8), ['messages[0].content', 'messages[1].content[0].text', 'metadata.*'])
  assert.deepEqual(placesIn(call)(spans, 1), ['messages[0].content'])
  assert.deepEqual(placesIn(call)([], 8), [])
})
