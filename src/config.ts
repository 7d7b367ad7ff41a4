/** Environment → Config. One table of settings; every problem is reported at once. Only main and services read this. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { parseMasterKeys } from './crypto/master-key.ts'
import { type EgressAllow, parseEgressAllow } from './egress/allow.ts'
import {
  addresses,
  adminKey,
  flag,
  hosts,
  type Locality,
  locality,
  number,
  type OidcIssuer,
  oidcIssuers,
  oneOf,
  origins,
  port,
  server,
  sink,
  text,
  url,
} from './setting-values.ts'
import { type SettingSources, type ShownSetting, secretsOf, showSettings } from './settings-shown.ts'

export interface Setting<Value> {
  about: string
  /** Turns the text into the value, or throws a sentence that says what to write instead. Never quotes a secret. */
  parse: (text: string) => Value
  /** What stands in the documentation and is parsed where nothing is set; null where the setting has no default. */
  default: string | null
  /** May also be given as NAME_FILE, and is never shown. */
  secret?: true
}

const setting = <Value>(about: string, fallback: string | null, parse: (text: string) => Value, secret?: 'secret'): Setting<Value> => ({
  about,
  parse,
  default: fallback,
  ...(secret ? { secret: true } : {}),
})
/** Every setting. `.env.example` and the README are compared with this table by a test. */
export const settings = {
  EARTHFLOW_ENV: setting(
    'production refuses to start on a missing or weak setting; development makes what is missing',
    'production',
    oneOf('production', 'staging', 'development'),
  ),
  EARTHFLOW_MASTER_KEY: setting(
    'wraps the keys that encrypt credentials; comma-separated, the first is current; each 32 bytes in url-safe base64',
    null,
    parseMasterKeys,
    'secret',
  ),
  EARTHFLOW_ADMIN_API_KEY: setting('the key of the installation’s administrator; at least 32 random characters', null, adminKey, 'secret'),
  EARTHFLOW_LOG_LEVEL: setting('DEBUG, INFO, WARN or ERROR; no level holds text of a call or a secret', 'INFO', oneOf('DEBUG', 'INFO', 'WARN', 'ERROR')),
  EARTHFLOW_HOST: setting('the address to listen on; in development only this machine’s', '0.0.0.0', text),
  EARTHFLOW_PORT: setting('the port of the proxy and the management API', '8443', port),
  EARTHFLOW_TLS: setting(
    'on; terminated (plain HTTP behind a TLS proxy, needs TRUSTED_PROXIES); auto (development: TLS and plain on one port)',
    'on',
    oneOf('on', 'terminated', 'auto'),
  ),
  TLS_CERT_PATH: setting('the certificate chain, PEM', null, text),
  TLS_KEY_PATH: setting('its private key, PEM', null, text),
  TLS_CA_PATH: setting('mutual TLS: the authorities of client certificates, PEM; every call then needs a certificate of theirs', null, text),
  TRUSTED_PROXIES: setting('addresses or networks of the TLS proxies in front, comma-separated; nobody else should reach the port', null, addresses),
  ALLOWED_HOSTS: setting('names by which Earthflow may be asked, comma-separated; by default any. Health is told to everybody', null, hosts),
  ALLOWED_ORIGINS: setting('origins such as https://admin.example.com whose pages may use it from a browser, comma-separated', null, origins),
  OIDC_ISSUERS: setting('identity providers whose tokens log people in: a JSON list, described below', null, oidcIssuers),
  EARTHFLOW_LOCALITY: setting(
    'any; local-only: nothing on the internet is ever reached; or regions, comma-separated, in one of which every upstream must lie',
    'any',
    locality,
  ),
  EARTHFLOW_DATA_DIR: setting('where the embedded database and what the first run makes are kept', '.earthflow', text),
  EARTHFLOW_MAX_BODY_MB: setting('the largest body of a call, in MiB', '32', number(0.001, 1024)),
  EARTHFLOW_STALE_SECONDS: setting('how long loaded keys, policies and upstreams hold while the database is away', '900', number(1, 86_400)),
  EARTHFLOW_DRAIN_SECONDS: setting('how long open calls may take to end when Earthflow stops', '300', number(0, 86_400)),
  EGRESS_ALLOW: setting('private addresses, networks or names that upstreams may use, comma-separated; `loopback` is this machine', null, parseEgressAllow),
  DATABASE_URL: setting('PostgreSQL, as postgres://user:password@host:5432/database', null, url('postgres:', 'postgresql:'), 'secret'),
  POSTGRES_HOST: setting('PostgreSQL, where DATABASE_URL is not set', null, server),
  POSTGRES_PORT: setting('its port', '5432', port),
  POSTGRES_DB: setting('the database', 'earthflow', text),
  POSTGRES_USER: setting('the role', 'earthflow', text),
  POSTGRES_PASSWORD: setting('its password', null, text, 'secret'),
  POSTGRES_TLS: setting('whether the connection to PostgreSQL is encrypted and its certificate verified', 'false', flag),
  POSTGRES_POOL_MAX: setting('connections of this process for queries; the audit log and the listener take up to 5 more', '4', number(1, 200, { whole: true })),
  REDIS_URL: setting(
    'Redis, as redis://:password@host:6379/0 or rediss:// with TLS; limits are then shared by all processes',
    null,
    url('redis:', 'rediss:'),
    'secret',
  ),
  REDIS_HOST: setting('Redis, where REDIS_URL is not set', null, server),
  REDIS_PORT: setting('its port', '6379', port),
  REDIS_PASSWORD: setting('its password', null, text, 'secret'),
  REDIS_TLS: setting('whether the connection to Redis is encrypted and its certificate verified', 'false', flag),
  EARTHFLOW_EMBEDDED_DB: setting('allows the embedded database in production, where no PostgreSQL is set', 'false', flag),
  RATE_LIMIT_DEFAULT_RPM: setting('requests per minute of a tenant that has no limit of its own', '1000', number(0, 1e9)),
  RATE_LIMIT_BURST_FACTOR: setting('how much more than the window’s share a full bucket holds', '1.5', number(0.001, 1000)),
  RATE_LIMIT_WINDOW_SECONDS: setting('the window whose share a bucket holds', '60', number(1, 86_400)),
  BUDGET_ENFORCE: setting('false: hard budgets are counted like soft ones, and refuse nothing', 'true', flag),
  UPSTREAM_FIRST_BYTE_SECONDS: setting('how long a provider may think before its first byte', '600', number(0.05, 3600)),
  UPSTREAM_IDLE_SECONDS: setting('how long a provider may fall silent within an answer', '300', number(0.05, 3600)),
  AUDIT_HASH_PROMPTS: setting('false keeps no hash of prompts; no setting keeps the text', 'true', flag),
  AUDIT_HASH_MODE: setting(
    'sha256; hmac-sha256: under a key of the tenant, so that whoever reads the log cannot guess what was said',
    'sha256',
    oneOf('sha256', 'hmac-sha256'),
  ),
  AUDIT_DURABILITY: setting(
    'sync: a call’s end is on the local disk before its last byte; strict: its beginning is also committed to the database before it leaves',
    'sync',
    oneOf('sync', 'strict'),
  ),
  AUDIT_SPOOL_DIR: setting('where calls are on record until the database has them; by default `spool` below EARTHFLOW_DATA_DIR', null, text),
  AUDIT_RETENTION_DAYS: setting('how long entries of the audit log are kept; 0: for ever', '365', number(0, 36_500, { whole: true })),
  AUDIT_CHECKPOINT_SINK: setting('where signed checkpoints of the audit log go as well: a directory, or a URL they are posted to', null, sink),
  OPENAI_API_KEY: setting('makes OpenAI an upstream of every tenant', null, text, 'secret'),
  ANTHROPIC_API_KEY: setting('makes Anthropic an upstream of every tenant', null, text, 'secret'),
  GEMINI_API_KEY: setting('makes Gemini an upstream of every tenant', null, text, 'secret'),
} as const satisfies Record<string, Setting<unknown>>

