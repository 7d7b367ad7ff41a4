import type { IncomingMessage } from 'node:http'
import { createCallReader, formatOf } from '../dialects/bodies/read-call.ts'
import type { Endpoint } from '../dialects/endpoint.ts'
import { Refusal } from '../errors.ts'
import type { Limits } from './admit.ts'
import { codingOf, decompress } from './decompress.ts'
import { limitHeaders, overLimit } from './limit-headers.ts'
import { isReadable } from './metadata.ts'
import type { Exchange, Facts, Stage } from './stage.ts'
import { withSurroundings } from './surroundings.ts'

export interface BodyBounds {
  bodyBytesMax: number
  /** Over all calls of this process at once. */
  bufferedBytesMax: number
}

/** Only bodies above this are turned away before they are read: a small one costs less to read than its hash is worth to the record. */
const EARLY_REFUSAL_BYTES = 64 << 10

/** Reads the whole body, within bounds, and finds every text in it. The bytes stay as they came, apart from one layer of compression. */
export const decode = ({ bodyBytesMax, bufferedBytesMax }: BodyBounds, limits: Limits): Stage<'caller', 'call'> => {
  const readCall = createCallReader()
  const room = new Room(bufferedBytesMax)

  // Whatever this stage refuses, the caller is told how much is left to him; later stages tell him what was taken.
  function refuse({ caller, headers, dialect, arrivedAt }: Asking, refusal: Refusal, state = limits.peek(caller)): Refusal {
    headers.push(...limitHeaders(state, dialect, arrivedAt))
    return refusal
  }

  /** What can be told without the body. */
  function refusalAhead(known: Asking, contentType: string): Refusal | null {
    const { incoming, endpoint, caller } = known
    const unsupported = formatOf(contentType, endpoint, null)
    if (unsupported instanceof Refusal) return refuse(known, unsupported)
    if (!isReadable(incoming)) return refuse(known, new Refusal('invalid_request', 'x-earthflow-metadata must be a JSON object of at most 4096 bytes.'))
    const announced = Number(incoming.headers['content-length'] ?? 0)
    if (announced > bodyBytesMax) return refuse(known, tooLarge(bodyBytesMax))
    if (announced <= EARLY_REFUSAL_BYTES) return null
    const state = limits.peek(caller)
    return state.retryInMs > 0 ? refuse(known, overLimit(state), state) : null
  }

  return async (known) => {
    const { incoming, outgoing, endpoint } = known
    const said = incoming.headers['content-type'] ?? ''
    const contentType = isPartOfFile(incoming, endpoint) ? 'application/octet-stream' : said
    const coding = codingOf(incoming.headers['content-encoding'])
    if (coding instanceof Refusal) return refuse(known, coding)
    const ahead = refusalAhead(known, contentType)
    if (ahead) return ahead

    const held = new Held(room)
    outgoing.once('close', () => held.end())
    const sent = await readBody(known, bodyBytesMax, held)
    if (sent instanceof Refusal) return refuse(known, sent)
    // Some servers leave such a body unread, and what follows it on the connection would be another request.
    if (sent.length > 0 && BODILESS.has(incoming.method ?? '')) return refuse(known, new Refusal('invalid_request', `A ${incoming.method} has no body.`))
    const body = coding === null || sent.length === 0 ? sent : await decompress(sent, coding, (bytes, all) => held.refusalOf(bytes, all, bodyBytesMax))
    if (held.hasEnded) throw new Error('The client left while its body was decompressed.')
    if (body instanceof Refusal) return refuse(known, body)
    const read = readCall(body, contentType, endpoint)
    if (read instanceof Refusal) return refuse(known, read)
    const call = withSurroundings(read.call, incoming, endpoint)
    return { call: contentType === said ? call : { ...call, contentType: said } }
  }
}

type Asking = Exchange & Pick<Facts, 'caller'>

/** For the bodies of all calls at once. */
class Room {
  #bytesLeft: number
  constructor(bytesMax: number) {
    this.#bytesLeft = bytesMax
  }
  /** False where there is not so much. */
  take(bytes: number): boolean {
    if (bytes > this.#bytesLeft) return false
    this.#bytesLeft -= bytes
    return true
  }
  giveBack(bytes: number): void {
    this.#bytesLeft += bytes
  }
}

/** What one call holds of the room, as long as its answer is open. */
class Held {
  readonly #room: Room
  #bytes = 0
  hasEnded = false
  constructor(room: Room) {
    this.#room = room
  }
  /** A refusal where so many bytes more, which make `all`, are too many. */
  refusalOf(bytes: number, all: number, bytesMax: number): Refusal | null {
    if (all > bytesMax) return tooLarge(bytesMax)
    if (this.hasEnded || !this.#room.take(bytes)) return crowded()
    this.#bytes += bytes
    return null
  }
  end(): void {
    this.hasEnded = true
    this.#room.giveBack(this.#bytes)
  }
}

/** Google's libraries call the bytes of a file JSON, whatever they are; only what begins an upload is. */
const isPartOfFile = ({ headers }: IncomingMessage, { path }: Endpoint): boolean =>
  path.startsWith('/upload/') && /\bupload\b/i.test(String(headers['x-goog-upload-command'] ?? ''))

const BODILESS = new Set(['GET', 'HEAD'])
const crowded = (): Refusal => new Refusal('unavailable', 'Too many bodies are being read at once; try again.', { headers: ['retry-after', '1'] })
const tooLarge = (bytesMax: number): Refusal => new Refusal('too_large', `The body is larger than ${bytesMax} bytes.`)

const NO_BODY = Buffer.alloc(0)

async function readBody(known: Exchange, bytesMax: number, held: Held): Promise<Buffer | Refusal> {
  const { incoming, outgoing, trace } = known
  if (incoming.headers.expect !== undefined) outgoing.writeContinue()
  // By then what came together with the head has been parsed, and nearly every body is whole, and need not be listened for.
  await null
  // Who has left by then says so no more.
  if (known.gone || incoming.destroyed) throw new Error('The client left before its body was complete.')
  if (incoming.complete) {
    const body = wholeOf(incoming)
    return held.refusalOf(body.length, body.length, bytesMax) ?? body
  }
  const began = performance.now()
  const body = await listenForBody(known, bytesMax, held)
  known.busyWith = null
  trace.waitedMs += performance.now() - began
  return body
}

/** All that has come, which the stream hands out piece by piece. */
function wholeOf(incoming: IncomingMessage): Buffer {
  const first = incoming.read() as Buffer | null
  if (incoming.readableLength === 0) return first ?? NO_BODY
  const pieces: Buffer[] = []
  for (let piece = first; piece !== null; piece = incoming.read() as Buffer | null) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** Ends also when the client leaves half-way ('close' comes without 'end') or the bound is crossed; how long a body may take, the listener bounds. */
function listenForBody(known: Exchange, bytesMax: number, held: Held): Promise<Buffer | Refusal> {
  const { incoming } = known
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const onData = (chunk: Buffer): void => {
      size += chunk.length
      const refusal = held.refusalOf(chunk.length, size, bytesMax)
      if (refusal === null) chunks.push(chunk)
      else {
        incoming.off('data', onData)
        incoming.pause()
        resolve(refusal)
      }
    }
    incoming.on('data', onData)
    incoming.on('end', () => resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, size)))
    incoming.on('error', reject)
    known.busyWith = {
      interrupt() {
        incoming.off('data', onData)
        incoming.pause()
        reject(new Error('The exchange ended before its body was complete.'))
      },
    }
    incoming.on('close', () => {
      if (!incoming.readableEnded) reject(new Error('The client left before its body was complete.'))
    })
  })
}
