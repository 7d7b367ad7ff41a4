/** What answers on the proxy's port: model calls go into the pipeline on the raw response, everything else is a web request. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { getRequestListener, type HttpBindings, RequestError } from '@hono/node-server'
import { Hono } from 'hono'
import type { Dialect, Page } from '../dialects/dialect.ts'
import { earthflowProxy } from '../dialects/earthflow-proxy.ts'
import { endpointOf, isClientLibrary, isProviderPath, nativeDialectOf } from '../dialects/endpoint.ts'
import { Refusal } from '../errors.ts'
import { newId } from '../ids.ts'
import type { Arrival } from '../pipeline/run.ts'
import { createHostCheck } from './allowed-hosts.ts'
import { createCrossOrigin } from './cross-origin.ts'
import { GUARDED } from './early-refusal.ts'
import type { LoadShedder } from './load-shedding.ts'

type Peer = Arrival['peer']

export interface ProxyParts {
  run(arrival: Arrival): Promise<void>
  /** The management API: its own paths, and whatever nobody else answers. */
  admin: { fetch(request: Request, peer: Peer): Promise<Response> }
  /** Health, information and metrics. */
  operations: Hono
  /** Begins calls, or turns them away. */
  shedder: Pick<LoadShedder, 'take'>
  /** From whom a request is. */
  peerOf(incoming: IncomingMessage): Peer
  /** Whether nobody is answered, but on health, who has not shown a client certificate. */
  needsCertificate: boolean
  /** Names by which Earthflow may be asked; null: any. */
  allowedHosts: readonly string[] | null
  /** Whose pages may use it from a browser, as `https://host`. */
  allowedOrigins: readonly string[]
  /** Whether browsers are to remember that there is TLS here: not in development, which speaks both. */
  isStrictTransport: boolean
  /** A surprise: its details are for the log alone. */
  report(error: unknown): void
}

/** What begins like a provider's path and is the management API's, in this version or a later one. */
const MANAGEMENT =
  /^\/v1\/(?:tenants|rules|dictionaries|audit|webhooks|escalations|upstreams|prices|budgets|costs|agents|quarantine|users|auth|sessions|dashboard|ops)(?:\/|$)/
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])
/** Told to everybody: whoever asks is a load balancer, which has no certificate and asks for an address. */
const HEALTH = new Set(['/health', '/health/live', '/health/ready'])

/** For HTTP/1.0, in which a load balancer may ask for our health without saying whom it asks. */
const NO_HOST = 'localhost'
/** A year (RFC 6797). */
const STRICT_TRANSPORT = ['strict-transport-security', 'max-age=31536000'] as const

