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
import { detectors } from '../../src/rules/detectors.ts'
import { createReversible, ORIGINALS_MAX, type Originals, placeholderFor } from '../../src/rules/placeholder.ts'
import { redact } from '../../src/rules/redact.ts'
import type { Condition, Dictionaries, Rule } from '../../src/rules/rule.ts'
import { answer, anthropic, inReply, join, open, openai, run, SSE } from './screened.ts'
import { callOf, rule, subjectOf } from './subject.ts'

const KEY = Buffer.alloc(32, 7)
const SSN = '536-90-4399'
const OTHER = '536-90-4398'
const ssn: Condition = { operator: 'detects', value: 'ssn' }
const reversible = (condition: Condition, id = 'r'): Rule => rule(condition, 'REDACT', { id, reversible: true })

const bodyOf = (...contents: string[]): string => JSON.stringify({ model: 'gpt-4o', messages: contents.map((content) => ({ role: 'user', content })) })
/** A call as it leaves, and what stands for what in it. */
function leaving(
  body: string,
  rules: readonly Rule[] = [reversible(ssn)],
  key: Buffer | null = KEY,
  dictionaries: Dictionaries = {},
): { texts: string[]; originals: Originals | null } {
  const call = callOf(body)
  const policy = compile(1, rules, dictionaries)
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
const valuesOf = (originals: Originals | null) => Object.fromEntries(Array.from(originals ?? [], ([placeholder, { value }]) => [placeholder, value]))
const [[PLACEHOLDER]] = standing(SSN)
const CODE = PLACEHOLDER.slice('[SSN_'.length, -1)

/** Two values that six characters of a code do not tell apart. */
function colliding(named: (i: number) => string): [string, string] {
  const byCode = new Map<string, string>()
  for (let i = 0; ; i++) {
    const value = named(i)
    const code = createReversible(KEY).placeholderOf('[SSN]', value)
    const other = byCode.get(code)
    if (other) return [other, value]
    byCode.set(code, value)
  }
}

test('each value has a placeholder of its own, the same in every call of the tenant, and another for another tenant', () => {
  const { texts, originals } = leaving(bodyOf(`a ${SSN} b ${OTHER}`, `again ${SSN}`))
  const [, first, second] = /^a (\[SSN_[A-Z2-7]{6}\]) b (\[SSN_[A-Z2-7]{6}\])$/.exec(texts[0]) ?? assert.fail(texts[0])
  assert.notEqual(first, second)
  assert.equal(texts[1], `again ${first}`)
  assert.deepEqual(valuesOf(originals), { [first]: SSN, [second]: OTHER })
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
  const pair = colliding((i) => `value ${i}`)
  const { placeholderOf, originals } = createReversible(KEY)
  const [first, second] = pair.map((value) => placeholderOf('[SSN]', value))
  assert.match(second, /^\[SSN_[A-Z2-7]{8}\]$/)
  assert.deepEqual([originals.get(first)?.value, originals.get(second)?.value], pair)
  assert.equal(placeholderOf('[SSN]', pair[1]), second)
  assert.deepEqual(leaving(bodyOf(`x ${second}`), [reversible({ operator: 'regex', value: '[A-Z]{3}_[A-Z2-7]+' })]).texts, [`x ${second}`])
})

test('more values than are remembered are cut for good, and one that comes again keeps its placeholder', () => {
  const { placeholderOf, originals } = createReversible(KEY)
  for (let i = 0; i < ORIGINALS_MAX; i++) placeholderOf('[SSN]', String(i))
  assert.equal(placeholderOf('[SSN]', 'one more'), '[SSN]')
  assert.equal(originals.get(placeholderOf('[SSN]', '7'))?.value, '7')
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

test('placeholders are ASCII of brackets, capitals, digits and underscores, which JSON, addresses and tokenisers leave alone', () => {
  const names = [undefined, ...detectors.map(({ name }) => name), 'code-names', '-x', '_', 'a'.repeat(64)]
  const [first, second] = colliding((i) => `value ${i}`)
  for (const name of names) {
    const plain = placeholderFor(name)
    const { placeholderOf } = createReversible(KEY)
    for (const placeholder of [plain, placeholderOf(plain, first), placeholderOf(plain, second)]) {
      assert.match(placeholder, /^\[[A-Z0-9_]+\]$/)
      assert.equal(JSON.stringify(placeholder), `"${placeholder}"`)
      assert.equal(decodeURIComponent(encodeURIComponent(placeholder)), placeholder)
    }
  }
})

test('a placeholder of any dictionary is known as ours, and not cut again', () => {
  for (const name of ['code-names', '-x', '_'])
    for (const reversed of [true, false]) {
      const rules = [
        rule({ operator: 'detects', value: name }, 'REDACT', { id: 'd', reversible: reversed }),
        rule({ operator: 'regex', value: '\\w+', target: 'user' }, 'REDACT', { id: 'w' }),
      ]
      const dictionaries = { [name]: { terms: ['osprey'], case_sensitive: false } }
      const once = leaving(bodyOf('osprey'), [rules[0]], KEY, dictionaries).texts
      assert.match(once[0], reversed ? /^\[\w+_[A-Z2-7]{6}\]$/ : /^\[\w+\]$/)
      assert.deepEqual(leaving(bodyOf(...once), rules, KEY, dictionaries).texts, once)
    }
})

/** With one or two backslashes before its brackets and underscores, or before some of them. */
const escapedWith = (backslash: string): string[] => {
  const characters = [...PLACEHOLDER]
  const places = characters.flatMap((character, i) => ('[_]'.includes(character) ? [i] : []))
  return Array.from({ length: 1 << places.length }, (_, chosen) =>
    characters.map((character, i) => (places.includes(i) && chosen & (1 << places.indexOf(i)) ? backslash + character : character)).join(''),
  )
}
const around: readonly ((placeholder: string) => string)[] = [
  (it) => it,
  (it) => `**${it}**`,
  (it) => `\`${it}\``,
  (it) => `[${it}](https://example.org/${it})`,
  (it) => `- ${it}\n1. ${it}\n\n| ${it} | *${it}*, (${it}) and "${it}"`,
  (it) => `it is: ${it}.`,
]
/** What a client reads where the model says this, as a text and within arguments; each must come back the same however it is cut. */
function saidAs(kind: 'text' | 'args', text: string, originals: Originals): string {
  const written = kind === 'text' ? text : JSON.stringify({ q: text })
  const readings = new Set<string>()
  for (const [dialect, make] of makers)
    for (let cut = 0; cut <= written.length; cut++) {
      const pieces = [written.slice(0, cut), ...written.slice(cut)].map(make[kind])
      readings.add(join(dialect, run(dialect, [...pieces, make.end], [], { originals }).output))
    }
  const message = kind === 'text' ? { content: written } : { tool_calls: [{ id: 'c', function: { name: 'f', arguments: written } }] }
  const whole = JSON.parse(answer(JSON.stringify({ choices: [{ message }] }), { policyRules: [], originals }).output).choices[0].message
  readings.add(kind === 'text' ? whole.content : whole.tool_calls[0].function.arguments)
  const [read, ...others] = readings
  assert.deepEqual(others, [], 'the same however it is cut')
  return kind === 'text' ? read : JSON.parse(read).q
}

for (const kind of ['text', 'args'] as const) {
  test(`${kind}: a placeholder that the model wrote as Markdown, escaped or dressed, is put back without those backslashes`, () => {
    const originals = standing(SSN)
    for (const written of escapedWith('\\')) for (const dressed of around) assert.equal(saidAs(kind, dressed(written), originals), dressed(SSN))
  })

  test(`${kind}: what the model cut, changed the case of or made up stays as it is, escaped or not`, () => {
    const originals = standing(SSN)
    const cut = PLACEHOLDER.slice(0, -3)
    const others = [
      cut,
      `${cut}]`,
      `${cut}...`,
      PLACEHOLDER.toLowerCase(),
      `[Ssn_${CODE}]`,
      '[SSN_AAAAAA]',
      '[SSN]',
      `SSN_${CODE}`,
      `[SSN ${CODE}]`,
      `[SSN_ ${CODE}]`,
    ]
    const broken = [
      `[SSN\\\\\\_${CODE}]`,
      `[S\\SN_${CODE}]`,
      `[SSN_${CODE}\\`,
      `\\[SSN\\_${CODE}\\\\\\]`,
      `[\\SSN_${CODE}]`,
      '\\[SSN\\_AAAAAA\\]',
      '\\[x\\]',
      '\\',
      '\\\\\\',
    ]
    for (const other of [...others, ...broken]) assert.equal(saidAs(kind, other, originals), other)
    for (const other of others) assert.equal(saidAs(kind, `${other}${PLACEHOLDER}`, originals), `${other}${SSN}`)
  })

  test(`${kind}: a backslash that parts a name from what stands before it is no escape`, () => {
    const originals = standing(SSN)
    for (const path of ['C:\\Users\\*\\notes', 'CORP\\*', '\\\\server\\*', '\\\\*\\share', '%HOME%\\*', '..\\*', 'Zoë\\*', '*\\*'])
      assert.equal(saidAs(kind, path.replaceAll('*', PLACEHOLDER), originals), path.replaceAll('*', SSN))
    assert.equal(saidAs(kind, `C:\\Users\\[SSN\\_${CODE}]`, originals), `C:\\Users\\${SSN}`)
    assert.equal(saidAs(kind, `line\n\\${PLACEHOLDER}\t\\${PLACEHOLDER}`, originals), `line\n${SSN}\t${SSN}`)
  })

  test(`${kind}: a value that stood behind a backslash in the call keeps it wherever it comes back`, () => {
    for (const said of [` \\${SSN}`, `(\\${SSN}`, `\\${SSN}\\`, `${SSN} \\${SSN}`]) {
      const { texts, originals } = leaving(bodyOf(said))
      assert.equal(saidAs(kind, texts[0], originals ?? assert.fail()), said)
    }
  })
}

test('arguments that escape as Markdown does, which JSON knows nothing of, are JSON once the value is back', () => {
  for (const written of escapedWith('\\')) {
    const { output } = run(openaiChat, [openai.args(`{"q":"${written}"}`), openai.end], [], { originals: standing(SSN) })
    assert.equal(join(openaiChat, output), JSON.stringify({ q: SSN }))
  }
})

test('only what may become a placeholder waits: a backslash no longer than the character after it', () => {
  const pieces = ['a\\', 'b', '\\\\\\\\', '\\', '[', 'SSN\\', '_', 'x', '\\[SSN_\\\\', '\\', 'y']
  const { after } = run(
    openaiChat,
    pieces.map((piece) => openai.text(piece)),
    [],
    { originals: standing(SSN) },
  )
  assert.deepEqual(after, [0, 2, 2, 2, 2, 2, 2, 8, 8, 8, 11])
})

const turn = (role: string, content: unknown, more: object = {}) => ({ role, content, ...more })
const called = (args: object) =>
  turn('assistant', null, { tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: JSON.stringify(args) } }] })
