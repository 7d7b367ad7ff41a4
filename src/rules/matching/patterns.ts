/**
 * Administrators' patterns, in a linear-time engine (RE2): no look-around, no back-references, and so no text that makes one of them explode. What is
 * left to bound is how much a linear pattern may cost, here when a rule is saved and again where texts are searched.
 */
import { RE2JS, RE2JSException, RE2Set } from 're2js'
import { type RuleBudget, spend, threadMs } from '../budget.ts'
import { RuleError } from '../rule-error.ts'
import { type Needs, NO_NEEDS, needsOf } from './pattern-grams.ts'
import { createShared } from './shared.ts'
import type { Gram } from './sieve.ts'
import { hasWindow, masksOf } from './sign-windows.ts'

export interface Pattern {
  source: string
  exact: boolean
}

export const PATTERN_BYTES_MAX = 4096
/** Instructions of one compiled pattern. A counted repetition of a class costs as many as it repeats. */
const PATTERN_INSTRUCTIONS_MAX = 1000
/** Properties (`\p{L}`) and ranges that reach beyond ASCII: the engine folds each of their characters while it reads a pattern. */
const PROPERTIES_MAX = 64
const WIDE_RANGES_MAX = 16
const PROBE_BYTES = 2048
/** What searching one hostile text of that length may take; ordinary patterns take a hundredth. */
const PROBE_MS_MAX = 25
/** Instructions times bytes of one call of the engine, which cannot be interrupted: at most some 25 ms. Large programs are probed with shorter texts. */
const PROBE_WORK_MAX = 1 << 19
/** The same for the runs of one character, of which there may be sixteen; below the least length a time would not mean much. */
const RUN_WORK_MAX = 1 << 15
const RUN_BYTES_MIN = 128

/** A set of more patterns, or of larger ones, falls off a cliff: its states no longer fit and each byte costs as much as all patterns together. */
const SET_PATTERNS_MAX = 100
const SET_INSTRUCTIONS_MAX = 6000
/** A set that needs longer for its probe, once warm, is split. */
const SET_PROBE_MS_MAX = 2.5

/** Where a text times a pattern is larger than this, a match counts as the whole text: finding its edges would hold everybody else up. */
const EDGES_WORK_MAX = 1 << 26
/** How long one call may search for the edges of matches; after that the rest of each matching text counts as matched. */
export const EDGES_MS_MAX = 200

function compilePattern({ source, exact }: Pattern, flags = 0): RE2JS {
  return RE2JS.compile(source, exact ? flags : flags | RE2JS.CASE_INSENSITIVE)
}

/**
 * Throws a RuleError where the engine does not know the pattern, or where it is too large, matches nothing at all, is too slow, or takes more than is
 * left of the budget. No single step takes longer than some 50 ms.
 */
export function checkPattern(pattern: Pattern, path: string, budget: RuleBudget): void {
  const refuse = (message: string): never => {
    throw new RuleError('config', path, message)
  }
  const begin = threadMs()
  checkSource(pattern.source, refuse)
  const compiled = supported(pattern, path)
  const size = compiled.programSize()
  if (size > PATTERN_INSTRUCTIONS_MAX) refuse(tooLarge(size))
  if (compiled.test('')) refuse('The pattern matches the empty text, and so every text; say what must be there.')
  spend(budget, begin, path)
  budget.instructions += size
  const alphabet = alphabetOf([pattern.source])
  const length = Math.min(PROBE_BYTES, Math.floor(PROBE_WORK_MAX / size))
  const run = Math.min(PROBE_BYTES, Math.max(RUN_BYTES_MIN, Math.floor(RUN_WORK_MAX / size)))
  // One character alone is what makes `a.*z|a` look for its z from every a.
  const probes = [(round: number) => hostileText(alphabet, length, round), ...alphabet.map((character) => () => Buffer.alloc(run, character))]
  for (const probe of probes)
    if (isSlow(compiled, probe, { path, budget }))
      refuse(`The pattern takes more than ${PROBE_MS_MAX} ms for a text of ${PROBE_BYTES} bytes; replace repetitions such as .* by narrower ones.`)
}

const tooLarge = (steps: number): string =>
  `The pattern is too large once its repetitions are written out (${steps} steps; at most ${PATTERN_INSTRUCTIONS_MAX}).`

/** The engine knows no more, and says so at once. */
const REPEAT_MAX = 1000

