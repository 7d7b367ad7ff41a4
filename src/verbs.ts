/** The verbs of the program, and what each is given. A verb loads what it needs when it is asked for: some are asked every few seconds. */
import { version } from './version.ts'

export interface Verb {
  /** One line. */
  about: string
  /** What --help prints. */
  usage(args: readonly string[]): Promise<string>
  /** `args`: what follows the verb. Resolves with the exit code; undefined: the verb has said it itself. */
  run(args: readonly string[]): Promise<number | undefined>
}

const START_USAGE = `earthflow start

  Starts the proxy, the management API and the dashboard, as the settings say: see .env.example. Ends with 0 when it was stopped in order, with 1 where it
  cannot start, and with 78 where a setting cannot be used, all of which are then named.
`

export const verbs: Readonly<Record<string, Verb>> = {
  start: {
    about: 'start the proxy, the management API and the dashboard',
    usage: async () => START_USAGE,
    run: async () => void (await (await import('./start.ts')).start()),
  },
  migrate: {
    about: 'bring the database to this version, and nothing else',
    usage: async () => (await import('./cli/migrate.ts')).MIGRATE_USAGE,
    async run(args) {
      const { migrate } = await import('./cli/migrate.ts')
      const { openStore, sentenceForDatabase } = await import('./backup/open-store.ts')
      const migrations = await import('./db/migrate.ts')
      const { terminal } = await import('./cli/terminal.ts')
      const config = await storeConfig()
      return migrate(args, terminal, {
        async open({ mayBeMade }) {
          const database = await openStore(config(), { mayBeMade })
          return { pending: () => migrations.pendingMigrations(database), apply: () => migrations.migrate(database), close: () => database.close() }
        },
        sentenceFor: sentenceForDatabase,
      })
    },
  },
  doctor: {
    about: 'tell what should not be so where real calls are made',
    usage: async () => (await import('./doctor/doctor.ts')).USAGE,
    async run(args) {
      const { doctor } = await import('./doctor/doctor.ts')
      const { dotenvOfProcess, environmentOfProcess } = await import('./config.ts')
      return doctor(args, { environment: environmentOfProcess(), dotenv: dotenvOfProcess(), ...(await plainOutput()) })
    },
  },
  apply: {
    about: 'make rules and settings be what a file says: earthflow apply -f policy.yaml',
    usage: async () => (await import('./cli/apply.ts')).APPLY_USAGE,
    async run(args) {
      const { apply } = await import('./cli/apply.ts')
      const { terminal } = await import('./cli/terminal.ts')
      const { api, config } = await client()
      return apply(args, terminal, { api, secret: config.secret })
    },
  },
  export: {
    about: "write a tenant's rules as such a file",
    usage: async () => (await import('./cli/export.ts')).EXPORT_USAGE,
    async run(args) {
      const { exportPolicy } = await import('./cli/export.ts')
      const { terminal } = await import('./cli/terminal.ts')
      return exportPolicy(args, terminal, await client())
    },
  },
  users: {
    about: 'add people, and list them',
    usage: async () => (await import('./cli/users.ts')).USERS_USAGE,
    async run(args) {
      const { users } = await import('./cli/users.ts')
      const { terminal } = await import('./cli/terminal.ts')
      const { api } = await client()
      return users(args, terminal, { api, ...(await secretParts()) })
    },
  },
  tenants: {
    about: 'list, create, show and close tenants',
    usage: async () => (await import('./cli/tenants.ts')).TENANTS_USAGE,
    async run(args) {
      const { tenants } = await import('./cli/tenants.ts')
      const { terminal } = await import('./cli/terminal.ts')
      return tenants(args, terminal, { api: await lateApi(), ...(await secretParts()) })
    },
  },
  keys: {
    about: 'list, issue and revoke API keys',
    usage: async () => (await import('./cli/keys.ts')).KEYS_USAGE,
    async run(args) {
      const { keys } = await import('./cli/keys.ts')
      const { terminal } = await import('./cli/terminal.ts')
      return keys(args, terminal, { api: await lateApi(), ...(await secretParts()) })
    },
  },
  'rotate-keys': {
    about: 'give keys successors, and rotate master keys and data keys',
    usage: async () => (await import('./cli/rotate-keys.ts')).ROTATE_USAGE,
    async run(args) {
      const { rotateKeys } = await import('./cli/rotate-keys.ts')
      const { openRotation, sentenceFor } = await import('./rotation/open-rotation.ts')
      const { terminal } = await import('./cli/terminal.ts')
      const config = await storeConfig()
      return rotateKeys(args, terminal, { ...(await secretParts()), api: await lateApi(), open: (newKey) => openRotation(config(), newKey), sentenceFor })
    },
  },
  audit: {
    about: 'verify or export the audit log: earthflow audit verify, earthflow audit export',
    async usage([verb]) {
      const { USAGE } = await import('./verify/cli.ts')
      const { AUDIT_EXPORT_USAGE } = await import('./cli/audit-export.ts')
      return verb === 'verify' ? USAGE : verb === 'export' ? AUDIT_EXPORT_USAGE : `${USAGE}\n${AUDIT_EXPORT_USAGE}`
    },
    async run(args) {
      if (args[0] === 'export') return exportEntries(args.slice(1))
      const { verifyAudit } = await import('./verify/cli.ts')
      return verifyAudit(args, { stdin: process.stdin, ...(await plainOutput()), settings: await storeConfig() })
    },
  },
  'migrate-logs': {
    about: 'turn an audit log of version 1 into entries of this version',
    usage: async () => (await import('./migrate-logs/options.ts')).USAGE,
    async run(args) {
      const { migrateLogs } = await import('./migrate-logs/migrate-logs.ts')
      const { openStore } = await import('./migrate-logs/open-store.ts')
      const settings = await storeConfig()
      const { out } = await plainOutput()
      return migrateLogs(args, { stdin: process.stdin, out, screen, now: Date.now, signal: interruption(), settings, openStore })
    },
  },
  backup: {
    about: 'write all of an installation, but its master key, into one file',
    usage: async () => (await import('./backup/backup.ts')).BACKUP_USAGE,
    async run(args) {
      const { backup } = await import('./backup/backup.ts')
      return backup(args, await plainOutput(), await backupParts())
    },
  },
  restore: {
    about: 'make an installation be what such a file holds, and verify it',
    usage: async () => (await import('./backup/restore.ts')).RESTORE_USAGE,
    async run(args) {
      const { restore } = await import('./backup/restore.ts')
      return restore(args, await plainOutput(), await backupParts())
    },
  },
  healthcheck: {
    about: 'tell whether an Earthflow answers',
    usage: async () => (await import('./cli/healthcheck.ts')).HEALTHCHECK_USAGE,
    async run(args) {
      const { healthcheck } = await import('./cli/healthcheck.ts')
      return healthcheck(args, await plainOutput(), { settings: async () => (await import('./client-config.ts')).readListening() })
    },
  },
  smoke: {
    about: 'check that a deployed Earthflow does what it is for',
    usage: async () => (await import('./cli/smoke.ts')).SMOKE_USAGE,
    async run(args) {
      const { smoke } = await import('./cli/smoke.ts')
      const { terminal } = await import('./cli/terminal.ts')
      return smoke(args, terminal, { settings: async () => (await import('./client-config.ts')).readSmokeSettings() })
    },
  },
  certs: {
    about: 'make, install and look at certificates',
    usage: async () => (await import('./certs/certs.ts')).CERTS_USAGE,
    async run(args) {
      const { certs } = await import('./certs/certs.ts')
      const { environmentOfProcess, readOrNull } = await import('./config.ts')
      const { readCertificatePaths } = await import('./client-config.ts')
      return certs(args, await plainOutput(), {
        environment: environmentOfProcess(),
        settings: readCertificatePaths,
        readOrNull,
        now: Date.now,
        signal: interruption(),
      })
    },
  },
  deploy: {
    about: 'deploy, update, watch, roll back with Docker Compose or systemd',
    usage: async () => (await import('./deploy/deploy.ts')).DEPLOY_USAGE,
    async run(args) {
      const { deploy } = await import('./deploy/deploy.ts')
      const { environmentOfProcess } = await import('./config.ts')
      return deploy(args, await plainOutput(), { environment: environmentOfProcess(), now: Date.now, signal: interruption() })
    },
  },
  version: {
    about: 'print the version',
    usage: async () => 'earthflow version\n',
    async run() {
      const { out } = await plainOutput()
      out(`${version}\n`)
      return 0
    },
  },
}

