/** Makes checkpoints while there is something new, and brings them to the sink. An idle installation sends no statement. */
import type { Database } from '../../db/connect.ts'
import { isUnavailable, within } from '../../db/unavailable.ts'
import type { Seal } from '../seal.ts'
import { deliverCheckpoints } from './deliver.ts'
import { type Checkpoint, type Made, makeCheckpoint } from './make-checkpoint.ts'
import type { LogKey } from './note.ts'
import { createPace } from './pace.ts'
import { createSilentWriters } from './silent-writers.ts'
import type { CheckpointSink } from './sink.ts'
import type { Gap } from './take-batches.ts'
import { createUnchained, type Unchained } from './unchained.ts'
import { createChainWriter } from './writer.ts'

export const CHECKPOINT_EVERY_MS = 10_000
/** Checkpoints one after the other, where there is more than one holds. */
const AT_ONCE_MAX = 64
/** After so many times the interval without success somebody is told. */
const INTERVALS_TILL_DEGRADED = 2
/** The last checkpoint of a process that ends. */
const CLOSE_MS_MAX = 5_000
/** Gaps that were reported and are not reported again. */
const GAPS_KNOWN_MAX = 1_000
/** Ids that a report names. */
const IDS_NAMED_MAX = 10

export interface Degraded {
  /** False: all is well again. */
  isDegraded: boolean
  /** What went wrong last. */
  error: unknown
}

/** Of a time in which checkpoints were not made. */
export interface Degradation {
  /** Since when they fail, and when that was too long; milliseconds since 1970. */
  since: number
  at: number
  /** What went wrong last by then. */
  error: unknown
}

interface Round {
  isOurTurn: boolean
  /** There is more to do, although nobody asks. */
  hasMore: boolean
}

export interface CheckpointerOptions {
  database: Pick<Database, 'db' | 'sync'>
  processId: string
  /** Of the program. */
  version: string
  /** The log's name and the key that signs. */
  logKey: () => Promise<LogKey>
  /** Of rows that were written without a place. */
  seal: Seal
  /** Null: checkpoints stay in the database. */
  sink: CheckpointSink | null
  /** Is told what an operator has to look into. Never text of a row. */
  report: (error: unknown, context?: Record<string, unknown>) => void
  /** Each checkpoint of this process, once it is committed. */
  onCheckpoint?: (checkpoint: Checkpoint) => void
  /** So many deliveries of events came with one. */
  onTold?: (deliveries: number) => void
  /** Checkpoints are not made, or do not reach the sink, for longer than two of their intervals; and when they do again. */
  onDegraded?: (degraded: Degraded) => void
  /** Puts that on record. Where it rejects, for it may be the database that is away, it is asked again until it does not. */
  recordDegraded?: (degradation: Degradation) => Promise<void>
  /** Milliseconds since 1970. */
  now?: () => number
  everyMs?: number
}

export interface Checkpointer {
  /** Makes a checkpoint now if there is something new and nobody else does. Rejects where the database, the tree or the sink do not allow it. */
  run(): Promise<void>
  /** Looks once what was written before this process began. */
  start(): void
  /** Something was committed that belongs into the next checkpoint. */
  nudge(): void
  readonly isDegraded: boolean
  /** For how long something has waited for a checkpoint, in milliseconds; 0 where nothing does. */
  readonly waitingMs: number
  /** A last checkpoint, with the end of this process's chain, if it can be had soon. Call it when nothing writes any more. */
  close(): Promise<void>
}

