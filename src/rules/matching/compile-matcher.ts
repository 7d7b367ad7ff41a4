/** Phrases and detectors of a policy as one watcher. */

import { privateKeys } from '../detectors/private-keys.ts'
import { scanFor } from '../detectors/scan.ts'
import { detectorNamed, kindsOf } from '../detectors.ts'
import type { Operand } from '../operators.ts'
import { RuleError } from '../rule-error.ts'
import { foldedLiterals, needsFolding } from './folded-literals.ts'
import { literals, type Phrase } from './literals.ts'
import { type Matcher, together } from './match.ts'
import { PASSING, passages, WHOLE } from './passages.ts'
import { squeezedLiterals } from './squeezed-literals.ts'

/** What one question asks. Several detectors are several questions, because each has its own placeholder; a dictionary is a list of phrases. */
export type TextOperand = Exclude<Operand, { kind: 'detector' }> | { kind: 'detector'; name: string }

/** Reads texts that are all there, or texts that others wait for. */
export type Bounds = 'whole' | 'passing'

/**
 * The watcher for phrases and detectors, which can also read a text that arrives in pieces. Null where there is nothing to look for. It finds them in every
 * view of a text; phrases that stand at the beginning or the end, or are the whole of it, as they are written only.
 */
export function compileMatcher(leaves: readonly { operand: TextOperand }[], bounds: Bounds = 'whole'): Matcher | null {
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
  const squeezed = squeezedLiterals(everyView)
  const decoded = togetherOrNull([asWritten(everyView), squeezed, keys])
  if (byKind.size === 0 && !decoded) return asWritten(all)
  const scan = scanFor(new Set(byKind.keys()))
  const read = passages((report, found) => ({ scan, decoded, folded: keys, report, found }), byKind, bounds === 'whole' ? WHOLE : PASSING)
  return togetherOrNull([asWritten(all), squeezed, keys, read])
}

/** Phrases as they are written, in any case or in theirs. */
function asWritten(phrases: readonly Phrase[]): Matcher | null {
  const { bytes = [], letters = [] } = Object.groupBy(phrases, ({ text, exact }) => (!exact && needsFolding(text) ? 'letters' : 'bytes'))
  return togetherOrNull([bytes.length > 0 ? literals(bytes) : null, letters.length > 0 ? foldedLiterals(letters) : null])
}

const togetherOrNull = (matchers: readonly (Matcher | null)[]): Matcher | null => together(matchers.filter((matcher) => matcher !== null))
