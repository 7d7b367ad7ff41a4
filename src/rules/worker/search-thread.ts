/**
 * Searches very long texts in a thread of its own, one call at a time, so that nobody else waits for them. Whatever goes wrong is a Failure, and so a call
 * that is refused: a queue that is full, a search that takes too long, a thread that breaks.
 */
import { Worker } from 'node:worker_threads'
import { Failure, Refusal } from '../../errors.ts'
import { type Findings, unpackFindings } from '../search/findings.ts'
import type { Piece } from '../search/piece.ts'
import type { OtherThread } from '../search/search-in-turns.ts'
import type { SegmentSearch } from '../search/search-segment.ts'
import { createTurns, nobodyWaits } from '../search/turns.ts'
import { type FromThread, packPieces, type ToThread } from './messages.ts'

export interface SearchThread extends OtherThread {
  /** Ends the thread; whatever still waits is refused. */
  close(): Promise<void>
}

/** How long one search may take, the preparing of its policy included. */
export const SCAN_MS_MAX = 10_000
/** How long a call may wait for those before it. */
const WAIT_MS_MAX = 30_000
/** Calls that wait, and their bytes together. One call may always wait. */
const WAITING_MAX = 256
const WAITING_BYTES_MAX = 256 << 20
/** Of these as many may be of one policy: what one tenant sends does not keep out what others do. */
const WAITING_SHARE_MAX = 1 / 2
/** Policies the thread remembers. That of which the last search is the longest ago goes first. */
const POLICIES_MAX = 32
/** Of the thread's heap, beside the texts. A thread that needs more breaks. */
const HEAP_MEGABYTES_MAX = 1024

/** What is needed of a Worker. */
export interface Thread {
  postMessage(message: ToThread, transfer?: readonly ArrayBuffer[]): void
  on(event: 'message', listener: (answer: FromThread) => void): unknown
  on(event: 'error' | 'messageerror', listener: (error: unknown) => void): unknown
  on(event: 'exit', listener: () => void): unknown
  terminate(): Promise<unknown>
  ref(): void
  unref(): void
}

export interface SearchThreadOptions {
  start?: () => Thread
  scanMsMax?: number
  waitMsMax?: number
  waitingMax?: number
  waitingBytesMax?: number
}

/** Nothing of the process it is started in matters to it: no flags, such as those of a test run, and no environment. */
const startThread = (): Thread =>
  new Worker(new URL('./thread.ts', import.meta.url), { execArgv: [], env: {}, resourceLimits: { maxOldGenerationSizeMb: HEAP_MEGABYTES_MAX } })

interface Job {
  search: SegmentSearch
  pieces: readonly Piece[]
  textBytes: number
  bytes: number
  timer: NodeJS.Timeout
  /** The first of both counts. */
  resolve(findings: readonly Findings[]): void
  reject(error: unknown): void
}

/** A thread that runs, and what it knows by now. */
interface Running {
  thread: Thread
  policies: Map<SegmentSearch, number> // in the order of their last search
}

