/** What an exchange is, what its stages may learn about it, and how it can end. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Peer } from '../access/peer.ts'
import type { Attempt, AuditEntry } from '../audit/entry.ts'
import type { Budget, Reservation } from '../budgets/budgets.ts'
import type { Caller, ModelCall, Usage } from '../call.ts'
import type { Dialect } from '../dialects/dialect.ts'
import type { Endpoint } from '../dialects/endpoint.ts'
import type { Refusal } from '../errors.ts'
import type { Hold, LimitMode } from '../limits/limits.ts'
import type { Verdict } from '../rules/compile.ts'
import type { Originals } from '../rules/placeholder.ts'
import type { ReplyScreen } from '../rules/replies/screen.ts'
import type { Upstream } from '../upstreams/upstream.ts'
import type { Bill } from './bill.ts'
import type { ExchangeSpans } from './exchange-spans.ts'
import type { ReplyMeter } from './reply-meter.ts'
import type { Way } from './way.ts'

/** Known from the first byte. */
export interface Exchange {
  readonly id: string
  readonly auditId: string
  /** Milliseconds: `startedAt` on the monotonic clock, `arrivedAt` since 1970. */
  readonly startedAt: number
  readonly arrivedAt: number
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  /** From whom it is, as far as the connection tells. */
  readonly peer: Peer
  /** What the path means. */
  readonly endpoint: Endpoint
  /** The endpoint's: from the path, so that even a refusal is phrased for this client. */
  readonly dialect: Dialect
  /** What Earthflow adds to whatever answer goes out: name, value, name, value. */
  readonly headers: string[]
  /** The client has left, or the exchange was cut. */
  readonly gone: boolean
  /** It took nothing of what was written for too long, and is being let go. */
  isSlow: boolean
  /** The same, for whatever waits; made when first asked for. */
  readonly signal: AbortSignal
  /**
   * The same, for whoever reads or sends just now; one at a time. An object: with a function in its place, V8 14.6 copied a third of all that calls make
   * into the old space, for reasons of its own, and stopped for 6 ms where 1 is enough.
   */
  busyWith: { interrupt(): void } | null
  /** Ends it as soon as the stage in flight returns, unless its answer is complete: whoever called is told this. */
  cut(refusal: Refusal): void
  readonly trace: Trace
  /** Null, or left out, where nothing is traced. */
  readonly spans?: ExchangeSpans | null
  /** A stream has begun downstream, as events or as one list of them, and stands between two: from now on a refusal is one of them. */
  streaming: 'events' | 'list' | null
}

/** What is measured on the way, complete or not when the exchange ends. */
export interface Trace {
  /** Milliseconds spent waiting for the client's body and for providers: not Earthflow's own. */
  waitedMs: number
  /** Earthflow's own share, as it stood when the answer's head went out; null until then. */
  overheadMs: number | null
  attempts: Attempt[]
  /** Whom each of the attempts asked, for of one name a tenant and the installation may have one each; null where the request never left. */
  asked: (Upstream | null)[]
  /** Since the start; null until the provider's first byte. */
  firstByteMs: number | null
  upstreamMs: number | null
  /** The answer has neither a length nor chunks: its end is that of its connection, whatever ended that. */
  untilClose: boolean
  /** The first and last bytes of what the provider sent, once it is all there, as Latin-1. */
  ends: string
  /** As the provider counted. */
  usage: Usage | null
  /** The reply, estimated in tokens; null until the call is sent. */
  relayed: Pick<ReplyMeter, 'tokens' | 'isUnreadable'> | null
  /** What it cost; null until the exchange is settled. */
  bill: Bill | null
  /** The escalation it belongs to; null where no person has to decide about it, or none was asked. */
  held: Held | null
  /** The row as it was settled; null, or left out, until then and where there is none. */
  entry?: AuditEntry | null
}

/** What a person is asked about a call, or has said. */
export interface Held {
  /** Of the escalation. */
  id: string
  /** Who approved this very call, which then goes on; null: nobody (yet). */
  approvedBy: string | null
  /** Where it uses the approval of a call that was turned away: the entry of that. */
  heldAuditId: string | null
}

/** What the stages establish, in the order it becomes known. A fact is established once and never replaced. */
export interface Facts {
  caller: Caller // authenticate
  call: ModelCall // decode: the call as it came
  promptHash: string | null // fingerprint: `sha256:` and hex; null where hashing is switched off
  admission: Admission // admit: what was taken for this call, and where it may go
  verdict: Verdict // judge
  outbound: Buffer // enforce: the bytes that will leave, the very body that came unless a rule cut it
  originals: Originals | null // enforce: what stands for what in these bytes, to be put back into the reply; null where nothing does
  screen: ReplyScreen | null // screen reply: what stands between the upstream and the client
  ticket: Ticket // open record: the proof that this exchange is on record
  reply: Reply // forward
}
export type Fact = keyof Facts

export interface Admission extends Way {
  /** What it may use and cost at most (nano-dollars; null: no price is known); null where nothing is counted. */
  expected: { usage: Usage; nano: number | null } | null
  /** What was taken of the limits. */
  hold: Hold
  limitMode: LimitMode
  /** The budgets it is charged to. */
  budgets: readonly Budget[]
  /** Of the hard ones among them. */
  reservation: Reservation | null
}

export interface Ticket {
  /** `sha256:` and hex of the exact bytes that leave. */
  forwardedHash: string
}

/** How the answer went, up to the bytes kept back until the exchange is settled. */
export interface Reply {
  status: number
  /** Hands over what was kept back. */
  end(): void
}

/** A stage adds facts or refuses the call. */
export type Decision<Adds extends Fact> = Refusal | ([Adds] extends [never] ? undefined : Pick<Facts, Adds>)

/** The first list is all a stage may read; the second is what it must establish. A stage that has nothing to wait for answers at once. */
export type Stage<Needs extends Fact = never, Adds extends Fact = never> = (known: Exchange & Pick<Facts, Needs>) => Decision<Adds> | Promise<Decision<Adds>>

export type Outcome =
  | { kind: 'completed' }
  /** `isSlow`: the client did not leave, but took nothing for so long that it was let go. */
  | { kind: 'cancelled'; isSlow: boolean }
  | { kind: 'refused'; stage: string; refusal: Refusal }
  | { kind: 'failed'; stage: string; error: unknown }

/** The exchange at any moment: every fact, or not yet. */
export type Known = Exchange & { readonly [F in Fact]: Facts[F] | undefined }

/** Runs once per exchange, however it ended, before the client's last byte, which waits for it. One that throws fails the exchange. */
export type Settler = (known: Known, outcome: Outcome) => undefined | Promise<void>
