/** Starts Earthflow, and stops it in order. */
import { destination } from 'pino'
import { readClientConfig } from './client-config.ts'
import { ConfigError, configOfProcess, dotenvOfProcess, environmentOfProcess, readStoreConfig } from './config.ts'
import { isUnavailable } from './db/unavailable.ts'
import { ensureDemo, ensureOwner, firstCommands, provideSecret } from './first-run.ts'
import { createEarthflow, version } from './services.ts'
import { createLog, describeError } from './telemetry/log.ts'

const USAGE = `earthflow ${version}

  earthflow start          start the proxy and the management API
  earthflow apply          make rules and settings be what a file says: earthflow apply -f policy.yaml
  earthflow rotate-keys    give keys successors, and rotate master keys and data keys; --help tells more
  earthflow doctor         tell what should not be so where real calls are made; --help tells more
  earthflow users          add people, and list them; --help tells more
  earthflow export         write a tenant's rules as such a file
  earthflow audit verify   tell whether the audit log, or an export of it, is what was logged; --help tells more
  earthflow migrate-logs   turn an audit log of version 1 into entries of this version; --help tells more
  earthflow version        print the version
  earthflow help           print this

Settings come from the environment and from .env in the working directory: see .env.example.
`
const EXIT_USAGE = 2
const EXIT_CONFIG = 78 // EX_CONFIG of sysexits.h
const EXIT_FAILED = 1
const LOG_FLUSH_MS = 1_000
const LAST_LINES_MS = 500
const LOG_BUFFER_BYTES = 8 << 10

const [verb = 'start', ...rest] = process.argv.slice(2)
switch (verb) {
  case 'start':
    await start()
    break
  case 'apply':
  case 'export':
    await talk(verb, rest)
    break
  case 'rotate-keys':
    await rotate(rest)
    break
  case 'doctor':
    await examine(rest)
    break
  case 'users':
    await people(rest)
    break
  case 'audit':
    await verify(rest)
    break
  case 'migrate-logs':
    await migrate(rest)
    break
  case 'version':
  case '--version':
    process.stdout.write(`${version}\n`)
    break
  case 'help':
  case '--help':
  case '-h':
    process.stdout.write(USAGE)
    break
  default:
    process.stderr.write(`Unknown verb.\n\n${USAGE}`)
    process.exitCode = EXIT_USAGE
}

async function start(): Promise<void> {
  const config = configOrExit(() => configOfProcess(provideSecret))
  const lines = destination({ fd: 1, sync: false, minLength: LOG_BUFFER_BYTES, periodicFlush: LOG_FLUSH_MS })
  const log = createLog(config.logLevel, lines, config.secrets)
  // Whoever read the log may be gone; that is no reason to die, nor to stay.
  lines.on('error', () => {})
  process.stdout.on('error', () => {})
  // Not flushSync, which tries for ever to write to a pipe nobody reads.
  const exit = (code: number): void => {
    const leave = (): never => process.exit(code)
    for (const event of ['finish', 'error']) lines.once(event, leave)
    setTimeout(leave, LAST_LINES_MS)
    lines.end()
  }
  const die = (error: unknown): void => {
    log.fatal(describeError(error), 'Earthflow cannot go on')
    exit(EXIT_FAILED)
  }
  process.on('uncaughtException', die)
  process.on('unhandledRejection', die)
  if (config.unknown.length > 0) log.warn({ names: config.unknown }, 'these variables are no settings of Earthflow')

  const earthflow = await createEarthflow(config, log).catch((error: unknown) => {
    process.stderr.write(`Earthflow cannot start: ${sentenceFor(error, config.port)}\n`)
    log.fatal(describeError(error), 'Earthflow cannot start')
    exit(EXIT_FAILED)
    return null
  })
  if (!earthflow) return
  log.info({ port: earthflow.port, version, environment: config.env }, 'Earthflow listens')
  if (config.env === 'development') {
    const [demoPath, ownerPath] = [await ensureDemo(earthflow, config), await ensureOwner(earthflow, config)]
    process.stdout.write(`\n${firstCommands({ port: earthflow.port, caPath: earthflow.caPath, demoPath, ownerPath, sandbox: earthflow.sandbox })}\n`)
  }

  const hurry = new AbortController()
  let stopping = false
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) {
      hurry.abort()
      return
    }
    stopping = true
    log.info({ signal }, 'Earthflow stops: open calls may end, new ones are refused')
    earthflow.stop(hurry.signal).then(() => {
      log.info('Earthflow stopped')
      exit(0)
    }, die)
  }
  // A terminal that is closed says SIGHUP.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, stop)
}

