/** One attempt: undici's parser on one side, the sink on the other. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import type { Attempt } from '../audit/entry.ts'
import type { Endpoint } from '../dialects/endpoint.ts'
import { Failure, Refusal } from '../errors.ts'
import type { Sink } from '../sink.ts'
import { AddressSink, headersThroughUs, type Place, Redirected } from './addresses.ts'
import type { Visitor } from './gate.ts'
import { responseHeaders } from './headers.ts'
import type { Passage } from './standing.ts'
import type { Tries } from './tries.ts'
import type { Upstream } from './upstream.ts'

/** What sending needs to know of an exchange, and what it writes down about it. */
export interface Sendable {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly gone: boolean
  readonly signal: AbortSignal
  /** Who reads or sends just now, and is told at the moment of going. */
  busyWith: { interrupt(): void } | null
  readonly startedAt: number
  /** Null, or left out, where nothing is traced. */
  readonly spans?: AttemptSpans | null
  readonly trace: {
    waitedMs: number
    readonly overheadMs: number | null
    firstByteMs: number | null
    upstreamMs: number | null
    attempts: Attempt[]
    asked: (Upstream | null)[]
    /** The answer has neither a length nor chunks: its end is that of its connection, whatever ended that. */
    untilClose: boolean
  }
}

/** Follows the attempts of an exchange that is traced. */
export interface AttemptSpans {
  attempt(upstream: Upstream): AttemptSpan
}

export interface AttemptSpan {
  /** What the upstream is told of the trace, in the header of that name. */
  readonly traceparent: string
  /** Whether what the caller's `tracestate` says belongs to it. */
  readonly keepsState: boolean
  ended(attempt: Pick<Attempt, 'status' | 'error'>): void
}

/** Where the sink asks for a pause: for what else it waits than for its reader. What that rejects with ends the answer. */
export type Held = () => Promise<void> | undefined

const REDIRECTS = new Set([300, 301, 302, 303, 305, 307, 308])
/** Of an answer that is passed over, this much is read, and for this long, so that its connection can be used again. */
const PASSED_OVER_BYTES_MAX = 64 << 10
const PASSED_OVER_MS_MAX = 1_000
/** Interim answers (1xx) before the one that counts. */
const HINTS_MAX = 1_000

export interface Trying {
  endpoint: Endpoint
  upstream: Upstream
  /** What leaves. */
  request: Dispatcher.DispatchOptions
  passage: Passage
  attempt: Attempt
  sink: Sink
  held: Held
  /** Says whether somebody else, or the same one again, will be asked after an answer of this status. */
  tries: Pick<Tries, 'goOn'>
}

/** The promise of one attempt: its answer was relayed, or passed over for another attempt. */
export interface Settle {
  resolve(passedOver: PassedOver | null): void
  reject(error: unknown): void
}

/** An answer that was not relayed, because somebody else was to be asked. */
export interface PassedOver {
  /** Relays it after all, since nobody could be asked. False where it is too long, or came too slowly, to have been kept. */
  handOver(): Promise<boolean>
}

export class Try implements Dispatcher.DispatchHandler, PassedOver, Place, Visitor {
  readonly #exchange: Sendable
  readonly endpoint: Endpoint
  readonly upstream: Upstream
  readonly incoming: IncomingMessage
  place: Visitor['place'] = 'none'
  readonly #request: Dispatcher.DispatchOptions
  readonly #passage: Passage
  readonly #attempt: Attempt
  /** Of this try among all. */
  readonly #index: number
  readonly #sink: Sink
  readonly #held: Held
  readonly #tries: Trying['tries']
  /** Up to when waiting for the provider was counted. */
  #countedTo = performance.now()
  /** However steadily it drips, or however silent it is, an answer ends here. */
  readonly #totalTimer: NodeJS.Timeout
  readonly #settle: Settle
  #controller: Dispatcher.DispatchController | undefined
  #hints = 0
  #kept: Kept | undefined
  #over = false

  constructor(exchange: Sendable, { endpoint, upstream, request, passage, attempt, sink, held, tries }: Trying, settle: Settle) {
    this.#exchange = exchange
    this.endpoint = endpoint
    this.upstream = upstream
    this.incoming = exchange.incoming
    this.#request = request
    this.#passage = passage
    this.#attempt = attempt
    this.#index = exchange.trace.attempts.indexOf(attempt)
    this.#sink = AddressSink.isNeeded(this) ? new AddressSink(this, sink) : sink
    this.#held = held
    this.#tries = tries
    this.#settle = settle
    this.#totalTimer = setTimeout(Try.#tookTooLong, upstream.totalMs, this).unref()
    exchange.busyWith = this
  }

