/** Rules about replies that only the whole reply decides. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anthropicMessages } from '../../src/dialects/anthropic/anthropic-messages.ts'
import type { Dialect } from '../../src/dialects/dialect.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import { openaiResponses } from '../../src/dialects/openai/openai-responses.ts'
import { Refusal } from '../../src/errors.ts'
import type { Condition, Leaf, Rule } from '../../src/rules/rule.ts'
import { answer, anthropic, CARD, card, inReply, join, open, openai, run, SSE, unreadable } from './screened.ts'
import { rule } from './subject.ts'

const digits = inReply('[0-9]{4}', { operator: 'regex' })
const without = (value: string): Leaf => inReply(value, { operator: 'not_contains' })
const both: Condition = { all: [inReply('osprey'), inReply('eagle')] }
const bodyOf = (content: string, args?: string): string =>
  JSON.stringify({
    id: 'c',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content, ...(args === undefined ? {} : { tool_calls: [{ id: 't', function: { name: 'f', arguments: args } }] }) },
      },
    ],
  })
const streamOf = (text: string, parts = 3, make = openai.text): string[] => {
  const step = Math.ceil(text.length / parts)
  return [...Array.from({ length: parts }, (_, i) => make(text.slice(i * step, (i + 1) * step))), openai.end]
}
const stopped = (error: unknown): boolean => error instanceof Refusal && error.reason === 'blocked_by_rule'

/** What each condition says of each text, plain and streamed. */
const cases: readonly { condition: Condition; holds: readonly string[]; not: readonly string[] }[] = [
  { condition: digits, holds: ['a 1234'], not: ['a 123 4'] },
  { condition: without('source:'), holds: ['no'], not: ['Source: x'] },
  { condition: both, holds: ['an eagle, an osprey'], not: ['an eagle', 'an osprey'] },
  { condition: { not: inReply('ok') }, holds: ['no'], not: ['ok'] },
  { condition: inReply('yes', { operator: 'equals' }), holds: ['YES'], not: ['yes.'] },
  { condition: { all: [inReply('osprey'), { not: inReply('eagle') }] }, holds: ['osprey'], not: ['osprey eagle'] },
  { condition: { operator: 'length_gt', value: 4, target: 'response' }, holds: ['äöüßx'], not: ['äöüß'] },
  { condition: { operator: 'word_count_gt', value: 2, target: 'response' }, holds: ['a b c'], not: ['a bc'] },
  { condition: { any: [inReply('zzz'), { operator: 'equals', value: 'gpt-4o', target: 'model' }] }, holds: ['anything'], not: [] },
]

for (const { condition, holds, not } of cases)
  test(`${JSON.stringify(condition)} stops what it holds for before a byte of it has left, and no other reply`, () => {
    for (const text of holds) {
      assert.throws(() => answer(bodyOf(text), { policyRules: [rule(condition)] }), stopped)
      const { sink, seen, counts } = open(openaiChat, [rule(condition)])
      sink.head(200, [...SSE])
      assert.throws(() => {
        for (const chunk of streamOf(text)) sink.data(Buffer.from(chunk))
        sink.end()
      }, stopped)
      sink.error()
      assert.deepEqual(seen.written, [])
      assert.equal(counts().length, 1)
    }
    for (const text of not) {
      assert.equal(answer(bodyOf(text), { policyRules: [rule(condition)] }).output, bodyOf(text))
      const { output, after, counts } = run(openaiChat, streamOf(text), [rule(condition)])
      assert.deepEqual([output, after.at(-1), counts], [streamOf(text).join(''), 0, []], 'all of it leaves, and not before its end')
    }
  })

test('an error of the provider is not stopped for what it lacks or how long it is, and what is found in it is cut or stopped like elsewhere', () => {
  const error = (message: string): string => JSON.stringify({ error: { message, type: 'rate_limit_error' } })
  const absent = [without('source:'), { operator: 'length_gt', value: 4, target: 'response' } as Leaf, { not: inReply('ok') }].map((one) => rule(one))
  for (const status of [400, 429, 503]) {
    const { output, status: told, counts } = answer(error('Slow down.'), { status, policyRules: absent })
    assert.deepEqual([output, told, counts], [error('Slow down.'), status, []])
  }
  assert.throws(() => answer(error('Slow down.'), { status: 299, policyRules: absent }), stopped)
  assert.equal(answer(error('id 1234'), { status: 429, policyRules: [rule(digits, 'REDACT')] }).output, error('id [REDACTED]'))
  assert.throws(() => answer(error('an osprey, an eagle'), { status: 429, policyRules: [rule(both)] }), stopped)
})

