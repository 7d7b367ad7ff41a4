import { constants } from 'node:crypto'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type SecureContextOptions, TLSSocket, type TlsOptions, type Server as TlsServer } from 'node:tls'
import { isDeepStrictEqual } from 'node:util'
import { type ConnectionCounts, createConnections } from './connections.ts'
import {
  asText,
  type EarlyRefusal,
  endGently,
  LATE_CODE,
  NO_TUNNELS,
  NO_WEBSOCKETS,
  PLAIN_ON_TLS,
  respond,
  tooManyHeaders,
  UNMET_EXPECTATION,
  unreadable,
} from './early-refusal.ts'
import { LatestExchange } from './latest-exchange.ts'
import { createPortions } from './portions.ts'
import { originForm, refusalOf } from './strict-request.ts'

/** What the port speaks: TLS, plain HTTP behind somebody else's TLS, or whichever the client begins with (development). */
export type TlsMode = 'on' | 'terminated' | 'auto'

/** Times are milliseconds. */
export interface ListenerBounds {
  /** A request's head, and a connection's first one, must be there by then. */
  headersMs: number
  /** A connection without a request; longer than any load balancer's own idle time (usually 60 s), so that it is the one to close. */
  keepAliveMs: number
  handshakeMs: number
  headBytesMax: number
  headersMax: number
  /** The answer to the last one says `connection: close`. */
  requestsPerConnectionMax: number
  /** Connections beyond it are closed at once. */
  connectionsMax: number
  /** Those of one source: an address, of IPv6 a /64. */
  connectionsPerSourceMax: number
  /** Within a request's body. */
  bodyIdleMs: number
  /** A body has so long, and longer as long as it has come at `bodyBytesPerSecondMin` on average since its request began. */
  bodyMs: number
  bodyBytesPerSecondMin: number
  /** The largest body that anybody reads: how long one can take follows from it. */
  bodyBytesMax: number
  /**
   * For a peer that takes nothing of what waits for it. A backstop, for what is no model's reply (those have a bound of their own where they are relayed):
   * the system tells of progress in steps as large as its buffers, which a slow and honest reader needs more than half a minute for.
   */
  writeStallMs: number
}

const LISTENER_BOUNDS: ListenerBounds = {
  headersMs: 10_000,
  keepAliveMs: 65_000,
  handshakeMs: 10_000,
  headBytesMax: 16_384,
  headersMax: 200,
  requestsPerConnectionMax: 1_000,
  connectionsMax: 5_000,
  connectionsPerSourceMax: 1_024,
  bodyIdleMs: 30_000,
  bodyMs: 60_000,
  bodyBytesPerSecondMin: 65_536,
  bodyBytesMax: 32 * 1024 * 1024,
  writeStallMs: 120_000,
}

export interface ListenerOptions extends Partial<ListenerBounds> {
  tls: TlsOptions | null
  mode: TlsMode
  /** Whether an address may have any number of connections: that of a proxy in front, behind which everybody is. */
  isUncapped?: (address: string) => boolean
}

export interface ListenerCounts extends ConnectionCounts {
  /** Closed at once because there were too many in all, since the start. */
  refusedInAll: number
}

export interface Listener extends Omit<Server, 'close'> {
  readonly counts: () => ListenerCounts
  /** Every answer from now on says `connection: close`; new connections are still taken, and idle ones stay. */
  announceClose: () => void
  /**
   * Accepts nothing new, says `connection: close`, and tells `done` when every connection has closed; idle ones are closed after so long (0: at once), since a
   * client could be sending just now.
   */
  close: (done?: (error?: Error) => void, options?: { idleAfterMs?: number }) => Listener
  /**
   * Uses another certificate, and other authorities of client certificates, for connections from now on. With other authorities the connections made under
   * the old ones end: those that are idle at once, others with the answer they wait for. Throws, and keeps what was, when the new ones are unusable.
   */
  setSecureContext: (options: SecureContextOptions) => void
}

const TLS_HANDSHAKE = 0x16
const TLS_MIN = 'TLSv1.2'
/** Whoever renegotiates could show another certificate in the middle of a connection. */
const NO_RENEGOTIATION = constants.SSL_OP_NO_RENEGOTIATION
/** A resumed session is not verified again: not by authorities that have changed since, nor by the time. */
const NO_RESUMPTION = constants.SSL_OP_NO_TICKET
const CHECK_CONNECTIONS_MS = 1_000
const CLOSE_IDLE_EVERY_MS = 200
const SOCKET_BUFFER_BYTES = 65_536
/** Connections that are told so in one turn of the event loop, at 0.1 ms each. */
const LATE_PER_TURN = 4
/** Among what is offered (RFC 9110, section 7.8), a version apart. */
const OFFERS_WEBSOCKET = /(?:^|,)\s*websocket\s*(?:[/,]|$)/i

