/** OpenAI's moderations, `POST /v1/moderations`: texts and pictures in, scores out. */

import { NONE } from '../bodies/json.ts'
import { markAll } from '../bodies/walk.ts'
import { checkObject, modelsIfAny } from '../call-head.ts'
import { type Dialect, NOTHING_CLOSED } from '../dialect.ts'
import { errorEvent, openai } from './openai.ts'
import { readPrompts } from './openai-prompts.ts'

export const openaiModerations: Dialect = {
  name: 'openai-moderations',
  vendor: openai,
  paths: ['/v1/moderations'],
  isLastEvent: () => false,

  readCall(json, mark, _path, pathModel) {
    checkObject(json, 0)
    const models = modelsIfAny(json, pathModel)
    const lastMessage = readPrompts(json, 'input', mark)
    mark(json.get(0, 'model'), 'protocol')
    return { models, streaming: false, lastMessage, maxOutputTokens: 0 }
  },

  readReply(json, mark) {
    const results = json.get(0, 'results')
    for (let result = json.firstItem(results); result !== NONE; result = json.next(result))
      markAll(json, json.get(result, 'category_applied_input_types'), 'protocol', mark)
    for (const name of ['id', 'model']) mark(json.get(0, name), 'protocol')
  },

  readEvent: () => NOTHING_CLOSED, // this format is not streamed
  eachRepeat() {}, // and has nothing of the kind
  readUsage: () => null,
  stopStream: ({ refusal }) => errorEvent(refusal),
}
