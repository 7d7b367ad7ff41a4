/** One process at a time owns a directory: two on the same embedded database silently lose rows. */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { newId } from '../ids.ts'
import { isRunning } from './is-running.ts'

export type DirectoryLock = { release(): void }

type Holder = { pid: number; host: string; started?: string | undefined }

const ATTEMPTS_MAX = 10

/**
 * Takes `<dir>.lock` for this process until it is released or the process exits. A lock left by a process that was killed is taken over; one of a living
 * process never is. Throws an Error that names the process holding it, as `holder` too. Processes on other machines cannot be looked up, so theirs counts as living.
 */
export function lockDirectory(dir: string): DirectoryLock {
  const file = `${dir.replace(/\/+$/, '')}.lock`
  const mine = `${file}.${newId('pid')}`
  const content = JSON.stringify({ pid: process.pid, host: hostname(), started: startOf(process.pid) } satisfies Holder)
  // Written apart and linked into place, so that nobody ever reads half a lock.
  writeFileSync(mine, content, { mode: 0o600, flag: 'wx' })
  try {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (linked(mine, file)) return held(file, content)
      const found = read(file)
      if (found === undefined) continue
      const holder = parse(found)
      if (holder && alive(holder)) throw Object.assign(new Error(inUse(dir, file, holder)), { holder })
      remove(file, found)
    }
  } finally {
    rmSync(mine, { force: true })
  }
  throw new Error(`${dir} is being opened by several processes at once; start one of them.`)
}

function held(file: string, content: string): DirectoryLock {
  const release = () => {
    process.off('exit', release)
    if (read(file) === content) rmSync(file, { force: true })
  }
  process.on('exit', release)
  return { release }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Removes a dead process's lock: renamed first, because of several that saw it only one succeeds, and put back if it was another's by then. */
function remove(file: string, expected: string): void {
  const aside = `${file}.${newId('stale')}`
  try {
    renameSync(file, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  if (read(aside) !== expected) linked(aside, file)
  rmSync(aside, { force: true })
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function parse(content: string): Holder | undefined {
  try {
    const holder: unknown = JSON.parse(content)
    return typeof holder === 'object' && holder !== null && 'pid' in holder && typeof holder.pid === 'number' ? (holder as Holder) : undefined
  } catch {
    // A torn file, of a machine that lost power. Its writer is gone.
    return undefined
  }
}

function inUse(dir: string, file: string, holder: Holder): string {
  const who = holder.host === hostname() ? `process ${holder.pid}` : `process ${holder.pid} on ${holder.host} (delete ${file} if it no longer exists)`
  return `${dir} is in use by ${who}; set DATABASE_URL to share a database.`
}

function alive({ pid, host, started }: Holder): boolean {
  if (host !== hostname()) return true
  if (!isRunning(pid)) return false
  // The number may have been given to another process since.
  const now = startOf(pid)
  return started === undefined || now === undefined || started === now
}

/** When a process started, in clock ticks since boot; undefined where the system does not say. */
function startOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[19]
  } catch {
    return undefined
  }
}
