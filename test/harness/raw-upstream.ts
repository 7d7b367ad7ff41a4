/** A provider on a bare socket, which answers with whatever bytes a test likes, valid or not, on connections that it keeps. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'

export interface RawCall {
  socket: Socket
  /** The request's line and headers. */
  head: string
  /** The request's body as text. */
  body: string
  /** Which request of its connection it is, from 1. */
  nth: number
}
export type RawScript = (call: RawCall) => void

export interface RawUpstream {
  origin: string
  /** Answers from now on. */
  script: RawScript
  /** Connections there were and there are. */
  connections: { all: number; open: number }
  close(): void
}

/** Reads requests whose body has a length, as Earthflow's have. `early` is called at a request's head, before its body is read; true: it was answered. */
export async function startRawUpstream(script: RawScript, early: (head: string, socket: Socket) => boolean = () => false): Promise<RawUpstream> {
  const sockets = new Set<Socket>()
  const upstream: RawUpstream = {
    origin: '',
    script,
    connections: { all: 0, open: 0 },
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    upstream.connections.all++
    upstream.connections.open++
    let bytes = Buffer.alloc(0)
    let nth = 0
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    socket.on('close', () => {
      sockets.delete(socket)
      upstream.connections.open--
    })
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      for (;;) {
        const end = bytes.indexOf('\r\n\r\n')
        if (end < 0) return
        const head = bytes.toString('latin1', 0, end)
        const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
        if (early(head, socket)) return
        if (bytes.length < end + 4 + length) return
        const body = bytes.toString('utf8', end + 4, end + 4 + length)
        bytes = bytes.subarray(end + 4 + length)
        upstream.script({ socket, head, body, nth: ++nth })
      }
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  upstream.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return upstream
}

/** A whole answer: its headers, line by line, and its body, whose length is said unless the headers frame it. */
export const answer = (body: string, headers: readonly string[] = ['Content-Type: application/json'], status = '200 OK'): string =>
  `HTTP/1.1 ${status}\r\n${[...headers, `Content-Length: ${Buffer.byteLength(body)}`].join('\r\n')}\r\n\r\n${body}`
/** One chunk of a chunked body. */
export const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
export const LAST_CHUNK = '0\r\n\r\n'
export const CHUNKED = 'Transfer-Encoding: chunked'
