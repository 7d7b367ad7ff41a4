/** Judges a stream of events. */
import type { Role, TextSlot } from '../../call.ts'
import type { Json } from '../../dialects/bodies/json.ts'
import { createJsonReader } from '../../dialects/bodies/json-reader.ts'
import { decode, type Edit, splice } from '../../dialects/bodies/texts.ts'
import { CHANNELS_PER_CHOICE, type Dialect, NOTHING_CLOSED, WHOLE_TEXT } from '../../dialects/dialect.ts'
import { frameData, isDone, nextFrame } from '../../dialects/events/event-stream.ts'
import { Failure } from '../../errors.ts'
import type { Sink } from '../../sink.ts'
import { type BareNumbers, bareNumbers } from '../bare-numbers.ts'
import { editsFor } from '../edits.ts'
import type { Span, Watch } from '../matching/match.ts'
import { escapesOf, firstByte, isError, isWithin, type Judgement, type Place, readReply, repeatsIn, unreadable } from './judgement.ts'
import { KeptTexts } from './kept-texts.ts'
import { unmarkedRole } from './unmarked-role.ts'

/** At this bound a stream is cut: what cannot be judged is not relayed. */
const HELD_BYTES_MAX = 1 << 20
/** Texts that are open at once in one stream: choices, content blocks, tool calls. */
const CHANNELS_MAX = 4096
const EVERYTHING_CLOSED = -2

interface Channel {
  watch: Watch
  spans: Span[]
  length: number
  /** What is being fed. */
  role: Role
  /** The first byte of the text that is no white space, once it came. */
  first: number | undefined
  numbers: BareNumbers
}
/** A text of an event: `from` and `to` count in its channel. */
interface Piece extends TextSlot, Place {
  channel: Channel
}
interface Frame {
  bytes: Buffer
  pieces: Piece[]
  withheld: readonly Edit[]
  /** The choices or blocks it speaks of, and the one it closes. */
  begins: number[]
  closes: number
}

/** Judges event by event, and holds an event until every text in it is decided. */
export class StreamScreen implements Sink {
  readonly #dialect: Dialect
  readonly #judgement: Judgement
  readonly #inner: Sink
  readonly #readJson = createJsonReader()
  readonly #channels = new Map<number, Channel>()
  /** The texts that one event tells whole, and those that no dialect names: each is one by itself, and so decided at once. */
  readonly #others: Channel
  readonly #marked = new Set<number>()
  /** What only the whole reply decides is judged at its end; null where no rule asks for it. */
  readonly #kept: KeptTexts | null
  /** Choices and blocks that have begun downstream and not ended. */
  readonly #open = new Set<number>()
  #held: Frame[] = []
  #heldBytes = 0
  #rest: Buffer | undefined
  #flowing = true
  #status = 0
  /** Nothing leaves before the end. */
  #holdsAll: boolean
  /** Too much for one who may let things pass: everything does from now on. */
  #isPassing = false
  constructor(dialect: Dialect, judgement: Judgement, inner: Sink) {
    this.#dialect = dialect
    this.#judgement = judgement
    this.#inner = inner
    this.#holdsAll = judgement.holdsAll
    this.#kept = judgement.whole ? new KeptTexts() : null
    this.#others = this.#openChannel()
  }

