import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anthropicMessages } from '../../src/dialects/anthropic/anthropic-messages.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import { Refusal } from '../../src/errors.ts'
import { compile } from '../../src/rules/compile.ts'
import { screenFor } from '../../src/rules/replies/screen.ts'
import type { Rule } from '../../src/rules/rule.ts'
import { FINDINGS_MAX } from '../../src/rules/search/search.ts'
import { tenantNamed } from '../harness/nouns.ts'
import { answer, anthropic, CARD, card, inReply, JSON_HEAD, join, open, openai, run, SSE, unreadable } from './screened.ts'
import { ask, rule } from './subject.ts'

const screenOf = (policyRules: Rule[], tenant = tenantNamed('t_1')) => screenFor(compile(1, policyRules).judge(ask('hi')), openaiChat, { tenant })
for (const [dialect, make] of [
  [openaiChat, openai],
  [anthropicMessages, anthropic],
] as const) {
  for (const kind of ['text', 'args'] as const)
    for (const secret of [CARD, '4111111111111111', 'Project Osprey', 'STRAẞE'])
      test(`${dialect.name} ${kind}: all two-cut splits of "${secret}" leak nothing and read the same`, () => {
        const whole = `Pay with ${secret}, ok? 12/27`
        const expected = whole.replace(secret, secret.startsWith('4') ? '[CREDIT_CARD]' : '[REDACTED]')
        for (let a = 0; a <= whole.length; a++)
          for (let b = a; b <= whole.length; b++) {
            const pieces = [whole.slice(0, a), whole.slice(a, b), whole.slice(b)]
            const { output, counts } = run(dialect, [...pieces.map(make[kind]), make.end])
            assert.equal(join(dialect, output), expected)
            assert.equal(counts.length === 1 && counts[0][1], 1)
          }
      })

  test(`${dialect.name}: cut anywhere into network chunks, the bytes that come out are the same`, () => {
    const stream = Buffer.from(
      `${make.text('Hé ')}${make.text('no 4111-1111-1')}${make.text('111-1111 x')}${make.args('{"q":"4')}${make.args('111 1111 1111 1111"}')}${make.end}`,
    )
    const { output } = run(dialect, [stream])
    for (let a = 0; a <= stream.length; a++) assert.equal(run(dialect, [stream.subarray(0, a), stream.subarray(a)]).output, output)
    assert.equal(
      run(
        dialect,
        Array.from(stream, (_, i) => stream.subarray(i, i + 1)),
      ).output,
      output,
    )
    assert.ok(!output.includes('111-1111 x'))
    const returns = stream.toString().replaceAll('\n', '\r\n')
    assert.equal(run(dialect, [returns]).output, output.replaceAll('\n', '\r\n'))
    const carriage = stream.toString().replaceAll('\n', '\r')
    assert.equal(run(dialect, [carriage]).output, output.replaceAll('\n', '\r'))
  })

  test(`${dialect.name}: a stream in which nothing is found arrives byte for byte, and only candidates wait`, () => {
    const chunks = [
      make.text('Hello'),
      make.text(' wor'),
      make.text('ld 42'),
      make.text(' is the pro'),
      make.text('duct'),
      ': ping\r\n\r\n',
      make.args('{"n":12345'),
      make.args('6}'),
      make.end,
    ]
    const { output, after, counts } = run(dialect, chunks)
    assert.equal(output, chunks.join(''))
    assert.deepEqual(after.slice(0, 5), [0, 1, 1, 1, 1], 'the open word waits for its end, and a number for what comes after it')
    assert.deepEqual(counts, [])
  })
}

test('the last words of a choice do not wait for the end of the stream', () => {
  const { sink, seen } = open(openaiChat)
  sink.head(200, [...SSE])
  sink.data(Buffer.from(openai.text('it is 4111')))
  assert.deepEqual(seen.written, [])
  sink.data(Buffer.from('data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'))
  assert.equal(seen.written.length, 2)
})

