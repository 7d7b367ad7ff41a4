import { newId } from '../ids.ts'
import type { Answer, PlayedDialect, Problem } from './played-dialect.ts'
import { UnreadableAsk } from './played-dialect.ts'
import { items, member, messagesOf, modelOf, string, textsOf } from './read-body.ts'
import { argumentPieces, countTokens, type Speech, speak, tokensOf, words } from './speak.ts'

const CREATED = '2026-01-01T00:00:00Z'

export const anthropicMessages: PlayedDialect = {
  name: 'anthropic-messages',
  operations: [
    { path: /^\/v1\/messages$/, read: (body) => ({ model: modelOf(body), answer: readMessages(body) }) },
    { path: /^\/v1\/messages\/count_tokens$/, read: (body) => ({ model: modelOf(body), answer: readCount(body) }) },
  ],
  headers: (requestId) => ({ 'request-id': requestId, 'anthropic-organization-id': 'sandbox' }),
  problem: (problem, requestId) => ({ type: 'error', error: { type: types[problem.kind], message: problem.message }, request_id: requestId }),
  limitHeaders: (resetInMs) => ({
    'anthropic-ratelimit-requests-limit': '1',
    'anthropic-ratelimit-requests-remaining': '0',
    'anthropic-ratelimit-requests-reset': new Date(Date.now() + resetInMs).toISOString(),
  }),
  listModels: (ids) => ({ data: ids.map(showModel), has_more: false, first_id: ids[0] ?? null, last_id: ids.at(-1) ?? null }),
  showModel,
}

const types: Record<Problem['kind'], string> = {
  invalid: 'invalid_request_error',
  unknown_path: 'not_found_error',
  unknown_model: 'not_found_error',
  too_large: 'request_too_large',
  rate_limit: 'rate_limit_error',
  failure: 'api_error',
}

function showModel(id: string): object {
  return { type: 'model', id, display_name: id, created_at: CREATED }
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
