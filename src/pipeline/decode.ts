import type { IncomingMessage } from 'node:http'
import { createCallReader, formatOf } from '../dialects/bodies/read-call.ts'
import type { Endpoint } from '../dialects/endpoint.ts'
import { Refusal } from '../errors.ts'
import type { Limits } from './admit.ts'
import { codingOf, decompress } from './decompress.ts'
import { limitHeaders, overLimit } from './limit-headers.ts'
import { isReadable } from './metadata.ts'
import type { Exchange, Stage } from './stage.ts'
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
  let buffered = 0
  return async (known) => {
    const { incoming, outgoing, endpoint, dialect, caller } = known
    // Whatever this stage refuses, the caller is told how much is left to him; later stages tell him what was taken.
    const refuse = (refusal: Refusal, state = limits.peek(caller)): Refusal => {
      known.headers.push(...limitHeaders(state, dialect, known.arrivedAt))
      return refusal
    }
    const said = incoming.headers['content-type'] ?? ''
    const contentType = isPartOfFile(incoming, endpoint) ? 'application/octet-stream' : said
    const coding = codingOf(incoming.headers['content-encoding'])
    if (coding instanceof Refusal) return refuse(coding)
    const unsupported = formatOf(contentType, endpoint, null)
    if (unsupported instanceof Refusal) return refuse(unsupported)
    if (!isReadable(incoming)) return refuse(new Refusal('invalid_request', 'x-earthflow-metadata must be a JSON object of at most 4096 bytes.'))
    const announced = Number(incoming.headers['content-length'] ?? 0)
    if (announced > bodyBytesMax) return refuse(tooLarge(bodyBytesMax))
    if (announced > EARLY_REFUSAL_BYTES) {
      const state = limits.peek(caller)
      if (state.retryInMs > 0) return refuse(overLimit(state), state)
    }

    let held = 0
    let left = false
    const hold = (bytes: number): boolean => {
      if (left || buffered + bytes > bufferedBytesMax) return false
      buffered += bytes
      held += bytes
      return true
    }
    outgoing.once('close', () => {
      left = true
      buffered -= held
    })
    const began = performance.now()
    const sent = await readBody(known, bodyBytesMax, hold)
    known.onGone = null
    known.trace.waitedMs += performance.now() - began
    if (sent instanceof Refusal) return refuse(sent)
    // Some servers leave such a body unread, and what follows it on the connection would be another request.
    if (sent.length > 0 && BODILESS.has(incoming.method ?? '')) return refuse(new Refusal('invalid_request', `A ${incoming.method} has no body.`))
    const keep = (bytes: number, all: number): Refusal | null => (all > bodyBytesMax ? tooLarge(bodyBytesMax) : hold(bytes) ? null : crowded())
    const body = coding === null || sent.length === 0 ? sent : await decompress(sent, coding, keep)
    if (left) throw new Error('The client left while its body was decompressed.')
    if (body instanceof Refusal) return refuse(body)
    const read = readCall(body, contentType, endpoint)
    if (read instanceof Refusal) return refuse(read)
    const { call, metadata } = read
    return { call: { ...withSurroundings(call, incoming, endpoint), contentType: said, metadata } }
  }
}

/** Google's libraries call the bytes of a file JSON, whatever they are; only what begins an upload is. */
const isPartOfFile = ({ headers }: IncomingMessage, { path }: Endpoint): boolean =>
  path.startsWith('/upload/') && /\bupload\b/i.test(String(headers['x-goog-upload-command'] ?? ''))

const BODILESS = new Set(['GET', 'HEAD'])
const crowded = (): Refusal => new Refusal('unavailable', 'Too many bodies are being read at once; try again.', { headers: ['retry-after', '1'] })
const tooLarge = (bytesMax: number): Refusal => new Refusal('too_large', `The body is larger than ${bytesMax} bytes.`)

/** Ends also when the client leaves half-way ('close' comes without 'end') or the bound is crossed; how long a body may take, the listener bounds. */
function readBody(known: Exchange, bytesMax: number, hold: (bytes: number) => boolean): Promise<Buffer | Refusal> {
  const { incoming, outgoing } = known
  if (incoming.headers.expect !== undefined) outgoing.writeContinue()
  return new Promise((resolve, reject) => {
    let first: Buffer | undefined
    let chunks: Buffer[] | undefined
    let size = 0
    const stop = (refusal: Refusal): void => {
      incoming.off('data', onData)
      incoming.pause()
      resolve(refusal)
    }
    const onData = (chunk: Buffer): void => {
      size += chunk.length
      if (size > bytesMax) stop(tooLarge(bytesMax))
      else if (!hold(chunk.length)) stop(crowded())
      else if (first === undefined) first = chunk
      else (chunks ??= [first]).push(chunk)
    }
    incoming.on('data', onData)
    incoming.on('end', () => resolve(chunks ? Buffer.concat(chunks, size) : (first ?? Buffer.alloc(0))))
    incoming.on('error', reject)
    known.onGone = () => {
      incoming.off('data', onData)
      incoming.pause()
      reject(new Error('The exchange ended before its body was complete.'))
    }
    incoming.on('close', () => {
      if (!incoming.readableEnded) reject(new Error('The client left before its body was complete.'))
    })
  })
}
