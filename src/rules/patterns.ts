/**
 * Administrators' patterns, in a linear-time engine (RE2): no look-around, no back-references, and so no text that makes one of them explode. What is
 * left to bound is how much a linear pattern may cost, here when a rule is saved and again where texts are searched.
 */
import { RE2JS, RE2JSException, RE2Set } from 're2js'
import { RuleError } from './rule-error.ts'

export interface Pattern {
  source: string
  exact: boolean
}

export const PATTERN_BYTES_MAX = 4096
/** Instructions of one compiled pattern. A counted repetition of a class costs as many as it repeats. */
export const PATTERN_INSTRUCTIONS_MAX = 1000
const PROBE_BYTES = 8192
const PROBE_RUN_BYTES = 3072
/** What searching one hostile text may take; ordinary patterns take a hundredth. */
const PROBE_MS_MAX = 100

/** A set of more patterns, or of larger ones, falls off a cliff: its states no longer fit and each byte costs as much as all patterns together. */
const SET_PATTERNS_MAX = 100
const SET_INSTRUCTIONS_MAX = 6000
/** A set that needs longer for its probe, once warm, is split. */
const SET_PROBE_MS_MAX = 10

/** Where a text times a pattern is larger than this, a match counts as the whole text: finding its edges would hold everybody else up. */
const EDGES_WORK_MAX = 1 << 26
/** How long one call may search for the edges of matches; after that the rest of each matching text counts as matched. */
const EDGES_MS_MAX = 250

export function compilePattern({ source, exact }: Pattern): RE2JS {
  return RE2JS.compile(source, exact ? 0 : RE2JS.CASE_INSENSITIVE)
}

/** Throws a RuleError where the engine does not know the pattern, or where it is too large, matches nothing at all, or is too slow. */
export function checkPattern(pattern: Pattern, path: string): void {
  const refuse = (message: string): never => {
    throw new RuleError('config', path, message)
  }
  const compiled = supported(pattern, path)
  if (compiled.programSize() > PATTERN_INSTRUCTIONS_MAX)
    refuse(`The pattern is too large once its repetitions are written out (${compiled.programSize()} steps; at most ${PATTERN_INSTRUCTIONS_MAX}).`)
  if (compiled.test('')) refuse('The pattern matches the empty text, and so every text; say what must be there.')
  const alphabet = alphabetOf([pattern.source])
  // One character alone is what makes `a.*z|a` look for its z from every a.
  const texts = [hostileText(alphabet), ...alphabet.map((character) => Buffer.alloc(PROBE_RUN_BYTES, character))]
  if (texts.some((text) => isSlow(compiled, text)))
    refuse(`The pattern takes more than ${PROBE_MS_MAX} ms for a text of ${PROBE_BYTES} bytes; replace repetitions such as .* by narrower ones.`)
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

/** Whether searching a text for all matches takes too long, also when what the engine builds on demand is built. */
function isSlow(pattern: RE2JS, text: Buffer): boolean {
  for (let round = 0; round < 2; round++) {
    const begin = performance.now()
    pattern.test(text)
    const matcher = pattern.matcher(text)
    while (performance.now() - begin <= PROBE_MS_MAX && matcher.find());
    if (performance.now() - begin <= PROBE_MS_MAX) return false
  }
  return true
}

/** The patterns' own characters, without which a search would stop at the first byte. */
const alphabetOf = (sources: readonly string[]): string[] => [...new Set(`${sources.join('').replaceAll(/[^\w @.-]/g, '')}a1 x`)].slice(0, 16)

/** They come in disorder and in runs. */
function hostileText(alphabet: readonly string[]): Buffer {
  const text = Buffer.alloc(PROBE_BYTES)
  let random = 1
  for (let i = 0; i < PROBE_BYTES; i++) {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0
    const pick = i < PROBE_BYTES / 2 ? random >>> 16 : Math.floor(i / 256)
    text[i] = alphabet[pick % alphabet.length].charCodeAt(0)
  }
  return text
}

/** All patterns of a policy: which of them may match a text is found in one pass, where they match only for those. */
export interface PatternSearch {
  /**
   * Indices of patterns that may match somewhere in a text whose parts are joined by newlines. It may name too many, never too few: ^ and $ are taken
   * as the edges of a line, which every part's edges are.
   */
  candidates(text: Buffer): number[]
  /** Reports where a candidate matches in one part of the text. Empty matches are no findings. */
  find(pattern: number, text: Buffer, part: { from: number; to: number }, budget: EdgeBudget, report: (start: number, end: number) => void): void
}

/** How much one call may still be searched. `spansLeft` bounds what is reported for rules that need to know only that something was found. */
export interface EdgeBudget {
  until: number
  spansLeft: number
}
export const edgeBudget = (spans: number): EdgeBudget => ({ until: performance.now() + EDGES_MS_MAX, spansLeft: spans })

/** Flags that are switched off and anchors of the whole text mean something else in the joined text, so such patterns are searched part by part. */
const NOT_JOINED = /\\[Az]|\(\?[a-zA-Z]*-/

export function compilePatterns(patterns: readonly Pattern[]): PatternSearch {
  const compiled = patterns.map(compilePattern)
  const alone = patterns.flatMap(({ source }, index) => (NOT_JOINED.test(source) ? [index] : []))
  const sets = shards(
    patterns.map((_, index) => index).filter((index) => !alone.includes(index)),
    compiled,
  ).flatMap((members) => compileSets(members, patterns))

  return {
    candidates(text) {
      const found = alone.slice()
      if (sets.length === 0) return found
      const string = text.toString() // the engine reads strings a fifth faster than bytes, and no positions are asked for here
      for (const { set, members } of sets) for (const index of set.match(string)) found.push(members[index])
      return found
    },
    find(index, text, { from, to }, budget, report) {
      const pattern = compiled[index]
      const part = text.subarray(from, to)
      if (from === to || budget.spansLeft <= 0 || !pattern.test(part)) return
      if (part.length * pattern.programSize() > EDGES_WORK_MAX) {
        budget.spansLeft--
        return report(from, to)
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
        if (performance.now() > budget.until) {
          if (last < part.length) report(from + last, to)
          return
        }
      }
    },
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

/** Builds and warms one set: a cold one needs milliseconds for its first text. One that stays slow is halved until it is not. */
function compileSets(members: readonly number[], patterns: readonly Pattern[]): PatternSet[] {
  const set = new RE2Set(RE2Set.UNANCHORED, RE2JS.MULTILINE)
  for (const index of members) set.add(`${patterns[index].exact ? '' : '(?i)'}${patterns[index].source}`)
  set.compile()
  const text = hostileText(alphabetOf(members.map((index) => patterns[index].source))).toString()
  let best = Infinity
  for (let round = 0; round < 3 && best > SET_PROBE_MS_MAX; round++) {
    const begin = performance.now()
    set.match(text)
    best = performance.now() - begin
  }
  if (best <= SET_PROBE_MS_MAX || members.length === 1) return [{ set, members }]
  const half = members.length >> 1
  return [...compileSets(members.slice(0, half), patterns), ...compileSets(members.slice(half), patterns)]
}
