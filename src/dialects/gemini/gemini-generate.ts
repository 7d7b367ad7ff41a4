/**
 * Google's Gemini API: generating, plain and streamed, counting tokens and embedding, at the paths of generativelanguage and of Vertex AI. Google
 * reads every member in camelCase and in snake_case (the JSON mapping of protocol buffers), and where a list belongs also a single object.
 */
import type { Role } from '../../call.ts'
import { type Json, NONE } from '../bodies/json.ts'
import { isTextType, markBase64, markSealed } from '../bodies/media.ts'
import { markAll } from '../bodies/walk.ts'
import { checkObject, readAnswers, readModel, readTokens, tokensOfAll } from '../call-head.ts'
import { type Dialect, type Mark, type MarkPiece, NOTHING_CLOSED, UnreadableCall, WHOLE_TEXT } from '../dialect.ts'
import { channelOf, indexOf } from '../events/channels.ts'
import { frameData } from '../events/event-stream.ts'
import { count, lastOf, sum, type UsageObject, usagesIn } from '../usage.ts'
import { describe, gemini } from './gemini.ts'
import { readSettings } from './gemini-settings.ts'
import { camel, eachOf, member } from './gemini-spelling.ts'

/** The channels of a candidate. */
const TEXT = 0
const THOUGHT = 1
const PARTIAL_ARGUMENTS = 2

const verbs = ['generateContent', 'streamGenerateContent', 'countTokens', 'computeTokens', 'embedContent', 'batchEmbedContents', 'batchGenerateContent']
const collections = [
  ...['v1beta', 'v1', 'v1alpha'].flatMap((version) => [`/${version}/models`, `/${version}/tunedModels`]),
  ...['v1beta1', 'v1'].flatMap((version) => [
    `/${version}/publishers/{publisher}/models`,
    `/${version}/projects/{project}/locations/{location}/publishers/{publisher}/models`,
    `/${version}/projects/{project}/locations/{location}/endpoints`,
  ]),
]

export const geminiGenerate: Dialect = {
  name: 'gemini',
  vendor: gemini,
  listsEvents: true, // to whoever does not ask for `alt=sse`
  paths: [
    ...collections.flatMap((collection) => verbs.map((verb) => `${collection}/{model}:${verb}`)),
    '/v1beta/cachedContents', // the beginning of a conversation, stored for later calls
    '/v1/cachedContents',
    '/v1alpha/cachedContents',
  ],

  readCall(json, mark, path, pathModel) {
    checkObject(json, 0)
    const verb = path.slice(path.lastIndexOf(':') + 1)
    const models = new Set(pathModel === null ? [] : [pathModel])
    let lastMessage = NONE
    let maxOutputTokens: number | null = 0
    let answers = 0
    for (const [request, at] of requestsIn(json, verb)) {
      const model = member(json, request, 'model')
      if (model !== NONE && !json.isNull(model)) models.add(lastSegment(readModel(json, request, `${at}model`)))
      lastMessage = readPrompt(json, request, at, mark)
      readSettings(json, request, mark, (routed) => models.add(lastSegment(routed)))
      const settings = member(json, request, 'generationConfig')
      const candidates = readAnswers(json, settings, 'candidateCount', 'candidate_count')
      const most: number | null = tokensOfAll(readTokens(json, settings, 'maxOutputTokens', 'max_output_tokens'), candidates)
      answers += candidates
      maxOutputTokens = most === null || maxOutputTokens === null ? null : maxOutputTokens + most
    }
    if (lastMessage === NONE) maxOutputTokens = null
    return { models: [...models], streaming: verb === 'streamGenerateContent', lastMessage, maxOutputTokens, answers }
  },

  readReply(json, mark) {
    for (const response of responsesOf(json)) {
      readShell(json, response, mark)
      for (const candidate of eachOf(json, json.get(response, 'candidates'))) readContent(json, json.get(candidate, 'content'), 'assistant', mark)
    }
  },

  readEvent(json, mark) {
    let closed = NOTHING_CLOSED
    readShell(json, 0, (node, role) => mark(node, WHOLE_TEXT, role))
    for (const candidate of eachOf(json, json.get(0, 'candidates'))) {
      const index = indexOf(json, json.get(candidate, 'index'))
      for (const part of eachOf(json, json.get(json.get(candidate, 'content'), 'parts'))) readPiece(json, part, index, mark)
      if (json.isString(json.get(candidate, 'finishReason'))) closed = index
    }
    return closed
  },

  eachRepeat(json, visit) {
    for (const response of responsesOf(json))
      for (const candidate of eachOf(json, json.get(response, 'candidates'))) {
        const tokens = json.get(candidate, 'logprobsResult')
        if (tokens !== NONE && !json.isNull(tokens)) visit(tokens)
      }
  },

  // Every event counts what there was up to it. The tokens of thoughts stand beside those of the candidates, and are paid like them.
  readUsage: (ends) =>
    lastOf(
      usagesIn(ends, undefined, 'usageMetadata').map((usage) => ({
        input_tokens: sum(usage.promptTokenCount, usage.toolUsePromptTokenCount),
        output_tokens: sum(usage.candidatesTokenCount, usage.thoughtsTokenCount),
        cached_input_tokens: count(usage.cachedContentTokenCount),
        reasoning_tokens: count(usage.thoughtsTokenCount),
        audio_input_tokens: sum(audioOf(usage.promptTokensDetails), audioOf(usage.toolUsePromptTokensDetails)),
        audio_output_tokens: audioOf(usage.candidatesTokensDetails),
      })),
    ),

  // Nothing but `data: ` and JSON: event lines and comments break the client libraries, and they look for the error in the first key.
  stopStream({ refusal, requestId, soft, open }) {
    // As an event, which @google/genai 2 and Python raise with its status; and once more with no end, for version 1 takes the event for an empty
    // chunk, and raises only for what is left over.
    if (!soft) {
      const error = JSON.stringify(describe(refusal, requestId))
      return `data: ${error}\n\n${error}`
    }
    const candidates = (open.length === 0 ? [0] : open).map((index) => ({ finishReason: 'PROHIBITED_CONTENT', index }))
    return `data: ${JSON.stringify({ candidates })}\n\n`
  },

  // With several candidates the first that ends is taken for the end; the gate lets go of it once much more has come.
  isLastEvent(event) {
    const data = event.includes('"finishReason"') || event.includes('"blockReason"') ? frameData(event) : null
    if (data === null || data === 'several') return false
    try {
      return isEnd(JSON.parse(event.toString('utf8', data.start, data.end)) as EndOfStream)
    } catch {
      return false // no event of this format; the message may quote it
    }
  },
}

