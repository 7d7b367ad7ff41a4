/** With what a program of Earthflow ends. */
import { ConfigError } from './config.ts'

export const EXIT_FAILED = 1
const EXIT_CONFIG = 78 // EX_CONFIG of sysexits.h

/** What was read; where the configuration cannot be used the program says why, and ends. */
export function configOrExit<Read>(read: () => Read): Read {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exit(EXIT_CONFIG)
  }
}
