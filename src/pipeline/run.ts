import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Peer } from '../access/peer.ts'
import type { Dialect, Page, Stop } from '../dialects/dialect.ts'
import type { Endpoint } from '../dialects/endpoint.ts'
import { Failure, type Reason, Refusal } from '../errors.ts'
import { newId } from '../ids.ts'
import { ClientLeft } from '../upstreams/attempt.ts'
import { decisionIn, envelopeOf, envelopePage } from './envelope.ts'
import type { ExchangeSpans } from './exchange-spans.ts'
import { refusalOf } from './refusal.ts'
import { overheadMs, replyBeforeFailure } from './relay.ts'
import type { Exchange, Fact, Facts, Known, Outcome, Settler, Stage, Trace } from './stage.ts'
import { statusOf } from './status.ts'

interface Step {
  name: string
  run: (known: never) => unknown
}

/** An ordered list of stages. A stage whose needs no earlier stage has met, or a fact established twice, does not compile. */
export class Pipeline<Has extends Fact = never> {
  readonly steps: readonly Step[]
  constructor(steps: readonly Step[] = []) {
    this.steps = steps
  }

  stage<Needs extends Has, Adds extends Exclude<Fact, Has> = never>(name: string, run: Stage<Needs, Adds>): Pipeline<Has | Adds> {
    return new Pipeline<Has | Adds>([...this.steps, { name, run }])
  }
}
/** Only a list that ends with an answer can be served. */
export type Complete<Has extends Fact> = 'reply' extends Has ? Pipeline<Has> : never

export interface Arrival {
  incoming: IncomingMessage
  outgoing: ServerResponse
  endpoint: Endpoint
  peer: Peer
  /** For whatever answer goes out: name, value, name, value. */
  headers?: readonly string[] | undefined
  /** When it arrived, on the monotonic clock, where it waited to be begun; left out: now. */
  startedAt?: number | undefined
}

/** Every fact has its field from the start: one hidden class for all exchanges. */
class Live implements Exchange {
  readonly id: string
  readonly auditId: string
  readonly startedAt: number
  readonly arrivedAt = Date.now()
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly peer: Peer
  readonly endpoint: Endpoint
  readonly dialect: Dialect
  readonly headers: string[]
  readonly trace: Trace = {
    waitedMs: 0,
    overheadMs: null,
    attempts: [],
    asked: [],
    firstByteMs: null,
    upstreamMs: null,
    untilClose: false,
    ends: '',
    usage: null,
    relayed: null,
    bill: null,
    held: null,
    entry: null,
  }
  spans: ExchangeSpans | null = null
  gone = false
  isSlow = false
  cutBy: Refusal | null = null
  busyWith: Exchange['busyWith'] = null
  streaming: Exchange['streaming'] = null
  #leaving: AbortController | undefined
  caller: Facts['caller'] | undefined = undefined
  call: Facts['call'] | undefined = undefined
  promptHash: Facts['promptHash'] | undefined = undefined
  admission: Facts['admission'] | undefined = undefined
  verdict: Facts['verdict'] | undefined = undefined
  outbound: Facts['outbound'] | undefined = undefined
  originals: Facts['originals'] | undefined = undefined
  screen: Facts['screen'] | undefined = undefined
  ticket: Facts['ticket'] | undefined = undefined
  reply: Facts['reply'] | undefined = undefined

  constructor({ incoming, outgoing, endpoint, peer, headers, startedAt = performance.now() }: Arrival) {
    this.startedAt = startedAt
    this.id = newId('req', this.arrivedAt)
    this.auditId = newId('aud', this.arrivedAt)
    this.incoming = incoming
    this.outgoing = outgoing
    this.peer = peer
    this.endpoint = endpoint
    this.dialect = endpoint.dialect
    this.headers = headers === undefined ? ['x-earthflow-request-id', this.id] : [...headers, 'x-earthflow-request-id', this.id]
  }
  get signal(): AbortSignal {
    this.#leaving ??= new AbortController()
    if (this.gone) this.#leaving.abort()
    return this.#leaving.signal
  }
  cut(refusal: Refusal): void {
    if (this.gone || this.reply) return
    this.cutBy = refusal
    this.leave()
  }
  leave(): void {
    this.gone = true
    this.#leaving?.abort()
    this.busyWith?.interrupt()
  }
}

export interface Watchers {
  /** Follows an exchange from its beginning, where exchanges are traced. */
  spansOf?: ((exchange: Exchange) => ExchangeSpans | null) | undefined
  /** A surprise: its details are for the log alone. */
  report(error: unknown, known: Known): void
  /** Once per exchange, after its last byte was handed over. `status` is what the client was answered, null where it had left. */
  ended(known: Known, outcome: Outcome, status: number | null): void
}

/**
 * Runs an exchange from its first byte to its last. It settles here and nowhere else, after the stage in flight has returned, so that
 * what that stage established (a reservation, say) is not lost when the client leaves meanwhile. Every stage that waits must
 * therefore end when the signal says so. The promise never rejects. `began` is told of the exchange before anything of it happens.
 */
