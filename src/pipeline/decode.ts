import { isUtf8 } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Caller } from '../call.ts'
import { UnreadableCall } from '../dialects/dialect.ts'
import { createJsonReader, UnreadableJson } from '../dialects/json-reader.ts'
import { collect } from '../dialects/texts.ts'
import { Refusal } from '../errors.ts'
import type { Limits } from './admit.ts'
import { limitHeaders, overLimit } from './limit-headers.ts'
import type { Exchange, Stage } from './stage.ts'

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
    const encoding = incoming.headers['content-encoding']
    if (encoding !== undefined && encoding !== 'identity') {
      return new Refusal('unsupported_encoding', 'Send the body without Content-Encoding: a compressed body cannot be judged here.')
    }
    const announced = Number(incoming.headers['content-length'] ?? 0)
    if (announced > bodyBytesMax) return tooLarge(bodyBytesMax)
    const turnedAway = announced > EARLY_REFUSAL_BYTES ? turnAway(known, caller, limits) : null
    if (turnedAway) return turnedAway

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
    if (body instanceof Refusal) return body
    if (!isUtf8(body)) return new Refusal('invalid_request', 'The body is not valid UTF-8.')
    try {
      const json = readJson(body)
      let head = { model: '', streaming: false }
      const texts = collect(json, (mark) => {
        head = dialect.readCall(json, endpoint, mark)
      })
      return { call: { ...head, body, slots: texts.slots, text: texts.text, promptEnd: texts.promptEnd, opaqueBytes: texts.opaqueBytes } }
    } catch (error) {
      if (error instanceof UnreadableJson) return new Refusal('invalid_request', error.message)
      if (error instanceof UnreadableCall) return new Refusal('invalid_request', error.message, { context: { param: error.param } })
      throw error
    }
  }
}

function turnAway({ dialect, headers, arrivedAt }: Exchange, { tenant }: Caller, limits: Limits): Refusal | null {
  const state = limits.emptyNow(tenant)
  if (!state) return null
  headers.push(...limitHeaders(state, dialect, arrivedAt))
  return overLimit(state)
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
