/** OpenAI's pictures, `POST /v1/images/…`: made from a prompt, changed, varied. */
import type { Role } from '../../call.ts'
import { type Json, NONE } from '../bodies/json.ts'
import { markBase64, markDataUri, markDataUriOrBase64 } from '../bodies/media.ts'
import { markAll } from '../bodies/walk.ts'
import { checkObject, modelsIfAny, readAnswers, readStreaming } from '../call-head.ts'
import { type Dialect, type Mark, NOTHING_CLOSED, WHOLE_TEXT } from '../dialect.ts'
import { lastOf, tokensIn, usagesIn } from '../usage.ts'
import { errorEvent, openai } from './openai.ts'
import { formAnswers, formModels, formStreaming, markFields } from './openai-forms.ts'

export const openaiImages: Dialect = {
  name: 'openai-images',
  vendor: openai,
  paths: ['/v1/images/generations', '/v1/images/edits', '/v1/images/variations'],
  isLastEvent: (event) => LAST_EVENT.test(event.toString('latin1', 0, LAST_EVENT_BYTES_MAX)),

  readCall(json, mark, _path, pathModel) {
    checkObject(json, 0)
    const models = modelsIfAny(json, pathModel)
    const streaming = readStreaming(json)
    const prompt = json.get(0, 'prompt')
    mark(prompt, 'user')
    for (const name of settings) markAll(json, json.get(0, name), 'protocol', mark)
    for (const name of ['image', 'images', 'mask']) readPicture(json, json.get(0, name), mark)
    return { models, streaming, lastMessage: prompt, maxOutputTokens: null, answers: readAnswers(json, 0, 'n') }
  },

  readForm(fields, mark, _path, pathModel) {
    markFields(fields, formRoles, mark)
    const head = { models: formModels(fields, pathModel), streaming: formStreaming(fields), lastMessage: NONE, maxOutputTokens: null }
    return { ...head, answers: formAnswers(fields) }
  },

  readReply(json, mark) {
    const pictures = json.get(0, 'data')
    const format = json.get(0, 'output_format')
    for (let picture = json.firstItem(pictures); picture !== NONE; picture = json.next(picture)) {
      readDrawn(json, picture, format, mark)
      markDataUri(json, json.get(picture, 'url'), mark)
      mark(json.get(picture, 'revised_prompt'), 'assistant')
    }
    readTold(json, mark)
    mark(json.get(json.get(0, 'svg_usage'), 'model'), 'protocol')
  },

  readEvent(json, mark) {
    const whole: Mark = (node, role) => mark(node, WHOLE_TEXT, role)
    readDrawn(json, 0, json.get(0, 'output_format'), whole)
    mark(json.get(0, 'revised_prompt'), WHOLE_TEXT, 'assistant')
    readTold(json, whole)
    return NOTHING_CLOSED
  },

  eachRepeat() {}, // this format has nothing of the kind
  readUsage: (ends) => lastOf(usagesIn(ends).map(tokensIn)),
  stopStream: ({ refusal }) => errorEvent(refusal), // there is no softer end than a picture that does not come
}

/** The event's line, or where a provider leaves that out, how its payload begins. */
const LAST_EVENT = /^(?:event: ?image_(?:generation|edit)\.completed\s|data: ?\{\s*"type"\s*:\s*"image_(?:generation|edit)\.completed")/m
const LAST_EVENT_BYTES_MAX = 128

const settings = ['model', 'size', 'quality', 'style', 'background', 'moderation', 'complexity', 'input_fidelity', 'output_format', 'response_format', 'svg']
const formRoles = new Map<string, Role>([['prompt', 'user'], ...settings.map((name): [string, Role] => [name, 'protocol'])])

/** A picture that is sent along: a data URI or bare base64, an object that holds one or a file's id, or a list of them. */
function readPicture(json: Json, picture: number, mark: Mark): void {
  markDataUriOrBase64(json, picture, mark)
  markDataUri(json, json.get(picture, 'image_url'), mark)
  mark(json.get(picture, 'file_id'), 'protocol')
  for (let one = json.firstItem(picture); one !== NONE; one = json.next(one)) readPicture(json, one, mark)
}

/** A picture that is answered. One that is written in XML is text, in base64 like the others. */
function readDrawn(json: Json, holder: number, format: number, mark: Mark): void {
  const drawn = json.get(holder, 'b64_json')
  if (json.is(format, 'svg')) mark(drawn, 'other')
  else markBase64(json, drawn, mark)
}

function readTold(json: Json, mark: Mark): void {
  for (const name of ['type', 'size', 'quality', 'background', 'output_format', 'safety_identifier']) mark(json.get(0, name), 'protocol')
}
