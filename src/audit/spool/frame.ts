/**
 * How exchanges stand in the files of the spool. A segment is a header and frames: length, checksum, payload; zeros follow the last one. A frame's checksum
 * knows where it belongs, so that one in another place, another segment or another process's segment is damage, not data.
 */
import { crc32 } from 'node:zlib'

/** An exchange leaves for a provider, or has ended. */
export type FrameKind = 'open' | 'close'

export interface Frame {
  kind: FrameKind
  /** The entry as JSON. */
  json: string
  /** Of the first byte after the frame. */
  end: number
}

export interface SegmentName {
  /** Which log the segment belongs to, and which process wrote it. */
  origin: string
  processId: string
  number: number
}

/** What a segment holds: the frames up to its end, or up to what is damaged. */
export interface ReadSegment {
  frames: Frame[]
  /** What is wrong with the rest; null: nothing. */
  damage: string | null
}

export const HEADER_BYTES = 256
const MAGIC = Buffer.from('EFSPOOL\u0001', 'latin1')
const NUMBER_AT = MAGIC.length
const CRC_AT = NUMBER_AT + 4
const OWNER_AT = CRC_AT + 4

const HEAD_BYTES = 8
const LENGTH_BYTES = 4
/** Longer than any entry is. */
const PAYLOAD_BYTES_MAX = 16 << 20
const KINDS: Record<FrameKind, number> = { open: 0x6f, close: 0x63 }

/** Throws where the names are too long to fit. */
export function headerOf(name: SegmentName): Buffer {
  const owner = Buffer.from(ownerOf(name))
  if (owner.length > HEADER_BYTES - OWNER_AT) throw new Error('The names of a log and a process do not fit into the header of a segment.')
  const header = Buffer.alloc(HEADER_BYTES)
  MAGIC.copy(header)
  header.writeUInt32LE(name.number, NUMBER_AT)
  owner.copy(header, OWNER_AT)
  header.writeUInt32LE(crcOf(name, 0, header.subarray(OWNER_AT)), CRC_AT)
  return header
}

const ownerOf = ({ origin, processId }: SegmentName): string => `${origin}\n${processId}`

/** Of the frame that a payload becomes. */
export const frameBytes = (json: string): number => HEAD_BYTES + 1 + Buffer.byteLength(json)

/** Writes a frame, for which there is room, into `into` at `at`; in the file it will stand at `offset`. Returns where it ends in `into`. */
export function writeFrame(into: Buffer, at: number, name: SegmentName, offset: number, kind: FrameKind, json: string): number {
  const end = at + HEAD_BYTES + 1 + into.write(json, at + HEAD_BYTES + 1)
  into.writeUInt32LE(end - at - HEAD_BYTES, at)
  into[at + HEAD_BYTES] = KINDS[kind]
  into.writeUInt32LE(crcOf(name, offset, into.subarray(at + HEAD_BYTES, end)), at + LENGTH_BYTES)
  return end
}

const place = Buffer.alloc(12)
function crcOf(name: SegmentName, offset: number, bytes: Uint8Array): number {
  place.writeUInt32LE(name.number, 0)
  place.writeDoubleLE(offset, 4)
  // Frame follows frame in one segment, whose owner is hashed once.
  if (name !== lastName) {
    lastName = name
    lastOwner = crc32(ownerOf(name))
  }
  return crc32(bytes, crc32(place, lastOwner))
}
let lastName: SegmentName | undefined
let lastOwner = 0

/** Reads a whole segment that should have this name. */
export function readSegment(bytes: Buffer, name: SegmentName): ReadSegment {
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, HEADER_BYTES).equals(headerOf(name)))
    return { frames: [], damage: isEmpty(bytes) ? null : 'it is no segment of this process and number' }
  return readFrames(bytes, HEADER_BYTES, 0, name)
}

/** Reads frames from `from` on. The bytes begin at `base` in the file. */
export function readFrames(bytes: Buffer, from: number, base: number, name: SegmentName): ReadSegment {
  const frames: Frame[] = []
  for (let at = from; at + HEAD_BYTES <= bytes.length; ) {
    const length = bytes.readUInt32LE(at)
    if (length === 0) return { frames, damage: isEmpty(bytes.subarray(at)) ? null : `something stands after its end at byte ${base + at}` }
    const end = at + HEAD_BYTES + length
    const payload = bytes.subarray(at + HEAD_BYTES, end)
    if (length > PAYLOAD_BYTES_MAX || end > bytes.length || crcOf(name, base + at, payload) !== bytes.readUInt32LE(at + LENGTH_BYTES))
      return { frames, damage: `it is damaged at byte ${base + at}` }
    const kind = payload[0] === KINDS.open ? 'open' : 'close'
    frames.push({ kind, json: payload.toString('utf8', 1), end: base + end })
    at = end
  }
  return { frames, damage: null }
}

const isEmpty = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)