type Name = keyof typeof settings
type Values = { [N in Name]: ReturnType<(typeof settings)[N]['parse']> | null }

export interface Config {
  env: 'production' | 'staging' | 'development'
  masterKeys: Buffer[]
  adminKey: string
  logLevel: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR'
  host: string
  port: number
  tls: { mode: 'on' | 'terminated' | 'auto'; certPath: string | null; keyPath: string | null }
  /** Mutual TLS: who signs client certificates; null: nobody is asked for one. */
  clientCaPath: string | null
  trustedProxies: string[]
  /** Null: any. */
  allowedHosts: string[] | null
  allowedOrigins: string[]
  oidcIssuers: OidcIssuer[]
  locality: Locality
  dataDir: string
  bodyBytesMax: number
  staleMs: number
  drainMs: number
  egressAllow: EgressAllow
  database: { kind: 'postgres'; url: string; tls: boolean; poolMax: number } | { kind: 'embedded' }
  /** Null: each process counts by itself. */
  redisUrl: string | null
  limits: { defaultRpm: number; burstFactor: number; windowSeconds: number }
  enforceBudgets: boolean
  upstreams: { firstByteMs: number; idleMs: number; openaiKey: string | null; anthropicKey: string | null; geminiKey: string | null }
  hashPrompts: boolean
  hashMode: 'sha256' | 'hmac-sha256'
  audit: {
    durability: 'sync' | 'strict'
    spoolDir: string
    /** 0: for ever. */
    retentionDays: number
    checkpointSink: { kind: 'directory'; path: string } | { kind: 'url'; url: string } | null
  }
  /** Every setting as people may see it. */
  shown: readonly ShownSetting[]
  /** The texts that must be found in no log. */
  secrets: readonly string[]
  /** Variables that look like ours but are none of our settings. */
  unknown: string[]
}

