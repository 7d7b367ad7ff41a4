/** The program that the engine makes of a pattern, as far as what it reads in a text can be told from it. */
import type { RE2JS } from 're2js'

/** An instruction of the engine. `out`, and `arg` of a fork, are what comes next; `runes` are the first and last characters of ranges. */
export interface Instruction {
  op: number
  out: number
  arg: number
  runes: ArrayLike<number>
}
export const FORK = 1
export const FORK_MATCH = 2
export const FAIL = 5
export const MATCH = 6
export const RUNES = 8
export const RUNE = 9
export const ANY = 10
export const ANY_OF_LINE = 11
export const FOLDS = 1

export interface Program {
  instructions: readonly Instruction[]
  start: number
}

/** Null where it has instructions that are not known here. */
export function programOf(pattern: RE2JS): Program | null {
  const { inst: instructions, start } = pattern.re2Input.prog as { inst: readonly Instruction[]; start: number }
  return instructions.some(({ op }) => op < FORK || op > ANY_OF_LINE) ? null : { instructions, start }
}

export const reads = ({ op }: Instruction): boolean => op >= RUNES

/** What may come after an instruction. */
export const nextOf = ({ op, out, arg }: Instruction): readonly number[] =>
  op === MATCH || op === FAIL ? NONE : op === FORK || op === FORK_MATCH ? [out, arg] : [out]
const NONE: readonly number[] = []

/** By instruction: after which others it may come. */
export function comesAfter(instructions: readonly Instruction[]): readonly number[][] {
  const from: number[][] = instructions.map(() => [])
  instructions.forEach((one, at) => {
    for (const next of nextOf(one)) from[next].push(at)
  })
  return from
}

/** Everything that is reached from some places, those themselves too, by what `next` tells of each. */
export function reached(places: readonly number[], next: (at: number) => readonly number[]): Set<number> {
  const seen = new Set(places)
  for (const at of seen) for (const one of next(at)) seen.add(one)
  return seen
}
