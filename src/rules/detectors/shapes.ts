/** Numbers of a fixed shape, such as 850709-9805 or DE89 3704 0044 0532 0130 00: found by their shape, believed by their check digits. */
import type { Matcher } from '../matching/match.ts'

export interface Shape {
  /** `9` is a digit, `A` a letter, `*` either; a space, dash, dot or slash stands for itself. */
  templates: readonly string[]
  /** Whether letters and digits, upper case and without separators, are such a number. */
  isValid(compact: string): boolean
  /** What must stand before a number whose check digits are too weak to tell it from any other. */
  context?: RegExp
}

/** How far before a number its context may begin. */
const CONTEXT_BYTES_MAX = 48

const OTHER = 0
const DIGIT = 1
const LETTER = 2
/** A letter as far as edges go, and of no template. */
const UNDERSCORE = 3
const SPACE = 4
const SEPARATORS = ' -./'
const WIDTH = SPACE + SEPARATORS.length
const kinds = new Uint8Array(256)
for (let byte = 0; byte < 128; byte++) {
  const character = String.fromCharCode(byte)
  const separator = SEPARATORS.indexOf(character)
  kinds[byte] = /\d/.test(character) ? DIGIT : /[a-z]/i.test(character) ? LETTER : character === '_' ? UNDERSCORE : separator < 0 ? OTHER : SPACE + separator
}
const isWord = (kind: number): boolean => kind >= DIGIT && kind <= UNDERSCORE
const word = kinds.map((kind) => (isWord(kind) ? 1 : 0))

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
/** What was read may be the beginning of a number; the bytes that follow will tell. */
const OPEN = -1

/**
 * A watcher for all these shapes. A number begins and ends at the edge of a word, and is no part of a longer chain of digits. Spans are the numbers
 * alone, without their context. Held back is at most the longest template and two bytes.
 */
export function shapes(all: readonly Shape[]): (leaf: number) => Matcher {
  const { table, ends } = machineFor(all)

  return (leaf) => (report) => {
    let text: Buffer = Buffer.alloc(0) // what is being read, from as far back as a context may begin
    let base = 0 // position of its first byte
    let next = 0 // up to here it was read, by index
    let to = 0

    /** Reads on from the beginning of a word. Answers the index to go on from, or OPEN. */
    const read = (start: number, isLast: boolean): number => {
      let state = 1
      let complete: { end: number; template: Template }[] | undefined
      let i = start
      for (; state !== 0; i++) {
        const finished = ends[state]
        if (i === to && !isLast) return OPEN
        const kind = i === to ? OTHER : kinds[text[i]]
        if (finished !== null && !isWord(kind)) {
          if (kind >= SPACE && i + 1 === to && !isLast) return OPEN
          const after = kind >= SPACE && i + 1 < to && kinds[text[i + 1]] === DIGIT ? kind : OTHER
          complete ??= []
          for (const template of finished) if (!goesOn(after, template, template.symbols.at(-1))) complete.push({ end: i, template })
        }
        state = table[state * WIDTH + kind]
      }
      for (const { end, template } of complete?.toReversed() ?? []) {
        if (!isNumber(start, end, template)) continue
        report(base + start, base + end, leaf)
        return end
      }
      return start + 1
    }
    const isNumber = (start: number, end: number, template: Template): boolean => {
      const before = start > 0 ? kinds[text[start - 1]] : OTHER
      if (start > 1 && kinds[text[start - 2]] === DIGIT && goesOn(before, template, template.symbols[0])) return false
      const compact = text
        .toString('latin1', start, end)
        .replace(/[^\dA-Za-z]/g, '')
        .toUpperCase()
      const { isValid, context } = template.shape
      return isValid(compact) && (context?.test(text.toString('utf8', Math.max(0, start - CONTEXT_BYTES_MAX), start)) ?? true)
    }
    const readAll = (isLast: boolean): void => {
      const bytes = text, // locals, not closure variables, in the byte loop
        end = to,
        steps = table
      let i = next
      while (i < end) {
        if (i > 0 && word[bytes[i - 1]] === 1) while (i < end && word[bytes[i]] === 1) i++
        while (i < end && word[bytes[i]] === 0) i++
        if (i === end) break
        // Nearly every word leads nowhere; what may lead somewhere is read again with more care.
        let state = 1
        for (let j = i; j < end && state !== 0 && ends[state] === null; j++) state = steps[state * WIDTH + kinds[bytes[j]]]
        if (state === 0) i++
        else {
          const after = read(i, isLast)
          if (after === OPEN) break
          i = after
        }
      }
      next = i
    }
    return {
      feed(bytes, from, end) {
        const first = Math.max(0, next - CONTEXT_BYTES_MAX)
        const kept = text.subarray(first, to)
        base += first
        next -= first
        text = kept.length === 0 ? bytes.subarray(from, end) : Buffer.concat([kept, bytes.subarray(from, end)])
        to = text.length
        readAll(false)
        // The piece is its owner's, who may write it again.
        const last = Math.max(0, next - CONTEXT_BYTES_MAX)
        text = Buffer.from(text.subarray(last))
        base += last
        next -= last
        to = text.length
      },
      finish() {
        readAll(true)
        base += to
        text = text.subarray(0, 0)
        next = 0
        to = 0
      },
      get decided() {
        return base + next
      },
    }
  }
}

/** Whether a separator with a digit beyond it makes a number part of a longer one. A space does so only for digits that have spaces among themselves. */
const goesOn = (separator: number, { spaced }: Template, edge: string | undefined): boolean =>
  separator === SPACE ? spaced && edge === '9' : separator > SPACE

function machineFor(all: readonly Shape[]): Machine {
  const templates = all.flatMap((shape) => shape.templates.map((symbols): Template => ({ shape, symbols, spaced: symbols.includes(' ') })))
  const states: (readonly Template[])[] = [[], templates]
  const depths = [0, 0]
  const known = new Map<string, number>()
  const rows: number[][] = [new Array(WIDTH).fill(0)]
  for (let state = 1; state < states.length; state++) {
    const depth = depths[state]
    rows[state] = Array.from({ length: WIDTH }, (_, kind) => {
      const next = states[state].filter(({ symbols }) => depth < symbols.length && takes(symbols[depth], kind))
      if (next.length === 0) return 0
      const key = `${depth + 1}:${next.map((template) => templates.indexOf(template)).join()}`
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
