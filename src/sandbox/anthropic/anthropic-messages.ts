import { newId } from '../../ids.ts'
import type { Answer, Ask, PlayedDialect } from '../played-dialect.ts'
import { UnreadableAsk } from '../played-dialect.ts'
import { items, member, messagesOf, modelOf, string, textsOf } from '../read-body.ts'
import { argumentPieces, countTokens, type Speech, speak, tokensOf, words } from '../speak.ts'
import { anthropic } from './anthropic.ts'

export const anthropicMessages: PlayedDialect = {
  name: 'anthropic-messages',
  vendor: anthropic,
  operations: [
    { path: /^\/v1\/messages$/, read: (body) => ({ model: modelOf(body), answer: readMessages(body) }) },
    { path: /^\/v1\/messages\/count_tokens$/, read: (body) => ({ model: modelOf(body), answer: readCount(body) }) },
    { path: /^\/v1\/messages\/batches$/, read: readBatch },
  ],
}

function readMessages(body: unknown): () => Answer {
  const messages = messagesOf(body)
  const most = member(body, 'max_tokens')
  if (typeof most !== 'number' || !Number.isInteger(most) || most < 1) throw new UnreadableAsk('max_tokens: a whole number above 0 is required', 'max_tokens')
  return () => {
    const speech = speak({ lastUserText: lastUserText(messages), toolResult: toolResult(messages), tool: chooseTool(body), schema: schemaOf(body) })
    const inputTokens = countInput(body)
    if (member(body, 'stream') === true) return { kind: 'stream', frames: frames(modelOf(body), speech, inputTokens) }
    const usage = usageOf(inputTokens, tokensOf(speech))
    return { kind: 'document', body: { ...emptyMessage(modelOf(body)), content: [block(speech)], stop_reason: stopReason(speech), usage } }
  }
}

function readCount(body: unknown): () => Answer {
  messagesOf(body)
  return () => ({ kind: 'document', body: { input_tokens: countInput(body) } })
}

/** Every request is read, and none is answered: a batch takes a day. */
function readBatch(body: unknown): Ask {
  const requests = items(member(body, 'requests')).map((request) => member(request, 'params'))
  if (requests.length === 0) throw new UnreadableAsk('requests: a list of at least one request is required', 'requests')
  for (const params of requests) readMessages(params)
  const counts = { processing: requests.length, succeeded: 0, errored: 0, canceled: 0, expired: 0 }
  const times = { created_at: CREATED, expires_at: EXPIRES, ended_at: null, archived_at: null, cancel_initiated_at: null }
  return {
    model: modelOf(requests[0]),
    answer: () => ({
      kind: 'document',
      body: { id: newId('msgbatch'), type: 'message_batch', processing_status: 'in_progress', request_counts: counts, ...times, results_url: null },
    }),
  }
}

const CREATED = '2026-01-01T00:00:00Z'
const EXPIRES = '2026-01-02T00:00:00Z'

function lastUserText(messages: readonly unknown[]): string {
  const last = messages.findLast((message) => member(message, 'role') === 'user')
  return textsOf(member(last, 'content')).join('\n')
}

function toolResult(messages: readonly unknown[]): string | null {
  const results = items(member(messages.at(-1), 'content')).filter((block) => member(block, 'type') === 'tool_result')
  return results.length === 0 ? null : results.flatMap((result) => textsOf(member(result, 'content'))).join('\n')
}

/** The first tool the client runs itself; the provider's own tools have no schema. */
function chooseTool(body: unknown): { name: string; schema: unknown } | null {
  const choice = member(body, 'tool_choice')
  if (member(choice, 'type') === 'none') return null
  const wanted = member(choice, 'name')
  const chosen = items(member(body, 'tools')).find(
    (tool) => member(tool, 'input_schema') !== undefined && (wanted === undefined || member(tool, 'name') === wanted),
  )
  return chosen === undefined ? null : { name: string(member(chosen, 'name')), schema: member(chosen, 'input_schema') }
}

const schemaOf = (body: unknown): unknown => member(member(member(body, 'output_config'), 'format') ?? member(body, 'output_format'), 'schema')

function countInput(body: unknown): number {
  const texts = [member(body, 'system'), ...messagesOf(body).map((message) => member(message, 'content'))].flatMap(textsOf)
  const tools = member(body, 'tools')
  return countTokens(tools === undefined ? texts : [...texts, JSON.stringify(tools)])
}

const stopReason = (speech: Speech): string => (speech.kind === 'tool' ? 'tool_use' : 'end_turn')

function usageOf(inputTokens: number, outputTokens: number): object {
  return {
    input_tokens: inputTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
    output_tokens: outputTokens,
    service_tier: 'standard',
  }
}

function emptyMessage(model: string): object {
  return { model, id: newId('msg'), type: 'message', role: 'assistant', content: [], stop_reason: null, stop_sequence: null }
}

function block(speech: Speech): object {
  return speech.kind === 'text' ? { type: 'text', text: speech.text } : { type: 'tool_use', id: newId('toolu'), name: speech.name, input: speech.input }
}

function* frames(model: string, speech: Speech, inputTokens: number): Generator<string> {
  yield frame('message_start', { message: { ...emptyMessage(model), usage: usageOf(inputTokens, 1) } })
  const empty = speech.kind === 'text' ? block({ kind: 'text', text: '' }) : block({ kind: 'tool', name: speech.name, input: {} })
  yield frame('content_block_start', { index: 0, content_block: empty })
  yield frame('ping', {})
  for (const delta of deltas(speech)) yield frame('content_block_delta', { index: 0, delta })
  yield frame('content_block_stop', { index: 0 })
  yield frame('message_delta', {
    delta: { stop_reason: stopReason(speech), stop_sequence: null },
    usage: { input_tokens: inputTokens, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: tokensOf(speech) },
  })
  yield frame('message_stop', {})
}

function* deltas(speech: Speech): Generator<object> {
  if (speech.kind === 'text') {
    for (const text of words(speech.text)) yield { type: 'text_delta', text }
    return
  }
  for (const partial_json of ['', ...argumentPieces(JSON.stringify(speech.input))]) yield { type: 'input_json_delta', partial_json }
}

const frame = (type: string, event: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...event })}\n\n`
