/** The one way out: every connection this program opens to an upstream or a webhook comes from here and has been judged by the guard. */
import { createRequire } from 'node:module'
import { isIP, type LookupFunction } from 'node:net'
import type { buildConnector, Dispatcher, Pool } from 'undici'
import { parseOutgoingUrl } from './check-url.ts'
import { createGuard, type Guard, type GuardOptions } from './guard.ts'
import { createLookup } from './lookup.ts'

// What opens connections, and no more: all of undici takes 75 ms and 5 MB.
const load = createRequire(import.meta.url)
const OriginPool = load('undici/lib/dispatcher/pool.js') as typeof Pool
const connectorOf = load('undici/lib/core/connect.js') as typeof buildConnector
// Of the ways to ask a pool for something, which all of undici gives it, the one that is used beside `dispatch`.
const { prototype } = load('undici/lib/dispatcher/dispatcher.js') as { prototype: Partial<Dispatcher> }
prototype.request ??= load('undici/lib/api/api-request.js') as Dispatcher['request']

export interface EgressPoolOptions {
  /** Most connections to this origin at once; calls beyond it wait in the pool, whose length the caller bounds. */
  connections?: number
  /** Name resolution, TCP and TLS together. */
  connectMs?: number
  /** From the request's last byte to the answer's headers. */
  firstByteMs?: number
  /** Between two chunks of an answer. */
  idleMs?: number
  /** Bytes of an answer's body; more is an error. Unlimited when left out. */
  responseBytesMax?: number
  /** Certificate authorities to trust instead of the machine's, PEM. */
  ca?: string | readonly string[]
}

export interface Egress {
  /** Connections to one origin. The caller closes the pool. Throws EgressRefused when the origin is not a plain http(s) one. */
  pool: (origin: string, options?: EgressPoolOptions) => Pool
  /** Judges a URL before it is stored; throws EgressRefused with a sentence for whoever set it. */
  check: Guard['check']
}

/** Of a pool for which nobody says how many. */
export const CONNECTIONS_MAX = 256
const CONNECT_MS = 5_000
const FIRST_BYTE_MS = 600_000
const IDLE_MS = 300_000
const NEXT_ADDRESS_MS = 500

/**
 * `own` lists this process's listeners, which are refused even where EGRESS_ALLOW opens their address; it is asked at every connection.
 * A refused connection fails its calls with EgressRefused (code EGRESS_REFUSED); all other failures keep undici's and Node's own codes.
 */
export function createEgress({
  allow,
  lookup = createLookup(),
  own = () => [],
  internetClosedBy = null,
  connectTimeoutMs = CONNECT_MS,
}: Pick<GuardOptions, 'allow' | 'internetClosedBy'> & Partial<GuardOptions> & { connectTimeoutMs?: number }): Egress {
  const guard = createGuard({ allow, lookup, own, internetClosedBy })

  const pool = (origin: string, options: EgressPoolOptions = {}): Pool => {
    const { url, host, port } = parseOutgoingUrl(origin, 'optional')
    return new OriginPool(url.origin, {
      connect: guardedConnector(guard, { host, port, connectMs: options.connectMs ?? connectTimeoutMs, ca: options.ca }),
      connections: options.connections ?? CONNECTIONS_MAX,
      pipelining: 1,
      allowH2: false, // undici's HTTP/2 default costs 59 % more CPU and five times the p99
      headersTimeout: options.firstByteMs ?? FIRST_BYTE_MS,
      bodyTimeout: options.idleMs ?? IDLE_MS,
      maxResponseSize: options.responseBytesMax ?? -1,
    })
  }
  return { pool, check: guard.check }
}

/**
 * The guard sits in the connector because undici and Node never call `lookup` for a host that is an address. So an address is judged here,
 * a name inside `lookup`, whose judged addresses are the only ones Node then tries, and the peer once more when it is connected.
 */
function guardedConnector(
  guard: Guard,
  { host, port, connectMs, ca }: { host: string; port: number; connectMs: number; ca: EgressPoolOptions['ca'] },
): buildConnector.connector {
  const isAddress = isIP(host) !== 0
  const lookup: LookupFunction = (_name, options, callback) => {
    guard.addressesOf(host, port).then(
      (addresses) => {
        const found = addresses.map((address) => ({ address, family: isIP(address) }))
        if (options.all) callback(null, found)
        else callback(null, found[0].address, found[0].family)
      },
      (error: Error) => callback(error, []),
    )
  }
  const connect = connectorOf({
    allowH2: false,
    timeout: connectMs,
    lookup,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
    rejectUnauthorized: true, // said aloud, so that NODE_TLS_REJECT_UNAUTHORIZED changes nothing
    minVersion: 'TLSv1.2',
    ...(ca === undefined ? {} : { ca: typeof ca === 'string' ? ca : [...ca] }),
  })
  return ({ protocol, host: authority }, callback) => {
    if (isAddress) {
      try {
        guard.judge(host, host, port)
      } catch (error) {
        return queueMicrotask(() => callback(error as Error, null)) // undici does not expect an answer while it asks
      }
    }
    // The server's name is the pool's own: undici would take it from a call's Host header.
    const target = { protocol, hostname: host, port: String(port), servername: isAddress ? '' : host }
    connect(authority === undefined ? target : { ...target, host: authority }, (error, socket) => {
      if (error) return callback(error, null)
      try {
        guard.judge(host, socket.remoteAddress ?? '', port)
      } catch (refused) {
        socket.destroy()
        return callback(refused as Error, null)
      }
      callback(null, socket)
    })
  }
}
