/** OpenAI's chat completions, `POST /v1/chat/completions`, and what compatible providers add to them. */
import type { Role } from '../../call.ts'
import { type Json, NONE } from '../bodies/json.ts'
import { markBase64, markDataUri, markDataUriOrBase64, markSealed } from '../bodies/media.ts'
import { markAll, markSchema } from '../bodies/walk.ts'
import { checkObject, modelsOf, readAnswers, readMessages, readStreaming, readTokens, tokensOfAll } from '../call-head.ts'
import { type Dialect, type Mark, type MarkPiece, NOTHING_CLOSED } from '../dialect.ts'
import { channelOf, indexOf, opaqueOnly } from '../events/channels.ts'
import { openai } from './openai.ts'
import { eachChoiceRepeat, isDoneEvent, readChoicesUsage, stopChoices } from './openai-choices.ts'
import { readTextFormat, readToolChoice } from './openai-tools.ts'

/** The channels of a choice. From TOOLS on there is one for the arguments of each tool call. */
const CONTENT = 0
const REFUSAL = 1
const REASONING_CONTENT = 2
const REASONING = 3
const TRANSCRIPT = 4
const FUNCTION_CALL = 5
const REASONING_DETAILS = 6
const TOOLS = 8

export const openaiChat: Dialect = {
  name: 'openai-chat',
  vendor: openai,
  paths: ['/v1/chat/completions'],
  isLastEvent: isDoneEvent,

  readCall(json, mark, _path, pathModel) {
    checkObject(json, 0)
    const models = modelsOf(json, pathModel)
    const { messages, lastMessage } = readMessages(json)
    const streaming = readStreaming(json)
    for (let message = json.firstItem(messages); message !== NONE; message = json.next(message)) readMessage(json, message, roleOf(json, message), mark)
    readSettings(json, mark)
    const answers = readAnswers(json, 0, 'n')
    const maxOutputTokens = tokensOfAll(readTokens(json, 0, 'max_completion_tokens', 'max_tokens'), answers)
    return { models, streaming, lastMessage, maxOutputTokens, answers }
  },

  readReply(json, mark) {
    const choices = json.get(0, 'choices')
    for (let choice = json.firstItem(choices); choice !== NONE; choice = json.next(choice)) {
      mark(json.get(choice, 'finish_reason'), 'protocol')
      readMessage(json, json.get(choice, 'message'), 'assistant', mark)
    }
    for (const name of ['id', 'object', 'model', 'service_tier', 'system_fingerprint']) mark(json.get(0, name), 'protocol')
  },

  readEvent(json, mark) {
    let closed = NOTHING_CLOSED
    const choices = json.get(0, 'choices')
    for (let choice = json.firstItem(choices); choice !== NONE; choice = json.next(choice)) {
      const index = indexOf(json, json.get(choice, 'index'))
      readDelta(json, json.get(choice, 'delta'), index, mark)
      if (json.isString(json.get(choice, 'finish_reason'))) closed = index
    }
    return closed
  },

  eachRepeat: eachChoiceRepeat,
  readUsage: readChoicesUsage,
  stopStream: stopChoices('chat.completion.chunk', { delta: {} }),
}

function roleOf(json: Json, message: number): Role {
  const role = json.get(message, 'role')
  if (json.is(role, 'user')) return 'user'
  if (json.is(role, 'assistant')) return 'assistant'
  if (json.is(role, 'system') || json.is(role, 'developer')) return 'system'
  if (json.is(role, 'tool') || json.is(role, 'function')) return 'tool_result'
  return 'user' // whatever else a compatible provider calls its speakers
}

