/** The beginning of what has not all come, while its end arrives piece by piece, however small the pieces are. */

const BYTES_MIN = 256

/** One buffer that doubles, so that each byte is copied a bounded number of times. What it hands out is never written to again. */
export class HeldBytes {
  #buffer: Buffer | undefined
  #used = 0

  get length(): number {
    return this.#used
  }

  /** What is held with the chunk behind it: the chunk itself where nothing is. */
  with(chunk: Buffer): Buffer {
    const held = this.#buffer
    if (!held) return chunk
    const length = this.#used + chunk.length
    const buffer = length <= held.length ? held : Buffer.allocUnsafeSlow(Math.max(BYTES_MIN, 2 * held.length, length))
    if (buffer !== held) held.copy(buffer, 0, 0, this.#used)
    chunk.copy(buffer, this.#used)
    this.#buffer = buffer
    this.#used = length
    return buffer.subarray(0, length)
  }

  /** Holds what of `bytes`, which is what `with` gave, comes after `start`, and nothing else. */
  keep(bytes: Buffer, start = 0): void {
    if (start === 0 && this.#buffer) return
    if (start >= bytes.length) {
      this.clear()
      return
    }
    // Copied: a slice would keep the socket's buffer it lies in alive, and what was handed out must stay as it is.
    const kept = Buffer.allocUnsafeSlow(bytes.length - start)
    bytes.copy(kept, 0, start)
    this.#buffer = kept
    this.#used = kept.length
  }

  clear(): void {
    this.#buffer = undefined
    this.#used = 0
  }

  /** What is held, if anything. */
  bytes(): Buffer | undefined {
    return this.#buffer?.subarray(0, this.#used)
  }
}
