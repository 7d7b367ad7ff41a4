/** Judges a stream of events. */
import type { Role, TextSlot } from '../call.ts'
import { CHANNELS_PER_CHOICE, type Dialect, NOTHING_CLOSED } from '../dialects/dialect.ts'
import { frameData, isDone, nextFrame } from '../dialects/event-stream.ts'
import type { Json } from '../dialects/json.ts'
import { createJsonReader } from '../dialects/json-reader.ts'
import { decode, type Edit, splice } from '../dialects/texts.ts'
import type { Sink } from '../sink.ts'
import { editsFor } from './edits.ts'
import { isWithin, type Judgement, readReply, repeatsIn, unreadable } from './judgement.ts'
import type { Span, Watch } from './match.ts'

/** At this bound a stream is cut: what cannot be judged is not relayed. */
const HELD_BYTES_MAX = 1 << 20
/** Texts that are open at once in one stream: choices, content blocks, tool calls. */
const CHANNELS_MAX = 4096

interface Channel {
  watch: Watch
  spans: Span[]
  length: number
}
/** A text of an event: `from` and `to` count in its channel. */
interface Piece extends TextSlot {
  channel: Channel
}
interface Frame {
  bytes: Buffer
  pieces: Piece[]
  withheld: readonly Edit[]
}

/** Judges event by event, and holds an event until every text in it is decided. */
export class StreamScreen implements Sink {
  readonly #dialect: Dialect
  readonly #judgement: Judgement
  readonly #inner: Sink
  readonly #readJson = createJsonReader()
  readonly #channels = new Map<number, Channel>()
  /** The texts that no dialect names: each is one by itself, and so decided at once. */
  readonly #others: Channel
  readonly #marked = new Set<number>()
  #held: Frame[] = []
  #heldBytes = 0
  #rest: Buffer | undefined
  #flowing = true
  constructor(dialect: Dialect, judgement: Judgement, inner: Sink) {
    this.#dialect = dialect
    this.#judgement = judgement
    this.#inner = inner
    this.#others = this.#open()
  }

