/**
 * Exchanges on the local disk: what leaves for a provider before it leaves, what has ended before its client has the last byte. Whoever waits for the disk
 * waits together with all others for one write and one sync. What the database has taken goes.
 */
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import { type Disk, nodeDisk } from './disk.ts'
import { HEADER_BYTES, readFrames, writeFrame } from './frame.ts'
import { Beginning, Ended, type Pending, UnderWay, type WhoWaits } from './pending.ts'
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

export type { Ended } from './pending.ts'

export interface Place {
  segment: Segment
  offset: number
}

export interface Spool {
  /** Keeps room for the end of an exchange. Throws NoRoom where there is none. */
  admit(id: string): Promise<void>
  /** Resolves when it is written that the exchange leaves: the end of this process does not lose it. Of what is open already the later says more. Throws NoRoom. */
  open(id: string, json: string): Promise<void>
  /** What was admitted has ended; or what was not, for which there may be no room: then null, as after `stop`. `waiting` is told when it is on the disk. */
  close(id: string, json: string, waiting?: WhoWaits): Ended | null
  /** Its row is in the database. */
  committed(ended: Ended): void
  /** The row of something that was read back from it is. */
  taken(segment: Segment): void
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

const SEGMENT_BYTES_MAX = 64 << 20
/** Room that is kept for the end of each exchange under way. */
const CLOSE_ROOM = 4 << 10
const WRITE_BYTES_MAX = 1 << 20
const READ_BYTES = 1 << 20
const BUFFER_BYTES = 64 << 10
/** How long a full disk is believed to be full. */
const FULL_MS = 250

export function createSpool({ dir, owner, die, beforeRemoval, report, disk = nodeDisk, segmentBytesMax = SEGMENT_BYTES_MAX }: SpoolOptions): Spool {
  const segments = createSegments({ dir, owner, disk, segmentBytesMax })
  /** Exchanges under way; where they stand, if they do. */
  const opened = new Map<string, UnderWay>()
  const pending: Pending[] = []
  let pendingBytes = 0
  let unsynced: Pending[] = []
  /** For one write at a time. */
  let buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
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
    pendingBytes += one.bytes
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
        for (const one of refusing) one.refused(error)
        if (isStopping) break
        const owed = batch.filter(({ isRefusable }) => !isRefusable)
        pending.unshift(...owed)
        pendingBytes += owed.reduce((sum, one) => sum + one.bytes, 0)
        if (owed.length > 0) await delay(FULL_MS)
      }
    }
    writing = null
  }

  function take(): Pending[] {
    let bytes = 0
    let taken = 0
    while (taken < pending.length && bytes < WRITE_BYTES_MAX) bytes += pending[taken++]!.bytes
    pendingBytes -= bytes
    return pending.splice(0, taken).filter((one) => !one.isMoot)
  }

  /** As many as the segment has room for, in one write; they leave the batch. */
  async function writeSome(batch: Pending[]): Promise<void> {
    const before = segments.current
    const room = segments.forFrame(batch[0]!.bytes, syncSegment)
    const segment = room instanceof Promise ? await room : room
    if (segment !== before) release()
    let bytes = 0
    let count = 0
    for (; count < batch.length; count++) {
      const more = batch[count]!.bytes
      if (segment.position + bytes + more > segment.allocated) break
      bytes += more
    }
    if (bytes > buffer.length) buffer = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(bytes)))
    for (let i = 0, at = 0; i < count; i++) at = writeFrame(buffer, at, segment.name, segment.position + at, batch[i]!.kind, batch[i]!.json)
    try {
      await full(segment.file.write(buffer.subarray(0, bytes), segment.position))
    } catch (error) {
      // Something of it may be there: nothing is written behind it.
      segment.allocated = segment.position
      segment.isFull = true
      throw error
    }
    for (const one of batch.splice(0, count)) {
      const offset = segment.position
      segment.position += one.bytes
      one.written(segment, offset)
      if (one.isSynced) unsynced.push(one)
    }
    if (buffer.length > WRITE_BYTES_MAX) buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
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
    for (const one of waiting) one.synced()
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
      const staying = [...opened.values()].filter((place) => place.segment === segment)
      await Promise.all(staying.map((place) => place.json && put(place, place.json, true)))
      await beforeRemoval?.()
      await segments.remove(segment)
    } catch (error) {
      segment.isLeaving = false
      if (!(error instanceof NoRoom)) report(error)
    }
  }

  function put(underWay: UnderWay, json: string, isCopy: boolean): Promise<void> {
    const beginning = new Beginning(underWay, json, isCopy)
    append(beginning)
    return beginning.done
  }

  /** Whether there is room for it without more of the disk: next to always. */
  function isAdmitted(id: string): boolean {
    if (isStopping) return false
    if (opened.has(id)) return true // its end has room already
    if (!hasRoom(opened.size + 2)) return false
    opened.set(id, new UnderWay())
    return true
  }

  async function admit(id: string): Promise<void> {
    while (!isAdmitted(id)) {
      if (isStopping) throw new NoRoom('The spool takes nothing any more.')
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
  }

  function begin(id: string, json: string): Promise<void> {
    const place = opened.get(id)
    if (isStopping || !place) return Promise.reject(new NoRoom('The spool takes nothing any more.'))
    place.json = json // at once: a copy made from now on must not say less
    return put(place, json, false)
  }

  return {
    admit,
    open: (id, json) => (isAdmitted(id) ? begin(id, json) : admit(id).then(() => begin(id, json))),
    close(id, json, waiting) {
      if (isStopping) return null
      const place = opened.get(id)
      const begin = place?.segment ?? null
      const isOwed = opened.delete(id)
      if (place) place.json = null // the map's outgrown tables may hold on to it for long: see slots.ts
      if (!isOwed && !hasRoom(opened.size + 1)) return null
      const ended = new Ended(json, begin, isOwed, release, waiting)
      append(ended)
      return ended
    },
    committed: (ended) => ended.committed(),
    taken(segment) {
      if (--segment.pending === 0) release()
    },
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
}
