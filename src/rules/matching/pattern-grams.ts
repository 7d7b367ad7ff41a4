/** What letters a text must have where a pattern matches, read off the pattern's own program: a walk over what the engine itself would do. */
import type { RE2JS } from 're2js'
import { CLASS_BITS, CLASSES, classOfLetter, lettersOf, rarity } from './letters.ts'
import { ANY, ANY_OF_LINE, comesAfter, FOLDS, type Instruction, MATCH, nextOf, type Program, programOf, RUNE, RUNES, reached } from './pattern-program.ts'
import { classesOf, GRAM_LETTERS, type Gram, MORE_LETTERS } from './sieve.ts'
import { signWindows, type Window } from './sign-windows.ts'

/** How many grams one place of a pattern may have. Few are looked for first, because reading many off takes longer. */
const GRAMS_MAX = [128, 1100]
/** How many letters may be put before others while the grams of one pattern are read off; what is beyond has none. */
const WORK_MAX = 1 << 16
/** So often a way through a pattern may be looked for that goes around a cut. */
const WAYS_MAX = 256
/** A set of more characters may be any letters. */
const CHARACTERS_MAX = 256
/** Places whose letters are so common in texts tell nothing; those of words everybody writes are asked only where there is nothing else. */
const SHARE_MAX = 0.02
const COMMON_SHARE = 0.0006
/** What a gram costs beside that, so that of two places that of fewer is chosen. */
const SHARE_OF_EACH = 1e-7

/** What one instruction reads: letters of these classes, no letter at all, or any number of any. */
interface Reading {
  classes: readonly number[]
  skips: boolean
  isWild: boolean
}

/** What of a pattern is in every text in which it matches. */
export interface Needs {
  /** One of these at least, among the letters of what it matches and what follows. Beyond the end of a text there are letters of class 0. Null: none is known that is rare. */
  grams: readonly Omit<Gram, 'groups'>[] | null
  /** Where there are none: one of these is in it. Null: nothing is known. */
  windows: readonly Window[] | null
}

/** Of a pattern of which nothing is known. */
export const NO_NEEDS: Needs = { grams: null, windows: null }

/** How many patterns are remembered: tenants have the same presets. */
const REMEMBERED_MAX = 2048
const remembered = new Map<string, Needs>()

export function needsOf(pattern: RE2JS): Needs {
  const key = `${pattern.flags()} ${pattern.pattern()}`
  const known = remembered.get(key)
  if (known) return known
  const program = programOf(pattern)
  const needs = program === null ? NO_NEEDS : readOff(program)
  if (remembered.size === REMEMBERED_MAX) remembered.clear()
  remembered.set(key, needs)
  return needs
}

function readOff({ instructions: program, start }: Program): Needs {
  const readings = program.map(readingOf)
  const befores = lettersBefore(program, start, readings)
  const windows = signWindows({ instructions: program, start })
  for (const most of GRAMS_MAX) {
    const lettersFrom = createWalk(program, readings, most)
    const found = program.map((_, at) => (readings[at] === null ? null : lettersFrom(at, GRAM_LETTERS)))
    const shares = found.map((grams, at) => {
      const before = befores[at].toReversed()
      return grams === null ? Infinity : grams.reduce((sum, gram) => sum + SHARE_OF_EACH + rarity([...before, ...classesOf(gram)]), 0)
    })
    const cut = cheapestCut(program, start, shares)
    if (cut === null) continue
    if (windows !== null && cut.reduce((sum, at) => sum + shares[at], 0) > COMMON_SHARE) break
    return { grams: cut.flatMap((at) => (found[at] ?? []).map((gram) => ({ gram, before: befores[at] }))), windows: null }
  }
  return { grams: null, windows }
}

function readingOf({ op, arg, runes }: Instruction): Reading | null {
  if (op === ANY || op === ANY_OF_LINE) return ANYTHING
  if (op !== RUNES && op !== RUNE) return null
  const isOne = runes.length === 1
  // What else a character is in another case is known of ASCII only, where it reads the same.
  if (isOne && runes[0] > 0x7f && (op === RUNES || (arg & FOLDS) !== 0)) return ANYTHING
  const classes = new Set<number>()
  let skips = false
  let count = 0
  for (let i = 0; i < runes.length; i += 2) {
    const last = isOne ? runes[0] : runes[i + 1]
    if ((count += last - runes[i] + 1) > CHARACTERS_MAX) return ANYTHING
    for (let codePoint = runes[i]; codePoint <= last; codePoint++) {
      const letters = lettersOf(codePoint)
      if (letters.length > 1) return ANYTHING
      if (letters.length === 0) skips = true
      else classes.add(classOfLetter(letters[0]))
    }
  }
  return { classes: [...classes], skips, isWild: false }
}
const ALL = Array.from({ length: CLASSES }, (_, one) => one)
const ANYTHING: Reading = { classes: ALL, skips: true, isWild: true }

