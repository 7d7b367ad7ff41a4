/** The standard output of a process that serves. Lines wait for one another: a write each would cost a look at all that waits, a job of a thread and a wake-up. */
import { destination } from 'pino'

export interface StandardOutput {
  write(line: string): void
  /** Writes what waits, for a bounded time. Never rejects. */
  close(): Promise<void>
}

const FLUSH_MS = 1_000
const LAST_LINES_MS = 500
/** So much is written at once: what a process loses that is killed, or what came within a second. */
const BYTES_AT_ONCE = 32 << 10
/** Where several processes write to one pipe: no more than the system keeps together (PIPE_BUF, pipe(7)). */
const SHARED_BYTES_AT_ONCE = 4 << 10

export function openStandardOutput({ isShared }: { isShared: boolean }): StandardOutput {
  const bytesMax = isShared ? SHARED_BYTES_AT_ONCE : BYTES_AT_ONCE
  const out = destination({ fd: 1, sync: false, maxWrite: bytesMax })
  // Whoever read the log may be gone; that is no reason to die, nor to stay.
  out.on('error', () => {})
  process.stdout.on('error', () => {})
  let waiting = ''
  let bytes = 0
  /** It is being closed, for all who want that: what nobody caught may end a process that is ending already. */
  let closed: Promise<void> | undefined
  const flush = (): void => {
    if (bytes === 0) return
    out.write(waiting)
    waiting = ''
    bytes = 0
  }
  // What pino calls when the process ends without a word.
  const flushSync = out.flushSync.bind(out)
  out.flushSync = () => {
    Object.assign(out, { minLength: Number.POSITIVE_INFINITY }) // nothing is begun any more that would not be finished
    flush()
    flushSync()
  }
  setInterval(flush, FLUSH_MS).unref()

  return {
    write(line) {
      if (closed) return
      const more = Buffer.byteLength(line)
      if (bytes + more > bytesMax) flush()
      waiting += line
      bytes += more
    },
    close: () => (closed ??= close()),
  }

  // Not flushSync, which tries for ever to write to a pipe nobody reads.
  function close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    for (const event of ['finish', 'error']) out.once(event, () => resolve())
    setTimeout(() => {
      out.destroy() // or pino would call flushSync after all, as the process ends
      resolve()
    }, LAST_LINES_MS)
    flush()
    out.end()
    return promise
  }
}
