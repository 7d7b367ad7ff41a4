/** Limits as rows keep them, and as calls need them. */
import type { LimitSet, Tenant } from '../call.ts'
import type { EachLimits, LimitFields } from '../db/schema.ts'

export const limitSetOf = (fields: LimitFields): LimitSet => ({
  requestsPerMinute: fields.max_requests_per_minute ?? null,
  requestsPerDay: fields.max_requests_per_day ?? null,
  tokensPerMinute: fields.max_tokens_per_minute ?? null,
  tokensPerDay: fields.max_tokens_per_day ?? null,
  concurrency: fields.max_concurrency ?? null,
})

const orNull = (fields: LimitFields | null | undefined): LimitSet | null => (fields ? limitSetOf(fields) : null)

/** What a tenant gives each of its keys, agents and users, and the models of a pattern. */
export const limitsOfEach = (fields: EachLimits | null): Tenant['limitsOfEach'] => ({
  key: orNull(fields?.key),
  agent: orNull(fields?.agent),
  user: orNull(fields?.user),
  models: (fields?.models ?? []).map(({ model, ...limits }) => ({ model, limits: limitSetOf(limits) })),
})
