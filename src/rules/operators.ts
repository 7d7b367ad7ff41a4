/** What a leaf of a condition can ask. One entry per operator: how its value is read, and which of the policy's matchers does the work. */
import { detectorNamed, detectors } from './detectors.ts'
import { PATTERN_BYTES_MAX } from './matching/patterns.ts'
import { RuleError } from './rule-error.ts'

/** What a leaf asks, by the kind of matcher that answers. A policy has one matcher per kind, whatever the number of its rules. */
export type Operand =
  /** One of the phrases: anywhere in a text, at its start, at its end, or as the whole of it. `absent`: none of them, in any text. */
  | { kind: 'literal'; phrases: readonly string[]; at: 'anywhere' | 'start' | 'end' | 'whole'; exact: boolean; absent: boolean }
  | { kind: 'pattern'; source: string; exact: boolean }
  /** Detectors and dictionaries. */
  | { kind: 'detector'; names: readonly string[] }
  | { kind: 'number'; measure: Measure; comparison: Comparison; than: number }

export type LiteralPlace = Extract<Operand, { kind: 'literal' }>['at']

/** What of a target is compared: the number it is, or how long all its texts are together. */
export type Measure = 'value' | 'characters' | 'words'

/** How a number is compared. */
export const comparisons = {
  gt: (a: number, b: number) => a > b,
  gte: (a: number, b: number) => a >= b,
  lt: (a: number, b: number) => a < b,
  lte: (a: number, b: number) => a <= b,
  eq: (a: number, b: number) => a === b,
  ne: (a: number, b: number) => a !== b,
} as const
export type Comparison = keyof typeof comparisons

/** What a leaf's value is read against. */
export interface ValueContext {
  exact: boolean
  /** The names of the tenant's dictionaries. */
  dictionaries: ReadonlySet<string>
}

export interface Operator {
  about: string
  kind: Operand['kind']
  /** Whether it can be decided on a text that arrives in pieces, with a bound on what is held back. Only such operators may read replies. */
  streams: boolean
  /** Whether it holds because of something that stands somewhere, which can then be cut. */
  finds: boolean
  /** Reads a leaf's value, or throws a RuleError naming `path`. */
  parse(value: unknown, path: string, context: ValueContext): Operand
}

export const PHRASE_BYTES_MAX = 1024
export const PHRASES_PER_LIST_MAX = 1000

const onePhrase = (about: string, at: LiteralPlace, { streams = false, absent = false } = {}): Operator => ({
  about,
  kind: 'literal',
  streams,
  finds: !absent,
  parse: (value, path, { exact }) => ({ kind: 'literal', phrases: [phrase(value, path)], at, exact, absent }),
})
const listed = (about: string, { absent = false } = {}): Operator => ({
  about,
  kind: 'literal',
  streams: false,
  finds: !absent,
  parse: (value, path, { exact }) => ({ kind: 'literal', phrases: phraseList(value, path), at: 'whole', exact, absent }),
})
const counted = (about: string, measure: Measure, comparison: Comparison): Operator => ({
  about,
  kind: 'number',
  streams: false,
  finds: false,
  parse: (value, path) => ({ kind: 'number', measure, comparison, than: count(value, path) }),
})

export const operators: Readonly<Record<string, Operator>> = {
  contains: onePhrase('A text holds this phrase.', 'anywhere', { streams: true }),
  not_contains: onePhrase('No text holds this phrase.', 'anywhere', { absent: true }),
  equals: onePhrase('A whole text is this phrase.', 'whole'),
  not_equals: onePhrase('No whole text is this phrase.', 'whole', { absent: true }),
  starts_with: onePhrase('A text begins with this phrase.', 'start'),
  ends_with: onePhrase('A text ends with this phrase.', 'end'),
  in: listed(`A whole text is one of this list of at most ${PHRASES_PER_LIST_MAX} phrases.`),
  not_in: listed('No whole text is one of this list.', { absent: true }),
  regex: {
    about: 'A text holds a match of this pattern (RE2 syntax, searched in linear time; ^ and $ are the edges of the text).',
    kind: 'pattern',
    streams: false,
    finds: true,
    parse: (value, path, { exact }) => ({ kind: 'pattern', source: text(value, path, { what: 'pattern', bytesMax: PATTERN_BYTES_MAX }), exact }),
  },
  detects: {
    about: 'A text holds what a detector finds, or a term of a dictionary: its name, or a list of names.',
    kind: 'detector',
    streams: true,
    finds: true,
    parse: (value, path, { dictionaries }) => ({ kind: 'detector', names: namesOf(value, path, dictionaries) }),
  },
  length_gt: counted('All texts of the target together have more characters (code points) than this.', 'characters', 'gt'),
  length_lt: counted('All texts of the target together have fewer; a target without texts has none.', 'characters', 'lt'),
  word_count_gt: counted('All texts of the target together have more words, which white space parts, than this.', 'words', 'gt'),
  threshold: {
    about: `A number compares as \`{"op", "value"}\` says, where op is one of ${Object.keys(comparisons).join(', ')}. Estimates are numbers, headers and metadata where they look like one; of texts it is the length in characters.`,
    kind: 'number',
    streams: false,
    finds: false,
    parse: (value, path) => ({ kind: 'number', measure: 'value', ...threshold(value, path) }),
  },
}

