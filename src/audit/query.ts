/** Reads the audit log. `tenantId` null is for the installation's administrator and means every tenant. */
import type { Db, Tx } from '../db/connect.ts'
import { and, count, desc, eq, gte, inArray, lt, sql } from '../db/drizzle.ts'
import { auditEntries } from '../db/schema.ts'
import type { AuditEntry } from './entry.ts'
import { hashesMeant } from './prompt-hash.ts'
import { type Row, toEntry } from './row.ts'

export interface AuditFilter {
  kind: AuditEntry['kind'] | 'all'
  /** Inclusive. */
  from?: Date | undefined
  /** Exclusive. */
  to?: Date | undefined
  status?: string | undefined
  ruleId?: string | undefined
  userId?: string | undefined
  model?: string | undefined
  agentId?: string | undefined
  requestId?: string | undefined
  /** The mode and hex, or hex alone. */
  promptHash?: string | undefined
}

/** A place in the log: everything older than this entry follows. */
export interface AuditCursor {
  timestamp: Date
  auditId: string
}

export interface AuditPage {
  limit: number
  offset: number
  after: AuditCursor | null
}

type Condition = ReturnType<typeof eq> | undefined

/** Newest first. `next` is null on the last page. The total does not depend on the cursor. */
export async function listEntries(
  db: Db | Tx,
  tenantId: string | null,
  filter: AuditFilter,
  { limit, offset, after }: AuditPage,
): Promise<{ entries: AuditEntry[]; total: number; next: AuditCursor | null }> {
  const [counted] = await db
    .select({ total: count() })
    .from(auditEntries)
    .where(and(...conditions(tenantId, filter)))
  const rows = await rowsAfter(db, tenantId, filter, { limit: limit + 1, offset, after })
  const last = rows.length > limit ? rows[limit - 1] : undefined
  return { entries: rows.slice(0, limit).map(toEntry), total: counted.total, next: last ? placeOf(last) : null }
}

/** All that match, newest first, a page at a time: at most `limit` of them are held at once. What is written meanwhile may be missing. */
export async function* eachPage(db: Db, tenantId: string | null, filter: AuditFilter, limit: number): AsyncGenerator<AuditEntry[]> {
  for await (const rows of eachPageOfRows(db, tenantId, filter, limit)) yield rows.map(toEntry)
}

/** The same, with all that stands in the row beside the entry. */
export async function* eachPageOfRows(db: Db, tenantId: string | null, filter: AuditFilter, limit: number): AsyncGenerator<Row[]> {
  for (let after: AuditCursor | null = null, more = true; more; ) {
    const rows: Row[] = await rowsAfter(db, tenantId, filter, { limit, offset: 0, after })
    const last = rows.at(-1)
    more = last !== undefined && rows.length === limit
    if (last) after = placeOf(last)
    yield rows
  }
}

function rowsAfter(db: Db | Tx, tenantId: string | null, filter: AuditFilter, { limit, offset, after }: AuditPage): Promise<Row[]> {
  const older = after && sql`(${auditEntries.timestamp}, ${auditEntries.auditId}) < (${after.timestamp.toISOString()}::timestamptz, ${after.auditId})`
  return db
    .select()
    .from(auditEntries)
    .where(and(...conditions(tenantId, filter), older ?? undefined))
    .orderBy(desc(auditEntries.timestamp), desc(auditEntries.auditId))
    .limit(limit)
    .offset(offset)
}

const placeOf = ({ timestamp, auditId }: Row): AuditCursor => ({ timestamp, auditId })

export async function findEntry(db: Db | Tx, tenantId: string | null, auditId: string): Promise<AuditEntry | undefined> {
  const row = await findRow(db, tenantId, auditId)
  return row && toEntry(row)
}

export async function findRow(db: Db | Tx, tenantId: string | null, auditId: string): Promise<Row | undefined> {
  const [row] = await db
    .select()
    .from(auditEntries)
    .where(and(ownedBy(tenantId), eq(auditEntries.auditId, auditId)))
    .limit(1)
  return row
}

/** An opaque word for a place in the log. */
export const writeCursor = ({ timestamp, auditId }: AuditCursor): string => Buffer.from(`${timestamp.getTime()} ${auditId}`).toString('base64url')

/** The end of the year 9999: later times are written in a way that the database does not read. */
const TIMESTAMP_MS_MAX = 253_402_300_799_999

/** Null for what writeCursor did not write. */
export function readCursor(word: string): AuditCursor | null {
  const [, ms, auditId] = /^(\d{1,15}) ([a-z0-9_]{1,64})$/.exec(Buffer.from(word, 'base64url').toString('latin1')) ?? []
  return auditId === undefined || Number(ms) > TIMESTAMP_MS_MAX ? null : { timestamp: new Date(Number(ms)), auditId }
}

export const ownedBy = (tenantId: string | null): Condition => (tenantId === null ? undefined : eq(auditEntries.tenantId, tenantId))

function conditions(tenantId: string | null, filter: AuditFilter): Condition[] {
  const { kind, from, to, status, ruleId, userId, model, agentId, requestId, promptHash } = filter
  const is = (column: Parameters<typeof eq>[0], value: string | undefined): Condition => (value === undefined ? undefined : eq(column, value))
  return [
    ownedBy(tenantId),
    kind === 'all' ? undefined : eq(auditEntries.kind, kind),
    from && gte(auditEntries.timestamp, from),
    to && lt(auditEntries.timestamp, to),
    is(auditEntries.status, status),
    ruleId === undefined ? undefined : sql`${auditEntries.rulesTriggered} @> ${JSON.stringify([ruleId])}::text::jsonb`,
    is(auditEntries.userId, userId),
    is(auditEntries.model, model),
    is(auditEntries.agentId, agentId),
    is(auditEntries.requestId, requestId),
    promptHash === undefined ? undefined : inArray(auditEntries.promptHash, hashesMeant(promptHash)),
  ]
}
