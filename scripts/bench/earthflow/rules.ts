/** What is looked for, in every configuration with rules. Nothing of it is in what the calls say, but the one term that is cut. */
import { detectors } from '../../../src/rules/detectors.ts'
import { CUT_TERM } from '../bodies.ts'

/** As POST /v1/rules/import takes them. */
export interface RuleDraft {
  name: string
  condition: { operator: string; value: string; target?: string }
  action: string
  reversible?: boolean
}

export const literals = (count: number, target?: string): RuleDraft[] =>
  Array.from({ length: count }, (_, i) => ({
    name: `literal ${i}${target ? ` in the ${target}` : ''}`,
    condition: { operator: 'contains', value: `confidential project number${i}`, ...(target ? { target } : {}) },
    action: 'WARN',
  }))

export const patterns = (count: number): RuleDraft[] =>
  Array.from({ length: count }, (_, i) => ({
    name: `pattern ${i}`,
    condition: { operator: 'regex', value: `\\b(?:proj|code)-${i}[0-9]{4,8}[a-z]{2}\\b` },
    action: 'WARN',
  }))

/** Four in five are literals. */
export const mixed = (count: number): RuleDraft[] => [...literals((count * 4) / 5), ...patterns(count / 5)]

export const everyDetector = (): RuleDraft[] =>
  detectors.map(({ name }) => ({ name: `detector ${name}`, condition: { operator: 'detects', value: name }, action: 'WARN' }))

export const cut: readonly RuleDraft[] = [
  { name: 'the term that is cut', condition: { operator: 'contains', value: CUT_TERM }, action: 'REDACT', reversible: true },
]