/**
 * One HTTP server behind every door: plain, TLS and intercepted connections all end in it, so its time limits, its count of connections
 * and its graceful close hold for all of them. (A second server that only gets 'connection' events enforces no header time-out and
 * closes no idle connection: both are set up when a server itself listens.)
 *
 * What reaches the handler with an `expect` header waits for a 100: whoever reads its body calls `outgoing.writeContinue()` first.
 * `close()` accepts nothing new, lets every call finish on a connection that then closes, and keeps enforcing the time limits; it has no
 * bound of its own, so whoever calls it decides when to `closeAllConnections()`.
 */
export function createListener(handler: RequestListener, options: ListenerOptions): Listener {
  const { tls, mode, isUncapped = () => false, ...some } = options
  const bounds = { ...LISTENER_BOUNDS, ...some }
  const server = createServer({
    noDelay: true,
    keepAlive: true,
    highWaterMark: SOCKET_BUFFER_BYTES,
    headersTimeout: bounds.headersMs,
    requestTimeout: Math.max(bounds.bodyMs, Math.ceil((bounds.bodyBytesMax / bounds.bodyBytesPerSecondMin) * 1_000)), // those that drip end sooner
    connectionsCheckingInterval: Math.min(CHECK_CONNECTIONS_MS, bounds.headersMs),
    keepAliveTimeout: bounds.keepAliveMs,
    maxHeaderSize: bounds.headBytesMax,
    insecureHTTPParser: false,
    requireHostHeader: false, // Node's own refusal says nothing; `admit` asks for it
    // Java's HTTP client offers h2c with every plain request and expects to be ignored; only WebSockets need an answer of their own.
    shouldUpgradeCallback: ({ headers }) => OFFERS_WEBSOCKET.test(headers.upgrade ?? ''),
  })
  server.maxHeadersCount = 0 // Node would silently drop what is beyond it; the size of the head bounds them, and `admit` refuses
  server.maxRequestsPerSocket = bounds.requestsPerConnectionMax
  // Among workers too: a connection is not passed round.
  Object.assign(server, { maxConnections: bounds.connectionsMax, dropMaxConnection: true })

  const latest = new Map<Duplex, LatestExchange>()
  const refused = new WeakSet<Duplex>()
  /** Connections that end with the answer under way: nothing that follows on them is a request. */
  const ending = new WeakSet<Duplex>()
  let closing = false

  const refuse = (socket: Duplex, refusal: EarlyRefusal): void => {
    if (refused.has(socket)) return // the parser complains again about every further chunk
    refused.add(socket)
    endGently(socket, refusal)
  }
  const refusalFor = (incoming: IncomingMessage): EarlyRefusal | null =>
    incoming.rawHeaders.length > 2 * bounds.headersMax ? tooManyHeaders(bounds.headersMax) : refusalOf(incoming)
  /** What follows a refusal on its connection is not acted upon: where one request ends may be just what is in doubt. */
  const refuseLast = (incoming: IncomingMessage, outgoing: ServerResponse, refusal: EarlyRefusal): void => {
    const before = latest.get(incoming.socket)
    if (before && !before.isAnswered) {
      refused.add(incoming.socket)
      respond(outgoing, refusal) // once it is its turn
    } else {
      incoming.on('error', () => {}).resume()
      refuse(incoming.socket, refusal)
    }
  }
  /** What follows could never be answered, so it is not acted upon either: its client may send it again elsewhere. */
  const endWith = (socket: Duplex, answer: ServerResponse): void => {
    ending.add(socket)
    answer.shouldKeepAlive = false
  }
  const admit = (incoming: IncomingMessage, outgoing: ServerResponse, unmet: EarlyRefusal | null = null): void => {
    const { socket } = incoming
    if (ending.has(socket) || refused.has(socket)) return
    const refusal = refusalFor(incoming) ?? unmet
    if (refusal) {
      refuseLast(incoming, outgoing, refusal)
      return
    }
    if (!latest.has(socket)) socket.once('close', () => latest.delete(socket))
    latest.set(socket, new LatestExchange(outgoing))
    connections.began((socket instanceof TLSSocket && outsideOf(socket)) || socket)
    // Node's parser drops what came together with an offer to upgrade, and would take the middle of the next one for its beginning.
    if (closing || incoming.headers.upgrade !== undefined) endWith(socket, outgoing)
    incoming.url = originForm(incoming.url ?? '')
    handler(incoming, outgoing)
  }

  server.on('request', (incoming, outgoing) => {
    // Only HTTP/1.0 gets here with one, and there it means nothing (RFC 9110, section 10.1.1).
    if (incoming.headers.expect !== undefined) delete incoming.headers.expect
    admit(incoming, outgoing)
  })
  // Without a listener Node would answer 100 by itself, before anybody has looked at the key. Where an answer goes out without a 100, Node
  // closes the connection: the client may or may not still send the body, and what follows could be read as either.
  server.on('checkContinue', (incoming, outgoing) => admit(incoming, outgoing))
  server.on('checkExpectation', (incoming, outgoing) => admit(incoming, outgoing, UNMET_EXPECTATION))
  server.on('upgrade', (incoming, socket) => refuse(socket, refusalFor(incoming) ?? NO_WEBSOCKETS))
  server.on('connect', (_incoming, socket) => {
    // Whoever ends tunnels listens too, and answers.
    if (server.listenerCount('connect') === 1) refuse(socket, NO_TUNNELS)
  })
  const giveUp = (code: string | undefined, socket: Duplex): void => {
    const exchange = latest.get(socket)
    // What comes behind the last request of a connection is nobody's: its answer goes out.
    if (exchange?.isComplete && (ending.has(socket) || (code === 'HPE_CLOSED_CONNECTION' && !exchange.isAnswered))) return
    const answer = exchange?.answer
    // In the middle of an answer, or while another one waits for its turn (it has no socket yet), nothing can be said any more.
    const mayAnswer = !answer || answer.writableFinished || (answer.socket !== null && !answer.headersSent)
    if (code === 'ECONNRESET' || (!refused.has(socket) && !(mayAnswer && socket.writable))) socket.destroy()
    else refuse(socket, unreadable(code, bounds.headBytesMax))
  }
  // All connections are looked at together, and for thousands the time may be over at once.
  const giveUpInTurn = createPortions<{ socket: Duplex; exchange: LatestExchange | undefined; isComplete: boolean | undefined }>({
    size: LATE_PER_TURN,
    each({ socket, exchange, isComplete }) {
      // What came while this one waited is not late any more.
      if (latest.get(socket) === exchange && exchange?.isComplete === isComplete) giveUp(LATE_CODE, socket)
    },
    later: setImmediate,
  })
  const late = (socket: Duplex): void => {
    const exchange = latest.get(socket)
    giveUpInTurn({ socket, exchange, isComplete: exchange?.isComplete })
  }
  server.on('clientError', ({ code }: NodeJS.ErrnoException, socket) => (code === LATE_CODE ? late(socket) : giveUp(code, socket)))

  /** The connection inside one of TLS, as HTTP knows it. */
  const inside = new WeakMap<Socket, TLSSocket>()
  let refusedInAll = 0
  server.on('drop', () => refusedInAll++)
  const connections = createConnections({
    perSourceMax: bounds.connectionsPerSourceMax,
    isUncapped,
    writeStallMs: bounds.writeStallMs,
    bodyIdleMs: bounds.bodyIdleMs,
    bodyMs: bounds.bodyMs,
    bodyBytesPerSecondMin: bounds.bodyBytesPerSecondMin,
    isReceiving: (socket) => latest.get(inside.get(socket) ?? socket)?.isComplete === false,
    late: (socket) => late(inside.get(socket) ?? socket),
    now: () => performance.now(),
  })

  const [accept] = server.listeners('connection') as [(this: Server, socket: Socket) => void]
  const openDoor = (options: TlsOptions | null): Door => {
    const sockets = new Set<TLSSocket>()
    const door: Door = {
      options,
      sockets,
      decrypt: createDecrypt(options, bounds.handshakeMs, (socket) => {
        if (door !== current) return socket.destroy() // the authorities changed while it shook hands
        sockets.add(socket)
        socket.once('close', () => sockets.delete(socket))
        const outer = outsideOf(socket)
        if (outer) inside.set(outer, socket)
        accept.call(server, socket)
      }),
    }
    return door
  }
  let current = mode === 'terminated' ? null : openDoor(tls)
  server.off('connection', accept)
  server.on('connection', (socket: Socket) => {
    if (socket instanceof TLSSocket) return accept.call(server, socket) // the inside of a tunnel, which has been counted, is already plain
    if (!connections.add(socket)) return
    if (!current) accept.call(server, socket)
    else if (mode === 'on') shakeHands(current.decrypt, socket)
    else sniff(socket, bounds.headersMs, (isTls) => (isTls && current ? shakeHands(current.decrypt, socket) : accept.call(server, socket)))
  })

  const announceClose = (): void => {
    closing = true
    for (const [socket, { answer }] of latest) if (answer && !answer.headersSent) endWith(socket, answer)
  }
  const closeIdle = (): void => {
    server.closeIdleConnections()
    // HTTP takes them for busy: their first request could be on its way. A balancer opens connections long before it needs them.
    for (const socket of connections.sockets()) if ((inside.get(socket) ?? socket).bytesRead === 0) socket.destroy()
  }
  const close = (done?: (error?: Error) => void, { idleAfterMs = 0 } = {}): Listener => {
    announceClose()
    let sweep: NodeJS.Timeout | undefined
    // A request that has come is read first: timers run before it is.
    const closeSoon = (): void => void setImmediate(closeIdle)
    const beginClosing = (): void => {
      closeSoon()
      sweep = setInterval(closeSoon, CLOSE_IDLE_EVERY_MS).unref()
    }
    const wait = idleAfterMs > 0 ? setTimeout(beginClosing, idleAfterMs).unref() : undefined
    if (!wait) beginClosing()
    server.once('close', () => {
      clearTimeout(wait)
      clearInterval(sweep)
    })
    // Not the HTTP server's own close(), which stops checking the time limits: a client that sends a byte now and then would hold the process.
    NetServer.prototype.close.call(server, done)
    return listener
  }
  const closeAllConnections = (): void => {
    for (const socket of connections.sockets()) socket.destroy() // more than HTTP knows: also who has said nothing yet, or is shaking hands
  }
  const counts = (): ListenerCounts => ({ ...connections.counts, refusedInAll })
  const setSecureContext = (context: SecureContextOptions): void => {
    if (!current) throw new Error('This listener speaks no TLS.')
    if (isDeepStrictEqual(context.ca, current.options?.ca)) {
      current.decrypt.setSecureContext(hardened(context))
      return
    }
    const { sockets, options } = current
    current = openDoor({ ...options, ...context })
    for (const socket of sockets) endAfterAnswer(socket)
  }
  const endAfterAnswer = (socket: TLSSocket): void => {
    ending.add(socket)
    const answer = latest.get(socket)?.answer
    if (!answer || answer.writableFinished) socket.destroy()
    else if (answer.headersSent) answer.once('finish', () => socket.destroySoon())
    else answer.shouldKeepAlive = false
  }
  const listener: Listener = Object.assign(server, { announceClose, close, closeAllConnections, setSecureContext, counts })
  return listener
}

