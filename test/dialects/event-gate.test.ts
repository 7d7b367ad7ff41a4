import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anthropicMessages } from '../../src/dialects/anthropic/anthropic-messages.ts'
import { EventGate } from '../../src/dialects/events/event-gate.ts'
import { HeldBytes } from '../../src/dialects/events/held-bytes.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import { Failure } from '../../src/errors.ts'

const streams: [string, (event: Buffer) => boolean, string, string][] = [
  ['openai', (event) => openaiChat.isLastEvent(event), 'data: {"c":"one \\n data: [DONE] two"}\n\n: ping\n\ndata: {"c":"d"}\n\n', 'data: [DONE]\n\n'],
  ['openai without the space, CRLF', (event) => openaiChat.isLastEvent(event), 'data:{"c":"d"}\r\n\r\n', 'data:[DONE]\r\n\r\n'],
  ['openai, CR', (event) => openaiChat.isLastEvent(event), 'data:{"c":"d"}\r\r', 'data: [DONE]\r\r'],
  [
    'anthropic',
    (event) => anthropicMessages.isLastEvent(event),
    'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"event: message_stop"}}\n\n',
    'event: message_stop\ndata: {"type":"message_stop"}\n\n',
  ],
  ['anthropic without event lines', (event) => anthropicMessages.isLastEvent(event), 'data: {"type":"ping"}\n\n', 'data: {"type": "message_stop"}\n\n'],
]
for (const [name, isLastEvent, events, last] of streams) {
  test(`${name}: whole events go, the last one waits for the end, wherever the network cuts; text that spells it is no last event`, () => {
    const stream = events + last
    for (let a = 0; a <= stream.length; a++) {
      for (let b = a; b <= stream.length; b += 3) {
        const gate = new EventGate(isLastEvent)
        const passed = [stream.slice(0, a), stream.slice(a, b), stream.slice(b)].map((part) => gate.pass(Buffer.from(part))?.toString() ?? '').join('')
        const held = gate.end()?.toString() ?? ''
        assert.equal(passed + held, stream)
        // Cut between CR and LF the LF counts as the next event's, where it means nothing.
        assert.ok(passed === events || (name.includes('CR') && events.startsWith(passed.trimEnd())), `${a} ${b}`)
      }
    }
  })
}

test('an event leaves as soon as it is whole, and no part of it before', () => {
  const gate = new EventGate(() => false)
  assert.equal(gate.pass(Buffer.from('data: {"a":1}\n\ndata: {"b"'))?.toString(), 'data: {"a":1}\n\n')
  assert.equal(gate.pass(Buffer.from(':2}\n')), undefined)
  assert.equal(gate.pass(Buffer.from('\n'))?.toString(), 'data: {"b":2}\n\n')
  assert.equal(gate.end(), undefined)
})

test('a stream that ends in the middle of an event broke off; one that merely lacks its last empty line did not', () => {
  const isLastEvent = (event: Buffer): boolean => openaiChat.isLastEvent(event) || anthropicMessages.isLastEvent(event)
  const last = 'event: message_stop\ndata: {"type":"message_stop"}'
  const halves = ['data: {"a"', 'data: {"a":1}', 'data: {"a"\n', 'event: ping\n', 'data: {"a":\ndata: 1}\n', ': half a comm', 'data: [DON']
  for (const half of [...halves, ...Array.from(last.slice(0, -1), (_, i) => last.slice(0, i + 1))]) {
    const broken = new EventGate(isLastEvent)
    broken.pass(Buffer.from(half))
    assert.throws(
      () => broken.end(),
      (error) => error instanceof Failure && error.reason === 'upstream_unreachable',
      half,
    )
  }
  for (const rest of ['data: {"a":1}\n', 'data: [DONE]', 'data: text\r', ': a comment\n', last, `${last}\n`]) {
    const gate = new EventGate(isLastEvent)
    gate.pass(Buffer.from(rest))
    assert.equal(gate.end()?.toString(), rest)
  }
})

test('what is held is bounded: an event over the bound goes in parts, and a last event that much follows goes too', () => {
  const gate = new EventGate(() => false)
  let passed = 0
  for (let i = 0; i < 40; i++) passed += gate.pass(Buffer.alloc(64 << 10, 'x'))?.length ?? 0
  assert.ok(passed > 1 << 20)
  assert.equal(gate.isBetweenEvents, false)
  const ended = new EventGate((event) => openaiChat.isLastEvent(event))
  ended.pass(Buffer.from('data: [DONE]\n\n'))
  assert.equal(ended.pass(Buffer.alloc(100_000, 'x'))?.length, 14)
  assert.equal(ended.pass(Buffer.alloc(1 << 20, 'x'))?.length, (1 << 20) + 100_000)
})

test('what follows a last event too far is gated again: in the middle of an event nothing may be said, and the last event is still to come', () => {
  const gate = new EventGate((event) => openaiChat.isLastEvent(event))
  const done = 'data: [DONE]\n\n'
  assert.equal(gate.pass(Buffer.from(`data: a\n\n${done}`))?.toString(), 'data: a\n\n')
  assert.equal(gate.last()?.toString(), done)
  const long = `data: ${'x'.repeat(70_000)}`
  assert.equal(gate.pass(Buffer.from(long))?.toString(), done)
  assert.deepEqual([gate.isBetweenEvents, gate.sawLast, gate.last()], [true, false, undefined])
  assert.equal(gate.pass(Buffer.from(`y\n\n${done}`))?.toString(), `${long}y\n\n`)
  assert.deepEqual([gate.sawLast, gate.end()?.toString()], [true, done])
})

test('a stream of nothing but last events is held within its bound, and every byte of it arrives', () => {
  const gate = new EventGate((event) => openaiChat.isLastEvent(event))
  const piece = Buffer.from('data: [DONE]\n\n'.repeat(500))
  let passed = 0
  for (let i = 1; i <= 100; i++) {
    passed += gate.pass(piece)?.length ?? 0
    assert.ok(i * piece.length - passed <= 64 << 10)
  }
  assert.equal(passed + (gate.end()?.length ?? 0), 100 * piece.length)
})

test('what held bytes hand out is not written to by what comes later', () => {
  const held = new HeldBytes()
  held.keep(Buffer.from('xab'), 1)
  const first = held.with(Buffer.from('cd'))
  held.keep(first, 3)
  const second = held.with(Buffer.from('ef'))
  held.keep(second)
  assert.deepEqual([first.toString(), second.toString(), held.bytes()?.toString(), held.length], ['abcd', 'def', 'def', 3])
  held.keep(second, second.length)
  assert.deepEqual([held.bytes(), held.length], [undefined, 0])
})