  static #tookTooLong(one: Try): void {
    one.#giveUp(new Failure('upstream_timeout', one.place === 'waits' ? new QueuedTooLong() : new ReplyTooLong()))
  }

  /** Dispatches it as soon as there is a place for it; where too many wait for one it fails at once. */
  begin(): void {
    const { standing, queueMax } = this.upstream
    if (!standing.gate.enter(this, queueMax)) this.#giveUp(new Failure('unavailable', new Error('Too many calls wait for a connection.')))
  }

  interrupt(): void {
    this.#giveUp(new ClientLeft())
  }

  go(): void {
    this.upstream.pool.dispatch(this.#request, this)
  }

  #leaveGate(): void {
    this.upstream.standing.gate.leave(this)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#over || this.#exchange.gone)
      controller.abort(new ClientLeft()) // it left while this waited for a connection
    else this.#exchange.trace.asked[this.#index] = this.upstream
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: ResponseHeaders): void {
    if (status < 200) {
      // With each of them undici begins to count the first byte's time anew.
      if (++this.#hints > HINTS_MAX) throw new Failure('upstream_unreachable', new EndlessHints())
      return
    }
    this.#attempt.status = status
    this.#passage.saw(this.#attempt, headers['retry-after'])
    if (this.#tries.goOn(this.upstream, status)) {
      const timer = setTimeout(() => controller.abort(new WasPassedOver()), PASSED_OVER_MS_MAX).unref()
      this.#kept = { status, headers, chunks: [], bytes: 0, timer, isWhole: Promise.withResolvers() }
      this.#finish()?.resolve(this)
      return
    }
    // A client library would follow it by itself, with the body as it was before the rules saw it, to wherever it leads.
    if (status < 400 && REDIRECTS.has(status)) throw new Failure('upstream_unreachable', new Redirected())
    this.#relayHead(status, headers)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const kept = this.#kept
    if (kept) {
      kept.bytes += chunk.length
      if (kept.bytes > PASSED_OVER_BYTES_MAX) controller.abort(new WasPassedOver())
      else kept.chunks.push(chunk)
      return
    }
    this.#countWaiting()
    if (!this.#sink.data(chunk)) this.#wait(controller)
  }

  onResponseEnd(): void {
    this.#leaveGate()
    this.#keptIs(true)
    const settle = this.#finish()
    if (!settle) return
    this.#countWaiting()
    try {
      this.#sink.end()
      settle.resolve(null)
    } catch (error) {
      settle.reject(error)
    }
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error & { code?: string }): void {
    this.#leaveGate()
    this.#keptIs(false)
    // What a sink threw (a rule that blocks, a reply that cannot be read) passes as it is; the rest is the provider's doing.
    const thrownBySink = error instanceof Failure || (error as unknown) instanceof Refusal
    const reason = error.code?.endsWith('_TIMEOUT') ? 'upstream_timeout' : 'upstream_unreachable'
    this.#finish()?.reject(thrownBySink ? error : new Failure(reason, error))
  }

  /** Pauses the provider for as long as something is held, and then until the client has taken what was written. */
  #wait(controller: Dispatcher.DispatchController): void {
    const { outgoing } = this.#exchange
    const held = this.#held()
    if (!held && !outgoing.writableNeedDrain) return
    controller.pause()
    const drained = (): void => void (outgoing.writableNeedDrain ? outgoing.once('drain', () => controller.resume()) : controller.resume())
    if (held) held.then(drained, (error) => controller.abort(error))
    else drained()
  }

  /** Until the client's head is out, what passes is the provider's time: a reply may be held to be judged. */
  #countWaiting(): void {
    const { trace } = this.#exchange
    if (trace.overheadMs !== null) return
    const now = performance.now()
    trace.waitedMs += now - this.#countedTo
    this.#countedTo = now
  }

  /** The promise's two ends, the first time only. */
  #finish(): Settle | undefined {
    if (this.#over) return undefined
    this.#over = true
    clearTimeout(this.#totalTimer)
    this.#exchange.busyWith = null
    return this.#settle
  }

  #giveUp(error: Failure | ClientLeft): void {
    const settle = this.#finish()
    if (this.place === 'waits') this.#leaveGate()
    this.#controller?.abort(error)
    settle?.reject(error)
  }

  #relayHead(status: number, headers: ResponseHeaders): void {
    const coding = headers['transfer-encoding']
    // Nobody asked for another, and what it says of the body does not travel on (RFC 9112, 6.1 and 6.3).
    if (coding !== undefined && String(coding).toLowerCase() !== 'chunked') throw new Failure('upstream_unreachable', new StrangeCoding())
    const { trace, startedAt } = this.#exchange
    trace.untilClose = coding === undefined && headers['content-length'] === undefined
    trace.firstByteMs = Math.round(performance.now() - startedAt)
    this.#countWaiting()
    this.#sink.head(status, headersThroughUs(responseHeaders(headers, this.upstream), this))
  }

  #keptIs(whole: boolean): void {
    if (!this.#kept) return
    clearTimeout(this.#kept.timer)
    this.#kept.isWhole.resolve(whole)
  }

  async handOver(): Promise<boolean> {
    const kept = this.#kept
    this.#countedTo = performance.now() // what was before, was counted
    if (!kept || !(await kept.isWhole.promise)) return false
    if (this.#exchange.gone) throw new ClientLeft()
    this.#relayHead(kept.status, kept.headers)
    for (const chunk of kept.chunks) if (!this.#sink.data(chunk)) await this.#held()
    this.#sink.end()
    return true
  }
}

type ResponseHeaders = Record<string, string | string[] | undefined>

/** Of an answer that is passed over. */
interface Kept {
  status: number
  headers: ResponseHeaders
  chunks: Buffer[]
  bytes: number
  timer: NodeJS.Timeout
  isWhole: PromiseWithResolvers<boolean>
}

class WasPassedOver extends Error {
  readonly code = 'PASSED_OVER'
}
export class ClientLeft extends Error {
  readonly code = 'CLIENT_LEFT'
}
class EndlessHints extends Error {
  readonly code = 'ENDLESS_HINTS'
}
class StrangeCoding extends Error {
  readonly code = 'TRANSFER_CODING'
}
/** It never left, for others had all the connections: that tells nothing of the provider. */
export class QueuedTooLong extends Error {
  readonly code = 'QUEUE_TIMEOUT'
}
class ReplyTooLong extends Error {
  readonly code = 'REPLY_TIMEOUT'
}