export type Environment = Readonly<Record<string, string | undefined>>

/** Every problem of a configuration, each a sentence that begins with the setting's name. */
export class ConfigError extends Error {
  readonly problems: readonly string[]
  constructor(problems: readonly string[], what = 'Earthflow cannot start') {
    super(`${what}:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`)
    this.problems = problems
  }
}

/** Fills in what may be missing in development, by name; called before anything is parsed. */
export type Provide = (name: 'EARTHFLOW_MASTER_KEY' | 'EARTHFLOW_ADMIN_API_KEY', dataDir: string) => string

/** From this process's environment and `.env` in its working directory. Throws ConfigError. */
export function configOfProcess(provide: Provide): Config {
  return readConfig(process.env, { dotenv: dotenvOfProcess(), provide })
}

export const environmentOfProcess = (): Environment => process.env

/** The text of `.env`; null where there is none. */
export const dotenvOfProcess = (): string | null => readOrNull('.env')

export function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

export const CLIENT_URL = 'https://localhost:8443'

/** What the verbs need that talk to a running Earthflow, beside EARTHFLOW_ADMIN_API_KEY. */
export const clientSettings = {
  EARTHFLOW_URL: setting('where Earthflow is', CLIENT_URL, url('https:', 'http:')),
  EARTHFLOW_API_KEY: setting("a tenant's key; before EARTHFLOW_ADMIN_API_KEY", null, text, 'secret'),
  EARTHFLOW_CA_PATH: setting("the authority of Earthflow's certificate, PEM; of this machine's development the one it made", null, text),
} as const satisfies Record<string, Setting<unknown>>

