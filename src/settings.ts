/** Every setting there is. `.env.example` and OPERATIONS.md are compared with this table by a test. */
import { parseMasterKeys } from './crypto/master-key.ts'
import { parseEgressAllow } from './egress/allow.ts'
import {
  addresses,
  adminKey,
  baseUrl,
  collector,
  collectorHeaders,
  flag,
  hosts,
  locality,
  number,
  oidcIssuers,
  oneOf,
  origins,
  port,
  server,
  sink,
  text,
  url,
} from './setting-values.ts'

export interface Setting<Value> {
  about: string
  /** Turns the text into the value, or throws a sentence that says what to write instead. Never quotes a secret. */
  parse: (text: string) => Value
  /** What stands in the documentation and is parsed where nothing is set; null where the setting has no default. */
  default: string | null
  /** May also be given as NAME_FILE, and is never shown. */
  secret?: true
}

/** A row of a table of settings. */
export const setting = <Value>(about: string, fallback: string | null, parse: (text: string) => Value, secret?: 'secret'): Setting<Value> => ({
  about,
  parse,
  default: fallback,
  ...(secret ? { secret: true } : {}),
})
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
  EARTHFLOW_LOG_DIR: setting(
    'a directory in which each process also writes its log, as earthflow-{host}-{process}.log; begun anew when that file was moved away',
    null,
    text,
  ),
  EARTHFLOW_HOST: setting('the address to listen on; in development only this machine’s', '0.0.0.0', text),
  EARTHFLOW_PORT: setting('the port of the proxy and the management API', '8443', port),
  EARTHFLOW_SERVICES: setting(
    'both; proxy: without the dashboard; dashboard: without the port of the proxy, and with only one process',
    'both',
    oneOf('both', 'proxy', 'dashboard'),
  ),
  EARTHFLOW_DASHBOARD_HOST: setting('the address the dashboard listens on; only this machine’s, where nothing is said', '127.0.0.1', text),
  EARTHFLOW_DASHBOARD_PORT: setting('the port of the dashboard', '8080', port),
  EARTHFLOW_PUBLIC_URL: setting('where clients reach the proxy, as the dashboard tells people; by default this machine and EARTHFLOW_PORT', null, baseUrl),
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
  OIDC_ISSUERS: setting('identity providers whose tokens log people in: a JSON list, described in src/access/README.md', null, oidcIssuers),
  EARTHFLOW_LOCALITY: setting(
    'any; local-only: nothing on the internet is ever reached; or regions, comma-separated, in one of which every upstream must lie',
    'any',
    locality,
  ),
  EARTHFLOW_WORKERS: setting(
    'processes that serve the port; more than 1 needs PostgreSQL and, in production, Redis, and adds one that tends them',
    '1',
    number(1, 64, { whole: true }),
  ),
  EARTHFLOW_MAX_CONNECTIONS: setting('connections of clients that a process holds at once; one more is closed', '5000', number(1, 1_000_000, { whole: true })),
  EARTHFLOW_MAX_CONNECTIONS_PER_SOURCE: setting(
    'of these, from one address (of IPv6 one /64); TRUSTED_PROXIES may have all',
    '1024',
    number(1, 1_000_000, { whole: true }),
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
  UPSTREAM_TOTAL_SECONDS: setting('how long an answer may take in all, however steadily it comes', '3600', number(0.05, 86_400)),
  UPSTREAM_MAX_CONNECTIONS: setting('connections of a process to one upstream; calls beyond wait for one', '1024', number(1, 65_535, { whole: true })),
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
  WEBHOOK_MAX_RETRIES: setting('how often a delivery is tried again soon after it failed', '3', number(0, 10, { whole: true })),
  WEBHOOK_RETRY_BACKOFF_MS: setting('how long the first of these waits; each waits twice as long as the one before', '500', number(1, 60_000, { whole: true })),
  WEBHOOK_LONG_RETRIES: setting('true: it is then tried after 5 min, 30 min, 2, 5, 10, 14, 20 and 24 h', 'true', flag),
  WEBHOOK_TIMEOUT_SECONDS: setting('how long one attempt to deliver may take', '5', number(0.05, 30)),
  OTEL_EXPORTER_OTLP_ENDPOINT: setting(
    'where traces go, as OTLP over HTTP, such as http://collector:4318 (/v1/traces is added); nothing is traced where it is not set',
    null,
    collector,
  ),
  OTEL_EXPORTER_OTLP_HEADERS: setting('headers that the collector asks for, as name=value, comma-separated', null, collectorHeaders, 'secret'),
  OTEL_TRACES_SAMPLER_ARG: setting('of the traces that begin here, the share that is recorded; a caller’s own are as the caller says', '1', number(0, 1)),
  OPENAI_API_KEY: setting('makes OpenAI an upstream of every tenant', null, text, 'secret'),
  ANTHROPIC_API_KEY: setting('makes Anthropic an upstream of every tenant', null, text, 'secret'),
  GEMINI_API_KEY: setting('makes Gemini an upstream of every tenant', null, text, 'secret'),
} as const satisfies Record<string, Setting<unknown>>
