/** The two sinks every answer passes: the client's response, which keeps the last bytes back, and the tap, which remembers the ends. */
import type { ServerResponse } from 'node:http'
import type { Action } from '../rules/rule.ts'
import { headerOf, isEventStream, type Sink } from '../sink.ts'
import type { Exchange } from './stage.ts'

/** A reader that takes nothing for this long is let go, and its upstream with it. */
const WRITE_STALL_MS = 30_000
/** What follows the beginning of a stream's last event is a few bytes. More than this is no last event after all. */
const LAST_EVENT_BYTES_MAX = 64 << 10

/**
 * The innermost sink: Node's response. It keeps the end back, because the record must be safe before the client has everything: of an answer of
 * known length its last chunk, of a stream its last event (`data: [DONE]`), of anything else the terminating chunk.
 */
export class ClientSink implements Sink {
  readonly #outgoing: ServerResponse
  readonly #exchange: Exchange
  readonly #decision: Action
  #lastEvent: LastEvent | undefined
  #left = -1
  #written = false
  #last: Buffer | undefined
  #stalled: NodeJS.Timeout | undefined
  constructor(exchange: Exchange, decision: Action) {
    this.#outgoing = exchange.outgoing
    this.#exchange = exchange
    this.#decision = decision
  }

  head(status: number, headers: string[]): void {
    const exchange = this.#exchange
    const length = headerOf(headers, 'content-length')
    if (length !== undefined) this.#left = Number(length)
    exchange.streaming = isEventStream(headers)
    if (exchange.streaming && length === undefined) this.#lastEvent = new LastEvent(exchange.dialect.lastEvent)
    for (const item of exchange.headers) headers.push(item)
    headers.push('x-earthflow-decision', this.#decision.toLowerCase(), 'x-earthflow-overhead-ms', overheadMs(exchange).toFixed(1))
    this.#outgoing.writeHead(status, headers)
    // writeHead sends nothing by itself: without this the status would wait for the first token.
    if (length === undefined) setImmediate(flush, this)
  }

  data(chunk: Buffer): boolean {
    this.#written = true
    if (this.#left > 0 && (this.#left -= chunk.length) <= 0) {
      this.#last = chunk
      return true
    }
    const ready = this.#lastEvent ? this.#lastEvent.pass(chunk) : chunk
    if (!ready || this.#outgoing.write(ready)) return true
    this.#waitForReader()
    return false
  }

  // The runner ends the response once the exchange is settled.
  end(): void {}
  error(): void {
    // Half an event is never followed by our own: what was held is whole events or nothing.
    const rest = this.#lastEvent?.rest()
    if (rest && !this.#outgoing.destroyed) this.#outgoing.write(rest)
  }

  /** What was kept back, to be written once the exchange is settled. */
  last(): Buffer | undefined {
    return this.#last ?? this.#lastEvent?.rest()
  }

  flush(): void {
    if (!this.#written && !this.#outgoing.destroyed && !this.#outgoing.writableEnded) this.#outgoing.flushHeaders()
  }

  #waitForReader(): void {
    if (this.#stalled) return
    const done = (): void => {
      clearTimeout(this.#stalled)
      this.#stalled = undefined
      this.#outgoing.off('drain', done)
      this.#outgoing.off('close', done)
    }
    this.#stalled = setTimeout(() => this.#outgoing.destroy(), WRITE_STALL_MS).unref()
    this.#outgoing.on('drain', done)
    this.#outgoing.on('close', done)
  }
}
const flush = (sink: ClientSink): void => sink.flush()

/** Milliseconds of an exchange that were Earthflow's own, neither the client's upload nor the provider's thinking: up to the head of its answer. */
export function overheadMs({ startedAt, trace }: Exchange): number {
  trace.overheadMs ??= Math.max(0, performance.now() - startedAt - trace.waitedMs)
  return trace.overheadMs
}

/** Lets a stream through up to the line that begins its last event, wherever the network cut it. Text cannot forge it: a JSON string holds no raw newline. */
export class LastEvent {
  readonly #begin: Buffer
  #held: Buffer | undefined
  #atLineStart = true
  constructor(begin: string) {
    this.#begin = Buffer.from(begin)
  }

  /** The bytes that may go now, if any. */
  pass(chunk: Buffer): Buffer | undefined {
    const bytes = this.#held ? Buffer.concat([this.#held, chunk]) : chunk
    this.#held = undefined
    const at = this.#find(bytes)
    // Copied: a slice would keep the 64 KiB socket buffer it lies in alive.
    if (at < bytes.length) this.#held = Buffer.from(bytes.subarray(at))
    if (at === 0) return undefined
    this.#atLineStart = bytes[at - 1] === NEWLINE
    return at === bytes.length ? bytes : bytes.subarray(0, at)
  }
  /** What is held, for the end. */
  rest(): Buffer | undefined {
    const rest = this.#held
    this.#held = undefined
    return rest
  }

  /** Where the last event begins, or a final line that may become its beginning; else the end. */
  #find(bytes: Buffer): number {
    const begin = this.#begin
    for (let at = bytes.indexOf(begin); at >= 0; at = bytes.indexOf(begin, at + 1)) {
      if (this.#isLineStart(bytes, at) && bytes.length - at <= LAST_EVENT_BYTES_MAX) return at
    }
    const line = bytes.lastIndexOf(NEWLINE) + 1
    const length = bytes.length - line
    const mayBegin = length > 0 && length < begin.length && this.#isLineStart(bytes, line) && bytes.compare(begin, 0, length, line) === 0
    return mayBegin ? line : bytes.length
  }
  #isLineStart(bytes: Buffer, at: number): boolean {
    return at === 0 ? this.#atLineStart : bytes[at - 1] === NEWLINE
  }
}
const NEWLINE = 0x0a

const HEAD_BYTES = 2048
const TAIL_BYTES = 4096

/** Lets everything through and remembers the two ends, where providers put their token counts. No parsing while bytes flow. */
export class EndsTap implements Sink {
  readonly #inner: Sink
  #head = ''
  #tail: Buffer | undefined
  #used = 0
  bytes = 0
  status = 0
  constructor(inner: Sink) {
    this.#inner = inner
  }

  head(status: number, headers: string[]): void {
    this.status = status
    this.#inner.head(status, headers)
  }
  data(chunk: Buffer): boolean {
    const fits = Math.min(chunk.length, Math.max(0, HEAD_BYTES - this.bytes))
    if (fits > 0) this.#head += chunk.toString('latin1', 0, fits)
    if (fits < chunk.length) this.#remember(chunk, fits)
    this.bytes += chunk.length
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
    const tail = (this.#tail ??= Buffer.allocUnsafeSlow(2 * TAIL_BYTES))
    const from = Math.max(start, chunk.length - TAIL_BYTES)
    if (this.#used + chunk.length - from > tail.length) {
      const kept = Math.min(TAIL_BYTES, this.#used)
      tail.copyWithin(0, this.#used - kept, this.#used)
      this.#used = kept
    }
    this.#used += chunk.copy(tail, this.#used, from)
  }
}
