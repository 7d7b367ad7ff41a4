/** Exchanges that wait for the database before they leave: one statement for everybody who waits, one commit, and one statement at a time. */
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import { Failure } from '../errors.ts'
import type { AuditEntry } from './entry.ts'

/** More in one statement starves PGlite's worker and gains nothing on PostgreSQL. */
const BATCH_MAX = 100
const WAITING_MAX = 10_000
const RETRY_MS = 250

interface Waiting {
  entry: AuditEntry
  resolve(): void
  reject(error: unknown): void
  timer: NodeJS.Timeout
}

export interface OpenLaneOptions {
  /** In one statement, which is one transaction. */
  write: (entries: readonly AuditEntry[]) => Promise<unknown>
  /** Whether an error means that the database is away, so that trying again is the cure. */
  isUnavailable: (error: unknown) => boolean
  report: (error: unknown) => void
  /** How long an exchange waits for its commit before it is refused. */
  waitMsMax: number
}

export interface OpenLane {
  /** Resolves when the record is committed; rejects with Failure('audit_unavailable') where it cannot be, or not in time. */
  add(entry: AuditEntry): Promise<void>
}

export function createOpenLane({ write, isUnavailable, report, waitMsMax }: OpenLaneOptions): OpenLane {
  let queue: Waiting[] = []
  let isFlushing = false
  /** When the database last failed us, in ms of the process; cleared by the next success. */
  let failedAt = Number.NEGATIVE_INFINITY

  async function flush(): Promise<void> {
    isFlushing = true
    // One turn of the event loop later, whoever arrived with us is in the batch as well.
    await nextTurn()
    while (queue.length > 0) {
      const batch = queue.slice(0, BATCH_MAX)
      try {
        await write(batch.map(({ entry }) => entry))
        failedAt = Number.NEGATIVE_INFINITY
        for (const waiting of batch) settle(waiting, null)
      } catch (error) {
        if (isUnavailable(error)) {
          failedAt = performance.now()
          await delay(RETRY_MS, undefined, { ref: false })
        } else await writeSingly(batch, error)
      }
    }
    isFlushing = false
  }

  /** One the database refuses for good must not hold up the others. */
  async function writeSingly(batch: readonly Waiting[], error: unknown): Promise<void> {
    for (const waiting of batch) {
      try {
        if (batch.length === 1) throw error
        await write([waiting.entry])
        settle(waiting, null)
      } catch (cause) {
        if (isUnavailable(cause)) return
        report(cause)
        settle(waiting, cause)
      }
    }
  }

  function settle(waiting: Waiting, cause: unknown): void {
    queue = queue.filter((other) => other !== waiting)
    clearTimeout(waiting.timer)
    if (cause === null) waiting.resolve()
    else waiting.reject(new Failure('audit_unavailable', cause))
  }

  return {
    add(entry) {
      if (queue.length >= WAITING_MAX) return Promise.reject(new Failure('audit_unavailable', new Error('Too many calls wait for the database.')))
      // Nobody waits out the whole time again for a database that was away a moment ago; now and then one asks.
      if (performance.now() - failedAt < RETRY_MS) return Promise.reject(new Failure('audit_unavailable', new Error('The database is away.')))
      return new Promise((resolve, reject) => {
        const late = (): void => {
          failedAt = performance.now()
          settle(waiting, new Error(`The record was not committed within ${waitMsMax} ms.`))
        }
        const waiting: Waiting = { entry, resolve, reject, timer: setTimeout(late, waitMsMax).unref() }
        queue.push(waiting)
        if (!isFlushing) void flush()
      })
    },
  }
}
