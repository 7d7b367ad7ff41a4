/** What the formats of calls depend on: a model, a list of messages, and whether the reply is streamed. */

import { type Json, NONE } from './bodies/json.ts'
import { UnreadableCall } from './dialect.ts'

/** No provider's names are longer; what is longer is no name. */
export const MODEL_CHARACTERS_MAX = 256

/** A call's object: the whole body, or where several share one, one of them. Throws UnreadableCall for what is no object. */
export function checkObject(json: Json, node: number, path = ''): void {
  if (!json.isObject(node)) throw new UnreadableCall(path === '' ? 'The body must be a JSON object.' : `'${path}' must be an object.`, path)
}

/** The model a call names. Throws UnreadableCall for one that is missing, empty, no string or absurdly long. */
export function readModel(json: Json, node = 0, path = 'model', member = 'model'): string {
  const model = json.text(json.get(node, member))
  if (model === '' || model.length > MODEL_CHARACTERS_MAX)
    throw new UnreadableCall(`'${path}' must be a string of 1 to ${MODEL_CHARACTERS_MAX} characters.`, path)
  return model
}

/** The models of a call whose path names one. A body may name it again, and then both are meant: the provider decides which it reads. */
function withBodyModel(json: Json, pathModel: string): readonly string[] {
  const model = json.get(0, 'model')
  return model === NONE || json.isNull(model) || json.is(model, pathModel) ? [pathModel] : [pathModel, readModel(json)]
}

/** The lists in which a call names models beside its own: those that take over from it, at OpenRouter's and Anthropic's, and tools that are models. */
const BESIDE = ['models', 'fallbacks', 'tools'] as const

/** The models that work for a call beside its own: a list of names, or of objects that name one. Throws UnreadableCall for an absurdly long name. */
export function modelsBeside(json: Json, node = 0, at = ''): readonly string[] {
  const found: string[] = []
  for (const list of BESIDE) {
    const items = json.get(node, list)
    let index = 0
    for (let item = json.firstItem(items); item !== NONE; item = json.next(item), index++) {
      const model = list === 'models' && json.isString(item) ? item : json.get(item, 'model')
      if (!json.isString(model) || json.text(model) === '') continue
      if (json.text(model).length > MODEL_CHARACTERS_MAX) throw tooLong(`${at}${list}[${index}]`)
      found.push(json.text(model))
    }
  }
  return found
}
const tooLong = (path: string): UnreadableCall => new UnreadableCall(`'${path}' must have at most ${MODEL_CHARACTERS_MAX} characters.`, path)

/** The models of a call: what its body names, or its path, first; and those beside it. */
export function modelsOf(json: Json, pathModel: string | null): readonly string[] {
  const own = pathModel === null ? [readModel(json)] : withBodyModel(json, pathModel)
  const beside = modelsBeside(json)
  return beside.length === 0 ? own : [...new Set([...own, ...beside])]
}

/** The same where the provider has a model of its own for a call that names none. */
export function modelsIfAny(json: Json, pathModel: string | null): readonly string[] {
  const model = json.get(0, 'model')
  return pathModel === null && (model === NONE || json.isNull(model)) ? [] : modelsOf(json, pathModel)
}

/** Whether the reply is to be streamed. Throws UnreadableCall for what is no flag: the provider might read it as the other one. */
export function readStreaming(json: Json, node = 0): boolean {
  const stream = json.get(node, 'stream')
  const streaming = json.isTrue(stream)
  if (stream !== NONE && !streaming && !json.isFalse(stream) && !json.isNull(stream)) throw new UnreadableCall("'stream' must be true or false.", 'stream')
  return streaming
}

/** The list of messages and its last. Throws UnreadableCall where it is no list of objects. */
export function readMessages(json: Json, node = 0, path = 'messages'): { messages: number; lastMessage: number } {
  const messages = json.get(node, 'messages')
  if (!json.isArray(messages)) throw new UnreadableCall(`'${path}' must be an array.`, path)
  let index = 0
  let lastMessage = NONE
  for (let message = json.firstItem(messages); message !== NONE; message = json.next(message), index++) {
    checkObject(json, message, `${path}[${index}]`)
    lastMessage = message
  }
  return { messages, lastMessage }
}

/** The most tokens that any of these members gives: a provider may read another one than the first. Null where none does. */
export function readTokens(json: Json, node: number, ...names: readonly string[]): number | null {
  let most: number | null = null
  for (const name of names) {
    const tokens = json.number(json.get(node, name))
    if (Number.isSafeInteger(tokens) && tokens >= 0 && (most === null || tokens > most)) most = tokens
  }
  return most
}

/** Far more than anybody answers at once, and few enough for a product with tokens to be exact. */
const ANSWERS_MAX = 1 << 20

/** How many answers a call asks for at once, as the largest of these members says. */
export const readAnswers = (json: Json, node: number, ...names: readonly string[]): number => answersWithin(readTokens(json, node, ...names) ?? 1)

/** The number itself where it can be one of answers. */
export const answersWithin = (answers: number): number => (answers >= 1 ? Math.min(ANSWERS_MAX, Math.ceil(answers)) : 1)

/** The tokens of an answer, times the answers. */
export const tokensOfAll = (tokens: number | null, answers: number): number | null =>
  tokens === null ? null : Math.min(Number.MAX_SAFE_INTEGER, tokens * answers)
