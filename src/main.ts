/** The verbs of the program. */
import { readClientConfig } from './client-config.ts'
import { dotenvOfProcess, environmentOfProcess, readStoreConfig } from './config.ts'
import { configOrExit, EXIT_USAGE } from './exit.ts'
import { version } from './services.ts'
import { start } from './start.ts'

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
