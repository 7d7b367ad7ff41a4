import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import type { Dialect } from '../dialects/dialect.ts'
import type { Endpoint } from '../dialects/endpoint.ts'
import { OUT_OF_REACH } from '../egress/check-url.ts'
import { Failure, type Reason, Refusal } from '../errors.ts'
import type { Sink } from '../sink.ts'
import { AddressSink, headersThroughUs, type Place, Redirected } from './addresses.ts'
import { MissingCredential, requestHeaders, responseHeaders, withoutKeys } from './headers.ts'
import { pathOn, type Upstream } from './upstream.ts'

/** What sending needs to know of an exchange, and what it writes down about it. */
export interface Sendable {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly gone: boolean
  readonly signal: AbortSignal
  /** Called at the moment of going, by whoever sends just then. */
  onGone: (() => void) | null
  readonly startedAt: number
  readonly trace: {
    waitedMs: number
    readonly overheadMs: number | null
    firstByteMs: number | null
    upstreamMs: number | null
    attempts: { upstream: string; status: number | null; error: string | null; ms: number }[]
    asked: (Upstream | null)[]
  }
}

/** What leaves: to which path of the provider, with which of the caller's headers, and the very bytes. */
export interface Sending {
  endpoint: Endpoint
  /** With its question mark, or empty. */
  query: string
  /** name, value, name, value; what must not travel on is taken out. */
  headers: readonly string[]
  /** The body's media type; null where it says none. */
  type: string | null
  body: Buffer
}

/** Before the first byte went downstream these let the next candidate try; after it, nothing does. */
const TRY_ANOTHER = new Set([429, 502, 503, 504])
const REDIRECTS = new Set([300, 301, 302, 303, 305, 307, 308])
/** Of an answer that is passed over, this much is read, and for this long, so that its connection can be used again. */
const PASSED_OVER_BYTES_MAX = 64 << 10
const PASSED_OVER_MS_MAX = 1_000
/** What leaves hope that another candidate can do better. A reply that cannot be read was still paid for. */
const RETRIED: ReadonlySet<Reason> = new Set<Reason>(['upstream_unreachable', 'upstream_timeout'])
/** However steadily it drips, a reply ends here. */
const REPLY_MS_MAX = 60 * 60_000

/**
 * Sends the kept bytes to one candidate after another and pushes the first answer into the sink. Resolves at the answer's end; throws Failure
 * where no candidate answered, a Refusal where none may be reached, and whatever the sink threw. Ends with an error when the client leaves. Where the sink asks for a pause, `held` says for
 * what else it waits than for its reader; what that rejects with ends the answer.
 */
export async function send(
  exchange: Sendable,
  { endpoint, query, headers: given, type, body }: Sending,
  candidates: readonly Upstream[],
  sink: Sink,
  held: Held = () => undefined,
): Promise<void> {
  const { incoming, trace } = exchange
  const { dialect } = endpoint
  let failure: unknown
  // The caller's own credential is one provider's, and no other's to see.
  const shownTo = candidates.find(({ passthrough }) => passthrough)?.origin
  const open = candidates.filter(({ passthrough, origin }) => !passthrough || origin === shownTo)
  for (const [index, upstream] of open.entries()) {
    if (upstream.pool.stats.queued >= upstream.queueMax) {
      failure = new Failure('unavailable', new Error(`${upstream.name} has ${upstream.queueMax} calls waiting.`))
      continue
    }
    const began = performance.now()
    const attempt = { upstream: upstream.name, status: null as number | null, error: null as string | null, ms: 0 }
    trace.attempts.push(attempt)
    trace.asked.push(null)
    try {
      const headers = requestHeaders(given, upstream, dialect, type)
      const path = pathOn(upstream, endpoint) + query
      const relayed = await new Promise<boolean>((resolve, reject) => {
        upstream.pool.dispatch(
          { path, method: incoming.method as Dispatcher.HttpMethod, headers, body: body.length > 0 ? body : null },
          new Try(exchange, { endpoint, upstream, attempt, sink, held, mayTryAnother: index < open.length - 1 }, { resolve, reject }),
        )
      })
      if (relayed) return
    } catch (error) {
      if (error instanceof MissingCredential) {
        trace.attempts.pop() // nothing left
        trace.asked.pop()
        throw noCredential(upstream, dialect)
      }
      attempt.error ??= codeOf(error)
      if (attempt.status === null && !exchange.gone) upstream.saw(attempt)
      failure = error
      // Once an answer has begun, what stands between it and the client holds parts of it, even if the client has seen none.
      if (exchange.gone || attempt.status !== null || !(error instanceof Failure && RETRIED.has(error.reason))) break
    } finally {
      attempt.ms = Math.round(performance.now() - began)
      trace.upstreamMs = (trace.upstreamMs ?? 0) + attempt.ms
      if (trace.firstByteMs === null) trace.waitedMs += performance.now() - began
    }
  }
  sink.error()
  if (isOutOfReach(trace)) throw outOfReach()
  throw failure ?? new Failure('unavailable', new Error('No upstream has room for this call.'))
}

/** What the caller of a `passthrough` upstream is told who has sent no credential of its provider. */
export const noCredential = ({ name }: Upstream, { vendor }: Dialect): Refusal =>
  new Refusal('unauthenticated', `Upstream '${name}' needs the provider's own credential in ${vendor.credentialHeaders.join(' or ')}.`)