/** The environment wins over `.env`. Throws ConfigError. */
export function readConfig(environment: Environment, { dotenv, provide }: { dotenv: string | null; provide: Provide }): Config {
  const problems: string[] = []
  const fromFile = dotenv === null ? {} : parseEnv(dotenv)
  const given = { ...fromFile, ...environment }
  const made: Partial<Record<Name, string>> = {}
  const isDevelopment = (given.EARTHFLOW_ENV ?? '').toLowerCase() === 'development'
  const defaults: Partial<Record<Name, string>> = isDevelopment ? { EARTHFLOW_TLS: 'auto', EARTHFLOW_HOST: '127.0.0.1', EGRESS_ALLOW: 'loopback' } : {}

  const values = valuesOf(Object.keys(settings) as Name[], given, defaults, problems)
  const value = valueIn(values)
  const dataDir = value('EARTHFLOW_DATA_DIR') ?? ''
  const wasGiven = (name: Name): boolean => name in values || problems.some((problem) => problem.startsWith(`${name} `))
  const provided = (name: 'EARTHFLOW_MASTER_KEY' | 'EARTHFLOW_ADMIN_API_KEY'): unknown => {
    try {
      made[name] = provide(name, dataDir)
      return settings[name].parse(made[name])
    } catch (error) {
      problems.push(`${name} could not be taken from ${dataDir}/secrets: ${error instanceof Error ? error.message : 'it is not readable'}`)
      return undefined
    }
  }
  for (const name of ['EARTHFLOW_MASTER_KEY', 'EARTHFLOW_ADMIN_API_KEY'] as const) {
    if (wasGiven(name)) continue
    if (isDevelopment) values[name] = provided(name)
    else problems.push(`${name} is missing: ${settings[name].about}.`)
  }
  problems.push(...contradictions(value, isDevelopment, given))
  if (problems.length > 0) throw new ConfigError(problems)

  const sources: SettingSources = { environment, dotenv: fromFile, defaults, made }
  return {
    shown: showSettings(settings, sources),
    secrets: secretsOf(settings, sources),
    env: value('EARTHFLOW_ENV') ?? 'production',
    masterKeys: value('EARTHFLOW_MASTER_KEY') ?? [],
    adminKey: value('EARTHFLOW_ADMIN_API_KEY') ?? '',
    logLevel: value('EARTHFLOW_LOG_LEVEL') ?? 'INFO',
    host: value('EARTHFLOW_HOST') ?? '',
    port: value('EARTHFLOW_PORT') ?? 8443,
    tls: { mode: value('EARTHFLOW_TLS') ?? 'on', certPath: value('TLS_CERT_PATH'), keyPath: value('TLS_KEY_PATH') },
    clientCaPath: value('TLS_CA_PATH'),
    trustedProxies: value('TRUSTED_PROXIES') ?? [],
    allowedHosts: value('ALLOWED_HOSTS'),
    allowedOrigins: value('ALLOWED_ORIGINS') ?? [],
    oidcIssuers: value('OIDC_ISSUERS') ?? [],
    locality: value('EARTHFLOW_LOCALITY') ?? { kind: 'any' },
    dataDir,
    bodyBytesMax: Math.floor((value('EARTHFLOW_MAX_BODY_MB') ?? 32) * 1024 * 1024),
    staleMs: (value('EARTHFLOW_STALE_SECONDS') ?? 900) * 1000,
    drainMs: (value('EARTHFLOW_DRAIN_SECONDS') ?? 300) * 1000,
    egressAllow: value('EGRESS_ALLOW') ?? parseEgressAllow(''),
    ...rowsAndHashes(value),
    redisUrl: value('REDIS_URL') ?? redisUrlOf(value),
    enforceBudgets: value('BUDGET_ENFORCE') ?? true,
    limits: {
      defaultRpm: value('RATE_LIMIT_DEFAULT_RPM') ?? 1000,
      burstFactor: value('RATE_LIMIT_BURST_FACTOR') ?? 1.5,
      windowSeconds: value('RATE_LIMIT_WINDOW_SECONDS') ?? 60,
    },
    upstreams: {
      firstByteMs: (value('UPSTREAM_FIRST_BYTE_SECONDS') ?? 600) * 1000,
      idleMs: (value('UPSTREAM_IDLE_SECONDS') ?? 300) * 1000,
      openaiKey: value('OPENAI_API_KEY'),
      anthropicKey: value('ANTHROPIC_API_KEY'),
      geminiKey: value('GEMINI_API_KEY'),
    },
    audit: {
      durability: value('AUDIT_DURABILITY') ?? 'sync',
      spoolDir: value('AUDIT_SPOOL_DIR') ?? join(dataDir, 'spool'),
      retentionDays: value('AUDIT_RETENTION_DAYS') ?? 365,
      checkpointSink: value('AUDIT_CHECKPOINT_SINK'),
    },
    unknown: Object.keys(given).filter((name) => name.startsWith('EARTHFLOW_') && !isKnown(name)),
  }
}

