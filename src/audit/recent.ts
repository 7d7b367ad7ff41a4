/** The newest exchanges: how long they took, how many failed, and what they were. Costs the same however much has been logged before. */
import type { SQL } from 'drizzle-orm'
import type { Db, Tx } from '../db/connect.ts'
import { and, desc, eq, gte, sql } from '../db/drizzle.ts'
import { auditEntries } from '../db/schema.ts'
import { newId } from '../ids.ts'
import type { AuditEntry } from './entry.ts'
import { toEntry } from './row.ts'

/** Of milliseconds. */
export interface Quantiles {
  p50: number
  p95: number
  p99: number
}

export interface RecentFigures {
  /** How many the rest was computed from: all since `from`, or the newest RECENT_MAX. */
  sampled: number
  /** Answers of 5xx among them, 0..1. */
  error_rate: number
  /** Null where no call took a time. */
  latency_ms: Quantiles | null
  /** Earthflow's own share. */
  overhead_ms: Quantiles | null
}

export const RECENT_MAX = 5_000

/** `tenantId` null: of all tenants. */
export async function recentFigures(db: Db | Tx, tenantId: string | null, from: Date): Promise<RecentFigures> {
  const quantiles = (column: SQL, name: string): SQL =>
    sql.join(
      [50, 95, 99].map((n) => sql`percentile_cont(${sql.raw(String(n / 100))}) within group (order by ${column})::float8 as ${sql.raw(`${name}_${n}`)}`),
      sql`, `,
    )
  const [row] = await db.execute<Record<string, number | null>>(sql`
    select count(*)::int as sampled, count(*) filter (where http_status >= 500)::int as failed,
      ${quantiles(sql`latency_ms`, 'latency')}, ${quantiles(sql`overhead_ms`, 'overhead')}
    from (select http_status, latency_ms, overhead_ms from audit_entries where ${since(tenantId, from)} order by ${newestFirst(tenantId)} limit ${RECENT_MAX}) as recent`)
  const of = (name: string): Quantiles | null => {
    const [p50, p95, p99] = [50, 95, 99].map((n) => row?.[`${name}_${n}`] ?? null)
    return p50 === null || p95 === null || p99 === null ? null : ({ p50, p95, p99 } as Quantiles)
  }
  const sampled = row?.sampled ?? 0
  return { sampled, error_rate: sampled === 0 ? 0 : (row?.failed ?? 0) / sampled, latency_ms: of('latency'), overhead_ms: of('overhead') }
}

/** Newest first. `tenantId` null: of all tenants. */
export async function newestEntries(db: Db | Tx, tenantId: string | null, from: Date, limit: number): Promise<AuditEntry[]> {
  const rows = await db.select().from(auditEntries).where(since(tenantId, from)).orderBy(newestFirst(tenantId)).limit(limit)
  return rows.map(toEntry)
}

/** A tenant's are found by its index of times. Those of all tenants have none, and are found by their ids, which begin with the time. */
const since = (tenantId: string | null, from: Date): SQL | undefined =>
  and(
    eq(auditEntries.kind, 'exchange'),
    gte(auditEntries.timestamp, from),
    tenantId === null ? gte(auditEntries.auditId, idAt(from)) : eq(auditEntries.tenantId, tenantId),
  )
const newestFirst = (tenantId: string | null): SQL => desc(tenantId === null ? auditEntries.auditId : auditEntries.timestamp)

/** Of `aud_`, ten characters of time, and sixteen more. */
const ID_TIME_CHARACTERS = 14
/** Between a call's name and its time. */
const SLACK_MS = 60_000
/** Everything that was named after that moment comes behind it. A call is named when it begins, which is its time in the log as well. */
const idAt = (from: Date): string => newId('aud', from.getTime() - SLACK_MS).slice(0, ID_TIME_CHARACTERS)
