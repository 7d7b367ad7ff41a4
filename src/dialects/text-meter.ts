import { BYTES_PER_TOKEN } from './estimate-input.ts'
import { createTextScanner } from './text-scanner.ts'

/** What is kept unread, so that a short reply which ends well, and tells its own count, costs a copy. */
const UNREAD_BYTES_MAX = 16 << 10

/** How many tokens the text of a reply would be, estimated while its bytes pass. */
export interface TextMeter {
  /** `isKept`: others keep it as well, so that of a reply in one piece no copy is made. */
  add(chunk: Buffer, isKept?: boolean): void
  /** Of all that was added: a quarter of the bytes of its texts. The JSON around them, sound and pictures do not count. */
  readonly tokens: number
}

export const createTextMeter = (): TextMeter => new UnreadMeter()

/** Reads only when it is asked, or has kept enough: most replies are never read. */
class UnreadMeter implements TextMeter {
  #scanner: ReturnType<typeof createTextScanner> | undefined
  /** The only chunk so far, where it is kept by others. */
  #first: Buffer | undefined
  #unread: Buffer | undefined
  #used = 0

  add(chunk: Buffer, isKept = false): void {
    if (isKept && this.#first === undefined && this.#used === 0 && this.#scanner === undefined && chunk.length <= UNREAD_BYTES_MAX) {
      this.#first = chunk
      return
    }
    if (this.#first) {
      this.#copy(this.#first)
      this.#first = undefined
    }
    if (this.#used + chunk.length > UNREAD_BYTES_MAX) this.#read()
    if (chunk.length > UNREAD_BYTES_MAX) this.#scan(chunk, chunk.length)
    else this.#copy(chunk)
  }

  get tokens(): number {
    this.#read()
    return this.#scanner === undefined ? 0 : Math.ceil(this.#scanner.bytes / BYTES_PER_TOKEN)
  }

  // Copied, not referenced: a chunk is a slice of a larger buffer, which a thousand slow streams would keep alive.
  #copy(chunk: Buffer): void {
    this.#unread ??= Buffer.allocUnsafeSlow(UNREAD_BYTES_MAX)
    this.#used += chunk.copy(this.#unread, this.#used)
  }

  #read(): void {
    if (this.#first) this.#scan(this.#first, this.#first.length)
    else if (this.#unread && this.#used > 0) this.#scan(this.#unread, this.#used)
    this.#first = undefined
    this.#used = 0
  }

  #scan(bytes: Buffer, end: number): void {
    this.#scanner ??= createTextScanner()
    this.#scanner.scan(bytes, end)
  }
}
