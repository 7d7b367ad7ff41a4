/** Judges a stream of events. */
import type { Role } from '../../call.ts'
import type { Json } from '../../dialects/bodies/json.ts'
import { createJsonReader } from '../../dialects/bodies/json-reader.ts'
import { decode, splice } from '../../dialects/bodies/texts.ts'
import { CHANNELS_PER_CHOICE, type Dialect, NOTHING_CLOSED, WHOLE_TEXT } from '../../dialects/dialect.ts'
import { frameData, isDone, nextFrame } from '../../dialects/events/event-stream.ts'
import { HeldBytes } from '../../dialects/events/held-bytes.ts'
import { Failure } from '../../errors.ts'
import type { Sink } from '../../sink.ts'
import { editsFor } from '../edits.ts'
import { charactersIn, type HeldBack, type HeldEvent, HeldEvents } from './held-events.ts'
import { isError, isWithin, type Judgement, readReply, repeatsIn, unreadable } from './judgement.ts'
import { KeptTexts } from './kept-texts.ts'
import { StreamedText } from './streamed-text.ts'
import { unmarkedRole } from './unmarked-role.ts'

/** At this bound a stream is cut: what cannot be judged is not relayed. */
const HELD_BYTES_MAX = 1 << 20
/** The same for an event that waits this long: as long as a provider may be silent. What only the whole reply decides waits for its end. */
export const HELD_MS_MAX = 300_000
/** Texts that are open at once in one stream: choices, content blocks, tool calls. */
const CHANNELS_MAX = 4096
const EVERYTHING_CLOSED = -2

/** Stands for every choice: what is told whole belongs to none. */
const EVERY_CHOICE = Math.floor(WHOLE_TEXT / CHANNELS_PER_CHOICE)

