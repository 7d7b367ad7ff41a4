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
export function readModel(json: Json, node = 0, path = 'model'): string {
  const model = json.text(json.get(node, 'model'))
  if (model === '' || model.length > MODEL_CHARACTERS_MAX)
    throw new UnreadableCall(`'${path}' must be a string of 1 to ${MODEL_CHARACTERS_MAX} characters.`, path)
  return model
}

/** The models of a call whose path names one. A body may name it again, and then both are meant: the provider decides which it reads. */
function withBodyModel(json: Json, pathModel: string): readonly string[] {
  const model = json.get(0, 'model')
  return model === NONE || json.isNull(model) || json.is(model, pathModel) ? [pathModel] : [pathModel, readModel(json)]
}

/** The models of a call: what its body names, or its path. */
export const modelsOf = (json: Json, pathModel: string | null): readonly string[] => (pathModel === null ? [readModel(json)] : withBodyModel(json, pathModel))

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

/** A number of tokens, as any of these members gives it; null where none does. */
export function readTokens(json: Json, node: number, ...names: readonly string[]): number | null {
  for (const name of names) {
    const tokens = json.number(json.get(node, name))
    if (Number.isSafeInteger(tokens) && tokens >= 0) return tokens
  }
  return null
}

/** The same of a call that may ask for several answers at once, to each of its prompts, each of which may take so many. The most of `choices` counts. */
export function readTokensOfAll(json: Json, node: number, choices: readonly string[], names: readonly string[], prompts = 1): number | null {
  const tokens = readTokens(json, node, ...names)
  const most = Math.max(1, ...choices.map((name) => readTokens(json, node, name) ?? 1))
  return tokens === null ? null : Math.min(Number.MAX_SAFE_INTEGER, tokens * most * prompts)
}
