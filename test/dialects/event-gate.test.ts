import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anthropicMessages } from '../../src/dialects/anthropic/anthropic-messages.ts'
import { EventGate } from '../../src/dialects/events/event-gate.ts'
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

test('a stream that ends in the middle of a line broke off; one that merely lacks its last empty line did not', () => {
  const broken = new EventGate(() => false)
  broken.pass(Buffer.from('data: {"a"'))
  assert.throws(
    () => broken.end(),
    (error) => error instanceof Failure && error.reason === 'upstream_unreachable',
  )
  for (const rest of ['data: {"a":1}\n', 'data: [DONE]']) {
    const gate = new EventGate((event) => openaiChat.isLastEvent(event))
    gate.pass(Buffer.from(rest))
    assert.equal(gate.end()?.toString(), rest)
  }
})

test('what is held is bounded: an event over the bound goes in parts, megabytes after a last event go too', () => {
  const gate = new EventGate(() => false)
  let passed = 0
  for (let i = 0; i < 40; i++) passed += gate.pass(Buffer.alloc(64 << 10, 'x'))?.length ?? 0
  assert.ok(passed > 1 << 20)
  assert.equal(gate.isBetweenEvents, false)
  const ended = new EventGate((event) => openaiChat.isLastEvent(event))
  ended.pass(Buffer.from('data: [DONE]\n\n'))
  assert.equal(ended.pass(Buffer.alloc(100_000, 'x'))?.length, 100_014)
})