/** Starts its thread with the first search. An idle thread does not keep the process alive. */
export function createSearchThread({
  start = startThread,
  scanMsMax = SCAN_MS_MAX,
  waitMsMax = WAIT_MS_MAX,
  waitingMax = WAITING_MAX,
  waitingBytesMax = WAITING_BYTES_MAX,
}: SearchThreadOptions = {}): SearchThread {
  const turns = createTurns()
  const queue: Job[] = []
  let queuedBytes = 0
  let current: Job | null = null
  let lastServed: SegmentSearch | null = null
  let running: Running | null = null
  let policyCount = 0
  let closed = false

  return {
    search({ search, pieces, textBytes }, waiting) {
      const bytes = pieces.reduce((sum, { segment }) => sum + segment.to - segment.from, 0)
      const own = queue.filter((job) => job.search === search).length
      const isFull = queue.length >= waitingMax || own >= waitingMax * WAITING_SHARE_MAX || (queue.length > 0 && queuedBytes + bytes > waitingBytesMax)
      if (closed || isFull) return Promise.reject(new Failure('unavailable', new Error('Too many long texts wait to be searched.')))
      if (waiting?.gone || waiting?.signal.aborted) return Promise.reject(nobodyWaits())
      return new Promise((resolve, reject) => {
        const giveUp = (error: unknown): void => {
          drop(job)
          reject(error)
          // Nobody waits for what the thread is doing, and others do.
          if (current === job) void breakOff(error)
        }
        const timer = setTimeout(() => giveUp(new Failure('unavailable', new Error(`Others were searched for ${waitMsMax} ms.`))), waitMsMax)
        const job: Job = { search, pieces, textBytes, bytes, timer, resolve, reject }
        waiting?.signal.addEventListener('abort', () => giveUp(nobodyWaits()), { once: true })
        queue.push(job)
        queuedBytes += bytes
        next()
      })
    },

    async close() {
      closed = true
      const waiting = queue.splice(0)
      queuedBytes = 0
      for (const job of waiting) {
        clearTimeout(job.timer)
        job.reject(new Failure('unavailable', new Error('Earthflow is stopping.')))
      }
      await breakOff(new Failure('unavailable', new Error('Earthflow is stopping.')))
    },
  }

  function drop(job: Job): void {
    const place = queue.indexOf(job)
    if (place < 0) return // the thread has it; its answer will find nobody
    queue.splice(place, 1)
    queuedBytes -= job.bytes
    clearTimeout(job.timer)
  }

  function next(): void {
    if (current || closed) return
    // Policies take turns as far as others wait too.
    const job = queue.find(({ search }) => search !== lastServed) ?? queue[0]
    if (!job) {
      running?.thread.unref()
      return
    }
    drop(job)
    current = job
    lastServed = job.search
    job.timer = setTimeout(() => void breakOff(tookTooLong(scanMsMax)), scanMsMax)
    begin(job).catch((error: unknown) => {
      if (current === job) void breakOff(error)
    })
  }

  async function begin(job: Job): Promise<void> {
    const mine = (running ??= startRunning())
    mine.thread.ref()
    const policy = teach(mine, job.search)
    const packed = await turns(packPieces(job.pieces), null)
    // It may have broken meanwhile, or time was over.
    if (current !== job) return
    mine.thread.postMessage({ kind: 'search', policy, textBytes: job.textBytes, packed }, [packed.bytes, packed.pieces.buffer, packed.slots.buffer])
  }

  function startRunning(): Running {
    const thread = start()
    const mine: Running = { thread, policies: new Map() }
    const onBreak = (error: unknown): void => {
      if (running === mine) void breakOff(new Failure('internal', error))
    }
    thread.on('message', (answer) => {
      if (running === mine) onAnswer(answer)
    })
    thread.on('error', onBreak)
    thread.on('messageerror', onBreak)
    thread.on('exit', () => onBreak(new Error('The thread that searches ended.')))
    return mine
  }

  /** The number under which the thread knows the policy. */
  function teach({ thread, policies }: Running, search: SegmentSearch): number {
    const known = policies.get(search)
    const policy = known ?? policyCount++
    policies.delete(search)
    policies.set(search, policy)
    if (known !== undefined) return policy
    for (const [oldest, its] of policies) {
      if (policies.size <= POLICIES_MAX) break
      policies.delete(oldest)
      thread.postMessage({ kind: 'forget', policy: its })
    }
    thread.postMessage({ kind: 'learn', policy, leaves: search.leaves, beyond: search.beyond })
    return policy
  }

  function onAnswer(answer: FromThread): void {
    const job = finish()
    if (answer.kind === 'found') job?.resolve(unpackFindings(answer.packed))
    else job?.reject(new Failure(answer.reason, answer.cause))
    next()
  }

  /** Ends the thread and whatever it was doing. The next search starts another. */
  async function breakOff(error: unknown): Promise<void> {
    const broken = running
    running = null
    finish()?.reject(error)
    next()
    await broken?.thread.terminate()
  }

  function finish(): Job | null {
    const job = current
    current = null
    if (job) clearTimeout(job.timer)
    return job
  }
}

const tookTooLong = (ms: number): Failure =>
  new Failure(
    'scan_budget',
    new Refusal('scan_budget', `The rules could not be asked within ${ms / 1000} seconds about a call this long, so it was not passed on.`),
  )
