/** What the screens for replies in one piece and for streams share: how a reply is read, and what a finding does to it. */
import { isUtf8 } from 'node:buffer'
import type { Role, Texts } from '../../call.ts'
import type { Json } from '../../dialects/bodies/json.ts'
import { type JsonReader, UnreadableJson } from '../../dialects/bodies/json-reader.ts'
import type { Edit } from '../../dialects/bodies/texts.ts'
import type { Dialect } from '../../dialects/dialect.ts'
import { Failure } from '../../errors.ts'
import type { Span, Watch } from '../matching/match.ts'

/** Where a text of a reply stands, which decides what may stand in its place. */
export interface Place {
  role: Role
  /** How often it is escaped: not at all in a body of plain text, once in a string of JSON, twice in a string of the JSON that such a string is. */
  escapes: 0 | 1 | 2
}

export interface Judgement {
  /** Begins to watch a text; what must be cut or stops the reply is kept in `spans`. `role` says what the text is that is being fed. */
  watch(spans: Span[], role: () => Role): Watch
  /**
   * Watches once more the end of a text that was taken for whole, together with what it goes on with. Counts what lies across `edge`, a position of this
   * watch, and throws where that is something to cut or to stop: half of it has left. Absent where nothing is lost by not looking.
   */
  watchAcross?(edge: number, role: () => Role, told: { spans: Span[]; base: number }): Watch
  /**
   * Judges what only the whole reply decides: what must be cut, in order and without overlaps. Throws where it stops the reply. Null where there is
   * no such rule. In an error only what is found counts, not what is absent or how much there is: it must reach the client as the error it is.
   */
  whole: ((reply: Texts, isError: boolean) => readonly Span[]) | null
  /** Nothing leaves before `whole` has judged. */
  holdsAll: boolean
  /** Is told how many bytes pass that no rule can read. */
  uninspected(bytes: number): void
  /** Is told of media among them. Throws where they stop the reply. */
  media(): void
  /** What stands for a span in a text of this place; throws where it stops the reply. */
  placeholderIn(place: Place): (span: Span) => string
  /** Something may be cut or stopped, so what tells the text once more does not leave. */
  withholdsRepeats: boolean
  /** What cannot be read passes as it is; otherwise it does not pass. */
  isLenient: boolean
}

export const isError = (status: number): boolean => status >= 400

export const unreadable = (why: string): Failure => new Failure('reply_unreadable', new Error(why))

/** Watches nothing. */
export const noWatch: Watch = { feed() {}, finish() {}, decided: Number.POSITIVE_INFINITY }

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

const SPACES = new Set([0x20, 0x09, 0x0a, 0x0d])

/** The first byte of a text that is no white space; undefined where there is none. */
export function firstByte(text: Buffer, from = 0, to = text.length): number | undefined {
  while (from < to && SPACES.has(text[from])) from++
  return from < to ? text[from] : undefined
}

const BRACE = 0x7b

/** Tool arguments, and answers in a prescribed form, are JSON inside a string: a text that begins with this byte is. */
export const escapesOf = (first: number | undefined): Place['escapes'] => (first === BRACE ? 2 : 1)
