/** Reads the JSON of a management call: bounded, strict, and without anything the database could not keep. */
import { isUtf8 } from 'node:buffer'
import { createJsonReader, UnreadableJson } from '../dialects/bodies/json-reader.ts'
import { Refusal } from '../errors.ts'

export const BODY_BYTES_MAX = 1_048_576
const PATH_CHARACTERS_MAX = 300

/** The value of the body; no body at all reads as `{}`. Throws a Refusal. */
export function createBodyReader(): (request: Request, bytesMax?: number) => Promise<unknown> {
  const readJson = createJsonReader()
  return async (request, bytesMax = BODY_BYTES_MAX) => {
    const encoding = request.headers.get('content-encoding')
    if (encoding !== null && encoding !== 'identity') throw new Refusal('unsupported_media_type', 'Compressed bodies are not read here.')
    const bytes = await collect(request, bytesMax)
    if (bytes.length === 0) return {}
    if (!isUtf8(bytes)) throw new Refusal('invalid_request', 'The body is not valid UTF-8.')
    try {
      readJson(bytes) // refuses repeated names, which JSON.parse would read as the last
    } catch (error) {
      if (error instanceof UnreadableJson) throw new Refusal('invalid_request', error.message)
      throw error
    }
    const value: unknown = JSON.parse(bytes.toString())
    refuseUnstorable(value)
    return value
  }
}

/** PostgreSQL keeps no U+0000, and `__proto__` as a member's name is read differently by different programs. Throws a Refusal. */
export function refuseUnstorable(value: unknown, path = ''): void {
  if (typeof value === 'string') {
    if (value.includes('\0')) throw unstorable(path)
  } else if (value !== null && typeof value === 'object') {
    for (const [name, member] of Object.entries(value)) {
      if (name === '__proto__' || name.includes('\0')) throw unstorable(path)
      refuseUnstorable(member, (path === '' ? name : `${path}.${name}`).slice(0, PATH_CHARACTERS_MAX))
    }
  }
}

const unstorable = (path: string): Refusal =>
  new Refusal('invalid_request', `${path || 'The body'} holds a character or name that cannot be kept.`, { context: { field: path } })

// `connection: close`, because nobody is going to read the rest.
const tooLarge = (bytesMax: number): Refusal => new Refusal('too_large', `The body is larger than ${bytesMax} bytes.`, { headers: ['connection', 'close'] })

async function collect(request: Request, bytesMax: number): Promise<Buffer> {
  if (Number(request.headers.get('content-length') ?? 0) > bytesMax) throw tooLarge(bytesMax)
  if (request.body === null) return Buffer.alloc(0)
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of request.body) {
      size += chunk.length
      if (size > bytesMax) throw tooLarge(bytesMax)
      chunks.push(chunk)
    }
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal('invalid_request', 'The body did not arrive as a whole.')
  }
  return Buffer.concat(chunks, size)
}
