/**
 * Reads a reply on its way to the client and cuts what the rules found. A streamed event is either passed on byte for byte or held
 * until the texts in it are decided; text never moves from one event to another, so a reply in which nothing is found arrives as sent.
 */
import type { Role, TextSlot } from '../call.ts'
import { CHANNELS_PER_CHOICE, type Dialect, NOTHING_CLOSED } from '../dialects/dialect.ts'
import { frameData, nextFrame } from '../dialects/event-stream.ts'
import type { Json } from '../dialects/json.ts'
import { createJsonReader, UnreadableJson } from '../dialects/json-reader.ts'
import { collect, decode, type Edit, splice } from '../dialects/texts.ts'
import { Failure, Refusal } from '../errors.ts'
import { headerOf, isEventStream, type Sink, type Wrap } from '../sink.ts'
import { editsFor } from './edits.ts'
import { insert, type Span, type Watch } from './match.ts'
import type { Verdict } from './policy.ts'
import { canBeCut } from './redact.ts'
import type { Rule } from './rule.ts'

/** At this bound a stream is cut: what cannot be judged is not relayed. */
const HELD_BYTES_MAX = 1 << 20
/** The same for a reply in one piece. */
const BODY_BYTES_MAX = 32 << 20
/** Texts that are open at once in one stream: choices, content blocks, tool calls. */
const CHANNELS_MAX = 4096

/** What a rule found in a reply: how often, never what. */
export interface ReplyFinding {
  rule: Rule
  count: number
}

/** What stands between an upstream and the client. */
export interface ReplyScreen {
  /**
   * The sink that judges. It throws a Refusal where a rule stops the reply, and a Failure('reply_unreadable') where the reply cannot be judged; nothing
   * of what was held then leaves.
   */
  wrap: Wrap
  /** What was found so far, by all rules that read replies, enforced or not. */
  findings(): ReplyFinding[]
}

/** The screen for one reply; null where no rule reads it. */
export function screenFor({ reply }: Verdict, dialect: Dialect): ReplyScreen | null {
  if (!reply) return null
  const counts = new Map<Rule, number>()
  const judgement: Judgement = {
    watch: (spans) =>
      reply.matcher((start, end, leaf) => {
        const { rule } = reply.leaves[leaf]
        counts.set(rule, (counts.get(rule) ?? 0) + 1)
        if (isEnforced(rule)) insert(spans, start, end, leaf)
      }),
    placeholderIn: (role) => (span) => {
      const { rule, placeholder } = reply.leaves[span.leaf]
      if (rule.action !== 'REDACT') throw new Refusal('blocked_by_rule', `The reply was stopped by policy: '${rule.name}'.`)
      if (canBeCut(role)) return placeholder
      throw new Refusal('cannot_redact', `The reply was stopped by policy: '${rule.name}'. What it redacts stands where a placeholder would break the reply.`)
    },
  }
  return {
    wrap: (inner) => new ReplySink(dialect, judgement, inner),
    findings: () => Array.from(counts, ([rule, count]) => ({ rule, count })),
  }
}

/** Everything but WARN stops or cuts. */
const isEnforced = (rule: Rule): boolean => rule.mode === 'enforce' && rule.action !== 'WARN' && rule.action !== 'ALLOW'

interface Judgement {
  /** Begins to watch a text; what must be cut or stops the reply is kept in `spans`. */
  watch(spans: Span[]): Watch
  /** What stands for a span in a text of this role; throws where it stops the reply. */
  placeholderIn(role: Role): (span: Span) => string
}

const unreadable = (why: string): Failure => new Failure('reply_unreadable', new Error(why))

/** JSON or a Failure. The reader's own message names a byte and no content. */
function readReply<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof UnreadableJson ? new Failure('reply_unreadable', error) : error
  }
}