/** By place the letters that are always read before it, the nearest first: as long as there is no choice between them, nor a beginning. */
function lettersBefore(program: readonly Instruction[], start: number, readings: readonly (Reading | null)[]): number[][] {
  const from = comesAfter(program)
  return program.map((_, place) => {
    const letters: number[] = []
    if (readings[place] === null) return letters
    let places: readonly number[] = [place]
    while (letters.length < MORE_LETTERS) {
      const skipped = reached(places, (at) => from[at].filter((before) => readings[before]?.skips ?? true))
      if (skipped.has(start)) return letters
      const readers = new Set([...skipped].flatMap((at) => from[at].filter((before) => (readings[before]?.classes.length ?? 0) > 0)))
      const classes = new Set([...readers].flatMap((reader) => readings[reader]?.classes ?? ALL))
      if (classes.size !== 1) return letters
      letters.push(...classes)
      places = [...readers]
    }
    return letters
  })
}

/** Answers which letters can be read from a place on, as grams of so many; null where these are too many. */
function createWalk(
  program: readonly Instruction[],
  readings: readonly (Reading | null)[],
  most: number,
): (at: number, letters: number) => readonly number[] | null {
  const known = new Map<number, readonly number[] | null>()
  let work = 0
  /** The places that read letters, and whether the end of a match, that can come next at a place without any letter before. */
  const reach = (at: number): { readers: readonly number[]; ends: boolean } => {
    const all = [...reached([at], (place) => ((readings[place]?.skips ?? true) ? nextOf(program[place]) : []))]
    return { readers: all.filter((place) => readings[place] !== null), ends: all.some((place) => program[place].op === MATCH) }
  }
  const walk = (at: number, letters: number): readonly number[] | null => {
    const found = new Set<number>()
    const put = (one: number, rest: readonly number[] | null): boolean => {
      if (rest === null || (work += rest.length) > WORK_MAX || found.size + rest.length > most) return false
      for (const gram of rest) found.add((one << (CLASS_BITS * (letters - 1))) | gram)
      return true
    }
    const { readers, ends } = reach(at)
    // Beyond a match anything may follow.
    if (ends && (CLASSES ** letters > most || !ALL.every((one) => put(one, anyLetters(letters - 1))))) return null
    for (const reader of readers) {
      const { classes, isWild } = readings[reader] ?? ANYTHING
      const rest = from(program[reader].out, letters - 1)
      if (rest === null || rest.length * classes.length > most) return null
      // What is read by one that is wild may be several letters.
      const again = isWild ? from(reader, letters - 1) : NO_MORE
      for (const one of classes) if (!put(one, rest) || (isWild && !put(one, again))) return null
    }
    return [...found]
  }
  const from = (at: number, letters: number): readonly number[] | null => {
    if (letters === 0) return NO_MORE
    const key = at * (GRAM_LETTERS + 1) + letters
    let grams = known.get(key)
    if (grams === undefined) known.set(key, (grams = walk(at, letters)))
    return grams
  }
  return from
}
const NO_MORE: readonly number[] = [0]
const anyLetters = (letters: number): readonly number[] => Array.from({ length: CLASSES ** letters }, (_, gram) => gram)

/**
 * The places that every way from the beginning of a program to a match goes through, of the least share together (a smallest cut, found by the greatest
 * flow); null where that is too large. Each place is two nodes, one by which it is entered and one by which it is left, with its share between.
 */
function cheapestCut(program: readonly Instruction[], start: number, shares: readonly number[]): number[] | null {
  const room: number[] = [] // by edge; beside each stands the one back, whose number differs in the lowest bit
  const target: number[] = []
  const edges: number[][] = Array.from({ length: 2 * program.length }, () => [])
  const link = (from: number, to: number, most: number): void => {
    edges[from].push(room.length)
    edges[to].push(room.length + 1)
    room.push(most, 0)
    target.push(to, from)
  }
  program.forEach((one, at) => {
    link(2 * at, 2 * at + 1, shares[at])
    for (const next of nextOf(one)) link(2 * at + 1, 2 * next, Infinity)
  })
  const isEnd = (node: number): boolean => node % 2 === 1 && program[node >> 1].op === MATCH
  let flow = 0
  for (let way = 0; way < WAYS_MAX && flow < SHARE_MAX; way++) {
    const by = new Int32Array(2 * program.length).fill(-1) // the edge over which a node was reached
    const open = [2 * start]
    let end = -1
    for (let i = 0; i < open.length && end < 0; i++) {
      const node = open[i]
      if (isEnd(node)) end = node
      for (const edge of edges[node]) {
        const next = target[edge]
        if (room[edge] <= 0 || by[next] >= 0 || next === 2 * start) continue
        by[next] = edge
        open.push(next)
      }
    }
    if (end < 0) {
      const isReached = (node: number): boolean => by[node] >= 0 || node === 2 * start
      return program.flatMap((_, at) => (isReached(2 * at) && !isReached(2 * at + 1) ? [at] : []))
    }
    let least = Infinity
    for (let node = end; node !== 2 * start; node = target[by[node] ^ 1]) least = Math.min(least, room[by[node]])
    if (least === Infinity) return null
    for (let node = end; node !== 2 * start; node = target[by[node] ^ 1]) {
      room[by[node]] -= least
      room[by[node] ^ 1] += least
    }
    flow += least
  }
  return null
}
