/** Raw requests, most of them hostile, and how to play one on a connection of its own: exact bytes, in one piece or in two. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { connect as tlsConnect } from 'node:tls'

/** `expected`: in words, what the answer should be. */
export interface RawCase {
  id: string
  name: string
  expected: string
  bytes: Buffer
}

interface Written {
  id: string
  name: string
  expected: string
  bytes_b64: string
}

/**
 * The cases with what makes them mean something here: a key, and where they ask for something harmless that an Earthflow has. A chat needs more than `{}`, so
 * it is a store of vectors that is made; bodies and their framing are as they were written.
 */
export function rawCases(key: string): RawCase[] {
  const written = JSON.parse(readFileSync(new URL('cases/http1-raw.json', import.meta.url), 'utf8')) as Written[]
  return written.map(({ id, name, expected, bytes_b64 }) => {
    const bytes = Buffer.from(bytes_b64, 'base64')
      .toString('latin1')
      .replaceAll('Bearer k\r\n', `Bearer ${key}\r\n`)
      .replaceAll('/v1/chat/completions', '/v1/vector_stores')
      .replace(/^(\r\n\r\n)?(GET|gEt) \/x(?=[\s]|$)/, '$1$2 /health/live')
    return { id, name, expected, bytes: Buffer.from(bytes, 'latin1') }
  })
}

/** A valid request that ends its connection, to follow another one on it. */
export const LAST = 'GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'

export interface Door {
  port: number
  isTls: boolean
}

export interface Played {
  /** Of every answer on the connection, in order; 100 among them. */
  statuses: number[]
  text: string
}

/** By port: thousands of handshakes in full would take most of the time. */
const sessions = new Map<number, Buffer>()

/** Opens a connection, inside TLS where the door is one of TLS. */
export async function open({ port, isTls }: Door): Promise<Socket> {
  const session = sessions.get(port)
  const socket = isTls
    ? tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...(session && { session }) }).on('session', (one) => sessions.set(port, one))
    : connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {}).setNoDelay(true)
  await once(socket, isTls ? 'secureConnect' : 'connect')
  return socket
}

export interface PlayOptions {
  /** The bytes are cut in two here. */
  split?: number
  /** So many answers are waited for, and then our side is closed; left out: until the other side closes. */
  enough?: number
  /** Our side is closed with the last byte. */
  halfClose?: boolean
}

/** Sends bytes and reads until the connection ends. */
export async function play(door: Door, bytes: Buffer, { split, enough = Number.POSITIVE_INFINITY, halfClose = false }: PlayOptions = {}): Promise<Played> {
  const socket = await open(door)
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    if (statusesIn(text).length >= enough) socket.end()
  })
  const over = once(socket, 'close')
  if (split === undefined) socket.write(bytes)
  else {
    socket.write(bytes.subarray(0, split))
    // The first half is with the other side before the second is sent.
    for (let i = 0; i < TURNS_BETWEEN; i++) await turn()
    socket.write(bytes.subarray(split))
  }
  if (halfClose) socket.end()
  await over
  return { statuses: statusesIn(text), text }
}
const TURNS_BETWEEN = 4

export const statusesIn = (text: string): number[] => [...text.matchAll(/(?:^|\n|[}\]])HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))

/** An upstream that answers `{}` to everything and keeps every byte it was sent. */
export async function startRecorder() {
  const chunks: Buffer[] = []
  const paths: string[] = []
  const server = createServer((request, response) => {
    paths.push(request.url ?? '')
    request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/json', 'content-length': 2 }).end('{}'))
  })
  server.on('connection', (socket: Socket) => socket.on('data', (chunk: Buffer) => chunks.push(chunk)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Of every request, as an HTTP server reads them. */
    paths,
    text: (): string => Buffer.concat(chunks).toString('latin1'),
    /** The lines of the requests so far; from then on they are forgotten. */
    take(): string[] {
      const lines = Buffer.concat(chunks.splice(0))
        .toString('latin1')
        .match(/[A-Z]+ \S+ HTTP\/1\.1(?=\r\n)/g)
      return lines ?? []
    },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
