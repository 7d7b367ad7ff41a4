import { BYTES_PER_TOKEN } from './estimate-input.ts'
import { createTextScanner } from './text-scanner.ts'

/** What is kept unread, so that a short reply which ends well, and tells its own count, costs a copy. */
const UNREAD_BYTES_MAX = 16 << 10

/** How many tokens the text of a reply would be, estimated while its bytes pass. */
export interface TextMeter {
  add(chunk: Buffer): void
  /** Of all that was added: a quarter of the bytes of its texts. The JSON around them, sound and pictures do not count. */
  readonly tokens: number
}

export function createTextMeter(): TextMeter {
  const scanner = createTextScanner()
  let unread: Buffer | undefined
  let used = 0
  const read = (): void => {
    if (unread && used > 0) scanner.scan(unread, used)
    used = 0
  }
  return {
    add(chunk) {
      if (used + chunk.length > UNREAD_BYTES_MAX) read()
      if (chunk.length > UNREAD_BYTES_MAX) {
        scanner.scan(chunk, chunk.length)
        return
      }
      // Copied, not referenced: a chunk is a slice of a larger buffer, which a thousand slow streams would keep alive.
      unread ??= Buffer.allocUnsafeSlow(UNREAD_BYTES_MAX)
      used += chunk.copy(unread, used)
    },
    get tokens() {
      read()
      return Math.ceil(scanner.bytes / BYTES_PER_TOKEN)
    },
  }
}