/** Refuses by its looks what the engine would need seconds to read: a repetition of n takes n instructions or more. */
function checkSource(source: string, refuse: (message: string) => never): void {
  let steps = 0
  for (const [, min, max] of source.replaceAll(/\\x\{|\\[^pP]/g, ' ').matchAll(/\{(\d+)(?:,(\d*))?\}/g)) {
    const most = Math.max(Number(min), Number(max ?? 0))
    if (most <= REPEAT_MAX) steps += most
  }
  if (steps > PATTERN_INSTRUCTIONS_MAX) refuse(tooLarge(steps))
  const properties = source.match(/\\[pP]/g)?.length ?? 0
  if (properties > PROPERTIES_MAX) refuse(`The pattern names more than ${PROPERTIES_MAX} properties (\\p).`)
  const ranges = source.match(/-\\?(?:[^\0-\x7f]|x\{)/g)?.length ?? 0
  if (ranges > WIDE_RANGES_MAX) refuse(`The pattern has more than ${WIDE_RANGES_MAX} ranges that reach beyond ASCII.`)
}

function supported(pattern: Pattern, path: string): RE2JS {
  try {
    return compilePattern(pattern)
  } catch (error) {
    throw error instanceof RE2JSException ? new RuleError('config', path, `The pattern is not supported: ${explain(error.message)}.`) : error
  }
}

const explain = (message: string): string => {
  const [, reason = 'it cannot be read'] = /^error parsing regexp: ([^`]*?):? *(?:`|$)/.exec(message) ?? []
  return reason.startsWith('invalid or unsupported Perl syntax') || reason.startsWith('invalid named capture') || reason.startsWith('invalid escape')
    ? `${reason} (look-ahead, look-behind and back-references are not available, because they can make a search explode)`
    : reason
}

/** So often a search must be slow. The first time the engine builds what it needs, and on a busy machine others are served in between. */
const SLOW_ROUNDS = 5
/** No limit is below this, the system's time slice: a shorter one would measure the machine. */
const PROBE_MS_MIN = 4

/**
 * Whether searching a text for all matches takes too long, every time. Each round's text may be another, so that what the engine would have to build for
 * every text counts.
 */
function isSlow(pattern: RE2JS, textOf: (round: number) => Buffer, { path, budget }: { path: string; budget: RuleBudget }): boolean {
  for (let round = 0; round < SLOW_ROUNDS; round++) {
    const text = textOf(round)
    const limit = Math.max(PROBE_MS_MIN, (PROBE_MS_MAX * text.length) / PROBE_BYTES)
    const spent = threadMs()
    const begin = performance.now()
    pattern.test(text)
    const matcher = pattern.matcher(text)
    while (performance.now() - begin <= limit && matcher.find());
    const slow = performance.now() - begin > limit
    spend(budget, spent, path)
    if (!slow) return false
  }
  return true
}

const ALPHABET_MAX = 16
/** So many runs would fill the whole of a hostile text; the second half of them is in it. */
const RUNS = 2 * ALPHABET_MAX
/** The patterns' own characters, without which a search would stop at the first byte. */
const alphabetOf = (sources: readonly string[]): string[] => [...new Set(`${sources.join('').replaceAll(/[^\w @.-]/g, '')}a1 x`)].slice(0, ALPHABET_MAX)

/** They come in disorder and in runs. */
function hostileText(alphabet: readonly string[], length: number, round: number): Buffer {
  const text = Buffer.alloc(length)
  let random = round + 1
  for (let i = 0; i < length; i++) {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0
    const pick = i < length / 2 ? random >>> 16 : Math.floor((i * RUNS) / length)
    text[i] = alphabet[pick % alphabet.length].charCodeAt(0)
  }
  return text
}

/** All patterns of a policy: which of them may match a text is found in one pass, where they match only for those. */
export interface PatternSearch {
  /** What a sieve must know to tell of which groups of patterns something may be in a text. Groups are bits, from the lowest that `compilePatterns` is told on. */
  needs: { grams: readonly Gram[]; unknown: number }
  /**
   * Indices of patterns of these groups that may match somewhere in a text whose parts are joined by newlines. It may name too many, never too few: ^ and $
   * are taken as the edges of a line, which every part's edges are.
   */
  candidates(text: Buffer, groups?: number): number[]
  /** Reports where a candidate matches in parts of the text, which come in order. Empty matches are no findings. */
  find(pattern: number, text: Buffer, parts: readonly Part[], budget: EdgeBudget, report: (start: number, end: number) => void): void
}

interface Part {
  from: number
  to: number
}

/** How much one call may still be searched. `spansLeft` bounds what is reported for rules that need to know only that something was found. */
export interface EdgeBudget {
  spansLeft: number
  /** By the thread's own time (threadMs). */
  endsAt: number
  /** By the clock on the wall, which is cheap to look at: before that it cannot be over. */
  lookAt: number
  isOver: boolean
}
/** `ms` of the thread's own time: that others kept the machine busy is nothing against a text. */
export const edgeBudget = (spans: number, ms: number): EdgeBudget => ({
  spansLeft: spans,
  endsAt: threadMs() + ms,
  lookAt: performance.now() + ms,
  isOver: ms <= 0,
})

function isOver(budget: EdgeBudget): boolean {
  const now = performance.now()
  if (budget.isOver || now <= budget.lookAt) return budget.isOver
  const left = budget.endsAt - threadMs()
  budget.lookAt = now + left
  budget.isOver = left <= 0
  return budget.isOver
}

/** So many parts are looked through one by one; of more, runs are asked first, because a body may have a hundred thousand parts and one match. */
const RUNS_OF_PARTS = 16

/** Flags that are switched off and anchors of the whole text mean something else in the joined text, so such patterns are searched part by part. */
const NOT_JOINED = /\\[Az]|\(\?[a-zA-Z]*-/
const ANCHORED = /[\^$]/
const NO_ANCHOR = /\\.|\[\^/gs

const GROUP_BITS = 31
/** How long it may take to see what texts need for patterns to match. The patterns beyond are looked for in every text; so it is no part of the budget. */
const NEEDS_MS_MAX = 300
const ALL_GROUPS = -1

const keyOf = ({ source, exact }: Pattern): string => JSON.stringify([source, exact])
const sharedPattern = createShared<RE2JS>()
/** By their patterns, which their members name by place. */
const sharedSets = createShared<PatternSet[]>()

/** Throws a RuleError where that takes more than is left of the budget. */
export function compilePatterns(patterns: readonly Pattern[], budget: RuleBudget, firstBit = 0): PatternSearch {
  const compiled = patterns.map((pattern) => {
    const begin = threadMs()
    const one = sharedPattern(keyOf(pattern), () => supported(pattern, 'condition'))
    spend(budget, begin, '')
    return one
  })
  // In several parts at once ^ and $ are the edges of lines.
  const joined = patterns.map((pattern, index) => {
    const begin = threadMs()
    const isAnchored = ANCHORED.test(pattern.source.replaceAll(NO_ANCHOR, ''))
    const one = isAnchored ? sharedPattern(`m${keyOf(pattern)}`, () => compilePattern(pattern, RE2JS.MULTILINE)) : compiled[index]
    spend(budget, begin, '')
    return one
  })
  const needsUntil = threadMs() + NEEDS_MS_MAX
  const needs = compiled.map((pattern) => (threadMs() < needsUntil ? needsOf(pattern) : NO_NEEDS))
  const alone = patterns.flatMap(({ source }, index) => (NOT_JOINED.test(source) ? [index] : []))
  // What can be told by the same means stays together, so that one pattern of which nothing is known does not have others searched for.
  const kinds = Object.groupBy(patterns.keys(), (index) => (alone.includes(index) ? 'alone' : kindOf(needs[index])))
  const sets = [kinds.letters, kinds.sign, kinds.unknown].flatMap((members) =>
    shards(members ?? [], compiled).flatMap((shard) => sharedSetsOf(shard, patterns, { compiled, budget })),
  )
  const groups = [...sets.map(({ members }) => members), ...alone.map((index) => [index])].map((members, i) => ({
    members,
    bit: 1 << Math.min(firstBit + i, GROUP_BITS - 1),
    windows: members.every((one) => needs[one].windows !== null) ? masksOf(members.flatMap((one) => needs[one].windows ?? [])) : null,
  }))
  return {
    needs: {
      grams: groups.flatMap(({ members, bit }) => members.flatMap((i) => (needs[i].grams ?? []).map((one) => ({ ...one, groups: bit })))),
      unknown: groups.reduce((bits, { members, bit }) => (members.some((i) => needs[i].grams === null) ? bits | bit : bits), 0),
    },
    candidates(text, asked = ALL_GROUPS) {
      const found: number[] = []
      let string: string | undefined
      for (let i = 0; i < groups.length; i++) {
        const { members, bit, windows } = groups[i]
        if ((asked & bit) === 0 || (windows !== null && !hasWindow(windows, text))) continue
        if (i >= sets.length) {
          found.push(members[0])
          continue
        }
        string ??= text.toString() // the engine reads strings a fifth faster than bytes, and no positions are asked for here
        for (const index of sets[i].set.match(string)) found.push(members[index])
      }
      return found
    },
    find(index, text, parts, budget, report) {
      const isAlone = alone.includes(index)
      const inRun = (first: number, last: number): void => {
        const step = Math.ceil((last - first) / RUNS_OF_PARTS)
        for (let next = first; next < last && budget.spansLeft > 0; next += step) {
          const end = Math.min(next + step, last)
          if (step === 1) inPart(compiled[index], text, parts[next], budget, report)
          else if (isAlone || joined[index].test(text.subarray(parts[next].from, parts[end - 1].to))) inRun(next, end)
        }
      }
      inRun(0, parts.length)
    },
  }
}

const kindOf = ({ grams, windows }: Needs): 'letters' | 'sign' | 'unknown' => (grams !== null ? 'letters' : windows !== null ? 'sign' : 'unknown')

function inPart(pattern: RE2JS, text: Buffer, { from, to }: Part, budget: EdgeBudget, report: (start: number, end: number) => void): void {
  const part = text.subarray(from, to)
  if (from === to || !pattern.test(part)) return
  if (part.length * pattern.programSize() > EDGES_WORK_MAX || isOver(budget)) {
    budget.spansLeft--
    report(from, to)
    return
  }
  const matcher = pattern.matcher(part)
  let last = 0
  while (matcher.find()) {
    const start = matcher.start(),
      end = matcher.end()
    if (end > start) {
      report(from + start, from + end)
      last = end
      if (--budget.spansLeft <= 0) return
    }
    if (isOver(budget)) {
      if (last < part.length) report(from + last, to)
      return
    }
  }
}

function shards(members: readonly number[], compiled: readonly RE2JS[]): number[][] {
  const result: number[][] = []
  let instructions = Infinity
  for (const index of members) {
    const size = compiled[index].programSize()
    const open = result.at(-1)
    if (!open || open.length === SET_PATTERNS_MAX || instructions + size > SET_INSTRUCTIONS_MAX) {
      result.push([index])
      instructions = size
    } else {
      open.push(index)
      instructions += size
    }
  }
  return result
}

interface PatternSet {
  set: RE2Set
  members: readonly number[]
}

/** The same for all policies with these patterns; `sharedWith` is what keeps them known as long as this one has them. */
function sharedSetsOf(
  members: readonly number[],
  patterns: readonly Pattern[],
  { compiled, budget }: { compiled: readonly RE2JS[]; budget: RuleBudget },
): (PatternSet & { sharedWith: readonly PatternSet[] })[] {
  const own = members.map((index) => patterns[index])
  const sharedWith = sharedSets(own.map(keyOf).join('\n'), () =>
    compileSets([...own.keys()], own, { compiled: members.map((index) => compiled[index]), budget }),
  )
  return sharedWith.map((one) => ({ set: one.set, members: one.members.map((place) => members[place]), sharedWith }))
}

/** Builds and warms one set: a cold one needs milliseconds for its first text. One that stays slow is halved until it is not. */
function compileSets(
  members: readonly number[],
  patterns: readonly Pattern[],
  { compiled, budget }: { compiled: readonly RE2JS[]; budget: RuleBudget },
): PatternSet[] {
  const set = new RE2Set(RE2Set.UNANCHORED, RE2JS.MULTILINE)
  for (const index of members) {
    const begin = threadMs()
    set.add(`${patterns[index].exact ? '' : '(?i)'}${patterns[index].source}`)
    spend(budget, begin, '')
  }
  const begin = threadMs()
  set.compile()
  spend(budget, begin, '')
  const instructions = members.reduce((sum, index) => sum + compiled[index].programSize(), 0)
  const text = hostileText(alphabetOf(members.map((index) => patterns[index].source)), PROBE_BYTES, 0).toString()
  const piece = Math.max(1, Math.floor(PROBE_WORK_MAX / instructions))
  let best = Infinity
  // Nothing can be done about a slow pattern that is alone: it is warmed, and not measured.
  for (let round = 0; round < (members.length === 1 ? 1 : 3) && best > SET_PROBE_MS_MAX; round++) {
    let took = 0
    for (let from = 0; from < text.length && (round === 0 || took <= SET_PROBE_MS_MAX); from += piece) {
      const spent = threadMs()
      const start = performance.now()
      set.match(text.slice(from, from + piece))
      took += performance.now() - start
      spend(budget, spent, '')
    }
    best = Math.min(best, took)
  }
  if (best <= SET_PROBE_MS_MAX || members.length === 1) return [{ set, members }]
  const half = members.length >> 1
  return [...compileSets(members.slice(0, half), patterns, { compiled, budget }), ...compileSets(members.slice(half), patterns, { compiled, budget })]
}
