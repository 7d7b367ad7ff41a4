/** What callers say about their calls in the body. It is theirs to write and ours to bound. */
import type { ModelCall } from '../../call.ts'
import { type Json, NONE } from './json.ts'

/** Entries, and characters of a name or a text, beyond which nothing is kept; headers have the same bounds. */
export const ENTRIES_MAX = 16
export const TEXT_MAX = 256

/** The body's `metadata` member, and OpenAI's `user` beside it under its own name. */
export function readMetadata(json: Json): ModelCall['metadata'] {
  const metadata: Record<string, string | number | boolean> = {}
  const user = json.text(json.get(0, 'user'))
  if (user !== '') metadata.user = user.slice(0, TEXT_MAX)
  const node = json.get(0, 'metadata')
  if (!json.isObject(node)) return metadata
  let count = 0
  for (let key = json.firstMember(node); key !== NONE && count < ENTRIES_MAX; key = json.next(key), count++) {
    const value = json.value(key)
    const name = json.name(key) || json.text(key)
    if (json.isString(value)) metadata[name.slice(0, TEXT_MAX)] = json.text(value).slice(0, TEXT_MAX)
    else if (json.isTrue(value) || json.isFalse(value)) metadata[name.slice(0, TEXT_MAX)] = json.isTrue(value)
    else if (Number.isFinite(json.number(value))) metadata[name.slice(0, TEXT_MAX)] = json.number(value)
  }
  return metadata
}
