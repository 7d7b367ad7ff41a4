/** What Earthflow is deployed with. */
import { Told } from '../cli/told.ts'
import type { Environment } from '../config.ts'
import { type Command, runCommand } from './run-command.ts'

export interface Driver {
  /** Where versions and the lock are kept. */
  dir: string
  /** Throws Told where it cannot work here. */
  check(): Promise<void>
  isRunning(): Promise<boolean>
  /** Null where it does not know, and what is written down counts. */
  current(): Promise<string | null>
  /** Starts this version, or replaces the one that runs. Throws Told. */
  up(version: string, how: { isBuilt: boolean }): Promise<void>
  stop(): Promise<void>
  /** For people. */
  status(): Promise<string>
  /** Shows them, and returns when there are no more. */
  logs(how: { isFollowed: boolean; lines: number }): Promise<void>
  /** Names of backups, oldest first. */
  backups(): Promise<string[]>
  /** Makes one and keeps the newest. Resolves with its name. */
  backup(version: string, keep: number): Promise<string>
  /** Of one of these names; Earthflow is stopped meanwhile, and started again. */
  restore(version: string, name: string, how: { isForced: boolean }): Promise<string>
}

export interface Surroundings {
  environment: Environment
  signal: AbortSignal
}

/** A few questions; and what may pull an image, drain calls or copy a database. */
export const MS_MAX = { ask: 30_000, change: 20 * 60_000, backup: 4 * 3_600_000, logs: 24 * 3_600_000 } as const

interface How {
  /** Of the environment, beside what is there. */
  more?: Record<string, string>
  isShown?: boolean
  /** Also for somebody who wants it all to end: it makes things be as they were. */
  isReturn?: boolean
}

export const createRunner =
  (cwd: string, { environment, signal }: Surroundings) =>
  (words: Command['words'], msMax: number, { more = {}, isShown = false, isReturn = false }: How = {}): Promise<string> =>
    runCommand({ words, cwd, environment: { ...environment, ...more }, msMax, isShown }, isReturn ? new AbortController().signal : signal)

/** Goes back whatever came of the work. Throws what went wrong with the work before what went wrong on the way back. */
export async function andBack<Result>(work: () => Promise<Result>, back: (isDone: boolean) => Promise<unknown>): Promise<Result> {
  let result: Result
  try {
    result = await work()
  } catch (error) {
    await back(false).catch((second: unknown) => {
      throw error instanceof Told && second instanceof Told ? new Told(`${error.message}\n${second.message}`) : second
    })
    throw error
  }
  await back(true)
  return result
}

export const isBackup = (name: string): boolean => /^[\w.-]+\.tar$/.test(name)
