import { JSON_TYPE, LINES_TYPE } from '../dialects/bodies/content.ts'
import { isTextType } from '../dialects/bodies/media.ts'
import { BYTES_PER_TOKEN } from '../dialects/estimate-input.ts'
import { createTextMeter, type TextMeter } from '../dialects/text-meter.ts'
import { headerOf } from '../sink.ts'
import { isOfOnePiece } from './short-body.ts'

/** How many tokens a reply is, as far as its bytes tell. */
export interface ReplyMeter extends TextMeter {
  /** Before its first chunk: what the reply says it is. Names in small letters: name, value, name, value. */
  head(headers: readonly string[]): void
  /** Sound, pictures and what is compressed: its bytes do not tell what it took. */
  readonly isUnreadable: boolean
}

/** Of text, that text's tokens. Of what is compressed a quarter of its bytes, which is less than it took. Of sound and pictures none. */
export const createReplyMeter = (): ReplyMeter => new KindMeter()

class KindMeter implements ReplyMeter {
  readonly #text = createTextMeter()
  #kind: 'text' | 'compressed' | 'media' = 'text'
  #bytes = 0
  /** Its chunks are held back until the reply is all there, and those of a stream go as they come. */
  #isOfOnePiece = false

  head(headers: readonly string[]): void {
    this.#isOfOnePiece = isOfOnePiece(headers)
    this.#kind = (headerOf(headers, 'content-encoding') ?? 'identity').toLowerCase() !== 'identity' ? 'compressed' : isMedia(headers) ? 'media' : 'text'
  }
  add(chunk: Buffer): void {
    if (this.#kind === 'text') this.#text.add(chunk, this.#isOfOnePiece)
    else this.#bytes += chunk.length
  }
  get tokens(): number {
    if (this.#kind === 'text') return this.#text.tokens
    return this.#kind === 'compressed' ? Math.ceil(this.#bytes / BYTES_PER_TOKEN) : 0
  }
  get isUnreadable(): boolean {
    return this.#kind !== 'text'
  }
}

function isMedia(headers: readonly string[]): boolean {
  const type = (headerOf(headers, 'content-type') ?? '').split(';', 1)[0].trim().toLowerCase()
  return type !== '' && !JSON_TYPE.test(type) && !LINES_TYPE.test(type) && !isTextType(type)
}