test('what a pattern finds is cut in every event it lies in, and each text is one however it came', () => {
  for (const [dialect, make] of [
    [openaiChat, openai],
    [anthropicMessages, anthropic],
  ] as const)
    for (const kind of ['text', 'args'] as const) {
      const whole = '{"a":"id 12345, x"}'
      for (let a = 0; a <= whole.length; a++)
        for (let b = a; b <= whole.length; b++) {
          const pieces = [whole.slice(0, a), whole.slice(a, b), whole.slice(b)]
          assert.equal(join(dialect, run(dialect, [...pieces.map(make[kind]), make.end], [rule(digits, 'REDACT')]).output), '{"a":"id [REDACTED]5, x"}')
        }
      const apart = run(dialect, [make.text('12'), make.args('34'), make.end], [rule(digits, 'REDACT')])
      assert.equal(apart.output, make.text('12') + make.args('34') + make.end)
    }
})

test('rules that pass and rules that wait see the same reply, and their findings are cut together', () => {
  const together = [
    rule(card, 'REDACT', { id: 'card' }),
    rule(inReply('[0-9 ]+ visa', { operator: 'regex' }), 'REDACT', { id: 'visa' }),
    rule(digits, 'WARN', { id: 'digits' }),
  ]
  const text = `pay ${CARD} visa or ${CARD}`
  const expected = 'pay[CREDIT_CARD] or [CREDIT_CARD]'
  const plain = answer(bodyOf(text), { policyRules: together })
  const streamed = run(openaiChat, streamOf(text, 7), together)
  assert.equal(plain.output, bodyOf(expected))
  assert.equal(join(openaiChat, streamed.output), expected)
  for (const { counts } of [plain, streamed])
    assert.deepEqual(counts.toSorted(), [
      ['card', 2],
      ['digits', 8],
      ['visa', 1],
    ])
})

test('a rule about tool arguments reads no other text, whether it passes or waits', () => {
  for (const operator of ['contains', 'regex'] as const) {
    const about = [rule({ operator, value: 'osprey', target: 'response_tool_arguments' }, 'REDACT')]
    assert.equal(answer(bodyOf('osprey', '{"q":"osprey"}'), { policyRules: about }).output, bodyOf('osprey', '{"q":"[REDACTED]"}'))
    for (const [dialect, make] of [
      [openaiChat, openai],
      [anthropicMessages, anthropic],
    ] as const) {
      const chunks = [make.text('osprey'), make.args('{"q":"osp'), make.args('rey"}'), make.end]
      assert.equal(join(dialect, run(dialect, chunks, about).output), 'osprey{"q":"[REDACTED]"}')
    }
  }
  const message = (text: string, input: string) =>
    JSON.stringify({
      type: 'message',
      content: [
        { type: 'text', text },
        { type: 'tool_use', id: 'a', name: 'f', input: { deep: [input] } },
      ],
    })
  const about = [rule(inReply('osprey', { target: 'response_tool_arguments' }), 'REDACT')]
  assert.equal(answer(message('osprey', 'osprey'), { dialect: anthropicMessages, policyRules: about }).output, message('osprey', '[REDACTED]'))
})

test('WARN and shadow rules that need the whole reply hold nothing back, and say at its end what they found', () => {
  const quiet = [rule(digits, 'WARN', { id: 'warn' }), rule(without('source'), 'BLOCK', { id: 'shadow', mode: 'shadow' })]
  const chunks = streamOf('id 1234 here', 4)
  const { output, after, counts } = run(openaiChat, chunks, quiet)
  assert.deepEqual([output, after], [chunks.join(''), [1, 2, 3, 4, 6]])
  assert.deepEqual(counts.toSorted(), [
    ['shadow', 1],
    ['warn', 1],
  ])
})

