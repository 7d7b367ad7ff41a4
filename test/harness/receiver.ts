/** A scripted receiver of webhooks on loopback: each test says what it does to those who call it, and it remembers every byte it was sent. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { gzipSync } from 'node:zlib'

export interface Received {
  method: string
  path: string
  headers: IncomingHttpHeaders
  /** Exactly as it came. */
  body: Buffer
  /** Milliseconds since 1970. */
  at: number
  response: ServerResponse
  socket: Socket
}
export type Reaction = (received: Received) => void

export interface Receiver {
  origin: string
  url: string
  /** In the order in which they came. */
  received: Received[]
  /** Connections it ever had. */
  readonly connections: number
  /** What it does from now on. */
  react: Reaction
  close(): void
}

export async function startReceiver(react: Reaction = answers(204)): Promise<Receiver> {
  const received: Received[] = []
  let connections = 0
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('error', () => {})
    response.on('error', () => {})
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url: path = '', headers, socket } = request
      const one: Received = { method, path, headers, body: Buffer.concat(chunks), at: Date.now(), response, socket }
      received.push(one)
      receiver.react(one)
    })
  })
  server.on('connection', () => connections++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const receiver: Receiver = {
    origin,
    url: `${origin}/hook`,
    received,
    get connections() {
      return connections
    },
    react,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
  return receiver
}

export const answers =
  (status: number, headers: Record<string, string> = {}, body = ''): Reaction =>
  ({ response }) => {
    response.writeHead(status, headers).end(body)
  }

/** The same after so many milliseconds. */
export const answersAfter =
  (ms: number, status = 204): Reaction =>
  (received) => {
    setTimeout(() => answers(status)(received), ms).unref()
  }

export const hangs: Reaction = () => {}

export const closesEarly: Reaction = ({ socket }) => {
  socket.destroy()
}

export const talksGarbage: Reaction = ({ socket }) => {
  socket.end('220 mail.example ESMTP\r\n')
}

const DRIP_MS = 5

/** A byte now and then, for ever, after what is said at once. */
const drips =
  (first: string, byte: string): Reaction =>
  ({ socket }) => {
    socket.write(first)
    const timer = setInterval(() => socket.write(byte), DRIP_MS).unref()
    socket.on('close', () => clearInterval(timer))
  }
export const dripsHead = drips('HTTP/1.1 200 OK\r\nx-slow: ', 'a')
export const dripsBody = (status: number): Reaction => drips(`HTTP/1.1 ${status} Whatever\r\ncontent-length: 1000000\r\n\r\n`, 'b')

/** The same text for ever, as fast as it is taken. */
const floods =
  (first: string, text: string): Reaction =>
  ({ socket }) => {
    const more = (): void => {
      while (!socket.destroyed && socket.write(text));
    }
    socket.on('drain', more)
    socket.write(first)
    more()
  }
export const answersEndlessly = (status: number): Reaction =>
  floods(`HTTP/1.1 ${status} Whatever\r\ncontent-length: ${10 * 2 ** 30}\r\n\r\n`, 'c'.repeat(16_384))
export const interimForever = floods('', 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n')
export const endlessHead = floods('HTTP/1.1 200 OK\r\n', `x-a: ${'d'.repeat(1_000)}\r\n`)

/** A megabyte of nothing, in a kilobyte. */
export const gzipBomb = ({ response }: Received): void => {
  response.writeHead(200, { 'content-encoding': 'gzip', 'content-type': 'text/plain' }).end(gzipSync(Buffer.alloc(2 ** 20)))
}
