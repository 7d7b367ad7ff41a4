/** Sends a call to whom it may go, and relays the answer of the first who has one. */
import type { Dispatcher } from 'undici'
import type { Attempt } from '../audit/entry.ts'
import type { Dialect } from '../dialects/dialect.ts'
import type { Endpoint } from '../dialects/endpoint.ts'
import { OUT_OF_REACH } from '../egress/check-url.ts'
import { Failure, type Reason, Refusal } from '../errors.ts'
import type { Sink } from '../sink.ts'
import { type AttemptSpan, ClientLeft, type Held, type PassedOver, QueuedTooLong, type Sendable, Try } from './attempt.ts'
import { MissingCredential, requestHeaders, withoutKeys, withTrace } from './headers.ts'
import { liesAtOne } from './route.ts'
import { createTries, isRefusal, type Tries, type Turn } from './tries.ts'
import { pathOn, type Upstream } from './upstream.ts'

export type { Sendable } from './attempt.ts'

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

/** What leaves hope that another candidate can do better. A reply that cannot be read was still paid for. */
const RETRIED: ReadonlySet<Reason> = new Set<Reason>(['upstream_unreachable', 'upstream_timeout'])

/**
 * Sends the kept bytes to one candidate after another, and where nobody answers, within bounds to the same ones again; pushes the first answer into the sink,
 * or the last one that there was. Resolves at the answer's end; throws Failure where no candidate answered, a Refusal where none may be reached, and whatever
 * the sink threw. Ends with an error when the client leaves. `held` says for what else than its reader the sink waits, `random` (from 0 to 1) how long is waited
 * before somebody is asked again. `afford` is asked before somebody else is set to work where one may have been already, who is paid as well; it rejects where
 * there is nothing left for that.
 */
export async function send(
  exchange: Sendable,
  sending: Sending,
  candidates: readonly Upstream[],
  sink: Sink,
  held: Held = () => undefined,
  random: () => number = Math.random,
  afford: () => Promise<void> = async () => {},
): Promise<void> {
  try {
    const able = withCredential(sending, candidates)
    const tries = createTries({
      candidates: able,
      // What is made of such a call would be made twice.
      isRepeatable: sending.endpoint.kind === 'call' && !liesAtOne(sending.endpoint),
      random,
      pause: (ms) => pause(exchange, ms),
    })
    await relayOne(exchange, sending, { candidates: able, tries, sink, held, afford })
  } catch (error) {
    sink.error()
    throw error
  }
}

interface Ways {
  candidates: readonly Upstream[]
  tries: Tries
  sink: Sink
  held: Held
  afford: () => Promise<void>
}

async function relayOne(exchange: Sendable, sending: Sending, ways: Ways): Promise<void> {
  const { candidates, tries, afford } = ways
  const { trace } = exchange
  let failure: unknown
  let passedOver: PassedOver | null = null
  let refused: unknown
  let owes = false
  for (;;) {
    const next = tries.next()
    const turn = next instanceof Promise ? await next : next
    if (turn === null) break
    const { upstream } = turn
    if (owes) {
      try {
        await afford()
        if (exchange.gone) throw new ClientLeft()
      } catch (error) {
        turn.end(null)
        refused = error
        break
      }
    }
    const began = performance.now()
    const attempt = { error: null as string | null, ms: 0, status: null as number | null, upstream: upstream.name }
    trace.attempts.push(attempt)
    trace.asked.push(null)
    const span = exchange.spans?.attempt(upstream)
    try {
      passedOver = await dispatch(exchange, sending, { turn, attempt, span }, ways)
      if (passedOver === null) return
    } catch (error) {
      attempt.error ??= codeOf(error)
      if (attempt.status === null && !exchange.gone && !isOurs(error, sending, attempt.error)) turn.passage.saw(attempt)
      // Once an answer has begun, what stands between it and the client holds parts of it, even if the client has seen none.
      if (exchange.gone || attempt.status !== null || !(error instanceof Failure && RETRIED.has(error.reason))) throw error
      failure = error
      passedOver = null
    } finally {
      turn.end(attempt)
      span?.ended(attempt)
      const ms = performance.now() - began
      attempt.ms = Math.round(ms)
      trace.upstreamMs = (trace.upstreamMs ?? 0) + attempt.ms
      if (trace.firstByteMs === null) trace.waitedMs += ms
    }
    const hadLeft = trace.asked.at(-1) !== null
    owes = hadLeft && !isRefusal(attempt)
    tries.failed(upstream, attempt, hadLeft)
  }
  if (passedOver && !exchange.gone) {
    if (await passedOver.handOver()) return
    throw new Failure('unavailable', new Error('Nobody could be asked after all, and the last answer was too long, or came too slowly, to have been kept.'))
  }
  if (refused !== undefined) throw refused
  if (isOutOfReach(trace)) throw outOfReach()
  throw failure ?? nobodyAsked(candidates)
}

