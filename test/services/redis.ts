import { randomBytes } from 'node:crypto'
import { chownSync, globSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { delimiter, join } from 'node:path'
import { unpackPackage } from './debian.ts'
import { firstThatWorks, type Origin } from './origin.ts'
import type { RunningServer } from './postgres.ts'
import { type Account, createServerFolder, freePort, startServer, testAccount, versionOf } from './server-process.ts'

const START_TRIES_MAX = 3
const PING_TIME_MAX_MS = 1_000

interface RedisProgram {
  path: string
  /** `Redis 7.0.15` or `Valkey 8.1.1`. */
  version: string
  from: string
  env: NodeJS.ProcessEnv
}

/** Starts an empty Redis or Valkey of its own, which keeps nothing on disk; every call makes another. A password makes it take the place of one that was. */
export async function startRedis(forced?: Origin, password = randomBytes(12).toString('hex')): Promise<RunningServer> {
  const account = testAccount()
  const program = await findRedis(account, forced)
  for (let tries = 1; ; tries++) {
    try {
      return await start(program, account, password)
    } catch (error) {
      if (tries === START_TRIES_MAX || !String(error).includes('Address already in use')) throw error
    }
  }
}

async function start(program: RedisProgram, account: Account, password: string): Promise<RunningServer> {
  const folder = createServerFolder(account)
  const port = await freePort()
  const settings = join(folder, 'redis.conf')
  try {
    // A file, because every account of the machine can read the arguments of a process.
    writeFileSync(settings, `bind 127.0.0.1\nport ${port}\nrequirepass ${password}\ndir ${folder}\nsave ""\nappendonly no\ndaemonize no\n`, { mode: 0o600 })
    if (account.uid !== undefined) chownSync(settings, account.uid, account.gid)
    const server = await startServer({
      name: 'Redis',
      command: program.path,
      args: [settings],
      env: program.env,
      account,
      folder,
      stopSignal: 'TERM',
      ready: async () => (await askRedis(port, [`AUTH ${password}`, 'PING']).catch(() => '')).includes('+PONG'),
    })
    return { ...server, url: `redis://:${password}@127.0.0.1:${port}`, about: `${program.version} from ${program.from}` }
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

/** Sends inline commands over a socket of its own and resolves to everything that came back. Rejects after a second without an end. */
export function askRedis(port: number, commands: readonly string[], host = '127.0.0.1'): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = createConnection(port, host, () => socket.end(`${[...commands, 'QUIT'].join('\r\n')}\r\n`))
    socket.setEncoding('utf8').setTimeout(PING_TIME_MAX_MS, () => socket.destroy(new Error('Redis does not answer')))
    socket.on('data', (chunk) => (answer += chunk))
    socket.on('end', () => resolve(answer)).on('error', reject)
  })
}

/** redis-server or valkey-server: found on the machine, else from Debian packages. Throws with the reasons when neither works; npm has none. */
function findRedis(account: Account, forced: Origin | undefined): Promise<RedisProgram> {
  return firstThatWorks('Redis', forced, {
    found: async () => {
      const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/sbin', '/opt/homebrew/bin'].filter((folder) => folder !== '')
      const paths = folders.flatMap((folder) => [join(folder, 'redis-server'), join(folder, 'valkey-server')])
      return firstRunning(paths, 'binaries found on this machine', account, process.env)
    },
    apt: async () => {
      const { root, env } = await unpackPackage('redis-server', ['redis-tools']) // redis-server is a link to a program in redis-tools.
      return firstRunning(globSync(join(root, 'usr/{bin,sbin}/redis-server')), 'Debian packages', account, env)
    },
  })
}

function firstRunning(paths: readonly string[], from: string, account: Account, env: NodeJS.ProcessEnv): RedisProgram {
  for (const path of paths) {
    const version = redisVersion(versionOf(path, account, env) ?? '')
    if (version !== null) return { path, version, from, env }
  }
  throw new Error('no redis-server or valkey-server that an ordinary account can run')
}

/** `Redis 7.0.15` from what `redis-server --version` prints. */
export function redisVersion(printed: string): string | null {
  const match = /^(Redis|Valkey) server v=(\S+)/i.exec(printed)
  return match === null ? null : `${match[1]![0]!.toUpperCase()}${match[1]!.slice(1).toLowerCase()} ${match[2]}`
}
