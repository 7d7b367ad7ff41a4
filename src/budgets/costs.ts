/** Reads the cost ledger: what calls cost, added up by day and by whatever one wants to know. */
import type { Db, Tx } from '../db/connect.ts'
import { and, eq, gte, lt, sql } from '../db/drizzle.ts'
import { costLedger } from '../db/schema.ts'

/** What costs may be grouped by, and the name of that in an answer. */
export const dimensions = {
  tenant: { member: 'tenant_id', column: costLedger.tenantId },
  agent: { member: 'agent_id', column: costLedger.agentId },
  key: { member: 'key_prefix', column: costLedger.keyPrefix },
  user: { member: 'user_id', column: costLedger.userId },
  model: { member: 'model', column: costLedger.model },
  upstream: { member: 'upstream', column: costLedger.upstream },
  day: { member: 'day', column: costLedger.day },
} as const

export type Dimension = keyof typeof dimensions
type Member = (typeof dimensions)[Dimension]['member']

export interface Costs {
  requests: number
  /** Of these, whose model has no price: their cost is unknown, and not in `cost_usd`. */
  unpriced_requests: number
  /** Of these, whose tokens no provider counted. */
  estimated_requests: number
  input_tokens: number
  output_tokens: number
  /** A decimal number with nine places, exact. */
  cost_usd: string
}

/** The dimensions asked for are there, null where a call had none; the others are not. */
export type CostGroup = Costs & { [member in Member]?: string | null }

export interface CostQuery {
  /** Days (`2026-11-20`), UTC, the first and the one after the last. */
  from: string
  to: string
  groupBy: readonly Dimension[]
  limit: number
  offset: number
}

/** The latest day first where days are asked for, and what cost most. `tenantId` null covers every tenant. */
export async function listCosts(db: Db | Tx, tenantId: string | null, { from, to, groupBy, limit, offset }: CostQuery) {
  const matching = and(tenantId === null ? undefined : eq(costLedger.tenantId, tenantId), gte(costLedger.day, from), lt(costLedger.day, to))
  const columns = groupBy.map((name) => dimensions[name].column)
  const members = Object.fromEntries(groupBy.map((name) => [dimensions[name].member, sql<string | null>`nullif(${dimensions[name].column}::text, '')`]))
  const groups = db
    .select({ one: sql`1`.as('one') })
    .from(costLedger)
    .where(matching)
    .groupBy(...columns)
  const [{ total }] = await db.select({ total: sql<number>`count(*)::int` }).from(groups.as('groups'))
  const costs = await db
    .select({ ...members, ...sums })
    .from(costLedger)
    .where(matching)
    .groupBy(...columns)
    .orderBy(...(groupBy.includes('day') ? [sql`${costLedger.day} desc`] : []), sql`sum(${costLedger.costNano}) desc`, ...columns)
    .limit(limit)
    .offset(offset)
  const [totals] = await db.select(sums).from(costLedger).where(matching)
  return { costs: costs as CostGroup[], totals: totals as Costs, total }
}

const whole = (column: unknown) => sql<number>`coalesce(sum(${column}), 0)::float8`
const sums = {
  requests: whole(costLedger.requests),
  unpriced_requests: whole(costLedger.unpriced),
  estimated_requests: whole(costLedger.estimated),
  input_tokens: whole(costLedger.inputTokens),
  output_tokens: whole(costLedger.outputTokens),
  cost_usd: sql<string>`(coalesce(sum(${costLedger.costNano}), 0) * 0.000000001)::numeric(40, 9)::text`,
}