  head(status: number, headers: string[]): void {
    this.#status = status
    this.#inner.head(
      status,
      headers.filter((_, i) => headers[i - (i % 2)] !== 'content-length'),
    )
  }
  data(chunk: Buffer): boolean {
    if (this.#isPassing) return this.#inner.data(chunk)
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
    if (this.#heldBytes + (this.#rest?.length ?? 0) > HELD_BYTES_MAX) this.#giveUp()
    return this.#flowing
  }
  end(): void {
    this.#finish()
    this.#inner.end()
  }
  error(): void {
    try {
      if (!this.#holdsAll) this.#finish() // what only the whole reply decides was never decided
    } catch {
      // The connection broke in the middle of an event, or a rule stops what was left: it is not relayed, and there is nobody to tell.
    }
    this.#inner.error()
  }
  /** An event that lies at `data` in bytes which are no frame of server-sent events. */
  event(bytes: Buffer, data: { start: number; end: number }): void {
    if (this.#isPassing) return void this.#inner.data(bytes)
    try {
      this.#read(bytes, data)
    } finally {
      this.#release()
    }
    if (this.#heldBytes > HELD_BYTES_MAX) this.#giveUp()
  }
  /** In the order in which they began. */
  open(): readonly number[] {
    return [...this.#open]
  }

  #finish(): void {
    const rest = this.#rest
    this.#rest = undefined
    try {
      if (rest) this.#read(rest)
      this.#close(EVERYTHING_CLOSED)
      const { whole } = this.#judgement
      if (whole) this.#kept?.judge((reply) => whole(reply, isError(this.#status)))
      this.#holdsAll = false
    } finally {
      this.#close(EVERYTHING_CLOSED)
      this.#release()
    }
  }

  #giveUp(): void {
    if (!this.#judgement.isLenient) throw unreadable(`The reply cannot be judged within ${HELD_BYTES_MAX} bytes.`)
    this.#isPassing = true
    this.#close(EVERYTHING_CLOSED)
    this.#release()
    if (this.#rest) this.#flowing = this.#inner.data(this.#rest)
    this.#rest = undefined
  }

  #read(bytes: Buffer, given?: { start: number; end: number }): void {
    const frame: Frame = { bytes, pieces: [], withheld: [], begins: [], closes: NOTHING_CLOSED }
    try {
      const data = given ?? frameData(bytes)
      if (data === 'several') throw unreadable('An event of the reply has more than one data line.')
      if (data !== null && data.end > data.start) {
        if (isDone(bytes, data.start, data.end)) this.#close((frame.closes = EVERYTHING_CLOSED))
        else this.#readEvent(frame, data.start, data.end)
      }
    } catch (error) {
      if (!this.#judgement.isLenient || !(error instanceof Failure)) throw error
    }
    this.#held.push(frame)
    this.#heldBytes += bytes.length
  }

  #readEvent(frame: Frame, start: number, end: number): void {
    const json = readReply(this.#readJson, frame.bytes, start, end)
    const repeats = repeatsIn(json, this.#dialect)
    if (this.#judgement.withholdsRepeats) frame.withheld = repeats
    this.#marked.clear()
    frame.closes = this.#dialect.readEvent(json, (node, number, role) => {
      if (!json.isString(node) || json.isKey(node) || this.#marked.has(node)) return
      this.#marked.add(node)
      if (role === 'opaque' || role === 'sealed') return this.#passOver(json, node, role)
      if (number !== WHOLE_TEXT) frame.begins.push(Math.floor(number / CHANNELS_PER_CHOICE))
      if (role === 'protocol') return
      if (number === WHOLE_TEXT) this.#feedWhole(frame, json, node, role)
      else this.#feed(frame, json, node, role, this.#channels.get(number) ?? this.#openNumber(number))
    })
    json.eachString((node) => {
      const role = this.#marked.has(node) || isWithin(repeats, json.start(node)) ? null : unmarkedRole(json, node)
      if (role !== null) this.#feedWhole(frame, json, node, role)
    })
    if (frame.closes !== NOTHING_CLOSED) this.#close(frame.closes)
  }

  #passOver(json: Json, node: number, role: 'opaque' | 'sealed'): void {
    this.#judgement.uninspected(json.end(node) - json.start(node))
    if (role === 'opaque') this.#judgement.media()
  }

  #feedWhole(frame: Frame, json: Json, node: number, role: Role): void {
    this.#others.first = undefined
    this.#feed(frame, json, node, role, this.#others)
    this.#end(this.#others)
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
    channel.role = role
    channel.first ??= firstByte(text, from, to)
    channel.watch.feed(text, from, to)
    if (role === 'tool_arguments' && this.#judgement.withholdsRepeats) channel.numbers.feed(text, from, to, channel.length)
    this.#kept?.keep(channel, role, text.subarray(from, to), channel === this.#others)
    const escapes = escapesOf(channel.first)
    frame.pieces.push({ role, start, end, escaped, escapes, from: channel.length, to: (channel.length += to - from), channel })
  }

  #openChannel(): Channel {
    const spans: Span[] = []
    const watch = this.#judgement.watch(spans, () => channel.role)
    const channel: Channel = { spans, length: 0, role: 'other', first: undefined, numbers: bareNumbers(), watch }
    return channel
  }
  #openNumber(number: number): Channel {
    if (this.#channels.size >= CHANNELS_MAX) throw unreadable(`The reply has more than ${CHANNELS_MAX} texts at once.`)
    const channel = this.#openChannel()
    this.#channels.set(number, channel)
    return channel
  }
  #close(choice: number): void {
    for (const [number, channel] of this.#channels)
      if (choice === EVERYTHING_CLOSED || Math.floor(number / CHANNELS_PER_CHOICE) === choice) {
        this.#end(channel)
        this.#channels.delete(number)
      }
  }
  #end(channel: Channel): void {
    channel.watch.finish()
    channel.numbers.end()
    this.#kept?.end(channel)
  }

  #release(): void {
    if (this.#holdsAll) return
    let count = 0
    try {
      for (const frame of this.#held) {
        if (!frame.pieces.every(isDecided)) break
        this.#flowing = this.#inner.data(this.#cut(frame))
        this.#follow(frame)
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

  #follow({ begins, closes, pieces }: Frame): void {
    for (const { channel, to } of pieces) channel.numbers.forget(to)
    for (const choice of begins) if (this.#open.size < CHANNELS_MAX) this.#open.add(choice)
    if (closes === EVERYTHING_CLOSED) this.#open.clear()
    else this.#open.delete(closes)
  }

  #cut({ bytes, pieces, withheld }: Frame): Buffer {
    if (withheld.length === 0 && pieces.every(({ channel }) => channel.spans.length === 0)) return bytes
    const edits = [
      ...withheld,
      ...pieces.flatMap((piece) => editsFor(bytes, piece, piece.channel.spans, piece.channel.numbers.quoting(this.#judgement.placeholderIn(piece)))),
    ]
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
