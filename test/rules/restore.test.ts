/** What is cut from a call under a placeholder of its own, and put back where the reply speaks of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anthropicMessages } from '../../src/dialects/anthropic/anthropic-messages.ts'
import type { Dialect } from '../../src/dialects/dialect.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import { openaiResponses } from '../../src/dialects/openai/openai-responses.ts'
import { Refusal } from '../../src/errors.ts'
import { compile } from '../../src/rules/compile.ts'
import { createReversible, ORIGINALS_MAX, type Originals } from '../../src/rules/placeholder.ts'
import { redact } from '../../src/rules/redact.ts'
import type { Condition, Rule } from '../../src/rules/rule.ts'
import { answer, anthropic, inReply, join, open, openai, run, SSE } from './screened.ts'
import { callOf, rule, subjectOf } from './subject.ts'

const KEY = Buffer.alloc(32, 7)
const SSN = '536-90-4399'
const OTHER = '536-90-4398'
const ssn: Condition = { operator: 'detects', value: 'ssn' }
const reversible = (condition: Condition, id = 'r'): Rule => rule(condition, 'REDACT', { id, reversible: true })

const bodyOf = (...contents: string[]): string => JSON.stringify({ model: 'gpt-4o', messages: contents.map((content) => ({ role: 'user', content })) })
/** A call as it leaves, and what stands for what in it. */
function leaving(body: string, rules: readonly Rule[] = [reversible(ssn)], key: Buffer | null = KEY): { texts: string[]; originals: Originals | null } {
  const call = callOf(body)
  const policy = compile(1, rules)
  policy.redactionKey = key
  const result = redact(call, policy.judge(subjectOf(call)))
  assert.ok('outbound' in result)
  const { messages } = JSON.parse(result.outbound.toString()) as { messages: { content: string }[] }
  return { texts: messages.map(({ content }) => content), originals: result.originals }
}
/** What stands for these values, as a phrase of the call. */
const standing = (...values: string[]): Originals => {
  const { placeholderOf, originals } = createReversible(KEY)
  for (const value of values) placeholderOf('[SSN]', value)
  return originals
}
const [[PLACEHOLDER]] = standing(SSN)

test('each value has a placeholder of its own, the same in every call of the tenant, and another for another tenant', () => {
  const { texts, originals } = leaving(bodyOf(`a ${SSN} b ${OTHER}`, `again ${SSN}`))
  const [, first, second] = /^a (\[SSN_[A-Z2-7]{6}\]) b (\[SSN_[A-Z2-7]{6}\])$/.exec(texts[0]) ?? assert.fail(texts[0])
  assert.notEqual(first, second)
  assert.equal(texts[1], `again ${first}`)
  assert.deepEqual(
    originals,
    new Map([
      [first, SSN],
      [second, OTHER],
    ]),
  )
  assert.deepEqual(leaving(bodyOf(SSN)).texts, [first])
  assert.notDeepEqual(leaving(bodyOf(SSN), undefined, Buffer.alloc(32, 8)).texts, [first])
})

test('without a key, and for a rule that is not reversible, what is cut is gone', () => {
  assert.deepEqual(leaving(bodyOf(SSN), undefined, null), { texts: ['[SSN]'], originals: null })
  assert.deepEqual(leaving(bodyOf(SSN), [rule(ssn, 'REDACT')]), { texts: ['[SSN]'], originals: null })
  const mixed = leaving(bodyOf(`${SSN} osprey`), [reversible(ssn), rule({ operator: 'contains', value: 'osprey' }, 'REDACT', { id: 'b' })])
  assert.deepEqual([mixed.texts, mixed.originals?.size], [[`${PLACEHOLDER} [REDACTED]`], 1])
})

