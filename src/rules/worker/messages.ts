/** What is said to the thread that searches, and what it answers: plain data, and one piece of work at a time. */
import { type Role, roles, type TextSlot } from '../../call.ts'
import type { Reason } from '../../errors.ts'
import type { PackedFindings } from '../search/findings.ts'
import type { Piece, TextLeaf } from '../search/piece.ts'
import type { Steps } from '../search/turns.ts'
import { selects } from '../targets.ts'

export type ToThread =
  /** What a policy asks, to be kept under this number until it is to be forgotten. */
  | { kind: 'learn'; policy: number; leaves: readonly TextLeaf[]; beyond: Reason }
  | { kind: 'forget'; policy: number }
  | { kind: 'search'; policy: number; textBytes: number; packed: PackedPieces }

export type FromThread = { kind: 'found'; packed: PackedFindings } | { kind: 'failed'; reason: Reason; cause: unknown }

/** The bytes of all pieces one after the other; how long each is and how many slots it has; and of each slot where it lies, its role, and whether it is last. */
export interface PackedPieces {
  bytes: ArrayBuffer
  pieces: Int32Array<ArrayBuffer>
  slots: Int32Array<ArrayBuffer>
}

/** What is copied without a break. */
const SLICE_BYTES = 1 << 20
const INTS_PER_PIECE = 2
const INTS_PER_SLOT = 4
const LAST = { role: null, last: true }
const rolesByName = new Map<Role, number>(roles.map((role, index) => [role, index]))

/** Copies what is searched, in steps. */
export function* packPieces(list: readonly Piece[]): Steps<PackedPieces> {
  const bytes = Buffer.from(new ArrayBuffer(list.reduce((sum, { segment }) => sum + segment.to - segment.from, 0)))
  const pieces = new Int32Array(INTS_PER_PIECE * list.length)
  const slots = new Int32Array(INTS_PER_SLOT * list.reduce((sum, { segment }) => sum + segment.end - segment.first, 0))
  let at = 0
  let nextPiece = 0
  let nextSlot = 0
  for (const { text, slots: all, lastMessage, segment } of list) {
    yield
    pieces[nextPiece++] = segment.to - segment.from
    pieces[nextPiece++] = segment.end - segment.first
    for (let i = segment.first; i < segment.end; i++) {
      const slot = all[i]
      slots[nextSlot++] = slot.from - segment.from
      slots[nextSlot++] = slot.to - segment.from
      slots[nextSlot++] = rolesByName.get(slot.role) ?? 0
      slots[nextSlot++] = selects(LAST, slot, lastMessage) ? 1 : 0
    }
    for (let from = segment.from; from < segment.to; from += SLICE_BYTES) {
      const to = Math.min(segment.to, from + SLICE_BYTES)
      at += text.copy(bytes, at, from, to)
      yield
    }
  }
  return { bytes: bytes.buffer, pieces, slots }
}

/** Where all that matters about the body is whether a slot is of its last message, two places are enough. */
const THE_LAST = { start: 0, end: 0 }
const ANOTHER = { start: -1, end: -1 }

export function unpackPieces({ bytes, pieces, slots }: PackedPieces): Piece[] {
  const list: Piece[] = []
  let at = 0
  let next = 0
  for (let i = 0; i < pieces.length; i += INTS_PER_PIECE) {
    const text = Buffer.from(bytes, at, pieces[i])
    const own: TextSlot[] = []
    for (let n = 0; n < pieces[i + 1]; n++, next += INTS_PER_SLOT) {
      const place = slots[next + 3] === 1 ? THE_LAST : ANOTHER
      own.push({ role: roles[slots[next + 2]], start: place.start, end: place.end, escaped: false, from: slots[next], to: slots[next + 1] })
    }
    list.push({ text, slots: own, lastMessage: THE_LAST, segment: { first: 0, end: own.length, from: 0, to: text.length, closed: false } })
    at += text.length
  }
  return list
}
