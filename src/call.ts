/** The nouns every folder shares: who calls, what the call says, what it cost. */

/** How much may be used. A minute's share flows in steadily; a day is the calendar's, in UTC, and begins with all of it. Null: no limit. */
export interface LimitSet {
  requestsPerMinute: number | null
  requestsPerDay: number | null
  tokensPerMinute: number | null
  tokensPerDay: number | null
  /** Calls under way at once. */
  concurrency: number | null
}

/** What an installation lets a tenant do. Loaded with the key, refreshed by the changes table. */
export interface Tenant {
  id: string
  /** Of all its calls together. Its requests per minute are never null: an installation has a default. */
  limits: LimitSet & { requestsPerMinute: number }
  /** Of each key, each agent and each user, where they have none of their own, and of all calls for the models of a pattern. */
  limitsOfEach: {
    key: LimitSet | null
    agent: LimitSet | null
    user: LimitSet | null
    models: readonly { model: string; limits: LimitSet }[]
  }
  /** While Redis is away each process counts by itself, or calls are refused. */
  limitsWithoutRedis: 'local' | 'refuse'
  /** Patterns such as `gpt-*`; null allows every model an upstream serves. */
  allowedModels: readonly string[] | null
  /** Regions of which an upstream must lie in one; null allows any. */
  allowedRegions: readonly string[] | null
  /** What becomes of calls and replies that carry what no rule can read: media, files that are no text. */
  uninspectable: 'warn' | 'allow' | 'block'
  /** How a stream ends that a rule stops: as if the model had stopped, or with an error. */
  streamStop: 'soft' | 'hard'
  /** Where its calls are on record before they leave: on the local disk, or in the database as well; null: as the installation has it. */
  auditDurability: 'sync' | 'strict' | null
  /** What a call may answer at most where it does not say so itself, for estimates; null where nobody said. */
  defaultMaxOutputTokens: number | null
  /** How long a call that a person must decide about waits for that, without a byte; 0: it is refused at once, and sent again once it is approved. */
  escalationWaitSeconds: number
}

/** Who stands behind a key. `keyPrefix` is the part of the key that may be shown: `ef_live_<8 characters>`. */
export interface Caller {
  tenant: Tenant
  keyPrefix: string
  /**
   * Of a key that was rotated: of all the keys that took each other's place, its own among them, oldest first. What holds for one of them holds for all, and
   * what one used all have used.
   */
  line?: readonly string[]
  /** Of this key; null: what the tenant gives each. */
  keyLimits: LimitSet | null
  /** Of this key, within what the tenant may use; null: all of that. */
  allowedModels: readonly string[] | null
  /** Addresses and networks it may be used from; null: anywhere. */
  allowedAddresses: readonly string[] | null
  /** The name in a client certificate that must be shown with it; null: none need be. */
  clientCertificate: string | null
  /** Whose key it is, where it is an agent's. */
  agent: Agent | null
  scopes: ReadonlySet<string>
  /** Where it is not the key itself that was sent, but a session's token; its profile says what holds for its calls. */
  session: Session | null
}

/** A short-lived token for calls, and what holds for them because of its profile. The code asks these, never the profile's name. */
export interface Session {
  id: string
  profile: 'quick_lock' | 'ritual_lock' | 'black_vault'
  /** A rule that would warn cuts, where it could have been written to do so. */
  warnRedacts: boolean
  /** What was cut is never put back into the reply. */
  irreversible: boolean
  /** No call waits for a person's approval: one that would have to is refused. */
  holdsNothing: boolean
  /** Its rows say nothing of the person: no user, no metadata, not even the session. */
  impersonal: boolean
  /** Only upstreams with a stored credential: none that is passed through. */
  storedOnly: boolean
  /** Milliseconds since 1970. */
  expiresAt: number
}

/** A program that calls models by itself. */
export interface Agent {
  id: string
  name: string
  /** Null: what the tenant gives each. */
  limits: LimitSet | null
  /** Within what the tenant may use; null: all of that. */
  allowedModels: readonly string[] | null
  /** It may make no calls until somebody releases it. */
  quarantined: boolean
  quarantine: QuarantineRules | null
}

/** When an agent is quarantined by itself: so many in a window of time; null: never for this. */
export interface QuarantineRules {
  blocks: number | null
  errors: number | null
  /** Calls with the same prompt. */
  repeats: number | null
  /** So many times what it spends in an ordinary window. */
  spendFactor: number | null
  windowSeconds: number
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
  /** What the call allows all its answers to take at most; null where it does not say. */
  maxOutputTokens: number | null
  /** How many answers it asks for at once; absent: one. */
  answers?: number
  /** What the caller says about the call in the body's own member, bounded: names with strings, numbers and flags. */
  metadata: Readonly<Record<string, string | number | boolean>>
}

/**
 * Tokens as the provider counted them. The first two always and whole: input includes what was read from and written to a cache, output includes
 * reasoning, whichever way the provider adds up. The rest are parts of them, where the provider says so.
 */
export interface Usage {
  input_tokens: number
  output_tokens: number
  cached_input_tokens?: number
  cache_write_tokens?: number
  /** Of these writes, the ones kept for an hour, which cost more. */
  cache_write_1h_tokens?: number
  reasoning_tokens?: number
  audio_input_tokens?: number
  audio_output_tokens?: number
  /** No provider counted: Earthflow estimated, from the bytes of the call and of what was relayed. */
  estimated?: true
}

/** What a call was charged to: the amount in nano-dollars or tokens, and the beginning (ISO 8601) of the budget's window that it fell into. */
export interface BudgetCharge {
  budget_id: string
  window: string
  amount: number
}

/** The state of the tightest buckets this call draws on, after it, for the headers of the answer. Times are milliseconds. */
export interface LimitState {
  requestsPerMinute: number
  /** Whole requests, at most `requestsPerMinute`. */
  remaining: number
  /** How long until the bucket is full again. */
  fullInMs: number
  /** How long until this call would pass; 0 when it did, Infinity when it never will. */
  retryInMs: number
  /** The same of tokens per minute; null where nobody limits them. */
  tokens: { perMinute: number; remaining: number; fullInMs: number } | null
}
