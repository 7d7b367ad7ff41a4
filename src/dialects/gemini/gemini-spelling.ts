/**
 * The JSON mapping of protocol buffers, as Google reads it (protobuf.dev/programming-guides/json): two spellings of every name, lists of one without
 * brackets.
 */
import { type Json, NONE } from '../bodies/json.ts'

/** A name as the documentation spells it, whichever way it came: `inline_data` is `inlineData`. */
export const camel = (name: string): string => (name.includes('_') ? name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()) : name)

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** The member of that (camelCase) name in either spelling; where both stand, the one in camelCase. */
export function member(json: Json, node: number, name: string): number {
  const value = json.get(node, name)
  return value === NONE ? json.get(node, snake(name)) : value
}

/** The items of a list, or the one object that stands for a list of one; nothing for anything else. */
export function eachOf(json: Json, node: number): readonly number[] {
  if (json.isObject(node)) return [node]
  const items: number[] = []
  for (let item = json.firstItem(node); item !== NONE; item = json.next(item)) items.push(item)
  return items
}
