/** Ready-made rules. They are a beginning and not compliance: what an organisation must keep in, only it knows. */
import { Refusal } from '../errors.ts'
import type { RuleDraft } from './check-rule.ts'
import { commands } from './presets/commands.ts'
import { financial } from './presets/financial.ts'
import { health } from './presets/health.ts'
import { highRisk } from './presets/high-risk.ts'
import { hiring } from './presets/hiring.ts'
import { personal } from './presets/personal.ts'
import { type Preset, presetOf } from './presets/preset-rule.ts'
import { prohibitedPractices } from './presets/prohibited-practices.ts'
import { promptInjection } from './presets/prompt-injection.ts'
import { secrets } from './presets/secrets.ts'
import { transparency } from './presets/transparency.ts'

export type { Preset, PresetRule } from './presets/preset-rule.ts'

const everywhere = [secrets, personal, promptInjection]

/** Presets by name, as tenants choose them. */
export const presets: Readonly<Record<string, Preset>> = {
  default: presetOf(
    'default',
    'Keys, tokens and connection strings with a password are blocked; card, account and national identity numbers redacted; prompt injections warned of.',
    everywhere,
  ),
  medical: presetOf(
    'medical',
    'Everything of default; what identifies a patient is redacted: contact details, record and insurance numbers, dates of birth, diagnosis codes beside a person. Names are not found.',
    [...everywhere, health],
  ),
  financial: presetOf(
    'financial',
    'Everything of default; account numbers are redacted; personalised advice and decisions about credit wait for approval; hints of market abuse are warned of.',
    [...everywhere, financial],
  ),
  hr: presetOf('hr', 'Everything of default; protected traits in a hiring context, and rejection by a machine, wait for approval.', [...everywhere, hiring]),
  eu_ai_act: presetOf(
    'eu_ai_act',
    'Practices that Article 5 of the EU AI Act forbids are blocked, the contexts of Annex III wait for approval, missing transparency is warned of.',
    [prohibitedPractices, highRisk, transparency],
  ),
  secrets: presetOf('secrets', 'Keys, tokens, private keys and connection strings with a password are blocked.', [secrets]),
  prompt_injection: presetOf('prompt_injection', 'Phrases of prompt injection and jailbreaks are warned of.', [promptInjection]),
  coding_agents: presetOf(
    'coding_agents',
    "Keys, tokens and connection strings with a password are blocked; destructive commands in tools' arguments wait for approval or are warned of.",
    [secrets, commands],
  ),
}

/** The rules of a preset as new rules of a tenant. Throws a Refusal where there is no such preset. */
export function rulesOf(preset: string): RuleDraft[] {
  if (!Object.hasOwn(presets, preset)) throw new Refusal('config', `There is no such preset; there are ${Object.keys(presets).join(', ')}.`)
  return presets[preset].rules.map(({ examples: _, ...rule }) => structuredClone(rule))
}