  head(status: number, headers: string[]): void {
    this.#inner.head(
      status,
      headers.filter((_, i) => headers[i - (i % 2)] !== 'content-length'),
    )
  }
  data(chunk: Buffer): boolean {
    this.#flowing = true // unless something is written now that the client does not take
    const rest = this.#rest
    const bytes = rest ? Buffer.concat([rest, chunk]) : chunk
    this.#rest = undefined
    let at = 0
    try {
      for (let end = nextFrame(bytes, Math.max(0, (rest?.length ?? 0) - 3)); end > 0; end = nextFrame(bytes, at)) {
        this.#read(bytes.subarray(at, end))
        at = end
      }
      this.#rest = at < bytes.length ? Buffer.from(bytes.subarray(at)) : undefined
    } finally {
      this.#release() // what came before an event that cannot be read leaves all the same, however the bytes were cut
    }
    if (this.#heldBytes + (this.#rest?.length ?? 0) > HELD_BYTES_MAX) throw unreadable(`The reply cannot be judged within ${HELD_BYTES_MAX} bytes.`)
    return this.#flowing
  }
  end(): void {
    this.#finish()
    this.#inner.end()
  }
  error(): void {
    try {
      this.#finish()
    } catch {
      // The connection broke in the middle of an event, or a rule stops what was left: it is not relayed, and there is nobody to tell.
    }
    this.#inner.error()
  }

  #finish(): void {
    const rest = this.#rest
    this.#rest = undefined
    try {
      if (rest) this.#read(rest)
    } finally {
      this.#close(() => true)
      this.#release()
    }
  }

  #read(bytes: Buffer): void {
    const frame: Frame = { bytes, pieces: [], withheld: [] }
    const data = frameData(bytes)
    if (data === 'several') throw unreadable('An event of the reply has more than one data line.')
    if (data !== null && data.end > data.start) {
      if (isDone(bytes, data.start, data.end)) this.#close(() => true)
      else this.#readEvent(frame, data.start, data.end)
    }
    this.#held.push(frame)
    this.#heldBytes += bytes.length
  }

  #readEvent(frame: Frame, start: number, end: number): void {
    const json = readReply(this.#readJson, frame.bytes, start, end)
    const repeats = repeatsIn(json, this.#dialect)
    if (this.#judgement.withholdsRepeats) frame.withheld = repeats
    this.#marked.clear()
    const closed = this.#dialect.readEvent(json, (node, number, role) => {
      if (!json.isString(node) || json.isKey(node) || this.#marked.has(node)) return
      this.#marked.add(node)
      if (role !== 'opaque') this.#feed(frame, json, node, role, this.#channels.get(number) ?? this.#openNumber(number))
    })
    json.eachString((node) => {
      const role = this.#marked.has(node) || isWithin(repeats, json.start(node)) ? null : unmarkedRole(json, node)
      if (role === null) return
      this.#feed(frame, json, node, role, this.#others)
      this.#others.watch.finish()
    })
    if (closed !== NOTHING_CLOSED) this.#close((number) => Math.floor(number / CHANNELS_PER_CHOICE) === closed)
  }

  #feed(frame: Frame, json: Json, node: number, role: Role, channel: Channel): void {
    const start = json.start(node),
      end = json.end(node),
      escaped = json.isEscaped(node)
    if (start === end) return
    let text = frame.bytes,
      from = start,
      to = end
    if (escaped) {
      text = Buffer.allocUnsafe(end - start)
      from = 0
      to = decode(frame.bytes, start, end, true, text, 0)
    }
    channel.watch.feed(text, from, to)
    frame.pieces.push({ role, start, end, escaped, from: channel.length, to: (channel.length += to - from), channel })
  }

  #open(): Channel {
    const spans: Span[] = []
    return { spans, length: 0, watch: this.#judgement.watch(spans) }
  }
  #openNumber(number: number): Channel {
    if (this.#channels.size >= CHANNELS_MAX) throw unreadable(`The reply has more than ${CHANNELS_MAX} texts at once.`)
    const channel = this.#open()
    this.#channels.set(number, channel)
    return channel
  }
  #close(isClosed: (number: number) => boolean): void {
    for (const [number, { watch }] of this.#channels)
      if (isClosed(number)) {
        watch.finish()
        this.#channels.delete(number)
      }
  }

  #release(): void {
    let count = 0
    try {
      for (const frame of this.#held) {
        if (!frame.pieces.every(isDecided)) break
        this.#flowing = this.#inner.data(this.#cut(frame))
        this.#heldBytes -= frame.bytes.length
        count++
      }
    } catch (stopped) {
      count = this.#held.length // what a blocking rule found is never let go of, nor is what followed it
      this.#heldBytes = 0
      this.#rest = undefined
      throw stopped
    } finally {
      if (count === this.#held.length) this.#held.length = 0
      else if (count > 0) this.#held.splice(0, count)
    }
  }

  #cut({ bytes, pieces, withheld }: Frame): Buffer {
    if (withheld.length === 0 && pieces.every(({ channel }) => channel.spans.length === 0)) return bytes
    const edits = [...withheld, ...pieces.flatMap((piece) => editsFor(bytes, piece, piece.channel.spans, this.#judgement.placeholderIn(piece.role)))]
    for (const { channel, to } of pieces) {
      const gone = channel.spans.findIndex(({ end }) => end > to)
      channel.spans.splice(0, gone < 0 ? channel.spans.length : gone)
    }
    return splice(
      bytes,
      edits.sort((a, b) => a.start - b.start),
    )
  }
}

/** Nothing that begins in this text is open, nor anything that could still grow together with what was found in it. */
function isDecided({ channel, from, to }: Piece): boolean {
  const { decided } = channel.watch
  if (to > decided) return false
  for (const span of channel.spans) {
    if (span.start >= to) break
    if (span.end > from && span.end > decided) return false
  }
  return true
}

/** Members whose strings the protocol chose: ids and kinds. A finding in them would be an accident, and a cut would break the client. */
const PROTOCOL_MEMBERS = new Set([
  'id',
  'object',
  'model',
  'type',
  'role',
  'finish_reason',
  'native_finish_reason',
  'stop_reason',
  'service_tier',
  'system_fingerprint',
  'request_id',
  'tool_call_id',
  'tool_use_id',
])

/** What a string is that the dialect did not name; null where it is not judged. Names that no format knows are text that somebody chose. */
function unmarkedRole(json: Json, node: number): Role | null {
  if (json.isKey(node)) return 'protocol'
  // A member's name is the node before its value, as far from it as the root's first name is from the root.
  const before = node - json.value(0)
  const member = before > 0 && json.isKey(before) ? json.name(before) : ''
  if (PROTOCOL_MEMBERS.has(member)) return null
  return member === 'name' ? 'tool_name' : 'other'
}
