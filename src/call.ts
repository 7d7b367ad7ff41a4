/** The nouns every folder shares: who calls, what the call says, what it cost. */

/** What an installation lets a tenant do. Loaded with the key, refreshed by the changes table. */
export interface Tenant {
  id: string
  maxRequestsPerMinute: number
  /** Patterns such as `gpt-*`; null allows every model an upstream serves. */
  allowedModels: readonly string[] | null
}

/** Who stands behind a key. `keyPrefix` is the part of the key that may be shown: `ef_live_<8 characters>`. */
export interface Caller {
  tenant: Tenant
  keyPrefix: string
  scopes: ReadonlySet<string>
}

/**
 * What a string of a body is. `other` is whatever no dialect names: judged and cut like any text. `protocol` is what a placeholder would break
 * (member names, ids, model, tool names, enum values): judged, never cut. `opaque` is inline media and signatures: counted, never read.
 */
export const roles = ['other', 'system', 'user', 'assistant', 'tool_arguments', 'tool_result', 'thinking', 'tool_name', 'protocol', 'opaque'] as const
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
  /** Bytes of opaque slots, which no rule reads. */
  opaqueBytes: number
}

export interface ModelCall extends Texts {
  model: string
  streaming: boolean
  body: Buffer
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
