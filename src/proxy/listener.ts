import { constants } from 'node:crypto'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type SecureContextOptions, TLSSocket, type TlsOptions, type Server as TlsServer } from 'node:tls'
import { isDeepStrictEqual } from 'node:util'
import {
  asText,
  type EarlyRefusal,
  endGently,
  NO_TUNNELS,
  NO_WEBSOCKETS,
  PLAIN_ON_TLS,
  respond,
  tooManyHeaders,
  UNMET_EXPECTATION,
  unreadable,
} from './early-refusal.ts'

/** What the port speaks: TLS, plain HTTP behind somebody else's TLS, or whichever the client begins with (development). */
export type TlsMode = 'on' | 'terminated' | 'auto'

/** Times are milliseconds. */
export interface ListenerBounds {
  /** A request's head, and a connection's first one, must be there by then. */
  headersMs: number
  /** A whole request, body included. */
  requestMs: number
  /** A connection without a request; longer than any load balancer's own idle time (usually 60 s), so that it is the one to close. */
  keepAliveMs: number
  handshakeMs: number
  headBytesMax: number
  headersMax: number
  /** The answer to the last one says `connection: close`. */
  requestsPerConnectionMax: number
  /** Connections beyond it are closed at once. */
  connectionsMax: number
}

const LISTENER_BOUNDS: ListenerBounds = {
  headersMs: 10_000,
  requestMs: 60_000,
  keepAliveMs: 65_000,
  handshakeMs: 10_000,
  headBytesMax: 16_384,
  headersMax: 200,
  requestsPerConnectionMax: 1_000,
  connectionsMax: 5_000,
}

export interface Listener extends Server {
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

/**
 * One HTTP server behind every door: plain, TLS and intercepted connections all end in it, so its time limits, its count of connections
 * and its graceful close hold for all of them. (A second server that only gets 'connection' events enforces no header time-out and
 * closes no idle connection: both are set up when a server itself listens.)
 *
 * What reaches the handler with an `expect` header waits for a 100: whoever reads its body calls `outgoing.writeContinue()` first.
 * `close()` accepts nothing new, lets every call finish on a connection that then closes, and keeps enforcing the time limits; it has no
 * bound of its own, so whoever calls it decides when to `closeAllConnections()`.
 */
export function createListener(handler: RequestListener, options: { tls: TlsOptions | null; mode: TlsMode } & Partial<ListenerBounds>): Listener {
  const { tls, mode, ...some } = options
  const bounds = { ...LISTENER_BOUNDS, ...some }
  const server = createServer({
    noDelay: true,
    keepAlive: true,
    highWaterMark: SOCKET_BUFFER_BYTES,
    headersTimeout: bounds.headersMs,
    requestTimeout: bounds.requestMs,
    connectionsCheckingInterval: Math.min(CHECK_CONNECTIONS_MS, bounds.headersMs),
    keepAliveTimeout: bounds.keepAliveMs,
    maxHeaderSize: bounds.headBytesMax,
    insecureHTTPParser: false,
    requireHostHeader: true,
    // Java's HTTP client offers h2c with every plain request and expects to be ignored; only WebSockets need an answer of their own.
    shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === 'websocket',
  })
  server.maxHeadersCount = 0 // Node would silently drop what is beyond it; the size of the head bounds them, and `admit` refuses
  server.maxRequestsPerSocket = bounds.requestsPerConnectionMax
  server.maxConnections = bounds.connectionsMax

  const connections = new Set<Socket>()
  /** The latest answer on each connection. */
  const answers = new Map<Duplex, ServerResponse>()
  const refused = new WeakSet<Duplex>()
  /** Connections whose client was identified by authorities that no longer count. */
  const outdated = new WeakSet<Duplex>()
  let closing = false

  const refuse = (socket: Duplex, refusal: EarlyRefusal): void => {
    if (refused.has(socket)) return // the parser complains again about every further chunk
    refused.add(socket)
    endGently(socket, refusal)
  }
  const admit = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const { socket } = incoming
    if (outdated.has(socket)) return // the connection ends with the answer before
    if (!answers.has(socket)) socket.once('close', () => answers.delete(socket))
    answers.set(socket, outgoing)
    if (closing) outgoing.shouldKeepAlive = false
    if (incoming.rawHeaders.length > 2 * bounds.headersMax) respond(outgoing, tooManyHeaders(bounds.headersMax))
    else handler(incoming, outgoing)
  }