/** A message of a call or of a reply. */
function readMessage(json: Json, message: number, role: Role, mark: Mark): void {
  for (let key = json.firstMember(message); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    switch (json.name(key)) {
      case 'content':
        readContent(json, value, role, mark)
        break
      case 'refusal':
        mark(value, role)
        break
      case 'reasoning_content':
      case 'reasoning':
        markAll(json, value, 'thinking', mark)
        break
      case 'reasoning_details':
        readReasoning(json, value, mark)
        break
      case 'tool_calls':
        for (let call = json.firstItem(value); call !== NONE; call = json.next(call)) readToolCall(json, call, mark)
        break
      case 'function_call':
        readFunction(json, value, mark)
        break
      case 'audio':
        mark(json.get(value, 'id'), 'protocol')
        mark(json.get(value, 'transcript'), role)
        markBase64(json, json.get(value, 'data'), mark)
        break
      case 'name':
        mark(value, role === 'tool_result' ? 'tool_name' : 'protocol')
        break
      case 'role':
      case 'tool_call_id':
      case 'id':
        mark(value, 'protocol')
        break
    }
  }
}

function readContent(json: Json, content: number, role: Role, mark: Mark): void {
  if (json.isString(content)) mark(content, role)
  for (let part = json.firstItem(content); part !== NONE; part = json.next(part)) {
    if (json.isString(part)) mark(part, role)
    else readPart(json, part, role, mark)
  }
}

function readPart(json: Json, part: number, role: Role, mark: Mark): void {
  for (let key = json.firstMember(part); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    switch (json.name(key)) {
      case 'text':
      case 'refusal':
        mark(value, role)
        break
      case 'thinking':
        markAll(json, value, 'thinking', mark)
        break
      case 'image_url':
      case 'video_url':
        markDataUri(json, value, mark) // some providers take the URL without an object around it
        markDataUri(json, json.get(value, 'url'), mark)
        mark(json.get(value, 'detail'), 'protocol')
        break
      case 'input_audio':
        markBase64(json, json.get(value, 'data'), mark)
        mark(json.get(value, 'format'), 'protocol')
        break
      case 'file':
        markDataUriOrBase64(json, json.get(value, 'file_data'), mark)
        mark(json.get(value, 'file_id'), 'protocol')
        break
      case 'type':
        mark(value, 'protocol')
        break
      case 'cache_control':
        markAll(json, value, 'protocol', mark)
        break
    }
  }
}

/** Reasoning as some providers hand it out, to be sent back unchanged: readable, a summary, or encrypted. */
function readReasoning(json: Json, details: number, mark: Mark): void {
  for (let detail = json.firstItem(details); detail !== NONE; detail = json.next(detail)) {
    mark(json.get(detail, 'text'), 'thinking')
    mark(json.get(detail, 'summary'), 'thinking')
    markSealed(json, json.get(detail, 'data'), mark)
    markSealed(json, json.get(detail, 'signature'), mark)
    for (const name of ['type', 'format', 'id']) mark(json.get(detail, name), 'protocol')
  }
}

function readToolCall(json: Json, call: number, mark: Mark): void {
  readFunction(json, json.get(call, 'function'), mark)
  const custom = json.get(call, 'custom')
  mark(json.get(custom, 'name'), 'tool_name')
  markAll(json, json.get(custom, 'input'), 'tool_arguments', mark)
  mark(json.get(call, 'id'), 'protocol')
  mark(json.get(call, 'type'), 'protocol')
  readSignature(json, call, mark)
}

/** Gemini's, as its OpenAI-compatible API hands it out. */
function readSignature(json: Json, call: number, mark: Mark): void {
  markSealed(json, json.get(json.get(json.get(call, 'extra_content'), 'google'), 'thought_signature'), mark)
}

function readFunction(json: Json, called: number, mark: Mark): void {
  mark(json.get(called, 'name'), 'tool_name')
  markAll(json, json.get(called, 'arguments'), 'tool_arguments', mark)
}

