import { newId } from '../../ids.ts'
import type { Answer, PlayedDialect } from '../played-dialect.ts'
import { UnreadableAsk } from '../played-dialect.ts'
import { items, member, messagesOf, modelOf, string, textsOf } from '../read-body.ts'
import { argumentPieces, countTokens, type Speech, speak, tokensOf, words } from '../speak.ts'
import { openai } from './openai.ts'

/** As many choices as the provider allows. */
const CHOICES_MAX = 128

export const openaiChat: PlayedDialect = {
  name: 'openai-chat',
  vendor: openai,
  operations: [{ path: /^\/v1\/chat\/completions$/, read: (body) => ({ model: modelOf(body), answer: readChat(body) }) }],
}

interface Completion {
  id: string
  model: string
  created: number
  speech: Speech
  choices: number
  usage: object
}

function readChat(body: unknown): () => Answer {
  const messages = messagesOf(body)
  const choices = member(body, 'n') ?? 1
  if (typeof choices !== 'number' || !Number.isInteger(choices) || choices < 1 || choices > CHOICES_MAX) {
    throw new UnreadableAsk(`n: must be a whole number from 1 to ${CHOICES_MAX}`, 'n')
  }
  return () => {
    const speech = speak({ lastUserText: lastUserText(messages), toolResult: toolResult(messages), tool: chooseTool(body), schema: schemaOf(body) })
    const completion = {
      id: newId('chatcmpl').replace('_', '-'),
      model: modelOf(body),
      created: Math.floor(Date.now() / 1000),
      speech,
      choices,
      usage: usageOf(body, speech, choices),
    }
    if (member(body, 'stream') !== true) return { kind: 'document', body: document(completion) }
    return { kind: 'stream', frames: frames(completion, member(member(body, 'stream_options'), 'include_usage') === true) }
  }
}

function lastUserText(messages: readonly unknown[]): string {
  const last = messages.findLast((message) => member(message, 'role') === 'user')
  return textsOf(member(last, 'content')).join('\n')
}

function toolResult(messages: readonly unknown[]): string | null {
  const last = messages.at(-1)
  return member(last, 'role') === 'tool' ? textsOf(member(last, 'content')).join('\n') : null
}

function chooseTool(body: unknown): { name: string; schema: unknown } | null {
  const choice = member(body, 'tool_choice')
  if (choice === 'none') return null
  const wanted = member(member(choice, 'function'), 'name')
  const functions = items(member(body, 'tools')).map((tool) => member(tool, 'function'))
  const chosen = functions.find((one) => string(member(one, 'name')) !== '' && (wanted === undefined || member(one, 'name') === wanted))
  return chosen === undefined ? null : { name: string(member(chosen, 'name')), schema: member(chosen, 'parameters') ?? { type: 'object' } }
}

function schemaOf(body: unknown): unknown {
  const format = member(body, 'response_format')
  if (member(format, 'type') === 'json_object') return { type: 'object' }
  return member(member(format, 'json_schema'), 'schema')
}

function usageOf(body: unknown, speech: Speech, choices: number): object {
  const texts = messagesOf(body).flatMap((message) => textsOf(member(message, 'content')))
  const tools = member(body, 'tools')
  const prompt = countTokens(tools === undefined ? texts : [...texts, JSON.stringify(tools)])
  const completion = tokensOf(speech) * choices
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0, accepted_prediction_tokens: 0, rejected_prediction_tokens: 0 },
  }
}

const newCallId = (): string => newId('call')

const finishReason = (speech: Speech): string => (speech.kind === 'tool' ? 'tool_calls' : 'stop')

function document({ id, model, created, speech, choices, usage }: Completion): object {
  return {
    id,
    object: 'chat.completion',
    created,
    model,
    choices: Array.from({ length: choices }, (_, index) => ({ index, message: message(speech), logprobs: null, finish_reason: finishReason(speech) })),
    usage,
    service_tier: 'default',
    system_fingerprint: 'fp_sandbox',
  }
}

function message(speech: Speech): object {
  if (speech.kind === 'text') return { role: 'assistant', content: speech.text, refusal: null, annotations: [] }
  const call = { id: newCallId(), type: 'function', function: { name: speech.name, arguments: JSON.stringify(speech.input) } }
  return { role: 'assistant', content: null, tool_calls: [call], refusal: null, annotations: [] }
}

function* frames({ id, model, created, speech, choices, usage }: Completion, includeUsage: boolean): Generator<string> {
  const chunk = (choices: object[], counted: object | null): string =>
    frame({
      ...{ id, object: 'chat.completion.chunk', created, model, service_tier: 'default', system_fingerprint: 'fp_sandbox', choices },
      // The member appears at all only where the caller asked for it: null in every chunk but the last.
      ...(includeUsage ? { usage: counted } : {}),
    })
  const choice = (index: number, delta: object, finish: string | null = null): string => chunk([{ index, delta, logprobs: null, finish_reason: finish }], null)
  for (let index = 0; index < choices; index++) {
    for (const delta of deltas(speech)) yield choice(index, delta)
    yield choice(index, {}, finishReason(speech))
  }
  if (includeUsage) yield chunk([], usage)
  yield 'data: [DONE]\n\n'
}

function* deltas(speech: Speech): Generator<object> {
  if (speech.kind === 'text') {
    yield { role: 'assistant', content: '', refusal: null }
    for (const content of words(speech.text)) yield { content }
    return
  }
  const call = { index: 0, id: newCallId(), type: 'function', function: { name: speech.name, arguments: '' } }
  yield { role: 'assistant', content: null, tool_calls: [call], refusal: null }
  for (const piece of argumentPieces(JSON.stringify(speech.input))) yield { tool_calls: [{ index: 0, function: { arguments: piece } }] }
}

const frame = (event: object): string => `data: ${JSON.stringify(event)}\n\n`
