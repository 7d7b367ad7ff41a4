/** Numbers of a fixed shape, such as 850709-9805 or DE89 3704 0044 0532 0130 00: found by their shape, believed by their check digits or their context. */
import { isDigit, textOf } from './characters.ts'
import type { Found } from './found.ts'

export interface Shape {
  /** The detector it belongs to. */
  kind: string
  /** `9` is a digit, `A` a letter, `*` either; a space, dash, dot or slash stands for itself. */
  templates: readonly string[]
  /** Whether letters and digits, upper case and without separators, are such a number. `written` is how it stands in the text. */
  isValid(compact: string, written: string): boolean
  /** What must stand before a number whose check digits are too weak to tell it from any other. */
  context?: RegExp
}

/** How far before a number its context may begin. */
export const CONTEXT_BYTES_MAX = 48

const OTHER = 0
const DIGIT = 1
const LETTER = 2
/** Of no template; Markdown has it at the edges of words. */
const UNDERSCORE = 3
const SPACE = 4
const SEPARATORS = ' -./'
const SLASH = SPACE + SEPARATORS.indexOf('/')
const WIDTH = SPACE + SEPARATORS.length
const kinds = new Uint8Array(256)
for (let byte = 0; byte < 128; byte++) {
  const character = String.fromCharCode(byte)
  const separator = SEPARATORS.indexOf(character)
  kinds[byte] = /\d/.test(character) ? DIGIT : /[a-z]/i.test(character) ? LETTER : character === '_' ? UNDERSCORE : separator < 0 ? OTHER : SPACE + separator
}
const isWord = (kind: number): boolean => kind >= DIGIT && kind <= UNDERSCORE

interface Template {
  shape: Shape
  symbols: string
  spaced: boolean
}
/** By state and kind of byte: the next state; 0 is none. State 1 is the beginning. */
interface Machine {
  table: Uint16Array
  /** By state: the templates that end there; null is none. */
  ends: readonly (readonly Template[] | null)[]
}

/** Reads on from the beginning of a word at `start`, and answers where the longest number that begins there ends; `start` where none does. */
export type ShapeReader = (text: Buffer, start: number, to: number, found: Found) => number

/** A number begins and ends at the edge of a word, and is no part of a longer chain of digits. Spans are the numbers alone, without their context. */
export function shapeReader(all: readonly Shape[]): ShapeReader {
  const { table, ends } = machineFor(all)
  return (text, start, to, found) => {
    let complete: { end: number; template: Template }[] | undefined
    let state = 1
    for (let i = start; state !== 0; i++) {
      const finished = ends[state]
      const kind = i >= to ? OTHER : kinds[text[i]]
      if (finished !== null && (!isWord(kind) || kind === UNDERSCORE)) {
        const after = kind >= SPACE && i + 1 < to && isDigit(text[i + 1]) ? kind : OTHER
        for (const template of finished) if (!goesOn(after, template, template.symbols.at(-1))) (complete ??= []).push({ end: i, template })
      }
      state = i >= to ? 0 : table[state * WIDTH + kind]
    }
    let longest = start
    for (const { end, template } of complete?.toReversed() ?? []) {
      if (!isNumber(text, start, end, template)) continue
      found(start, end, template.shape.kind)
      longest = Math.max(longest, end)
    }
    return longest
  }
}

function isNumber(text: Buffer, start: number, end: number, template: Template): boolean {
  const before = start > 0 ? kinds[text[start - 1]] : OTHER
  if (start > 1 && isDigit(text[start - 2]) && goesOn(before, template, template.symbols[0])) return false
  const written = textOf(text, start, end)
  const { isValid, context } = template.shape
  if (!isValid(written.replace(/[^\dA-Za-z]/g, '').toUpperCase(), written)) return false
  return context?.test(textOf(text, start - CONTEXT_BYTES_MAX, start)) ?? true
}

/**
 * Whether a separator with a digit beyond it makes a number part of a longer one. A space does so only for digits that have spaces among themselves, a
 * slash only for what has slashes.
 */
function goesOn(separator: number, { symbols, spaced }: Template, edge: string | undefined): boolean {
  if (separator === SPACE) return spaced && edge === '9'
  return separator > SPACE && (separator !== SLASH || symbols.includes('/'))
}

function machineFor(all: readonly Shape[]): Machine {
  const templates = all.flatMap((shape) => shape.templates.map((symbols): Template => ({ shape, symbols, spaced: symbols.includes(' ') })))
  const indexes = new Map(templates.map((template, index) => [template, index]))
  const states: (readonly Template[])[] = [[], templates]
  const depths = [0, 0]
  const known = new Map<string, number>()
  const rows: number[][] = [new Array(WIDTH).fill(0)]
  for (let state = 1; state < states.length; state++) {
    const depth = depths[state]
    rows[state] = Array.from({ length: WIDTH }, (_, kind) => {
      const next = states[state].filter(({ symbols }) => depth < symbols.length && takes(symbols[depth], kind))
      if (next.length === 0) return 0
      const key = `${depth + 1}:${next.map((template) => indexes.get(template)).join()}`
      const found = known.get(key)
      if (found !== undefined) return found
      known.set(key, states.length)
      depths.push(depth + 1)
      return states.push(next) - 1
    })
  }
  return {
    table: Uint16Array.from(rows.flat()),
    ends: states.map((open, state) => {
      const ended = open.filter(({ symbols }) => symbols.length === depths[state])
      return ended.length > 0 ? ended : null
    }),
  }
}

function takes(symbol: string, kind: number): boolean {
  if (symbol === '9') return kind === DIGIT
  if (symbol === 'A') return kind === LETTER
  if (symbol === '*') return kind === DIGIT || kind === LETTER
  return kind === SPACE + SEPARATORS.indexOf(symbol)
}
