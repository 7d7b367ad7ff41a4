import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import type { Dialect } from '../dialects/dialect.ts'
import { Failure, Refusal } from '../errors.ts'
import type { Sink } from '../sink.ts'
import { MissingCredential, requestHeaders, responseHeaders, withoutKey } from './headers.ts'
import { pathOn, type Upstream } from './upstream.ts'

/** What sending needs to know of an exchange, and what it writes down about it. */
export interface Sendable {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly dialect: Dialect
  readonly gone: boolean
  readonly startedAt: number
  readonly trace: {
    waitedMs: number
    firstByteMs: number | null
    upstreamMs: number | null
    attempts: { upstream: string; status: number | null; error: string | null; ms: number }[]
  }
}

/** Before the first byte went downstream these let the next candidate try; after it, nothing does. */
const TRY_ANOTHER = new Set([429, 502, 503, 504])
/** Of an answer that is passed over, this much is read so that its connection can be used again. */
const PASSED_OVER_BYTES_MAX = 64 << 10
/** However steadily it drips, a reply ends here. */
const REPLY_MS_MAX = 60 * 60_000

/**
 * Sends the kept bytes to one candidate after another and pushes the first answer into the sink. Resolves at the answer's end; throws Failure
 * where no candidate answered, and whatever the sink threw. Ends with an error when the client leaves.
 */
export async function send(exchange: Sendable, candidates: readonly Upstream[], body: Buffer, sink: Sink): Promise<void> {
  const { incoming, dialect, trace } = exchange
  let failure: unknown
  for (const [index, upstream] of candidates.entries()) {
    if (upstream.pool.stats.queued >= upstream.queueMax) {
      failure = new Failure('unavailable', new Error(`${upstream.name} has ${upstream.queueMax} calls waiting.`))
      continue
    }
    const began = performance.now()
    const attempt = { upstream: upstream.name, status: null as number | null, error: null as string | null, ms: 0 }
    trace.attempts.push(attempt)
    try {
      const headers = requestHeaders(incoming.rawHeaders, upstream, dialect)
      const path = withoutKey(pathOn(upstream, dialect, incoming.url ?? '/'))
      const relayed = await new Promise<boolean>((resolve, reject) => {
        upstream.pool.dispatch(
          { path, method: 'POST', headers, body },
          new Try(exchange, upstream, attempt, sink, index < candidates.length - 1, { resolve, reject }),
        )
      })
      if (relayed) return
    } catch (error) {
      if (error instanceof MissingCredential)
        throw new Refusal('unauthenticated', `Upstream '${upstream.name}' needs the provider's own credential in ${dialect.credentialHeaders.join(' or ')}.`)
      attempt.error ??= codeOf(error)
      failure = error
      if (exchange.gone || exchange.outgoing.headersSent || !(error instanceof Failure)) break
    } finally {
      attempt.ms = Math.round(performance.now() - began)
      trace.upstreamMs = (trace.upstreamMs ?? 0) + attempt.ms
      if (trace.firstByteMs === null) trace.waitedMs += performance.now() - began
    }
  }
  sink.error()
  throw failure ?? new Failure('unavailable', new Error('No upstream has room for this call.'))
}

/** A short name of what went wrong, for the record: never a message, which may quote what was sent. */
function codeOf(error: unknown): string {
  const cause = error instanceof Failure ? error.cause : error
  if (cause instanceof Refusal) return cause.reason
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : 'failed'
}

/** One try: undici's parser on one side, the sink on the other. */
class Try implements Dispatcher.DispatchHandler {
  readonly #exchange: Sendable
  readonly #upstream: Upstream
  readonly #attempt: Sendable['trace']['attempts'][number]
  readonly #sink: Sink
  readonly #mayTryAnother: boolean
  readonly #began = performance.now()
  readonly #settle: { resolve(relayed: boolean): void; reject(error: unknown): void }
  #controller: Dispatcher.DispatchController | undefined
  #passedOver = false
  #passedOverBytes = 0
  #over = false
  readonly #onClose = (): void => this.#leave()

  constructor(
    exchange: Sendable,
    upstream: Upstream,
    attempt: Sendable['trace']['attempts'][number],
    sink: Sink,
    mayTryAnother: boolean,
    settle: { resolve(relayed: boolean): void; reject(error: unknown): void },
  ) {
    this.#exchange = exchange
    this.#upstream = upstream
    this.#attempt = attempt
    this.#sink = sink
    this.#mayTryAnother = mayTryAnother
    this.#settle = settle
    exchange.outgoing.once('close', this.#onClose)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#over || this.#exchange.gone) controller.abort(new ClientLeft()) // it left while this waited for a connection
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: Record<string, string | string[] | undefined>): void {
    if (status < 200) return
    this.#attempt.status = status
    this.#passedOver = this.#mayTryAnother && TRY_ANOTHER.has(status)
    if (this.#passedOver) return
    const { trace, startedAt } = this.#exchange
    const now = performance.now()
    trace.firstByteMs = Math.round(now - startedAt)
    trace.waitedMs += now - this.#began
    this.#sink.head(status, responseHeaders(headers, this.#upstream))
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#passedOver) {
      this.#passedOverBytes += chunk.length
      if (this.#passedOverBytes > PASSED_OVER_BYTES_MAX) {
        this.#finish()?.resolve(false)
        controller.abort(new Error('The answer that is passed over is too long to be read.'))
      }
      return
    }
    if (performance.now() - this.#began > REPLY_MS_MAX) controller.abort(new ReplyTooLong())
    else if (!this.#sink.data(chunk)) {
      controller.pause()
      this.#exchange.outgoing.once('drain', () => controller.resume())
    }
  }

  onResponseEnd(): void {
    const settle = this.#finish()
    if (!settle) return
    try {
      if (!this.#passedOver) this.#sink.end()
      settle.resolve(!this.#passedOver)
    } catch (error) {
      settle.reject(error)
    }
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error & { code?: string }): void {
    // What a sink threw (a rule that blocks, a reply that cannot be read) passes as it is; the rest is the provider's doing.
    const thrownBySink = error instanceof Failure || (error as unknown) instanceof Refusal
    const reason = error.code?.endsWith('_TIMEOUT') ? 'upstream_timeout' : 'upstream_unreachable'
    this.#finish()?.reject(thrownBySink ? error : new Failure(reason, error))
  }

  /** The promise's two ends, the first time only. */
  #finish(): { resolve(relayed: boolean): void; reject(error: unknown): void } | undefined {
    if (this.#over) return undefined
    this.#over = true
    this.#exchange.outgoing.off('close', this.#onClose)
    return this.#settle
  }

  #leave(): void {
    const settle = this.#finish()
    this.#controller?.abort(new ClientLeft())
    settle?.reject(new ClientLeft())
  }
}

class ClientLeft extends Error {
  readonly code = 'CLIENT_LEFT'
}
class ReplyTooLong extends Error {
  readonly code = 'REPLY_TIMEOUT'
}
