/** Months of which every entry is past its time go as a whole: their partition is dropped. */
import type { Db, Tx } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'
import { databaseErrorCode } from '../db/unavailable.ts'
import { lastHeld, namesOf, runsOf } from './named-leaves.ts'
import { isKept, type PruneOptions } from './prune-entries.ts'

/** Runs of leaves that the record of a partition names. Of one with more, entries are deleted as others are, and it goes when it is empty. */
const RUNS_MAX = 5_000
/** Dropping a partition locks the audit log for a moment; calls waiting behind a long query must not wait long. */
const LOCK_MS = 500
const LOCK_NOT_AVAILABLE = '55P03'

export interface Dropped {
  partition: string
  entries: number
}

/**
 * Drops the partitions whose months ended before a moment, one after the other. One that holds what may not go yet, or that cannot be had without waiting, is
 * left for the next time. Entries that are never pruned move to the default partition.
 */
export async function* dropPartitions(db: Db, before: Date, options: PruneOptions): AsyncGenerator<Dropped> {
  const partitions = await db.execute<{ name: string }>(sql`
    select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'audit_entries'::regclass order by 1`)
  for (const { name } of partitions) {
    const until = endOf(name)
    if (until === null || until > before) continue
    const entries = await dropPartition(db, name, before, options)
    if (entries !== null) yield { partition: name, entries }
  }
}

/** When the month of a partition is over; null: it is none that ../db/partitions.ts made. */
function endOf(partition: string): Date | null {
  const [, year, month] = /^audit_entries_(\d{4})_(\d{2})$/.exec(partition) ?? []
  return month === undefined ? null : new Date(Date.UTC(Number(year), Number(month), 1))
}

/** Null: it stays. */
async function dropPartition(db: Db, partition: string, before: Date, { record, now }: PruneOptions): Promise<number | null> {
  // What takes long is done before anything is locked. Whatever is written meanwhile changes a head.
  const heads = await headsOf(db, partition)
  const { entries, superseded, leaves } = await inspect(db, partition)
  if (leaves === null || heads === null) return null
  try {
    return await db.transaction(async (tx) => {
      await tx.execute(sql.raw(`set local lock_timeout = ${LOCK_MS}`))
      await tx.execute(sql.raw(`alter table audit_entries detach partition "${partition}"`))
      const gone = await tx.execute(sql`
        delete from audit_superseded s using ${sql.identifier(partition)} p where s.audit_id = p.audit_id and not ${isKept('p')} returning s.seq`)
      if ((await headsOf(tx, partition)) !== heads || gone.length !== superseded) throw new Changed()
      await tx.execute(sql`insert into audit_entries select * from ${sql.identifier(partition)} p where ${isKept('p')}`)
      await tx.execute(sql.raw(`drop table "${partition}"`))
      const metadata = { before: before.toISOString(), entries, leaves }
      if (entries > 0) await record(tx, { action: 'audit.prune', tenantId: null, subject: '*', metadata, at: new Date(now()) })
      return entries
    })
  } catch (error) {
    if (error instanceof Changed || databaseErrorCode(error) === LOCK_NOT_AVAILABLE) return null
    throw error
  }
}

/** Something was written into a partition while it was looked at. */
class Changed extends Error {}

/**
 * The last leaf of each writer in a partition, as text to be compared: a writer's leaves are written in their order, and a row that is written over has a later
 * one. Null: there are rows without a place. It costs a few looks into the index for each writer.
 */
async function headsOf(db: Db | Tx, partition: string): Promise<string | null> {
  const rows = sql.identifier(partition)
  const [{ heads }] = await db.execute<{ heads: string | null }>(sql`
    with recursive writers as (
      (select writer_id from ${rows} where writer_id is not null order by writer_id limit 1)
      union all
      select (select p.writer_id from ${rows} p where p.writer_id > w.writer_id order by p.writer_id limit 1) from writers w where w.writer_id is not null
    )
    select case when exists (select from ${rows} where writer_id is null and seal is not null) then null
      else coalesce((select string_agg(concat_ws(' ', writer_id, (select max(p.seq) from ${rows} p where p.writer_id = writers.writer_id)), ','
        order by writer_id) from writers where writer_id is not null), '') end as heads`)
  return heads
}

interface Inspected {
  /** Leaves, and rows that have none. */
  entries: number
  /** Of these, leaves that have no row of their own any more. */
  superseded: number
  /** Null: some may not go yet, or they are too many runs to be named. */
  leaves: Record<string, string> | null
}

async function inspect(db: Db, partition: string): Promise<Inspected> {
  const rows = sql.identifier(partition)
  const [found] = await db.execute<Inspected & Record<string, unknown>>(sql`
    with going as (
      select p.audit_id, p.writer_id, p.seq, p.seal from ${rows} p where not ${isKept('p')}
    ), superseded as materialized (
      select s.writer_id, s.seq from audit_superseded s join going using (audit_id)
    ), leaves as (
      select writer_id, seq, seal from going union all select writer_id, seq, null from superseded
    ), heads as materialized (
      select writer_id, max(seq) as last from leaves where seq is not null group by writer_id
    ), runs as materialized (${runsOf(sql`select writer_id, seq from leaves`)})
    select (select count(*)::int from leaves) as entries, (select count(*)::int from superseded) as superseded,
      case when (select count(*) from runs) <= ${RUNS_MAX}
        and not exists (select from leaves where seq is null and seal is not null)
        and not exists (select from heads where (last <= ${lastHeld(sql`heads.writer_id`)}) is not true)
        then (${namesOf(sql`select * from runs`)}) end as leaves`)
  return found
}