test('a phrase that blocks stops the stream by the name of its rule; what was decided before it has left, nothing after it does', () => {
  const { sink, seen, counts } = open(openaiChat)
  sink.head(200, [...SSE])
  sink.data(Buffer.from(openai.text('Here: ')))
  sink.data(Buffer.from(openai.text('the laun')))
  assert.throws(
    () => sink.data(Buffer.from(openai.text('ch codes are 1'))),
    (error) => error instanceof Refusal && error.reason === 'blocked_by_rule' && error.message === "The reply was stopped by policy: 'Launch codes'.",
  )
  sink.error()
  assert.equal(seen.written.join(''), openai.text('Here: '))
  assert.deepEqual(counts(), [['stop', 1]])
})

test('where a redaction and a block overlap, the block holds, whichever rule comes first', () => {
  for (const priority of [1, 99]) {
    const { sink, seen } = open(openaiChat, [rule(inReply('abc'), 'REDACT', { id: 'a', priority }), rule(inReply('bcd'), 'BLOCK', { id: 'b' })])
    sink.head(200, [...SSE])
    assert.throws(() => sink.data(Buffer.from(openai.text('xabcdx') + openai.end)), Refusal)
    assert.deepEqual(seen.written, [])
  }
})

test('overlapping findings become one, under the same placeholder however the text is cut', () => {
  const overlap = [rule(inReply('1111 visa'), 'REDACT', { id: 'a' }), rule(card, 'REDACT', { id: 'b' }), rule(inReply('sa y'), 'REDACT', { id: 'c' })]
  const whole = `x ${CARD} visa y z`
  for (let a = 0; a <= whole.length; a++)
    for (let b = a; b <= whole.length; b++) {
      const { output } = run(openaiChat, [whole.slice(0, a), whole.slice(a, b), whole.slice(b)].map(openai.text).concat(openai.end), overlap)
      assert.equal(join(openaiChat, output), 'x [REDACTED] z')
    }
})

test('WARN and shadow rules count what they find and change nothing', () => {
  const quiet = [
    rule(inReply('osprey'), 'WARN', { id: 'warn' }),
    rule(card, 'REDACT', { id: 'shadow', mode: 'shadow' }),
    rule(inReply('code'), 'BLOCK', { id: 'b', mode: 'shadow' }),
  ]
  const chunks = [openai.text('Osprey, osp'), openai.text(`rey ${CARD} code`), openai.end]
  const { output, counts } = run(openaiChat, chunks, quiet)
  assert.equal(output, chunks.join(''))
  assert.deepEqual(
    new Map(counts as [string, number][]),
    new Map([
      ['warn', 2],
      ['shadow', 1],
      ['b', 1],
    ]),
  )
})

test('an answer in one piece is read whole, cut, and its length corrected', () => {
  const body = `{"id":"x","choices":[{"message":{"role":"assistant","content":"card \\u0034111 1111 1111 1111."}}],"n":1.0}`
  const { output, headers, counts, ended } = answer(body, { headers: [...JSON_HEAD, 'content-length', String(body.length), 'x-other', '1'] })
  assert.equal(output, body.replace('\\u0034111 1111 1111 1111', '[CREDIT_CARD]'))
  assert.deepEqual(headers, [...JSON_HEAD, 'x-other', '1', 'content-length', String(output.length)])
  assert.deepEqual([counts, ended], [[['card', 1]], 'end'])
})

test('an answer in one piece in which nothing is found arrives with its very head and bytes', () => {
  const body = '{ "choices":[{"message":{"content":"h\\u00e9llo"}}] }'
  const { output, headers } = answer(body, { headers: [...JSON_HEAD, 'etag', 'x'] })
  assert.deepEqual([output, headers], [body, [...JSON_HEAD, 'etag', 'x']])
})