export function createCheckpointer(options: CheckpointerOptions): Checkpointer {
  const { database, processId, version, logKey, seal, sink, report, now = Date.now, everyMs = CHECKPOINT_EVERY_MS } = options
  const { onCheckpoint = () => {}, onTold = () => {}, onDegraded = () => {}, recordDegraded = async () => {} } = options
  const silent = createSilentWriters({ processId, now })
  let unchained: Unchained | undefined
  let failingSince: number | null = null
  let isDegraded = false
  let unrecorded: Degradation | null = null
  /** Something was written that no checkpoint of ours holds. */
  let isDirty = false
  /** When something began to wait, or a round last went well. */
  let waitingSince = now()
  let knownGaps = new Set<string>()
  let underWay: Promise<unknown> = Promise.resolve()

  /** One after the other: they share a chain. */
  function run(isLast = false): Promise<Round> {
    const done = underWay.then(() => round(isLast))
    underWay = done.catch(() => {})
    return done
  }

  async function round(isLast: boolean): Promise<Round> {
    isDirty = false
    let hasMore = true
    // Others may have made one within this interval: with many processes one is made no more often than with one.
    let pauseMs = isLast ? 0 : everyMs / 2
    for (let i = 0; hasMore && i < AT_ONCE_MAX; i++) {
      const made = await once(pauseMs, isLast)
      if (made.outcome === 'not our turn') {
        isDirty = true
        return { isOurTurn: false, hasMore: true }
      }
      tell(made)
      hasMore = made.hasMore
      pauseMs = 0
    }
    isDirty ||= hasMore
    const isUndelivered = sink !== null && (await deliverCheckpoints(database, sink, now))
    return { isOurTurn: true, hasMore: hasMore || isUndelivered }
  }

  async function once(pauseMs: number, isLast: boolean): Promise<Made> {
    const key = await logKey()
    unchained ??= createUnchained({ openWriter: () => createChainWriter({ origin: key.origin, processId, version }), seal, now })
    const turn = { key, unchained, silent, pauseMs, isLast }
    let isCommitted = false
    try {
      const made = await database.db.transaction((tx) => makeCheckpoint(tx, turn), { isolationLevel: 'read committed' })
      isCommitted = true
      return made
    } finally {
      unchained.ended(isCommitted)
    }
  }

  function tell({ checkpoint, wrong, gaps, deliveries }: Extract<Made, { outcome: 'done' }>): void {
    if (wrong.length > 0)
      report(new Error('Rows of the audit log do not say what their seal says. They get no place in it.'), {
        rows: wrong.length,
        audit_ids: wrong.slice(0, IDS_NAMED_MAX),
      })
    for (const gap of gaps) tellGap(gap)
    if (!checkpoint) return
    try {
      onCheckpoint(checkpoint)
      if (deliveries > 0) onTold(deliveries)
    } catch (error) {
      report(error)
    }
  }

  function tellGap(gap: Gap): void {
    const name = `${gap.writer_id} ${gap.found_seq}`
    if (knownGaps.has(name)) return
    if (knownGaps.size >= GAPS_KNOWN_MAX) knownGaps = new Set()
    knownGaps.add(name)
    report(new Error('A chain of the audit log has a gap. What follows it waits for what is missing.'), { ...gap })
  }

  async function work(): Promise<boolean> {
    let isAgain = true
    try {
      const { isOurTurn, hasMore } = await run()
      waitingSince = now()
      if (isOurTurn) healthy()
      isAgain = hasMore
    } catch (error) {
      isDirty = true
      failed(error)
    }
    return !(await putOnRecord()) || isAgain
  }

  /** False: it has to be tried again. */
  async function putOnRecord(): Promise<boolean> {
    try {
      if (unrecorded) await recordDegraded(unrecorded)
      unrecorded = null
    } catch (error) {
      if (!isUnavailable(error)) report(error)
    }
    return unrecorded === null
  }

  function failed(error: unknown): void {
    failingSince ??= now()
    if (isDegraded || now() - failingSince < INTERVALS_TILL_DEGRADED * everyMs) return
    isDegraded = true
    unrecorded = { since: failingSince, at: now(), error }
    onDegraded({ isDegraded, error })
  }

  function healthy(): void {
    failingSince = null
    if (!isDegraded) return
    isDegraded = false
    onDegraded({ isDegraded, error: null })
  }

  async function finish(): Promise<void> {
    await pace.stop()
    if (isDirty || unchained?.isOpen) await run(true)
  }

  const pace = createPace({ work, everyMs, now })

  return {
    run: async () => {
      await run()
    },
    start: () => pace.nudge(),
    nudge() {
      if (!isDirty && failingSince === null) waitingSince = now()
      isDirty = true
      pace.nudge()
    },
    get isDegraded() {
      return isDegraded
    },
    get waitingMs() {
      return isDirty || failingSince !== null ? now() - waitingSince : 0
    },
    close: () => within(CLOSE_MS_MAX, finish()),
  }
}
