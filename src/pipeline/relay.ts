/** The two sinks every answer passes: the client's response, which keeps the last bytes back, and the tap, which remembers the ends. */
import type { ServerResponse } from 'node:http'
import { EventGate } from '../dialects/events/event-gate.ts'
import { endsAll } from '../dialects/events/event-stream.ts'
import { Failure } from '../errors.ts'
import { headerOf, isEncoded, isEventStream, type Sink } from '../sink.ts'
import { KeepAlive } from './keep-alive.ts'
import { JsonNesting, ListGate } from './list-gate.ts'
import type { ReplyMeter } from './reply-meter.ts'
import { isOfOnePiece, ShortBody } from './short-body.ts'
import type { Exchange, Reply } from './stage.ts'
import { type PartlyKnown, statusOf } from './status.ts'

/** A reader that takes nothing for this long is let go, and its upstream with it. */
const WRITE_STALL_MS = 30_000

/** After the last event of a stream its end is waited for so long; the answer is complete without it. */
const END_MS_MAX = 1_000

/** In milliseconds; what is left out is as ever. */
export interface Times {
  /** After so much silence a stream that has begun says that it is still there. */
  keepAliveMs?: number
  writeStallMs?: number
  endMs?: number
}

/** Complete answers whose provider broke off, or said nothing more, after their last event. */
const completed = new WeakMap<PartlyKnown, Reply>()
/** The answer of an exchange of which everything had come before its provider failed; undefined where something was missing. */
export const replyBeforeFailure = (known: PartlyKnown): Reply | undefined => completed.get(known)

/**
 * The innermost sink: Node's response. It keeps the end back, because the record must be safe before the client has everything: of an answer of
 * known length its last chunk, of a stream its last event, of a list of events its closing bracket, of a short body all of it, of anything else the
 * terminating chunk. The head leaves with the first bytes, so that until then a refusal can still be a real one.
 */
export class ClientSink implements Sink {
  readonly #outgoing: ServerResponse
  readonly #exchange: PartlyKnown
  #head: { status: number; headers: string[] } | undefined
  #gate: EventGate | ListGate | ShortBody | undefined
  #streams: Exchange['streaming'] = null
  #left = -1
  #last: Buffer | undefined
  readonly #times: Times
  #keepAlive: KeepAlive | undefined
  /** The end may show that the answer broke off, for it is that of its connection. */
  #mayBreakOff = false
  /** Of JSON whose end is that of its connection. */
  #nesting: JsonNesting | undefined
  #endTimer: NodeJS.Timeout | undefined
  constructor(exchange: PartlyKnown, times: Times = {}) {
    this.#outgoing = exchange.outgoing
    this.#exchange = exchange
    this.#times = times
  }