test('a text that was redacted is not redacted again, so a conversation that comes back keeps its placeholders', () => {
  const rules = [reversible({ operator: 'regex', value: '[A-Z0-9]{3,}', target: 'user', case_sensitive: true }), reversible(ssn, 's')]
  const once = leaving(bodyOf(`${SSN} and OSPREY`), rules).texts[0]
  assert.deepEqual(leaving(bodyOf(once), rules).texts, [once])
})

test('two values of one call never share a placeholder: the second gets a longer one, which is known as ours too', () => {
  const byCode = new Map<string, string>()
  let pair: [string, string] | undefined
  for (let i = 0; !pair; i++) {
    const value = `value ${i}`
    const code = createReversible(KEY).placeholderOf('[SSN]', value)
    const other = byCode.get(code)
    if (other) pair = [other, value]
    byCode.set(code, value)
  }
  const { placeholderOf, originals } = createReversible(KEY)
  const [first, second] = pair.map((value) => placeholderOf('[SSN]', value))
  assert.match(second, /^\[SSN_[A-Z2-7]{8}\]$/)
  assert.deepEqual([originals.get(first), originals.get(second)], pair)
  assert.equal(placeholderOf('[SSN]', pair[1]), second)
  assert.deepEqual(leaving(bodyOf(`x ${second}`), [reversible({ operator: 'regex', value: '[A-Z]{3}_[A-Z2-7]+' })]).texts, [`x ${second}`])
})

test('more values than are remembered are cut for good, and one that comes again keeps its placeholder', () => {
  const { placeholderOf, originals } = createReversible(KEY)
  for (let i = 0; i < ORIGINALS_MAX; i++) placeholderOf('[SSN]', String(i))
  assert.equal(placeholderOf('[SSN]', 'one more'), '[SSN]')
  assert.equal(originals.get(placeholderOf('[SSN]', '7')), '7')
  assert.equal(originals.size, ORIGINALS_MAX)
})

const makers = [
  [openaiChat, openai],
  [anthropicMessages, anthropic],
] as const

for (const [dialect, make] of makers)
  for (const kind of ['text', 'args'] as const)
    test(`${dialect.name} ${kind}: however the placeholder is cut into events, the value is put back, and only what may become one waits`, () => {
      const whole = `{"a":"is ${PLACEHOLDER}, [SSN_AAAAAA] [x]"}`
      const screened = { originals: standing(SSN) }
      for (let a = 0; a <= whole.length; a++)
        for (let b = a; b <= whole.length; b++) {
          const pieces = [whole.slice(0, a), whole.slice(a, b), whole.slice(b)]
          assert.equal(join(dialect, run(dialect, [...pieces.map(make[kind]), make.end], [], screened).output), whole.replace(PLACEHOLDER, SSN))
        }
      const { after } = run(
        dialect,
        ['see [', 'SSN', '_', 'x', 'y [not', ' this]'].map((piece) => make[kind](piece)),
        [],
        screened,
      )
      assert.deepEqual(after, [0, 0, 0, 4, 5, 6])
    })

test('a reply in one piece has the value put back and its length corrected; one without a placeholder arrives as it came', () => {
  const body = (text: string): string => `{ "choices":[{"message":{"content":"h\\u00e9 ${text}"}}],"n":1.0}`
  const headers = ['content-type', 'application/json', 'content-length', String(body(PLACEHOLDER).length)]
  const restored = answer(body(PLACEHOLDER), { headers, policyRules: [], originals: standing(SSN) })
  assert.equal(restored.output, body(SSN))
  assert.deepEqual(restored.headers, ['content-type', 'application/json', 'content-length', String(body(SSN).length)])
  const untouched = answer(body('[SSN_AAAAAA]'), { headers, policyRules: [], originals: standing(SSN) })
  assert.deepEqual([untouched.output, untouched.headers], [body('[SSN_AAAAAA]'), headers])
})

