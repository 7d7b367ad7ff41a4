/**
 * The files of a spool. They are written full of zeros before they are needed, so that a full disk is met while it can still be refused to, and a sync has
 * no sizes to write. The last one is written to; spares wait behind it.
 */
import { dirname, join } from 'node:path'
import { type DirectoryLock, lockDirectory } from '../../db/lock.ts'
import type { Disk, SpoolFile } from './disk.ts'
import { HEADER_BYTES, headerOf, type SegmentName } from './frame.ts'

export interface Segment {
  name: SegmentName
  path: string
  file: SpoolFile
  /** Bytes that are there to be written to. */
  allocated: number
  /** Where the next frame goes. */
  position: number
  /** Exchanges that ended in it and whose rows are not committed, and those that began in it and whose ends are not on the disk. */
  pending: number
  /** Nothing more is written to it. */
  isFull: boolean
  /** It is on its way out. */
  isLeaving: boolean
}

export interface Segments {
  /** Oldest first, without spares. */
  readonly list: readonly Segment[]
  readonly current: Segment | undefined
  /** Bytes that frames may still take without more of the disk. */
  readonly room: number
  readonly usedBytes: number
  /** What the spool may take of its volume in all, as far as it is known. */
  readonly capacityBytes: number
  /** Looks up how much room the volume has. */
  measure(): Promise<void>
  /** Takes more of the disk. Throws NoRoom where there is no more, or too little for others. */
  grow(): Promise<void>
  /** A segment with room for a frame of so many bytes, and the end of it. Throws NoRoom. `beforeNext`: the current one is full and will be left. */
  forFrame(bytes: number, beforeNext: (full: Segment) => Promise<void>): Segment | Promise<Segment>
  remove(segment: Segment): Promise<void>
  /** Closes the files; those that hold nothing go. */
  close(): Promise<void>
}

export interface SegmentsOptions {
  dir: string
  /** The first one's number is 1. */
  owner: Omit<SegmentName, 'number'>
  disk: Disk
  segmentBytesMax: number
}

/** There is no more room on the disk, or the spool may not take it. */
export class NoRoom extends Error {}

export const SEGMENT_BYTES_MIN = 16 << 10
/** Of the volume, so that there are several segments on the smallest one. */
const SEGMENTS_MIN = 8
const STEP_BYTES = 1 << 20
/** Of what the volume has for the spool: beyond it nothing more is taken. */
const FULL = 0.95

export const isSegmentFile = (name: string): boolean => /^\d{12}\.spool$/.test(name)
export const segmentFile = (number: number): string => `${String(number).padStart(12, '0')}.spool`

