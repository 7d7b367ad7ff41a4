/**
 * Finds the provider's token counts in the two ends of a reply, where every provider puts them. Only members in their own place count: a reply
 * may hold the word "usage", and whole JSON objects with it, in its texts and tool arguments.
 */
import type { Usage } from '../call.ts'

type Counts = Record<string, unknown>
export type UsageObject = Readonly<Counts>

/** How far into a reply, and how far back from its end, a count is looked for (characters; one is one byte of the reply). */
const FROM_START = 2048
const FROM_END = 64 << 10

/**
 * Every usage object of a reply, in the order of the bytes: the member `usage` (or however it is called) of a plain reply, or of each event of a
 * streamed one, at its top or in the object of its member `wrapper`. `ends` is the first and the last bytes of the reply as Latin-1. Of an event
 * that is cut in between, its end counts alone.
 */
export function usagesIn(ends: string, wrapper?: string, member = 'usage'): UsageObject[] {
  const first = ends.charCodeAt(pastSpaces(ends, 0, 1))
  if (first === OPEN || first === OPEN_LIST) {
    let end = pastSpaces(ends, ends.length - 1, -1)
    // Of a list of responses the last has the last word.
    if (ends.charCodeAt(end) === CLOSE_LIST) end = pastSpaces(ends, end - 1, -1)
    const found = before(ends, member, { end }) ?? after(ends, member)
    return found === null ? [] : [found]
  }
  const found: UsageObject[] = []
  const name = `"${member}"`
  for (let at = ends.indexOf(name), next: number; at >= 0; at = ends.indexOf(name, next)) {
    next = at + name.length
    // Asked to count, many say so in every event, and count in the last.
    if (ends.startsWith(':null', next)) continue
    const start = startOfLine(ends, at)
    const end = endOfLine(ends, at)
    const line = ends.slice(start, end)
    const isCut = start <= FROM_START && end > FROM_START
    next = end
    if (!isCut && !line.startsWith('data:')) continue
    const event = parse(line.slice(5))
    const usage = isObject(event)
      ? (event[member] ?? (wrapper === undefined ? null : within(event, wrapper)[member]))
      : isCut && before(line, member, { deep: wrapper === undefined ? 1 : 2 })
    if (isObject(usage)) found.push(usage)
  }
  return found
}

function startOfLine(text: string, within: number): number {
  let at = within
  while (at > 0 && !isLineEnd(text.charCodeAt(at - 1))) at--
  return at
}
function endOfLine(text: string, within: number): number {
  let at = within
  while (at < text.length && !isLineEnd(text.charCodeAt(at))) at++
  return at
}
const isLineEnd = (code: number): boolean => code === LF || code === CR
const LF = 0x0a
const CR = 0x0d

/** No reply takes more. Who counts further has not counted, and money is not multiplied by it. */
const TOKENS_MAX = 1_000_000_000

/** A count, or undefined for anything that is none. */
export const count = (value: unknown): number | undefined =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= TOKENS_MAX ? (value as number) : undefined

/** The sum of the counts there are; undefined where there are none. */
export function sum(...values: readonly unknown[]): number | undefined {
  const counts = values.map(count).filter((one) => one !== undefined)
  return counts.length === 0 ? undefined : counts.reduce((total, one) => total + one, 0)
}

/** The object under a member, or an empty one. */
export const within = (usage: UsageObject, member: string): UsageObject => {
  const value = usage[member]
  return isObject(value) ? value : {}
}

/** The objects in the list under a member. */
export const listIn = (usage: UsageObject, member: string): readonly UsageObject[] => {
  const value = usage[member]
  return Array.isArray(value) ? value.filter(isObject) : []
}

/** What a usage object counts, as far as it does. */
export type Counted = { [Field in keyof Usage]: Usage[Field] | undefined }
const fields = [
  'input_tokens',
  'output_tokens',
  'cached_input_tokens',
  'cache_write_tokens',
  'cache_write_1h_tokens',
  'reasoning_tokens',
  'audio_input_tokens',
  'audio_output_tokens',
] as const

/** Count by count. */
const eachField = (count: (field: (typeof fields)[number]) => number | undefined): Counted =>
  Object.fromEntries(fields.map((field) => [field, count(field)])) as Counted
export const sumOf = (counted: readonly Counted[]): Counted => eachField((field) => sum(...counted.map((one) => one[field])))
export const largestOf = (...counted: readonly Counted[]): Counted => eachField((field) => most(counted.map((one) => one[field])))
const most = (counts: readonly (number | undefined)[]): number | undefined => {
  const known = counts.filter((one) => one !== undefined)
  return known.length === 0 ? undefined : Math.max(...known)
}

/** Tokens by the names that OpenAI's formats with choices have. */
export const choiceTokensIn = (usage: UsageObject): Counted =>
  tokensOf(usage, usage.prompt_tokens, usage.completion_tokens, within(usage, 'prompt_tokens_details'), within(usage, 'completion_tokens_details'))

/** Tokens by the names that all its other formats have. Transcriptions write the first details in the singular. */
export const tokensIn = (usage: UsageObject): Counted =>
  tokensOf(
    usage,
    usage.input_tokens,
    usage.output_tokens,
    { ...within(usage, 'input_token_details'), ...within(usage, 'input_tokens_details') },
    within(usage, 'output_tokens_details'),
  )