const phrase = (value: unknown, path: string): string => text(value, path, { what: 'phrase', bytesMax: PHRASE_BYTES_MAX })

/** One phrase or term. Throws a RuleError naming `path`. */
export function text(value: unknown, path: string, { what, bytesMax }: { what: string; bytesMax: number }): string {
  if (typeof value !== 'string') throw new RuleError('invalid_request', path, `The ${what} must be a string.`)
  if (value === '') throw new RuleError('invalid_request', path, `The ${what} must not be empty.`)
  if (!value.isWellFormed() || value.includes('\0')) throw new RuleError('invalid_request', path, `The ${what} must be valid Unicode without U+0000.`)
  if (Buffer.byteLength(value) > bytesMax) throw new RuleError('config', path, `The ${what} is longer than ${bytesMax} bytes.`)
  return value
}

function phraseList(value: unknown, path: string): string[] {
  if (!Array.isArray(value) || value.length === 0) throw new RuleError('invalid_request', path, 'The value must be a list of at least one phrase.')
  if (value.length > PHRASES_PER_LIST_MAX)
    throw new RuleError('config', path, `The list is longer than ${PHRASES_PER_LIST_MAX}; make a dictionary of it, or two rules.`)
  return [...new Set(value.map((item: unknown, i) => phrase(item, `${path}[${i}]`)))]
}

function namesOf(value: unknown, path: string, dictionaries: ReadonlySet<string>): string[] {
  const names: unknown[] = Array.isArray(value) ? value : [value]
  if (names.length === 0 || names.length > detectors.length + dictionaries.size)
    throw new RuleError('invalid_request', path, 'Name one detector or dictionary, or a list of them, each once.')
  const parsed = names.map((name, i) => {
    const place = Array.isArray(value) ? `${path}[${i}]` : path
    if (typeof name !== 'string') throw new RuleError('invalid_request', place, 'The name of a detector or dictionary must be a string.')
    if (!detectorNamed(name) && !dictionaries.has(name))
      throw new RuleError('config', place, `There is no such detector or dictionary; ${known(dictionaries)}.`)
    return name
  })
  return [...new Set(parsed)]
}

const NAMES_TOLD_MAX = 50

function known(dictionaries: ReadonlySet<string>): string {
  const told = [...dictionaries].slice(0, NAMES_TOLD_MAX)
  const rest = dictionaries.size - told.length
  const named = told.length === 0 ? 'the tenant has no dictionary' : `dictionaries are ${told.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`
  return `detectors are ${detectors.map(({ name }) => name).join(', ')}; ${named}`
}

function count(value: unknown, path: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new RuleError('invalid_request', path, 'The value must be a whole number from 0.')
  return value
}

function threshold(value: unknown, path: string): { comparison: Comparison; than: number } {
  const names = Object.keys(comparisons).join(', ')
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new RuleError('invalid_request', path, 'The value must be {"op", "value"}.')
  const { op, value: than, ...rest } = value as Record<string, unknown>
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) throw new RuleError('invalid_request', `${path}.${unknown}`, 'There is no member of this name here; there are op, value.')
  if (typeof op !== 'string' || !Object.hasOwn(comparisons, op)) throw new RuleError('invalid_request', `${path}.op`, `"op" must be one of ${names}.`)
  if (typeof than !== 'number' || !Number.isFinite(than)) throw new RuleError('invalid_request', `${path}.value`, '"value" must be a number.')
  return { comparison: op as Comparison, than }
}
