/** Anthropic's messages, `POST /v1/messages`, the counting of their tokens, whose body is the same, and batches of them. */
import type { Role, Usage } from '../../call.ts'
import { type Json, NONE } from '../bodies/json.ts'
import { isTextType, markBase64, markSealed } from '../bodies/media.ts'
import { markAll, markSchema } from '../bodies/walk.ts'
import { checkObject, modelsBeside, readMessages, readModel, readStreaming, readTokens } from '../call-head.ts'
import { type CallHead, type Dialect, type Mark, type MarkPiece, NOTHING_CLOSED, UnreadableCall } from '../dialect.ts'
import { channelOf, indexOf, opaqueOnly } from '../events/channels.ts'
import { type Counted, count, largestOf, lastOf, listIn, sum, sumOf, type UsageObject, usagesIn, within } from '../usage.ts'
import { anthropic, describe } from './anthropic.ts'

/** The channels of a content block. From WHOLE on there is one for each text that a block brings along when it starts. */
const TEXT = 0
const PARTIAL_JSON = 1
const THINKING = 2
const CITED = 3
const WHOLE = 8

export const anthropicMessages: Dialect = {
  name: 'anthropic-messages',
  vendor: anthropic,
  paths: ['/v1/messages', '/v1/messages/count_tokens', '/v1/messages/batches'],
  isLastEvent: (event) => MESSAGE_STOP.test(event.toString('latin1', 0, LAST_EVENT_BYTES_MAX)),

  readCall(json, mark, path) {
    checkObject(json, 0)
    return path.endsWith('/batches') ? readBatch(json, mark) : readMessage(json, 0, '', mark)
  },

  readReply(json, mark) {
    if (json.is(json.get(0, 'type'), 'message_batch')) markAll(json, 0, 'protocol', mark) // ids, times and states
    readContent(json, json.get(0, 'content'), 'assistant', mark)
    for (const name of ['id', 'type', 'role', 'model', 'stop_reason']) mark(json.get(0, name), 'protocol')
  },

  readEvent(json, mark) {
    const type = json.get(0, 'type')
    if (json.is(type, 'content_block_delta')) readDelta(json, json.get(0, 'delta'), indexOf(json, json.get(0, 'index')), mark)
    else if (json.is(type, 'content_block_start')) readStart(json, json.get(0, 'content_block'), indexOf(json, json.get(0, 'index')), mark)
    else if (json.is(type, 'content_block_stop')) return indexOf(json, json.get(0, 'index'))
    return NOTHING_CLOSED
  },

  eachRepeat() {}, // this format has nothing of the kind

  // A stream counts twice: when the message starts, and at its end, where the counts are totals and not additions. What its start says of the output is no
  // count yet.
  readUsage(ends) {
    const usage = withCaches(lastOf(usagesIn(ends, 'message').map(tokensIn)))
    return usage && usagesIn(ends).length === 0 ? { ...usage, output_tokens: 0 } : usage
  },

  // Without the event line the client libraries drop the error in silence. A block that is open is closed first, or they miss its end.
  stopStream: ({ refusal, requestId, soft, open }) =>
    [...open.map((index) => ({ type: 'content_block_stop', index })), ...(soft ? refusedEnd : [{ ...describe(refusal, requestId), type: 'error' }])]
      .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
      .join(''),
}

/**
 * What every attempt of an answer took stands in `iterations`, such as an adviser's or a compaction's, which the totals leave out, and which are paid. The
 * larger counts, whatever the totals may one day hold.
 */
function tokensIn(usage: UsageObject): Counted {
  const iterations = listIn(usage, 'iterations').map(countedIn)
  return iterations.length === 0 ? countedIn(usage) : largestOf(countedIn(usage), sumOf(iterations))
}

function countedIn(usage: UsageObject): Counted {
  const { ephemeral_5m_input_tokens, ephemeral_1h_input_tokens } = within(usage, 'cache_creation')
  return {
    input_tokens: count(usage.input_tokens),
    output_tokens: count(usage.output_tokens),
    cached_input_tokens: count(usage.cache_read_input_tokens),
    cache_write_tokens: count(usage.cache_creation_input_tokens) ?? sum(ephemeral_5m_input_tokens, ephemeral_1h_input_tokens),
    cache_write_1h_tokens: count(ephemeral_1h_input_tokens),
    reasoning_tokens: count(within(usage, 'output_tokens_details').thinking_tokens),
  }
}

/** Anthropic's input is what is left beside its caches. */
const withCaches = (usage: Usage | null): Usage | null =>
  usage && { ...usage, input_tokens: usage.input_tokens + (usage.cached_input_tokens ?? 0) + (usage.cache_write_tokens ?? 0) }