/** Chooses by what the head says. Errors that are no JSON come from a gateway and not from a model, and pass; any other reply that cannot be read does not. */
class ReplySink implements Sink {
  readonly #dialect: Dialect
  readonly #judgement: Judgement
  readonly #inner: Sink
  #chosen: Sink
  constructor(dialect: Dialect, judgement: Judgement, inner: Sink) {
    this.#dialect = dialect
    this.#judgement = judgement
    this.#inner = inner
    this.#chosen = inner
  }
  head(status: number, headers: string[]): void {
    if (!isEmpty(status, headers)) {
      const isStream = isEventStream(headers)
      if (isStream || JSON_TYPE.test(headerOf(headers, 'content-type') ?? '')) {
        if ((headerOf(headers, 'content-encoding') ?? 'identity') !== 'identity')
          throw unreadable('The reply is compressed although nothing else was asked for.')
        this.#chosen = new (isStream ? StreamScreen : BodyScreen)(this.#dialect, this.#judgement, this.#inner)
      } else if (status < 300) throw unreadable('The reply is neither JSON nor an event stream.')
    }
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
}

const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json *(?:;|$)/i
const isEmpty = (status: number, headers: readonly string[]): boolean => status === 204 || status === 304 || headerOf(headers, 'content-length') === '0'

class BodyScreen implements Sink {
  readonly #dialect: Dialect
  readonly #judgement: Judgement
  readonly #inner: Sink
  readonly #chunks: Buffer[] = []
  #size = 0
  #status = 0
  #headers: string[] = []
  constructor(dialect: Dialect, judgement: Judgement, inner: Sink) {
    this.#dialect = dialect
    this.#judgement = judgement
    this.#inner = inner
  }
  head(status: number, headers: string[]): void {
    this.#status = status
    this.#headers = headers
  }
  data(chunk: Buffer): boolean {
    this.#chunks.push(chunk)
    if ((this.#size += chunk.length) > BODY_BYTES_MAX) throw unreadable(`The reply is larger than ${BODY_BYTES_MAX} bytes.`)
    return true
  }
  end(): void {
    const body = Buffer.concat(this.#chunks)
    const output = this.#cut(body)
    this.#inner.head(this.#status, output === body ? this.#headers : withLength(this.#headers, output.length))
    this.#inner.data(output)
    this.#inner.end()
  }
  error(): void {
    this.#inner.error() // nothing was said yet, so the refusal can still be a real one
  }

  #cut(body: Buffer): Buffer {
    const json = readReply(() => createJsonReader()(body))
    const { slots, text } = collect(json, (mark) => this.#dialect.readReply(json, mark))
    const spans: Span[] = []
    const watch = this.#judgement.watch(spans)
    // Text by text, because the watchers' positions may leave gaps but no finding may lie in two texts.
    const edits: Edit[] = []
    let offset = 0
    for (const slot of slots) {
      if (slot.role === 'protocol' && !isName(body, slot.end)) continue
      watch.feed(text, slot.from, slot.to)
      watch.finish()
      const length = slot.to - slot.from
      if (spans.length > 0) {
        const placed = { ...slot, from: offset, to: offset + length }
        for (const edit of editsFor(body, placed, spans, this.#judgement.placeholderIn(slot.role))) edits.push(edit)
        spans.length = 0
      }
      offset += length
    }
    return splice(
      body,
      edits.sort((a, b) => a.start - b.start),
    )
  }
}

function withLength(headers: readonly string[], length: number): string[] {
  const kept: string[] = []
  for (let i = 0; i < headers.length; i += 2) if (headers[i] !== 'content-length') kept.push(headers[i], headers[i + 1])
  return [...kept, 'content-length', String(length)]
}

/** Whether the string that ends here is a member's name: a colon follows. */
function isName(bytes: Buffer, end: number): boolean {
  let i = end + 1
  while (bytes[i] === 0x20 || bytes[i] === 0x0a || bytes[i] === 0x0d || bytes[i] === 0x09) i++
  return bytes[i] === 0x3a
}

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
}

class StreamScreen implements Sink {
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
    const frame: Frame = { bytes, pieces: [] }
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
    const json = readReply(() => this.#readJson(frame.bytes, start, end))
    this.#marked.clear()
    const closed = this.#dialect.readEvent(json, (node, number, role) => {
      if (!json.isString(node) || json.isKey(node) || this.#marked.has(node)) return
      this.#marked.add(node)
      if (role !== 'opaque') this.#feed(frame, json, node, role, this.#channels.get(number) ?? this.#openNumber(number))
    })
    json.eachString((node) => {
      const role = this.#marked.has(node) ? null : unmarkedRole(json, node)
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

  #cut({ bytes, pieces }: Frame): Buffer {
    if (pieces.every(({ channel }) => channel.spans.length === 0)) return bytes
    const edits = pieces.flatMap((piece) => editsFor(bytes, piece, piece.channel.spans, this.#judgement.placeholderIn(piece.role)))
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

/** Members whose strings the protocol chose: ids, kinds and seals. A finding in them would be an accident, and a cut would break the client. */
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
  'signature',
  'thought_signature',
  'encrypted_content',
  'encrypted_index',
  'encrypted_stdout',
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

const isDone = (bytes: Buffer, start: number, end: number): boolean => bytes.toString('latin1', start, end).trimEnd() === '[DONE]'
