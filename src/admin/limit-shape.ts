/** What limits look like in the API, how rows keep them, and how they are shown. */
import { z } from 'zod'
import type { EachLimits, LimitFields } from '../db/schema.ts'
import { modelPattern } from './shapes.ts'

const REQUESTS_MAX = 1_000_000_000
const TOKENS_MAX = 1_000_000_000_000
const CONCURRENCY_MAX = 100_000
const MODELS_MAX = 50

export const upTo = (most: number) => z.number().int().min(1).max(most)
const limit = (most: number, description: string) => upTo(most).nullable().meta({ description })

/** Every limit there is. A day is the calendar's, in UTC. */
export const limitMembers = {
  max_requests_per_minute: limit(REQUESTS_MAX, 'Calls in a minute; null: no limit.'),
  max_requests_per_day: limit(REQUESTS_MAX, 'Calls in a day (UTC); null: no limit.'),
  max_tokens_per_minute: limit(TOKENS_MAX, 'Tokens of calls and replies in a minute; null: no limit.'),
  max_tokens_per_day: limit(TOKENS_MAX, 'Tokens of calls and replies in a day (UTC); null: no limit.'),
  max_concurrency: limit(CONCURRENCY_MAX, 'Calls under way at once; null: no limit.'),
}
const members = z.strictObject(limitMembers).partial()

/** What is not named is not limited; nothing named is null. */
export const limits = members.nullable()

const modelLimits = members
  .extend({ model: modelPattern })
  .refine((one) => keptLimits(one) !== null, 'Must limit something.')
  .meta({ description: 'What all calls for the models of a pattern may use together.' })

/** What a tenant gives each of its keys, agents and users that have no limits of their own, and the models of a pattern. */
export const eachLimits = z
  .strictObject({
    key: limits,
    agent: limits,
    user: limits,
    models: z
      .array(modelLimits)
      .max(MODELS_MAX)
      .refine((all) => new Set(all.map(({ model }) => model)).size === all.length, 'Names a model twice.'),
  })
  .partial()
  .nullable()

type Limits = z.output<typeof limits>
type Each = z.output<typeof eachLimits>

const names = Object.keys(limitMembers) as (keyof typeof limitMembers)[]

/** As a row keeps them: without what is not limited, and null where nothing is. */
export function keptLimits(sent: Limits): LimitFields | null {
  const set = names.filter((name) => sent?.[name] !== null && sent?.[name] !== undefined)
  return set.length === 0 ? null : Object.fromEntries(set.map((name) => [name, sent?.[name]]))
}

/** As they are shown: with every member. */
export const shownLimits = (fields: LimitFields | null | undefined): Limits =>
  fields ? Object.fromEntries(names.map((name) => [name, fields[name] ?? null])) : null

export function keptEach(sent: Each): EachLimits | null {
  const models = (sent?.models ?? []).map((one) => ({ model: one.model, ...keptLimits(one) }))
  const each = { key: keptLimits(sent?.key ?? null), agent: keptLimits(sent?.agent ?? null), user: keptLimits(sent?.user ?? null), models }
  return each.key || each.agent || each.user || models.length > 0 ? each : null
}

export const shownEach = (fields: EachLimits | null): Each =>
  fields && {
    key: shownLimits(fields.key),
    agent: shownLimits(fields.agent),
    user: shownLimits(fields.user),
    models: (fields.models ?? []).map((one) => ({ model: one.model, ...shownLimits(one) })),
  }
