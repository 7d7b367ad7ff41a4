/** What answers on the proxy's port: model calls go into the pipeline on the raw response, everything else is a web request. */

import type { RequestListener } from 'node:http'
import type { HttpBindings } from '@hono/node-server'
import { getRequestListener } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono } from 'hono'
import { anthropicMessages } from '../dialects/anthropic-messages.ts'
import type { Dialect } from '../dialects/dialect.ts'
import { dialects } from '../dialects/index.ts'
import { Refusal } from '../errors.ts'
import { newId } from '../ids.ts'
import type { Arrival } from '../pipeline/run.ts'

export interface ProxyParts {
  run(arrival: Arrival): Promise<void>
  /** The management API: every path that no dialect and no operation answers. */
  admin: { fetch(request: Request): Promise<Response> }
  /** Health, information and metrics. */
  operations: Hono
}

export function createApp({ run, admin, operations }: ProxyParts): RequestListener {
  const app = new Hono<{ Bindings: HttpBindings }>()
  for (const dialect of dialects) {
    for (const path of dialect.paths) {
      app.post(path, ({ env: { incoming, outgoing } }) => {
        // Hono compares paths after dot segments and hosts were taken out of them. What is not spelled like the path is not the path.
        if (!isSpelled(incoming.url, path)) return pageOf(dialect, new Refusal('invalid_request', `Write the path as ${path}.`))
        // The handler returns at once: the exchange lives on the raw response, not in Hono's context.
        void run({ incoming, outgoing, dialect, endpoint: path })
        return RESPONSE_ALREADY_SENT
      })
      app.all(path, (c) => {
        return pageOf(dialect, new Refusal('method_not_allowed', `This path answers POST, not ${c.req.method}.`, { headers: ['allow', 'POST'] }))
      })
    }
  }
  // What an Anthropic or Gemini library asks for is never a management call, whatever its path.
  app.use(async (c, next) => {
    if (c.req.header('anthropic-version') === undefined && c.req.header('x-goog-api-client') === undefined) return next()
    return pageOf(anthropicMessages, new Refusal('not_found', 'Earthflow does not serve this path of the provider.'))
  })
  app.route('/', operations)
  app.all('*', (c) => admin.fetch(c.req.raw))
  return getRequestListener(app.fetch, { autoCleanupIncoming: false })
}

const isSpelled = (url = '', path: string): boolean => url.startsWith(path) && (url.length === path.length || url[path.length] === '?')

/** A refusal outside the pipeline: there is no exchange yet, and no row. */
function pageOf(dialect: Dialect, refusal: Refusal): Response {
  const requestId = newId('req')
  const { status, headers, body } = dialect.refuse(refusal, requestId)
  const all = [...headers, dialect.requestIdHeader, requestId, 'x-earthflow-request-id', requestId, 'x-earthflow-decision', 'rejected']
  return new Response(body, { status, headers: Array.from({ length: all.length / 2 }, (_, i): [string, string] => [all[2 * i], all[2 * i + 1]]) })
}