interface EndOfStream {
  candidates?: { finishReason?: unknown }[]
  promptFeedback?: { blockReason?: unknown }
}
const isEnd = ({ candidates, promptFeedback }: EndOfStream): boolean =>
  typeof promptFeedback?.blockReason === 'string' || (candidates ?? []).some(({ finishReason }) => typeof finishReason === 'string')

/** The tokens of sound among those of other kinds. */
const audioOf = (details: unknown): number | undefined =>
  Array.isArray(details) ? sum(...(details as (UsageObject | null)[]).map((one) => (one?.modality === 'AUDIO' ? one.tokenCount : undefined))) : undefined

/** Without `models/`, `publishers/google/models/` or a project before it. */
const lastSegment = (model: string): string => model.slice(model.lastIndexOf('/') + 1)

/** The requests of a body, each with the path that leads to it. Throws UnreadableCall where there should be some and is none. */
function requestsIn(json: Json, verb: string): [request: number, at: string][] {
  if (verb === 'batchEmbedContents') return listed(json, member(json, 0, 'requests'), 'requests')
  if (verb === 'batchGenerateContent') {
    const inputs = member(json, member(json, 0, 'batch'), 'inputConfig')
    const requests = member(json, inputs, 'requests')
    if (requests === NONE) return [] // they stand in a file
    const at = 'batch.inputConfig.requests.requests'
    return listed(json, member(json, requests, 'requests'), at).map(([one, path]) => {
      checkObject(json, member(json, one, 'request'), `${path}request`)
      return [member(json, one, 'request'), `${path}request.`]
    })
  }
  const wrapped = verb === 'countTokens' ? member(json, 0, 'generateContentRequest') : NONE
  if (wrapped === NONE) return [[0, '']]
  checkObject(json, wrapped, 'generateContentRequest')
  return contentsIn(json, 0) === NONE
    ? [[wrapped, 'generateContentRequest.']]
    : [
        [0, ''],
        [wrapped, 'generateContentRequest.'],
      ]
}

function listed(json: Json, list: number, path: string): [request: number, at: string][] {
  if (!json.isArray(list)) throw new UnreadableCall(`'${path}' must be an array.`, path)
  return eachOf(json, list).map((request, index) => {
    checkObject(json, request, `${path}[${index}]`)
    return [request, `${path}[${index}].`]
  })
}

const contentsIn = (json: Json, request: number): number => {
  const contents = member(json, request, 'contents')
  return contents === NONE ? member(json, request, 'content') : contents
}

/** The conversation, the system's words first, wherever they stand; or the one content that is to be embedded. Returns the last message. */
function readPrompt(json: Json, request: number, at: string, mark: Mark): number {
  for (const name of ['systemInstruction', 'system_instruction']) {
    const system = json.get(request, name)
    mark(system, 'system')
    for (const content of eachOf(json, system)) readContent(json, content, 'system', mark)
  }
  const contents = contentsIn(json, request)
  if (!json.isArray(contents) && !json.isObject(contents)) throw new UnreadableCall(`'${at}contents' must be an array.`, `${at}contents`)
  let last = NONE
  for (const [index, content] of eachOf(json, contents).entries()) {
    checkObject(json, content, `${at}contents[${index}]`)
    readContent(json, content, roleOf(json, content), mark)
    last = content
  }
  return last
}

function roleOf(json: Json, content: number): Role {
  const role = json.get(content, 'role')
  if (json.is(role, 'model')) return 'assistant'
  if (json.is(role, 'system')) return 'system'
  return json.is(role, 'function') || json.is(role, 'tool') ? 'tool_result' : 'user'
}

