/**
 * The audit log. An exchange is on record before it leaves and again before its last byte goes out: on the local disk (`sync`), or in the database where its
 * tenant wants that before anything leaves (`strict`). From the disk everything goes into the database behind its back, so an outage holds up nobody.
 */

import { setTimeout as delay } from 'node:timers/promises'
import { isConflict, retryConflicts } from '../db/retry-conflicts.ts'
import type { Statement } from '../db/run-prepared.ts'
import { databaseErrorCode } from '../db/unavailable.ts'
import { Failure } from '../errors.ts'
import { type Listeners, newEventsOf } from '../webhooks/event.ts'
import type { ChainWriter, SealedBatch } from './chain/writer.ts'
import { Ending, Endings } from './ending.ts'
import type { AuditEntry } from './entry.ts'
import { createOpenLane } from './open-lane.ts'
import { createReader } from './read-back.ts'
import { createRowWriter } from './row-writer.ts'
import type { BudgetCrossing, Written } from './settlement.ts'
import type { Spool } from './spool/spool.ts'
import { ABANDONED_MAX, existingRows, openRecords, writeAbandoned, writeRows } from './write-batch.ts'

/** Where an exchange is on record before it leaves: on the disk, or committed to the database as well. */
export type Durability = 'sync' | 'strict'

/** How long an exchange waits to be on record. */
const OPEN_MS_MAX = 2_000
const CLOSE_MS_MAX = 10_000

export interface AuditLogOptions {
  /** Runs a statement. */
  run: (statement: Statement) => Promise<readonly object[]>
  spool: Spool
  /** Of tenants that have no wish of their own. */
  durability: Durability
  writer: ChainWriter
  /** The seal of the row that an open record becomes when this process dies. */
  seal: (entry: AuditEntry) => string
  /** Whether an error means that the database is away, so that trying again is the cure. */
  isUnavailable: (error: unknown) => boolean
  report: (error: unknown) => void
  /** An entry that the database will never take. It must not be lost: it stays on the disk until what this returns resolves. */
  rejected: (entry: AuditEntry, error: unknown) => void | Promise<void>
  /** Who is told of what is written; by default nobody. */
  listeners?: Listeners
  /** Rows were committed. */
  onWritten?: () => void
  /** Is told, after the commit, how many deliveries of events came with it. */
  onTold?: (deliveries: number) => void
  /** Is told, after the commit, of each threshold of a budget that rows crossed; the log itself has an entry of it by then. */
  onCrossing?: (crossing: BudgetCrossing) => void
  /** Milliseconds since 1970. */
  now?: () => number
  openMsMax?: number
  closeMsMax?: number
}

export interface AuditLog {
  /** Resolves when it is on record that the exchange leaves. Rejects with Failure('audit_unavailable') where it cannot be: then it must not leave. */
  open(entry: AuditEntry, durability?: Durability | null): Promise<void>
  /** Resolves when the end of the exchange is on record; at once where it was turned away before it was judged. */
  close(entry: AuditEntry): Promise<void>
  /** Writes entries of dead processes, one row each, where there is none that says more. Resolves when they are committed. */
  recover(entries: AuditEntry[]): Promise<void>
  /** Writes a row, with outcome `unknown`, for every exchange a dead process left open in the database, and ends what it had reserved. Returns how many. */
  sweep(): Promise<number>
  /** Resolves when all that has ended until now is in the database, or `msMax` are over. */
  settled(msMax: number): Promise<void>
  /** Ended exchanges that the database has not taken yet. */
  readonly backlog: number
  /** Turned away, and neither on the disk nor in memory for the database: there was no room. */
  readonly unrecorded: number
  /** The database took nothing when it was last asked. */
  readonly isAway: boolean
  /** Resolves when everything that waits is written or its time is up; writes nothing afterwards. */
  stop(msMax: number): Promise<void>
}

