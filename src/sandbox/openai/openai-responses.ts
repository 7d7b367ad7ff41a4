import { newId } from '../../ids.ts'
import type { Answer, PlayedDialect } from '../played-dialect.ts'
import { UnreadableAsk } from '../played-dialect.ts'
import { items, member, modelOf, string, textsOf } from '../read-body.ts'
import { argumentPieces, countTokens, type Speech, speak, tokensOf, words } from '../speak.ts'
import { openai } from './openai.ts'

export const openaiResponses: PlayedDialect = {
  name: 'openai-responses',
  vendor: openai,
  operations: [
    { path: /^\/v1\/responses$/, read: (body) => ({ model: modelOf(body), answer: readResponse(body) }) },
    { path: /^\/v1\/responses\/input_tokens$/, read: (body) => ({ model: modelOf(body), answer: () => countInput(body) }) },
    { path: /^\/v1\/responses\/compact$/, read: (body) => ({ model: modelOf(body), answer: () => compact(body) }) },
  ],
}

function readResponse(body: unknown): () => Answer {
  const input = inputOf(body)
  if (input.length === 0) throw new UnreadableAsk('input: a string or a list of at least one item is required', 'input')
  return () => {
    const speech = speak({ lastUserText: lastUserText(input), toolResult: toolResult(input), tool: chooseTool(body), schema: schemaOf(body) })
    const response = emptyResponse(body)
    const usage = usageOf(tokensIn(body), tokensOf(speech))
    if (member(body, 'stream') === true) return { kind: 'stream', frames: frames(response, speech, usage) }
    return { kind: 'document', body: { ...response, status: 'completed', output: [whole(newItem(speech), speech)], usage } }
  }
}

function countInput(body: unknown): Answer {
  return { kind: 'document', body: { object: 'response.input_tokens', input_tokens: tokensIn(body) } }
}

/** What the user said stays; of everything else a sealed item remembers nothing. */
function compact(body: unknown): Answer {
  const said = inputOf(body).filter((item) => member(item, 'role') === 'user')
  const output = said.map((item) => {
    const content = textsOf(member(item, 'content')).map((text) => ({ type: 'input_text', text }))
    return { id: newId('msg'), type: 'message', role: 'user', status: 'completed', content }
  })
  const sealed = { id: newId('cmp'), type: 'compaction', encrypted_content: Buffer.from('sandbox').toString('base64') }
  const document = { id: newId('resp'), object: 'response.compaction', created_at: now(), output: [...output, sealed], usage: usageOf(tokensIn(body), 1) }
  return { kind: 'document', body: document }
}

/** The items of the input; a string is what the user says. Throws UnreadableAsk for what is neither. */
function inputOf(body: unknown): readonly unknown[] {
  const input = member(body, 'input')
  if (typeof input === 'string') return [{ role: 'user', content: input }]
  const odd = items(input).findIndex((item) => typeof item !== 'object' || item === null)
  if (odd >= 0) throw new UnreadableAsk(`input.${odd}: must be an object`, `input[${odd}]`)
  return items(input)
}

function lastUserText(input: readonly unknown[]): string {
  const last = input.findLast((item) => member(item, 'role') === 'user')
  return textsOf(member(last, 'content')).join('\n')
}

function toolResult(input: readonly unknown[]): string | null {
  const last = input.at(-1)
  return member(last, 'type') === 'function_call_output' ? textsOf(member(last, 'output')).join('\n') : null
}

/** The first tool the client runs itself. */
function chooseTool(body: unknown): { name: string; schema: unknown } | null {
  const choice = member(body, 'tool_choice')
  if (choice === 'none') return null
  const wanted = member(choice, 'name')
  const chosen = items(member(body, 'tools')).find((tool) => member(tool, 'type') === 'function' && (wanted === undefined || member(tool, 'name') === wanted))
  return chosen === undefined ? null : { name: string(member(chosen, 'name')), schema: member(chosen, 'parameters') ?? { type: 'object' } }
}

function schemaOf(body: unknown): unknown {
  const format = member(member(body, 'text'), 'format')
  if (member(format, 'type') === 'json_object') return { type: 'object' }
  return member(format, 'schema')
}

function tokensIn(body: unknown): number {
  const texts = [member(body, 'instructions'), ...inputOf(body).flatMap((item) => [member(item, 'content'), member(item, 'output')])].flatMap(textsOf)
  const tools = member(body, 'tools')
  return countTokens(tools === undefined ? texts : [...texts, JSON.stringify(tools)])
}

function usageOf(inputTokens: number, outputTokens: number): object {
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: inputTokens + outputTokens,
  }
}

const now = (): number => Math.floor(Date.now() / 1000)

/** The response as it begins: the provider tells what was asked once more. */
function emptyResponse(body: unknown): object {
  return {
    id: newId('resp'),
    object: 'response',
    created_at: now(),
    status: 'in_progress',
    background: false,
    error: null,
    incomplete_details: null,
    instructions: member(body, 'instructions') ?? null,
    max_output_tokens: member(body, 'max_output_tokens') ?? null,
    max_tool_calls: null,
    model: modelOf(body),
    output: [],
    parallel_tool_calls: true,
    previous_response_id: member(body, 'previous_response_id') ?? null,
    reasoning: { effort: null, summary: null },
    service_tier: 'default',
    store: member(body, 'store') ?? true,
    temperature: 1,
    text: member(body, 'text') ?? { format: { type: 'text' } },
    tool_choice: member(body, 'tool_choice') ?? 'auto',
    tools: member(body, 'tools') ?? [],
    top_p: 1,
    truncation: 'disabled',
    usage: null,
    user: null,
    metadata: member(body, 'metadata') ?? {},
  }
}

const newItem = (speech: Speech): object =>
  speech.kind === 'text'
    ? { id: newId('msg'), type: 'message', status: 'in_progress', role: 'assistant', content: [] }
    : { id: newId('fc'), type: 'function_call', status: 'in_progress', call_id: newId('call'), name: speech.name, arguments: '' }

const part = (text: string): object => ({ type: 'output_text', text, annotations: [], logprobs: [] })

const whole = (item: object, speech: Speech): object => ({
  ...item,
  status: 'completed',
  ...(speech.kind === 'text' ? { content: [part(speech.text)] } : { arguments: JSON.stringify(speech.input) }),
})

function* frames(response: object, speech: Speech, usage: object): Generator<string> {
  let sequence_number = 0
  const frame = (type: string, event: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: sequence_number++, ...event })}\n\n`
  const item = newItem(speech)
  const at = { item_id: string(member(item, 'id')), output_index: 0 }
  yield frame('response.created', { response })
  yield frame('response.in_progress', { response })
  yield frame('response.output_item.added', { output_index: 0, item })
  if (speech.kind === 'text') {
    const inPart = { ...at, content_index: 0 }
    yield frame('response.content_part.added', { ...inPart, part: part('') })
    for (const delta of words(speech.text)) yield frame('response.output_text.delta', { ...inPart, delta, logprobs: [] })
    yield frame('response.output_text.done', { ...inPart, text: speech.text, logprobs: [] })
    yield frame('response.content_part.done', { ...inPart, part: part(speech.text) })
  } else {
    const json = JSON.stringify(speech.input)
    for (const delta of argumentPieces(json)) yield frame('response.function_call_arguments.delta', { ...at, delta })
    yield frame('response.function_call_arguments.done', { ...at, name: speech.name, arguments: json })
  }
  yield frame('response.output_item.done', { output_index: 0, item: whole(item, speech) })
  yield frame('response.completed', { response: { ...response, status: 'completed', output: [whole(item, speech)], usage } })
}
