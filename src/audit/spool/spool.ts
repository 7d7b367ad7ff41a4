/**
 * Exchanges on the local disk: what leaves for a provider before it leaves, what has ended before its client has the last byte. Whoever waits for the disk
 * waits together with all others for one write and one sync. What the database has taken goes.
 */
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import { type Disk, nodeDisk } from './disk.ts'
import { type FrameKind, frameBytes, HEADER_BYTES, readFrames, writeFrame } from './frame.ts'
import { createSegments, full, NoRoom, type Segment } from './segments.ts'

export interface SpoolOptions {
  /** A folder of this process alone. */
  dir: string
  owner: { origin: string; processId: string }
  /** The disk failed: what was written may not be there. Nothing is acknowledged any more; the process has to end. */
  die: (error: unknown) => void
  /** Before a segment goes whose rows the database has taken. */
  beforeRemoval?: () => Promise<void>
  report: (error: unknown) => void
  disk?: Disk
  segmentBytesMax?: number
}

/** An exchange that ended. */
export interface Ended {
  /** In which segment it stands, once it does. */
  segment: Segment | null
  /** Where its frame begins there. */
  offset: number
  /** In which segment its beginning stands, until the end is on the disk as well. */
  begin: Segment | null
  /** Resolves when it is on the disk, or, where it had not left, when it is written. Never rejects: while there is no room it waits. */
  onDisk: Promise<void>
  isCommitted: boolean
}

export interface Place {
  segment: Segment
  offset: number
}

export interface Spool {
  /** Keeps room for the end of an exchange. Throws NoRoom where there is none. */
  admit(id: string): Promise<void>
  /** Resolves when it is written that the exchange leaves: the end of this process does not lose it. Of what is open already the later says more. Throws NoRoom. */
  open(id: string, json: Buffer): Promise<void>
  /** What was admitted has ended; or what was not, for which there may be no room: then null, as after `stop`. */
  close(id: string, json: Buffer): Ended | null
  /** Its row is in the database. */
  committed(ended: Pick<Ended, 'segment' | 'isCommitted'> & Partial<Ended>): void
  /** Ended exchanges, as JSON, from a place on, as far as they are written or a part of them, and the place after them. Null: nothing can be read any more. */
  readBack(from: Place): Promise<{ closes: { json: string; segment: Segment }[]; next: Place } | null>
  /** Looks up how much room the volume has, of which `capacityBytes` tells. */
  measure(): Promise<void>
  readonly usedBytes: number
  readonly capacityBytes: number
  /** Syncs so far. */
  readonly syncs: number
  /** Writes what waits, as far as there is room, and closes the files. Those whose rows are all in the database go. Nothing is opened or closed any more. */
  stop(): Promise<void>
}

interface Pending {
  kind: FrameKind
  json: Buffer
  /** Written, or refused for want of room. */
  written: (segment: Segment, offset: number) => void
  refused: ((error: NoRoom) => void) | null
  /** Waits for the sync too. */
  synced: (() => void) | null
  isMoot: () => boolean
}

const SEGMENT_BYTES_MAX = 64 << 20
/** Room that is kept for the end of each exchange under way. */
const CLOSE_ROOM = 4 << 10
const WRITE_BYTES_MAX = 1 << 20
const READ_BYTES = 1 << 20
/** How long a full disk is believed to be full. */
const FULL_MS = 250

