/** What `npm start` needs to be useful at once, made on the first run and found again on every later one: secrets, a demo tenant, commands to paste. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import type { Config, Provide } from './config.ts'
import { generateMasterKey } from './crypto/master-key.ts'
import type { Earthflow } from './services.ts'

const OWNER_ONLY = 0o600
const OWNER_EMAIL = 'owner@earthflow.test'
const PASSWORD_BYTES = 18

/** The secret of that name from the data folder, made there if it is missing. For development: a production start is given its secrets. */
export const provideSecret: Provide = (name, dataDir) => {
  const path = join(dataDir, 'secrets')
  const secrets = parseEnv(readOr(path, ''))
  const known = secrets[name]
  if (known) return known
  // New keys for old data would lose what the old ones encrypted.
  if (existsSync(join(dataDir, 'database')))
    throw new Error('it is missing there although the database exists; put it back, or remove the folder to begin anew.')
  const made = name === 'EARTHFLOW_MASTER_KEY' ? generateMasterKey() : randomBytes(32).toString('base64url')
  const lines = Object.entries({ ...secrets, [name]: made }).map(([key, value]) => `${key}=${value}`)
  writeSecret(path, `${lines.join('\n')}\n`)
  return made
}

/** A tenant whose key lies in the data folder. Returns where the key lies. */
export async function ensureDemo(earthflow: Earthflow, config: Config): Promise<string> {
  const path = resolve(config.dataDir, 'demo')
  const key = readOr(path, '').trim()
  if (key !== '' && (await earthflow.keys.find(key))) return path
  const created = await earthflow.createTenant({ name: 'Demo', preset: 'default' })
  writeSecret(path, `${created.apiKey}\n`)
  return path
}

/** An owner of the whole installation, whose password lies in the data folder. Returns where it lies. */
export async function ensureOwner(earthflow: Earthflow, config: Config): Promise<string> {
  const path = resolve(config.dataDir, 'owner')
  const known = readOr(path, '').trim()
  const password = known === '' ? randomBytes(PASSWORD_BYTES).toString('base64url') : known
  // The database first: a password that lies here without having been set would be looked at for ever.
  await earthflow.ensureOwner({ email: OWNER_EMAIL, password, reset: known === '' })
  if (known === '') writeSecret(path, `${password}\n`)
  return path
}

/** The commands of the first five minutes. Each succeeds when pasted where Earthflow was started. */
export function firstCommands({
  port,
  caPath,
  demoPath,
  ownerPath,
  sandbox,
  dashboardPort,
}: {
  port: number
  caPath: string | null
  demoPath: string
  ownerPath: string
  sandbox: boolean
  /** Null where there is no dashboard. */
  dashboardPort: number | null
}): string {
  const here = (path: string): string => {
    const short = relative(process.cwd(), path)
    return short.startsWith('..') ? path : short
  }
  const base = `https://localhost:${port}`
  const curl = `curl -sS${caPath === null ? '' : ` --cacert ${here(caPath)}`} -H "Authorization: Bearer $(cat ${here(demoPath)})"`
  const chat = (content: string, more = ''): string =>
    `${curl}${more === '' ? '' : ' -N'} ${base}/v1/chat/completions -H 'Content-Type: application/json' -d '{"model":"sandbox",${more}"messages":[{"role":"user","content":"${content}"}]}'`
  const commands: [string, string][] = [
    ['allowed', chat('Hello')],
    ['redacted (the provider sees [SSN])', chat('My number is 536-90-4399')],
    ['blocked (403, and nothing leaves)', chat('Deploy with AKIAIOSFODNN7EXAMPLE')],
    ['streamed', chat('Tell me a story', '"stream":true,')],
    ['what was recorded', `${curl} '${base}/v1/audit?limit=5'`],
  ]
  return [
    `Earthflow is ready at ${base}`,
    '',
    ...(sandbox ? commands.flatMap(([title, command]) => [`# ${title}`, command, '']) : []),
    `OpenAI SDKs:    base URL ${base}/v1, API key: the content of ${here(demoPath)}`,
    `Anthropic SDKs: base URL ${base}, the same key; Gemini SDKs likewise`,
    ...(dashboardPort === null ? [] : [`Dashboard:      http://localhost:${dashboardPort}`]),
    `Logging in:     ${OWNER_EMAIL}, password: the content of ${here(ownerPath)}`,
    ...(caPath === null ? [] : [`Node clients:   NODE_EXTRA_CA_CERTS=${here(caPath)}    Python clients: SSL_CERT_FILE=${here(caPath)}`]),
    '',
  ].join('\n')
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return otherwise
    throw error
  }
}

/** Whole or not at all, and never readable by others, not even for a moment. */
function writeSecret(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.new`
  // One that a killed start left may be open to others, or a link.
  rmSync(draft, { force: true })
  writeFileSync(draft, content, { mode: OWNER_ONLY, flag: 'wx' })
  renameSync(draft, path)
}
