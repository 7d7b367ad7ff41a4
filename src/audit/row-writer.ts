/** Writes what has ended into the database, in the order in which it ended: one statement at a time, each a batch of the process's chain. */
import { setTimeout as delay } from 'node:timers/promises'
import { chainEntry } from './chain/chain-entry.ts'
import type { ChainWriter, SealedBatch } from './chain/writer.ts'
import type { AuditEntry } from './entry.ts'

/** More in one statement starves PGlite's worker and gains nothing on PostgreSQL. */
export const BATCH_MAX = 100
/** Times that a batch may take too long before smaller ones are made of it, and batches of a size that must fit before larger ones are tried. */
const SLOW_MAX = 2
export const GROW_AFTER = 10
/** Times that a batch is sent in which other processes wrote rows at the same moment. */
const SENT_MAX = 3
/** Entries in memory. Beyond, they are read back from the disk. */
const QUEUE_MAX = 5_000
const RETRY_MS = 250
/** Others that end at about the same time share a statement, a signature and a commit. */
const GATHER_MS = 20

export interface RowWriterOptions {
  writer: ChainWriter
  /**
   * In one statement, which is one transaction. Resolves with how many rows were neither written nor there, because another process wrote them at the same
   * moment: the same statement sees them a moment later.
   */
  write: (sealed: SealedBatch) => Promise<number>
  /** Whether an error means that the database is away, so that trying again is the cure. */
  isUnavailable: (error: unknown) => boolean
  /** Whether an error is the database's word that nothing of the statement was kept. */
  isUndone: (error: unknown) => boolean
  /** Whether it is such a word, because the statement took too long. */
  isTooSlow: (error: unknown) => boolean
  /** The database took nothing; it is asked again. */
  away: (error: unknown) => void
  /** An entry that the database will never take. Resolves when it is safe elsewhere; until then its exchange is not done. */
  rejected: (entry: AuditEntry, error: unknown) => void | Promise<void>
  report: (error: unknown) => void
  now: () => number
}

export interface Item {
  readonly entry: AuditEntry
  /** Its row is committed, or will never be. */
  done(): void
}

export interface RowWriter {
  /** False: there is no room, and nothing happened. */
  add(item: Item): boolean
  /** The same of entries that were read from the disk; the caller sees to it that they are not too many. Never resolves once it has stopped. */
  addAll(entries: readonly AuditEntry[]): Promise<void>
  readonly backlog: number
  /** The database took nothing when it was last asked. */
  readonly isAway: boolean
  /** Does not wait for others before the next write. */
  hurry(): void
  /** Resolves when everything that waits is written and the chain is closed, or `msMax` are over; writes nothing afterwards. */
  stop(msMax: number): Promise<void>
}

export function createRowWriter(options: RowWriterOptions): RowWriter {
  const { writer, write, isUnavailable, isUndone, isTooSlow, away, rejected, report, now } = options
  let queue: Item[] = []
  let batchMax = BATCH_MAX
  /** Batches of this size that were written, one after the other. */
  let fitted = 0
  let flushing: Promise<void> | null = null
  let isAway = false
  /** The chain is being closed: nothing may follow its last leaf. */
  let isClosing = false
  let isStopped = false
  let hurry = (): void => {}
  /** Somebody waits for what is in the queue. */
  let isHurried = false

  function push(items: readonly Item[]): void {
    queue.push(...items)
    begin()
  }

  function begin(): void {
    flushing ??= flush()
    if (queue.length >= batchMax) hurry()
  }

  async function flush(): Promise<void> {
    while (queue.length > 0 && !isStopped) {
      if (queue.length < batchMax && !isHurried) await gather()
      const batch = queue.slice(0, batchMax)
      if (!(await writeTogether(batch))) await writeSingly(batch)
    }
    isHurried = false
    flushing = null
  }

  const gather = (): Promise<void> =>
    new Promise((resolve) => {
      hurry = resolve
      setTimeout(resolve, GATHER_MS)
    })

  /**
   * False: the database will not take them, so none of them is there. While it is away the very same leaves are sent again, since an answer that was lost may
   * have been yes. Only of a batch that took too long each time, and of which nothing can be there, smaller ones are made: they stay in the queue.
   */
  async function writeTogether(batch: readonly Item[]): Promise<boolean> {
    const entries = batch.map(({ entry }) => entry)
    let sealed: SealedBatch | undefined
    let mayBeThere = false
    let slow = 0
    for (let sent = 1; !isStopped; ) {
      try {
        sealed ??= writer.seal(entries, now())
        const missed = await write(sealed)
        mayBeThere = true
        if (missed > 0 && sent++ < SENT_MAX) continue
        writer.written(sealed)
        isAway = false
        finish(batch)
        grow(batch.length)
        return true
      } catch (error) {
        if (!isUnavailable(error)) {
          if (batch.length > 1) return false
          setAside(batch[0]!, error)
          return true
        }
        away(error)
        isAway = true
        mayBeThere ||= !isUndone(error)
        if (isTooSlow(error) && ++slow >= SLOW_MAX && !mayBeThere && batch.length > 1) {
          batchMax = Math.ceil(batch.length / 2)
          fitted = 0
          return true
        }
        await delay(RETRY_MS, undefined, { ref: false })
      }
    }
    return true
  }

  /** A full batch was written: when enough were, larger ones are tried again. */
  function grow(length: number): void {
    if (batchMax === BATCH_MAX || length < batchMax || ++fitted < GROW_AFTER) return
    batchMax = Math.min(batchMax * 2, BATCH_MAX)
    fitted = 0
  }

  /** One entry the database refuses for good must not hold up the others. */
  async function writeSingly(batch: readonly Item[]): Promise<void> {
    for (const item of batch) if (!isStopped) await writeTogether([item])
  }

  function setAside(item: Item, error: unknown): void {
    queue = queue.slice(1)
    Promise.try(() => rejected(item.entry, error)).then(() => item.done(), report)
  }

  function hurryUp(): void {
    isHurried = queue.length > 0
    hurry()
  }

  function finish(batch: readonly Item[]): void {
    queue = queue.slice(batch.length)
    for (const item of batch) item.done()
  }

  return {
    add(item) {
      if (isStopped || isClosing || queue.length >= QUEUE_MAX) return false
      queue.push(item)
      begin()
      return true
    },
    addAll: (entries) =>
      new Promise((resolve) => {
        let left = entries.length
        if (left === 0) return resolve()
        if (isStopped || isClosing) return
        const done = (): void => {
          if (--left === 0) resolve()
        }
        push(entries.map((entry) => ({ entry, done })))
      }),
    get backlog() {
      return queue.length
    },
    get isAway() {
      return isAway
    },
    hurry: hurryUp,
    async stop(msMax) {
      const { promise: timeUp, resolve: late } = Promise.withResolvers<void>()
      const timer = setTimeout(() => {
        isStopped = true
        late()
      }, msMax)
      hurryUp()
      while (flushing && !isStopped) await Promise.race([flushing, timeUp])
      isClosing = true
      if (writer.seq > 0 && !isStopped) {
        const closing = chainEntry('writer.close', { actor: 'system', subject: writer.id, last_seq: writer.seq + 1, reason: 'stopped' }, now())
        const { promise: closed, resolve: done } = Promise.withResolvers<void>()
        push([{ entry: closing, done }])
        hurryUp()
        await Promise.race([closed, timeUp])
      }
      clearTimeout(timer)
      isStopped = true
    },
  }
}
