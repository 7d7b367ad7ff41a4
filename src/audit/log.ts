/**
 * The audit log in strict mode: an exchange is committed to `audit_open` before it leaves and to `audit_entries` before its last byte goes out.
 * Whatever waits goes into the database together: one statement for everybody, one commit.
 */

import type { SQL } from 'drizzle-orm'
import { sql } from '../db/drizzle.ts'
import { DEAD_AFTER_SECONDS } from '../db/processes.ts'
import { Failure } from '../errors.ts'
import { columnNames, columnsOf, columnTypes, toJson } from './columns.ts'
import type { AuditEntry } from './entry.ts'

/** Entries written by one statement; more than this starves PGlite's worker and gains nothing on PostgreSQL. */
const BATCH_MAX = 100
/** How long an exchange waits for its commit before it is refused. */
const COMMIT_MS_MAX = 2_000
/** Ended exchanges whose row the database has not taken yet. At the bound nothing new is let in. */
const BACKLOG_MAX = 10_000
const RETRY_MS = 250

interface Waiting {
  kind: 'open' | 'close'
  entry: AuditEntry
  /** The outcome in the statement that is under way: its exchange may be given up meanwhile. */
  sentAs: AuditEntry['outcome'] | null
  settled: boolean
  resolve(): void
  reject(error: unknown): void
  timer: NodeJS.Timeout
}

export interface AuditLogOptions {
  /** Runs a statement. */
  run: (statement: SQL) => Promise<readonly object[]>
  processId: string
  /** Whether an error means that the database is away, so that trying again is the cure. */
  isUnavailable: (error: unknown) => boolean
  /** A row that the database will never take. Its text is not in the report. */
  report: (error: unknown) => void
  commitMsMax?: number
}

export interface StrictAuditLog {
  open(entry: AuditEntry): Promise<void>
  close(entry: AuditEntry): Promise<void>
  /** Writes a row, with outcome `unknown`, for every exchange a dead process left open. Returns how many. */
  sweep(): Promise<number>
  /** Ended exchanges that wait for the database. */
  readonly backlog: number
  /** The database took nothing when it was last asked. */
  readonly isAway: boolean
  /** Resolves when everything that waits is written or its time is up; writes nothing afterwards. */
  stop(msMax: number): Promise<void>
}

