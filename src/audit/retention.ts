/** Keeps the audit log as long as it is to be kept: AUDIT_RETENTION_DAYS, or what a tenant has instead. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Database, Db } from '../db/connect.ts'
import { sql } from '../db/drizzle.ts'
import { tenants } from '../db/schema.ts'
import { dropPartitions } from './drop-partitions.ts'
import { type Owned, type PruneOptions, pruneOwned } from './prune-entries.ts'

export interface RetentionOptions extends PruneOptions {
  /** AUDIT_RETENTION_DAYS: for tenants without a time of their own, and for what is no tenant's. 0: for ever. */
  defaultDays: number
  /** Between two chunks, so that calls are not held up. */
  pauseMs?: number
}

export interface Pruned {
  /** Leaves whose row went. */
  entries: number
  /** Months that went as a whole. */
  partitions: string[]
}

export interface Retention {
  /** Begins a moment from now, and again every six hours. */
  start(): void
  /** Resolves when the chunk under way is done, after which nothing more is deleted, or soon where the database does not answer. */
  close(): Promise<void>
}

const FIRST_MS = 15_000
const EVERY_MS = 6 * 3_600_000
const PAUSE_MS = 50
const CLOSE_MS_MAX = 5_000
const DAY_MS = 86_400_000
/** pg_try_advisory_lock: one process prunes, the others leave it to that one. */
const RETENTION_LOCK = 0x6561_7274_0004

export function createRetention({
  database,
  report,
  onPruned,
  ...options
}: RetentionOptions & {
  database: Pick<Database, 'apart'>
  report: (error: unknown) => void
  /** Is told, after each time that anything went. */
  onPruned: (pruned: Pruned) => void
}): Retention {
  const closing = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined

  async function run(): Promise<void> {
    try {
      const pruned = await prune(database, options, closing.signal)
      if (pruned && pruned.entries + pruned.partitions.length > 0) onPruned(pruned)
    } catch (error) {
      report(error)
    }
    if (!closing.signal.aborted) plan(EVERY_MS)
  }

  function plan(ms: number): void {
    timer = setTimeout(() => {
      running = run()
    }, ms).unref()
  }

  return {
    start: () => plan(FIRST_MS),
    async close() {
      closing.abort()
      clearTimeout(timer)
      await Promise.race([running, delay(CLOSE_MS_MAX, undefined, { ref: false })])
    },
  }
}

/** Deletes what is past its time. Null: another process does it. Rejects where the database fails; what went until then is on record. */
export function prune(database: Pick<Database, 'apart'>, options: RetentionOptions, signal?: AbortSignal): Promise<Pruned | null> {
  return database.apart(async (db) => {
    const [{ is_ours }] = await db.execute<{ is_ours: boolean }>(sql`select pg_try_advisory_lock(${RETENTION_LOCK}::bigint) as is_ours`)
    if (!is_ours) return null
    try {
      return await pruneAll(db, options, signal)
    } finally {
      await db.execute(sql`select pg_advisory_unlock(${RETENTION_LOCK}::bigint)`)
    }
  })
}

async function pruneAll(db: Db, options: RetentionOptions, signal?: AbortSignal): Promise<Pruned> {
  const { pauseMs = PAUSE_MS } = options
  const pruned: Pruned = { entries: 0, partitions: [] }
  const { owners, longest } = await timesOf(db, options)
  if (longest !== null) {
    for await (const { partition, entries } of dropPartitions(db, longest, options)) {
      pruned.partitions.push(partition)
      pruned.entries += entries
      if (signal?.aborted) return pruned
    }
  }
  for (const owned of owners) {
    for await (const entries of pruneOwned(db, owned, options)) {
      pruned.entries += entries
      if (entries > 0) await delay(pauseMs, undefined, { ref: false })
      if (signal?.aborted) return pruned
    }
  }
  return pruned
}

/** Until when whose entries go; `longest`: until when everybody's do, null: some stay for ever. */
async function timesOf(db: Db, { defaultDays, now }: RetentionOptions): Promise<{ owners: Owned[]; longest: Date | null }> {
  const at = now()
  const rows = await db.select({ tenantId: tenants.id, days: tenants.auditRetentionDays }).from(tenants)
  const all = [{ tenantId: null, days: null }, ...rows].map(({ tenantId, days }) => ({ tenantId, days: days ?? defaultDays }))
  const before = (days: number): Date => new Date(at - days * DAY_MS)
  return {
    owners: all.filter(({ days }) => days > 0).map(({ tenantId, days }) => ({ tenantId, before: before(days) })),
    longest: all.some(({ days }) => days === 0) ? null : before(Math.max(...all.map(({ days }) => days))),
  }
}
