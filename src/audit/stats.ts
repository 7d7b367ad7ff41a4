/** Counts the audit log: how many calls ended how, and which rules found most. */
import type { Db, Tx } from '../db/connect.ts'
import { and, eq, gte, lt, sql } from '../db/drizzle.ts'
import { auditEntries } from '../db/schema.ts'
import { ownedBy } from './query.ts'

export const groupings = ['hour', 'day', 'week'] as const
export type Grouping = (typeof groupings)[number]

export interface Counts {
  requests: number
  allowed: number
  warned: number
  redacted: number
  escalated: number
  blocked: number
  rejected: number
}

export interface AuditStats {
  totals: Counts
  /** Blocked calls among those that were judged, 0..1; 0 when none was. */
  block_rate: number
  top_triggered_rules: { rule_id: string; count: number }[]
  /** Every hour, day or week of the period, also those in which nothing happened. Weeks begin on Monday, all in UTC. */
  series: (Counts & { start: string })[]
}

export interface Period {
  /** Inclusive. */
  from: Date
  /** Exclusive. */
  to: Date
  groupBy: Grouping
}

export const SERIES_MAX = 2_000
const TOP_RULES_MAX = 10
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const lengths: Record<Grouping, number> = { hour: HOUR_MS, day: DAY_MS, week: 7 * DAY_MS }
/** 1970 began on a Thursday: the first Monday was the fifth. */
const FIRST_MONDAY_MS = 4 * DAY_MS

const columns: Record<string, keyof Counts> = {
  ALLOW: 'allowed',
  WARN: 'warned',
  REDACT: 'redacted',
  ESCALATE: 'escalated',
  BLOCK: 'blocked',
  REJECTED: 'rejected',
}

/** How many points the series of a period has. Beyond SERIES_MAX auditStats must not be asked. */
export const pointsIn = ({ from, to, groupBy }: Period): number => Math.ceil((to.getTime() - startOf(from, groupBy)) / lengths[groupBy])

/** `tenantId` null counts every tenant. */
export async function auditStats(db: Db | Tx, tenantId: string | null, period: Period): Promise<AuditStats> {
  const { from, to, groupBy } = period
  const matching = and(ownedBy(tenantId), eq(auditEntries.kind, 'exchange'), gte(auditEntries.timestamp, from), lt(auditEntries.timestamp, to))
  const start = sql<string>`extract(epoch from date_trunc(${groupBy}, ${auditEntries.timestamp}, 'UTC'))::float8`
  const groups = await db
    .select({ start: start.as('start'), status: auditEntries.status, total: sql<number>`count(*)::int` })
    .from(auditEntries)
    .where(matching)
    .groupBy(sql`1`, auditEntries.status)
  const rule = sql<string>`jsonb_array_elements_text(${auditEntries.rulesTriggered})`
  const top = await db
    .select({ rule_id: rule.as('rule_id'), count: sql<number>`count(*)::int` })
    .from(auditEntries)
    .where(matching)
    .groupBy(sql`1`)
    .orderBy(sql`2 desc`, sql`1`)
    .limit(TOP_RULES_MAX)

  const totals = nothing()
  const series = new Map<number, Counts & { start: string }>()
  for (let at = startOf(from, groupBy); at < to.getTime(); at += lengths[groupBy]) series.set(at, { start: new Date(at).toISOString(), ...nothing() })
  for (const group of groups) {
    const point = series.get(Math.round(Number(group.start) * 1000))
    const column = columns[group.status ?? '']
    for (const counts of point ? [totals, point] : [totals]) {
      counts.requests += group.total
      if (column) counts[column] += group.total
    }
  }
  const judged = totals.requests - totals.rejected
  return { totals, block_rate: judged === 0 ? 0 : totals.blocked / judged, top_triggered_rules: top, series: [...series.values()] }
}

const nothing = (): Counts => ({ requests: 0, allowed: 0, warned: 0, redacted: 0, escalated: 0, blocked: 0, rejected: 0 })

function startOf(date: Date, groupBy: Grouping): number {
  const offset = groupBy === 'week' ? FIRST_MONDAY_MS : 0
  const length = lengths[groupBy]
  return Math.floor((date.getTime() - offset) / length) * length + offset
}
