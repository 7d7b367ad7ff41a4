/** What answers on the proxy's port: model calls go into the pipeline on the raw response, everything else is a web request. */
import type { RequestListener, ServerResponse } from 'node:http'
import { getRequestListener, RequestError } from '@hono/node-server'
import { Hono } from 'hono'
import type { Dialect, Page } from '../dialects/dialect.ts'
import { earthflowProxy } from '../dialects/earthflow-proxy.ts'
import { endpointOf, isClientLibrary, isProviderPath, nativeDialectOf } from '../dialects/endpoint.ts'
import { Refusal } from '../errors.ts'
import { newId } from '../ids.ts'
import type { Arrival } from '../pipeline/run.ts'

export interface ProxyParts {
  run(arrival: Arrival): Promise<void>
  /** The management API: its own paths, and whatever nobody else answers. */
  admin: { fetch(request: Request): Promise<Response> }
  /** Health, information and metrics. */
  operations: Hono
  /** A surprise: its details are for the log alone. */
  report(error: unknown): void
}

/** What begins like a provider's path and is the management API's, in this version or a later one. */
const MANAGEMENT =
  /^\/v1\/(?:tenants|rules|dictionaries|audit|webhooks|escalations|upstreams|prices|budgets|costs|agents|quarantine|users|auth|sessions|dashboard|ops)(?:\/|$)/
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])

export function createApp({ run, admin, operations, report }: ProxyParts): RequestListener {
  const failed = (error: unknown): Response => {
    if (error instanceof RequestError) return responseOf(new Refusal('invalid_request', 'The request’s host or path cannot be read.'))
    report(error)
    return responseOf(new Refusal('internal', 'Earthflow could not answer this request.'))
  }
  const app = new Hono()
  app.route('/', operations)
  app.all('*', (c) => admin.fetch(c.req.raw))
  app.onError(failed)
  const web = getRequestListener(app.fetch, { autoCleanupIncoming: false, errorHandler: failed })

  // By the path as it was sent, and before it becomes a web request: Hono takes dot segments and hosts out of paths, and answers HEAD by itself.
  return (incoming, outgoing) => {
    const { method = '', headers } = incoming
    const path = pathOf(incoming.url)
    const isLibrary = isClientLibrary(headers)
    if (isProviderPath(path) && (isLibrary || !MANAGEMENT.test(path))) {
      const endpoint = METHODS.has(method) ? endpointOf(method, path, headers) : notServed(method)
      if (endpoint instanceof Refusal) respond(outgoing, pageOf(nativeDialectOf(path, headers), endpoint))
      else void run({ incoming, outgoing, endpoint })
    } else if (isLibrary) {
      const refusal = new Refusal('not_found', 'No provider has this path; those of client libraries begin with /v1, /v1beta or /openai.')
      respond(outgoing, pageOf(nativeDialectOf(path, headers), refusal))
    } else void web(incoming, outgoing)
  }
}

const pathOf = (url = ''): string => url.split('?', 1)[0]
const notServed = (method: string): Refusal => new Refusal('method_not_allowed', `There is no ${method} here.`, { headers: ['allow', [...METHODS].join(', ')] })

/** A refusal outside the pipeline: there is no exchange yet, and no row. */
function pageOf({ vendor }: Dialect, refusal: Refusal): Page {
  const requestId = newId('req')
  const { status, headers, body } = vendor.refuse(refusal, requestId)
  return { status, headers: [...headers, vendor.requestIdHeader, requestId, 'x-earthflow-request-id', requestId, 'x-earthflow-decision', 'rejected'], body }
}

function respond(outgoing: ServerResponse, { status, headers, body }: Page): void {
  outgoing.writeHead(status, [...headers, 'content-length', String(Buffer.byteLength(body))]).end(body)
}

function responseOf(refusal: Refusal): Response {
  const { status, headers, body } = pageOf(earthflowProxy, refusal)
  return new Response(body, { status, headers: Array.from({ length: headers.length / 2 }, (_, i): [string, string] => [headers[2 * i], headers[2 * i + 1]]) })
}
