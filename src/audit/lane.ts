/** Rows that wait for the database together: one statement for everybody who waits, one commit, and one statement at a time. */
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import { Failure } from '../errors.ts'
import type { AuditEntry } from './entry.ts'

/** Entries written by one statement; more than this starves PGlite's worker and gains nothing on PostgreSQL. */
const BATCH_MAX = 100
/** Entries whose row the database has not taken yet. At the bound nothing new is let in. */
const BACKLOG_MAX = 10_000
const RETRY_MS = 250
/** A patient lane that wrote so many at once lets others gather for a while. */
const CROWD = 10
const GATHER_MS = 50

export interface Waiting {
  kind: 'open' | 'close'
  entry: AuditEntry
  /** The outcome in the statement that is under way: its exchange may be given up meanwhile. */
  sentAs: AuditEntry['outcome'] | null
  settled: boolean
  resolve(): void
  reject(error: unknown): void
  timer: NodeJS.Timeout
}

export interface LaneOptions {
  /** In one statement, which is one transaction. */
  write: (batch: readonly Waiting[]) => Promise<void>
  /** Whether an error means that the database is away, so that trying again is the cure. */
  isUnavailable: (error: unknown) => boolean
  /** A row that the database will never take. Its text is not in the report. */
  report: (error: unknown) => void
  /** How long an exchange waits for its commit before it is refused. */
  commitMsMax: number
  /** It gives way to others: many rows are written less often. */
  isPatient: boolean
}

export interface Lane {
  /** Resolves when the entry is committed; rejects with Failure('audit_unavailable') where it cannot be, or not in time. */
  add(kind: Waiting['kind'], entry: AuditEntry): Promise<void>
  readonly backlog: number
  /** The database took nothing when it was last asked. */
  readonly isAway: boolean
  /** Resolves when everything that waits is written or its time is up; writes nothing afterwards. */
  stop(msMax: number): Promise<void>
}

export function createLane({ write, isUnavailable, report, commitMsMax, isPatient }: LaneOptions): Lane {
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
    await nextTurn()
    while (queue.length > 0) {
      const batch = queue.slice(0, BATCH_MAX)
      try {
        await write(batch)
        failedAt = Number.NEGATIVE_INFINITY
        done(batch)
        if (isPatient && batch.length >= CROWD && !stopped) await delay(GATHER_MS, undefined, { ref: false })
      } catch (error) {
        if (isUnavailable(error)) {
          failedAt = performance.now()
          if (stopped) break
          await delay(RETRY_MS, undefined, { ref: false })
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

  return {
    add,
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