/** The longest thoughts that a total is believed to hold where nobody counts them apart: no model answers with more. */
const THOUGHT_TOKENS_MAX = 128 << 10

/**
 * Some compatible providers, xAI and Google among them, leave reasoning out of the output and add it to the total. It is so many tokens as they count for
 * it, or where they do not, no more than thoughts can be long: a total beyond that is no count.
 */
function wholeOutput(said: number, beside: number, reasoning: number | undefined): number {
  if (reasoning !== undefined) return said + Math.min(reasoning, Math.max(0, beside))
  return beside > 0 && beside <= THOUGHT_TOKENS_MAX ? said + beside : said
}

function tokensOf({ total_tokens }: UsageObject, input: unknown, output: unknown, inputDetails: UsageObject, outputDetails: UsageObject): Counted {
  const [asked, said, total] = [count(input), count(output), count(total_tokens)]
  const reasoning = count(outputDetails.reasoning_tokens)
  return {
    input_tokens: asked,
    output_tokens: said === undefined || asked === undefined || total === undefined ? said : wholeOutput(said, total - asked - said, reasoning),
    cached_input_tokens: count(inputDetails.cached_tokens),
    cache_write_tokens: count(inputDetails.cache_write_tokens),
    audio_input_tokens: count(inputDetails.audio_tokens),
    reasoning_tokens: reasoning,
    audio_output_tokens: count(outputDetails.audio_tokens),
  }
}

/** Later counts replace earlier ones: providers count up, they do not add. Null if neither side was counted. */
export function lastOf(counted: readonly Counted[]): Usage | null {
  const last: Usage = { input_tokens: 0, output_tokens: 0 }
  let isCounted = false
  for (const one of counted) {
    isCounted ||= one.input_tokens !== undefined || one.output_tokens !== undefined
    for (const field of fields) if (one[field] !== undefined) last[field] = one[field]
  }
  return isCounted ? last : null
}

const isObject = (value: unknown): value is Counts => typeof value === 'object' && value !== null && !Array.isArray(value)

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null // cut in two, or no JSON: no count, and nothing a message may quote
  }
}

const [OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, COMMA, COLON, QUOTE, BACKSLASH] = Buffer.from('{}[],:"\\')

/** The first place from `at` on, towards the end (`step` 1) or the front (-1), that holds no space of JSON's. */
function pastSpaces(text: string, at: number, step: 1 | -1): number {
  for (let code = text.charCodeAt(at); code === 0x20 || (code >= 0x09 && code <= 0x0d); code = text.charCodeAt(at)) at += step
  return at
}

/**
 * The member of the root, or with `deep` 2 of an object in the root, read from the root's closing brace, at `end`, towards the front. Inside a string every
 * quote has an odd number of backslashes before it, so the direction does not matter.
 */
function before(ends: string, member: string, { deep = 1, end: last = pastSpaces(ends, ends.length - 1, -1) }): UsageObject | null {
  const first = Math.max(0, last + 1 - FROM_END)
  if (ends.charCodeAt(last) !== CLOSE) return null
  let depth = 1
  let end = last // of the member's value that is being passed
  for (let at = last - 1; at >= first; at--) {
    const code = ends.charCodeAt(at)
    if (code === CLOSE || code === CLOSE_LIST) {
      if (++depth === deep) end = at
    } else if (code === OPEN || code === OPEN_LIST) {
      if (--depth === 0) return null
    } else if (code === COMMA && depth === deep) end = at
    else if (code === QUOTE) {
      const close = at
      for (at--; at >= first && (ends.charCodeAt(at) !== QUOTE || isEscaped(ends, at)); at--);
      if (at < first) return null
      if (depth !== deep || close - at !== member.length + 1 || !ends.startsWith(member, at + 1)) continue
      const colon = pastSpaces(ends, close + 1, 1)
      if (ends.charCodeAt(colon) !== COLON || colon - close > SPACES_MAX) continue
      const usage = parse(ends.slice(colon + 1, end))
      return isObject(usage) ? usage : null
    }
  }
  return null
}
/** Between a name and its colon. */
const SPACES_MAX = 64

/** The same from the front, for providers that count before they answer. */
function after(ends: string, member: string): UsageObject | null {
  let depth = 0
  let key = ''
  let from = -1
  for (let at = 0; at < Math.min(ends.length, FROM_START); at++) {
    const char = ends[at]
    if (char === '"') {
      const open = at
      for (at++; at < ends.length && ends[at] !== '"'; at++) if (ends[at] === '\\') at++
      key = depth === 1 ? ends.slice(open, at + 1) : ''
    } else if (char === ':' && depth === 1 && key === `"${member}"`) from = at + 1
    else if (char === '{' || char === '[') depth++
    else if (char === '}' || char === ']') {
      depth--
      if (depth === 1 && from >= 0) {
        const usage = parse(ends.slice(from, at + 1))
        return isObject(usage) ? usage : null
      }
      if (depth === 0) return null
    } else if (char === ',' && depth === 1) from = -1
  }
  return null
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0
  while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++
  return backslashes % 2 === 1
}
