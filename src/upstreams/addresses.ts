/** Where a provider says its own address, it is told as ours: else what follows would pass by the rules, and the caller's key would go to a stranger. */
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import type { Endpoint } from '../dialects/endpoint.ts'
import { Failure } from '../errors.ts'
import { headerOf, type Sink } from '../sink.ts'
import { pathFrom, type Upstream } from './upstream.ts'

/** Whose answer it is, and who asked. */
export interface Place {
  endpoint: Endpoint
  upstream: Upstream
  incoming: IncomingMessage
}

/** An answer that leads elsewhere. */
export class Redirected extends Error {
  readonly code = 'REDIRECTED'
}

const SCHEMES = /^https?\b/

/** Our address for one of the provider's; null where it is not the provider's. */
function ours(address: string, { endpoint, upstream, incoming: { headers, socket } }: Place): string | null {
  const url = URL.parse(address)
  if (url?.origin !== upstream.origin) return null
  const scheme = SCHEMES.exec(String(headers['x-forwarded-proto']))?.[0] ?? (socket instanceof TLSSocket ? 'https' : 'http')
  const prefix = endpoint.upstream === null ? '' : `/u/${encodeURIComponent(endpoint.upstream)}`
  return `${scheme}://${headers.host}${prefix}${pathFrom(upstream, endpoint, url.pathname)}${url.search}`
}

const HEADERS: ReadonlySet<string> = new Set(['location', 'content-location', 'operation-location', 'x-goog-upload-url', 'x-goog-upload-control-url'])

/** The headers of an answer, changed in place. Throws a Failure where an upload would go on at a third party. */
export function headersThroughUs(headers: string[], place: Place): string[] {
  for (let i = 0; i < headers.length; i += 2) {
    if (!HEADERS.has(headers[i])) continue
    const told = ours(headers[i + 1], place)
    if (told !== null) headers[i + 1] = told
    else if (headers[i].startsWith('x-goog-upload-')) throw new Failure('upstream_unreachable', new Redirected())
  }
  return headers
}

/** Anthropic's library fetches the results of a batch from where the batch says they are. */
const BATCHES = /^\/v1\/messages\/batches(?:\/|$)/
const RESULTS_URL = /("results_url"\s*:\s*")([^"\\]*)"/g
/** A list of a thousand batches is a tenth of it. */
const BODY_BYTES_MAX = 8 << 20

/** Holds an answer about batches whole, and changes nothing in it but the addresses. */
export class AddressSink implements Sink {
  readonly #place: Place
  readonly #inner: Sink
  #head: { status: number; headers: string[] } | undefined
  #chunks: Buffer[] = []
  #bytes = 0
  constructor(place: Place, inner: Sink) {
    this.#place = place
    this.#inner = inner
  }

  static isNeeded({ endpoint: { path, dialect }, incoming: { method } }: Place): boolean {
    return dialect.vendor.name === 'anthropic' && method !== 'HEAD' && BATCHES.test(path)
  }

  head(status: number, headers: string[]): void {
    const isJson =
      status === 200 && /^application\/json\b/i.test(headerOf(headers, 'content-type') ?? '') && headerOf(headers, 'content-encoding') === undefined
    if (isJson) this.#head = { status, headers }
    else this.#inner.head(status, headers)
  }

  data(chunk: Buffer): boolean {
    if (!this.#head) return this.#inner.data(chunk)
    this.#bytes += chunk.length
    if (this.#bytes > BODY_BYTES_MAX) throw new Failure('reply_unreadable', new Error('The answer about batches is too long.'))
    this.#chunks.push(chunk)
    return true
  }

  end(): void {
    if (this.#head) {
      const { status, headers } = this.#head
      // As Latin-1, so that every other byte stays what it is.
      const body = Buffer.concat(this.#chunks).toString('latin1')
      const told = Buffer.from(
        body.replaceAll(RESULTS_URL, (whole, name: string, address: string) => {
          const here = ours(address, this.#place)
          return here === null ? whole : `${name}${here}"`
        }),
        'latin1',
      )
      const others = headers.flatMap((item, i) => (i % 2 === 0 && item !== 'content-length' ? [item, headers[i + 1]] : []))
      this.#inner.head(status, [...others, 'content-length', String(told.length)])
      if (told.length > 0) this.#inner.data(told)
    }
    this.#inner.end()
  }

  error(): void {
    this.#chunks = []
    this.#inner.error()
  }
}