  server.on('request', (incoming, outgoing) => {
    // Only HTTP/1.0 gets here with one, and there it means nothing (RFC 9110, section 10.1.1).
    if (incoming.headers.expect !== undefined) delete incoming.headers.expect
    admit(incoming, outgoing)
  })
  // Without a listener Node would answer 100 by itself, before anybody has looked at the key. Where an answer goes out without a 100, Node
  // closes the connection: the client may or may not still send the body, and what follows could be read as either.
  server.on('checkContinue', admit)
  server.on('checkExpectation', (_incoming, outgoing: ServerResponse) => respond(outgoing, UNMET_EXPECTATION))
  server.on('upgrade', (_incoming, socket) => refuse(socket, NO_WEBSOCKETS))
  server.on('connect', (_incoming, socket) => {
    // Whoever ends tunnels listens too, and answers.
    if (server.listenerCount('connect') === 1) refuse(socket, NO_TUNNELS)
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const answer = answers.get(socket)
    // In the middle of an answer, or while another one waits for its turn (it has no socket yet), nothing can be said any more.
    const mayAnswer = !answer || answer.writableFinished || (answer.socket !== null && !answer.headersSent)
    if (error.code === 'ECONNRESET' || (!refused.has(socket) && !(mayAnswer && socket.writable))) return socket.destroy()
    refuse(socket, unreadable(error.code, bounds.headBytesMax))
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
        accept.call(server, socket)
      }),
    }
    return door
  }
  let current = mode === 'terminated' ? null : openDoor(tls)
  server.off('connection', accept)
  server.on('connection', (socket: Socket) => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
    if (!current || socket instanceof TLSSocket)
      accept.call(server, socket) // the inside of a tunnel is already plain
    else if (mode === 'on') shakeHands(current.decrypt, socket)
    else sniff(socket, bounds.headersMs, (isTls) => (isTls && current ? shakeHands(current.decrypt, socket) : accept.call(server, socket)))
  })

  const close = (done?: (error?: Error) => void): Listener => {
    closing = true
    for (const answer of answers.values()) if (!answer.headersSent) answer.shouldKeepAlive = false
    server.closeIdleConnections()
    const sweep = setInterval(() => server.closeIdleConnections(), CLOSE_IDLE_EVERY_MS).unref()
    server.once('close', () => clearInterval(sweep))
    // Not the HTTP server's own close(), which stops checking the time limits: a client that sends a byte now and then would hold the process.
    NetServer.prototype.close.call(server, done)
    return listener
  }
  const closeAllConnections = (): void => {
    for (const socket of connections) socket.destroy() // more than HTTP knows: also who has said nothing yet, or is shaking hands
  }
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
    outdated.add(socket)
    const answer = answers.get(socket)
    if (!answer || answer.writableFinished) socket.destroy()
    else if (answer.headersSent) answer.once('finish', () => socket.destroySoon())
    else answer.shouldKeepAlive = false
  }
  const listener: Listener = Object.assign(server, { close, closeAllConnections, setSecureContext })
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
    // The usual mistake is http:// for https://. Under the TLS socket, which is beyond use, lies the plain one (undocumented, hence the `?.`).
    if (error.code === 'ERR_SSL_HTTP_REQUEST') (socket as { _parent?: Socket })._parent?.end(asText(PLAIN_ON_TLS))
    socket.destroy()
  })
  return decrypt
}

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