function readContent(json: Json, content: number, role: Role, mark: Mark): void {
  mark(json.get(content, 'role'), 'protocol')
  for (const part of eachOf(json, json.get(content, 'parts'))) readPart(json, part, role, mark)
}

/** Parts of all kinds at once: a part is what its member is called. */
function readPart(json: Json, part: number, role: Role, mark: Mark): void {
  if (json.isString(part)) mark(part, role)
  for (let key = json.firstMember(part); key !== NONE; key = json.next(key)) {
    const value = json.value(key)
    switch (camel(json.name(key))) {
      case 'text':
        mark(value, role === 'assistant' && json.isTrue(json.get(part, 'thought')) ? 'thinking' : role)
        break
      case 'inlineData':
        readBlob(json, value, mark)
        break
      case 'fileData':
        mark(member(json, value, 'mimeType'), 'protocol')
        break
      case 'functionCall':
      case 'toolCall':
        readFunctionCall(json, value, mark)
        break
      case 'functionResponse':
      case 'toolResponse':
        readFunctionResponse(json, value, mark)
        break
      case 'executableCode':
        mark(json.get(value, 'code'), 'tool_arguments')
        for (const name of ['language', 'id']) mark(json.get(value, name), 'protocol')
        break
      case 'codeExecutionResult':
        mark(json.get(value, 'output'), 'tool_result')
        for (const name of ['outcome', 'id']) mark(json.get(value, name), 'protocol')
        break
      case 'audioTranscription':
        mark(json.get(value, 'text'), role)
        break
      case 'thoughtSignature':
        markSealed(json, value, mark)
        break
      case 'videoMetadata':
      case 'mediaResolution':
        markAll(json, value, 'protocol', mark)
        break
    }
  }
}

/** Inline bytes. What names its type twice may be read by the other one, and is text. */
function readBlob(json: Json, blob: number, mark: Mark): void {
  const mimeType = member(json, blob, 'mimeType')
  const isNamedTwice = json.get(blob, 'mimeType') !== NONE && json.get(blob, 'mime_type') !== NONE
  mark(mimeType, 'protocol')
  if (isNamedTwice || isTextType(json.text(mimeType))) mark(json.get(blob, 'data'), 'other')
  else markBase64(json, json.get(blob, 'data'), mark)
}

function readFunctionCall(json: Json, call: number, mark: Mark): void {
  mark(json.get(call, 'name'), 'tool_name')
  markAll(json, json.get(call, 'args'), 'tool_arguments', mark)
  for (const piece of eachOf(json, member(json, call, 'partialArgs'))) {
    mark(member(json, piece, 'stringValue'), 'tool_arguments')
    mark(member(json, piece, 'jsonPath'), 'protocol')
  }
  mark(json.get(call, 'id'), 'protocol')
  mark(member(json, call, 'toolType'), 'protocol')
}

function readFunctionResponse(json: Json, response: number, mark: Mark): void {
  mark(json.get(response, 'name'), 'tool_name')
  markAll(json, json.get(response, 'response'), 'tool_result', mark)
  for (const part of eachOf(json, json.get(response, 'parts'))) readPart(json, part, 'tool_result', mark)
  for (const name of ['id', 'scheduling']) mark(json.get(response, name), 'protocol')
  mark(member(json, response, 'toolType'), 'protocol')
}

/** A reply is one response, or, streamed without `alt=sse`, a list of them. */
const responsesOf = (json: Json): readonly number[] => eachOf(json, 0)

/** What a response says around its texts: which model, why it ended, what it counted. */
function readShell(json: Json, response: number, mark: Mark): void {
  for (const name of ['modelVersion', 'responseId', 'createTime']) mark(json.get(response, name), 'protocol')
  const feedback = json.get(response, 'promptFeedback')
  mark(json.get(feedback, 'blockReason'), 'protocol')
  markAll(json, json.get(feedback, 'safetyRatings'), 'protocol', mark)
  markAll(json, json.get(response, 'usageMetadata'), 'protocol', mark)
  for (const candidate of eachOf(json, json.get(response, 'candidates'))) {
    mark(json.get(candidate, 'finishReason'), 'protocol')
    markAll(json, json.get(candidate, 'safetyRatings'), 'protocol', mark)
  }
}

/** A part of an event. Only texts, thoughts and partial arguments go on in the next one. */
function readPiece(json: Json, part: number, index: number, mark: MarkPiece): void {
  const text = json.get(part, 'text')
  const pieces = eachOf(json, json.get(json.get(part, 'functionCall'), 'partialArgs')).map((piece) => json.get(piece, 'stringValue'))
  readPart(json, part, 'assistant', (node, role) => {
    if (node === text) mark(node, channelOf(index, role === 'thinking' ? THOUGHT : TEXT), role)
    else if (pieces.includes(node)) mark(node, channelOf(index, PARTIAL_ARGUMENTS), role)
    else mark(node, WHOLE_TEXT, role)
  })
}
