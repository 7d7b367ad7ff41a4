/** The models a tenant may use, asked of every upstream of a vendor at once and answered as one list in that vendor's shape. */
import { Failure } from '../errors.ts'
import { matchesPattern } from '../model-pattern.ts'
import type { Sink } from '../sink.ts'
import { requestHeaders } from './headers.ts'
import { codeOf, type Sendable } from './send.ts'
import { pathOn, type Upstream } from './upstream.ts'

/** A coding agent waits three seconds for its list. Who has not answered by then is left out. */
const ANSWER_MS_MAX = 2_500
const ANSWER_BYTES_MAX = 4 << 20
const UPSTREAMS_MAX = 32
const MODELS_MAX = 10_000

/**
 * Pushes the list into the sink. Names an upstream serves by their exact name are in it even where its provider cannot be asked; of a provider's own
 * list, what the upstream's patterns and the tenant's let through. Throws a Failure where nobody answered and nothing is known.
 */
export async function listModels(exchange: Sendable, candidates: readonly Upstream[], allowed: readonly string[] | null, sink: Sink): Promise<void> {
  const { models } = exchange.dialect.vendor
  const isAllowed = (id: string): boolean => allowed === null || allowed.some((pattern) => matchesPattern(pattern, id))
  const deadline = AbortSignal.any([exchange.signal, AbortSignal.timeout(ANSWER_MS_MAX)])
  const lists = await Promise.allSettled(candidates.slice(0, UPSTREAMS_MAX).map((upstream) => ask(exchange, upstream, deadline)))
  const found = new Map<string, object>()
  const add = (id: string, entry: object): void => {
    if (isAllowed(id) && !found.has(id) && found.size < MODELS_MAX) found.set(id, entry)
  }
  candidates.forEach(({ serves }, index) => {
    const list = lists[index]
    if (list?.status === 'fulfilled') for (const [id, entry] of list.value) if (serves.some((pattern) => matchesPattern(pattern, id))) add(id, entry)
    for (const id of serves) if (!id.includes('*')) add(id, models.entry(id))
  })
  if (found.size === 0 && lists.every(({ status }) => status === 'rejected')) {
    sink.error()
    throw new Failure('upstream_unreachable', new Error('No upstream told its models.'))
  }
  const body = Buffer.from(JSON.stringify(models.list([...found])))
  sink.head(200, ['content-type', 'application/json', 'content-length', String(body.length)])
  sink.data(body)
  sink.end()
}

async function ask(exchange: Sendable, upstream: Upstream, signal: AbortSignal): Promise<[id: string, entry: object][]> {
  const { dialect, incoming, endpoint, trace } = exchange
  const began = performance.now()
  const attempt = { upstream: upstream.name, status: null as number | null, error: null as string | null, ms: 0 }
  trace.attempts.push(attempt)
  try {
    const { statusCode, body } = await upstream.pool.request({
      method: 'GET',
      path: pathOn(upstream, endpoint) + dialect.vendor.models.query,
      headers: requestHeaders(incoming.rawHeaders, upstream, dialect, null),
      signal,
    })
    attempt.status = statusCode
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > ANSWER_BYTES_MAX) throw new Error('The list of models is too long.')
      chunks.push(chunk)
    }
    if (statusCode !== 200) throw new Error(`The provider answered ${statusCode}.`)
    return dialect.vendor.models.read(JSON.parse(Buffer.concat(chunks).toString()))
  } catch (error) {
    attempt.error ??= codeOf(error)
    throw error
  } finally {
    attempt.ms = Math.round(performance.now() - began)
    trace.upstreamMs = Math.max(trace.upstreamMs ?? 0, attempt.ms)
  }
}
