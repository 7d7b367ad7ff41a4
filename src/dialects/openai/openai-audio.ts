/** OpenAI's sound, `POST /v1/audio/…`: texts that are spoken, and speech that is written down or translated. */
import type { Role } from '../../call.ts'
import { type Json, NONE } from '../bodies/json.ts'
import { markBase64, markDataUriOrBase64 } from '../bodies/media.ts'
import { markAll } from '../bodies/walk.ts'
import { checkObject, modelsOf, readStreaming } from '../call-head.ts'
import { CHANNELS_PER_CHOICE, type Dialect, type Mark, NOTHING_CLOSED, UnreadableCall, WHOLE_TEXT } from '../dialect.ts'
import { lastOf, tokensIn, usagesIn } from '../usage.ts'
import { errorEvent, openai } from './openai.ts'
import { formModels, formStreaming, markFields } from './openai-forms.ts'

/** The text that is written down bit by bit: there is one. */
const TRANSCRIPT = 0

export const openaiAudio: Dialect = {
  name: 'openai-audio',
  vendor: openai,
  paths: ['/v1/audio/speech', '/v1/audio/transcriptions', '/v1/audio/translations'],
  isLastEvent: (event) => LAST_EVENT.test(event.toString('latin1', 0, LAST_EVENT_BYTES_MAX)),

  readCall(json, mark, _path, pathModel) {
    checkObject(json, 0)
    const models = modelsOf(json, pathModel)
    const input = json.get(0, 'input')
    mark(json.get(0, 'instructions'), 'system')
    mark(input, 'user')
    mark(json.get(0, 'prompt'), 'user')
    markDataUriOrBase64(json, json.get(0, 'file'), mark)
    for (const name of settings) markAll(json, json.get(0, name), 'protocol', mark)
    return { models, streaming: readStreaming(json) || json.is(json.get(0, 'stream_format'), 'sse'), lastMessage: input, maxOutputTokens: null }
  },

  readForm(fields, mark, _path, pathModel) {
    markFields(fields, formRoles, mark)
    const models = formModels(fields, pathModel)
    if (models.length === 0) throw new UnreadableCall("'model' must be a field of the form.", 'model')
    return { models, streaming: formStreaming(fields), lastMessage: NONE, maxOutputTokens: null }
  },

  readReply(json, mark) {
    mark(json.get(0, 'text'), 'assistant')
    eachOf(json, json.get(0, 'segments'), (segment) => readSegment(json, segment, mark))
    eachOf(json, json.get(0, 'words'), (word) => mark(json.get(word, 'word'), 'assistant'))
    eachOf(json, json.get(0, 'languages'), (language) => mark(json.get(language, 'code'), 'protocol'))
    readTold(json, mark)
  },

  readEvent(json, mark) {
    const whole: Mark = (node, role) => mark(node, WHOLE_TEXT, role)
    mark(json.get(0, 'delta'), TRANSCRIPT * CHANNELS_PER_CHOICE, 'assistant')
    readSegment(json, 0, whole)
    markBase64(json, json.get(0, 'audio'), whole)
    for (const name of ['segment_id', 'obfuscation']) mark(json.get(0, name), WHOLE_TEXT, 'protocol')
    readTold(json, whole)
    return json.is(json.get(0, 'type'), 'transcript.text.done') ? TRANSCRIPT : NOTHING_CLOSED
  },

  // Single words are the text once more: what spans several of them cannot be cut from them.
  eachRepeat(json, visit) {
    for (const name of ['logprobs', 'words']) {
      const value = json.get(0, name)
      if (value !== NONE && !json.isNull(value)) visit(value)
    }
    eachOf(json, json.get(0, 'segments'), (segment) => {
      const tokens = json.get(segment, 'tokens')
      if (tokens !== NONE && !json.isNull(tokens)) visit(tokens)
    })
  },

  readUsage: (ends) => lastOf(usagesIn(ends).map(tokensIn)),
  stopStream: ({ refusal }) => errorEvent(refusal), // there is no softer end than a text that does not go on
}

/** The event's line, or where a provider leaves that out, how its payload begins. */
const LAST_EVENT = /^(?:event: ?(?:transcript\.text|speech\.audio)\.done\s|data: ?\{\s*"type"\s*:\s*"(?:transcript\.text|speech\.audio)\.done")/m
const LAST_EVENT_BYTES_MAX = 128

const settings = ['model', 'voice', 'language', 'languages', 'response_format', 'stream_format', 'timestamp_granularities', 'include', 'chunking_strategy']
const formRoles = new Map<string, Role>([['prompt', 'user'], ...settings.map((name): [string, Role] => [name, 'protocol'])])

/** Who speaks is read as 'other'. */
function readSegment(json: Json, segment: number, mark: Mark): void {
  mark(json.get(segment, 'text'), 'assistant')
  mark(json.get(segment, 'id'), 'protocol')
  mark(json.get(segment, 'type'), 'protocol')
}

function readTold(json: Json, mark: Mark): void {
  for (const name of ['type', 'task', 'language']) mark(json.get(0, name), 'protocol')
  mark(json.get(json.get(0, 'usage'), 'type'), 'protocol')
}

function eachOf(json: Json, list: number, visit: (one: number) => void): void {
  for (let one = json.firstItem(list); one !== NONE; one = json.next(one)) visit(one)
}
