import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { newId } from '../ids.ts'

/** A refusal from before there is a handler to phrase it: in the shape of the management API, and always the last thing on its connection. */
export interface EarlyRefusal {
  status: string
  code: string
  message: string
  header?: readonly [name: string, value: string]
}

/** One that says in a sentence what to change. */
export const refusal = (status: string, message: string): EarlyRefusal => ({ status, code: 'VALIDATION_ERROR', message })

/** On every answer that is not a provider's, unless it says better: a page has its own policy. */
export const GUARDED: readonly (readonly [name: string, value: string])[] = [
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY'],
  ['referrer-policy', 'no-referrer'],
  ['cross-origin-resource-policy', 'same-origin'],
  ['content-security-policy', "default-src 'none'; frame-ancestors 'none'"],
]

/** How long a refused connection is still read. */
const LINGER_MS = 2_000
/** Every method that is answered, for `allow`. */
export const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'

export const UNMET_EXPECTATION = refusal('417 Expectation Failed', 'The only expectation that is met here is 100-continue.')
export const LATE = refusal('408 Request Timeout', 'The request did not arrive in time.')
// Codex asks for a WebSocket first; only 426 makes it fall back to HTTP at once.
export const NO_WEBSOCKETS: EarlyRefusal = {
  status: '426 Upgrade Required',
  code: 'VALIDATION_ERROR',
  message: 'There are no WebSockets here; use HTTP.',
  header: ['upgrade', 'HTTP/1.1'],
}
export const NO_TUNNELS: EarlyRefusal = {
  status: '405 Method Not Allowed',
  code: 'METHOD_NOT_ALLOWED',
  message: 'This is not a forward proxy.',
  header: ['allow', METHODS],
}
export const PLAIN_ON_TLS = refusal('400 Bad Request', 'This port speaks TLS; use https://.')
export const tooManyHeaders = (headersMax: number): EarlyRefusal =>
  refusal('431 Request Header Fields Too Large', `A request has at most ${headersMax} headers.`)

/** What Node says of a head or a body that was not there in time. */
export const LATE_CODE = 'ERR_HTTP_REQUEST_TIMEOUT'

/** What Node's HTTP parser complained of, by its error's code. */
export function unreadable(code: string | undefined, headBytesMax: number): EarlyRefusal {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return refusal('431 Request Header Fields Too Large', `The head of a request has at most ${headBytesMax} bytes.`)
  }
  if (code === LATE_CODE) return LATE
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return refusal('413 Content Too Large', 'Send chunks without extensions, or with much shorter ones.')
  return refusal('400 Bad Request', 'This is not an HTTP/1.1 request that can be understood.')
}

function partsOf({ code, message, header }: EarlyRefusal): { headers: string[]; body: string } {
  const requestId = newId('req')
  const body = JSON.stringify({ error: code, message, context: {}, timestamp: new Date().toISOString(), request_id: requestId })
  const own = ['x-earthflow-request-id', requestId, ...GUARDED.flat(), ...(header ?? [])]
  const headers = ['content-type', 'application/json', 'content-length', String(Buffer.byteLength(body)), 'connection', 'close', ...own]
  return { headers, body }
}

/** The whole answer, for a socket without a ServerResponse. */
export function asText(refusal: EarlyRefusal): string {
  const { headers, body } = partsOf(refusal)
  const lines = Array.from({ length: headers.length / 2 }, (_, i) => `${headers[2 * i]}: ${headers[2 * i + 1]}\r\n`)
  return `HTTP/1.1 ${refusal.status}\r\n${lines.join('')}\r\n${body}`
}

export function respond(outgoing: ServerResponse, refusal: EarlyRefusal): void {
  const { headers, body } = partsOf(refusal)
  outgoing.writeHead(Number.parseInt(refusal.status, 10), headers).end(body)
}

/** Answers on the bare socket and reads on for a while: with unread bytes in its buffer a closed socket resets, and the client loses the answer. */
export function endGently(socket: Duplex, refusal: EarlyRefusal): void {
  const giveUp = (): void => {
    socket.destroy()
  }
  const timer = setTimeout(giveUp, LINGER_MS).unref()
  socket.once('close', () => clearTimeout(timer))
  socket.on('error', giveUp)
  socket.end(asText(refusal))
  socket.resume()
}
