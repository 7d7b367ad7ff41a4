/** What every chat format depends on: a model, a list of messages, and whether the reply is streamed. */
import { UnreadableCall } from './dialect.ts'
import { type Json, NONE } from './json.ts'

const MODEL_CHARACTERS_MAX = 256

export function readHead(json: Json): { model: string; streaming: boolean; messages: number } {
  if (!json.isObject(0)) throw new UnreadableCall('The body must be a JSON object.', '')
  const model = json.text(json.get(0, 'model'))
  if (model === '' || model.length > MODEL_CHARACTERS_MAX) throw new UnreadableCall("'model' must be a string of 1 to 256 characters.", 'model')
  const messages = json.get(0, 'messages')
  if (!json.isArray(messages)) throw new UnreadableCall("'messages' must be an array.", 'messages')
  let index = 0
  for (let message = json.firstItem(messages); message !== NONE; message = json.next(message), index++) {
    if (!json.isObject(message)) throw new UnreadableCall(`'messages[${index}]' must be an object.`, `messages[${index}]`)
  }
  const stream = json.get(0, 'stream')
  const streaming = json.isTrue(stream)
  if (stream !== NONE && !streaming && !json.isFalse(stream) && !json.isNull(stream)) throw new UnreadableCall("'stream' must be true or false.", 'stream')
  return { model, streaming, messages }
}
