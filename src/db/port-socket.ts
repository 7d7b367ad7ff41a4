/** The socket postgres.js talks to when the database is a worker thread. */
import { Duplex } from 'node:stream'
import type { MessagePort } from 'node:worker_threads'

/** Carries the PostgreSQL protocol over one end of a MessageChannel. Closes when either end does. */
export class PortSocket extends Duplex {
  readonly #port: MessagePort

  constructor(port: MessagePort) {
    super()
    this.#port = port
    port.on('message', (bytes: Uint8Array) => this.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)))
    port.on('close', () => this.destroy())
  }

  // What the worker sends is already in memory; there is nothing to ask for.
  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const bytes = new Uint8Array(chunk)
    this.#port.postMessage(bytes, [bytes.buffer])
    done()
  }

  // postgres.js waits for 'close' after its good-bye, and no longer reads, so 'end' would never be seen.
  override _final(done: (error?: Error | null) => void): void {
    done()
    this.destroy()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#port.close()
    done(error)
  }

  get readyState(): string {
    return this.destroyed ? 'closed' : 'open'
  }

  // What postgres.js sets on a socket.
  setKeepAlive(): void {}
  setNoDelay(): void {}
  ref(): void {}
  unref(): void {}
}
