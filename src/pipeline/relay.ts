/** The two sinks every answer passes: the client's response, which keeps the last bytes back, and the tap, which remembers the ends. */
import type { ServerResponse } from 'node:http'
import { EventGate } from '../dialects/events/event-gate.ts'
import { headerOf, isEventStream, type Sink } from '../sink.ts'
import { ListGate } from './list-gate.ts'
import type { ReplyMeter } from './reply-meter.ts'
import type { Exchange, Reply } from './stage.ts'
import { type PartlyKnown, statusOf } from './status.ts'

/** A reader that takes nothing for this long is let go, and its upstream with it. */
const WRITE_STALL_MS = 30_000

/**
 * The innermost sink: Node's response. It keeps the end back, because the record must be safe before the client has everything: of an answer of
 * known length its last chunk, of a stream its last event, of a list of events its closing bracket, of anything else the terminating chunk. The head
 * leaves with the first bytes, so that until then a refusal can still be a real one.
 */
export class ClientSink implements Sink {
  readonly #outgoing: ServerResponse
  readonly #exchange: PartlyKnown
  #head: { status: number; headers: string[] } | undefined
  #gate: EventGate | ListGate | undefined
  #streams: Exchange['streaming'] = null
  #left = -1
  #last: Buffer | undefined
  constructor(exchange: PartlyKnown) {
    this.#outgoing = exchange.outgoing
    this.#exchange = exchange
  }

  head(status: number, headers: string[]): void {
    const isStream = isEventStream(headers)
    // An event may be added to a stream that fails, so its length is not promised.
    const kept = isStream ? headers.flatMap((item, i) => (i % 2 === 0 && item !== 'content-length' ? [item, headers[i + 1]] : [])) : headers
    this.#head = { status, headers: kept }
    const length = headerOf(kept, 'content-length')
    if (length !== undefined) this.#left = Number(length)
    if (!isStream) {
      if (this.#isList(status, headers)) {
        this.#gate = new ListGate()
        this.#streams = 'list'
      }
      return
    }
    this.#streams = 'events'
    this.#gate = new EventGate((event) => this.#exchange.dialect.isLastEvent(event))
    // Nothing but the first event is waited for, unless a rule may yet stop the reply: then a refusal should not find its status taken.
    if (!this.#exchange.screen) setImmediate(flush, this)
  }

  data(chunk: Buffer): boolean {
    if (this.#left > 0 && (this.#left -= chunk.length) <= 0) {
      this.#last = chunk
      return true
    }
    const ready = this.#gate ? this.#gate.pass(chunk) : chunk
    if (!ready) return true
    this.#begin()
    if (this.#gate) this.#exchange.streaming = this.#gate.isBetweenEvents ? this.#streams : null
    const isWatched = this.#outgoing.writableNeedDrain
    if (this.#outgoing.write(ready)) return true
    if (!isWatched) letGoOfSlowReader(this.#outgoing, 'drain')
    return false
  }

  // The runner ends the response once the exchange is settled. Throws where a stream ended in the middle of an event.
  end(): void {
    this.#last ??= this.#gate?.end()
  }

  error(): void {
    // What is held is half an event, or the last one of a stream that did not end well: neither may go out.
    this.#last = undefined
    this.#gate = undefined
    // A head that has not gone out must not follow now: the refusal has one of its own.
    this.#head = undefined
  }

  /** The answer as the runner finishes it. */
  reply(): Reply {
    const { status } = this.#head ?? { status: this.#outgoing.statusCode }
    return {
      status,
      end: () => {
        this.#begin()
        endWithin(this.#outgoing, this.#last)
      },
    }
  }

  flush(): void {
    if (!this.#head || this.#outgoing.headersSent || this.#outgoing.destroyed || this.#outgoing.writableEnded) return
    this.#begin()
    this.#outgoing.flushHeaders()
  }

  /** Whether a stream comes as one list, to which an item can be added. */
  #isList(status: number, headers: readonly string[]): boolean {
    const { dialect, call } = this.#exchange
    if (!dialect.listsEvents || !call?.streaming || status >= 300) return false
    return headerOf(headers, 'content-length') === undefined && headerOf(headers, 'content-encoding') === undefined
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
  }
}
const flush = (sink: ClientSink): void => sink.flush()

/** Ends a response; one that the client does not read is let go after a while. */
export function endWithin(outgoing: ServerResponse, last?: Buffer | string): void {
  outgoing.end(last)
  if (outgoing.writableLength === 0 || outgoing.destroyed) return
  letGoOfSlowReader(outgoing, 'finish')
}

/** Unless `taken` says in time that the reader took what was written. */
function letGoOfSlowReader(outgoing: ServerResponse, taken: 'drain' | 'finish'): void {
  const timer = setTimeout(() => outgoing.destroy(), WRITE_STALL_MS).unref()
  const stop = (): void => {
    clearTimeout(timer)
    outgoing.off(taken, stop).off('close', stop)
  }
  outgoing.once(taken, stop).once('close', stop)
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
