/** What is put to OpenAI's older endpoints: a text, several, parts as messages have them, or a text as numbers of tokens. */

import { type Json, NONE } from '../bodies/json.ts'
import { type Mark, UnreadableCall } from '../dialect.ts'
import { readPart } from './openai-items.ts'

/**
 * Marks the texts of a prompt and returns its node, or NONE where there is none. A list of numbers is opaque: no rule can read it. Throws
 * UnreadableCall for what is none of these.
 */
export function readPrompts(json: Json, name: 'prompt' | 'input', mark: Mark): number {
  const prompt = json.get(0, name)
  if (prompt === NONE || json.isNull(prompt)) return NONE
  if (json.isString(prompt)) mark(prompt, 'user')
  else if (!json.isArray(prompt)) throw new UnreadableCall(`'${name}' must be a string or an array.`, name)
  else if (isNumber(json, json.firstItem(prompt))) mark(prompt, 'opaque')
  let index = 0
  for (let item = json.firstItem(prompt); item !== NONE; item = json.next(item), index++) {
    if (json.isString(item)) mark(item, 'user')
    else if (json.isArray(item)) mark(item, 'opaque')
    else if (json.isObject(item)) readPart(json, item, 'user', mark)
    else if (!isNumber(json, item)) throw new UnreadableCall(`'${name}[${index}]' must be a string, an object or tokens.`, `${name}[${index}]`)
  }
  return prompt
}

/** How many there are in what `readPrompts` returned: a text as numbers is one. */
export function countPrompts(json: Json, prompt: number): number {
  let count = 0
  for (let item = json.firstItem(prompt); item !== NONE && !isNumber(json, item); item = json.next(item)) count++
  return Math.max(1, count)
}

const isNumber = (json: Json, node: number): boolean => !Number.isNaN(json.number(node))