const storeSettings = (Object.keys(settings) as Name[]).filter((name) => /^(?:DATABASE_|POSTGRES_|AUDIT_HASH_|EARTHFLOW_MASTER_KEY$)/.test(name))

export type StoreConfig = Pick<Config, 'dataDir' | 'masterKeys' | 'database' | 'hashPrompts' | 'hashMode'>

/** For a chore that writes to the audit log without a running Earthflow. Master keys may be missing; those that a first run made are found. Throws ConfigError. */
export function readStoreConfig(environment: Environment = process.env, dotenv: string | null = dotenvOfProcess()): StoreConfig {
  const problems: string[] = []
  const given = { ...(dotenv === null ? {} : parseEnv(dotenv)), ...environment }
  const dataDir = given.EARTHFLOW_DATA_DIR || settings.EARTHFLOW_DATA_DIR.default || ''
  const { EARTHFLOW_MASTER_KEY: made = '' } = parseEnv(readOrNull(join(dataDir, 'secrets')) ?? '')
  const value = valueIn(valuesOf(storeSettings, given, made === '' ? {} : { EARTHFLOW_MASTER_KEY: made }, problems))
  if (problems.length > 0) throw new ConfigError(problems, 'The settings cannot be used')
  return { dataDir, masterKeys: value('EARTHFLOW_MASTER_KEY') ?? [], ...rowsAndHashes(value) }
}

function valuesOf(names: readonly Name[], given: Environment, defaults: Partial<Record<Name, string>>, problems: string[]): Partial<Record<Name, unknown>> {
  const values: Partial<Record<Name, unknown>> = {}
  for (const name of names) {
    const { parse, default: fallback, ...row }: Setting<unknown> = settings[name]
    const raw = textOf(name, given, row.secret === true, problems) ?? defaults[name] ?? fallback
    if (raw === null) continue
    try {
      values[name] = parse(raw)
    } catch (error) {
      const sentence = error instanceof Error ? error.message.replace(/\.$/, '') : 'is not understood'
      problems.push(`${sentence.startsWith(name) ? sentence : `${name} ${sentence}`}.`)
    }
  }
  return values
}

type Valued = <N extends Name>(name: N) => Values[N]
const valueIn =
  (values: Partial<Record<Name, unknown>>): Valued =>
  (name) =>
    (values[name] ?? null) as Values[typeof name]

function rowsAndHashes(value: Valued): Pick<Config, 'database' | 'hashPrompts' | 'hashMode'> {
  const [user, password, name] = (['POSTGRES_USER', 'POSTGRES_PASSWORD', 'POSTGRES_DB'] as const).map((each) => encodeURIComponent(value(each) ?? ''))
  const host = value('POSTGRES_HOST')
  const url = value('DATABASE_URL') ?? (host === null ? null : `postgres://${user}:${password}@${host}:${value('POSTGRES_PORT') ?? 5432}/${name}`)
  return {
    database: url === null ? { kind: 'embedded' } : { kind: 'postgres', url, tls: value('POSTGRES_TLS') ?? false, poolMax: value('POSTGRES_POOL_MAX') ?? 4 },
    hashPrompts: value('AUDIT_HASH_PROMPTS') ?? true,
    hashMode: value('AUDIT_HASH_MODE') ?? 'sha256',
  }
}

