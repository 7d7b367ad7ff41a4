import type { LimitState, Role, Usage } from '../call.ts'
import type { Refusal } from '../errors.ts'
import type { Json } from './json.ts'

/** Says what a string is. Texts of messages are marked in conversation order. Strings nobody names are still read by the rules, as 'other'. */
export type Mark = (node: number, role: Role) => void
/** The same for a stream, where a text arrives in pieces: pieces with one channel number are one text. */
export type MarkPiece = (node: number, channel: number, role: Role) => void

/** Channels of one choice or content block are numbered from choice * CHANNELS_PER_CHOICE, so that all of them can be closed at once. */
export const CHANNELS_PER_CHOICE = 256
export const NOTHING_CLOSED = -1

export interface Page {
  status: number
  /** name, value, name, value */
  headers: string[]
  body: string
}

/** A body that is JSON but no call of this dialect; the message says which member must be what. `param` is the member's path. */
export class UnreadableCall extends Error {
  readonly param: string
  constructor(message: string, param: string) {
    super(message)
    this.param = param
  }
}

/** How one wire format is read. A dialect describes bodies; it never rewrites or translates them. */
export interface Dialect {
  name: string
  /** The exact paths, without query, that this dialect answers by POST. */
  paths: readonly string[]
  /** Throws UnreadableCall where the body lacks what the dialect depends on (a model that is a string, messages that are a list). */
  readCall(json: Json, path: string, mark: Mark): { model: string; streaming: boolean }
  readReply(json: Json, mark: Mark): void
  /** Names the pieces of text in one event and returns the choice it closes, if it closes one. */
  readEvent(json: Json, mark: MarkPiece): number
  /**
   * Visits what tells the text of a reply or an event once more, such as its tokens with their probabilities: each value whole, those that are null
   * left out. The value may be replaced by null.
   */
  eachRepeat(json: Json, visit: (node: number) => void): void
  /** The provider's token counts, from the first and last bytes of a reply (plain or streamed); null where there are none. */
  readUsage(ends: string): Usage | null
  /** "No", in the shape this client library expects. */
  refuse(refusal: Refusal, requestId: string): Page
  /** The same, once a stream has begun. */
  stopStream(refusal: Refusal, requestId: string): string
  /** Whether an event (its bytes, empty line included) is the last of a stream that ends well. It is held back until the exchange is recorded. */
  isLastEvent(event: Buffer): boolean
  /** The beginning of our path that a client library's base URL already contains: `/v1` where the base is `https://api.openai.com/v1`, else empty. */
  basePath: string
  /** Where the provider's own credential travels: the headers a caller may use for it, and the header (name, value) made of a stored one. */
  credentialHeaders: readonly string[]
  credential(secret: string): [name: string, value: string]
  /** The header in which this client library looks for the request's id. */
  requestIdHeader: string
  /** The provider's own family of limit headers: name, value, name, value. `now` is milliseconds since 1970. */
  limitHeaders(state: LimitState, now: number): string[]
}