/** A verb that asks a running Earthflow. */
async function talk(name: 'apply' | 'export', args: readonly string[]): Promise<void> {
  const { createApi } = await import('./cli/api.ts')
  const { apply } = await import('./cli/apply.ts')
  const { exportPolicy } = await import('./cli/export.ts')
  const { terminal } = await import('./cli/terminal.ts')
  const config = configOrExit(() => readClientConfig())
  const parts = { api: createApi(config), secret: config.secret }
  process.exitCode = await (name === 'apply' ? apply : exportPolicy)(args, terminal, parts)
}

async function people(args: readonly string[]): Promise<void> {
  const { createApi } = await import('./cli/api.ts')
  const { createSecretFile } = await import('./cli/secret-file.ts')
  const { terminal } = await import('./cli/terminal.ts')
  const { users } = await import('./cli/users.ts')
  const config = configOrExit(() => readClientConfig())
  process.exitCode = await users(args, terminal, { api: createApi(config), isTerminal: process.stdout.isTTY === true, createFile: createSecretFile })
}

async function examine(args: readonly string[]): Promise<void> {
  const { doctor } = await import('./doctor/doctor.ts')
  const out = (text: string) => void process.stdout.write(text)
  const error = (text: string) => void process.stderr.write(text)
  process.exitCode = await doctor(args, { environment: environmentOfProcess(), dotenv: dotenvOfProcess(), out, error })
}

async function rotate(args: readonly string[]): Promise<void> {
  const { createApi } = await import('./cli/api.ts')
  const { rotateKeys } = await import('./cli/rotate-keys.ts')
  const { createSecretFile } = await import('./cli/secret-file.ts')
  const { terminal } = await import('./cli/terminal.ts')
  const { openRotation, sentenceFor } = await import('./rotation/open-rotation.ts')
  process.exitCode = await rotateKeys(args, terminal, {
    isTerminal: process.stdout.isTTY === true,
    createFile: createSecretFile,
    api: () => createApi(configOrExit(() => readClientConfig())),
    open: (newKey) =>
      openRotation(
        configOrExit(() => readStoreConfig()),
        newKey,
      ),
    sentenceFor,
  })
}

async function verify(args: readonly string[]): Promise<void> {
  const { verifyAudit } = await import('./verify/cli.ts')
  const out = (text: string) => void process.stdout.write(text)
  const error = (text: string) => void process.stderr.write(text)
  process.exitCode = await verifyAudit(args, { stdin: process.stdin, out, error, settings: () => configOrExit(() => readStoreConfig()) })
}

async function migrate(args: readonly string[]): Promise<void> {
  const { migrateLogs } = await import('./migrate-logs/migrate-logs.ts')
  const { openStore } = await import('./migrate-logs/open-store.ts')
  const interrupt = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => interrupt.abort())
  process.exitCode = await migrateLogs(args, {
    stdin: process.stdin,
    out: (text) => void process.stdout.write(text),
    screen: { write: (text) => void process.stderr.write(text), isTerminal: process.stderr.isTTY === true },
    now: Date.now,
    signal: interrupt.signal,
    settings: () => configOrExit(() => readStoreConfig()),
    openStore,
  })
}

function configOrExit<Read>(read: () => Read): Read {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exit(EXIT_CONFIG)
  }
}

/** Which of the known causes it is, in words for whoever starts the program. */
function sentenceFor(error: unknown, port: number): string {
  const code = codeOf(error)
  if (code === 'EADDRINUSE') return `port ${port} is in use; set EARTHFLOW_PORT to another.`
  if (code === 'EACCES') return `port ${port} may not be opened by this user; set EARTHFLOW_PORT to one above 1023.`
  if (isUnavailable(error)) return 'the database does not answer; check DATABASE_URL or POSTGRES_HOST.'
  if (code?.startsWith('28')) return 'the database refuses the role or its password; check DATABASE_URL or POSTGRES_USER and POSTGRES_PASSWORD.'
  if (code === '3D000') return 'the database server has no such database; create it, or correct DATABASE_URL or POSTGRES_DB.'
  if (code?.startsWith('ERR_OSSL') || code?.startsWith('ERR_SSL')) return 'TLS_CERT_PATH and TLS_KEY_PATH hold no certificate and key that fit together.'
  // A driver's message may hold what it was given.
  return error instanceof Error && code === undefined ? error.message : `for a cause the log describes${code === undefined ? '' : ` (${code})`}.`
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  return 'code' in error && typeof error.code === 'string' ? error.code : codeOf(error.cause)
}