test('a value is escaped as the place it returns to asks for: once in a text, twice in arguments that are JSON in a string, not at all in plain text', () => {
  const value = 'a "b" \\ \n é\u0001'
  const originals = standing(value)
  const [placeholder] = originals.keys()
  const inner = JSON.stringify({ q: `is ${placeholder}` })
  const read = JSON.stringify({ q: `is ${value}` })
  const options = { policyRules: [], originals }
  const call = (content: string, args: string): string =>
    JSON.stringify({ choices: [{ message: { content, tool_calls: [{ id: 'c', function: { name: 'f', arguments: args } }] } }] })
  assert.equal(answer(call(placeholder, inner), options).output, call(value, read))
  const message = (text: string, q: string): string =>
    JSON.stringify({
      content: [
        { type: 'text', text },
        { type: 'tool_use', id: 't', name: 'f', input: { q } },
      ],
    })
  assert.equal(answer(message(placeholder, `is ${placeholder}`), { ...options, dialect: anthropicMessages }).output, message(value, `is ${value}`))
  for (const [dialect, make] of makers) {
    const { output } = run(dialect, [make.text(placeholder), make.args(inner.slice(0, 10)), make.args(inner.slice(10)), make.end], [], { originals })
    assert.equal(join(dialect, output), value + read)
  }
  assert.equal(answer(`is ${placeholder}`, { ...options, headers: ['content-type', 'text/plain'] }).output, `is ${value}`)
  // An answer in a prescribed form is JSON in a string as well.
  assert.equal(answer(call(inner, '{}'), options).output, call(read, '{}'))
})

