/** Runs a program of the machine, for a bounded time. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Told } from '../cli/told.ts'
import type { Environment } from '../config.ts'

export interface Command {
  /** The program, and what it is given. */
  words: readonly [string, ...string[]]
  cwd: string
  environment: Environment
  msMax: number
  /** Its output goes to whoever looks, instead of being kept. */
  isShown?: boolean
}

/** How long a program that was asked to end may take for that. */
const END_MS_MAX = 30_000
const OUTPUT_CHARACTERS_MAX = 1 << 20
const COMPLAINT_CHARACTERS = 2_000

/** What it printed. Throws Told where it cannot be run, fails, or takes too long. */
export async function runCommand({ words, cwd, environment, msMax, isShown = false }: Command, signal: AbortSignal): Promise<string> {
  const [program, ...args] = words
  const limit = AbortSignal.timeout(msMax)
  const child = spawn(program, args, {
    cwd,
    env: environment,
    stdio: ['ignore', isShown ? 'inherit' : 'pipe', isShown ? 'inherit' : 'pipe'],
    signal: AbortSignal.any([signal, limit]),
  })
  let [output, complaint] = ['', '']
  child.stdout?.on('data', (chunk: Buffer) => (output = `${output}${chunk}`.slice(-OUTPUT_CHARACTERS_MAX)))
  child.stderr?.on('data', (chunk: Buffer) => (complaint = `${complaint}${chunk}`.slice(-COMPLAINT_CHARACTERS)))
  const line = [program, ...args].join(' ')
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
  try {
    const [code] = (await once(child, 'close')) as [number | null]
    if (code === 0) return output
    throw new Told(`${line} failed (${code ?? 'it was ended'})${`: ${complaint || output.slice(-COMPLAINT_CHARACTERS)}`.trimEnd()}`)
  } catch (error) {
    // What comes next may be in its way.
    if (signal.aborted || limit.aborted) await Promise.race([closed, delay(END_MS_MAX, undefined, { ref: false }).then(() => child.kill('SIGKILL'))])
    if (limit.aborted) throw new Told(`${line} did not end within ${Math.round(msMax / 1_000)} s.`)
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new Told(`${program} is not on this machine: install it, or say another --mode.`)
    throw error
  }
}
