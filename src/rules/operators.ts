/** What a leaf of a condition can ask. One entry per operator: how its value is read, and which of the policy's matchers does the work. */
import { detectorNamed, detectors } from './detectors.ts'
import { PATTERN_BYTES_MAX } from './patterns.ts'
import { RuleError } from './rule-error.ts'

/** What a leaf asks of a text, by the kind of matcher that answers. A policy has one matcher per kind, whatever the number of its rules. */
export type Operand =
  /** `whole`: the phrase must be all of a text, not a part of it. */
  | { kind: 'literal'; text: string; whole: boolean; exact: boolean }
  | { kind: 'pattern'; source: string; exact: boolean }
  | { kind: 'detector'; names: readonly string[] }

export interface Operator {
  about: string
  kind: Operand['kind']
  /** Whether it can be decided on a text that arrives in pieces, with a bound on what is held back. Only such operators may read replies. */
  streams: boolean
  /** Reads a leaf's value, or throws a RuleError naming `path`. */
  parse(value: unknown, path: string, exact: boolean): Operand
}

export const PHRASE_BYTES_MAX = 1024

export const operators: Readonly<Record<string, Operator>> = {
  contains: {
    about: 'The text holds this phrase.',
    kind: 'literal',
    streams: true,
    parse: (value, path, exact) => ({ kind: 'literal', text: phrase(value, path), whole: false, exact }),
  },
  equals: {
    about: 'The whole text is this phrase.',
    kind: 'literal',
    streams: false,
    parse: (value, path, exact) => ({ kind: 'literal', text: phrase(value, path), whole: true, exact }),
  },
  regex: {
    about: 'The text holds a match of this pattern (RE2 syntax, searched in linear time; ^ and $ are the edges of the text).',
    kind: 'pattern',
    streams: false,
    parse: (value, path, exact) => ({ kind: 'pattern', source: text(value, path, { what: 'pattern', bytesMax: PATTERN_BYTES_MAX }), exact }),
  },
  detects: {
    about: `The text holds what a detector finds: ${detectors.map(({ name }) => name).join(', ')}.`,
    kind: 'detector',
    streams: true,
    parse: (value, path) => ({ kind: 'detector', names: detectorNames(value, path) }),
  },
}

const phrase = (value: unknown, path: string): string => text(value, path, { what: 'phrase', bytesMax: PHRASE_BYTES_MAX })

function text(value: unknown, path: string, { what, bytesMax }: { what: string; bytesMax: number }): string {
  if (typeof value !== 'string') throw new RuleError('invalid_request', path, `The ${what} must be a string.`)
  if (value === '') throw new RuleError('invalid_request', path, `The ${what} must not be empty.`)
  if (!value.isWellFormed() || value.includes('\0')) throw new RuleError('invalid_request', path, `The ${what} must be valid Unicode without U+0000.`)
  if (Buffer.byteLength(value) > bytesMax) throw new RuleError('config', path, `The ${what} is longer than ${bytesMax} bytes.`)
  return value
}

function detectorNames(value: unknown, path: string): string[] {
  const names: unknown[] = Array.isArray(value) ? value : [value]
  if (names.length === 0 || names.length > detectors.length)
    throw new RuleError('invalid_request', path, `Name one detector, or a list of at most ${detectors.length}.`)
  return names.map((name, i) => {
    const place = Array.isArray(value) ? `${path}[${i}]` : path
    if (typeof name !== 'string') throw new RuleError('invalid_request', place, 'The name of a detector must be a string.')
    if (!detectorNamed(name)) throw new RuleError('config', place, `There is no such detector; there are ${detectors.map((one) => one.name).join(', ')}.`)
    return name
  })
}
