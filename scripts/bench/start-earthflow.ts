import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { createServerFolder, freePort, startServer } from '../../test/services/server-process.ts'
import { family, onCore } from './processes.ts'
import type { Ground, Running } from './servers.ts'

const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts')
/** The most a tenant may be given: 16,667 calls a second on top of a bucket of 1.5 million. */
const NO_LIMIT_RPM = 1_000_000
/** A new key and upstream may take a moment to be known. */
const FIRST_CALL_TRIES_MAX = 50
const FIRST_CALL_PAUSE_MS = 100
const LOG_SHOWN_CHARACTERS_MAX = 4_000
const secret = (): string => randomBytes(32).toString('base64url')

/** Production settings behind a TLS proxy, one tenant under the default preset, one upstream: the fake provider. Without a URL the database is embedded. */
export async function startEarthflow({ core, providerPort }: Ground, databaseUrl: string | null): Promise<Running> {
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const adminKey = secret()
  const folder = createServerFolder({})
  const server = await startServer({
    name: 'earthflow',
    command: 'taskset',
    args: onCore(core, process.execPath, ['--max-semi-space-size=64', main, 'start']),
    env: {
      PATH: process.env.PATH,
      // Such as --cpu-prof --cpu-prof-dir=/absolute/folder, for a profile of the bench.
      NODE_OPTIONS: process.env.NODE_OPTIONS,
      // Production in everything but one: its providers speak https, and the fake one does not.
      EARTHFLOW_ENV: 'production',
      EARTHFLOW_TLS: 'terminated',
      TRUSTED_PROXIES: '127.0.0.1',
      EARTHFLOW_HOST: '127.0.0.1',
      EARTHFLOW_PORT: String(port),
      EARTHFLOW_SERVICES: 'proxy',
      EARTHFLOW_MASTER_KEY: secret(),
      EARTHFLOW_ADMIN_API_KEY: adminKey,
      EARTHFLOW_DATA_DIR: join(folder, 'data'),
      EGRESS_ALLOW: 'loopback',
      RATE_LIMIT_DEFAULT_RPM: String(NO_LIMIT_RPM),
      AUDIT_DURABILITY: 'strict',
      ...(databaseUrl === null ? { EARTHFLOW_EMBEDDED_DB: 'true' } : { DATABASE_URL: databaseUrl }),
    },
    account: {},
    // The working directory too, so that no .env has a say.
    folder,
    stopSignal: 'TERM',
    ready: () =>
      fetch(`${origin}/health/ready`).then(
        (response) => response.status === 200,
        () => false,
      ),
  })
  try {
    const tenant = await create(origin, adminKey, '/v1/tenants', { name: 'bench', rules_preset: 'default', max_requests_per_minute: NO_LIMIT_RPM })
    const key = String(tenant.api_key)
    await create(origin, adminKey, '/v1/upstreams', {
      name: 'provider',
      dialects: ['openai-chat'],
      base_url: `http://127.0.0.1:${providerPort}/v1`,
      credential: 'sk-bench',
      models: ['*'],
    })
    await firstCall(origin, key)
    const countRows = databaseUrl === null ? null : await rowCounter(databaseUrl, String(tenant.tenant_id), () => settled(origin, key))
    return { port, key, pids: await family(server.pid), countRows, stop: server.stop }
  } catch (error) {
    const log = await readFile(join(folder, 'log'), 'utf8')
    await server.stop()
    throw new Error(`${error instanceof Error ? error.message : error}\nIts log says:\n${log.slice(-LOG_SHOWN_CHARACTERS_MAX)}`, { cause: error })
  }
}

async function create(origin: string, adminKey: string, path: string, body: object): Promise<Record<string, unknown>> {
  const { ok, status, text } = await post(origin + path, adminKey, body)
  if (!ok) throw new Error(`earthflow answered POST ${path} with ${status}: ${text}`)
  return JSON.parse(text)
}

async function firstCall(origin: string, key: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    const { ok, status, text } = await post(`${origin}/v1/chat/completions`, key, { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] })
    if (ok) return
    if (tries === FIRST_CALL_TRIES_MAX) throw new Error(`earthflow answered a call with ${status}: ${text}`)
    await sleep(FIRST_CALL_PAUSE_MS)
  }
}

async function post(url: string, key: string, body: object): Promise<{ ok: boolean; status: number; text: string }> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  return { ok: response.ok, status: response.status, text: await response.text() }
}

const BACKLOG_WAITS_MAX = 60

/** Rows go into the database behind the calls: who asks for some waits for what has ended, a second at most. */
async function settled(origin: string, key: string): Promise<void> {
  for (let waits = 0; waits < BACKLOG_WAITS_MAX; waits++) {
    const began = performance.now()
    await (await fetch(`${origin}/v1/audit?limit=1`, { headers: { authorization: `Bearer ${key}` } })).text()
    if (performance.now() - began < 1_000) return
  }
}

/** Counts the tenant's exchanges from now on, past Earthflow, in the table itself. */
async function rowCounter(databaseUrl: string, tenantId: string, settle: () => Promise<void>): Promise<() => Promise<number>> {
  const count = async (): Promise<number> => {
    await settle()
    const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
    try {
      const [row] = await sql<[{ count: number }]>`select count(*)::int as count from audit_entries where kind = 'exchange' and tenant_id = ${tenantId}`
      return row.count
    } finally {
      await sql.end()
    }
  }
  const before = await count()
  return async () => (await count()) - before
}
