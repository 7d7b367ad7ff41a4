/** The log of a process that serves, on its standard output and where that is wished in a file, and how such a process ends. */
import { type Config, ConfigError } from './config.ts'
import { EXIT_FAILED } from './exit.ts'
import { createLog, describeError, type Log } from './telemetry/log.ts'
import { type LogFile, openLogFile } from './telemetry/log-file.ts'
import { openStandardOutput } from './telemetry/standard-output.ts'

export interface ProcessLog {
  log: Log
  /** Ends the process when the last lines are written. */
  exit: (code: number) => void
  /** The same for what cannot go on. */
  die: (error: unknown) => void
}

/** What nobody caught ends the process from now on. Throws ConfigError where the directory of the log cannot be written to. */
export function openProcessLog({ logLevel, logDir, secrets, workers }: Pick<Config, 'logLevel' | 'logDir' | 'secrets' | 'workers'>): ProcessLog {
  const isShared = workers > 1
  const lines = openStandardOutput({ isShared })
  const file = logDir === null ? null : fileIn(logDir, (trouble) => log.warn(describeFile(trouble), trouble ? LOST : FOUND))
  const whole = createLog(logLevel, file ? bothOf(lines, file) : lines, secrets)
  const log = isShared ? whole.child({ pid: process.pid }) : whole
  const exit = (code: number): void => void Promise.all([lines.close(), file?.close()]).then(() => process.exit(code))
  const die = (error: unknown): void => {
    log.fatal(describeError(error), 'Earthflow cannot go on')
    exit(EXIT_FAILED)
  }
  process.on('uncaughtException', die)
  process.on('unhandledRejection', die)
  return { log, exit, die }
}

const LOST = 'the log file cannot be written: lines are missing in it, and are here'
const FOUND = 'the log file is written again'
const describeFile = (trouble: Error | null): Record<string, unknown> => (trouble ? describeError(trouble) : {})

const bothOf = (lines: { write(line: string): unknown }, file: LogFile) => ({
  write(line: string): void {
    lines.write(line)
    file.write(line)
  },
})

function fileIn(directory: string, onChange: (trouble: NodeJS.ErrnoException | null) => void): LogFile {
  try {
    return openLogFile(directory, { onChange })
  } catch (error) {
    const { code = 'it cannot be written to' } = error as NodeJS.ErrnoException
    throw new ConfigError([`EARTHFLOW_LOG_DIR must be a directory in which this process may write files: ${code}.`])
  }
}