export function createApp(parts: ProxyParts): RequestListener {
  const { run, admin, operations, shedder, peerOf, needsCertificate, report } = parts
  const isAllowedHost = parts.allowedHosts && createHostCheck(parts.allowedHosts)
  const crossOrigin = parts.allowedOrigins.length > 0 ? createCrossOrigin(parts.allowedOrigins) : null
  const guarded = parts.isStrictTransport ? [...GUARDED, STRICT_TRANSPORT] : GUARDED

  const failed = (error: unknown): Response => {
    if (error instanceof RequestError) return responseOf(new Refusal('invalid_request', 'The request’s host or path cannot be read.'))
    report(error)
    return responseOf(new Refusal('internal', 'Earthflow could not answer this request.'))
  }
  const app = new Hono<{ Bindings: HttpBindings }>()
  app.route('/', operations)
  app.all('*', (c) => admin.fetch(c.req.raw, peerOf(c.env.incoming)))
  app.onError(failed)
  const listener = getRequestListener(app.fetch, { hostname: NO_HOST, autoCleanupIncoming: false, errorHandler: failed })
  const web = (incoming: IncomingMessage, outgoing: ServerResponse, own: readonly string[] | undefined): void => {
    for (const [name, value] of guarded) outgoing.setHeader(name, value)
    for (let i = 0; own && i < own.length; i += 2) outgoing.setHeader(own[i], own[i + 1])
    if (incoming.headers.expect !== undefined) outgoing.writeContinue() // what listens reads bodies, and knows nothing of this
    void listener(incoming, outgoing)
  }

  // By the path as it was sent, and before it becomes a web request: Hono takes dot segments and hosts out of paths, and answers HEAD by itself.
  return (incoming, outgoing) => {
    const { method = '', headers } = incoming
    const path = pathOf(incoming.url)
    const isLibrary = isClientLibrary(headers)
    const isForProvider = isProviderPath(path) && (isLibrary || !MANAGEMENT.test(path))
    const own = crossOrigin?.headersFor(incoming)
    const isClosed = (isAllowedHost !== null || needsCertificate) && !isHealth(method, path)
    const isElsewhere = isClosed && isAllowedHost !== null && !isAllowedHost(incoming)
    // A browser asks this without its certificate (Fetch, section 4.8).
    const preflight = isElsewhere || crossOrigin === null ? null : crossOrigin.preflight(incoming)
    if (preflight) return void outgoing.writeHead(204, [...preflight]).end()
    const peer = peerOf(incoming)
    const closed = isElsewhere ? misdirected() : isClosed && needsCertificate && peer.certificate === null ? noCertificate() : null

    if (isForProvider) {
      const endpoint = closed ?? (METHODS.has(method) ? endpointOf(method, path, headers) : notServed(method))
      if (endpoint instanceof Refusal) respond(outgoing, pageOf(nativeDialectOf(path, headers), endpoint), own)
      else {
        const startedAt = performance.now()
        const shed = shedder.take(outgoing, () => run({ incoming, outgoing, endpoint, peer, headers: own, startedAt }))
        if (shed !== null) respond(outgoing, pageOf(endpoint.dialect, overloaded()), own)
      }
    } else if (isLibrary) respond(outgoing, pageOf(nativeDialectOf(path, headers), closed ?? noPath()), own)
    else if (closed) respond(outgoing, pageOf(earthflowProxy, closed), own)
    else web(incoming, outgoing, own)
  }
}

const pathOf = (url = ''): string => url.split('?', 1)[0]
const notServed = (method: string): Refusal => new Refusal('method_not_allowed', `There is no ${method} here.`, { headers: ['allow', [...METHODS].join(', ')] })
const noPath = (): Refusal => new Refusal('not_found', 'No provider has this path; those of client libraries begin with /v1, /v1beta or /openai.')
const overloaded = (): Refusal => new Refusal('overloaded', 'Earthflow has more to do than it can; try again in a moment.', { headers: ['retry-after', '1'] })
const isHealth = (method: string, path: string): boolean => HEALTH.has(path) && (method === 'GET' || method === 'HEAD')
const misdirected = (): Refusal => new Refusal('misdirected', 'Earthflow is not asked by this host name here: ALLOWED_HOSTS does not have it.')
const noCertificate = (): Refusal => new Refusal('certificate_required', 'Show a client certificate: this Earthflow answers nobody without one.')

/** A refusal outside the pipeline: there is no exchange yet, and no row. */
function pageOf({ vendor }: Dialect, refusal: Refusal): Page {
  const requestId = newId('req')
  const { status, headers, body } = vendor.refuse(refusal, requestId)
  return { status, headers: [...headers, vendor.requestIdHeader, requestId, 'x-earthflow-request-id', requestId, 'x-earthflow-decision', 'rejected'], body }
}

function respond(outgoing: ServerResponse, { status, headers, body }: Page, own: readonly string[] = []): void {
  outgoing.writeHead(status, [...own, ...headers, 'content-length', String(Buffer.byteLength(body))]).end(body)
}

function responseOf(refusal: Refusal): Response {
  const { status, headers, body } = pageOf(earthflowProxy, refusal)
  return new Response(body, { status, headers: Array.from({ length: headers.length / 2 }, (_, i): [string, string] => [headers[2 * i], headers[2 * i + 1]]) })
}
