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
