/** What the findings of a segment depend on, as one short string. */
import { createHash, hash } from 'node:crypto'
import { type ModelCall, roles } from '../../call.ts'
import { selects } from '../targets.ts'
import type { Piece } from './piece.ts'
import type { Steps } from './turns.ts'

/** A segment of at most so many bytes is digested at once. */
const AT_ONCE_BYTES = 64 << 10
/** One of so many is copied for it: that costs less than a hash of several pieces. */
const SMALL_BYTES = 8 << 10
const INTS_PER_SLOT = 3
const rolesByName = new Map(roles.map((role, index) => [role, index]))

/** SHA-256 over the slots, their roles, where `asksLast` whether they belong to the last message, and the bytes. */
export function* digestOf({ text, slots, lastMessage, segment }: Piece, asksLast: boolean): Steps<string> {
  const { first, end, from, to } = segment
  const head = new Int32Array(1 + INTS_PER_SLOT * (end - first))
  let next = 0
  head[next++] = end - first // with it no two heads of different lengths can be taken for each other
  for (let i = first; i < end; i++) {
    const slot = slots[i]
    head[next++] = slot.from - from
    head[next++] = slot.to - from
    head[next++] = 2 * (rolesByName.get(slot.role) ?? 0) + (asksLast && isLast(slot, lastMessage) ? 1 : 0)
  }
  const bytes = Buffer.from(head.buffer)
  if (to - from <= SMALL_BYTES) return hash('sha256', Buffer.concat([bytes, text.subarray(from, to)]), 'base64url')
  const digest = createHash('sha256').update(bytes)
  for (let at = from; at < to; at += AT_ONCE_BYTES) {
    if (at > from) yield
    digest.update(text.subarray(at, Math.min(to, at + AT_ONCE_BYTES)))
  }
  return digest.digest('base64url')
}

const isLast = (slot: Piece['slots'][number], lastMessage: ModelCall['lastMessage']): boolean => selects({ role: null, last: true }, slot, lastMessage)
