/** Patterns whose letters are too common to tell them: what stands right before and after a digit or a sign of theirs. */
import { ANY, ANY_OF_LINE, comesAfter, FOLDS, type Instruction, MATCH, nextOf, type Program, reached, reads } from './pattern-program.ts'

/** A digit or sign, and which bytes may stand around it, the nearest first: 1 where one may. */
export interface Window {
  sign: Uint8Array
  before: readonly Uint8Array[]
  after: readonly Uint8Array[]
}

const BEFORE_MAX = 2
const AFTER_MAX = 3
/** Where there are more, the engine is as quick. */
const WINDOWS_MAX = 256
const ASCII_END = 0x80

/** Digits and signs that are rarer than those of sentences. */
const isSign = Uint8Array.from({ length: 256 }, (_, byte) => (byte < ASCII_END && /[\d<>|[\]{}#$%&*+=@\\^_`~;!?]/.test(String.fromCharCode(byte)) ? 1 : 0))

/** One of these is in every match; null where a pattern matches without such a digit or sign, or nothing more is known of one of them. */
export function signWindows({ instructions, start }: Program): Window[] | null {
  const signs = new Map(instructions.flatMap((one, at) => (reads(one) && isAllSigns(one) ? [[at, bytesOf([one])] as const] : [])))
  const others = reached([start], (at) => (signs.has(at) ? [] : nextOf(instructions[at])))
  if ([...others].some((at) => instructions[at].op === MATCH)) return null
  const from = comesAfter(instructions)
  const back = (at: number): readonly number[] => from[at]
  const forth = (at: number): readonly number[] => nextOf(instructions[at])
  const windows = Array.from(signs, ([at, sign]) => ({
    sign,
    before: bytesFrom(instructions, [at], { isBack: true, next: back, ends: (place) => place === start, most: BEFORE_MAX }),
    after: bytesFrom(instructions, [instructions[at].out], { isBack: false, next: forth, ends: (place) => instructions[place].op === MATCH, most: AFTER_MAX }),
  }))
  return windows.every(({ before, after }) => before.length + after.length > 0) ? different(windows) : null
}

/** Each once; null where there are too many to ask all of them at each sign of a text. */
function different(windows: readonly Window[]): Window[] | null {
  const known = new Map<string, Window>()
  for (const one of windows) {
    known.set(keyOf(one), one)
    if (known.size > WINDOWS_MAX) return null
  }
  return [...known.values()]
}

const keyOf = ({ sign, before, after }: Window): string => [before, [sign], after].map((places) => places.map(latin1).join('')).join('|')
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

const isAllSigns = (instruction: Instruction): boolean => bytesOf([instruction]).every((one, byte) => one === 0 || isSign[byte] === 1)

/** What is read from some places on, byte by byte, as far as it is no more than that. */
function bytesFrom(
  instructions: readonly Instruction[],
  begin: readonly number[],
  { isBack, next, ends, most }: { isBack: boolean; next: (at: number) => readonly number[]; ends: (at: number) => boolean; most: number },
): Uint8Array[] {
  const all: Uint8Array[] = []
  let places: readonly number[] = begin
  while (all.length < most) {
    // Back, the places themselves were read before; forth, they are what is read next.
    const first = isBack ? places.flatMap(next) : places
    const open = reached(first, (at) => (reads(instructions[at]) ? [] : next(at)))
    if ((isBack && places.some(ends)) || [...open].some(ends)) return all
    const readers = [...open].filter((at) => reads(instructions[at]))
    const bytes = bytesOf(readers.map((reader) => instructions[reader]))
    all.push(bytes)
    // A character outside ASCII is several bytes.
    if (bytes[ASCII_END] === 1) return all
    places = isBack ? readers : readers.flatMap(next)
  }
  return all
}

/** The bytes of what is read, 1 for each; of a character outside ASCII any of its. */
function bytesOf(readers: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(256)
  for (const { op, arg, runes } of readers) {
    const isOne = runes.length === 1
    for (let byte = 0; byte < ASCII_END; byte++) {
      for (let i = 0; i < runes.length; i += 2) if (byte >= runes[i] && byte <= (isOne ? runes[0] : runes[i + 1])) bytes[byte] = 1
      if (isOne && (arg & FOLDS) !== 0 && String.fromCharCode(byte).toLowerCase() === String.fromCharCode(runes[0]).toLowerCase()) bytes[byte] = 1
    }
    if (op === ANY || op === ANY_OF_LINE) bytes.fill(1)
    // Some letters of ASCII have another case outside it.
    if (runes[runes.length - 1] >= ASCII_END || (arg & FOLDS) !== 0) bytes.fill(1, ASCII_END)
  }
  return bytes
}

/** Windows as bits of one number, by place in the window and by byte: the bits of those that may have this byte there. All are asked of a place in six looks. */
type Masks = readonly Int32Array[]

const MASK_BITS = 32
/** Stands for the edge of the text. */
const EDGE = 256

/** What `hasWindow` asks; null where there are too many windows. */
export function masksOf(windows: readonly Window[]): readonly Masks[] | null {
  const all = different(windows)
  if (all === null) return null
  return Array.from({ length: Math.ceil(all.length / MASK_BITS) }, (_, i) => {
    const own = all.slice(i * MASK_BITS, (i + 1) * MASK_BITS)
    return Array.from({ length: BEFORE_MAX + 1 + AFTER_MAX }, (_, place) =>
      Int32Array.from({ length: EDGE + 1 }, (_, byte) => own.reduce((bits, one, bit) => (mayStand(one, place, byte) ? bits | (1 << bit) : bits), 0)),
    )
  })
}

/** Whether this byte may stand at this place, counted from the first byte before the sign. */
function mayStand({ sign, before, after }: Window, place: number, byte: number): boolean {
  const bytes = place < BEFORE_MAX ? before[BEFORE_MAX - 1 - place] : place === BEFORE_MAX ? sign : after[place - BEFORE_MAX - 1]
  return bytes === undefined || bytes[byte] === 1
}

/** Whether one of these windows is somewhere in a text. */
export function hasWindow(masks: readonly Masks[], text: Buffer): boolean {
  for (let i = 0; i < text.length; i++) if (isSign[text[i]] === 1) for (const one of masks) if (isAround(one, text, i)) return true
  return false
}

function isAround(masks: Masks, text: Buffer, at: number): boolean {
  let bits = -1
  for (let place = 0, i = at - BEFORE_MAX; place < masks.length && bits !== 0; place++, i++) bits &= masks[place][i >= 0 && i < text.length ? text[i] : EDGE]
  return bits !== 0
}
