import { execFile } from 'node:child_process'

const COMMAND_TIME_MAX_MS = 5 * 60_000
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024
const SAID_CHARACTERS_MAX = 2_000

/** Runs a program to its end and resolves to what it printed. Throws with what it said when it fails, is missing, or takes more than five minutes. */
export function runCommand(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; uid?: number; gid?: number } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { ...options, encoding: 'utf8', timeout: COMMAND_TIME_MAX_MS, maxBuffer: OUTPUT_BYTES_MAX }, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      const said = stderr.trim().slice(-SAID_CHARACTERS_MAX) || error.message
      reject(new Error(`${command} ${args[0] ?? ''} failed: ${said}`, { cause: error }))
    })
  })
}