const tools = (about: string) => [{ type: 'function', function: { name: 'f', description: about } }]
/** A conversation as it leaves. */
const outbound = (call: object, rules: readonly Rule[]): string => {
  const read = callOf(JSON.stringify({ model: 'm', ...call }))
  const policy = compile(1, rules)
  policy.redactionKey = KEY
  const result = redact(read, policy.judge(subjectOf(read)))
  assert.ok('outbound' in result)
  return result.outbound.toString()
}

test('a conversation that goes on begins with the bytes it had, and one that is sent again is the same, though values share a code', () => {
  const rules = [reversible({ operator: 'regex', value: 'value-[0-9]+' })]
  const pair = colliding((i) => `value-${i}`)
  for (const [early, late] of [pair, pair.toReversed()]) {
    const beginnings: readonly [string, object, object[]][] = [
      ['a message', {}, [turn('user', early)]],
      ['a tool call', {}, [turn('user', 'hi'), called({ q: early }), turn('tool', 'ok', { tool_call_id: 'c' })]],
      ['what no format knows', {}, [turn('user', 'hi', { note: early })]],
      ['tools before', { tools: tools(early) }, [turn('user', 'hi')]],
    ]
    for (const [what, before, messages] of beginnings) {
      const whole = outbound({ ...before, messages }, rules)
      assert.match(whole, /\[REDACTED_[A-Z2-7]{6}\]/)
      assert.equal(outbound({ ...before, messages }, rules), whole)
      for (const next of [turn('user', late), called({ q: late }), turn('assistant', `${late} ${early}`)]) {
        const longer = outbound({ ...before, messages: [...messages, next] }, rules)
        assert.ok(longer.startsWith(whole.slice(0, -']}'.length)), what)
        assert.match(longer, /\[REDACTED_[A-Z2-7]{8}\]/, 'the later one has the longer code')
      }
    }
    const behind = (...messages: object[]): string => outbound({ messages, tools: tools(early) }, rules).replace(/^.*"tools":/, '')
    assert.equal(behind(turn('user', late)), behind(turn('user', 'hi')), 'tools behind the messages, which models read first')
  }
})

