/** What callers say about their calls in the body. It is theirs to write and ours to bound. */
import type { ModelCall } from '../../call.ts'
import type { FormField } from '../dialect.ts'
import { type Json, NONE } from './json.ts'

/** Entries, and characters of a name or a text, beyond which nothing is kept; headers have the same bounds. */
export const ENTRIES_MAX = 16
export const TEXT_MAX = 256

/** OpenAI's name for the user, and the one that comes after it. */
const USER = ['user', 'safety_identifier'] as const

/** The same of a form, which has no metadata beside the user. */
export function formMetadata(fields: readonly FormField[]): ModelCall['metadata'] {
  const said = USER.map((member) => fields.find(({ name, filename, text }) => name === member && filename === null && text)?.text)
  const user = said.find((text) => text != null)
  return user == null ? {} : { user: user.slice(0, TEXT_MAX) }
}

/** The body's `metadata` member, and OpenAI's user beside it as `user`, which goes before one of that name within. */
export function readMetadata(json: Json): ModelCall['metadata'] {
  const metadata: Record<string, string | number | boolean> = {}
  const node = json.get(0, 'metadata')
  let count = 0
  for (let key = json.firstMember(node); key !== NONE && count < ENTRIES_MAX; key = json.next(key), count++) {
    const value = json.value(key)
    const name = json.name(key) || json.text(key)
    if (json.isString(value)) metadata[name.slice(0, TEXT_MAX)] = json.text(value).slice(0, TEXT_MAX)
    else if (json.isTrue(value) || json.isFalse(value)) metadata[name.slice(0, TEXT_MAX)] = json.isTrue(value)
    else if (Number.isFinite(json.number(value))) metadata[name.slice(0, TEXT_MAX)] = json.number(value)
  }
  const user = USER.map((member) => json.text(json.get(0, member))).find((text) => text !== '')
  if (user !== undefined) metadata.user = user.slice(0, TEXT_MAX)
  return metadata
}
