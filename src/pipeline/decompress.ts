/** Takes one layer of compression off a body, within bounds: what is judged and forwarded is what was compressed. */
import type { Transform } from 'node:stream'
import { constants, createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib'
import { Refusal } from '../errors.ts'

/** RFC 9659: what is sent over HTTP needs no larger window than 8 MiB. */
const ZSTD_WINDOW_LOG_MAX = 23
/** Output arrives in pieces of this size, and each is counted before the next is made. */
const CHUNK_BYTES = 64 << 10

const decoders = {
  gzip: () => createGunzip({ chunkSize: CHUNK_BYTES }),
  deflate: () => createInflate({ chunkSize: CHUNK_BYTES }),
  br: () => createBrotliDecompress({ chunkSize: CHUNK_BYTES }),
  zstd: () => createZstdDecompress({ chunkSize: CHUNK_BYTES, params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX } }),
} satisfies Readonly<Record<string, () => Transform & { bytesWritten: number }>>

export type Coding = keyof typeof decoders

/** The coding that a Content-Encoding names; null where there is none. A refusal for one that is not known, and for several. */
export function codingOf(header: string | undefined): Coding | null | Refusal {
  const said = header?.trim().toLowerCase() ?? 'identity'
  const name = said === 'x-gzip' ? 'gzip' : said // RFC 9110, section 8.4.1.3
  if (name === 'identity') return null
  if (Object.hasOwn(decoders, name)) return name as Coding
  const known = Object.keys(decoders).join(', ')
  return new Refusal('unsupported_media_type', `Send the body with one Content-Encoding or none; known are ${known}.`, { headers: ['accept-encoding', known] })
}

/**
 * The body without its coding. `take` is asked before each piece of so many bytes is kept, with how many there are by then; its refusal ends the work.
 * A refusal for what is corrupt, cut short, or goes on after its end.
 */
export function decompress(body: Buffer, coding: Coding, take: (bytes: number, all: number) => Refusal | null): Promise<Buffer | Refusal> {
  return new Promise((resolve) => {
    const decoder = decoders[coding]()
    const chunks: Buffer[] = []
    let size = 0
    decoder.on('data', (chunk: Buffer) => {
      size += chunk.length
      const refusal = take(chunk.length, size)
      if (refusal === null) chunks.push(chunk)
      else {
        decoder.destroy()
        resolve(refusal)
      }
    })
    // The decoders stop reading where a stream ends, and would silently leave what follows.
    decoder.on('end', () => resolve(decoder.bytesWritten === body.length ? Buffer.concat(chunks, size) : broken(coding)))
    decoder.on('error', () => resolve(broken(coding)))
    decoder.end(body)
  })
}

const broken = (coding: Coding): Refusal =>
  new Refusal('invalid_request', `The body is not valid ${coding}: it is corrupt, cut short, or goes on after its end.`)
