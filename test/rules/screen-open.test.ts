/** What a stream has begun downstream and not ended, so that a stop can end it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anthropicMessages } from '../../src/dialects/anthropic/anthropic-messages.ts'
import { openaiNative } from '../../src/dialects/index.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import { Refusal } from '../../src/errors.ts'
import { createReversible } from '../../src/rules/placeholder.ts'
import { inReply, open, openai, SSE } from './screened.ts'
import { rule } from './subject.ts'

const event = (data: object): string => `event: ${'type' in data ? data.type : ''}\ndata: ${JSON.stringify(data)}\n\n`
const start = (index: number, content_block: object): string => event({ type: 'content_block_start', index, content_block })
const text = (index: number, said: string): string => event({ type: 'content_block_delta', index, delta: { type: 'text_delta', text: said } })
const end = (index: number): string => event({ type: 'content_block_stop', index })
const choice = (index: number, delta: object, finish_reason: string | null = null): string =>
  `data: ${JSON.stringify({ choices: [{ index, delta, finish_reason }] })}\n\n`
const rules = [rule(inReply('osprey'))]

test('a block has begun when its beginning has left, whatever it holds, and has ended when its end has', () => {
  const { sink, open: opened } = open(anthropicMessages, rules)
  sink.head(200, [...SSE])
  const after = [
    event({ type: 'message_start', message: { id: 'm', content: [] } }),
    start(0, { type: 'text', text: '' }),
    text(0, 'hello'),
    end(0),
    start(1, { type: 'tool_use', id: 't', name: 'f', input: {} }),
    start(2, { type: 'thinking', thinking: '', signature: '' }),
    end(1),
    end(2),
  ].map((chunk) => {
    sink.data(Buffer.from(chunk))
    return opened()
  })
  assert.deepEqual(after, [[], [0], [0], [], [1], [1, 2], [2], []])
})

test('what is held back has not begun, and what is stopped stays open', () => {
  const { sink, seen, open: opened } = open(anthropicMessages, rules)
  sink.head(200, [...SSE])
  sink.data(Buffer.from(start(0, { type: 'text', text: '' }) + text(0, 'an osp')))
  assert.deepEqual([seen.written.length, opened()], [1, [0]])
  sink.data(Buffer.from(end(1) + start(1, { type: 'text', text: '' })))
  assert.deepEqual(opened(), [0])
  assert.throws(() => sink.data(Buffer.from(text(0, 'rey! And more ') + text(0, 'is said '))), Refusal)
  sink.error()
  assert.deepEqual([seen.written.length, opened()], [1, [0]])
})

test('choices are told apart, in the order in which they began', () => {
  const { sink, open: opened } = open(openaiChat, rules)
  sink.head(200, [...SSE])
  const after = [choice(1, { role: 'assistant', content: '' }), choice(0, { content: '' }), choice(1, {}, 'stop'), 'data: [DONE]\n\n'].map((chunk) => {
    sink.data(Buffer.from(chunk))
    return opened()
  })
  assert.deepEqual(after, [[1], [1, 0], [0], []])
})

test('where something is put back, what counts is what left after that', () => {
  const { placeholderOf, originals } = createReversible(Buffer.alloc(32, 7))
  const placeholder = placeholderOf('[SSN]', 'x')
  const { sink, open: opened } = open(openaiChat, [], { originals })
  sink.head(200, [...SSE])
  sink.data(Buffer.from(openai.text(placeholder.slice(0, 6))))
  assert.deepEqual(opened(), [])
  sink.data(Buffer.from(openai.text(placeholder.slice(6))))
  assert.deepEqual(opened(), [0])
})

test('a stream that no dialect describes has nothing that a stop could end', () => {
  const { sink } = open(openaiNative, rules)
  sink.head(200, [...SSE])
  sink.data(Buffer.from('data: {"deep":[{"x":"hello"}]}\n\n'))
  const stop = { requestId: 'r', soft: true, open: [4711], refusal: { message: 'x', reason: 'blocked_by_rule', status: 403, context: {} } as never }
  assert.ok(!openaiNative.stopStream(stop).includes('4711'))
})