export function createAuditLog(options: AuditLogOptions): AuditLog {
  const { run, spool, writer, seal, report, rejected, listeners = nobody, now = Date.now } = options
  const { onWritten = () => {}, onTold = () => {}, onCrossing = () => {} } = options
  const { openMsMax = OPEN_MS_MAX, closeMsMax = CLOSE_MS_MAX } = options
  // Statements that met one another are sent again at once; should that not do, later.
  const isUnavailable = (error: unknown): boolean => options.isUnavailable(error) || isConflict(error)
  const opens = createOpenLane({
    write: (entries) =>
      run(
        openRecords(
          entries.map((entry) => ({ ...entry, seal: seal(entry), events: newEventsOf(entry, listeners) })),
          writer.processId,
        ),
      ),
    isUnavailable,
    report,
    waitMsMax: openMsMax,
  })
  const rows = createRowWriter({
    writer,
    write,
    isUnavailable: (error) => isUnavailable(error) || !isOfEntries(error),
    isUndone: (error) => isTooSlow(error) || isConflict(error),
    isTooSlow,
    away,
    rejected,
    report,
    now,
  })
  const reader = createReader({ spool, rows, committed: () => count() })
  const endings = new Endings(closeMsMax, ({ ended }) => {
    if (ended) spool.committed(ended)
    count()
  })
  let isStopping = false
  /** Why the database takes nothing, where it is not away; told once. */
  let refusal: string | undefined
  let unrecorded = 0
  let closed = 0
  let committed = 0
  let waiting: { until: number; resolve: () => void }[] = []

  async function write(sealed: SealedBatch): Promise<number> {
    const events = listeners.isEmpty ? [] : sealed.rows.flatMap(({ entry }) => newEventsOf(entry, listeners))
    const { missed } = await settle(writeRows(writer, sealed, events, now()))
    refusal = undefined
    onWritten()
    return missed
  }

  /** Some at a time, until fewer come than could: another process is at the rest, or there is none. */
  async function sweep(): Promise<number> {
    for (let total = 0; ; ) {
      const { written, missed } = await settle(writeAbandoned(now()))
      total += written
      if (written + missed < ABANDONED_MAX || isStopping) return total
    }
  }

  function away(error: unknown): void {
    const code = databaseErrorCode(error)
    if (isUnavailable(error) || code === refusal) return
    refusal = code
    report(error)
  }

  async function settle(statement: Statement): Promise<Written> {
    const [answer] = (await retryConflicts(() => run(statement))) as readonly [Written]
    try {
      if (answer.deliveries > 0) onTold(answer.deliveries)
      for (const crossing of answer.crossings ?? []) onCrossing(crossing)
    } catch (error) {
      report(error) // what is committed must not be sent again
    }
    return answer
  }

  function count(): void {
    committed++
    if (waiting.length === 0) return
    for (const { resolve } of waiting.filter(({ until }) => until <= committed)) resolve()
    waiting = waiting.filter(({ until }) => until > committed)
  }

  return {
    async open(entry, durability) {
      try {
        if ((durability ?? options.durability) === 'strict') {
          await spool.admit(entry.audit_id)
          await opens.add(entry)
        } else await spool.open(entry.audit_id, JSON.stringify(entry))
      } catch (error) {
        throw error instanceof Failure ? error : new Failure('audit_unavailable', error)
      }
    },
    close(entry) {
      const ending = new Ending(entry, endings)
      const ended = spool.close(entry.audit_id, JSON.stringify(entry), ending)
      ending.ended = ended
      const inDatabase = queue(ending)
      if (!ended && !inDatabase) unrecorded++
      // Where there is no room, nobody who did not leave waits for it.
      if (wasTurnedAway(entry) || (!ended && entry.attempts.length === 0)) return DONE
      if (!ended && !inDatabase) return Promise.reject(new Failure('audit_unavailable', new Error('There is no room for the end of an exchange.')))
      return ending.wait()
    },
    async recover(entries) {
      const known = new Map(entries.map((entry) => [entry.audit_id, entry]))
      for (const { audit_id, outcome } of (await existing(entries)) as { audit_id: string; outcome: string }[])
        if (outcome !== 'unknown' || known.get(audit_id)?.outcome === 'unknown') known.delete(audit_id)
      await rows.addAll([...known.values()])
    },
    sweep,
    settled: (msMax) => {
      if (committed >= closed) return DONE
      rows.hurry()
      const { promise, resolve } = Promise.withResolvers<void>()
      waiting.push({ until: closed, resolve })
      const timer = setTimeout(resolve, msMax)
      return promise.finally(() => clearTimeout(timer))
    },
    get backlog() {
      return closed - committed
    },
    get unrecorded() {
      return unrecorded
    },
    get isAway() {
      return rows.isAway
    },
    async stop(msMax) {
      const end = performance.now() + msMax
      isStopping = true
      await this.settled(msMax)
      await rows.stop(Math.max(0, end - performance.now()))
      await spool.stop()
    },
  }

  /** What a dead process left waits for the database like everything else; the next process may be far away. */
  async function existing(entries: AuditEntry[]): Promise<readonly object[]> {
    for (;;) {
      try {
        return await run(existingRows(entries))
      } catch (error) {
        if (!isUnavailable(error) && isOfEntries(error)) return [] // one of them makes no sense: each is tried by itself
        if (isStopping) throw error
        await delay(RETRY_MS)
      }
    }
  }

  /** For the database: in memory, or, when too much is there, read back from the disk later. False: neither, or nobody can wait for it. */
  function queue(ending: Ending): boolean {
    if (!reader.isBehind && rows.add(ending)) {
      closed++
      return true
    }
    if (ending.ended) {
      closed++
      reader.leave(ending.ended)
    }
    return false
  }
}

const nobody: Listeners = { isEmpty: true, wants: () => false }
const DONE = Promise.resolve()
const RETRY_MS = 250

const SQLSTATE = /^[0-9A-Z]{5}$/
/** Data, constraints and limits (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
const OF_ENTRIES = /^(?:22|23|54)/
/** query_canceled: our statement time-out, which does not run any more when the database commits. */
const isTooSlow = (error: unknown): boolean => databaseErrorCode(error) === '57014'

/** Whether entries are to blame, and no time heals it. A login or a table that is refused is the installation's: taken for the entries', it would empty the log. */
function isOfEntries(error: unknown): boolean {
  const code = databaseErrorCode(error)
  return code === undefined || !SQLSTATE.test(code) || OF_ENTRIES.test(code)
}

/** Refused before it was judged: what a rule decided waits for the disk like any other call. */
const wasTurnedAway = ({ outcome, status, attempts }: AuditEntry): boolean => outcome === 'refused' && status === 'REJECTED' && attempts.length === 0
