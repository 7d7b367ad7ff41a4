/** What answers on the dashboard's port: its pages, and how Earthflow is for whoever looks after the process. */
import type { IncomingMessage, RequestListener } from 'node:http'
import { TLSSocket } from 'node:tls'
import { getRequestListener, type HttpBindings, RequestError } from '@hono/node-server'
import { Hono } from 'hono'
import type { Peer } from './api.ts'
import type { Dashboard } from './dashboard.ts'

export interface RequestListenerParts {
  dashboard: Pick<Dashboard, 'fetch'>
  /** Health and metrics. */
  operations: Hono
  peerOf(incoming: IncomingMessage): Peer
  /** By which names it may be asked; null: by any. */
  isAllowedHost: ((incoming: IncomingMessage) => boolean) | null
  /** Whether nobody sees a page who has not shown a client certificate. */
  needsCertificate: boolean
  /** Somebody else speaks TLS in front. */
  isTerminated: boolean
  /** Whether browsers are to remember that there is TLS here. */
  isStrictTransport: boolean
  report(error: unknown): void
}

/** Told to everybody, as on the proxy's port. */
const HEALTH = ['/health', '/health/live', '/health/ready']
const METRICS = '/v1/dashboard/metrics'
/** A year (RFC 6797). */
const STRICT_TRANSPORT = 'max-age=31536000'
/** For HTTP/1.0, in which a load balancer may ask without saying whom. */
const NO_HOST = 'localhost'
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i

export function createRequestListener(parts: RequestListenerParts): RequestListener {
  const { dashboard, operations, peerOf, isAllowedHost, needsCertificate, isTerminated, isStrictTransport, report } = parts
  /** Through a tunnel to this machine a browser speaks plain HTTP also where a proxy would speak TLS. */
  const isEncrypted = ({ socket, headers: { host = '' } }: IncomingMessage): boolean => (isTerminated ? !LOOPBACK.test(host) : socket instanceof TLSSocket)
  const app = new Hono<{ Bindings: HttpBindings }>()
  for (const path of [...HEALTH, METRICS]) app.all(path, (c) => operations.fetch(c.req.raw))
  app.all('*', async (c): Promise<Response> => {
    const { incoming } = c.env
    if (isAllowedHost && !isAllowedHost(incoming)) return c.text('The dashboard is not asked by this host name here: ALLOWED_HOSTS does not have it.', 421)
    const peer = peerOf(incoming)
    if (needsCertificate && peer.certificate === null) return c.text('Show a client certificate: this Earthflow answers nobody without one.', 403)
    return dashboard.fetch(c.req.raw, { peer, isEncrypted: isEncrypted(incoming) })
  })
  const failed = (error: unknown): Response => {
    if (error instanceof RequestError) return new Response('The request’s host or path cannot be read.', { status: 400 })
    report(error)
    return new Response('Earthflow could not answer this request.', { status: 500 })
  }
  app.onError(failed)
  const listener = getRequestListener(app.fetch, { hostname: NO_HOST, autoCleanupIncoming: false, errorHandler: failed })

  return (incoming, outgoing) => {
    outgoing.setHeader('x-content-type-options', 'nosniff')
    if (isStrictTransport && isEncrypted(incoming)) outgoing.setHeader('strict-transport-security', STRICT_TRANSPORT)
    if (incoming.headers.expect !== undefined) outgoing.writeContinue() // forms are read without being asked for
    void listener(incoming, outgoing)
  }
}
