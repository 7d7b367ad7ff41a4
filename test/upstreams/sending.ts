/** Attempts over real sockets: servers on loopback as upstreams, and calls that are sent to them. */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after } from 'node:test'
import { type Endpoint, endpointOf } from '../../src/dialects/endpoint.ts'
import { parseEgressAllow } from '../../src/egress/allow.ts'
import { createEgress } from '../../src/egress/dispatcher.ts'
import { type Sendable, send } from '../../src/upstreams/send.ts'
import { createStanding, type StandingOptions } from '../../src/upstreams/standing.ts'
import type { Upstream } from '../../src/upstreams/upstream.ts'

const egress = createEgress({ allow: parseEgressAllow('127.0.0.1') })
export const endpoint = endpointOf('POST', '/v1/chat/completions', {}) as Endpoint

type Ended = { status: number | null; error: string | null }

/** An upstream that answers like this; null: nobody listens there. */
export async function upstreamOn(
  answer: RequestListener | null,
  fields: Partial<Upstream> = {},
  standing: Partial<StandingOptions> = {},
): Promise<{ upstream: Upstream; seen: Ended[]; requests: IncomingMessage[] }> {
  const requests: IncomingMessage[] = []
  const server = createServer((request, response) => {
    requests.push(request)
    answer?.(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  if (answer === null) await new Promise((resolve) => server.close(resolve))
  const pool = egress.pool(`http://127.0.0.1:${port}`)
  after(async () => {
    await pool.destroy()
    server.closeAllConnections()
    server.close()
  })
  const seen: Ended[] = []
  const name = fields.name ?? 'u'
  const health = { saw: (_: unknown, { status, error }: Ended) => void seen.push({ status, error }) }
  const upstream: Upstream = {
    name,
    dialects: ['openai-chat'],
    priority: 0,
    origin: `http://127.0.0.1:${port}`,
    basePath: '',
    pool,
    credential: null,
    passthrough: false,
    queueMax: 9,
    serves: ['*'],
    priceOf: () => null,
    costOf: () => null,
    totalMs: 60_000,
    standing: createStanding({
      name: { name, tenantId: null },
      hasBreaker: true,
      passthrough: false,
      now: () => performance.now(),
      wallNow: Date.now,
      health,
      ...standing,
    }),
    isCurrent: () => true,
    ...fields,
  }
  return { upstream, seen, requests }
}

/** What became of a call: the error it ended with, what was pushed into the sink, and what was written down of it. */
export interface Sent {
  error: unknown
  status: number | null
  headers: string[]
  text: string
  trace: Sendable['trace']
}

export interface Exchange {
  gone: boolean
  busyWith: { interrupt(): void } | null
}

export async function sendTo(
  upstreams: readonly Upstream[],
  { during, at = endpoint, method = 'POST' }: { during?: (exchange: Exchange) => void; at?: Endpoint; method?: string } = {},
): Promise<Sent> {
  const trace: Sendable['trace'] = { waitedMs: 0, overheadMs: null, firstByteMs: null, upstreamMs: null, attempts: [], asked: [], untilClose: false }
  const exchange = {
    incoming: { method, headers: {}, rawHeaders: [] } as unknown as IncomingMessage,
    outgoing: { writableNeedDrain: false } as ServerResponse,
    gone: false,
    signal: new AbortController().signal,
    busyWith: null,
    startedAt: 0,
    trace,
  }
  const sent: Sent = { error: null, status: null, headers: [], text: '', trace }
  const sink = {
    head(status: number, headers: string[]) {
      Object.assign(sent, { status, headers })
    },
    data(chunk: Buffer) {
      sent.text += chunk
      return true
    },
    end() {},
    error() {},
  }
  const sending = { endpoint: at, query: '', headers: [], type: 'application/json', body: Buffer.from('{}') }
  // Nobody waits longer than he must: of full jitter, the least.
  const sentNow = send(exchange, sending, upstreams, sink, undefined, () => 0).catch((error: unknown) => {
    sent.error = error
  })
  during?.(exchange)
  await sentNow
  return sent
}
