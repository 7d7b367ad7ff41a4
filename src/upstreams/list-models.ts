/** The models a caller may use, asked of every upstream of a vendor at once and answered as one list in that vendor's shape. */
import type { Endpoint } from '../dialects/endpoint.ts'
import { Failure } from '../errors.ts'
import { matchesPattern } from '../model-pattern.ts'
import type { Sink } from '../sink.ts'
import { FOR_A_PART, MissingCredential, requestHeaders, withoutHeaders, withTrace } from './headers.ts'
import { ambiguous as ambiguousAt, codeOf, isOutOfReach, leftAlone, noCredential, outOfReach, type Sendable } from './send.ts'
import type { Passage } from './standing.ts'
import { pathOn, type Upstream } from './upstream.ts'

/** A coding agent waits three seconds for its list. Who has not answered by then is left out. */
const ANSWER_MS_MAX = 2_500
const ANSWER_BYTES_MAX = 4 << 20
const UPSTREAMS_MAX = 32
const MODELS_MAX = 10_000
/** A caller may know an earlier list of ours, never one that a provider told us. */
const CONDITIONS: ReadonlySet<string> = new Set([...FOR_A_PART, 'if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'])

/**
 * Pushes the list into the sink. Names an upstream serves by their exact name are in it even where its provider cannot be asked; of a provider's own
 * list, what the upstream's patterns let through; of both, what the caller may use. Throws a Failure where nobody answered and nothing is known, a Refusal where all
 * wait for a credential that the caller has not sent, or that may be meant for any of them.
 */
export async function listModels(
  exchange: Sendable,
  endpoint: Endpoint,
  candidates: readonly Upstream[],
  isAllowed: (model: string) => boolean,
  sink: Sink,
): Promise<void> {
  const { trace, signal } = exchange
  const { models } = endpoint.dialect.vendor
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)])
  const began = performance.now()
  // The caller's own credential is one provider's, and no other's to see.
  const isAmbiguous = new Set(candidates.filter(({ passthrough }) => passthrough).map(({ origin }) => origin)).size > 1
  const lists = await Promise.allSettled(
    candidates.slice(0, UPSTREAMS_MAX).map(async (upstream) => {
      if (isAmbiguous && upstream.passthrough) throw ambiguous
      const headers = requestHeaders(withoutHeaders(exchange.incoming.rawHeaders, CONDITIONS), upstream, endpoint.dialect, null)
      const passage = upstream.standing.enter()
      if (!passage) throw shut
      return ask(exchange, endpoint, { upstream, passage, headers }, deadline)
    }),
  )
  trace.waitedMs += performance.now() - began
  const found = new Map<string, object>()
  const add = (id: string, entry: object): void => {
    if (isAllowed(id) && !found.has(id) && found.size < MODELS_MAX) found.set(id, entry)
  }
  candidates.forEach(({ serves }, index) => {
    const list = lists[index]
    if (list?.status === 'fulfilled') for (const [id, entry] of list.value) if (serves.some((pattern) => matchesPattern(pattern, id))) add(id, entry)
    for (const id of serves) if (!id.includes('*')) add(id, models.entry(id))
  })
  if (found.size === 0 && candidates.length > 0 && lists.every(({ status }) => status === 'rejected')) {
    sink.error()
    const causes = lists.map((list) => (list.status === 'rejected' ? list.reason : null))
    if (causes.every((cause) => cause instanceof MissingCredential)) throw noCredential(candidates[0], endpoint.dialect)
    if (causes.every((cause) => cause === ambiguous)) throw ambiguous
    if (causes.every((cause) => cause === shut)) throw new Failure('unavailable', shut)
    if (isOutOfReach(trace)) throw outOfReach()
    throw new Failure('upstream_unreachable', new Error('No upstream told its models.'))
  }
  const body = Buffer.from(JSON.stringify(models.list([...found])))
  sink.head(200, ['content-type', 'application/json', 'content-length', String(body.length)])
  sink.data(body)
  sink.end()
}

const ambiguous = ambiguousAt('/v1/models')

/** Of those whose probe is due next. */
const SHUT_SECONDS = 1
const shut = leftAlone(SHUT_SECONDS)

interface Asked {
  upstream: Upstream
  passage: Passage
  headers: string[]
}

async function ask(exchange: Sendable, endpoint: Endpoint, { upstream, passage, headers }: Asked, signal: AbortSignal): Promise<[id: string, entry: object][]> {
  const { trace } = exchange
  const { vendor } = endpoint.dialect
  const began = performance.now()
  const attempt = { error: null as string | null, ms: 0, status: null as number | null, upstream: upstream.name }
  const span = exchange.spans?.attempt(upstream)
  try {
    trace.attempts.push(attempt)
    const {
      statusCode,
      headers: answered,
      body,
    } = await upstream.pool.request({
      method: 'GET',
      path: pathOn(upstream, endpoint) + vendor.models.query,
      headers: withTrace(headers, span),
      signal,
    })
    attempt.status = statusCode
    passage.saw(attempt, answered['retry-after'])
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > ANSWER_BYTES_MAX) throw new Error('The list of models is too long.')
      chunks.push(chunk)
    }
    if (statusCode !== 200) throw new Error(`The provider answered ${statusCode}.`)
    return vendor.models.read(JSON.parse(Buffer.concat(chunks).toString()))
  } catch (error) {
    attempt.error ??= exchange.gone ? 'CLIENT_LEFT' : signal.aborted ? 'LIST_TIMEOUT' : codeOf(error)
    if (attempt.status === null && !signal.aborted) passage.saw(attempt)
    throw error
  } finally {
    passage.leave(attempt)
    span?.ended(attempt)
    attempt.ms = Math.round(performance.now() - began)
    trace.upstreamMs = Math.max(trace.upstreamMs ?? 0, attempt.ms)
  }
}
