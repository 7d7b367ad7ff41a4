/** Counts the audit log: how many calls ended how, and which rules found most. */
import type { SQL } from 'drizzle-orm'
import type { Db, Tx } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'

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

/**
 * `tenantId` null counts every tenant. Whole hours are read from what the database counts with every row (`audit_counts`), and stay when their rows are past
 * their time; of an hour that the period cuts through, rows are counted.
 */
export async function auditStats(db: Db | Tx, tenantId: string | null, period: Period): Promise<AuditStats> {
  const { from, to, groupBy } = period
  const { whole, cuts } = await divide(db, tenantId, period)
  const groups = await db.execute<{ start: number; status: string; total: number }>(sql`
    select extract(epoch from date_trunc(${groupBy}, at, 'UTC'))::float8 as start, status, sum(n)::float8 as total
    from (
      select hour as at, status, requests as n from audit_counts where tenant_id = ${tenantId ?? ALL} and ${isWithin(sql`hour`, whole)}
      ${each(cuts, ({ sign, rows }) => sql`union all select timestamp, coalesce(status, ''), ${sign}::bigint ${rows}`)}
    ) as counted
    group by 1, 2`)
  const top = await db.execute<{ rule_id: string; count: number }>(sql`
    select rule_id, sum(n)::float8 as count
    from (
      ${rulesOf(tenantId, whole)}
      ${each(cuts, ({ sign, rows }) => sql`union all select ${ruleIds}, ${sign}::bigint ${rows}`)}
    ) as counted
    group by 1 having sum(n) > 0 order by 2 desc, 1 limit ${TOP_RULES_MAX}`)

  const totals = nothing()
  const series = new Map<number, Counts & { start: string }>()
  for (let at = startOf(from, groupBy); at < to.getTime(); at += lengths[groupBy]) series.set(at, { start: new Date(at).toISOString(), ...nothing() })
  for (const group of groups) {
    const point = series.get(Math.round(group.start * 1000))
    const column = columns[group.status]
    for (const counts of point ? [totals, point] : [totals]) {
      counts.requests += group.total
      if (column) counts[column] += group.total
    }
  }
  const judged = totals.requests - totals.rejected
  return { totals, block_rate: judged === 0 ? 0 : totals.blocked / judged, top_triggered_rules: [...top], series: [...series.values()] }
}

/** Under this name the database counts what all tenants did together: calls by hour, rules by day. */
const ALL = '*'

/** From a moment, in milliseconds since 1970, to another, which is not in it. */
interface Stretch {
  from: number
  to: number
}

/** Rows that are not as the whole hours have it: to be added, or taken off. */
interface Cut {
  sign: 1 | -1
  /** `from audit_entries where …` */
  rows: SQL
}

/** Of an hour that is cut, the shorter part is counted: of one that lies in the period for the greater part, what does not lie in it. */
async function divide(db: Db | Tx, tenantId: string | null, { from, to }: Period): Promise<{ whole: Stretch; cuts: Cut[] }> {
  const asked = { from: Math.min(from.getTime(), LAST_HOUR), to: Math.min(to.getTime(), LAST_HOUR) }
  const first = hourOf(asked.from)
  const last = hourOf(asked.to)
  const cut = (stretch: Stretch, sign: Cut['sign']): Cut[] => (stretch.from < stretch.to ? [{ sign, rows: exchangesIn(tenantId, stretch) }] : [])
  if (first === last) return { whole: { from: first, to: first }, cuts: cut(asked, 1) }
  const takesFirst = asked.from - first < HOUR_MS / 2
  const rest = { from: asked.to, to: last + HOUR_MS }
  // The hour that is not over has no rest, however much has happened in it.
  const takesLast = asked.to > last && (rest.to - rest.from < HOUR_MS / 2 || !(await isAny(db, exchangesIn(tenantId, rest))))
  return {
    whole: { from: takesFirst ? first : first + HOUR_MS, to: takesLast ? last + HOUR_MS : last },
    cuts: [
      ...(takesFirst ? cut({ from: first, to: asked.from }, -1) : cut({ from: asked.from, to: first + HOUR_MS }, 1)),
      ...(takesLast ? cut(rest, -1) : cut({ from: last, to: asked.to }, 1)),
    ],
  }
}

/** The last that PostgreSQL and JavaScript write in the same way; nothing has happened there yet. */
const LAST_HOUR = Date.UTC(9999, 11, 31, 23)

const hourOf = (at: number): number => Math.floor(at / HOUR_MS) * HOUR_MS

async function isAny(db: Db | Tx, rows: SQL): Promise<boolean> {
  const [{ any }] = await db.execute<{ any: boolean }>(sql`select exists (select ${rows}) as any`)
  return any
}

/** Within one hour. Rows are found by tenant and time, so that all tenants are those who did something in that hour. */
function exchangesIn(tenantId: string | null, stretch: Stretch): SQL {
  const hour = moment(hourOf(stretch.from))
  const owner =
    tenantId === null
      ? sql`(tenant_id is null or tenant_id = any(array(select distinct tenant_id from audit_counts where hour = ${hour})))`
      : sql`tenant_id = ${tenantId}`
  return sql`from audit_entries where ${owner} and kind = 'exchange' and ${isWithin(sql`timestamp`, stretch)}`
}

/** Of all tenants, whole days are counted together; the hours before the first and after the last one are those of each. */
function rulesOf(tenantId: string | null, whole: Stretch): SQL {
  const owned = (owner: SQL, stretch: Stretch) => sql`select rule_id, requests as n from audit_rule_counts where ${owner} and ${isWithin(sql`hour`, stretch)}`
  if (tenantId !== null) return owned(sql`tenant_id = ${tenantId}`, whole)
  const anybody = sql`tenant_id <> ${ALL}`
  const days = { from: Math.ceil(whole.from / DAY_MS) * DAY_MS, to: Math.floor(whole.to / DAY_MS) * DAY_MS }
  if (days.from >= days.to) return owned(anybody, whole)
  const [before, after] = [
    { from: whole.from, to: days.from },
    { from: days.to, to: whole.to },
  ]
  return sql`${owned(sql`tenant_id = ${ALL}`, days)} union all ${owned(anybody, before)} union all ${owned(anybody, after)}`
}

const ruleIds = sql`jsonb_array_elements_text(case jsonb_typeof(rules_triggered) when 'array' then rules_triggered end)`
const moment = (at: number): SQL => sql`${new Date(at).toISOString()}::timestamptz`
const isWithin = (column: SQL, { from, to }: Stretch): SQL => sql`${column} >= ${moment(from)} and ${column} < ${moment(to)}`
const each = <Item>(items: readonly Item[], part: (item: Item) => SQL): SQL => sql.join(items.map(part), sql` `)

const nothing = (): Counts => ({ requests: 0, allowed: 0, warned: 0, redacted: 0, escalated: 0, blocked: 0, rejected: 0 })

function startOf(date: Date, groupBy: Grouping): number {
  const offset = groupBy === 'week' ? FIRST_MONDAY_MS : 0
  const length = lengths[groupBy]
  return Math.floor((date.getTime() - offset) / length) * length + offset
}