export function createAuditLog({ run, processId, isUnavailable, report, commitMsMax = COMMIT_MS_MAX }: AuditLogOptions): StrictAuditLog {
  let queue: Waiting[] = []
  let flushing: Promise<void> | null = null
  let stopped = false
  let idle: (() => void) | undefined
  /** When the database last failed us, in ms of the process; cleared by the next success. */
  let failedAt = Number.NEGATIVE_INFINITY

  const add = (kind: Waiting['kind'], entry: AuditEntry): Promise<void> => {
    if (stopped || queue.length >= BACKLOG_MAX) return Promise.reject(new Failure('audit_unavailable', new Error('Too many rows wait for the database.')))
    // Nobody waits out the whole time again for a database that was away a moment ago; now and then one asks.
    const isAway = performance.now() - failedAt < RETRY_MS
    if (isAway && kind === 'open') return Promise.reject(new Failure('audit_unavailable', new Error('The database is away.')))
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { kind, entry, sentAs: null, settled: false, resolve, reject, timer: setTimeout(() => late(waiting), commitMsMax).unref() }
      queue.push(waiting)
      if (!flushing) flushing = flush()
      if (isAway && entry.outcome !== 'completed') giveUp(waiting)
    })
  }

  const late = (waiting: Waiting): void => {
    failedAt = performance.now()
    giveUp(waiting)
  }

  // The exchange goes on without its commit, which means that it is refused. What ended stays in the queue: its row is still owed, and its owner may
  // change it.
  const giveUp = (waiting: Waiting): void => {
    if (waiting.settled) return
    waiting.settled = true
    if (waiting.kind === 'open') queue = queue.filter((other) => other !== waiting)
    waiting.reject(new Failure('audit_unavailable', new Error(`The row was not committed within ${commitMsMax} ms.`)))
  }

  async function flush(): Promise<void> {
    // One turn of the event loop later, whoever arrived with us is in the batch as well.
    await new Promise(setImmediate)
    while (queue.length > 0) {
      const batch = queue.slice(0, BATCH_MAX)
      try {
        await write(batch)
        failedAt = Number.NEGATIVE_INFINITY
        done(batch)
      } catch (error) {
        if (isUnavailable(error)) {
          failedAt = performance.now()
          if (stopped) break
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref())
        } else await writeSingly(batch, error)
      }
    }
    flushing = null
    idle?.()
  }

  /** One entry the database refuses for good must not hold up the others. */
  async function writeSingly(batch: readonly Waiting[], error: unknown): Promise<void> {
    for (const waiting of batch) {
      try {
        if (batch.length > 1) await write([waiting])
        else throw error
        done([waiting])
      } catch (cause) {
        if (isUnavailable(cause)) return
        report(cause)
        queue = queue.filter((other) => other !== waiting)
        if (!waiting.settled) waiting.reject(new Failure('audit_unavailable', cause))
        waiting.settled = true
        clearTimeout(waiting.timer)
      }
    }
  }

  function done(batch: readonly Waiting[]): void {
    const written = new Set(batch)
    // What was given up while its statement was under way is written once more, as what its client was told.
    queue = queue.filter((waiting) => !written.has(waiting) || waiting.sentAs !== waiting.entry.outcome)
    for (const waiting of batch) {
      clearTimeout(waiting.timer)
      if (!waiting.settled) waiting.resolve()
      waiting.settled = true
    }
  }

  /** Opens and closes in one statement, which is one transaction. An entry that is there already stays as it is, for ids are unique; but see `done`. */
  async function write(batch: readonly Waiting[]): Promise<void> {
    const opens = batch
      .filter(({ kind }) => kind === 'open')
      .map(({ entry }) => ({ audit_id: entry.audit_id, tenant_id: entry.tenant_id, opened_at: entry.timestamp, entry }))
    const closes = batch.filter(({ kind }) => kind === 'close').map(({ entry }) => entry)
    for (const waiting of batch) waiting.sentAs = waiting.entry.outcome
    const closed = toJson(closes)
    await run(sql`
      with opened as (
        insert into audit_open (audit_id, tenant_id, process_id, opened_at, entry)
        select audit_id, tenant_id, ${processId}, opened_at, entry
        from jsonb_to_recordset(${toJson(opens)}::text::jsonb) as r(audit_id text, tenant_id text, opened_at timestamptz, entry jsonb)
        on conflict do nothing
      ), over as (
        delete from audit_open using jsonb_to_recordset(${closed}::text::jsonb) as r(audit_id text) where audit_open.audit_id = r.audit_id
      )
      insert into audit_entries (${sql.raw(columnNames)})
      select ${sql.raw(columnNames)} from jsonb_to_recordset(${closed}::text::jsonb) as r(${sql.raw(columnTypes)})
      on conflict (audit_id, timestamp) do update set outcome = excluded.outcome, reason = excluded.reason, http_status = excluded.http_status
      where audit_entries.outcome <> 'failed' and excluded.outcome = 'failed'`)
  }

  return {
    open: (entry) => add('open', entry),
    close: (entry) => add('close', entry),
    async sweep() {
      const rows = await run(sql`
        with dead as (
          delete from audit_open where not exists (
            select 1 from processes where processes.id = audit_open.process_id and processes.heartbeat_at > now() - make_interval(secs => ${DEAD_AFTER_SECONDS})
          ) returning entry
        )
        insert into audit_entries (${sql.raw(columnNames)})
        select ${sql.raw(columnsOf('r'))} from dead, jsonb_to_record(dead.entry) as r(${sql.raw(columnTypes)})
        on conflict do nothing returning audit_id`)
      return rows.length
    },
    get backlog() {
      return queue.length
    },
    get isAway() {
      return failedAt > Number.NEGATIVE_INFINITY
    },
    async stop(msMax) {
      if (flushing) {
        let timer: NodeJS.Timeout | undefined
        await Promise.race([
          new Promise<void>((resolve) => {
            idle = resolve
          }),
          new Promise<void>((resolve) => {
            timer = setTimeout(resolve, msMax)
          }),
        ])
        clearTimeout(timer)
      }
      stopped = true
    },
  }
}
