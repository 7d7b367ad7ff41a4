/** What OpenAI's forms (multipart/form-data) say of a call. */
import type { Role } from '../../call.ts'
import { answersWithin, MODEL_CHARACTERS_MAX } from '../call-head.ts'
import { type FormField, UnreadableCall } from '../dialect.ts'

/** The models a form names: a field may come twice, and then every one is meant. Throws UnreadableCall for what is no name. */
export function formModels(fields: readonly FormField[], pathModel: string | null): readonly string[] {
  const named = fields.filter(({ name, filename }) => name === 'model' && filename === null).map(({ text }) => text ?? '')
  if (named.some((model) => model === '' || model.length > MODEL_CHARACTERS_MAX))
    throw new UnreadableCall(`'model' must be a string of 1 to ${MODEL_CHARACTERS_MAX} characters.`, 'model')
  return [...new Set(pathModel === null ? named : [pathModel, ...named])]
}

/** Whether the reply is to be streamed. Throws UnreadableCall for what is no flag, or two that differ: the provider might read the other one. */
export function formStreaming(fields: readonly FormField[]): boolean {
  const said = new Set(fields.filter(({ name, filename }) => name === 'stream' && filename === null).map(({ text }) => text))
  if (said.size > 1 || [...said].some((text) => text !== 'true' && text !== 'false')) throw new UnreadableCall("'stream' must be true or false.", 'stream')
  return said.has('true')
}

/** How many answers the form asks for at once: of fields that come twice the largest. */
export const formAnswers = (fields: readonly FormField[]): number =>
  Math.max(1, ...fields.filter(({ name, filename }) => name === 'n' && filename === null).map(({ text }) => answersWithin(Number(text))))

/** Marks the fields that have a role; what stands in files, and in other fields, is read for what it is. A field whose name ends in `[]` is one of a list. */
export function markFields(fields: readonly FormField[], roles: ReadonlyMap<string, Role>, mark: (field: FormField, role: Role) => void): void {
  for (const field of fields) {
    const role = field.filename === null ? roles.get(field.name.replace(/\[\d*\]$/, '')) : undefined
    if (role !== undefined) mark(field, role)
  }
}
