/** How a preset's rules are written down. */
import type { RuleDraft } from '../check-rule.ts'
import type { Action, Condition, Target } from '../rule.ts'

export interface PresetEntry {
  name: string
  /** What it is for, and where it ends. */
  purpose: string
  /** The law, standard or list that asks for it. */
  article: string
  condition: Condition
  action: Action
  /** Texts that it must find. */
  match: readonly string[]
  /** Texts that look like those, and must pass. */
  pass: readonly string[]
}

/** A rule of a preset with texts that show what it is for; the tests hold it to them. */
export interface PresetRule extends RuleDraft {
  examples: { match: readonly string[]; pass: readonly string[] }
}
export interface Preset {
  about: string
  rules: readonly PresetRule[]
}

const PRIORITIES: Readonly<Record<Action, number>> = { BLOCK: 90, ESCALATE: 70, REDACT: 60, WARN: 40, ALLOW: 20 }

export const presetOf = (preset: string, about: string, entries: readonly (readonly PresetEntry[])[]): Preset => ({
  about,
  rules: entries.flat().map(({ name, purpose, article, condition, action, match, pass }) => ({
    name,
    condition,
    action,
    priority: PRIORITIES[action],
    mode: 'enforce',
    reversible: false,
    active: true,
    preset,
    metadata: { purpose, article },
    examples: { match, pass },
  })),
})

export const pattern = (value: string, target?: Target): Condition => ({ operator: 'regex', value, ...(target && { target }) })
export const exactPattern = (value: string): Condition => ({ operator: 'regex', value, case_sensitive: true })
export const detects = (...names: readonly string[]): Condition => ({ operator: 'detects', value: names.length === 1 ? names[0] : names })
