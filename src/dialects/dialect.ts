import type { LimitState, ModelCall, Role, Usage } from '../call.ts'
import type { Refusal } from '../errors.ts'
import type { Json } from './bodies/json.ts'
import type { ModelList } from './model-list.ts'

/** Says what a string is. Texts of messages are marked in conversation order. Strings nobody names are still read by the rules, as 'other'. */
export type Mark = (node: number, role: Role) => void
/**
 * The same for a stream, where a text arrives in pieces: pieces with one channel number are one text. What is `protocol` is no piece of it, and says only
 * that its choice or block has begun.
 */
export type MarkPiece = (node: number, channel: number, role: Role) => void

/** Channels of one choice or content block are numbered from choice * CHANNELS_PER_CHOICE, so that all of them can be closed at once. */
export const CHANNELS_PER_CHOICE = 256
export const NOTHING_CLOSED = -1
/** The channel of a text that one event tells whole: it is one text by itself, whatever follows. */
export const WHOLE_TEXT = -1

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

/** What all wire formats of one provider share: how it is reached, and how its client libraries are told "no". */
export interface Vendor {
  name: string
  /** The beginning of our path that a client library's base URL already contains: `/v1` where the base is `https://api.openai.com/v1`, else empty. */
  basePath: string
  /** Where the provider's own credential travels: the headers a caller may use for it, and the header (name, value) made of a stored one. */
  credentialHeaders: readonly string[]
  credential(secret: string): [name: string, value: string]
  /** "No", in the shape this client library expects. */
  refuse(refusal: Refusal, requestId: string): Page
  /** What a stream may say between two events to show that it is still there, which client libraries pass over; null where nothing is safe. */
  keepAlive: string | null
  /** The header in which this client library looks for the request's id. */
  requestIdHeader: string
  /** The provider's own family of limit headers: name, value, name, value. `now` is milliseconds since 1970. */
  limitHeaders(state: LimitState, now: number): string[]
  models: ModelList
}

/** What a dialect says of a call as a whole. */
export interface CallHead {
  /** Every model the body names, or, where the path names it, that one: the call's own first, then those that take over from it and those of its tools. */
  models: readonly string[]
  streaming: boolean
  /** The node of the last message of the conversation, or of the only prompt; NONE where there is none. */
  lastMessage: number
  /** Of all its answers together; null where it does not say. */
  maxOutputTokens: number | null
  /** How many answers it asks for at once; absent: one. Where it does not say what they may take, each may take the default. */
  answers?: number
}

/** One field of a form. */
export interface FormField {
  name: string
  /** Null where the field is no file. */
  filename: string | null
  /** The media type as it came; '' where none did. */
  type: string
  /** Where its content lies in the body. */
  start: number
  end: number
  /** What it says; null where it is no text. */
  text: string | null
}

/** How a stream is ended before its time. */
export interface Stop {
  refusal: Refusal
  requestId: string
  /** As if the model had stopped, for a client that should not notice; otherwise with the error that client libraries raise. */
  soft: boolean
  /** The choices or content blocks that have begun downstream and not ended, in order; empty where nobody has followed them. */
  open: readonly number[]
  /** The first and last bytes of what the provider has sent, as `readUsage` is given them; absent where nobody kept them. */
  ends?: string | undefined
}

/** How a call in a format of our own is put to a provider, which speaks another. */
export interface Envelope {
  /** The names of the dialects it can be put into; for a model, that of the provider it is probably of comes first. */
  speaks(model?: string): readonly string[]
  path(dialect: string, call: Pick<ModelCall, 'models' | 'streaming'>): string
  /** With its question mark, or empty. */
  query(dialect: string, call: Pick<ModelCall, 'streaming'>): string
  /** What that provider wants beside the credential: name, value, name, value. */
  headers(dialect: string): string[]
  /** The body that leaves, made of the envelope's as the rules left it. */
  compose(body: Buffer, dialect: string): Buffer
}

/** How one wire format is read. A dialect describes bodies; it never rewrites or translates them; only an envelope composes one. */
export interface Dialect {
  name: string
  vendor: Vendor
  /** The paths, without query, that this dialect answers by POST. `{model}` stands for the model's name. */
  paths: readonly string[]
  /** Only for a format of our own, which no provider speaks. */
  envelope?: Envelope
  /**
   * Throws UnreadableCall where the body lacks what the dialect depends on (a model that is a string, messages that are a list). `pathModel` is the
   * model that the path names.
   */
  readCall(json: Json, mark: Mark, path: string, pathModel: string | null): CallHead
  /** The same for a body of multipart/form-data. Absent where the endpoints take JSON only. */
  readForm?(fields: readonly FormField[], mark: (field: FormField, role: Role) => void, path: string, pathModel: string | null): CallHead
  readReply(json: Json, mark: Mark): void
  /** Whether a stream may come as one JSON list of its events. */
  listsEvents?: true
  /** Names the pieces of text in one event and returns the choice it closes, if it closes one. */
  readEvent(json: Json, mark: MarkPiece): number
  /**
   * Visits what tells the text of a reply or an event once more, such as its tokens with their probabilities: each value whole, those that are null
   * left out. The value may be replaced by null.
   */
  eachRepeat(json: Json, visit: (node: number) => void): void
  /** The provider's token counts, from the first and last bytes of a reply (plain or streamed); null where there are none. */
  readUsage(ends: string): Usage | null
  /** The last bytes of a stream that is ended before its time. */
  stopStream(stop: Stop): string
  /** Whether an event (its bytes, empty line included) is the last of a stream that ends well. It is held back until the exchange is recorded. */
  isLastEvent(event: Buffer): boolean
}
