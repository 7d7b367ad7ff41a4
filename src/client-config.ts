/** What the verbs need that ask a running Earthflow. */
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { CLIENT_URL, ConfigError, dotenvOfProcess, type Environment, environmentOfProcess, readOrNull, textOf } from './config.ts'
import { settings } from './settings.ts'

export interface ClientConfig {
  url: string
  key: string
  /** PEM; null trusts the machine's authorities alone. */
  ca: string | null
  /** A variable that a policy file names. */
  secret(name: string): string | undefined
}

/** The environment wins over `.env`; what the first run of a development made on this machine is found without being told. Throws ConfigError. */
export function readClientConfig(environment: Environment = environmentOfProcess(), dotenv: string | null = dotenvOfProcess()): ClientConfig {
  const problems: string[] = []
  const given = { ...(dotenv === null ? {} : parseEnv(dotenv)), ...environment }
  const dataDir = given.EARTHFLOW_DATA_DIR || (settings.EARTHFLOW_DATA_DIR.default ?? '')
  const address = given.EARTHFLOW_URL || CLIENT_URL
  const isHere = URL.canParse(address) && /^(?:localhost|127\.0\.0\.1|\[::1\])$/.test(new URL(address).hostname)
  const made = (name: string): string | null => (isHere ? readOrNull(join(dataDir, name)) : null)
  if (!URL.canParse(address) || !(/^https:\/\//.test(address) || (isHere && address.startsWith('http://')))) {
    problems.push('EARTHFLOW_URL must be a URL that begins with https://; http:// is for this machine alone.')
  }
  const key =
    textOf('EARTHFLOW_API_KEY', given, true, problems) ??
    textOf('EARTHFLOW_ADMIN_API_KEY', given, true, problems) ??
    parseEnv(made('secrets') ?? '').EARTHFLOW_ADMIN_API_KEY
  if (!key) problems.push('EARTHFLOW_ADMIN_API_KEY is missing; EARTHFLOW_API_KEY with a key of the tenant will do as well.')
  else if (!/^[\x21-\x7e]+$/.test(key)) problems.push('The key holds characters that no key has.')
  const ca = given.EARTHFLOW_CA_PATH ? readOrNull(given.EARTHFLOW_CA_PATH) : made('certs/ca.pem')
  if (given.EARTHFLOW_CA_PATH && ca === null) problems.push('EARTHFLOW_CA_PATH names a file that cannot be read.')
  if (problems.length > 0 || !key) throw new ConfigError(problems, 'Earthflow cannot be asked')
  return { url: address, key, ca, secret: (name) => given[name] || undefined }
}

interface Sources {
  environment?: Environment
  dotenv?: string | null
}

const givenBy = ({ environment = environmentOfProcess(), dotenv = dotenvOfProcess() }: Sources): Environment => ({
  ...(dotenv === null ? {} : parseEnv(dotenv)),
  ...environment,
})

/** Where an Earthflow of these settings listens on this machine, as far as they say. What is wrong with them is for others to tell. */
export function readListening(sources: Sources = {}): { host: string | undefined; port: string | undefined; tls: string | undefined; ca: string | null } {
  const given = givenBy(sources)
  const isDashboard = given.EARTHFLOW_SERVICES?.toLowerCase() === 'dashboard'
  const tls = (given.EARTHFLOW_TLS || (given.EARTHFLOW_ENV?.toLowerCase() === 'development' ? 'auto' : 'on')).toLowerCase()
  return {
    host: isDashboard ? given.EARTHFLOW_DASHBOARD_HOST : given.EARTHFLOW_HOST,
    port: isDashboard ? given.EARTHFLOW_DASHBOARD_PORT || '8080' : given.EARTHFLOW_PORT || undefined,
    tls,
    ca: given.EARTHFLOW_CA_PATH ? readOrNull(given.EARTHFLOW_CA_PATH) : null,
  }
}

/** Whom the smoke test asks unless it is told: null where nothing says it. Throws ConfigError. */
export function readSmokeSettings(sources: Sources = {}): { url: string | null; key: string | null; adminKey: string | null; ca: string | null } {
  const given = givenBy(sources)
  const problems: string[] = []
  const key = textOf('EARTHFLOW_API_KEY', given, true, problems)
  const adminKey = textOf('EARTHFLOW_ADMIN_API_KEY', given, true, problems)
  const ca = given.EARTHFLOW_CA_PATH ? readOrNull(given.EARTHFLOW_CA_PATH) : null
  if (given.EARTHFLOW_CA_PATH && ca === null) problems.push('EARTHFLOW_CA_PATH names a file that cannot be read.')
  if (problems.length > 0) throw new ConfigError(problems, 'The settings cannot be used')
  return { url: given.EARTHFLOW_URL || null, key, adminKey, ca }
}

/** The files a certificate is served from, and the folder of the development authority. */
export function readCertificatePaths(sources: Sources = {}): { cert: string | null; key: string | null; developmentDir: string } {
  const given = givenBy(sources)
  const dataDir = given.EARTHFLOW_DATA_DIR || (settings.EARTHFLOW_DATA_DIR.default ?? '')
  return { cert: given.TLS_CERT_PATH || null, key: given.TLS_KEY_PATH || null, developmentDir: join(dataDir, 'certs') }
}
