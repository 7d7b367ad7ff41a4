/** JSON that no dialect describes, such as a file's metadata or a fine-tuning job: read string by string, so that every text in it is judged. */

import { type Json, NONE } from './bodies/json.ts'
import { markDataUri } from './bodies/media.ts'
import { modelsBeside, readAnswers, readModel, readTokens, tokensOfAll } from './call-head.ts'
import { CHANNELS_PER_CHOICE, type Dialect, type Mark, NOTHING_CLOSED, type Stop, type Vendor } from './dialect.ts'

/** Channels of one stream; the strings of its events at one path are one text, and paths are told apart by a hash of this many values. */
const PATHS_MAX = 1 << 20

/**
 * Where a body names its model: at its top; in the settings of a live talk that a client begins with a token of its own, at OpenAI's and at Google's; of
 * a grader that is tried out; of the runs of an evaluation.
 */
const HOLDERS: readonly (readonly string[])[] = [[], ['session'], ['bidiGenerateContentSetup', 'setup'], ['grader'], ['data_source']]

/**
 * `stopStream` is that of the vendor's main format: a client library of that vendor is listening, whatever the stream tells. `readUsage` finds the counts
 * in whatever format they come.
 */
export const genericJson = (vendor: Vendor, stopStream: (stop: Stop) => string, readUsage: Dialect['readUsage']): Dialect => ({
  name: 'generic-json',
  vendor,
  paths: [],
  readCall(json, mark, _path, pathModel) {
    markStrings(json, mark)
    const models = new Set<string>()
    if (pathModel !== null) models.add(pathModel)
    // Elsewhere the member may be anything, but where it is a name it is one that counts.
    const add = (holder: number, path: readonly string[], member = 'model'): void => {
      const model = json.get(holder, member)
      if (json.isString(model) && json.text(model) !== '') models.add(readModel(json, holder, [...path, member].join('.'), member).replace(/^models\//, ''))
    }
    for (const path of HOLDERS) add(at(json, path), path)
    const graders = at(json, ['grader', 'graders'])
    for (let key = json.firstMember(graders); key !== NONE; key = json.next(key)) add(json.value(key), ['grader', 'graders'])
    add(0, [], 'agent_id') // Mistral's: an agent works with a model of its own, and stands for it
    if (models.size > 0) for (const model of modelsBeside(json)) models.add(model)
    const answers = readAnswers(json, 0, 'n')
    const maxOutputTokens = tokensOfAll(readTokens(json, 0, 'max_tokens', 'max_completion_tokens', 'max_output_tokens'), answers)
    return { models: [...models], streaming: json.isTrue(json.get(0, 'stream')), lastMessage: NONE, maxOutputTokens, answers }
  },
  readReply: (json, mark) => markStrings(json, mark),
  readEvent(json, mark) {
    eachValue(json, 0, 0, (node, path) => mark(node, (path % PATHS_MAX) * CHANNELS_PER_CHOICE, 'other'))
    return NOTHING_CLOSED
  },
  eachRepeat() {}, // nobody knows what repeats what
  readUsage,
  stopStream: (stop) => stopStream({ ...stop, open: [] }), // what this stream has begun is nothing of that format
  isLastEvent: () => false,
})

const at = (json: Json, path: readonly string[]): number => path.reduce((node, name) => json.get(node, name), 0)

/** Says of every string whether it is media; base64 that does not say so is text, because anything may hide behind it. */
export const markStrings = (json: Json, mark: Mark): void => eachValue(json, 0, 0, (node) => markDataUri(json, node, mark))

/** Visits every string value with a hash of the names and positions that lead to it. The reader bounds the depth. */
function eachValue(json: Json, node: number, path: number, visit: (node: number, path: number) => void): void {
  if (json.isString(node)) visit(node, path)
  for (let key = json.firstMember(node); key !== NONE; key = json.next(key)) {
    let deeper = path
    for (const char of json.name(key) || json.text(key)) deeper = (Math.imul(deeper, 31) + (char.codePointAt(0) as number) + 7) >>> 0
    eachValue(json, json.value(key), deeper, visit)
  }
  let index = 0
  for (let item = json.firstItem(node); item !== NONE; item = json.next(item)) eachValue(json, item, (Math.imul(path, 31) + ++index) >>> 0, visit)
}
