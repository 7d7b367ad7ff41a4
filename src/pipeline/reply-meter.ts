import { JSON_TYPE, LINES_TYPE } from '../dialects/bodies/content.ts'
import { isTextType } from '../dialects/bodies/media.ts'
import { BYTES_PER_TOKEN } from '../dialects/estimate-input.ts'
import { createTextMeter, type TextMeter } from '../dialects/text-meter.ts'
import { headerOf } from '../sink.ts'

/** How many tokens a reply is, as far as its bytes tell. */
export interface ReplyMeter extends TextMeter {
  /** Before its first chunk: what the reply says it is. Names in small letters: name, value, name, value. */
  head(headers: readonly string[]): void
  /** Sound, pictures and what is compressed: its bytes do not tell what it took. */
  readonly isUnreadable: boolean
}

/** Of text, that text's tokens. Of what is compressed a quarter of its bytes, which is less than it took. Of sound and pictures none. */
export function createReplyMeter(): ReplyMeter {
  const text = createTextMeter()
  let kind: 'text' | 'compressed' | 'media' = 'text'
  let bytes = 0
  return {
    head(headers) {
      kind = (headerOf(headers, 'content-encoding') ?? 'identity').toLowerCase() !== 'identity' ? 'compressed' : isMedia(headers) ? 'media' : 'text'
    },
    add(chunk) {
      if (kind === 'text') text.add(chunk)
      else bytes += chunk.length
    },
    get tokens() {
      if (kind === 'text') return text.tokens
      return kind === 'compressed' ? Math.ceil(bytes / BYTES_PER_TOKEN) : 0
    },
    get isUnreadable() {
      return kind !== 'text'
    },
  }
}

function isMedia(headers: readonly string[]): boolean {
  const type = (headerOf(headers, 'content-type') ?? '').split(';', 1)[0].trim().toLowerCase()
  return type !== '' && !JSON_TYPE.test(type) && !LINES_TYPE.test(type) && !isTextType(type)
}
