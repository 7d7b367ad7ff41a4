/** The audit log's monthly partitions. Rows of a month without one land in the default partition, so nothing is ever refused for want of a partition. */
import type { Database } from './connect.ts'
import { sql } from './drizzle.ts'
import { databaseErrorCode } from './unavailable.ts'

/** This month and the two after it. */
const MONTHS = 3
/** Attaching a partition locks the audit log for a moment; statements waiting behind a long query must not wait long. */
const LOCK_MS = 500
const CHECK_VIOLATION = '23514'
const LOCK_NOT_AVAILABLE = '55P03'
/** `if not exists` looks before it makes: of two processes that start together one may still find it made meanwhile, as a table, a type or a row of the catalogue. */
const MADE_MEANWHILE: readonly (string | undefined)[] = ['42P07', '42710', '23505']

export type PartitionReport = { created: string[]; skipped: { partition: string; why: 'default partition holds rows of this month' | 'table is busy' }[] }

/**
 * Makes the partitions of this month and the next two, as far as they are missing. A month of which the default partition already holds rows is left
 * there, and one that cannot be had without waiting is left for the next call; both are reported. Months are UTC. Safe to call at any time.
 */
export async function ensurePartitions(database: Database, now: Date): Promise<PartitionReport> {
  const report: PartitionReport = { created: [], skipped: [] }
  for (let i = 0; i < MONTHS; i++) {
    const from = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + i, 1))
    const until = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + i + 1, 1))
    const partition = `audit_entries_${from.toISOString().slice(0, 7).replace('-', '_')}`
    const outcome = await ensurePartition(database, partition, from, until)
    if (outcome === 'created') report.created.push(partition)
    else if (outcome !== 'exists') report.skipped.push({ partition, why: outcome })
  }
  return report
}

type Outcome = 'created' | 'exists' | PartitionReport['skipped'][number]['why']

async function ensurePartition(database: Database, partition: string, from: Date, until: Date): Promise<Outcome> {
  const [row] = await database.sql`select to_regclass(${partition}) is not null as present`
  if (row?.present) return 'exists'
  // Names and dates are made above, from a date, so they may stand in the statement; DDL takes no parameters.
  const create = `create table if not exists "${partition}" partition of audit_entries for values from ('${from.toISOString()}') to ('${until.toISOString()}')`
  try {
    await database.db.transaction(async (tx) => {
      await tx.execute(sql.raw(`set local lock_timeout = ${LOCK_MS}`))
      await tx.execute(sql.raw(create))
    })
    return 'created'
  } catch (error) {
    const code = databaseErrorCode(error)
    if (code === CHECK_VIOLATION) return 'default partition holds rows of this month'
    if (code === LOCK_NOT_AVAILABLE) return 'table is busy'
    if (MADE_MEANWHILE.includes(code)) return 'exists'
    throw error
  }
}
