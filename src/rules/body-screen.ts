/** Judges a reply in one piece. */
import type { Dialect } from '../dialects/dialect.ts'
import { createJsonReader } from '../dialects/json-reader.ts'
import { collect, splice } from '../dialects/texts.ts'
import type { Sink } from '../sink.ts'
import { editsFor } from './edits.ts'
import { isWithin, type Judgement, readReply, repeatsIn, unreadable } from './judgement.ts'
import type { Span } from './match.ts'

/** A larger reply cannot be judged and is not relayed. */
const BODY_BYTES_MAX = 32 << 20

/** Holds the whole reply, and lets it go judged and cut. */
export class BodyScreen implements Sink {
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
    const json = readReply(createJsonReader(), body)
    const repeats = repeatsIn(json, this.#dialect)
    const { slots, text } = collect(json, (mark) => this.#dialect.readReply(json, mark))
    const spans: Span[] = []
    const watch = this.#judgement.watch(spans)
    // Text by text, because the watchers' positions may leave gaps but no finding may lie in two texts.
    const edits = this.#judgement.withholdsRepeats ? [...repeats] : []
    let offset = 0
    for (const slot of slots) {
      if ((slot.role === 'protocol' && !isName(body, slot.end)) || isWithin(repeats, slot.start)) continue
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