test('findings lie in one text: two texts that stand beside each other are not read as one', () => {
  const body = '{"choices":[{"message":{"content":"4111 1111 "}},{"message":{"content":"1111 1111"}}]}'
  assert.equal(answer(body).output, body)
})

test('a rule that blocks refuses an answer in one piece before anything was said', () => {
  const { sink, seen } = open(openaiChat)
  sink.head(200, [...JSON_HEAD])
  sink.data(Buffer.from('{"choices":[{"message":{"content":"launch codes"}}]}'))
  assert.throws(() => sink.end(), Refusal)
  assert.equal(seen.status, 0)
})

test('errors of a provider are judged where they are JSON, and pass where they are not', () => {
  assert.equal(answer(`{"error":{"message":"bad ${CARD}"}}`, { status: 400 }).output, '{"error":{"message":"bad [CREDIT_CARD]"}}')
  assert.equal(answer('<h1>Bad gateway</h1>', { status: 502, headers: ['content-type', 'text/html'] }).output, '<h1>Bad gateway</h1>')
})

test('a reply that must be judged and cannot be read is not relayed', () => {
  assert.throws(() => answer('x', { headers: [...JSON_HEAD, 'content-encoding', 'gzip'] }), unreadable)
  assert.throws(() => answer('x', { headers: [...SSE, 'content-encoding', 'br'] }), unreadable)
  assert.throws(() => answer('{"choices":'), unreadable)
  assert.throws(() => answer('{"a":1,"a":2}'), unreadable)
  assert.throws(() => run(openaiChat, ['data: {"choices":\n\n']), unreadable)
  assert.throws(() => run(openaiChat, ['data: hello\n\n']), unreadable)
  assert.throws(() => run(openaiChat, ['data: {"choices":\ndata: []}\n\n']), unreadable)
  assert.throws(() => run(openaiChat, [`data: ${' '.repeat((1 << 20) + 1)}`]), unreadable)
  assert.equal(answer('', { headers: ['content-length', '0'] }).ended, 'end')
})

test('a reply that must be judged and is not UTF-8 is not relayed, because a client would read other text than the rules', () => {
  const broken = (text: string): Buffer =>
    Buffer.concat(text.split('?').flatMap((part, i) => (i === 0 ? [Buffer.from(part)] : [Buffer.of(0xff), Buffer.from(part)])))
  const body = '{"choices":[{"message":{"content":"4111 1111 1111?1111"}}]}'
  assert.throws(() => answer(broken(body)), unreadable)
  assert.throws(() => answer(broken(body.replace('4111', '\\u0034111')), { status: 400 }), unreadable)
  const { sink, seen } = open(openaiChat)
  sink.head(200, [...SSE])
  sink.data(Buffer.from(openai.text('Héllo')))
  assert.throws(() => sink.data(broken(openai.text('a ? b'))), unreadable)
  sink.error()
  assert.equal(seen.written.join(''), openai.text('Héllo'))
})

test('an event that cannot be read stops the stream there: what came before it has left, however the bytes were cut', () => {
  for (const chunks of [[`${openai.text('one')}data: {\n\n`], [openai.text('one'), 'data: {', '\n\n']]) {
    const { sink, seen } = open(openaiChat)
    sink.head(200, [...SSE])
    assert.throws(() => {
      for (const chunk of chunks) sink.data(Buffer.from(chunk))
    }, unreadable)
    sink.error()
    assert.equal(seen.written.join(''), openai.text('one'))
  }
})

test('a candidate that is never decided is cut at the bound, and none of it leaves', () => {
  const { sink, seen } = open(openaiChat)
  sink.head(200, [...SSE])
  sink.data(Buffer.from(openai.text('project o')))
  assert.throws(() => {
    for (let i = 0; i < 20_000; i++)
      sink.data(Buffer.from('data: {"choices":[],"padding":"0123456789012345678901234567890123456789012345678901234567890123"}\n\n'))
  }, unreadable)
  assert.deepEqual(seen.written, [])
})

