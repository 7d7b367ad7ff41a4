/** Providers repeat what they were sent when they refuse it. The credential they were sent is the installation's, and no caller's to read. */
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib'
import { Failure } from '../errors.ts'
import { headerOf, isEncoded, isEventStream, type Sink } from '../sink.ts'
import type { Upstream } from './upstream.ts'

/** What is shorter is no secret but a word such as `ollama`, put where none is needed; masked, it would be missing from what errors say. */
const SECRET_CHARACTERS_MIN = 7
/** Of an error that came compressed, although that was not asked for: as it came, and decoded. */
const ENCODED_BYTES_MAX = 256 << 10
const DECODED_BYTES_MAX = 1 << 20
const FIRST_ERROR = 400
const STAR = 0x2a
const LF = 0x0a

/** A compressed error, until it is all there. */
interface Encoded {
  status: number
  headers: string[]
  chunks: Buffer[]
  bytes: number
}
type Secretive = Pick<Upstream, 'credential'>

/**
 * Masks the stored credential of the upstream that answers: in every header, in the body of an error, and in a stream, which may tell one with status 200:
 * `streams` says that the call asked for one, which need not come as server-sent events. As many stars stand for it as it had characters, so that lengths stay
 * true; everything else passes as it came, and nothing waits but what may be the beginning of a credential. An error that is compressed is decoded to be
 * searched, and throws Failure('reply_unreadable') where that cannot be done within bounds.
 */
export class EchoMask implements Sink {
  readonly #answering: () => Secretive | null
  readonly #inner: Sink
  #forms: readonly Buffer[] = NONE
  /** The end of what has come, which may be the beginning of a credential. */
  #rest: Buffer | undefined
  #encoded: Encoded | undefined
  readonly #streams: boolean
  constructor(answering: () => Secretive | null, inner: Sink, streams = false) {
    this.#answering = answering
    this.#inner = inner
    this.#streams = streams
  }