/** Judges event by event, and holds an event until every text in it is decided. */
export class StreamScreen implements Sink {
  readonly #dialect: Dialect
  readonly #judgement: Judgement
  readonly #inner: Sink
  readonly #readJson = createJsonReader()
  /** The texts that have begun and not ended, by their channels. */
  readonly #texts = new Map<number, StreamedText>()
  /** The texts that one event tells whole, and those that no dialect names: each is one by itself, and so decided at once. */
  readonly #others: StreamedText
  readonly #marked = new Set<number>()
  /** What the event that is being read goes on with: its texts, and what kind of text in which choice. */
  readonly #spoken = new Set<StreamedText>()
  #speaks: Speaking[] = []
  /** The one kind that the last event went on with; null where there were several. */
  #spoke: Speaking | null = null
  /** What only the whole reply decides is judged at its end; null where no rule asks for it. */
  readonly #kept: KeptTexts | null
  /** Choices and blocks that have begun downstream and not ended. */
  readonly #open = new Set<number>()
  readonly #held = new HeldEvents()
  readonly #now: () => number
  /** When the bytes came that are being read. */
  #cameAt = 0
  /** The beginning of an event. */
  readonly #rest = new HeldBytes()
  #flowing = true
  #status = 0
  /** Nothing leaves before the end. */
  #holdsAll: boolean
  /** Too much for one who may let things pass: everything does from now on. */
  #isPassing = false
  /** `now` in milliseconds, of a clock that only goes forward. */
  constructor(dialect: Dialect, judgement: Judgement, inner: Sink, now: () => number = monotonic) {
    this.#dialect = dialect
    this.#judgement = judgement
    this.#inner = inner
    this.#now = now
    this.#holdsAll = judgement.holdsAll
    this.#kept = judgement.whole ? new KeptTexts() : null
    this.#others = new StreamedText(judgement)
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
    this.#cameAt = this.#now()
    this.#held.waitedMs(this.#cameAt)
    this.#flowing = true // unless something is written now that the client does not take
    const seen = this.#rest.length
    const bytes = this.#rest.with(chunk)
    let at = 0
    try {
      for (let end = nextFrame(bytes, Math.max(0, seen - 3)); end > 0; end = nextFrame(bytes, at)) {
        this.#read(bytes.subarray(at, end))
        at = end
      }
      this.#rest.keep(bytes, at)
    } catch (unread) {
      this.#rest.clear()
      throw unread
    } finally {
      this.#release() // what came before an event that cannot be read leaves all the same, however the bytes were cut
    }
    this.#checkBounds()
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
    this.#cameAt = this.#now()
    this.#held.waitedMs(this.#cameAt)
    try {
      this.#read(bytes, data)
    } finally {
      this.#release()
    }
    this.#checkBounds()
  }
  /** In the order in which they began. */
  open(): readonly number[] {
    return [...this.#open]
  }
  /** How far this fell behind so far. */
  held(): HeldBack {
    return this.#held.most()
  }

  #finish(): void {
    const rest = this.#rest.bytes()
    this.#rest.clear()
    this.#cameAt = this.#now()
    this.#held.waitedMs(this.#cameAt)
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

  #checkBounds(): void {
    const waitedMs = this.#held.waitedMs(this.#cameAt)
    if (this.#held.bytes + this.#rest.length > HELD_BYTES_MAX) this.#giveUp(`The reply cannot be judged within ${HELD_BYTES_MAX} bytes.`)
    else if (waitedMs > HELD_MS_MAX && !this.#holdsAll) this.#giveUp(`An event of the reply was not decided within ${HELD_MS_MAX} ms.`)
  }

  #giveUp(why: string): void {
    if (!this.#judgement.isLenient) {
      this.#held.drop()
      this.#rest.clear()
      throw unreadable(why)
    }
    this.#isPassing = true
    this.#close(EVERYTHING_CLOSED)
    this.#release()
    const rest = this.#rest.bytes()
    this.#rest.clear()
    if (rest) this.#flowing = this.#inner.data(rest)
  }

  #read(bytes: Buffer, given?: { start: number; end: number }): void {
    const frame: HeldEvent = { bytes, cameAt: this.#cameAt, characters: 0, pieces: [], withheld: [], begins: [], closes: NOTHING_CLOSED }
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
    this.#held.add(frame)
  }

  #readEvent(frame: HeldEvent, start: number, end: number): void {
    const json = readReply(this.#readJson, frame.bytes, start, end)
    const repeats = repeatsIn(json, this.#dialect)
    if (this.#judgement.withholdsRepeats) frame.withheld = repeats
    this.#marked.clear()
    this.#spoken.clear()
    this.#speaks = []
    frame.closes = this.#dialect.readEvent(json, (node, number, role) => {
      if (!json.isString(node) || json.isKey(node) || this.#marked.has(node)) return
      this.#marked.add(node)
      if (role === 'opaque' || role === 'sealed') return this.#passOver(json, node, role)
      if (number !== WHOLE_TEXT) frame.begins.push(Math.floor(number / CHANNELS_PER_CHOICE))
      if (role === 'protocol') return
      this.#speak(number, role, json.start(node) === json.end(node))
      if (number === WHOLE_TEXT) this.#feedWhole(frame, json, node, role)
      else this.#feed(frame, literalOf(json, node), role, this.#texts.get(number) ?? this.#openText(number))
    })
    json.eachString((node) => {
      const role = this.#marked.has(node) || isWithin(repeats, json.start(node)) ? null : unmarkedRole(json, node)
      if (role !== null) this.#feedWhole(frame, json, node, role)
    })
    json.eachLongNumber((node) => {
      const { start, end } = json.rangeOf(node)
      if (isWithin(repeats, start)) return
      this.#feed(frame, { start, end, escaped: false }, 'protocol', this.#others)
      this.#end(this.#others)
    })
    if (frame.closes !== NOTHING_CLOSED) this.#close(frame.closes)
    this.#interruptOthers()
  }

  #passOver(json: Json, node: number, role: 'opaque' | 'sealed'): void {
    this.#judgement.uninspected(json.end(node) - json.start(node))
    if (role === 'opaque') this.#judgement.media()
  }

  /** A call of a tool has begun even where nothing of its arguments has come. Of what is told whole only tools interrupt: the rest repeats, or annotates. */
  #speak(number: number, role: Role, isEmpty: boolean): void {
    const kind = kindOf(role)
    if (kind === null || (kind !== 'tool' && (isEmpty || number === WHOLE_TEXT))) return
    this.#speaks.push({ choice: Math.floor(number / CHANNELS_PER_CHOICE), kind })
  }

