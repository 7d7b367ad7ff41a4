/** Rules, dictionaries and their differences, as the management API shows and takes them. */
import { z } from 'zod'
import { METADATA_BYTES_MAX, PRIORITY_DEFAULT, PRIORITY_MAX } from '../../rules/check-rule.ts'
import { actions, type Dictionaries, type Rule } from '../../rules/rule.ts'
import { type RuleRow, toRule } from '../../rules/store.ts'
import { readOnly } from '../read-only.ts'
import { label, timestamp } from '../shapes.ts'

export const modes = ['enforce', 'shadow'] as const
/** Read in full by rules/check-rule.ts, whose sentences say what is wrong with it. */
const condition = z.record(z.string(), z.unknown()).meta({
  description: '{operator, value, target?, case_sensitive?}, {all: [condition]}, {any: [condition]} or {not: condition}',
})
const metadata = z.record(z.string(), z.unknown()).meta({ description: `At most ${METADATA_BYTES_MAX} bytes of JSON.` })

/** A rule alone, without whose it is and when it changed. */
export const plainRule = {
  id: z.string(),
  name: z.string(),
  condition,
  action: z.enum(actions),
  priority: z.number().int(),
  mode: z.enum(modes),
  reversible: z.boolean(),
  active: z.boolean(),
  preset: z.string().nullable(),
  metadata,
}
const shownRule = { ...plainRule, tenant_id: z.string(), created_at: timestamp, updated_at: timestamp }
export const rule = z.strictObject(shownRule)

const fields = {
  name: label,
  condition,
  action: z.enum(actions),
  priority: z.number().int().min(0).max(PRIORITY_MAX),
  mode: z.enum(modes),
  reversible: z.boolean(),
  active: z.boolean(),
  metadata,
}
export const newRule = z.strictObject({
  ...readOnly,
  name: fields.name,
  condition: fields.condition,
  action: fields.action,
  priority: fields.priority.default(PRIORITY_DEFAULT),
  mode: fields.mode.default('enforce'),
  reversible: fields.reversible.default(false),
  active: fields.active.default(true),
  metadata: fields.metadata.default({}),
})
export const changedRule = z.strictObject({ ...readOnly, ...fields }).partial()

/** A rule that is read by rules/check-rule.ts alone, whose sentences name the member. */
export const draft = z.record(z.string(), z.unknown()).meta({ description: 'A rule as POST /v1/rules takes it.' })

const memberChange = z.strictObject({ path: z.string(), from: z.unknown().optional(), to: z.unknown().optional() })
const ruleDiff = z.array(memberChange).meta({ description: 'What changed, by JSON pointer. from or to is left out where there is no such member.' })
/** What a write answers beside the rule. */
export const writtenRule = z.strictObject({ ...shownRule, diff: ruleDiff, policy_version: z.number().int() })

const named = z.strictObject({ rule_id: z.string().nullable().meta({ description: 'Null where a trial run made no rule.' }), name: z.string() })
export const policyDiff = z.strictObject({
  added: z.array(named),
  removed: z.array(named),
  changed: z.array(z.strictObject({ rule_id: z.string(), name: z.string(), diff: ruleDiff })),
  dictionaries: z.strictObject({
    added: z.array(z.string()),
    removed: z.array(z.string()),
    changed: z.array(z.strictObject({ name: z.string(), terms_added: z.number().int(), terms_removed: z.number().int(), case_sensitive: z.boolean() })),
  }),
})

export const dictionary = z.strictObject({ terms: z.array(z.string()), case_sensitive: z.boolean().default(false) })
export const dictionaries = z.record(z.string(), dictionary).meta({ description: 'By name: {terms, case_sensitive}.' })

const VERSION_DIGITS = /^[1-9]\d{0,8}$/
/** In a path; anything else is no such path. */
export const versionNumber = z.string().regex(VERSION_DIGITS)
/** What every write of rules may be given, so that it cannot overlook another's. */
export const writeQuery = {
  expected_version: z
    .string()
    .regex(VERSION_DIGITS, 'Must be the number of a version.')
    .transform(Number)
    .optional()
    .meta({ description: 'The version of the policy this is written for; 409 when another is in force.' }),
}

export const version = { version: z.number().int(), created_by: z.string(), created_at: timestamp }
export const shownVersion = (row: { version: number; createdBy: string; createdAt: Date }) => ({
  version: row.version,
  created_by: row.createdBy,
  created_at: row.createdAt.toISOString(),
})

/** With members of its own, as the answers' schemas want them. */
export const plain = (one: Rule) => ({ ...one, condition: { ...one.condition } })

export const shown = (row: RuleRow): z.input<typeof rule> => ({
  ...plain(toRule(row)),
  tenant_id: row.tenantId,
  created_at: row.createdAt.toISOString(),
  updated_at: row.updatedAt.toISOString(),
})

export const shownDictionaries = (all: Dictionaries): z.input<typeof dictionaries> =>
  Object.fromEntries(Object.entries(all).map(([name, { terms, case_sensitive }]) => [name, { terms: [...terms], case_sensitive }]))
