import { JSON_TYPE, LINES_TYPE } from '../../dialects/bodies/content.ts'
import { isTextType } from '../../dialects/bodies/media.ts'
import { isText } from '../../dialects/bodies/text-bytes.ts'
import type { Dialect } from '../../dialects/dialect.ts'
import { headerOf, isEventStream, type Sink } from '../../sink.ts'
import { BodyScreen } from './body-screen.ts'
import type { BodyKind } from './body-texts.ts'
import type { HeldBack } from './held-events.ts'
import { type Judgement, unreadable } from './judgement.ts'
import { StreamScreen } from './stream-screen.ts'
import type { Turns } from './turns.ts'

/** Chooses by what the head says how a reply is read. */
export class ReplySink implements Sink {
  readonly #dialect: Dialect
  readonly #judgement: Judgement
  readonly #inner: Sink
  readonly #turns: Turns
  readonly #now: () => number
  #chosen: Sink
  /** `now` in milliseconds, of a clock that only goes forward. */
  constructor(dialect: Dialect, judgement: Judgement, inner: Sink, { turns, now }: { turns: Turns; now: () => number }) {
    this.#turns = turns
    this.#now = now
    this.#dialect = dialect
    this.#judgement = judgement
    this.#inner = inner
    this.#chosen = inner
  }
  head(status: number, headers: string[]): void {
    this.#chosen = this.#choose(status, headers)
    this.#chosen.head(status, headers)
  }
  data(chunk: Buffer): boolean {
    return this.#chosen.data(chunk)
  }
  end(): void {
    this.#chosen.end()
  }
  error(): void {
    this.#chosen.error()
  }
  /** The choices or content blocks that have begun downstream and not ended; of a stream only. */
  open(): readonly number[] {
    return this.#chosen instanceof StreamScreen ? this.#chosen.open() : []
  }
  /** How far a stream fell behind so far; null where the reply is none. */
  held(): HeldBack | null {
    return this.#chosen instanceof StreamScreen ? this.#chosen.held() : null
  }

  #choose(status: number, headers: readonly string[]): Sink {
    if (isEmpty(status, headers)) return this.#inner
    const kind = kindOf(headers)
    const encoding = headerOf(headers, 'content-encoding') ?? 'identity'
    if (this.#judgement.isLenient && (encoding !== 'identity' || kind === 'media' || kind === 'unsaid')) return this.#inner
    if (kind === 'media') return new MediaSink(this.#judgement, this.#inner)
    if (encoding !== 'identity') throw unreadable('The reply is compressed although nothing else was asked for.')
    if (kind === 'stream') return new StreamScreen(this.#dialect, this.#judgement, this.#inner, this.#now)
    if (kind === 'unsaid') return new UnsaidSink(this.#dialect, this.#judgement, this.#inner, this.#turns)
    return new BodyScreen(this.#dialect, this.#judgement, this.#inner, kind, this.#turns)
  }
}

/** What is neither JSON nor text by its own word: counted, and passed on if the tenant lets it. */
class MediaSink implements Sink {
  readonly #judgement: Judgement
  readonly #inner: Sink
  constructor(judgement: Judgement, inner: Sink) {
    this.#judgement = judgement
    this.#inner = inner
  }
  head(status: number, headers: string[]): void {
    this.#judgement.media()
    this.#inner.head(status, headers)
  }
  data(chunk: Buffer): boolean {
    this.#judgement.uninspected(chunk.length)
    return this.#inner.data(chunk)
  }
  end(): void {
    this.#inner.end()
  }
  error(): void {
    this.#inner.error()
  }
}

/** What does not say what it is: its first bytes tell. */
class UnsaidSink implements Sink {
  readonly #dialect: Dialect
  readonly #judgement: Judgement
  readonly #inner: Sink
  #status = 0
  readonly #turns: Turns
  #headers: string[] = []
  #chosen: Sink | undefined
  constructor(dialect: Dialect, judgement: Judgement, inner: Sink, turns: Turns) {
    this.#turns = turns
    this.#dialect = dialect
    this.#judgement = judgement
    this.#inner = inner
  }
  head(status: number, headers: string[]): void {
    this.#status = status
    this.#headers = headers
  }
  data(chunk: Buffer): boolean {
    return this.#choose(chunk).data(chunk)
  }
  end(): void {
    this.#choose(NOTHING).end()
  }
  error(): void {
    const sink = this.#chosen ?? this.#inner
    sink.error()
  }

  #choose(first: Buffer): Sink {
    if (this.#chosen) return this.#chosen
    this.#chosen = beginsLikeText(first)
      ? new BodyScreen(this.#dialect, this.#judgement, this.#inner, 'unsaid', this.#turns)
      : new MediaSink(this.#judgement, this.#inner)
    this.#chosen.head(this.#status, this.#headers)
    return this.#chosen
  }
}

const NOTHING = Buffer.alloc(0)
const MEDIA_TYPE = /^(?:audio|image|video|font|model)\//
const READABLE_CHARSETS = new Set(['utf-8', 'utf8', 'us-ascii'])

const isEmpty = (status: number, headers: readonly string[]): boolean => status === 204 || status === 304 || headerOf(headers, 'content-length') === '0'

/** Throws a Failure for text in a character set in which a client would read other text than the rules. */
function kindOf(headers: readonly string[]): BodyKind | 'stream' | 'media' {
  if (isEventStream(headers)) return 'stream'
  const [type = '', ...parameters] = (headerOf(headers, 'content-type') ?? '').split(';').map((part) => part.trim().toLowerCase())
  if (MEDIA_TYPE.test(type) && !isTextType(type)) return 'media'
  const charset = parameters
    .find((parameter) => parameter.startsWith('charset='))
    ?.slice('charset='.length)
    .replaceAll('"', '')
  if (charset !== undefined && !READABLE_CHARSETS.has(charset)) throw unreadable('The reply is not in UTF-8.')
  if (JSON_TYPE.test(type)) return 'json'
  if (LINES_TYPE.test(type)) return 'lines'
  return isTextType(type) ? 'text' : 'unsaid'
}

/** Whether these bytes are text, but for a character that is not whole yet. */
function beginsLikeText(bytes: Buffer): boolean {
  let end = bytes.length
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back]
    if (byte >= 0xc0) end = bytes.length - back
    if (byte < 0x80 || byte >= 0xc0) break
  }
  return isText(bytes.subarray(0, end))
}
