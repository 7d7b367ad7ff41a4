/** The log of a process that serves, on its standard output, and how such a process ends. */
import { destination } from 'pino'
import type { Config } from './config.ts'
import { EXIT_FAILED } from './exit.ts'
import { createLog, describeError, type Log } from './telemetry/log.ts'

export interface ProcessLog {
  log: Log
  /** Ends the process when the last lines are written. */
  exit: (code: number) => void
  /** The same for what cannot go on. */
  die: (error: unknown) => void
}

const FLUSH_MS = 1_000
const LAST_LINES_MS = 500
const BUFFER_BYTES = 8 << 10
/** What is written at once, where several processes write to one pipe: no more than the system keeps together (PIPE_BUF, pipe(7)). */
const SHARED = { minLength: 2 << 10, maxWrite: 4 << 10 }

/** What nobody caught ends the process from now on. */
export function openProcessLog({ logLevel, secrets, workers }: Pick<Config, 'logLevel' | 'secrets' | 'workers'>): ProcessLog {
  const isShared = workers > 1
  const lines = destination({ fd: 1, sync: false, periodicFlush: FLUSH_MS, ...(isShared ? SHARED : { minLength: BUFFER_BYTES }) })
  const whole = createLog(logLevel, lines, secrets)
  const log = isShared ? whole.child({ pid: process.pid }) : whole
  // Whoever read the log may be gone; that is no reason to die, nor to stay.
  lines.on('error', () => {})
  process.stdout.on('error', () => {})
  // Not flushSync, which tries for ever to write to a pipe nobody reads.
  const exit = (code: number): void => {
    const leave = (): never => process.exit(code)
    for (const event of ['finish', 'error']) lines.once(event, leave)
    setTimeout(leave, LAST_LINES_MS)
    lines.end()
  }
  const die = (error: unknown): void => {
    log.fatal(describeError(error), 'Earthflow cannot go on')
    exit(EXIT_FAILED)
  }
  process.on('uncaughtException', die)
  process.on('unhandledRejection', die)
  return { log, exit, die }
}
