/**
 * The audit log in strict mode: an exchange is committed to `audit_open` before it leaves and to `audit_entries` before its last byte goes out.
 * Whatever waits goes into the database together. What was turned away goes in a lane of its own, so that one tenant's refusals hold up nobody's calls, and does
 * not wait for the database's disk.
 */

import type { SQL } from 'drizzle-orm'
import { isConflict, retryConflicts } from '../db/retry-conflicts.ts'
import type { AuditEntry } from './entry.ts'
import { createLane, type Waiting } from './lane.ts'
import { type BudgetCrossing, type Written, writeAbandoned, writeBatch } from './write-batch.ts'

/** How long an exchange waits for its commit before it is refused. */
const COMMIT_MS_MAX = 2_000

export interface AuditLogOptions {
  /** Runs a statement. */
  run: (statement: SQL) => Promise<readonly object[]>
  processId: string
  /** Whether an error means that the database is away, so that trying again is the cure. */
  isUnavailable: (error: unknown) => boolean
  /** A row that the database will never take. Its text is not in the report. */
  report: (error: unknown) => void
  /** Is told, after the commit, of each threshold of a budget that rows crossed; the log itself has an entry of it by then. */
  onCrossing?: (crossing: BudgetCrossing) => void
  /** Milliseconds since 1970. */
  now?: () => number
  commitMsMax?: number
}

export interface StrictAuditLog {
  open(entry: AuditEntry): Promise<void>
  close(entry: AuditEntry): Promise<void>
  /** Writes a row, with outcome `unknown`, for every exchange a dead process left open, and ends what it had reserved. Returns how many. */
  sweep(): Promise<number>
  /** Ended exchanges that wait for the database. */
  readonly backlog: number
  /** The database took nothing when it was last asked. */
  readonly isAway: boolean
  /** Resolves when everything that waits is written or its time is up; writes nothing afterwards. */
  stop(msMax: number): Promise<void>
}

export function createAuditLog(options: AuditLogOptions): StrictAuditLog {
  const { run, processId, report, onCrossing = () => {}, now = Date.now, commitMsMax = COMMIT_MS_MAX } = options
  // Statements that met one another are sent again at once; should that not do, later.
  const isUnavailable = (error: unknown): boolean => options.isUnavailable(error) || isConflict(error)
  const laneOf = (isPatient: boolean) => createLane({ write: (batch) => write(batch, isPatient), isUnavailable, report, commitMsMax, isPatient })
  const calls = laneOf(false)
  const refusals = laneOf(true)
  const lanes = [calls, refusals]

  async function write(batch: readonly Waiting[], isLeisurely: boolean): Promise<void> {
    for (const waiting of batch) waiting.sentAs = waiting.entry.outcome
    const [opens, closes] = (['open', 'close'] as const).map((kind) => batch.filter((waiting) => waiting.kind === kind).map(({ entry }) => entry))
    await settle(writeBatch({ opens, closes, processId, at: now(), isLeisurely }))
  }

  async function settle(statement: SQL): Promise<number> {
    const [{ written, crossings }] = (await retryConflicts(() => run(statement))) as readonly Written[]
    try {
      for (const crossing of crossings ?? []) onCrossing(crossing)
    } catch (error) {
      report(error) // what is committed must not be sent again
    }
    return written
  }

  return {
    open: (entry) => calls.add('open', entry),
    close: (entry) => (wasTurnedAway(entry) ? refusals : calls).add('close', entry),
    sweep: () => settle(writeAbandoned(now())),
    get backlog() {
      return calls.backlog + refusals.backlog
    },
    get isAway() {
      return calls.isAway || refusals.isAway
    },
    async stop(msMax) {
      await Promise.all(lanes.map((lane) => lane.stop(msMax)))
    },
  }
}

/** Refused before it was judged: what a rule decided waits for the disk like any other call. */
const wasTurnedAway = ({ outcome, status, attempts }: AuditEntry): boolean => outcome === 'refused' && status === 'REJECTED' && attempts.length === 0
