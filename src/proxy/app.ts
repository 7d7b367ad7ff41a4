/** What answers on the proxy's port: model calls go into the pipeline on the raw response, everything else is a web request. */

import type { RequestListener } from 'node:http'
import type { HttpBindings } from '@hono/node-server'
import { getRequestListener } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { type Context, Hono } from 'hono'
import type { Dialect } from '../dialects/dialect.ts'
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
}

/** What begins like a provider's path and is the management API's, in this version or a later one (design, section 4). */
const MANAGEMENT =
  /^\/v1\/(?:tenants|rules|dictionaries|audit|webhooks|escalations|upstreams|prices|budgets|costs|agents|quarantine|users|auth|sessions|dashboard|ops)(?:\/|$)/
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])

type Env = { Bindings: HttpBindings }

export function createApp({ run, admin, operations }: ProxyParts): RequestListener {
  const app = new Hono<Env>()

  const call = (c: Context<Env>): Response => {
    const { incoming, outgoing } = c.env
    const path = pathOf(incoming.url)
    const endpoint = METHODS.has(c.req.method) ? endpointOf(c.req.method, path, incoming.headers) : notServed(c.req.method)
    if (endpoint instanceof Refusal) return pageOf(nativeDialectOf(path, incoming.headers), endpoint)
    // The handler returns at once: the exchange lives on the raw response, not in Hono's context.
    void run({ incoming, outgoing, endpoint })
    return RESPONSE_ALREADY_SENT
  }

  // By the path as it was sent: Hono compares paths after dot segments and hosts were taken out of them.
  app.use(async (c, next) => {
    const path = pathOf(c.env.incoming.url)
    const isLibrary = isClientLibrary(c.env.incoming.headers)
    if (isProviderPath(path) && (isLibrary || !MANAGEMENT.test(path))) return call(c)
    if (!isLibrary) return next()
    return pageOf(
      nativeDialectOf(path, c.env.incoming.headers),
      new Refusal('not_found', 'No provider has this path; those of client libraries begin with /v1, /v1beta or /openai.'),
    )
  })
  app.route('/', operations)
  app.all('*', (c) => admin.fetch(c.req.raw))
  return getRequestListener(app.fetch, { autoCleanupIncoming: false })
}

const pathOf = (url = ''): string => url.split('?', 1)[0]
const notServed = (method: string): Refusal => new Refusal('method_not_allowed', `There is no ${method} here.`, { headers: ['allow', [...METHODS].join(', ')] })

/** A refusal outside the pipeline: there is no exchange yet, and no row. */
function pageOf({ vendor }: Dialect, refusal: Refusal): Response {
  const requestId = newId('req')
  const { status, headers, body } = vendor.refuse(refusal, requestId)
  const all = [...headers, vendor.requestIdHeader, requestId, 'x-earthflow-request-id', requestId, 'x-earthflow-decision', 'rejected']
  return new Response(body, { status, headers: Array.from({ length: all.length / 2 }, (_, i): [string, string] => [all[2 * i], all[2 * i + 1]]) })
}