/** How a message ends that the model refuses to go on with. */
const refusedEnd = [{ type: 'message_delta', delta: { stop_reason: 'refusal', stop_sequence: null }, usage: { output_tokens: 0 } }, { type: 'message_stop' }]

/** One body of `/v1/messages`: the whole body of a call, or one of a batch. `at` leads to it, with a dot at its end. */
function readMessage(json: Json, node: number, at: string, mark: Mark): CallHead {
  const models = [...new Set([readModel(json, node, `${at}model`), ...modelsBeside(json, node, at)])]
  const { messages, lastMessage } = readMessages(json, node, `${at}messages`)
  const streaming = readStreaming(json, node)
  readContent(json, json.get(node, 'system'), 'system', mark) // first, wherever it stands in the body
  for (let message = json.firstItem(messages); message !== NONE; message = json.next(message)) {
    const role = json.get(message, 'role')
    mark(role, 'protocol')
    readContent(json, json.get(message, 'content'), roleOf(json, role), mark)
  }
  readSettings(json, node, mark)
  // A model that takes over may have a bound of its own.
  let maxOutputTokens = readTokens(json, node, 'max_tokens')
  for (let other = json.firstItem(json.get(node, 'fallbacks')); other !== NONE; other = json.next(other))
    maxOutputTokens = Math.max(maxOutputTokens ?? 0, readTokens(json, other, 'max_tokens') ?? 0) || maxOutputTokens
  return { models, streaming, lastMessage, maxOutputTokens }
}

/** Several bodies, answered later: never a stream, whatever they say. */
function readBatch(json: Json, mark: Mark): CallHead {
  const requests = json.get(0, 'requests')
  if (!json.isArray(requests)) throw new UnreadableCall("'requests' must be an array.", 'requests')
  const heads: CallHead[] = []
  for (let request = json.firstItem(requests); request !== NONE; request = json.next(request)) {
    const at = `requests[${heads.length}].params`
    const params = json.get(request, 'params')
    checkObject(json, params, at)
    mark(json.get(request, 'custom_id'), 'protocol')
    heads.push(readMessage(json, params, `${at}.`, mark))
  }
  return {
    models: [...new Set(heads.flatMap(({ models }) => models))],
    streaming: false,
    lastMessage: heads.at(-1)?.lastMessage ?? NONE,
    // One without a bound is refused by itself, and does not hide what the others may take.
    maxOutputTokens: heads.reduce<number | null>((sum, { maxOutputTokens: most }) => (most === null ? sum : (sum ?? 0) + most), null),
  }
}

function roleOf(json: Json, role: number): Role {
  if (json.is(role, 'assistant')) return 'assistant'
  return json.is(role, 'system') ? 'system' : 'user'
}

/** A string, a list of blocks, or (in the results of server tools) one block. */
function readContent(json: Json, content: number, role: Role, mark: Mark): void {
  if (json.isString(content)) mark(content, role)
  if (json.isObject(content)) readBlock(json, content, role, mark)
  for (let block = json.firstItem(content); block !== NONE; block = json.next(block)) {
    if (json.isString(block)) mark(block, role)
    else readBlock(json, block, role, mark)
  }
}

/** The kind of block in which a member holds ciphertext. In any other it is text that somebody chose. */
const seals: Readonly<Record<string, string>> = {
  data: 'redacted_thinking',
  signature: 'thinking',
  encrypted_content: 'web_search_result',
  encrypted_stdout: 'encrypted_code_execution_result',
}

/** Blocks of all kinds at once: a member means the same in every kind that has it, but for `content` and ciphertext, which ask for the kind. */
function readBlock(json: Json, block: number, role: Role, mark: Mark): void {
  for (let key = json.firstMember(block); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    switch (json.name(key)) {
      case 'text':
      case 'title':
      case 'context':
      case 'stdout':
      case 'stderr':
        mark(value, role)
        break
      case 'lines':
        markAll(json, value, role, mark)
        break
      case 'content':
        readContent(json, value, json.text(json.get(block, 'type')).endsWith('tool_result') ? 'tool_result' : role, mark)
        break
      case 'thinking':
        mark(value, 'thinking')
        break
      case 'input':
        markAll(json, value, 'tool_arguments', mark)
        break
      case 'name':
      case 'tool_name':
        mark(value, 'tool_name')
        break
      case 'tool_references':
        readContent(json, value, role, mark)
        break
      case 'source':
        readSource(json, value, role, mark)
        break
      case 'data':
      case 'signature':
      case 'encrypted_content':
      case 'encrypted_stdout':
        if (json.is(json.get(block, 'type'), seals[json.name(key)])) markSealed(json, value, mark)
        break
      case 'citations':
        for (let citation = json.firstItem(value); citation !== NONE; citation = json.next(citation)) readCitation(json, citation, mark)
        break
      case 'type':
      case 'id':
      case 'tool_use_id':
      case 'file_id':
      case 'server_name':
      case 'error_code':
        mark(value, 'protocol')
        break
      case 'cache_control':
      case 'caller':
        markAll(json, value, 'protocol', mark)
        break
    }
  }
}

