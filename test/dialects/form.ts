/** Forms as client libraries write them, and the calls that are read from them. */
import assert from 'node:assert/strict'
import type { ModelCall } from '../../src/call.ts'
import { createCallReader } from '../../src/dialects/bodies/read-call.ts'
import { type Endpoint, endpointOf } from '../../src/dialects/endpoint.ts'
import { Refusal } from '../../src/errors.ts'

export const BOUNDARY = 'form-boundary-7f3a'
export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`

/** A part: its headers after the name, and its content. */
export interface Written {
  name: string
  filename?: string
  type?: string
  content: string | Buffer
  /** Headers as they stand, in the place of those made of the members above. */
  headers?: string
}

export function form(...parts: readonly Written[]): Buffer {
  const chunks = parts.flatMap(({ name, filename, type, content, headers }) => {
    const made = `Content-Disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}\r\n${type === undefined ? '' : `Content-Type: ${type}\r\n`}`
    return [Buffer.from(`--${BOUNDARY}\r\n${headers ?? made}\r\n`), Buffer.from(content), Buffer.from('\r\n')]
  })
  return Buffer.concat([...chunks, Buffer.from(`--${BOUNDARY}--\r\n`)])
}

/** A path of OpenAI's that no dialect describes. */
export const files: Endpoint = at('/v1/files')

export function at(path: string, method = 'POST', headers: Record<string, string> = {}): Endpoint {
  const endpoint = endpointOf(method, path, headers)
  assert.ok('kind' in endpoint, `${path} is refused`)
  return endpoint
}

/** A call that a dialect reads from a form. */
export const transcribing: Endpoint = at('/v1/audio/transcriptions')

const readCall = createCallReader()

export function read(body: string | Buffer, contentType: string, endpoint: Endpoint = files): ModelCall {
  const result = readCall(Buffer.from(body), contentType, endpoint)
  assert.ok('call' in result, result instanceof Refusal ? result.message : '')
  return { ...result.call, metadata: {} }
}

export function refusalOf(body: string | Buffer, contentType: string, endpoint: Endpoint = files): Refusal {
  const result = readCall(Buffer.from(body), contentType, endpoint)
  assert.ok(result instanceof Refusal, 'was not refused')
  return result
}

/** Role and text of everything that was found, in order. */
export const foundIn = ({ slots, text }: ModelCall): string[] => slots.map(({ role, from, to }) => `${role}: ${text.toString('utf8', from, to)}`)
export const promptOf = ({ text, promptEnd }: ModelCall): string => text.toString('utf8', 0, promptEnd)