export function createSpool({ dir, owner, die, beforeRemoval, report, disk = nodeDisk, segmentBytesMax = SEGMENT_BYTES_MAX }: SpoolOptions): Spool {
  const segments = createSegments({ dir, owner, disk, segmentBytesMax })
  /** Exchanges under way; where they stand, if they do. */
  const opened = new Map<string, { segment: Segment | null; json: Buffer | null }>()
  let pending: Pending[] = []
  let pendingBytes = 0
  let unsynced: (() => void)[] = []
  let writing: Promise<void> | null = null
  let isSyncing = false
  let growing: Promise<void> | null = null
  let fullUntil = 0
  let syncs = 0
  let isDead = false
  let isStopping = false
  /** Of segments on their way out. */
  const leaving = new Set<Promise<void>>()

  const fail = (error: unknown): void => {
    if (isDead) return
    isDead = true
    die(error)
  }

  /** For so many exchanges under way, and what has not been written yet. */
  const hasRoom = (exchanges: number): boolean => segments.room - pendingBytes >= exchanges * CLOSE_ROOM

  function append(one: Pending): void {
    pending.push(one)
    pendingBytes += frameBytes(one.json)
    writing ??= writeAll()
  }

  async function writeAll(): Promise<void> {
    // Whoever arrives in this turn of the event loop is in the same write.
    await nextTurn()
    while (pending.length > 0 && !isDead) {
      const batch = take()
      try {
        while (batch.length > 0) await writeSome(batch)
      } catch (error) {
        if (!(error instanceof NoRoom)) return fail(error)
        fullUntil = performance.now() + FULL_MS
        // Who stops waits for no room.
        const refusing = isStopping ? [...batch, ...pending.splice(0)] : batch
        for (const one of refusing) one.refused?.(error)
        if (isStopping) break
        const owed = batch.filter(({ refused }) => refused === null)
        pending.unshift(...owed)
        pendingBytes += owed.reduce((sum, { json }) => sum + frameBytes(json), 0)
        if (owed.length > 0) await delay(FULL_MS)
      }
    }
    writing = null
  }

  function take(): Pending[] {
    let bytes = 0
    let taken = 0
    while (taken < pending.length && bytes < WRITE_BYTES_MAX) bytes += frameBytes(pending[taken++]!.json)
    pendingBytes -= bytes
    const batch = pending.slice(0, taken)
    pending = pending.slice(taken)
    return batch.filter((one) => !one.isMoot())
  }

  /** As many as the segment has room for, in one write; they leave the batch. */
  async function writeSome(batch: Pending[]): Promise<void> {
    const before = segments.current
    const segment = await segments.forFrame(frameBytes(batch[0]!.json), syncSegment)
    if (segment !== before) release()
    let bytes = 0
    let count = 0
    for (; count < batch.length; count++) {
      const more = frameBytes(batch[count]!.json)
      if (segment.position + bytes + more > segment.allocated) break
      bytes += more
    }
    const buffer = Buffer.allocUnsafe(bytes)
    const offsets: number[] = []
    for (let i = 0, at = 0; i < count; i++) {
      offsets.push(segment.position + at)
      at = writeFrame(buffer, at, segment.name, segment.position + at, batch[i]!.kind, batch[i]!.json)
    }
    try {
      await full(segment.file.write(buffer, segment.position))
    } catch (error) {
      // Something of it may be there: nothing is written behind it.
      segment.allocated = segment.position
      segment.isFull = true
      throw error
    }
    segment.position += bytes
    batch.splice(0, count).forEach((one, i) => {
      one.written(segment, offsets[i]!)
      if (one.synced) unsynced.push(one.synced)
    })
    if (!isSyncing && unsynced.length > 0) void syncAll()
  }

  async function syncAll(): Promise<void> {
    isSyncing = true
    while (unsynced.length > 0 && !isDead) await syncSegment(segments.current!)
    isSyncing = false
  }

  /** All that waits for the disk stands in this segment. */
  async function syncSegment(segment: Segment): Promise<void> {
    const waiting = unsynced
    unsynced = []
    try {
      await segment.file.sync()
    } catch (error) {
      // The kernel may have dropped what it could not write: trying again would say that all is well (https://wiki.postgresql.org/wiki/Fsync_Errors).
      return fail(error)
    }
    syncs++
    for (const resolve of waiting) resolve()
  }

  /** Segments whose exchanges are all in the database go. */
  function release(): void {
    if (isStopping) return
    for (const segment of segments.list) {
      if (!segment.isFull || segment.pending > 0 || segment.isLeaving || segment === segments.current) continue
      const left = leave(segment).finally(() => leaving.delete(left))
      leaving.add(left)
    }
  }

  /** What is still under way moves to the current segment first. */
  async function leave(segment: Segment): Promise<void> {
    segment.isLeaving = true
    try {
      const staying = [...opened].filter(([, place]) => place.segment === segment)
      await Promise.all(staying.map(([id, { json }]) => json && put(id, json, true)))
      await beforeRemoval?.()
      await segments.remove(segment)
    } catch (error) {
      segment.isLeaving = false
      if (!(error instanceof NoRoom)) report(error)
    }
  }

  /** `isCopy`: it stands in another segment already, and waits for the disk before that may go. */
  function put(id: string, json: Buffer, isCopy: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      append({
        kind: 'open',
        json,
        written: (segment) => {
          const place = opened.get(id)
          if (place) place.segment = segment
          if (!isCopy) resolve()
        },
        refused: reject,
        synced: isCopy ? resolve : null,
        isMoot: () => false,
      })
    })
  }

  function takesMore(): void {
    if (isStopping) throw new NoRoom('The spool takes nothing any more.')
  }

  async function admit(id: string): Promise<void> {
    for (;;) {
      takesMore()
      if (opened.has(id)) return // its end has room already
      if (hasRoom(opened.size + 2)) break
      if (performance.now() < fullUntil) throw new NoRoom('The disk of the spool was full a moment ago.')
      try {
        // Whoever finds no room waits for the same piece of the disk, and looks again.
        growing ??= segments.grow().finally(() => {
          growing = null
        })
        await growing
      } catch (error) {
        if (error instanceof NoRoom) fullUntil = performance.now() + FULL_MS
        release()
        throw error
      }
    }
    opened.set(id, { segment: null, json: null })
  }

  return {
    admit,
    async open(id, json) {
      await admit(id)
      takesMore()
      const place = opened.get(id)
      if (place) place.json = json // at once: a copy made from now on must not say less
      await put(id, json, false)
    },
    close(id, json) {
      if (isStopping) return null
      const begin = opened.get(id)?.segment ?? null
      const isOwed = opened.delete(id)
      if (!isOwed && !hasRoom(opened.size + 1)) return null
      const { promise: onDisk, resolve } = Promise.withResolvers<void>()
      const ended: Ended = { segment: null, offset: 0, begin, onDisk, isCommitted: false }
      if (begin) begin.pending++
      append({
        kind: 'close',
        json,
        written(segment, offset) {
          segment.pending++
          Object.assign(ended, { segment, offset })
          if (ended.isCommitted) committed(ended)
          if (!isOwed) resolve()
        },
        refused: null,
        synced: isOwed
          ? () => {
              letGo(ended)
              resolve()
            }
          : null,
        isMoot: () => ended.isCommitted,
      })
      return ended
    },
    committed,
    async readBack({ segment: from, offset }) {
      // A segment of which nothing was wanted may be gone.
      const at = segments.list.findIndex(({ name }) => name.number >= from.name.number)
      const segment = segments.list[at] ?? from
      const begin = segment === from ? offset : HEADER_BYTES
      const following = segments.list[at + 1]
      if (begin === segment.position) return { closes: [], next: following ? { segment: following, offset: HEADER_BYTES } : { segment, offset: begin } }
      for (let bytes = READ_BYTES; ; bytes *= 2) {
        if (isStopping) return null
        const chunk = await segment.file.read(begin, Math.min(bytes, segment.position - begin)).catch(unreadable)
        if (!chunk) return null
        const { frames } = readFrames(chunk, 0, begin, segment.name)
        const last = frames.at(-1)
        // A chunk that ends within its first frame: a longer one holds it.
        if (!last && chunk.length === bytes) continue
        if (!last) return unreadable(new Error('A segment of the spool cannot be read back.'))
        const closes = frames.filter(({ kind }) => kind === 'close').map(({ json }) => ({ json, segment }))
        return { closes, next: { segment, offset: last.end } }
      }
    },
    measure: () => segments.measure(),
    get usedBytes() {
      return segments.usedBytes
    },
    get capacityBytes() {
      return segments.capacityBytes
    },
    get syncs() {
      return syncs
    },
    async stop() {
      isStopping = true
      while (writing) await writing
      if (isDead) return
      await Promise.all(leaving)
      if (segments.current) await syncSegment(segments.current)
      const isDone = (segment: Segment): boolean => segment.pending === 0 && ![...opened.values()].some((place) => place.segment === segment)
      const done = segments.list.filter((segment) => isDone(segment) && !segment.isLeaving)
      if (done.length > 0) await beforeRemoval?.()
      for (const segment of done) await segments.remove(segment)
      await segments.close()
    },
  }

  /** While it stops, its files are closed beneath whoever reads. */
  function unreadable(error: unknown): null {
    if (!isStopping) fail(error)
    return null
  }

  function committed(ended: Pick<Ended, 'segment' | 'isCommitted'> & Partial<Ended>): void {
    ended.isCommitted = true
    letGo(ended)
    if (ended.segment && --ended.segment.pending === 0) release()
  }

  /** Of the beginning of what has ended. */
  function letGo(ended: Partial<Ended>): void {
    const { begin } = ended
    ended.begin = null
    if (begin && --begin.pending === 0) release()
  }
}