/**
 * Those that can be asked with what the caller has sent. His own credential is one provider's, and no other's to see: of several that come equally, nobody knows
 * whose. Throws a Refusal where nobody is left for want of a credential, or of a name.
 */
function withCredential({ endpoint, headers, type }: Sending, candidates: readonly Upstream[]): readonly Upstream[] {
  if (!candidates.some(({ passthrough }) => passthrough)) return candidates
  const able = candidates.filter((upstream) => !upstream.passthrough || bringsFor(upstream))
  // Whom the call was meant for first is not quietly replaced by one for which somebody else pays.
  if (!able.some(({ priority }) => priority === candidates[0].priority)) throw noCredential(candidates[0], endpoint.dialect)
  const first = able.find(({ passthrough }) => passthrough)
  if (!first) return able
  const isAmbiguous = able.some(({ passthrough, origin, priority }) => passthrough && priority === first.priority && origin !== first.origin)
  // Whoever comes before them is asked; nobody after them is, with a stored credential in place of the caller's.
  const left = able.filter(({ passthrough, origin, priority }) =>
    isAmbiguous ? !passthrough && priority > first.priority : !passthrough || origin === first.origin,
  )
  if (left.length === 0) throw ambiguous(endpoint.path)
  return left

  function bringsFor(upstream: Upstream): boolean {
    try {
      requestHeaders(headers, upstream, endpoint.dialect, type)
      return true
    } catch (error) {
      if (error instanceof MissingCredential) return false
      throw error
    }
  }
}

/** What the caller is told whose credential may be meant for any of several. */
export const ambiguous = (path: string): Refusal =>
  new Refusal('invalid_request', `Several upstreams take a credential of your own; name the one it is for: /u/{upstream}${path}.`)

/** A body of so many bytes may still be on its way when its connection breaks, and be what broke it. */
const UPLOAD_BYTES = 64 << 10
const BROKEN: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])

/** Whether what went wrong tells of us or of the caller rather than of the provider: it waited in our queue until it was too late, or it is large and its upload broke off. */
const isOurs = (error: unknown, { body }: Sending, code: string): boolean =>
  (error instanceof Failure && error.cause instanceof QueuedTooLong) || (body.length > UPLOAD_BYTES && BROKEN.has(code))

/** Resolves with the answer where it was passed over; null: it was relayed. */
function dispatch(
  exchange: Sendable,
  { endpoint, query, headers: given, type, body }: Sending,
  { turn: { upstream, passage }, attempt, span }: { turn: Turn; attempt: Attempt; span: AttemptSpan | undefined },
  { sink, held, tries }: Ways,
): Promise<PassedOver | null> {
  const request = {
    path: pathOn(upstream, endpoint) + query,
    method: exchange.incoming.method as Dispatcher.HttpMethod,
    headers: withTrace(requestHeaders(given, upstream, endpoint.dialect, type), span),
    body: body.length > 0 ? body : null,
  }
  return new Promise((resolve, reject) => {
    new Try(exchange, { endpoint, upstream, request, passage, attempt, sink, held, tries }, { resolve, reject }).begin()
  })
}

/** Waits, as long as the client does. What is waited is not Earthflow's own share. */
function pause(exchange: Sendable, ms: number): Promise<void> {
  const began = performance.now()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  if (exchange.gone) reject(new ClientLeft())
  const timer = setTimeout(resolve, ms)
  exchange.busyWith = { interrupt: () => reject(new ClientLeft()) }
  return promise.finally(() => {
    clearTimeout(timer)
    exchange.busyWith = null
    exchange.trace.waitedMs += performance.now() - began
  })
}

/** Why there was no attempt. */
function nobodyAsked(candidates: readonly Upstream[]): Failure {
  const shut = candidates.filter(({ standing }) => standing.isShut)
  if (shut.length === 0) return new Failure('unavailable', new Error('No upstream has room for this call.'))
  const seconds = Math.max(1, Math.ceil(Math.min(...shut.map(({ standing }) => standing.probeInMs)) / 1_000))
  return new Failure('unavailable', leftAlone(seconds))
}

/** What is told where everybody who would serve a call is left alone for a while. */
export const leftAlone = (seconds: number): Refusal =>
  new Refusal('unavailable', 'Whoever serves this call has failed several times in a row and is left alone for a moment; try again.', {
    headers: ['retry-after', String(seconds)],
  })

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
  if (cause instanceof Error && cause.name === 'HTTPParserError') return 'NOT_HTTP' // undici's own
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : 'failed'
}
