/** The log as a file, beside the standard output: appended to, and begun anew when it was moved away, which is how logrotate rotates. */
import fs, { mkdirSync, openSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface LogFile {
  readonly path: string
  write(line: string): void
  /** Writes what waits, for a bounded time. Never rejects. */
  close(): Promise<void>
}

export interface LogFileOptions {
  /** Is told once when lines cannot be written, with the reason, and once when they are written again (null). */
  onChange(trouble: NodeJS.ErrnoException | null): void
  lookEveryMs?: number
  flushEveryMs?: number
}

/** So much is written at once, in characters, or what there is after a second. */
const BUFFER_MAX = 32 << 10
const FLUSH_MS = 1_000
/** Of lines that wait, such as for a disk that is full; more are lost. */
const WAITING_MAX = 4 << 20
/** How often it is looked whether the file is still where it was. */
const LOOK_MS = 2_000
const LAST_LINES_MS = 500
/** What is logged is for operators and their group. */
const MODE = 0o640

/** `earthflow-{host}-{process}.log`: processes never share a file, for of lines that two write at once nobody keeps the parts together on every file system. */
export const logFileName = (host: string = hostname(), pid: number = process.pid): string => `earthflow-${host.replace(/[^\w.-]/g, '_')}-${pid}.log`

/**
 * Throws where the directory cannot be made or written to. Whatever goes wrong later costs lines, and nothing else. Not pino's own, which at a full disk keeps
 * a process from ending.
 */
export function openLogFile(directory: string, { onChange, lookEveryMs = LOOK_MS, flushEveryMs = FLUSH_MS }: LogFileOptions): LogFile {
  const path = join(directory, logFileName())
  mkdirSync(directory, { recursive: true })
  let fd = openSync(path, 'a', MODE)
  let waiting = ''
  /** Of what was begun to be written. */
  let rest: Buffer = Buffer.alloc(0)
  let working: Promise<void> | null = null
  let isFailing = false
  /** The file was moved away and no other could be begun: what is written to the one that is open nobody would find. */
  let isAstray = false
  let isClosed = false

  const told = (trouble: NodeJS.ErrnoException | null): void => {
    if (isFailing === (trouble !== null)) return
    isFailing = trouble !== null
    onChange(trouble)
  }

  /** Throws where not all could be written; what is left goes first the next time, so that no line is torn. */
  async function writeAll(): Promise<void> {
    while (rest.length > 0 || waiting !== '') {
      if (rest.length === 0) {
        rest = Buffer.from(waiting)
        waiting = ''
      }
      const { bytesWritten } = await writeTo(fd, rest, 0, rest.length, null)
      if (bytesWritten === 0) throw Object.assign(new Error('Nothing was written.'), { code: 'EIO' })
      rest = rest.subarray(bytesWritten)
    }
  }

  async function followMove(): Promise<void> {
    const [there, ours] = await Promise.all([statusOf(path).catch(() => null), statusOfOpen(fd)])
    const isThere = there !== null && there.ino === ours.ino && there.dev === ours.dev
    if (!isThere) {
      if (!isAstray) await writeAll().catch(() => {}) // to where it belongs
      isAstray = true
      const before = fd
      fd = await openAt(path, 'a', MODE)
      await closeOf(before)
    }
    isAstray = false
  }

  /** One thing after the other. */
  function work(isLook: boolean): Promise<void> {
    working ??= (isLook || isAstray ? followMove() : Promise.resolve())
      .then(writeAll)
      .then(
        () => told(null),
        (error: NodeJS.ErrnoException) => told(error),
      )
      .finally(() => {
        working = null
      })
    return working
  }

  const timers = [setInterval(() => void work(false), flushEveryMs), setInterval(() => void work(true), lookEveryMs)]
  for (const timer of timers) timer.unref()

  return {
    path,
    write(line) {
      if (isClosed || waiting.length + line.length > WAITING_MAX) return
      waiting += line
      // At a full disk the next time is soon enough.
      if (waiting.length >= BUFFER_MAX && !isFailing && working === null) void work(false)
    },
    async close() {
      if (isClosed) return
      isClosed = true
      for (const timer of timers) clearInterval(timer)
      let late: NodeJS.Timeout | undefined
      const end = new Promise<void>((resolve) => {
        late = setTimeout(resolve, LAST_LINES_MS)
      })
      const last = async (): Promise<void> => {
        await working
        await work(true)
        await closeOf(fd).catch(() => {})
      }
      await Promise.race([last(), end])
      clearTimeout(late)
    },
  }
}

// By number: a FileHandle that is forgotten ends the process.
const writeTo = promisify(fs.write)
const openAt = promisify(fs.open)
const closeOf = promisify(fs.close)
const statusOf = promisify(fs.stat)
const statusOfOpen = promisify(fs.fstat)
