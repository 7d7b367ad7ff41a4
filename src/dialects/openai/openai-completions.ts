/** OpenAI's older completions, `POST /v1/completions`: a prompt is gone on with. */

import { NONE } from '../bodies/json.ts'
import { checkObject, modelsOf, readAnswers, readStreaming, readTokens, tokensOfAll } from '../call-head.ts'
import { CHANNELS_PER_CHOICE, type Dialect, NOTHING_CLOSED } from '../dialect.ts'
import { indexOf } from '../events/channels.ts'
import { openai } from './openai.ts'
import { eachChoiceRepeat, isDoneEvent, readChoicesUsage, stopChoices } from './openai-choices.ts'
import { countPrompts, readPrompts } from './openai-prompts.ts'

export const openaiCompletions: Dialect = {
  name: 'openai-completions',
  vendor: openai,
  paths: ['/v1/completions'],
  isLastEvent: isDoneEvent,

  readCall(json, mark, _path, pathModel) {
    checkObject(json, 0)
    const models = modelsOf(json, pathModel)
    const streaming = readStreaming(json)
    const lastMessage = readPrompts(json, 'prompt', mark)
    mark(json.get(0, 'suffix'), 'user')
    mark(json.get(0, 'model'), 'protocol')
    // Of `best_of` answers all are paid, and `n` are told.
    const answers = readAnswers(json, 0, 'n', 'best_of') * countPrompts(json, lastMessage)
    return { models, streaming, lastMessage, maxOutputTokens: tokensOfAll(readTokens(json, 0, 'max_tokens'), answers), answers }
  },

  readReply(json, mark) {
    const choices = json.get(0, 'choices')
    for (let choice = json.firstItem(choices); choice !== NONE; choice = json.next(choice)) {
      mark(json.get(choice, 'text'), 'assistant')
      mark(json.get(choice, 'finish_reason'), 'protocol')
    }
    for (const name of ['id', 'object', 'model', 'system_fingerprint']) mark(json.get(0, name), 'protocol')
  },

  readEvent(json, mark) {
    let closed = NOTHING_CLOSED
    const choices = json.get(0, 'choices')
    for (let choice = json.firstItem(choices); choice !== NONE; choice = json.next(choice)) {
      const index = indexOf(json, json.get(choice, 'index'))
      mark(json.get(choice, 'text'), index * CHANNELS_PER_CHOICE, 'assistant')
      if (json.isString(json.get(choice, 'finish_reason'))) closed = index
    }
    return closed
  },

  eachRepeat: eachChoiceRepeat,
  readUsage: readChoicesUsage,
  stopStream: stopChoices('text_completion', { text: '' }),
}
