/** One server for tests, in a temporary folder of its own, that cannot outlive the process which started it. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chownSync, closeSync, mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isRunning } from '../../src/db/is-running.ts'

const START_TIME_MAX_MS = 30_000
const STOP_TIME_MAX_MS = 10_000
const POLL_MS = 15
const LOG_SHOWN_CHARACTERS_MAX = 4_000
const FOLDER_PREFIX = 'earthflow-test-'

/** Who runs the servers: PostgreSQL refuses to be root, so root lends it an ordinary account. Empty means ourselves. */
export type Account = { uid: number; gid: number } | Record<string, never>

export interface ServerProcess {
  pid: number
  /** Ends the server, at once and without saving, and removes its folder. May be called twice. */
  stop(): Promise<void>
}

export interface ServerCommand {
  name: string
  command: string
  args: readonly string[]
  env: NodeJS.ProcessEnv
  account: Account
  folder: string
  /** The signal that ends this server fastest while it still cleans up. */
  stopSignal: 'QUIT' | 'TERM'
  ready(): boolean | Promise<boolean>
}

/**
 * The shell that becomes the server first leaves a watcher behind, which waits for the end of file on descriptor 3. We hold the other end: when we
 * stop, crash or are killed with SIGKILL, the watcher ends the server and removes the folder. $1 is the folder, $2 the signal.
 */
const GUARD = `
folder=$1 signal=$2; shift 2
{ read -r _; kill -s "$signal" $$; i=0
  while kill -0 $$ && [ $i -lt 30 ]; do sleep 0.1; i=$((i + 1)); done
  kill -s KILL $$; cd /; rm -rf "$folder"
} <&3 >/dev/null 2>&1 &
exec "$@" 3<&-`

/** Starts a server and resolves when it is ready. Throws, with the end of the server's log, when it ends early or takes longer than 30 seconds. */
export async function startServer(server: ServerCommand): Promise<ServerProcess> {
  const log = join(server.folder, 'log')
  const output = openSync(log, 'a')
  const child = spawn('/bin/sh', ['-c', GUARD, 'sh', server.folder, server.stopSignal, server.command, ...server.args], {
    cwd: server.folder,
    env: server.env,
    stdio: ['ignore', output, output, 'pipe'],
    // A group of its own: Ctrl-C in the terminal is for the tests, and the tests stop the server.
    detached: true,
    ...server.account,
  })
  closeSync(output)
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()).once('error', () => resolve()))
  const lifeline = child.stdio[3]
  lifeline?.on('error', () => {}) // The other side may go first; there is nothing to write.

  const stop = async () => {
    lifeline?.destroy()
    await Promise.race([ended, delay(STOP_TIME_MAX_MS, undefined, { ref: false })])
    if (isUp(child)) child.kill('SIGKILL')
    await ended
    removeFolder(server.folder)
  }
  const giveUpAt = Date.now() + START_TIME_MAX_MS
  while (!(await server.ready())) {
    const problem = !isUp(child) ? 'ended while starting' : Date.now() > giveUpAt ? `was not ready after ${START_TIME_MAX_MS / 1000} s` : null
    if (problem !== null) {
      const said = readFileSync(log, 'utf8').slice(-LOG_SHOWN_CHARACTERS_MAX)
      await stop()
      throw new Error(`${server.name} ${problem}. Its log says:\n${said}`)
    }
    await delay(POLL_MS)
  }
  return { pid: child.pid!, stop }
}

function isUp(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null
}

/** `postgres` when the machine has that account, else `nobody`; nothing to change when we are not root. */
export function chooseAccount(uid: number | undefined, passwd: string): Account {
  if (uid !== 0) return {}
  for (const wanted of ['postgres', 'nobody']) {
    const fields = passwd
      .split('\n')
      .find((line) => line.startsWith(`${wanted}:`))
      ?.split(':')
    if (fields) return { uid: Number(fields[2]), gid: Number(fields[3]) }
  }
  return { uid: 65534, gid: 65534 }
}

export function testAccount(): Account {
  return chooseAccount(process.getuid?.(), process.getuid?.() === 0 ? readFileSync('/etc/passwd', 'utf8') : '')
}

/** A new folder under the temporary directory, owned by the account, named after this process so that a later run can tell when it is stale. */
export function createServerFolder(account: Account): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), `${FOLDER_PREFIX}${process.pid}-`))
  if (account.uid !== undefined) chownSync(folder, account.uid, account.gid)
  return folder
}

/** Removes what a run left behind whose watchers were killed as well: first the servers still at home in a stale folder, then the folder. */
export function removeStaleFolders(): void {
  const parent = realpathSync(tmpdir())
  for (const name of readdirSync(parent)) {
    const pid = /^earthflow-test-(\d+)-/.exec(name)?.[1]
    if (pid === undefined || isRunning(Number(pid))) continue
    const folder = join(parent, name)
    for (const each of processesIn(folder)) process.kill(each, 'SIGKILL')
    removeFolder(folder)
  }
}

/** The processes whose working directory is the folder or below it. Known from /proc only; elsewhere none are found. */
function processesIn(folder: string): number[] {
  const found: number[] = []
  let ids: string[] = []
  try {
    ids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  } catch {}
  for (const id of ids) {
    try {
      const home = readlinkSync(`/proc/${id}/cwd`)
      if (home === folder || home.startsWith(`${folder}/`)) found.push(Number(id))
    } catch {} // Ended meanwhile, or somebody else's.
  }
  return found
}

function removeFolder(folder: string): void {
  try {
    // The watcher removes the same folder; whoever comes second must not fail.
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  } catch (error) {
    // Another account's stale folder is for that account to remove.
    if (!['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

/** A port of 127.0.0.1 nobody listens on at this moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port'))))
    })
  })
}

/** What a program prints with `--version`, asked as the account that will run it; null when it cannot be run. */
export function versionOf(command: string, account: Account, env: NodeJS.ProcessEnv = process.env): string | null {
  try {
    return execFileSync(command, ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      cwd: '/',
      env,
      timeout: START_TIME_MAX_MS,
      ...account,
    })
  } catch {
    return null
  }
}
