import { isUtf8 } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { UnreadableCall } from '../dialects/dialect.ts'
import { createJsonReader, UnreadableJson } from '../dialects/json-reader.ts'
import { collect } from '../dialects/texts.ts'
import { Refusal } from '../errors.ts'
import type { Limits } from './admit.ts'
import { limitHeaders, overLimit } from './limit-headers.ts'
import { isReadable, readMetadata } from './metadata.ts'
import type { Stage } from './stage.ts'
import { withSurroundings } from './surroundings.ts'

export interface BodyBounds {
  bodyBytesMax: number
  /** Over all calls of this process at once. */
  bufferedBytesMax: number
}

/** Only bodies above this are turned away before they are read: a small one costs less to read than its hash is worth to the record. */
const EARLY_REFUSAL_BYTES = 64 << 10

/** Reads the whole body, within bounds, and finds every text in it. The bytes stay as they came. */
export const decode = ({ bodyBytesMax, bufferedBytesMax }: BodyBounds, limits: Limits): Stage<'caller', 'call'> => {
  const readJson = createJsonReader()
  let buffered = 0
  return async (known) => {
    const { incoming, outgoing, dialect, caller, endpoint } = known
    // Whatever this stage refuses, the caller is told how much is left to him; later stages tell him what was taken.
    const refuse = (refusal: Refusal, state = limits.peek(caller.tenant)): Refusal => {
      known.headers.push(...limitHeaders(state, dialect, known.arrivedAt))
      return refusal
    }
    const unsupported = unsupportedType(incoming.headers)
    if (unsupported) return refuse(unsupported)
    if (!isReadable(incoming)) return refuse(new Refusal('invalid_request', 'x-earthflow-metadata must be a JSON object of at most 4096 bytes.'))
    const announced = Number(incoming.headers['content-length'] ?? 0)
    if (announced > bodyBytesMax) return refuse(tooLarge(bodyBytesMax))
    if (announced > EARLY_REFUSAL_BYTES) {
      const state = limits.peek(caller.tenant)
      if (state.retryInMs > 0) return refuse(overLimit(state), state)
    }

    let held = 0
    const hold = (bytes: number): boolean => {
      if (buffered + bytes > bufferedBytesMax) return false
      buffered += bytes
      held += bytes
      return true
    }
    outgoing.once('close', () => {
      buffered -= held
    })
    const began = performance.now()
    const body = await readBody(incoming, outgoing, bodyBytesMax, hold)
    known.trace.waitedMs += performance.now() - began
    if (body instanceof Refusal) return refuse(body)
    if (!isUtf8(body)) return refuse(new Refusal('invalid_request', 'The body is not valid UTF-8.'))
    try {
      const json = readJson(body)
      let head = { model: '', streaming: false }
      const texts = collect(json, (mark) => {
        head = dialect.readCall(json, endpoint, mark)
      })
      const { slots, text, promptEnd, opaqueBytes } = withSurroundings(texts, incoming)
      return { call: { ...head, body, slots, text, promptEnd, opaqueBytes, metadata: readMetadata(json) } }
    } catch (error) {
      if (error instanceof UnreadableJson) return refuse(new Refusal('invalid_request', error.message))
      if (error instanceof UnreadableCall) return refuse(new Refusal('invalid_request', error.message, { context: { param: error.param } }))
      throw error
    }
  }
}

/** What `fetch` and `curl -d` say when nobody tells them what they send; it is JSON all the same, and is forwarded as such. */
const UNSAID_TYPES = new Set(['text/plain', 'application/x-www-form-urlencoded'])

/** Another type or character set than was judged could be read by the provider as another text. */
function unsupportedType(headers: IncomingMessage['headers']): Refusal | null {
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity') {
    return new Refusal('unsupported_media_type', 'Send the body without Content-Encoding: a compressed body cannot be judged here.')
  }
  const [type = '', ...parameters] = (headers['content-type'] ?? 'application/json')
    .toLowerCase()
    .split(';')
    .map((part) => part.trim())
  const charset =
    parameters
      .find((parameter) => parameter.startsWith('charset='))
      ?.slice('charset='.length)
      .replaceAll('"', '') ?? 'utf-8'
  if ((/^application\/(?:[\w.-]+\+)?json$/.test(type) || UNSAID_TYPES.has(type)) && (charset === 'utf-8' || charset === 'utf8')) return null
  return new Refusal('unsupported_media_type', 'Send the body as application/json in UTF-8.')
}

const tooLarge = (bytesMax: number): Refusal => new Refusal('too_large', `The body is larger than ${bytesMax} bytes.`)

/** Ends also when the client leaves half-way ('close' comes without 'end') or the bound is crossed; how long a body may take, the listener bounds. */
function readBody(incoming: IncomingMessage, outgoing: ServerResponse, bytesMax: number, hold: (bytes: number) => boolean): Promise<Buffer | Refusal> {
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
      else if (!hold(chunk.length)) stop(new Refusal('unavailable', 'Too many bodies are being read at once; try again.', { headers: ['retry-after', '1'] }))
      else if (first === undefined) first = chunk
      else (chunks ??= [first]).push(chunk)
    }
    incoming.on('data', onData)
    incoming.on('end', () => resolve(chunks ? Buffer.concat(chunks, size) : (first ?? Buffer.alloc(0))))
    incoming.on('error', reject)
    incoming.on('close', () => {
      if (!incoming.readableEnded) reject(new Error('The client left before its body was complete.'))
    })
  })
}