function redisUrlOf(value: Valued): string | null {
  const host = value('REDIS_HOST')
  if (host === null) return null
  const password = value('REDIS_PASSWORD')
  return `redis${value('REDIS_TLS') ? 's' : ''}://${password === null ? '' : `:${encodeURIComponent(password)}@`}${host}:${value('REDIS_PORT') ?? 6379}`
}

/** Names of ours that are no settings: what the launcher and the tests tell each other. */
const isKnown = (name: string): boolean => isSetting(name) || (name.endsWith('_FILE') && isSetting(name.slice(0, -5))) || name.startsWith('EARTHFLOW_TEST_')
const isSetting = (name: string): boolean => name in settings || name in clientSettings

export function textOf(name: Name | keyof typeof clientSettings, given: Environment, secret: boolean, problems: string[]): string | null {
  const direct = given[name]
  const path = secret ? given[`${name}_FILE`] : undefined
  if (direct && path) problems.push(`${name} and ${name}_FILE are both set: keep one.`)
  if (direct) return direct
  if (!path) return null
  try {
    const content = readFileSync(path, 'utf8').trim()
    if (content !== '') return content
    problems.push(`${name}_FILE names an empty file.`)
  } catch {
    problems.push(`${name}_FILE names a file that cannot be read.`)
  }
  return null
}

/** What is wrong with settings that are right one by one. */
function contradictions(value: Valued, isDevelopment: boolean, given: Environment): string[] {
  const problems: string[] = []
  const mode = value('EARTHFLOW_TLS')
  for (const name of ['TLS_CERT_PATH', 'TLS_KEY_PATH', 'TLS_CA_PATH'] as const) {
    const path = value(name)
    if (path === null && mode === 'on' && name !== 'TLS_CA_PATH') problems.push(`${name} is missing: EARTHFLOW_TLS=on needs a certificate and its key.`)
    if (path !== null && !isReadable(path)) problems.push(`${name} names a file that cannot be read.`)
  }
  if (mode === 'terminated' && value('TLS_CA_PATH') !== null) {
    problems.push('TLS_CA_PATH must not be set with EARTHFLOW_TLS=terminated: where somebody else speaks TLS no client certificate arrives here.')
  }
  if (mode === 'terminated' && (value('TRUSTED_PROXIES') ?? []).length === 0)
    problems.push('TRUSTED_PROXIES is missing: EARTHFLOW_TLS=terminated needs the addresses of the TLS proxies in front.')
  if (!isDevelopment) {
    if ((value('OIDC_ISSUERS') ?? []).some(({ issuer, jwks_uri }) => [issuer, jwks_uri ?? ''].some((one) => one.startsWith('http:'))))
      problems.push('OIDC_ISSUERS must name https:// addresses: whoever is on the way could log in as anybody.')
    if (mode === 'auto') problems.push('EARTHFLOW_TLS=auto is for development: use on or terminated.')
    if (!given.DATABASE_URL && !given.DATABASE_URL_FILE && !value('POSTGRES_HOST') && value('EARTHFLOW_EMBEDDED_DB') === false) {
      problems.push('DATABASE_URL or POSTGRES_HOST is missing; EARTHFLOW_EMBEDDED_DB=true accepts the embedded database.')
    }
    const flags = [given.NODE_OPTIONS ?? '', ...process.execArgv].join(' ')
    if (/--inspect(?:-brk|-wait)?(?:[=\s]|$)|--insecure-http-parser/.test(flags))
      problems.push('NODE_OPTIONS must not hold --inspect or --insecure-http-parser: they open the process to others.')
    if (given.NODE_TLS_REJECT_UNAUTHORIZED === '0') problems.push('NODE_TLS_REJECT_UNAUTHORIZED=0 must not be set: certificates of providers are verified.')
  }
  return problems
}

const isReadable = (path: string): boolean => readOrNull(path) !== null
