/** PostgreSQL's own programs, which make and read dumps. The password goes to them in the environment, where other users of the machine do not see it. */
import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { Told } from '../cli/told.ts'
import type { Environment } from '../config.ts'

export interface Server {
  url: string
  tls: boolean
  /** `server_version_num`, such as 170004. */
  version: number
  environment: Environment
}

type Name = 'pg_dump' | 'pg_restore'

const run = promisify(execFile)
const VERSION_MS_MAX = 10_000
/** Where Debian and PostgreSQL's own packages for Red Hat keep those of each version, besides PATH. */
const FOLDERS = ['/usr/lib/postgresql/*/bin', '/usr/pgsql-*/bin']
const COMPLAINT_CHARACTERS = 500
/** What they are given of our environment: none of our keys is for them. */
const theirs = (environment: Environment): Environment => Object.fromEntries(Object.entries(environment).filter(([name]) => THEIRS.test(name)))
const THEIRS = /^(?:PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|TZ|TMPDIR|LC_.*|PG.*|SSL_CERT_.*|OPENSSL_.*|KRB5.*|LD_LIBRARY_PATH)$/

/** A program that knows the server's version: the first on PATH, else the newest where systems keep several. Throws Told where there is none. */
export async function findProgram(name: Name, { version, environment }: Pick<Server, 'version' | 'environment'>): Promise<string> {
  const needed = Math.floor(version / 10_000)
  const elsewhere = FOLDERS.flatMap((folder) => globSync(folder))
    .map((folder) => join(folder, name))
    .reverse()
  const found: number[] = []
  for (const path of [name, ...elsewhere]) {
    const major = await majorOf(path, environment)
    if (major !== null && major >= needed) return path
    if (major !== null) found.push(major)
  }
  if (found.length === 0)
    throw new Told(
      `${name} is not on this machine: install PostgreSQL's client programs of version ${needed} or later (Debian: apt-get install postgresql-client-${needed}), or use the image with tools.`,
    )
  throw new Told(
    `${name} is of version ${Math.max(...found)}, and the server of ${needed}: install PostgreSQL's client programs of version ${needed} or later.`,
  )
}

async function majorOf(path: string, environment: Environment): Promise<number | null> {
  try {
    const { stdout } = await run(path, ['--version'], { env: theirs(environment), timeout: VERSION_MS_MAX })
    return Number(/(\d+)(?:\.|devel|beta|rc|\s|$)/.exec(stdout)?.[1] ?? Number.NaN) || null
  } catch {
    return null
  }
}

/** What the program prints. Throws Told where it fails. */
export async function* outputOf(path: string, args: readonly string[], server: Server, signal: AbortSignal): AsyncGenerator<Buffer> {
  const child = start(path, args, server, 'ignore', signal)
  const ended = endOf(path, child)
  ended.catch(() => {}) // it is thrown after what was printed
  yield* child.stdout as AsyncIterable<Buffer>
  await ended
}

/** Gives the program what it reads. Throws Told where it fails. */
export async function feed(path: string, args: readonly string[], server: Server, source: AsyncIterable<Buffer>, signal: AbortSignal): Promise<void> {
  const child = start(path, args, server, 'pipe', signal)
  const ended = endOf(path, child)
  child.stdout.resume()
  // It may end before it has read all, and then says why.
  const fed = pipeline(source, child.stdin as Writable).catch((error: NodeJS.ErrnoException) => (error.code === 'EPIPE' ? undefined : Promise.reject(error)))
  const [done, given] = await Promise.allSettled([ended, fed])
  for (const one of [done, given]) if (one.status === 'rejected') throw one.reason
}

type Child = ChildProcessByStdio<Writable | null, Readable, Readable>

function start(path: string, args: readonly string[], server: Server, stdin: 'ignore' | 'pipe', signal: AbortSignal): Child {
  const { dbname, password } = connectionOf(server)
  const { PGSSLROOTCERT, NODE_EXTRA_CA_CERTS } = server.environment
  const env = {
    ...theirs(server.environment),
    ...(password === null ? {} : { PGPASSWORD: password }),
    ...(server.tls ? { PGSSLMODE: 'verify-full', PGSSLROOTCERT: PGSSLROOTCERT || NODE_EXTRA_CA_CERTS || 'system' } : {}),
  }
  return spawn(path, [...args, `--dbname=${dbname}`], { env, stdio: [stdin, 'pipe', 'pipe'], signal }) as Child
}

async function endOf(path: string, child: Child): Promise<void> {
  let complaint = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = `${complaint}${chunk}`.slice(-COMPLAINT_CHARACTERS)
  })
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Told(`${path} failed${code === null ? '' : ` (${code})`}: ${complaint.trim() || 'it was ended'}`)
}

/** The URL without its password, and of its parameters only what libpq knows too. */
function connectionOf({ url, tls }: Server): { dbname: string; password: string | null } {
  const address = new URL(url)
  const password = address.password === '' ? null : decodeURIComponent(address.password)
  const mode = tls ? null : address.searchParams.get('sslmode')
  Object.assign(address, { password: '', hash: '', search: mode === null ? '' : `sslmode=${encodeURIComponent(mode)}` })
  return { dbname: address.href, password }
}