const NAME_CHARACTERS = Math.max(...Object.keys(verbs).map((name) => name.length))

export const usageOf = (): string => `earthflow ${version}

${Object.entries(verbs)
  .map(([name, { about }]) => `  earthflow ${name.padEnd(NAME_CHARACTERS)}  ${about}\n`)
  .join('')}
--help after a verb tells more. Settings come from the environment and from .env in the working directory: see .env.example.
Exit codes: 0 done; 1 not done, or not so; 2 something to look at, where a verb says so; 64 the arguments make no sense; 78 a setting cannot be used.
`

const plainOutput = async () => (await import('./cli/plain-output.ts')).plainOutput
const screen = { write: (text: string) => void process.stderr.write(text), isTerminal: process.stderr.isTTY === true }

/** A running Earthflow, to be asked with the key of the settings. */
async function client() {
  const { createApi } = await import('./cli/api.ts')
  const { readClientConfig } = await import('./client-config.ts')
  const { configOrExit } = await import('./exit.ts')
  const config = configOrExit(() => readClientConfig())
  return { api: createApi(config), config }
}

/** The same for verbs that look at their arguments first. */
async function lateApi() {
  const { createApi } = await import('./cli/api.ts')
  const { readClientConfig } = await import('./client-config.ts')
  const { configOrExit } = await import('./exit.ts')
  return () => createApi(configOrExit(() => readClientConfig()))
}

async function storeConfig() {
  const { readStoreConfig } = await import('./config.ts')
  const { configOrExit } = await import('./exit.ts')
  return () => configOrExit(() => readStoreConfig())
}

async function secretParts() {
  const { createSecretFile } = await import('./cli/secret-file.ts')
  return { isTerminal: process.stdout.isTTY === true, createFile: createSecretFile }
}

async function backupParts() {
  const { readBackupConfig } = await import('./config.ts')
  const { configOrExit } = await import('./exit.ts')
  return { screen, config: () => configOrExit(() => readBackupConfig()), signal: interruption(), now: Date.now }
}

async function exportEntries(args: readonly string[]): Promise<number> {
  const { exportAudit } = await import('./cli/audit-export.ts')
  const { terminal } = await import('./cli/terminal.ts')
  const print = (bytes: Uint8Array): Promise<void> => new Promise((resolve) => process.stdout.write(bytes, () => resolve()))
  return exportAudit(args, terminal, { api: await lateApi(), screen, print })
}

/** Aborted when somebody asks the program to end. */
function interruption(): AbortSignal {
  const interrupt = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => interrupt.abort())
  return interrupt.signal
}
