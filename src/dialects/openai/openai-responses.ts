/** OpenAI's responses, `POST /v1/responses`, and what takes the same body: counting its tokens and compacting a conversation. */
import type { Usage } from '../../call.ts'
import { type Json, NONE } from '../bodies/json.ts'
import { markAll } from '../bodies/walk.ts'
import { checkObject, modelsIfAny, modelsOf, readStreaming, readTokens } from '../call-head.ts'
import { type Dialect, type Mark, UnreadableCall } from '../dialect.ts'
import { lastOf, tokensIn, usagesIn } from '../usage.ts'
import { describe, openai } from './openai.ts'
import { sayingOf } from './openai-choices.ts'
import { readContent, readItem } from './openai-items.ts'
import { readResponseEvent } from './openai-response-events.ts'
import { readTextFormat, readToolChoice, readTools } from './openai-tools.ts'

export const openaiResponses: Dialect = {
  name: 'openai-responses',
  vendor: openai,
  paths: ['/v1/responses', '/v1/responses/compact', '/v1/responses/input_tokens'],
  isLastEvent: (event) => LAST_EVENT.test(event.toString('latin1', 0, LAST_EVENT_BYTES_MAX)),

  readCall(json, mark, _path, pathModel) {
    checkObject(json, 0)
    // A stored prompt may name the model.
    const models = json.isObject(json.get(0, 'prompt')) ? modelsIfAny(json, pathModel) : modelsOf(json, pathModel)
    const streaming = readStreaming(json)
    readInstructions(json, json.get(0, 'instructions'), mark) // first, wherever they stand in the body
    readVariables(json, json.get(json.get(0, 'prompt'), 'variables'), mark)
    const lastMessage = readInput(json, json.get(0, 'input'), mark)
    readSettings(json, mark)
    return { models, streaming, lastMessage, maxOutputTokens: readTokens(json, 0, 'max_output_tokens') }
  },

  readReply: (json, mark) => readResponse(json, 0, mark),
  readEvent: readResponseEvent(readResponse),

  eachRepeat(json, visit) {
    // Of a reply or of the response in an event; of an event's item or part; of the event itself.
    eachItemRepeat(json, json.get(0, 'output'), visit)
    eachItemRepeat(json, json.get(json.get(0, 'response'), 'output'), visit)
    eachPartRepeat(json, json.get(0, 'item'), visit)
    eachRepeatOf(json, json.get(0, 'part'), visit)
    eachRepeatOf(json, 0, visit)
  },

  readUsage: (ends): Usage | null => lastOf(usagesIn(ends, 'response').map(tokensIn)),

  // Client libraries raise the second event. The first is for those who read only how a response ends, and ask again where it never does.
  stopStream({ refusal, soft, ends = '' }) {
    const error = describe(refusal) as { message: string; param: string | null; code: string }
    const sequence = nextNumber(ends)
    if (soft)
      return eventOf('response.incomplete', {
        response: ended(ends, { status: 'incomplete', incomplete_details: { reason: 'content_filter' } }),
        sequence_number: sequence,
      })
    // Of the codes that this member may have, Codex takes this one for final and others for a reason to try again.
    const code = refusal.retry ? 'server_error' : 'invalid_prompt'
    const failed = eventOf('response.failed', {
      response: ended(ends, { status: 'failed', error: { code, message: error.message } }),
      sequence_number: sequence,
    })
    return failed + eventOf('error', { code: error.code, message: error.message, param: error.param, sequence_number: sequence + 1 })
  },
}

