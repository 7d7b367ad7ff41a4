/** What is believed of the counts that providers tell. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anthropicMessages } from '../../src/dialects/anthropic/anthropic-messages.ts'
import { geminiNative, openaiNative } from '../../src/dialects/index.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'

const ofChat = (usage: object) => openaiChat.readUsage(JSON.stringify({ choices: [], usage }))?.output_tokens
const event = (type: string, members: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`

test('a total is believed as far as thoughts explain it: those that are counted, or none longer than any', () => {
  const usage = { prompt_tokens: 7, completion_tokens: 3 }
  const thought = (reasoning_tokens: number, total_tokens: number) => ofChat({ ...usage, total_tokens, completion_tokens_details: { reasoning_tokens } })
  assert.equal(thought(5, 15), 8, 'xAI counts them beside the output')
  assert.equal(thought(2, 10), 3, 'OpenAI counts them within it')
  assert.equal(thought(5, 999_999_999), 8)
  assert.equal(thought(0, 999_999_999), 3)
  assert.equal(ofChat({ ...usage, total_tokens: 530 }), 523, 'Google tells the total alone')
  assert.equal(ofChat({ ...usage, total_tokens: 10 + 131_072 }), 131_075)
  assert.equal(ofChat({ ...usage, total_tokens: 10 + 131_073 }), 3)
  assert.equal(ofChat({ ...usage, total_tokens: 999_999_999 }), 3)
  assert.equal(ofChat({ ...usage, total_tokens: 5 }), 3)
})

test('what Anthropic leaves out of its totals is charged, and what it leaves in is not charged twice', () => {
  const entry = (type: string, input_tokens: number, output_tokens: number, more: object = {}) => ({ type, input_tokens, output_tokens, ...more })
  const read = (usage: object) => anthropicMessages.readUsage(JSON.stringify({ type: 'message', content: [], usage }))
  const top = { input_tokens: 100, output_tokens: 10, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 }
  const cached = { cache_read_input_tokens: 30, cache_creation_input_tokens: 4 }
  const iterations = [entry('compaction', 5000, 600), entry('message', 100, 10), entry('advisor_message', 900, 70, { model: 'claude-opus-4-6', ...cached })]
  const counted = { input_tokens: 6034, output_tokens: 680, cached_input_tokens: 30, cache_write_tokens: 4 }
  assert.deepEqual(read({ ...top, iterations }), counted)
  assert.deepEqual(read({ ...top, iterations: [entry('message', 60, 4), entry('message', 100, 6)] })?.output_tokens, 10, 'the totals hold them')
  assert.deepEqual(read({ ...top, input_tokens: 9000, iterations }), { ...counted, input_tokens: 9034 }, 'count by count')
  for (const none of [null, [], 'x', [null, 7]]) assert.deepEqual([read({ ...top, iterations: none })?.input_tokens, read(top)?.output_tokens], [100, 10])
  const stream =
    event('message_start', { message: { usage: { ...top, output_tokens: 1 } } }) +
    event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 10, iterations } }) +
    event('message_stop', {})
  assert.deepEqual(anthropicMessages.readUsage(stream), counted)
})

test('at a path that no dialect describes, counts are found in whatever format they come, plain and streamed', () => {
  const chunk = (members: object): string => `data: ${JSON.stringify(members)}\n\n`
  const claude = { input_tokens: 2, output_tokens: 3, cache_read_input_tokens: 40, cache_creation_input_tokens: 500 }
  const replies: [reply: string, tokens: [input: number, output: number]][] = [
    [JSON.stringify({ choices: [], usage: { prompt_tokens: 5, completion_tokens: 7 } }), [5, 7]],
    [JSON.stringify({ output: [], usage: { input_tokens: 5, output_tokens: 7, input_tokens_details: { cached_tokens: 4 } } }), [5, 7]],
    [JSON.stringify({ type: 'message', usage: claude }), [542, 3]],
    [JSON.stringify({ candidates: [], usageMetadata: { promptTokenCount: 5, candidatesTokenCount: 7, thoughtsTokenCount: 9 } }), [5, 16]],
    [`${chunk({ choices: [] })}${chunk({ choices: [], usage: { prompt_tokens: 5, completion_tokens: 7 } })}data: [DONE]\n\n`, [5, 7]],
    [event('response.completed', { response: { usage: { input_tokens: 5, output_tokens: 7 } } }), [5, 7]],
    [event('message_start', { message: { usage: claude } }) + event('message_delta', { usage: { output_tokens: 30 } }), [542, 30]],
    [chunk({ usageMetadata: { promptTokenCount: 5 } }) + chunk({ usageMetadata: { promptTokenCount: 5, candidatesTokenCount: 7 } }), [5, 7]],
  ]
  for (const [reply, tokens] of replies)
    for (const native of [openaiNative, geminiNative]) {
      const usage = native.readUsage(reply)
      assert.deepEqual([usage?.input_tokens, usage?.output_tokens], tokens, reply)
    }
  assert.equal(openaiNative.readUsage(replies[1][0])?.cached_input_tokens, 4)
  for (const nothing of ['', '{"id":"file-1"}', '{"data":[{"usage":{"prompt_tokens":5}}]}', 'text']) assert.equal(openaiNative.readUsage(nothing), null)
})
