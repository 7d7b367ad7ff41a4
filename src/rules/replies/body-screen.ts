/** Judges a reply in one piece. */
import type { Role } from '../../call.ts'
import { splice } from '../../dialects/bodies/texts.ts'
import type { Dialect } from '../../dialects/dialect.ts'
import { Failure } from '../../errors.ts'
import type { Sink } from '../../sink.ts'
import { bareNumbers } from '../bare-numbers.ts'
import { editsFor } from '../edits.ts'
import { insertAll, type Span } from '../matching/match.ts'
import { type BodyKind, readBody } from './body-texts.ts'
import { escapesOf, firstByte, isError, isWithin, type Judgement, unreadable } from './judgement.ts'
import { cutList, isListOfEvents } from './list-body.ts'
import { TURN_BYTES, type Turns } from './turns.ts'

/** A larger reply cannot be judged and is not relayed. */
const BODY_BYTES_MAX = 32 << 20

/** Holds the whole reply, and lets it go judged and cut. */
export class BodyScreen implements Sink {
  readonly #dialect: Dialect
  readonly #judgement: Judgement
  readonly #inner: Sink
  readonly #kind: BodyKind
  readonly #turns: Turns
  #chunks: Buffer[] = []
  #size = 0
  #status = 0
  #headers: string[] = []
  /** Too much for one who may let things pass: everything does from now on. */
  #isPassing = false
  constructor(dialect: Dialect, judgement: Judgement, inner: Sink, kind: BodyKind, turns: Turns) {
    this.#turns = turns
    this.#dialect = dialect
    this.#judgement = judgement
    this.#inner = inner
    this.#kind = kind
  }
  head(status: number, headers: string[]): void {
    this.#status = status
    this.#headers = headers
  }
  data(chunk: Buffer): boolean {
    if (this.#isPassing) return this.#inner.data(chunk)
    this.#chunks.push(chunk)
    return (this.#size += chunk.length) <= BODY_BYTES_MAX || this.#giveUp()
  }
  end(): void {
    if (this.#isPassing) this.#inner.end()
    else this.#turns.run(this.#relay())
  }
  error(): void {
    this.#inner.error() // nothing was said yet, so the refusal can still be a real one
  }

  #giveUp(): boolean {
    if (!this.#judgement.isLenient) throw unreadable(`The reply is larger than ${BODY_BYTES_MAX} bytes.`)
    this.#isPassing = true
    this.#inner.head(this.#status, this.#headers)
    const body = Buffer.concat(this.#chunks)
    this.#chunks = []
    return this.#inner.data(body)
  }

  *#relay(): Generator<undefined, void> {
    const body = Buffer.concat(this.#chunks)
    const output = yield* this.#judged(body)
    this.#inner.head(this.#status, output === body ? this.#headers : withLength(this.#headers, output.length))
    if (output.length > 0) this.#inner.data(output)
    this.#inner.end()
  }

  *#judged(body: Buffer): Generator<undefined, Buffer> {
    try {
      return yield* this.#cut(body)
    } catch (error) {
      if (this.#judgement.isLenient && error instanceof Failure) return body
      throw error
    }
  }

  /** Yields where others may have their turn. */
  *#cut(body: Buffer): Generator<undefined, Buffer> {
    const judgement = this.#judgement
    if (body.length === 0) return body
    if (this.#kind === 'json' && isListOfEvents(body, this.#dialect)) return yield* cutList(body, this.#status, this.#dialect, judgement)
    const read = readBody(body, this.#kind, this.#dialect)
    if (body.length > TURN_BYTES) yield // what a client would read has been found; now it is judged
    judgement.uninspected(read ? read.opaqueBytes + read.sealedBytes : body.length)
    if (!read || read.opaqueBytes > 0) judgement.media()
    if (!read) return body
    const { repeats, text, isJson } = read
    const slots = read.slots.filter(
      (slot) => (slot.role !== 'protocol' || isName(body, slot.end) || isNumber(body, slot.start)) && !isWithin(repeats, slot.start),
    )
    const whole = judgement.whole?.({ ...read, slots }, isError(this.#status)) ?? []
    const spans: Span[] = []
    let role: Role = 'other'
    const watch = judgement.watch(spans, () => role)
    // Text by text, because the watchers' positions may leave gaps but no finding may lie in two texts.
    const edits = judgement.withholdsRepeats ? [...repeats] : []
    let offset = 0
    let next = 0
    let turn = TURN_BYTES
    for (const slot of slots) {
      role = slot.role
      for (let from = slot.from; from < slot.to; ) {
        const to = Math.min(slot.to, from + turn)
        watch.feed(text, from, to)
        turn -= to - from
        from = to
        if (turn > 0) continue
        turn = TURN_BYTES
        yield
      }
      watch.finish()
      const moved = offset - slot.from
      const first = next
      while (next < whole.length && whole[next].start < slot.to) next++
      if (next > first)
        insertAll(
          spans,
          whole.slice(first, next).map(({ start, end, leaf }) => ({ start: start + moved, end: end + moved, leaf })),
        )
      if (spans.length > 0) {
        const escapes = isJson ? escapesOf(firstByte(text, slot.from, slot.to)) : 0
        const placed = { ...slot, from: offset, to: slot.to + moved }
        const numbers = bareNumbers()
        if (role === 'tool_arguments') numbers.feed(text, slot.from, slot.to, offset)
        for (const edit of editsFor(body, placed, spans, numbers.quoting(judgement.placeholderIn({ role, escapes })))) edits.push(edit)
        spans.length = 0
      }
      offset += slot.to - slot.from
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

const QUOTE = 0x22
/** Whether what begins here is no string: a long number. */
const isNumber = (bytes: Buffer, start: number): boolean => bytes[start - 1] !== QUOTE

/** Whether the string that ends here is a member's name: a colon follows. */
function isName(bytes: Buffer, end: number): boolean {
  let i = end + 1
  while (bytes[i] === 0x20 || bytes[i] === 0x0a || bytes[i] === 0x0d || bytes[i] === 0x09) i++
  return bytes[i] === 0x3a
}