/** Everything of a call beside its messages. What is not named here is read as 'other'. */
function readSettings(json: Json, mark: Mark): void {
  for (let key = json.firstMember(0); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    switch (json.name(key)) {
      case 'tools':
        for (let tool = json.firstItem(value); tool !== NONE; tool = json.next(tool)) readTool(json, tool, mark)
        break
      case 'functions':
        for (let tool = json.firstItem(value); tool !== NONE; tool = json.next(tool)) readDefinition(json, tool, mark)
        break
      case 'tool_choice':
      case 'function_call':
        readToolChoice(json, value, mark)
        break
      case 'response_format':
        mark(json.get(value, 'type'), 'protocol')
        readTextFormat(json, json.get(value, 'json_schema'), mark)
        break
      case 'prediction':
        mark(json.get(value, 'type'), 'protocol')
        break
      case 'model':
      case 'models':
      case 'service_tier':
      case 'reasoning_effort':
      case 'verbosity':
      case 'modalities':
      case 'audio':
      case 'prompt_cache_key':
      case 'prompt_cache_retention':
        markAll(json, value, 'protocol', mark)
        break
    }
  }
}

function readTool(json: Json, tool: number, mark: Mark): void {
  mark(json.get(tool, 'type'), 'protocol')
  mark(json.get(tool, 'model'), 'protocol')
  readDefinition(json, json.get(tool, 'function'), mark)
  const custom = json.get(tool, 'custom')
  readDefinition(json, custom, mark)
  const format = json.get(custom, 'format')
  mark(json.get(format, 'type'), 'protocol')
  mark(json.get(json.get(format, 'grammar'), 'syntax'), 'protocol')
}

/** A function or a custom tool. */
function readDefinition(json: Json, definition: number, mark: Mark): void {
  mark(json.get(definition, 'name'), 'tool_name')
  markSchema(json, json.get(definition, 'parameters'), mark)
}

function readDelta(json: Json, delta: number, choice: number, mark: MarkPiece): void {
  for (let key = json.firstMember(delta); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    switch (json.name(key)) {
      case 'content':
        readContent(json, value, 'assistant', (node, role) => {
          if (role === 'assistant') mark(node, channelOf(choice, CONTENT), role)
          else if (role === 'thinking') mark(node, channelOf(choice, REASONING), role)
          else opaqueOnly(mark)(node, role)
        })
        break
      case 'refusal':
        mark(value, channelOf(choice, REFUSAL), 'assistant')
        break
      case 'reasoning_content':
        mark(value, channelOf(choice, REASONING_CONTENT), 'thinking')
        break
      case 'reasoning':
        mark(value, channelOf(choice, REASONING), 'thinking')
        break
      case 'reasoning_details':
        readReasoning(json, value, (node, role) => {
          if (role === 'thinking') mark(node, channelOf(choice, REASONING_DETAILS), role)
          else opaqueOnly(mark)(node, role)
        })
        break
      case 'audio':
        mark(json.get(value, 'transcript'), channelOf(choice, TRANSCRIPT), 'assistant')
        markBase64(json, json.get(value, 'data'), opaqueOnly(mark))
        break
      case 'function_call':
        mark(json.get(value, 'arguments'), channelOf(choice, FUNCTION_CALL), 'tool_arguments')
        break
      case 'tool_calls':
        readToolDeltas(json, value, choice, mark)
        break
    }
  }
}

function readToolDeltas(json: Json, calls: number, choice: number, mark: MarkPiece): void {
  let position = 0
  for (let call = json.firstItem(calls); call !== NONE; call = json.next(call), position++) {
    const index = json.get(call, 'index')
    // A provider that leaves the index out sends each call whole, so its place in the event tells the calls apart.
    const channel = channelOf(choice, TOOLS + (index === NONE || json.isNull(index) ? position : indexOf(json, index)))
    mark(json.get(json.get(call, 'function'), 'arguments'), channel, 'tool_arguments')
    mark(json.get(json.get(call, 'custom'), 'input'), channel, 'tool_arguments')
    readSignature(json, call, opaqueOnly(mark))
  }
}
