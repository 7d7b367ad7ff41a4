/** Deletes entries that are past their time, chunk by chunk, and writes down which leaves lost their row. */
import type { SQL } from 'drizzle-orm'
import type { Db, Tx } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'
import { retryConflicts } from '../db/retry-conflicts.ts'
import { lastHeld, namesOf, runsOf } from './named-leaves.ts'

/** Rows that one transaction looks at, and so the most that it deletes and that its record names. */
export const CHUNK_ROWS = 1_000

/** What is written into the log of rows that went. */
export interface PruneRecord {
  action: 'audit.prune'
  /** Whose they were; null: the installation's, or of several. */
  tenantId: string | null
  subject: string
  metadata: {
    /** ISO 8601: all were older. */
    before: string
    entries: number
    leaves: Record<string, string>
  }
  at: Date
}

export interface PruneOptions {
  /** Writes the record, in the transaction that deletes. */
  record: (tx: Tx, record: PruneRecord) => Promise<void>
  /** Milliseconds since 1970. */
  now: () => number
}

export interface Owned {
  /** Null: entries of no tenant. */
  tenantId: string | null
  before: Date
}

/** Entries that tell how the log can be verified stay for ever. Of a row of `alias`. */
export const isKept = (alias: string): SQL => sql.raw(`(${alias}.kind = 'chain' or coalesce(${alias}.reason, '') in ('audit.prune', 'audit.erase'))`)

/**
 * Deletes what a tenant has from before a moment, and says how many leaves lost their row; a yield after each chunk. Rows go whose leaf a checkpoint holds,
 * and those from before the log was chained, which have none and no seal that promises one.
 */
export async function* pruneOwned(db: Db, owned: Owned, options: PruneOptions): AsyncGenerator<number> {
  for (let from: Place | null = null, more = true; more; ) {
    const chunk: Chunk = await retryConflicts(() => db.transaction((tx) => pruneChunk(tx, owned, from, options)))
    more = chunk.seen === CHUNK_ROWS
    from = chunk.last
    yield chunk.entries
  }
}

/** Where the chunk before ended: its last row's timestamp and audit_id. */
type Place = readonly [timestamp: string, auditId: string]

interface Chunk {
  seen: number
  last: Place | null
  entries: number
  leaves: Record<string, string>
}

async function pruneChunk(tx: Tx, { tenantId, before }: Owned, from: Place | null, { record, now }: PruneOptions): Promise<Chunk> {
  const owner = tenantId === null ? sql`e.tenant_id is null` : sql`e.tenant_id = ${tenantId}`
  const time = sql`e.timestamp < ${before.toISOString()}::timestamptz ${from === null ? sql`` : sql`and e.timestamp >= ${from[0]}::timestamptz`}`
  const [chunk] = await tx.execute<Chunk & Record<string, unknown>>(sql`
    with seen as materialized (
      select audit_id, timestamp, kind, reason, writer_id, seq, seal from audit_entries e
      where ${owner} and ${time} ${from === null ? sql`` : sql`and (e.timestamp, e.audit_id) > (${from[0]}::timestamptz, ${from[1]})`}
      order by timestamp, audit_id limit ${CHUNK_ROWS}
    ), due as materialized (
      select * from seen where not ${isKept('seen')} and case when seq is null then seal is null else seq <= ${lastHeld(sql`seen.writer_id`)} end
        and not exists (
          select from audit_superseded s where s.audit_id = seen.audit_id and (s.seq <= ${lastHeld(sql`s.writer_id`)}) is not true)
    ), gone as (
      delete from audit_entries e using due
      where ${time} and e.audit_id = due.audit_id and e.timestamp = due.timestamp and (e.writer_id, e.seq) is not distinct from (due.writer_id, due.seq)
      returning e.audit_id, e.writer_id, e.seq
    ), superseded as (
      delete from audit_superseded s using gone where s.audit_id = gone.audit_id returning s.writer_id, s.seq
    ), leaves as materialized (
      select writer_id, seq from gone union all select writer_id, seq from superseded
    )
    select (select count(*)::int from seen) as seen, (select count(*)::int from leaves) as entries,
      (${namesOf(runsOf(sql`select * from leaves`))}) as leaves,
      (select jsonb_build_array(timestamp, audit_id) from seen order by timestamp desc, audit_id desc limit 1) as last`)
  const { entries, leaves } = chunk
  if (entries > 0) {
    const metadata = { before: before.toISOString(), entries, leaves }
    await record(tx, { action: 'audit.prune', tenantId, subject: tenantId ?? '*', metadata, at: new Date(now()) })
  }
  return chunk
}
