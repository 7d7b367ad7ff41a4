/** Numbers the texts of a stream: each kind of text of each choice (or content block, or tool call) is one channel. */
import { Failure } from '../../errors.ts'
import { type Json, NONE } from '../bodies/json.ts'
import { CHANNELS_PER_CHOICE, type Mark, type MarkPiece } from '../dialect.ts'

/** Providers count choices and blocks from 0 and never come near; beyond it a reply is not read on. */
const CHOICES_MAX = 1 << 16

/** The index an event carries: 0 where it is left out. Throws a Failure for what is no index, because texts would run into each other. */
export function indexOf(json: Json, node: number): number {
  if (node === NONE || json.isNull(node)) return 0
  const index = json.number(node)
  if (Number.isInteger(index) && index >= 0 && index < CHOICES_MAX) return index
  throw new Failure('reply_unreadable', new Error('An event of the reply carries an index that is no small number.'))
}

/** The channel `offset` of a choice. Throws a Failure where the choice has no more. */
export function channelOf(choice: number, offset: number): number {
  if (offset < CHANNELS_PER_CHOICE) return choice * CHANNELS_PER_CHOICE + offset
  throw new Failure('reply_unreadable', new Error('An event of the reply has more texts than can be told apart.'))
}

/**
 * Passes on only what is opaque or sealed, which has no text to belong to any channel. What was taken for opaque and is text stays unmarked: a text of
 * its own.
 */
export const opaqueOnly =
  (mark: MarkPiece): Mark =>
  (node, role) => {
    if (role === 'opaque' || role === 'sealed') mark(node, 0, role)
  }