  head(status: number, headers: string[]): void {
    const upstream = this.#answering()
    const spellings = upstream ? spellingsOf(upstream) : null
    if (spellings) {
      maskHeaders(headers, spellings)
      if (status >= FIRST_ERROR || ((this.#streams || isEventStream(headers)) && !isEncoded(headers))) this.#forms = spellings.forms
    }
    if (this.#forms.length > 0 && isEncoded(headers)) this.#encoded = { status, headers, chunks: [], bytes: 0 }
    else this.#inner.head(status, headers)
  }

  data(chunk: Buffer): boolean {
    if (this.#forms.length === 0) return this.#inner.data(chunk)
    if (this.#encoded) return this.#hold(this.#encoded, chunk)
    const bytes = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk
    const masked = mask(bytes, this.#forms)
    const ready = masked.length - heldOf(masked, this.#forms)
    this.#rest = ready < masked.length ? Buffer.from(masked.subarray(ready)) : undefined
    return ready === 0 || this.#inner.data(masked.subarray(0, ready))
  }

  end(): void {
    if (this.#encoded) this.#decode(this.#encoded)
    if (this.#rest) this.#inner.data(this.#rest)
    this.#inner.end()
  }

  error(): void {
    this.#rest = undefined
    this.#encoded = undefined
    this.#inner.error()
  }

  #hold(encoded: Encoded, chunk: Buffer): boolean {
    encoded.bytes += chunk.length
    if (encoded.bytes > ENCODED_BYTES_MAX) throw unreadable()
    encoded.chunks.push(chunk)
    return true
  }

  #decode({ status, headers, chunks, bytes }: Encoded): void {
    const body = Buffer.concat(chunks)
    const decoded = bytes === 0 ? body : decode(headerOf(headers, 'content-encoding') ?? '', body)
    const masked = mask(decoded, this.#forms)
    if (masked === decoded) {
      this.#inner.head(status, headers)
      if (bytes > 0) this.#inner.data(body)
      return
    }
    const others = headers.flatMap((item, i) => (i % 2 === 0 && !OF_ENCODED.has(item) ? [item, headers[i + 1]] : []))
    this.#inner.head(status, [...others, 'content-length', String(masked.length)])
    this.#inner.data(masked)
  }
}
const OF_ENCODED: ReadonlySet<string> = new Set(['content-encoding', 'content-length'])
const NONE: readonly Buffer[] = []

const unreadable = (): Failure => new Failure('reply_unreadable', new Error('The error came compressed, and cannot be searched for what it repeats.'))

const decoders: Readonly<Record<string, (body: Buffer, bounds: { maxOutputLength: number }) => Buffer>> = {
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
}
/** One layer. Throws a Failure. */
function decode(coding: string, body: Buffer): Buffer {
  const decoder = decoders[coding.trim().toLowerCase()]
  if (!decoder) throw unreadable()
  try {
    return decoder(body, { maxOutputLength: DECODED_BYTES_MAX })
  } catch {
    throw unreadable()
  }
}

/** How a credential may be spelled. */
interface Spellings {
  /** The longest first. */
  forms: readonly Buffer[]
  /** Bytes of the shortest. */
  shortest: number
  /** Finds any of them in a header, which is Latin-1. */
  inHeader: RegExp
}

/** They go when the upstream goes, with its credential. */
const known = new WeakMap<Secretive, Spellings>()

/** Null where there is nothing to mask. */
function spellingsOf(upstream: Secretive): Spellings | null {
  const { credential } = upstream
  if (credential === null || credential.length < SECRET_CHARACTERS_MIN) return null
  let spellings = known.get(upstream)
  if (!spellings) {
    const json = JSON.stringify(credential).slice(1, -1)
    const spelled = [credential, json, json.replaceAll('/', '\\/'), encodeURIComponent(credential), ...base64Of(credential)]
    const all = new Set(spelled.flatMap((form) => [form, form.replaceAll('+', '-').replaceAll('/', '_')]))
    const forms = [...all].toSorted((a, b) => b.length - a.length).map((form) => Buffer.from(form))
    const inHeader = new RegExp(forms.map((form) => RegExp.escape(form.toString('latin1'))).join('|'))
    spellings = { forms, shortest: Math.min(...forms.map(({ length }) => length)), inHeader }
    known.set(upstream, spellings)
  }
  return spellings
}

/** As it stands in base64 by itself or behind something else, such as a name in Basic credentials: what of it does not depend on what is around it. */
const base64Of = (credential: string): string[] =>
  [0, 1, 2].map((before) => {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(credential)])
    const whole = Math.floor((bytes.length * 8) / 6)
    return bytes.toString('base64').slice(Math.ceil((before * 8) / 6), whole)
  })

/** The same bytes, or a copy with stars where one of the forms stood. */
function mask(bytes: Buffer, forms: readonly Buffer[]): Buffer {
  let masked = bytes
  for (const form of forms)
    for (let at = masked.indexOf(form); at >= 0; at = masked.indexOf(form, at + form.length)) {
      if (masked === bytes) masked = Buffer.from(bytes)
      masked.fill(STAR, at, at + form.length)
    }
  return masked
}

/** How many bytes at the end may be the beginning of a form. */
function heldOf(bytes: Buffer, forms: readonly Buffer[]): number {
  // No form goes over the end of a line, where almost every chunk of a stream ends.
  if (bytes.at(-1) === LF) return 0
  let most = 0
  const { length } = bytes
  for (const form of forms)
    for (let at = bytes.indexOf(form[0], Math.max(0, length - form.length + 1)); at >= 0 && length - at > most; at = bytes.indexOf(form[0], at + 1))
      if (bytes.compare(form, 0, length - at, at) === 0) most = length - at
  return most
}

function maskHeaders(headers: string[], { forms, shortest, inHeader }: Spellings): void {
  for (let i = 1; i < headers.length; i += 2)
    if (headers[i].length >= shortest && inHeader.test(headers[i])) headers[i] = mask(Buffer.from(headers[i], 'latin1'), forms).toString('latin1')
}
