/** What the screens for replies in one piece and for streams share: how a reply is read, and what a finding does to it. */
import { isUtf8 } from 'node:buffer'
import type { Role } from '../call.ts'
import type { Dialect } from '../dialects/dialect.ts'
import type { Json } from '../dialects/json.ts'
import { type JsonReader, UnreadableJson } from '../dialects/json-reader.ts'
import type { Edit } from '../dialects/texts.ts'
import { Failure } from '../errors.ts'
import type { Span, Watch } from './match.ts'

export interface Judgement {
  /** Begins to watch a text; what must be cut or stops the reply is kept in `spans`. */
  watch(spans: Span[]): Watch
  /** What stands for a span in a text of this role; throws where it stops the reply. */
  placeholderIn(role: Role): (span: Span) => string
  /** Something may be cut or stopped, so what tells the text once more does not leave. */
  withholdsRepeats: boolean
}

export const unreadable = (why: string): Failure => new Failure('reply_unreadable', new Error(why))

/**
 * Reads the JSON of a reply, or from `start` to `end` that of an event. Throws a Failure where `bytes` are not UTF-8, in which a client would see other
 * text than the rules, or where the JSON cannot be read. The reader's own message names a byte and no content.
 */
export function readReply(readJson: JsonReader, bytes: Buffer, start?: number, end?: number): Json {
  if (!isUtf8(bytes)) throw unreadable('The reply is not valid UTF-8.')
  try {
    return readJson(bytes, start, end)
  } catch (error) {
    throw error instanceof UnreadableJson ? new Failure('reply_unreadable', error) : error
  }
}

const NULL = Buffer.from('null')

/**
 * The values that tell the text once more, each as the edit that takes it away: a text spelled in tokens, in bytes and beside its alternatives cannot be
 * cut so that nothing of it is left, and clients know null in its place.
 */
export function repeatsIn(json: Json, dialect: Dialect): Edit[] {
  const edits: Edit[] = []
  dialect.eachRepeat(json, (node) => {
    edits.push({ start: json.tape[node], end: json.tape[node + 1], put: NULL })
  })
  return edits
}

/** Whether the byte at `offset` lies in what one of these edits takes away. */
export const isWithin = (edits: readonly Edit[], offset: number): boolean => edits.some(({ start, end }) => start <= offset && offset < end)