  /** Providers say what kind of text comes, not when it is over: where another kind begins, the texts before it have ended, as far as anybody knows. */
  #interruptOthers(): void {
    const [first, ...more] = this.#speaks
    if (!first) return
    const last = this.#spoke
    this.#spoke = more.length === 0 ? first : null
    if (this.#spoke && last?.choice === first.choice && last.kind === first.kind) return
    for (const [number, text] of this.#texts) {
      const kind = kindOf(text.role)
      if (kind === null || this.#spoken.has(text)) continue
      const choice = Math.floor(number / CHANNELS_PER_CHOICE)
      if (this.#speaks.some((one) => one.kind !== kind && (one.choice === choice || one.choice === EVERY_CHOICE))) text.interrupt()
    }
  }

  #feedWhole(frame: HeldEvent, json: Json, node: number, role: Role): void {
    this.#feed(frame, literalOf(json, node), role, this.#others)
    this.#end(this.#others)
  }

  #feed(frame: HeldEvent, { start, end, escaped }: Literal, role: Role, into: StreamedText): void {
    if (start === end) return
    let text = frame.bytes,
      from = start,
      to = end
    if (escaped) {
      text = Buffer.allocUnsafe(end - start)
      from = 0
      to = decode(frame.bytes, start, end, true, text, 0)
    }
    this.#spoken.add(into)
    this.#kept?.keep(into, role, text.subarray(from, to), into === this.#others)
    frame.pieces.push({ role, start, end, escaped, ...into.feed(text, from, to, role) })
    frame.characters += charactersIn(text, from, to)
  }

  #openText(number: number): StreamedText {
    if (this.#texts.size >= CHANNELS_MAX) throw unreadable(`The reply has more than ${CHANNELS_MAX} texts at once.`)
    const text = new StreamedText(this.#judgement)
    this.#texts.set(number, text)
    return text
  }
  #close(choice: number): void {
    for (const [number, text] of this.#texts)
      if (choice === EVERYTHING_CLOSED || Math.floor(number / CHANNELS_PER_CHOICE) === choice) {
        this.#texts.delete(number)
        this.#end(text)
      }
  }
  #end(text: StreamedText): void {
    text.end()
    this.#kept?.end(text)
  }

  #release(): void {
    if (this.#holdsAll) return
    try {
      this.#held.release((event) => {
        this.#flowing = this.#inner.data(this.#cut(event))
        this.#follow(event)
      })
    } catch (stopped) {
      this.#rest.clear() // what a blocking rule found is never let go of, nor is what followed it
      throw stopped
    }
  }

  #follow({ begins, closes, pieces }: HeldEvent): void {
    for (const { of, to } of pieces) of.forget(to)
    for (const choice of begins) if (this.#open.size < CHANNELS_MAX) this.#open.add(choice)
    if (closes === EVERYTHING_CLOSED) this.#open.clear()
    else this.#open.delete(closes)
  }

  #cut({ bytes, pieces, withheld }: HeldEvent): Buffer {
    if (withheld.length === 0 && pieces.every(({ of }) => of.spans.length === 0)) return bytes
    const edits = [...withheld, ...pieces.flatMap((piece) => editsFor(bytes, piece, piece.of.spans, piece.of.placeholderIn(piece)))]
    return splice(
      bytes,
      edits.sort((a, b) => a.start - b.start),
    )
  }
}

const monotonic = (): number => performance.now()

/** A kind of text in a choice. */
interface Speaking {
  choice: number
  kind: 'said' | 'thought' | 'tool'
}

/** Where a text lies in an event, and whether it is written with escapes. */
interface Literal {
  start: number
  end: number
  escaped: boolean
}

const literalOf = (json: Json, node: number): Literal => ({ start: json.start(node), end: json.end(node), escaped: json.isEscaped(node) })

/** What comes one after the other; null where a text stands beside others, as a citation does. */
function kindOf(role: Role): Speaking['kind'] | null {
  if (role === 'assistant') return 'said'
  if (role === 'thinking') return 'thought'
  return role === 'tool_name' || role === 'tool_arguments' || role === 'tool_result' ? 'tool' : null
}
