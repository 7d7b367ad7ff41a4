/** OpenAI's embeddings, `POST /v1/embeddings`: texts in, vectors out. */

import { NONE } from '../bodies/json.ts'
import { markSealed } from '../bodies/media.ts'
import { checkObject, modelsOf } from '../call-head.ts'
import { type Dialect, NOTHING_CLOSED } from '../dialect.ts'
import { errorEvent, openai } from './openai.ts'
import { readChoicesUsage } from './openai-choices.ts'
import { readPrompts } from './openai-prompts.ts'

export const openaiEmbeddings: Dialect = {
  name: 'openai-embeddings',
  vendor: openai,
  paths: ['/v1/embeddings'],
  isLastEvent: () => false,

  readCall(json, mark, _path, pathModel) {
    checkObject(json, 0)
    const models = modelsOf(json, pathModel)
    const lastMessage = readPrompts(json, 'input', mark)
    for (const name of ['model', 'encoding_format']) mark(json.get(0, name), 'protocol')
    return { models, streaming: false, lastMessage, maxOutputTokens: 0 }
  },

  readReply(json, mark) {
    const data = json.get(0, 'data')
    for (let one = json.firstItem(data); one !== NONE; one = json.next(one)) {
      mark(json.get(one, 'object'), 'protocol')
      // A vector, which the client libraries ask for as base64: the same numbers as in a list, and no more a medium than they are.
      markSealed(json, json.get(one, 'embedding'), mark)
    }
    for (const name of ['object', 'model']) mark(json.get(0, name), 'protocol')
  },

  readEvent: () => NOTHING_CLOSED, // this format is not streamed
  eachRepeat() {}, // and has nothing of the kind
  readUsage: readChoicesUsage,
  stopStream: ({ refusal }) => errorEvent(refusal),
}
