/** Phrases and detectors of a policy as one watcher. */
import { detectorNamed } from '../detectors.ts'
import type { Operand } from '../operators.ts'
import { RuleError } from '../rule-error.ts'
import { foldedLiterals, needsFolding } from './folded-literals.ts'
import { literals, type Phrase } from './literals.ts'
import { type Matcher, together } from './match.ts'

/** What one question asks. Several detectors are several questions, because each has its own placeholder; a dictionary is a list of phrases. */
export type TextOperand = Exclude<Operand, { kind: 'detector' }> | { kind: 'detector'; name: string }

/** The watcher for phrases and detectors, which can also read a text that arrives in pieces. Null where there is nothing to look for. */
export function compileMatcher(leaves: readonly { operand: TextOperand }[]): Matcher | null {
  const byPhrases = new Map<readonly string[], { exact: boolean; asked: number[] }[]>()
  const byDetector = new Map<string, number[]>()
  leaves.forEach(({ operand }, leaf) => {
    if (operand.kind === 'literal') {
      const { phrases, exact } = operand
      const known = byPhrases.get(phrases)
      const same = known?.find((one) => one.exact === exact)
      if (same) same.asked.push(leaf)
      else byPhrases.set(phrases, [...(known ?? []), { exact, asked: [leaf] }])
    } else if (operand.kind === 'detector') byDetector.set(operand.name, [...(byDetector.get(operand.name) ?? []), leaf])
  })
  const all = [...byPhrases].flatMap(([phrases, ways]) => ways.flatMap(({ exact, asked }) => phrases.map((text): Phrase => ({ text, exact, leaves: asked }))))
  const { bytes = [], letters = [] } = Object.groupBy(all, ({ text, exact }) => (!exact && needsFolding(text) ? 'letters' : 'bytes'))
  return together([
    ...(bytes.length > 0 ? [literals(bytes)] : []),
    ...(letters.length > 0 ? [foldedLiterals(letters)] : []),
    ...[...byDetector].map(([name, asked]): Matcher => {
      const detector = detectorNamed(name)
      if (!detector) throw new RuleError('config', 'condition', `There is no detector "${name}".`)
      const watch = detector.build(asked[0])
      if (asked.length === 1) return watch
      return (report) =>
        watch((start, end) => {
          for (const leaf of asked) report(start, end, leaf)
        })
    }),
  ])
}