test('more values than are remembered: those of the beginning keep their placeholders when a turn is added', () => {
  const values = Array.from({ length: ORIGINALS_MAX }, (_, i) => `value-${i}`)
  const rules = [reversible({ operator: 'regex', value: 'value-[0-9]+' })]
  const before = [turn('user', 'hi'), called({ q: values.slice(1).join(' ') })]
  const whole = outbound({ messages: before }, rules)
  assert.ok(outbound({ messages: [...before, turn('user', 'value-a value-99999 value-99998')] }, rules).startsWith(whole.slice(0, -']}'.length)))
})

test('a value is the same in arguments as in a text, however JSON spells it there, and comes back as what it says', () => {
  const value = 'Zoë "Zo" \\ Quinn\n'
  const rules = [reversible({ operator: 'regex', value: 'Zo.{1,6} \\\\*"Zo\\\\*" \\\\+ Quinn(\n|\\\\n)' })]
  const { texts, originals } = leaving(bodyOf(`is ${value}`, JSON.stringify({ q: `is ${value}` }), JSON.stringify({ q: value }).replace('ë', '\\u00eb')), rules)
  const [placeholder] = originals?.keys() ?? []
  assert.deepEqual(valuesOf(originals), { [placeholder]: value })
  assert.deepEqual(texts, [`is ${placeholder}`, `{"q":"is ${placeholder}"}`, `{"q":"${placeholder}"}`])
  assert.equal(saidAs('args', placeholder, originals ?? assert.fail()), value)
  // What only begins like JSON says what it says.
  assert.deepEqual(Object.values(valuesOf(leaving(bodyOf('{ Zoë \\"Zo\\" \\\\ Quinn\\n'), rules).originals)), ['Zoë \\"Zo\\" \\\\ Quinn\\n'])
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
  const check = (dialect: Dialect, make: typeof openai, parts: readonly string[], between: string, cuts: readonly number[], chunk: number): void => {
    const said = `.${parts.join(between)}` // an answer that begins with a brace is JSON, and is put back as such
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
    fc.property(
      fc.array(pieces, { maxLength: 8 }),
      fc.constantFrom('/', '\\', ' ', ' \\', '\\\\'),
      fc.array(fc.nat(60), { maxLength: 4 }),
      fc.nat(500),
      (parts, between, cuts, chunk) => {
        for (const [dialect, make] of makers) check(dialect, make, parts, between, cuts, chunk)
      },
    ),
    { numRuns: 300 },
  )
})