/** Whether nobody was asked, because all those tried lie where the setting about locality lets nothing go. */
export const isOutOfReach = ({ attempts }: Sendable['trace']): boolean => attempts.length > 0 && attempts.every(({ error }) => error === OUT_OF_REACH)

export const outOfReach = (): Refusal =>
  new Refusal(
    'locality',
    'EARTHFLOW_LOCALITY lets nothing on the internet be reached, and whoever serves this call is there; an administrator adds an upstream of your own network with POST /v1/upstreams.',
  )

/** The query of a call, without any key. */
export const queryOf = (url = ''): string => (url.includes('?') ? withoutKeys(url.slice(url.indexOf('?')).split('#', 1)[0]) : '')

/** A short name of what went wrong, for the record: never a message, which may quote what was sent. */
export function codeOf(error: unknown): string {
  const cause = error instanceof Failure ? error.cause : error
  if (cause instanceof Refusal) return cause.reason
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : 'failed'
}

type Held = () => Promise<void> | undefined

interface Trying {
  endpoint: Endpoint
  upstream: Upstream
  attempt: Sendable['trace']['attempts'][number]
  sink: Sink
  held: Held
  mayTryAnother: boolean
}

/** One try: undici's parser on one side, the sink on the other. */
class Try implements Dispatcher.DispatchHandler {
  readonly #exchange: Sendable
  readonly #place: Place
  readonly #upstream: Upstream
  readonly #attempt: Sendable['trace']['attempts'][number]
  /** Of this try among all. */
  readonly #index: number
  readonly #sink: Sink
  readonly #held: Held
  readonly #mayTryAnother: boolean
  readonly #began = performance.now()
  /** Up to when waiting for the provider was counted. */
  #countedTo = performance.now()
  #passedOverTimer: NodeJS.Timeout | undefined
  readonly #settle: { resolve(relayed: boolean): void; reject(error: unknown): void }
  #controller: Dispatcher.DispatchController | undefined
  #passedOver = false
  #passedOverBytes = 0
  #over = false

  constructor(
    exchange: Sendable,
    { endpoint, upstream, attempt, sink, held, mayTryAnother }: Trying,
    settle: { resolve(relayed: boolean): void; reject(error: unknown): void },
  ) {
    this.#exchange = exchange
    this.#place = { endpoint, upstream, incoming: exchange.incoming }
    this.#upstream = upstream
    this.#attempt = attempt
    this.#index = exchange.trace.attempts.indexOf(attempt)
    this.#sink = AddressSink.isNeeded(this.#place) ? new AddressSink(this.#place, sink) : sink
    this.#held = held
    this.#mayTryAnother = mayTryAnother
    this.#settle = settle
    exchange.onGone = () => this.#leave()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#over || this.#exchange.gone)
      controller.abort(new ClientLeft()) // it left while this waited for a connection
    else this.#exchange.trace.asked[this.#index] = this.#upstream
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: Record<string, string | string[] | undefined>): void {
    if (status < 200) return
    this.#attempt.status = status
    this.#upstream.saw(this.#attempt)
    this.#passedOver = this.#mayTryAnother && TRY_ANOTHER.has(status)
    if (this.#passedOver) {
      this.#passedOverTimer = setTimeout(() => controller.abort(new PassedOver()), PASSED_OVER_MS_MAX).unref()
      this.#finish()?.resolve(false)
      return
    }
    // A client library would follow it by itself, with the body as it was before the rules saw it, to wherever it leads.
    if (status < 400 && REDIRECTS.has(status)) throw new Failure('upstream_unreachable', new Redirected())
    const { trace, startedAt } = this.#exchange
    trace.firstByteMs = Math.round(performance.now() - startedAt)
    this.#countWaiting()
    this.#sink.head(status, headersThroughUs(responseHeaders(headers, this.#upstream), this.#place))
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#passedOver) {
      this.#passedOverBytes += chunk.length
      if (this.#passedOverBytes > PASSED_OVER_BYTES_MAX) controller.abort(new PassedOver())
      return
    }
    this.#countWaiting()
    if (performance.now() - this.#began > REPLY_MS_MAX) controller.abort(new ReplyTooLong())
    else if (!this.#sink.data(chunk)) this.#wait(controller)
  }

  onResponseEnd(): void {
    clearTimeout(this.#passedOverTimer)
    const settle = this.#finish()
    if (!settle) return
    this.#countWaiting()
    try {
      this.#sink.end()
      settle.resolve(true)
    } catch (error) {
      settle.reject(error)
    }
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error & { code?: string }): void {
    clearTimeout(this.#passedOverTimer)
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
    const now = performance.now()
    if (trace.overheadMs === null) trace.waitedMs += now - this.#countedTo
    this.#countedTo = now
  }

  /** The promise's two ends, the first time only. */
  #finish(): { resolve(relayed: boolean): void; reject(error: unknown): void } | undefined {
    if (this.#over) return undefined
    this.#over = true
    this.#exchange.onGone = null
    return this.#settle
  }

  #leave(): void {
    const settle = this.#finish()
    this.#controller?.abort(new ClientLeft())
    settle?.reject(new ClientLeft())
  }
}

class PassedOver extends Error {
  readonly code = 'PASSED_OVER'
}
class ClientLeft extends Error {
  readonly code = 'CLIENT_LEFT'
}
class ReplyTooLong extends Error {
  readonly code = 'REPLY_TIMEOUT'
}