  head(status: number, headers: string[]): void {
    const isStream = isEventStream(headers) && !isEncoded(headers) // in what is compressed no event can be told from another
    // An event may be added to a stream that fails, so its length is not promised.
    const kept = isStream ? headers.flatMap((item, i) => (i % 2 === 0 && item !== 'content-length' ? [item, headers[i + 1]] : [])) : headers
    this.#head = { status, headers: kept }
    const length = headerOf(kept, 'content-length')
    if (length !== undefined) this.#left = Number(length)
    const { call, endpoint, trace } = this.#exchange
    // An error of a provider passes as it came, whatever it says it is.
    this.#mayBreakOff = trace.untilClose && length === undefined && endpoint.kind === 'call' && status < 400 && !isEncoded(headers)
    if (!isStream) {
      if (this.#mayBreakOff && isOfOnePiece(headers)) this.#nesting = new JsonNesting()
      if (this.#isList(status, headers)) {
        this.#gate = new ListGate()
        this.#streams = 'list'
      } else if (isOfOnePiece(headers) && !call?.streaming && endpoint.kind !== 'native') this.#gate = new ShortBody()
      return
    }
    this.#streams = 'events'
    this.#gate = new EventGate((event) => this.#exchange.dialect.isLastEvent(event))
    // Nothing but the first event is waited for, unless a rule may yet stop the reply: then a refusal should not find its status taken.
    if (!this.#exchange.screen) setImmediate(flush, this)
  }

  data(chunk: Buffer): boolean {
    if (this.#left > 0 && (this.#left -= chunk.length) <= 0) {
      this.#last = this.#withHeld(chunk)
      return true
    }
    this.#nesting?.add(chunk)
    const ready = this.#gate ? this.#gate.pass(chunk) : chunk
    this.#awaitEnd()
    if (!ready) return true
    this.#begin()
    if (this.#gate) this.#exchange.streaming = this.#gate.isBetweenEvents ? this.#streams : null
    this.#keepAlive?.wrote()
    const isWatched = this.#outgoing.writableNeedDrain
    if (this.#outgoing.write(ready)) return true
    if (!isWatched) letGoOfSlowReader(this.#exchange, this.#times.writeStallMs)
    return false
  }

  // The runner ends the response once the exchange is settled. Throws where the answer ended before its end.
  end(): void {
    this.#stopTimers()
    const gate = this.#gate
    this.#last ??= gate?.end()
    if (this.#mayBreakOff && isCutOff(gate, this.#last, this.#nesting)) throw brokenOff()
  }

  error(): void {
    this.#stopTimers()
    const isComplete = this.#isComplete()
    // What is held is half an event, or the last one of a stream that did not end well: neither may go out, unless nothing was missing.
    this.#last = isComplete ? this.#lastOf(this.#gate) : undefined
    this.#gate = undefined
    if (isComplete) completed.set(this.#exchange, this.reply())
    // A head that has not gone out must not follow now: the refusal has one of its own.
    else this.#head = undefined
  }

  /** The answer as the runner finishes it. */
  reply(): Reply {
    const { status } = this.#head ?? { status: this.#outgoing.statusCode }
    return {
      status,
      end: () => {
        this.#begin()
        this.#outgoing.end(this.#last)
      },
    }
  }

  flush(): void {
    if (!this.#head || this.#outgoing.headersSent || this.#outgoing.destroyed || this.#outgoing.writableEnded) return
    this.#begin()
    this.#outgoing.flushHeaders()
  }

  /** Everything that ends the answer has come, though perhaps not the end of its body. */
  #isComplete(): boolean {
    const gate = this.#gate
    if (gate instanceof ListGate) return gate.sawLast
    const last = gate instanceof EventGate ? gate.last() : undefined
    return last !== undefined && endsAll(last, this.#exchange.call?.answers ?? 1)
  }

  /** Without what came after it, which may be half an event. */
  #lastOf(gate: EventGate | ListGate | ShortBody | undefined): Buffer | undefined {
    return gate instanceof EventGate ? gate.last() : gate?.end()
  }

  /** Once the answer is complete, its provider has a moment to end it, and is then let go. */
  #awaitEnd(): void {
    const gate = this.#gate
    const isWaiting = this.#endTimer !== undefined
    if (!gate || gate instanceof ShortBody || gate.sawLast === isWaiting) return
    if (isWaiting) {
      clearTimeout(this.#endTimer)
      this.#endTimer = undefined
    } else if (this.#isComplete()) this.#endTimer = setTimeout(letGoOfProvider, this.#times.endMs ?? END_MS_MAX, this.#exchange).unref()
  }

  #stopTimers(): void {
    this.#keepAlive?.stop()
    clearTimeout(this.#endTimer)
  }

  /** Whether a stream comes as one list, to which an item can be added. */
  #isList(status: number, headers: readonly string[]): boolean {
    const { dialect, call } = this.#exchange
    if (!dialect.listsEvents || !call?.streaming || status >= 300) return false
    return headerOf(headers, 'content-length') === undefined && !isEncoded(headers)
  }

  /** The last of a body of known length, after what was held of it. */
  #withHeld(chunk: Buffer): Buffer {
    const held = this.#gate?.end()
    return held ? Buffer.concat([held, chunk]) : chunk
  }

  #begin(): void {
    const exchange = this.#exchange
    if (!this.#head || this.#outgoing.headersSent) return
    const { status, headers } = this.#head
    // A provider's own limits, which only a caller with a credential of his own is shown, are not said twice.
    const { headers: ours } = exchange
    // What an answer varies by adds up; of everything else the provider's own word goes.
    for (let i = 0; i < ours.length; i += 2) if (ours[i] === 'vary' || headerOf(headers, ours[i]) === undefined) headers.push(ours[i], ours[i + 1])
    headers.push('x-earthflow-decision', statusOf(exchange, null).toLowerCase(), 'x-earthflow-overhead-ms', overheadMs(exchange).toFixed(1))
    exchange.streaming = this.#gate ? this.#streams : null
    this.#outgoing.writeHead(status, headers)
    const { keepAlive } = exchange.dialect.vendor
    if (this.#streams === 'events' && keepAlive !== null)
      this.#keepAlive = new KeepAlive(this.#outgoing, keepAlive, () => exchange.streaming !== null, this.#times.keepAliveMs)
  }
}
/** Where an answer ends with its connection, whether it broke off: a stream without its last event, or JSON that is not whole. */
function isCutOff(gate: EventGate | ListGate | ShortBody | undefined, held: Buffer | undefined, nesting: JsonNesting | undefined): boolean {
  if (gate instanceof EventGate) return !gate.sawLast
  if (gate instanceof ShortBody && held !== undefined) return !isJson(held)
  return nesting !== undefined && !nesting.isWhole
}
const isJson = (bytes: Buffer): boolean => {
  try {
    JSON.parse(bytes.toString())
    return true
  } catch {
    return false
  }
}
const brokenOff = (): Failure => new Failure('upstream_unreachable', new Error('The answer ended with its connection, before its end.'))

/** Ends the attempt as if the client had left. The row says of the attempt that its end was not waited for. */
function letGoOfProvider({ trace, busyWith }: PartlyKnown): void {
  const attempt = trace.attempts.at(-1)
  if (attempt) attempt.error ??= 'LATE_END'
  busyWith?.interrupt()
}
const flush = (sink: ClientSink): void => sink.flush()

/** Lets go of a reader that takes nothing, and of its exchange; of one whose exchange is over the listener does. */
function letGoOfSlowReader(exchange: PartlyKnown, afterMs = WRITE_STALL_MS): void {
  const { outgoing } = exchange
  const timer = setTimeout(() => {
    exchange.isSlow = true
    outgoing.destroy()
  }, afterMs).unref()
  const stop = (): void => {
    clearTimeout(timer)
    outgoing.off('drain', stop).off('close', stop)
  }
  outgoing.once('drain', stop).once('close', stop)
}

/** Milliseconds of an exchange that were Earthflow's own, neither the client's upload nor the provider's thinking: up to the head of its answer. */
export function overheadMs({ startedAt, trace }: Exchange): number {
  trace.overheadMs ??= Math.max(0, performance.now() - startedAt - trace.waitedMs)
  return trace.overheadMs
}

const HEAD_BYTES = 2048
const TAIL_BYTES = 4096
const TAIL_BYTES_MAX = 64 << 10

/** Lets everything through, remembers the two ends, where providers put their token counts, and meters the reply. No parsing while bytes flow. */
export class EndsTap implements Sink {
  readonly #inner: Sink
  readonly #text: ReplyMeter
  readonly #tailBytes: number
  #head = ''
  #tail: Buffer | undefined
  #used = 0
  #bytes = 0
  /** `sentBytes` of the call: some providers repeat parts of it, such as its metadata, behind the counts. */
  constructor(inner: Sink, text: ReplyMeter, sentBytes: number) {
    this.#inner = inner
    this.#text = text
    this.#tailBytes = Math.min(TAIL_BYTES_MAX, TAIL_BYTES + 2 * sentBytes)
  }

  head(status: number, headers: string[]): void {
    this.#text.head(headers)
    this.#inner.head(status, headers)
  }
  data(chunk: Buffer): boolean {
    this.#text.add(chunk)
    const fits = Math.min(chunk.length, Math.max(0, HEAD_BYTES - this.#bytes))
    if (fits > 0) this.#head += chunk.toString('latin1', 0, fits)
    if (fits < chunk.length) this.#remember(chunk, fits)
    this.#bytes += chunk.length
    return this.#inner.data(chunk)
  }
  end(): void {
    this.#inner.end()
  }
  error(): void {
    this.#inner.error()
  }
  ends(): string {
    return this.#head + (this.#tail?.toString('latin1', 0, this.#used) ?? '')
  }

  // Copied, not referenced: a chunk is a slice of a 64 KiB socket buffer, which a thousand slow streams would keep alive.
  #remember(chunk: Buffer, start: number): void {
    const tail = (this.#tail ??= Buffer.allocUnsafeSlow(2 * this.#tailBytes))
    const from = Math.max(start, chunk.length - this.#tailBytes)
    if (this.#used + chunk.length - from > tail.length) {
      const kept = Math.min(this.#tailBytes, this.#used)
      tail.copyWithin(0, this.#used - kept, this.#used)
      this.#used = kept
    }
    this.#used += chunk.copy(tail, this.#used, from)
  }
}