test('a rule that who and where have decided against holds nothing back', () => {
  const other = rule({ all: [without('x'), { operator: 'equals', value: 'other', target: 'model' }] })
  const pass = rule(inReply('osprey'), 'REDACT')
  const { after } = run(openaiChat, streamOf('what is told leaves word by word ', 11), [other, pass])
  assert.deepEqual(after.slice(0, 3), [0, 1, 1], 'but the open word')
})

test('a stream that must be held whole is cut at the bound, and none of it leaves; a plain one may be longer', () => {
  const { sink, seen } = open(openaiChat, [rule(without('x'))])
  sink.head(200, [...SSE])
  assert.throws(() => {
    for (let i = 0; i < 20; i++) sink.data(Buffer.from(openai.text('y'.repeat(1 << 16))))
  }, unreadable)
  sink.error()
  assert.deepEqual(seen.written, [])
  const long = bodyOf(`x ${'y'.repeat(2 << 20)}`)
  assert.equal(answer(long, { policyRules: [rule(without('x'))] }).output, long)
})

test('of a stream that breaks off nothing is let go that only its end would have decided', () => {
  const { sink, seen } = open(openaiChat, [rule(without('x'))])
  sink.head(200, [...SSE])
  sink.data(Buffer.from(openai.text('hello')))
  sink.error()
  assert.deepEqual([seen.written, seen.ended], [[], 'error'])
})

test('what a format tells again at the end is counted once and cut everywhere', () => {
  const event = (type: string, more: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`
  const at = { item_id: 'm', output_index: 0, content_index: 0 }
  const stream = (...words: string[]): string =>
    [
      ...words.map((delta) => event('response.output_text.delta', { ...at, delta })),
      event('response.output_text.done', { ...at, text: words.join('') }),
      event('response.completed', {
        response: { id: 'r', output: [{ type: 'message', id: 'm', role: 'assistant', content: [{ type: 'output_text', text: words.join('') }] }] },
      }),
    ].join('')
  const long = rule({ operator: 'length_gt', value: 10, target: 'response' }, 'BLOCK', { id: 'long' })
  const { output, counts } = run(openaiResponses, [stream('id 12', '34')], [rule(digits, 'REDACT', { id: 'digits' }), long])
  assert.equal(output, stream('id [REDACTED]', ''))
  assert.deepEqual(counts, [['digits', 1]])
})

test('however a stream is cut into events and chunks, rules that wait find what they find in one piece', () => {
  const words = fc.constantFrom('osprey', 'eagle ', '1234', ' 5', 'é', '\\', '"', '\n', '😀', 'x', 'yes')
  const conditions: Condition[] = [
    digits,
    both,
    without('x'),
    inReply('yes', { operator: 'equals' }),
    { not: inReply('eagle') },
    { operator: 'length_gt', value: 12, target: 'response' },
  ]
  const rules: Rule[] = conditions.map((condition, i) => rule(condition, i === 0 ? 'REDACT' : 'WARN', { id: `r${i}` }))
  const read = (dialect: Dialect, chunks: readonly Buffer[]) => {
    const { output, counts } = run(dialect, chunks, rules)
    return { text: join(dialect, output), counts: counts.toSorted() }
  }
  fc.assert(
    fc.property(fc.array(words, { maxLength: 10 }), fc.array(fc.nat(30), { maxLength: 4 }), fc.nat(400), (parts, cuts, chunk) => {
      const text = parts.join('').toWellFormed()
      const points = [0, ...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b), text.length]
      const pieces = points.slice(1).map((end, i) => text.slice(points[i], end))
      if (pieces.some((piece) => !piece.isWellFormed())) return // an event holds whole characters
      const stream = Buffer.from(pieces.map(openai.text).join('') + openai.end)
      const whole = read(openaiChat, [Buffer.from(openai.text(text) + openai.end)])
      assert.deepEqual(read(openaiChat, [stream.subarray(0, chunk), stream.subarray(chunk)]), whole)
      const plain = answer(JSON.stringify({ choices: [{ message: { content: text } }] }), { policyRules: rules })
      assert.deepEqual({ text: JSON.parse(plain.output).choices[0].message.content, counts: plain.counts.toSorted() }, whole)
    }),
    { numRuns: 300 },
  )
})