test('strings of an event that no dialect names are judged too, each by itself', () => {
  const event = (text: string) => `data: {"choices":[],"vendor_note":{"deep":["${text}","1111"]}}\n\n`
  assert.equal(run(openaiChat, [event(`see ${CARD}`)]).output, event('see [CREDIT_CARD]'))
  assert.equal(run(openaiChat, [event('4111 1111 1111 ')]).output, event('4111 1111 1111 '))
  assert.equal(run(openaiChat, [`data: "${CARD}"\n\n`]).output, 'data: "[CREDIT_CARD]"\n\n')
  assert.throws(() => run(openaiChat, [event('launch codes')]), Refusal)
  assert.equal(
    run(anthropicMessages, [`event: error\ndata: {"type":"error","error":{"message":"${CARD}"}}\n\n`]).output,
    'event: error\ndata: {"type":"error","error":{"message":"[CREDIT_CARD]"}}\n\n',
  )
})

test('ids and kinds are not judged; a name or a member’s name that would have to be cut stops the reply', () => {
  const stream = 'data: {"id":"chatcmpl-4111111111111111","object":"project osprey","model":"launch codes","choices":[]}\n\n'
  assert.equal(run(openaiChat, [stream]).output, stream)
  const body = '{"id":"4111111111111111","model":"project osprey","choices":[]}'
  assert.equal(answer(body).output, body)
  const cannot = (error: unknown): boolean => error instanceof Refusal && error.reason === 'cannot_redact'
  assert.throws(() => run(openaiChat, ['data: {"choices":[],"project osprey":1}\n\n']), cannot)
  assert.throws(
    () => run(openaiChat, ['data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"project osprey"}}]}}]}\n\n']),
    cannot,
  )
  assert.throws(() => answer('{"choices":[],"project osprey" : 1}'), cannot)
})

test('what is too short for a seal is judged where a seal would stand, in a stream and in one piece; a real one is relayed as it is', () => {
  const digits = CARD.replaceAll(/\D/g, '')
  const seal = digits.padEnd(400, 'A')
  const event = (signature: string) =>
    `event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"${signature}"}}\n\n`
  const block = (signature: string, type = 'thinking') => JSON.stringify({ type: 'message', content: [{ type, thinking: 'Hm.', signature }] })
  assert.equal(run(anthropicMessages, [event(digits)]).output, event('[CREDIT_CARD]'))
  assert.equal(run(anthropicMessages, [event(seal)]).output, event(seal))
  assert.equal(answer(block(digits), { dialect: anthropicMessages }).output, block('[CREDIT_CARD]'))
  assert.equal(answer(block(seal), { dialect: anthropicMessages }).output, block(seal))
  assert.notEqual(answer(block(`${CARD} ${seal}`, 'text'), { dialect: anthropicMessages }).output, block(`${CARD} ${seal}`, 'text'))
})

test('a source that breaks lets go of what was held and whole, and drops what it broke off', () => {
  const { sink, seen } = open(openaiChat)
  sink.head(200, [...SSE])
  sink.data(Buffer.from(openai.text('it is 4111')))
  sink.data(Buffer.from('data: {"choices":[{"ind'))
  sink.error()
  assert.equal(seen.written.join(''), openai.text('it is 4111'))
  assert.equal(seen.ended, 'error')
})

test('arguments of which a number is cut stay JSON, however they are cut into events', () => {
  const args = '{"note":"no: 5, \\"","n":4111111111111111,"said":"is: 4111111111111111, ok"}'
  const expected = '{"note":"no: 5, \\"","n":"[CREDIT_CARD]","said":"is: [CREDIT_CARD], ok"}'
  for (const [dialect, make] of [
    [openaiChat, openai],
    [anthropicMessages, anthropic],
  ] as const)
    for (let cut = 0; cut <= args.length; cut++)
      assert.equal(join(dialect, run(dialect, [make.args(args.slice(0, cut)), make.args(args.slice(cut)), make.end]).output), expected)
  const body = (said: string) => JSON.stringify({ choices: [{ message: { tool_calls: [{ id: 'c', function: { name: 'f', arguments: said } }] } }] })
  assert.equal(answer(body(args)).output, body(expected))
})