export function serve<Has extends Fact>(pipeline: Complete<Has>, settlers: readonly Settler[], { spansOf, report, ended }: Watchers) {
  const { steps } = pipeline as Pipeline<Has>
  return async (arrival: Arrival, began?: (exchange: Exchange) => void): Promise<void> => {
    const known = new Live(arrival)
    const spans = spansOf ? (known.spans = spansOf(known)) : null
    began?.(known)
    const { outgoing } = known
    outgoing.on('close', () => {
      if (!outgoing.writableFinished) known.leave()
    })
    let outcome: Outcome = { kind: 'completed' }
    let stage = ''
    try {
      for (const step of steps) {
        stage = step.name
        spans?.stage(stage)
        const answer = step.run(known as never)
        const decision = answer instanceof Promise ? await answer : answer
        if (decision instanceof Refusal) {
          outcome = { kind: 'refused', stage, refusal: decision }
          break
        }
        if (decision !== undefined) Object.assign(known, decision)
        if (known.gone) break
      }
    } catch (error) {
      outcome = error instanceof Refusal ? { kind: 'refused', stage, refusal: error } : { kind: 'failed', stage, error }
    }
    // A refusal stands, whoever was there to hear it; of anything else that went wrong the client's leaving is the likelier cause.
    if (known.gone && outcome.kind !== 'refused')
      outcome = known.cutBy ? { kind: 'refused', stage, refusal: known.cutBy } : { kind: 'cancelled', isSlow: known.isSlow }
    if (outcome.kind === 'failed' && isOfProvider(outcome.error)) {
      // Nothing was missing by then: who called is not told of it.
      const reply = replyBeforeFailure(known)
      if (reply) {
        known.reply = reply
        outcome = { kind: 'completed' }
      }
    }
    if (outcome.kind === 'failed') report(outcome.error, known)
    const decided = outcome // whatever becomes of the record, this is what was decided
    spans?.stage(SETTLE)
    for (const settle of settlers) {
      try {
        const wait = settle(known, outcome)
        if (wait !== undefined) await wait
      } catch (error) {
        // One failing settler does not silence the next, but what could not be settled is not handed over as if it were.
        report(error, known)
        if (outcome.kind !== 'cancelled') outcome = { kind: 'failed', stage: SETTLE, error }
      }
    }
    try {
      ended(known, outcome, finish(known, outcome, decided))
    } catch (error) {
      report(error, known)
      outgoing.destroy()
    }
  }
}

/** All settlers together, which are no stages. */
const SETTLE = 'settle'

/** A provider broke off, or was let go, as the one who never ends a complete answer. */
const isOfProvider = (error: unknown): boolean => error instanceof ClientLeft || (error instanceof Failure && BROKE_OFF.has(error.reason))
const BROKE_OFF: ReadonlySet<Reason> = new Set<Reason>(['upstream_unreachable', 'upstream_timeout'])

/** Writes the last bytes: nothing of an answer is complete before its exchange is settled. Returns the status the client was answered. */
function finish(known: Live, outcome: Outcome, decided: Outcome): number | null {
  const { outgoing } = known
  if (outcome.kind === 'cancelled') {
    const status = outgoing.headersSent ? outgoing.statusCode : null
    outgoing.destroy()
    return status
  }
  const refusal = refusalOf(outcome, known.id)
  if (refusal) refuse(known, decided, refusal)
  else known.reply?.end()
  return outgoing.statusCode
}

function refuse(known: Live, decided: Outcome, refusal: Refusal): void {
  const { outgoing, incoming, dialect } = known
  if (outgoing.headersSent) {
    if (known.streaming) outgoing.end(lastWords(known, decided, refusal))
    else outgoing.destroy() // half a body cannot be taken back; a cut connection is at least not mistaken for a whole answer
    return
  }
  const { status, headers, body } = pageOf(known, decided, refusal)
  outgoing.writeHead(status, [
    ...headers,
    ...known.headers,
    dialect.vendor.requestIdHeader,
    known.id,
    'x-earthflow-decision',
    statusOf(known, decided).toLowerCase(),
    'x-earthflow-overhead-ms',
    overheadMs(known).toFixed(1),
    'content-length',
    String(Buffer.byteLength(body)),
    ...(incoming.complete ? [] : ['connection', 'close']),
  ])
  if (incoming.complete) outgoing.end(body)
  else {
    // A body is still arriving. Closing now would reset the connection, and the client would never read this answer.
    outgoing.write(body)
    drain(incoming, () => outgoing.end())
  }
}

function pageOf(known: Live, decided: Outcome, refusal: Refusal): Page {
  if (!decisionIn(known, decided)) return known.dialect.vendor.refuse(refusal, known.id)
  return envelopePage(known, decided)
}

/** How a stream that has begun is told its end. */
function lastWords(known: Live, decided: Outcome, refusal: Refusal): string {
  const { dialect, streaming, id } = known
  if (decisionIn(known, decided)) return `data: ${envelopeOf(known, decided, null)}\n\n`
  // Google's own way with a list: its last item is the error.
  return streaming === 'list' ? `,\n${dialect.vendor.refuse(refusal, id).body}]` : dialect.stopStream(stopOf(known, refusal))
}

/** What a rule stops may end as if the model had stopped, if the tenant prefers that; what breaks off never does. */
const stopOf = (known: Live, refusal: Refusal): Stop => ({
  refusal,
  requestId: known.id,
  soft: known.caller?.tenant.streamStop === 'soft' && (refusal.reason === 'blocked_by_rule' || refusal.reason === 'cannot_redact'),
  open: known.screen?.open() ?? [],
  ends: known.trace.ends,
})

const LINGER_MS = 2_000
const LINGER_BYTES_MAX = 8 << 20

/** Reads on and throws away, for a bounded while. */
function drain(incoming: IncomingMessage, done: () => void): void {
  let bytes = 0
  const stop = (): void => {
    clearTimeout(timer)
    incoming.off('data', onData).off('end', stop).off('close', stop).pause()
    done()
  }
  const onData = (chunk: Buffer): void => {
    bytes += chunk.length
    if (bytes > LINGER_BYTES_MAX) stop()
  }
  const timer = setTimeout(stop, LINGER_MS).unref()
  incoming.on('data', onData).on('end', stop).on('close', stop).resume()
}