/** Where an image or a document comes from: inline bytes, inline text, further blocks, a URL, a file. */
function readSource(json: Json, source: number, role: Role, mark: Mark): void {
  const type = json.get(source, 'type')
  const data = json.get(source, 'data')
  const mediaType = json.get(source, 'media_type')
  if (!json.is(type, 'base64')) mark(data, role)
  else if (isTextType(json.text(mediaType))) mark(data, 'other')
  else markBase64(json, data, mark)
  readContent(json, json.get(source, 'content'), role, mark)
  mark(type, 'protocol')
  mark(mediaType, 'protocol')
  mark(json.get(source, 'file_id'), 'protocol')
}

function readCitation(json: Json, citation: number, mark: Mark): void {
  mark(json.get(citation, 'type'), 'protocol')
  mark(json.get(citation, 'file_id'), 'protocol')
  markSealed(json, json.get(citation, 'encrypted_index'), mark)
}

/** Everything of a call beside its messages. What is not named here is read as 'other'. */
function readSettings(json: Json, call: number, mark: Mark): void {
  for (let key = json.firstMember(call); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    switch (json.name(key)) {
      case 'tools':
        for (let tool = json.firstItem(value); tool !== NONE; tool = json.next(tool)) readTool(json, tool, mark)
        break
      case 'tool_choice':
        mark(json.get(value, 'type'), 'protocol')
        mark(json.get(value, 'name'), 'tool_name')
        break
      case 'fallbacks':
        for (let other = json.firstItem(value); other !== NONE; other = json.next(other)) mark(json.get(other, 'model'), 'protocol')
        break
      case 'output_config':
        mark(json.get(value, 'effort'), 'protocol')
        readFormat(json, json.get(value, 'format'), mark)
        break
      case 'output_format':
        readFormat(json, value, mark)
        break
      case 'thinking':
      case 'cache_control':
      case 'model':
      case 'models':
      case 'service_tier':
      case 'speed':
      case 'inference_geo':
        markAll(json, value, 'protocol', mark)
        break
    }
  }
}

function readTool(json: Json, tool: number, mark: Mark): void {
  mark(json.get(tool, 'type'), 'protocol')
  mark(json.get(tool, 'name'), 'tool_name')
  mark(json.get(tool, 'model'), 'protocol')
  markSchema(json, json.get(tool, 'input_schema'), mark)
  for (const name of ['cache_control', 'allowed_callers', 'allowed_domains', 'blocked_domains']) markAll(json, json.get(tool, name), 'protocol', mark)
}

function readFormat(json: Json, format: number, mark: Mark): void {
  mark(json.get(format, 'type'), 'protocol')
  markSchema(json, json.get(format, 'schema'), mark)
}

function readDelta(json: Json, delta: number, block: number, mark: MarkPiece): void {
  mark(json.get(delta, 'text'), channelOf(block, TEXT), 'assistant')
  mark(json.get(delta, 'content'), channelOf(block, TEXT), 'assistant') // a compaction's summary
  mark(json.get(delta, 'partial_json'), channelOf(block, PARTIAL_JSON), 'tool_arguments')
  mark(json.get(delta, 'thinking'), channelOf(block, THINKING), 'thinking')
  mark(json.get(json.get(delta, 'citation'), 'cited_text'), channelOf(block, CITED), 'other')
  if (json.is(json.get(delta, 'type'), 'signature_delta')) markSealed(json, json.get(delta, 'signature'), opaqueOnly(mark))
  markSealed(json, json.get(json.get(delta, 'citation'), 'encrypted_index'), opaqueOnly(mark))
}

/** The texts a block brings along: the beginnings of what its deltas go on with, or a server tool's whole result. */
function readStart(json: Json, block: number, index: number, mark: MarkPiece): void {
  const text = json.get(block, 'text')
  const thinking = json.get(block, 'thinking')
  let whole = WHOLE
  readBlock(json, block, 'assistant', (node, role) => {
    if (role === 'protocol') mark(node, channelOf(index, TEXT), role) // whatever the block is, it has begun
    if (!json.isString(node) || json.start(node) === json.end(node) || role === 'protocol' || role === 'tool_name') return
    if (role === 'opaque' || role === 'sealed') opaqueOnly(mark)(node, role)
    else mark(node, channelOf(index, node === text ? TEXT : node === thinking ? THINKING : whole++), role)
  })
}

/** The event's line, or where a provider leaves that out, how its payload begins. */
const MESSAGE_STOP = /^(?:event: ?message_stop\s|data: ?\{\s*"type"\s*:\s*"message_stop")/m
const LAST_EVENT_BYTES_MAX = 128
