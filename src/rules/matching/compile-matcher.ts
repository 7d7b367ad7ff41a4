/** Phrases and detectors of a policy as one watcher. */

import { privateKeys } from '../detectors/private-keys.ts'
import { scanFor } from '../detectors/scan.ts'
import { detectorNamed, kindsOf } from '../detectors.ts'
import type { Operand } from '../operators.ts'
import { RuleError } from '../rule-error.ts'
import { Notes } from '../views/code-free.ts'
import { foldedLiterals, needsFolding } from './folded-literals.ts'
import { literals, type Phrase } from './literals.ts'
import { type Matcher, together } from './match.ts'
import { PASSING, passages, WHOLE } from './passages.ts'
import { letterGrams, phraseGrams } from './phrase-grams.ts'
import { type Gram, Sieve } from './sieve.ts'
import { squeezedLiterals, type Word, wordsOf } from './squeezed-literals.ts'

/** What one question asks. Several detectors are several questions, because each has its own placeholder; a dictionary is a list of phrases. */
export type TextOperand = Exclude<Operand, { kind: 'detector' }> | { kind: 'detector'; name: string }

/** Reads texts that are all there, or texts that others wait for. */
export type Bounds = 'whole' | 'passing'

/** The watchers of a policy's phrases and detectors; null where there is nothing to look for. */
export interface Matchers {
  all: Matcher | null
  /** The same for a text that has none of the letters of `grams`; phrases of which no such letters are known are still looked for. */
  unlessPhrases: Matcher | null
  /** Null where nothing is known of some of them. */
  grams: readonly Gram[] | null
  /** Of the text that was read last. */
  notes: Notes
}

/** More grams take more memory than they are worth. */
const GRAMS_MAX = 1 << 14
const PHRASES = 1

/** The watcher for phrases and detectors, which can also read a text that arrives in pieces; null where there is nothing to look for. */
export const compileMatcher = (leaves: readonly { operand: TextOperand }[], bounds: Bounds = 'whole'): Matcher | null => compileMatchers(leaves, bounds).all

/**
 * Watchers for phrases and detectors, which can also read a text that arrives in pieces. They find them in every view of a text; phrases that stand at
 * the beginning or the end, or are the whole of it, as they are written only. `group` is the bit by which a sieve tells of phrases.
 */
export function compileMatchers(leaves: readonly { operand: TextOperand }[], bounds: Bounds, group = PHRASES): Matchers {
  const byPhrases = new Map<readonly string[], { exact: boolean; everyView: boolean; asked: number[] }[]>()
  const byKind = new Map<string, number[]>()
  leaves.forEach(({ operand }, leaf) => {
    if (operand.kind === 'literal') {
      const { phrases, exact } = operand
      const everyView = operand.at === 'anywhere' && !operand.absent
      const known = byPhrases.get(phrases)
      const same = known?.find((one) => one.exact === exact && one.everyView === everyView)
      if (same) same.asked.push(leaf)
      else byPhrases.set(phrases, [...(known ?? []), { exact, everyView, asked: [leaf] }])
    } else if (operand.kind === 'detector') {
      const detector = detectorNamed(operand.name)
      if (!detector) throw new RuleError('config', 'condition', `There is no detector "${operand.name}".`)
      for (const kind of kindsOf(detector)) byKind.set(kind, [...(byKind.get(kind) ?? []), leaf])
    }
  })
  const all = [...byPhrases].flatMap(([phrases, ways]) =>
    ways.flatMap(({ exact, everyView, asked }) => phrases.map((text) => ({ text, exact, everyView, leaves: asked }))),
  )
  const everyView = all.filter((phrase) => phrase.everyView)
  const privateKeyLeaves = byKind.get('private_key')
  const keys = privateKeyLeaves ? privateKeys(privateKeyLeaves) : null
  const words = wordsOf(everyView)
  const squeezed = squeezedLiterals(words)
  const decoded = togetherOrNull([asWritten(everyView), squeezed, keys])
  const { grams, unsifted } = sift(all, words, group)
  const sieve = grams === null || unsifted.length > 0 ? null : new Sieve(grams)
  const mayHavePhrases = (text: Buffer): boolean => sieve === null || sieve.groupsIn(text) !== 0
  const scan = scanFor(new Set(byKind.keys()))
  const notes = new Notes()
  const read =
    byKind.size === 0 && !decoded
      ? null
      : passages(
          (report, found) => ({ scan, decoded, mayHavePhrases, keys, report, found, notes: bounds === 'whole' ? notes : null }),
          byKind,
          bounds === 'whole' ? WHOLE : PASSING,
        )
  return {
    all: togetherOrNull([asWritten(all), read && squeezed, keys, read]),
    unlessPhrases: togetherOrNull([asWritten(unsifted), keys, read]),
    grams,
    notes,
  }
}

/**
 * The letters that tell of phrases and words, and the phrases of which none are known, with all others of their lists: of a list the longest term speaks.
 * Where there would be too many letters, none.
 */
function sift(phrases: readonly Phrase[], words: readonly Word[], group: number): { grams: readonly Gram[] | null; unsifted: readonly Phrase[] } {
  const unknown = new Set<readonly number[]>()
  const grams: Gram[] = []
  const add = (own: readonly Gram[]): boolean => grams.push(...own) <= GRAMS_MAX
  for (const phrase of phrases) {
    const own = phraseGrams(phrase, group)
    if (own === null) unknown.add(phrase.leaves)
    else if (!add(own)) return { grams: null, unsifted: phrases }
  }
  for (const { letters } of words) if (!add(letterGrams(letters, group) ?? [])) return { grams: null, unsifted: phrases }
  return { grams, unsifted: phrases.filter(({ leaves }) => unknown.has(leaves)) }
}

/** Phrases as they are written, in any case or in theirs. */
function asWritten(phrases: readonly Phrase[]): Matcher | null {
  const { bytes = [], letters = [] } = Object.groupBy(phrases, ({ text, exact }) => (!exact && needsFolding(text) ? 'letters' : 'bytes'))
  return togetherOrNull([bytes.length > 0 ? literals(bytes) : null, letters.length > 0 ? foldedLiterals(letters) : null])
}

const togetherOrNull = (matchers: readonly (Matcher | null)[]): Matcher | null => together(matchers.filter((matcher) => matcher !== null))