export function createSegments({ dir, owner, disk, segmentBytesMax }: SegmentsOptions): Segments {
  const list: Segment[] = []
  const spares: Segment[] = []
  let number = 0
  let freeBytes = Number.POSITIVE_INFINITY
  let segmentBytes = 0
  let lock: DirectoryLock | undefined
  let turn: Promise<unknown> = Promise.resolve()

  const all = (): Segment[] => [...list, ...spares]
  const usedBytes = (): number => all().reduce((sum, { allocated }) => sum + allocated, 0)
  const capacityBytes = (): number => usedBytes() + freeBytes
  const roomIn = ({ isFull, allocated, position }: Segment): number => (isFull ? 0 : allocated - position)

  /** One after the other: two that take more of the same file would take it twice. */
  function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = turn.then(work)
    turn = done.catch(() => {})
    return done
  }

  async function begin(): Promise<void> {
    await full(disk.makeDirectory(dirname(dir)))
    // Locked before it is there: nobody takes the folder for a dead process's while this one lives.
    lock ??= await full(Promise.try(() => lockDirectory(dir)))
    await full(disk.makeDirectory(dir))
    freeBytes = await disk.freeBytes(dir)
    const share = Math.floor(freeBytes / SEGMENTS_MIN / PAGE_BYTES) * PAGE_BYTES
    segmentBytes = Math.max(SEGMENT_BYTES_MIN, Math.min(segmentBytesMax, share))
  }

  async function create(): Promise<Segment> {
    if (segmentBytes === 0) await begin()
    const name = { ...owner, number: ++number }
    const path = join(dir, segmentFile(number))
    const file = await full(disk.create(path))
    const segment: Segment = { name, path, file, allocated: 0, position: HEADER_BYTES, pending: 0, isFull: false, isLeaving: false }
    try {
      await extend(segment, segment.position)
      await full(file.write(headerOf(name), 0))
      await full(file.sync())
      await disk.syncDirectory(dir)
    } catch (error) {
      await file.close()
      await disk.remove(path)
      throw error
    }
    return segment
  }

  /** So that it reaches `end`, and a step further while it is small. */
  async function extend(segment: Segment, end: number): Promise<void> {
    const step = Math.min(STEP_BYTES, segmentBytes)
    const target = Math.max(Math.min(segment.allocated + step, segmentBytes), end)
    const bytes = target - segment.allocated
    freeBytes = await disk.freeBytes(dir)
    if (usedBytes() + bytes > FULL * capacityBytes()) throw new NoRoom('The volume of the spool is full.')
    await full(segment.file.write(Buffer.alloc(bytes), segment.allocated))
    segment.allocated = target
    freeBytes = Math.max(0, freeBytes - bytes)
  }

  return {
    list,
    get current() {
      return list.at(-1)
    },
    get room() {
      const current = list.at(-1)
      let room = current ? roomIn(current) : 0
      for (const spare of spares) room += roomIn(spare)
      return room
    },
    get usedBytes() {
      return usedBytes()
    },
    get capacityBytes() {
      return capacityBytes()
    },
    measure: () =>
      inTurn(async () => {
        if (segmentBytes > 0) freeBytes = await disk.freeBytes(dir)
      }),
    grow: () =>
      inTurn(async () => {
        const last = spares.at(-1) ?? list.at(-1)
        if (last && !last.isFull && last.allocated < segmentBytes) await extend(last, last.position)
        else if (list.length === 0) list.push(await create())
        else spares.push(await create())
      }),
    forFrame(bytes, beforeNext) {
      // Room that is there is taken by whoever asks for it here, and by nobody else.
      const last = list.at(-1)
      if (last && roomIn(last) >= bytes) return last
      return inTurn(async () => {
        const current = list.at(-1)
        if (current && roomIn(current) >= bytes) return current
        if (current && !current.isFull && (current.allocated < segmentBytes || current.position === HEADER_BYTES) && spares.length === 0) {
          await extend(current, current.position + bytes)
          return current
        }
        // One that turns out to be too small for now stays a spare, or each try would take another.
        if (spares.length === 0) spares.push(await create())
        const next = spares[0]!
        if (roomIn(next) < bytes) await extend(next, next.position + bytes)
        if (current) {
          current.isFull = true
          await beforeNext(current)
        }
        spares.shift()
        list.push(next)
        return next
      })
    },
    async remove(segment) {
      list.splice(list.indexOf(segment), 1)
      await segment.file.close()
      await disk.remove(segment.path)
    },
    close: () =>
      inTurn(async () => {
        for (const segment of all()) {
          await segment.file.close()
          if (segment.position === HEADER_BYTES) await disk.remove(segment.path)
        }
        if (lock) await disk.removeDirectory(dir)
        lock?.release()
      }),
  }
}

const PAGE_BYTES = 4096
const NO_ROOM = new Set(['ENOSPC', 'EDQUOT'])

/** A full disk as NoRoom, every other error as it is. */
export async function full<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work
  } catch (error) {
    if (NO_ROOM.has((error as NodeJS.ErrnoException).code ?? '')) throw new NoRoom('The disk of the spool is full.', { cause: error })
    throw error
  }
}
