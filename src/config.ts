/** Environment → Config. Every problem is reported at once. Only main and services read this. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { type EgressAllow, parseEgressAllow } from './egress/allow.ts'
import { type Locality, type OidcIssuer, text, url } from './setting-values.ts'
import { type Setting, setting, settings } from './settings.ts'
import { type SettingSources, type ShownSetting, secretsOf, showSettings } from './settings-shown.ts'

type Name = keyof typeof settings
type Values = { [N in Name]: ReturnType<(typeof settings)[N]['parse']> | null }

export interface Config {
  env: 'production' | 'staging' | 'development'
  masterKeys: Buffer[]
  adminKey: string
  logLevel: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR'
  host: string
  port: number
  /** What listens here. */
  services: 'both' | 'proxy' | 'dashboard'
  dashboard: { host: string; port: number }
  /** Where clients reach the proxy; null: where it listens. */
  publicUrl: string | null
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
  workers: number
  connections: { max: number; perSourceMax: number }
  staleMs: number
  drainMs: number
  egressAllow: EgressAllow
  database: { kind: 'postgres'; url: string; tls: boolean; poolMax: number } | { kind: 'embedded' }
  /** Null: each process counts by itself. */
  redisUrl: string | null
  limits: { defaultRpm: number; burstFactor: number; windowSeconds: number }
  enforceBudgets: boolean
  upstreams: {
    firstByteMs: number
    idleMs: number
    totalMs: number
    connectionsMax: number
    openaiKey: string | null
    anthropicKey: string | null
    geminiKey: string | null
  }
  hashPrompts: boolean
  hashMode: 'sha256' | 'hmac-sha256'
  audit: {
    durability: 'sync' | 'strict'
    spoolDir: string
    /** 0: for ever. */
    retentionDays: number
    checkpointSink: { kind: 'directory'; path: string } | { kind: 'url'; url: string } | null
  }
  webhooks: { retries: number; backoffMs: number; longRetries: boolean; timeoutMs: number }
  /** A directory; null: the log goes to the standard output alone. */
  logDir: string | null
  /** Null: nothing is traced. */
  traces: { url: string; headers: string[]; sampledShare: number } | null
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
    services: value('EARTHFLOW_SERVICES') ?? 'both',
    dashboard: { host: value('EARTHFLOW_DASHBOARD_HOST') ?? '', port: value('EARTHFLOW_DASHBOARD_PORT') ?? 8080 },
    publicUrl: value('EARTHFLOW_PUBLIC_URL'),
    tls: { mode: value('EARTHFLOW_TLS') ?? 'on', certPath: value('TLS_CERT_PATH'), keyPath: value('TLS_KEY_PATH') },
    clientCaPath: value('TLS_CA_PATH'),
    trustedProxies: value('TRUSTED_PROXIES') ?? [],
    allowedHosts: value('ALLOWED_HOSTS'),
    allowedOrigins: value('ALLOWED_ORIGINS') ?? [],
    oidcIssuers: value('OIDC_ISSUERS') ?? [],
    locality: value('EARTHFLOW_LOCALITY') ?? { kind: 'any' },
    dataDir,
    bodyBytesMax: Math.floor((value('EARTHFLOW_MAX_BODY_MB') ?? 32) * 1024 * 1024),
    workers: value('EARTHFLOW_SERVICES') === 'dashboard' ? 1 : (value('EARTHFLOW_WORKERS') ?? 1),
    connections: { max: value('EARTHFLOW_MAX_CONNECTIONS') ?? 5_000, perSourceMax: value('EARTHFLOW_MAX_CONNECTIONS_PER_SOURCE') ?? 1_024 },
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
      totalMs: (value('UPSTREAM_TOTAL_SECONDS') ?? 3600) * 1000,
      connectionsMax: value('UPSTREAM_MAX_CONNECTIONS') ?? 1_024,
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
    webhooks: {
      retries: value('WEBHOOK_MAX_RETRIES') ?? 3,
      backoffMs: value('WEBHOOK_RETRY_BACKOFF_MS') ?? 500,
      longRetries: value('WEBHOOK_LONG_RETRIES') ?? true,
      timeoutMs: (value('WEBHOOK_TIMEOUT_SECONDS') ?? 5) * 1000,
    },
    logDir: value('EARTHFLOW_LOG_DIR'),
    traces: tracesOf(value),
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

/** The same for a chore that sees to the spool too. */
export function readBackupConfig(
  environment: Environment = process.env,
  dotenv: string | null = dotenvOfProcess(),
): StoreConfig & { spoolDir: string; environment: Environment } {
  const config = readStoreConfig(environment, dotenv)
  const given = { ...(dotenv === null ? {} : parseEnv(dotenv)), ...environment }
  return { ...config, spoolDir: given.AUDIT_SPOOL_DIR || join(config.dataDir, 'spool'), environment }
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

function tracesOf(value: Valued): Config['traces'] {
  const url = value('OTEL_EXPORTER_OTLP_ENDPOINT')
  return url === null ? null : { url, headers: value('OTEL_EXPORTER_OTLP_HEADERS') ?? [], sampledShare: value('OTEL_TRACES_SAMPLER_ARG') ?? 1 }
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
  if (value('EARTHFLOW_SERVICES') === 'both' && value('EARTHFLOW_PORT') === value('EARTHFLOW_DASHBOARD_PORT') && value('EARTHFLOW_PORT') !== 0)
    problems.push('EARTHFLOW_DASHBOARD_PORT must be another port than EARTHFLOW_PORT.')
  if (mode === 'terminated' && value('TLS_CA_PATH') !== null) {
    problems.push('TLS_CA_PATH must not be set with EARTHFLOW_TLS=terminated: where somebody else speaks TLS no client certificate arrives here.')
  }
  if (mode === 'terminated' && (value('TRUSTED_PROXIES') ?? []).length === 0)
    problems.push('TRUSTED_PROXIES is missing: EARTHFLOW_TLS=terminated needs the addresses of the TLS proxies in front.')
  if ((value('EARTHFLOW_WORKERS') ?? 1) > 1) {
    if (!given.DATABASE_URL && !given.DATABASE_URL_FILE && !value('POSTGRES_HOST'))
      problems.push('EARTHFLOW_WORKERS must be 1 with the embedded database, which one process alone can open: set DATABASE_URL or POSTGRES_HOST.')
    if (value('EARTHFLOW_ENV') === 'production' && value('REDIS_URL') === null && value('REDIS_HOST') === null)
      problems.push('EARTHFLOW_WORKERS must be 1 without Redis, which the workers would share limits by: set REDIS_URL or REDIS_HOST.')
  }
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