/** The event's line, or where a provider leaves that out, how its payload begins. */
const LAST_EVENT =
  /^(?:event: ?(?:response\.(?:completed|failed|incomplete)|error)\s|data: ?\{\s*"type"\s*:\s*"(?:response\.(?:completed|failed|incomplete)|error)")/m
const LAST_EVENT_BYTES_MAX = 128

/** A string or, as a reply tells it, a list of items. */
function readInstructions(json: Json, instructions: number, mark: Mark): void {
  if (json.isString(instructions)) mark(instructions, 'system')
  for (let item = json.firstItem(instructions); item !== NONE; item = json.next(item)) readItem(json, item, 'system', mark)
}

/** What is put into a stored prompt: texts or parts of a message, by names of the caller's own. */
function readVariables(json: Json, variables: number, mark: Mark): void {
  for (let key = json.firstMember(variables); key !== NONE; key = json.next(key)) readContent(json, json.value(key), 'user', mark)
}

/** A string or a list of items, and the last of them. Throws UnreadableCall for anything else: the provider might read it as one of the two. */
function readInput(json: Json, input: number, mark: Mark): number {
  if (input === NONE || json.isNull(input)) return NONE
  if (json.isString(input)) mark(input, 'user')
  else if (!json.isArray(input)) throw new UnreadableCall("'input' must be a string or an array.", 'input')
  let last = json.isString(input) ? input : NONE
  let index = 0
  for (let item = json.firstItem(input); item !== NONE; item = json.next(item), index++) {
    checkObject(json, item, `input[${index}]`)
    readItem(json, item, 'user', mark)
    last = item
  }
  return last
}

/** Everything of a call beside its conversation. What is not named here is read as 'other'. */
function readSettings(json: Json, mark: Mark): void {
  for (let key = json.firstMember(0); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    switch (json.name(key)) {
      case 'tools':
        readTools(json, value, mark)
        break
      case 'tool_choice':
        readToolChoice(json, value, mark)
        break
      case 'text':
        readTextFormat(json, json.get(value, 'format'), mark)
        mark(json.get(value, 'verbosity'), 'protocol')
        break
      case 'prompt':
        mark(json.get(value, 'id'), 'protocol')
        mark(json.get(value, 'version'), 'protocol')
        break
      case 'conversation':
        mark(value, 'protocol')
        mark(json.get(value, 'id'), 'protocol')
        break
      case 'model':
      case 'previous_response_id':
      case 'prompt_cache_key':
      case 'prompt_cache_retention':
      case 'service_tier':
      case 'truncation':
        mark(value, 'protocol')
        break
      case 'include':
      case 'models':
      case 'reasoning':
      case 'context_management':
      case 'prompt_cache_options':
      case 'moderation':
        markAll(json, value, 'protocol', mark)
        break
    }
  }
}

/** A response as it begins, goes on and ends; the whole reply, or the member of an event. */
function readResponse(json: Json, response: number, mark: Mark): void {
  for (let key = json.firstMember(response); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    switch (json.name(key)) {
      case 'output':
        for (let item = json.firstItem(value); item !== NONE; item = json.next(item)) readItem(json, item, 'assistant', mark)
        break
      case 'output_text': // an addition of compatible providers
        mark(value, 'assistant')
        break
      case 'error':
        mark(json.get(value, 'code'), 'protocol')
        break
      // The caller's own words, told once more: they were judged on their way in, and a rule about replies is not about them.
      case 'instructions':
      case 'tools':
      case 'tool_choice':
      case 'text':
      case 'prompt':
      case 'metadata':
      case 'user':
      case 'safety_identifier':
      // Numbers and words of the protocol.
      case 'id':
      case 'object':
      case 'model':
      case 'status':
      case 'conversation':
      case 'previous_response_id':
      case 'prompt_cache_key':
      case 'prompt_cache_retention':
      case 'prompt_cache_options':
      case 'service_tier':
      case 'truncation':
      case 'reasoning':
      case 'moderation':
      case 'incomplete_details':
        markAll(json, value, 'protocol', mark)
        break
    }
  }
}

function eachItemRepeat(json: Json, items: number, visit: (node: number) => void): void {
  for (let item = json.firstItem(items); item !== NONE; item = json.next(item)) eachPartRepeat(json, item, visit)
}

function eachPartRepeat(json: Json, item: number, visit: (node: number) => void): void {
  const content = json.get(item, 'content')
  for (let part = json.firstItem(content); part !== NONE; part = json.next(part)) eachRepeatOf(json, part, visit)
}

/** The tokens that spell a text, with their probabilities. */
function eachRepeatOf(json: Json, holder: number, visit: (node: number) => void): void {
  const logprobs = json.get(holder, 'logprobs')
  if (logprobs !== NONE && !json.isNull(logprobs)) visit(logprobs)
}

const eventOf = (type: string, event: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...event })}\n\n`

/** The response that a stream told of, as it ends here. Its output stays empty: client libraries keep what they have read of it, or read the events. */
const ended = (ends: string, how: { status: string; error?: object; incomplete_details?: object }): object => ({
  id: sayingOf('id', ends) ?? 'resp_stopped',
  object: 'response',
  created_at: Number(sayingOf('created_at', ends) ?? 0),
  error: null,
  incomplete_details: null,
  instructions: null,
  metadata: {},
  model: sayingOf('model', ends) ?? '',
  output: [],
  parallel_tool_calls: true,
  temperature: null,
  tool_choice: 'auto',
  tools: [],
  top_p: null,
  usage: null,
  ...how,
})

/** The number after the last that is plainly written; events count up, and a client may have seen fewer. */
const nextNumber = (ends: string): number => Number([...ends.matchAll(/"sequence_number"\s*:\s*(\d{1,12})\b/g)].at(-1)?.[1] ?? -1) + 1