test('a reply in which many rules find something at every letter is stopped instead of holding everybody else up', () => {
  const watching = Array.from({ length: 6 }, (_, i) => rule(inReply('x'), 'WARN', { id: `r${i}` }))
  const text = 'x'.repeat(Math.ceil(FINDINGS_MAX / 5))
  assert.throws(() => run(openaiChat, [openai.text(text), openai.end], watching), unreadable)
  assert.throws(() => answer(JSON.stringify({ choices: [{ message: { content: text } }] }), { policyRules: watching }), unreadable)
  assert.equal(run(openaiChat, [openai.text(text), openai.end], watching.slice(0, 4)).output, openai.text(text) + openai.end)
})

test('a reply that says it is JSON and holds nothing arrives as the nothing it is', () => {
  const { status, output, ended } = answer('', { status: 503 })
  assert.deepEqual([status, output, ended], [503, '', 'end'])
})

test('a last event without its empty line is judged like any other', () => {
  assert.equal(run(openaiChat, [openai.text(`x ${CARD}`).trimEnd()]).output, openai.text('x [CREDIT_CARD]').trimEnd())
})

test('a length that an event stream announces is not passed on, because it may change', () => {
  const { sink, seen } = open(openaiChat)
  sink.head(200, [...SSE, 'content-length', '999', 'x-request-id', 'r'])
  assert.deepEqual(seen.headers, [...SSE, 'x-request-id', 'r'])
})

test('replies flow untouched where no rule reads them, and where an ALLOW rule stands above those that do', () => {
  assert.equal(screenOf([rule({ operator: 'contains', value: 'x' })]), null)
  const allow = rule({ operator: 'equals', value: 'gpt-4o', target: 'model' }, 'ALLOW', { priority: 60 })
  const stop = rule(inReply('osprey'), 'BLOCK', { priority: 50 })
  assert.equal(screenOf([allow, stop]), null)
  assert.notEqual(screenOf([allow, { ...stop, priority: 60 }]), null)
  assert.notEqual(screenOf([{ ...allow, mode: 'shadow' }, stop]), null)
})

test('a reply rule that also asks who or where watches only those replies', () => {
  const forModel = (model: string, id: string) => rule({ all: [inReply('osprey'), { operator: 'equals', value: model, target: 'model' }] }, 'REDACT', { id })
  assert.equal(screenOf([forModel('other', 'a')]), null)
  const { output, counts } = run(openaiChat, [openai.text('an osprey'), openai.end], [forModel('other', 'a'), forModel('gpt-4o', 'b')])
  assert.equal(join(openaiChat, output), 'an [REDACTED]')
  assert.deepEqual(counts, [['b', 1]])
})

test('a long number that is no string stops the reply where it would have to be cut, in one piece and in a stream', () => {
  const input = { card: 4111111111111111 }
  const plain = JSON.stringify({ content: [{ type: 'tool_use', id: 't', name: 'f', input }] })
  const start = `event: content_block_start\ndata: ${JSON.stringify({ type: 'content_block_start', index: 0, content_block: { type: 'tool_use', id: 't', name: 'f', input } })}\n\n`
  const cannot = (error: unknown): boolean => error instanceof Refusal && error.reason === 'cannot_redact'
  assert.throws(() => answer(plain, { dialect: anthropicMessages }), cannot)
  assert.throws(() => run(anthropicMessages, [start]), cannot)
  const harmless = plain.replace('4111111111111111', '1795980668123')
  assert.equal(answer(harmless, { dialect: anthropicMessages }).output, harmless)
})