test('what a format tells in pieces and again whole reads the same everywhere', () => {
  const event = (type: string, more: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`
  const at = { item_id: 'm', output_index: 0, content_index: 0 }
  const stream = (pieces: readonly string[], whole: string): string =>
    [
      ...pieces.map((delta) => event('response.output_text.delta', { ...at, delta })),
      event('response.output_text.done', { ...at, text: whole }),
      event('response.completed', {
        response: { id: 'r', output: [{ type: 'message', id: 'm', role: 'assistant', content: [{ type: 'output_text', text: whole }] }] },
      }),
    ].join('')
  const { output } = run(openaiResponses, [stream(['is ', PLACEHOLDER.slice(0, 5), `${PLACEHOLDER.slice(5)}!`], `is ${PLACEHOLDER}!`)], [], {
    originals: standing(SSN),
  })
  assert.equal(output, stream(['is ', SSN, '!'], `is ${SSN}!`))
})

test('rules read the reply before anything is put back', () => {
  const secret = rule({ operator: 'detects', value: 'ssn', target: 'response' }, 'BLOCK')
  const osprey = rule(inReply('osprey'), 'REDACT', { id: 'o' })
  const { output, counts } = run(openaiChat, [openai.text(`an osprey, ${PLACEHOLDER}`), openai.end], [secret, osprey], { originals: standing(SSN) })
  assert.equal(join(openaiChat, output), `an [REDACTED], ${SSN}`)
  assert.deepEqual(counts, [['o', 1]])
  const body = (text: string): string => JSON.stringify({ choices: [{ message: { content: text } }] })
  assert.equal(answer(body(`osprey ${PLACEHOLDER}`), { policyRules: [secret, osprey], originals: standing(SSN) }).output, body(`[REDACTED] ${SSN}`))
  assert.throws(() => answer(body(`${PLACEHOLDER} ${OTHER}`), { policyRules: [secret], originals: standing(SSN) }), Refusal)
})

test('ids, tool names, ciphertext and tokens stay what they are', () => {
  const body = JSON.stringify({
    id: PLACEHOLDER,
    choices: [
      { message: { tool_calls: [{ id: PLACEHOLDER, function: { name: PLACEHOLDER, arguments: '{}' } }] }, logprobs: { content: [{ token: PLACEHOLDER }] } },
    ],
  })
  assert.equal(answer(body, { policyRules: [], originals: standing(SSN) }).output, body)
})

test('what cannot be read is passed on as it came, because putting back protects nobody', () => {
  const options = { policyRules: [], originals: standing(SSN) }
  for (const headers of [
    ['content-type', 'image/png'],
    ['content-type', 'application/json', 'content-encoding', 'gzip'],
    [],
    ['content-type', 'application/json'],
  ])
    assert.equal(answer(`${PLACEHOLDER} {`, { ...options, headers }).output, `${PLACEHOLDER} {`)
  const odd = [`data: ${PLACEHOLDER}\n\n`, 'data: {"choices":\ndata: []}\n\n', 'data: {\n\n']
  const { output } = run(openaiChat, [...odd, openai.text(PLACEHOLDER), openai.end], [], options)
  assert.equal(output, odd.join('') + openai.text(SSN) + openai.end)
  const endless = [openai.text('[SSN_'), ...Array.from({ length: 20 }, () => `: ${'x'.repeat(1 << 16)}\n\n`), openai.text('more')]
  assert.equal(run(openaiChat, endless, [], options).output, endless.join(''))
  const large = JSON.stringify({ choices: [{ message: { content: `${PLACEHOLDER}${'y'.repeat(33 << 20)}` } }] })
  const { sink, seen } = open(openaiChat, [], options)
  sink.head(200, ['content-type', 'application/json'])
  for (let at = 0; at < large.length; at += 1 << 22) sink.data(Buffer.from(large.slice(at, at + (1 << 22))))
  sink.end()
  assert.ok(seen.written.join('') === large)
})

test('a source that breaks lets go of what was waiting, with what can be put back', () => {
  const { sink, seen } = open(openaiChat, [], { originals: standing(SSN) })
  sink.head(200, [...SSE])
  sink.data(Buffer.from(openai.text(`${PLACEHOLDER} [SSN_`)))
  assert.deepEqual(seen.written, [])
  sink.error()
  assert.deepEqual([seen.written, seen.ended], [[openai.text(`${SSN} [SSN_`)], 'error'])
})

test('a call and the echo of it: whatever the text, its events and its chunks, what comes back is what was said', () => {
  const pieces = fc.constantFrom(SSN, OTHER, 'a@example.org', 'osprey "x"', '[', ']', '[SSN]', 'é', '😀', '\\', '"', '\n', ' ', '{')
  const rules = [reversible(ssn), reversible({ operator: 'detects', value: 'email' }, 'e'), reversible({ operator: 'contains', value: 'osprey "x"' }, 'o')]
  const check = (dialect: Dialect, make: typeof openai, parts: readonly string[], cuts: readonly number[], chunk: number): void => {
    const said = `.${parts.join('/')}` // an answer that begins with a brace is JSON, and is put back as such
    const { texts, originals } = leaving(bodyOf(said), rules)
    for (const secret of [SSN, OTHER, 'a@example.org', 'osprey']) assert.ok(!texts[0].includes(secret))
    if (!originals) return
    const echo = texts[0]
    const points = [0, ...cuts.map((cut) => Math.min(cut, echo.length)).sort((a, b) => a - b), echo.length]
    const events = points.slice(1).map((end, i) => echo.slice(points[i], end))
    if (events.some((event) => !event.isWellFormed())) return // an event holds whole characters
    const stream = Buffer.from(events.map(make.text).join('') + make.end)
    const { output } = run(dialect, [stream.subarray(0, chunk), stream.subarray(chunk)], [], { originals })
    assert.equal(join(dialect, output), said)
    const plain = JSON.stringify({ choices: [{ message: { content: echo } }] })
    assert.equal(JSON.parse(answer(plain, { policyRules: [], originals }).output).choices[0].message.content, said)
  }
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 8 }), fc.array(fc.nat(60), { maxLength: 4 }), fc.nat(500), (parts, cuts, chunk) => {
      for (const [dialect, make] of makers) check(dialect, make, parts, cuts, chunk)
    }),
    { numRuns: 300 },
  )
})
