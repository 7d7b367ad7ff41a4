/** What becomes of the fields that version 2 does not have: they are kept, without the texts of calls and replies. */

/** What PostgreSQL reads, and what the product allows in a call. */
const DEPTH_MAX = 64
export class TooDeep extends Error {
  constructor() {
    super(`it is nested deeper than ${DEPTH_MAX} levels`)
  }
}

/** Fields whose texts are what somebody said to a model or was told by one. `scripts/README.md` is compared with this list by a test. */
export const textFields: readonly string[] =
  'answer body completion content input messages original_prompt output prompt prompt_text raw_prompt redacted_prompt reply request_body response response_body response_text system_prompt text'.split(
    ' ',
  )

const REMOVED = '[text removed]'
/** Shorter prompts may stand anywhere by chance. */
const PROMPT_CHARACTERS_MIN = 6
/** Shorter texts may be part of any prompt. */
const EXTRACT_CHARACTERS_MIN = 16

/** Fields, in which the texts of `textFields` are replaced at any depth, and all that repeat the prompt or an extract of it. Throws TooDeep. */
export function kept(fields: object, prompt: string | null): Record<string, unknown> {
  const repeats = (text: string): boolean =>
    prompt !== null && ((prompt.length >= PROMPT_CHARACTERS_MIN && text.includes(prompt)) || (text.length >= EXTRACT_CHARACTERS_MIN && prompt.includes(text)))
  const copyMembers = (of: object, depth: number, isText: boolean): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(of).map(([name, value]) => [
        repeats(name) ? REMOVED : storable(name),
        copy(value, depth + 1, isText || textFields.includes(name.toLowerCase())),
      ]),
    )
  const copy = (value: unknown, depth: number, isText: boolean): unknown => {
    if (depth > DEPTH_MAX) throw new TooDeep()
    if (typeof value === 'string') return isText || repeats(value) ? REMOVED : storable(value)
    if (Array.isArray(value)) return value.map((item) => copy(item, depth + 1, isText))
    return typeof value === 'object' && value !== null ? copyMembers(value, depth, isText) : value
  }
  return copyMembers(fields, 0, false)
}

/** Text as the database can hold it: jsonb knows neither NUL nor half a surrogate pair. */
export const storable = (text: string): string => text.replaceAll('\0', '\uFFFD').toWellFormed()