/** Where TLS ends, with the connections whose clients its authorities identified. */
interface Door {
  options: TlsOptions | null
  decrypt: TlsServer
  sockets: ReadonlySet<TLSSocket>
}

/** With `ca`, clients are asked for a certificate. One that is shown and does not verify ends the connection; whether one is needed is for the handler to say. */
function createDecrypt(tls: TlsOptions | null, handshakeMs: number, accept: (socket: TLSSocket) => void): TlsServer {
  if (!tls) throw new Error('A listener that speaks TLS needs a key and a certificate.')
  const asks = { requestCert: tls.ca !== undefined, rejectUnauthorized: false }
  const decrypt = createTlsServer({ ...tls, ...hardened(tls), ...asks, ALPNProtocols: ['http/1.1'], handshakeTimeout: handshakeMs }, (socket) => {
    if (asks.requestCert && !socket.authorized && socket.getPeerX509Certificate() !== undefined) socket.destroy()
    else accept(socket)
  })
  decrypt.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    // The usual mistake is http:// for https://.
    if (error.code === 'ERR_SSL_HTTP_REQUEST') outsideOf(socket)?.end(asText(PLAIN_ON_TLS))
    socket.destroy()
  })
  return decrypt
}

/** Under a TLS socket lies the plain one (undocumented, hence the `?.`). */
const outsideOf = (socket: TLSSocket): Socket | undefined => (socket as { _parent?: Socket })._parent

const hardened = (context: SecureContextOptions): SecureContextOptions => ({
  ...context,
  minVersion: TLS_MIN,
  secureOptions: context.ca === undefined ? NO_RENEGOTIATION : NO_RENEGOTIATION | NO_RESUMPTION,
})

function shakeHands(decrypt: TlsServer, socket: Socket): void {
  socket.allowHalfOpen = false // HTTP servers want it, but it would keep a client that left during the handshake until the time-out
  decrypt.emit('connection', socket)
}

/** Tells by the first byte whether a client speaks TLS, and hands the connection on as if it had not been looked at. */
function sniff(socket: Socket, silenceMs: number, decide: (isTls: boolean) => void): void {
  const giveUp = (): void => {
    socket.destroy()
  }
  // Nobody else counts the time yet.
  socket.setTimeout(silenceMs, giveUp)
  socket.on('error', giveUp)
  socket.once('readable', () => {
    socket.setTimeout(0)
    socket.off('timeout', giveUp)
    const first: Buffer | null = socket.read()
    if (!first) return giveUp()
    socket.off('error', giveUp)
    socket.unshift(first)
    decide(first[0] === TLS_HANDSHAKE)
  })
}
