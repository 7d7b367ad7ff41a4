/** The nouns every folder shares: who calls, what the call says, what it cost. */

/** What an installation lets a tenant do. Loaded with the key, refreshed by the changes table. */
export interface Tenant {
  id: string
  maxRequestsPerMinute: number
  /** Patterns such as `gpt-*`; null allows every model an upstream serves. */
  allowedModels: readonly string[] | null
  /** Regions of which an upstream must lie in one; null allows any. */
  allowedRegions: readonly string[] | null
  /** What becomes of calls and replies that carry what no rule can read: media, files that are no text. */
  uninspectable: 'warn' | 'allow' | 'block'
  /** How a stream ends that a rule stops: as if the model had stopped, or with an error. */
  streamStop: 'soft' | 'hard'
  /** What a call may answer at most where it does not say so itself, for estimates; null where nobody said. */
  defaultMaxOutputTokens: number | null
}

/** Who stands behind a key. `keyPrefix` is the part of the key that may be shown: `ef_live_<8 characters>`. */
export interface Caller {
  tenant: Tenant
  keyPrefix: string
  agentId: string | null
  scopes: ReadonlySet<string>
}

/**
 * What a string of a body is. `other` is whatever no dialect names: judged and cut like any text. `protocol` is what a placeholder would break
 * (member names, ids, model, tool names, enum values): judged, never cut. `opaque` is inline media: counted, never read, and subject to the tenant's
 * word about what cannot be inspected. `sealed` is what only its provider can read, such as thinking signatures: counted, and passes.
 */
export const roles = ['other', 'system', 'user', 'assistant', 'tool_arguments', 'tool_result', 'thinking', 'tool_name', 'protocol', 'opaque', 'sealed'] as const
export type Role = (typeof roles)[number]

/** One string of a body: where its raw bytes lie between the quotes, and where its decoded bytes lie in the flat text. */
export interface TextSlot {
  role: Role
  start: number
  end: number
  escaped: boolean
  from: number
  to: number
  /** Where it stands when that is not the body: `query` or `header`. It then has no bytes in the body, and cannot be cut. */
  place?: string
}

/** Every string of a body worth reading, decoded once into one flat buffer: rules scan it, the fingerprint hashes its beginning. */
export interface Texts {
  slots: readonly TextSlot[]
  /** First the texts of the messages in conversation order, joined by newline; then everything else, joined the same way. */
  text: Buffer
  /** Where the texts of the messages end. */
  promptEnd: number
  /** Bytes of opaque strings, which no rule reads. */
  opaqueBytes: number
  /** Bytes of sealed strings, which no rule reads either. */
  sealedBytes: number
}

/** How a body is written: who goes back to its bytes must read it the same way. `binary` and `none` have no texts. */
export type BodyFormat = 'json' | 'jsonl' | 'multipart' | 'text' | 'binary' | 'none'

export interface ModelCall extends Texts {
  /** Every model the call names: one, none where it names none, several in a batch. */
  models: readonly string[]
  streaming: boolean
  body: Buffer
  format: BodyFormat
  /** The media type of the body with its parameters, as it came; '' where it has none. */
  contentType: string
  /** Where the last message of the conversation stands in the body (bytes); null where there are no messages. */
  lastMessage: { start: number; end: number } | null
  /** What the call allows the answer to take at most; null where it does not say. */
  maxOutputTokens: number | null
  /** What the caller says about the call in the body's own member, bounded: names with strings, numbers and flags. */
  metadata: Readonly<Record<string, string | number | boolean>>
}

/** Tokens as the provider counted them. The first two always, the rest where the provider says so. */
export interface Usage {
  input_tokens: number
  output_tokens: number
  cached_input_tokens?: number
  cache_write_tokens?: number
  reasoning_tokens?: number
}

/** The state of the caller's request bucket after this call, for the headers of the answer. Times are milliseconds. */
export interface LimitState {
  requestsPerMinute: number
  /** Whole requests, at most `requestsPerMinute`. */
  remaining: number
  /** How long until the bucket is full again. */
  fullInMs: number
  /** How long until this call would pass; 0 when it did. */
  retryInMs: number
}
