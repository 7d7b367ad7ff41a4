/** Replies sent through a screen, and what comes out of it. */
import assert from 'node:assert/strict'
import type { Dialect } from '../../src/dialects/dialect.ts'
import { openaiChat } from '../../src/dialects/openai/openai-chat.ts'
import { Failure } from '../../src/errors.ts'
import { compile } from '../../src/rules/compile.ts'
import { type ScreenOptions, screenFor } from '../../src/rules/replies/screen.ts'
import type { Condition, Leaf, Rule } from '../../src/rules/rule.ts'
import type { Subject } from '../../src/rules/targets.ts'
import type { Sink } from '../../src/sink.ts'
import { ask, rule } from './subject.ts'

export const CARD = '4111 1111 1111 1111'
export const inReply = (value: string, more: Partial<Leaf> = {}): Leaf => ({ operator: 'contains', value, target: 'response', ...more })
export const card: Condition = { operator: 'detects', value: 'credit_card', target: 'response' }
export const rules = [
  rule(inReply('project osprey'), 'REDACT', { id: 'osprey' }),
  rule(inReply('straße'), 'REDACT', { id: 'street' }),
  rule(card, 'REDACT', { id: 'card' }),
  rule(inReply('launch codes'), 'BLOCK', { id: 'stop', name: 'Launch codes' }),
]
export const SSE = ['content-type', 'text/event-stream; charset=utf-8']
export const JSON_HEAD = ['content-type', 'application/json']

interface Seen {
  written: string[]
  status: number
  headers: string[]
  ended: string
}
export interface Screened extends Partial<ScreenOptions> {
  subject?: Subject
}
export function open(
  dialect: Dialect,
  policyRules: readonly Rule[] = rules,
  { subject = ask('hi'), tenant = subject.caller.tenant, originals = null }: Screened = {},
) {
  const seen: Seen = { written: [], status: 0, headers: [], ended: '' }
  const inner: Sink = {
    head(status, headers) {
      seen.status = status
      seen.headers = headers
    },
    data(chunk) {
      seen.written.push(chunk.toString())
      return true
    },
    end() {
      seen.ended += 'end'
    },
    error() {
      seen.ended += 'error'
    },
  }
  const screen = screenFor(compile(1, policyRules).judge(subject), dialect, { tenant, originals }) ?? assert.fail('no screen')
  return {
    sink: screen.wrap(inner),
    seen,
    counts: () => screen.findings().map((finding) => [finding.rule.id, finding.count]),
    open: () => screen.open(),
    uninspectedBytes: () => screen.uninspectedBytes(),
  }
}
export function run(dialect: Dialect, chunks: readonly (string | Buffer)[], policyRules?: readonly Rule[], screened?: Screened) {
  const { sink, seen, counts, uninspectedBytes } = open(dialect, policyRules, screened)
  sink.head(200, [...SSE])
  const after = chunks.map((chunk) => {
    sink.data(Buffer.from(chunk))
    return seen.written.length
  })
  sink.end()
  return { output: seen.written.join(''), after, counts: counts(), uninspected: uninspectedBytes() }
}
export const answer = (
  body: string | Buffer,
  {
    status = 200,
    headers = JSON_HEAD,
    dialect = openaiChat,
    policyRules = rules,
    ...screened
  }: { status?: number; headers?: string[]; dialect?: Dialect; policyRules?: readonly Rule[] } & Screened = {},
) => {
  const { sink, seen, counts, uninspectedBytes } = open(dialect, policyRules, screened)
  sink.head(status, [...headers])
  if (body.length > 0) sink.data(Buffer.from(body))
  sink.end()
  return { ...seen, output: seen.written.join(''), counts: counts(), uninspected: uninspectedBytes() }
}
export const unreadable = (error: unknown): boolean => error instanceof Failure && error.reason === 'reply_unreadable'

export const openai = {
  text: (content: string) => `data: {"id":"c","choices":[{"index":0,"delta":{"content":${JSON.stringify(content)}},"finish_reason":null}]}\n\n`,
  args: (piece: string) =>
    `data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":${JSON.stringify(piece)}}}]},"finish_reason":null}]}\n\n`,
  end: 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
}
export const anthropic = {
  text: (text: string) =>
    `event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":${JSON.stringify(text)}}}\n\n`,
  args: (piece: string) =>
    `event: content_block_delta\ndata: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":${JSON.stringify(piece)}}}\n\n`,
  end: 'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n',
}

/** What a client reads in a stream, texts and arguments in the order in which they came. */
export function join(dialect: Dialect, output: string): string {
  const texts: string[] = []
  for (const line of output.split('\n')) {
    if (!line.startsWith('data: {')) continue
    const data = JSON.parse(line.slice(6))
    const delta = dialect === openaiChat ? data.choices[0].delta : data.delta
    texts.push(delta?.content ?? delta?.text ?? delta?.partial_json ?? delta?.tool_calls?.[0].function.arguments ?? '')
  }
  return texts.join('')
}
