/** A whole Earthflow on loopback, on a database of its own; nothing inside it is mocked. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { readConfig } from '../../src/config.ts'
import { provideSecret } from '../../src/first-run.ts'
import { createEarthflow } from '../../src/services.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { createEmbeddedDatabase, createServerDatabase, type Engine } from '../db/engines.ts'
import { canaries, type Place } from './canaries.ts'
import { canaryMasterKey, canarySecret } from './canary-word.ts'
import { createClient, type Tenant } from './client.ts'
import { filesOf, tablesOf } from './places.ts'
import { type Provider, type Script, startProvider } from './provider.ts'

export { chat, until, wire } from './client.ts'

export interface Flow extends Awaited<ReturnType<typeof startEarthflow>> {}

export interface FlowOptions {
  /** Where its database is; on the server when nothing is said. */
  engine?: Engine
  environment?: Record<string, string>
  /** Shares another one's database: two processes of one installation, as far as Earthflow can tell. */
  databaseUrl?: string
  script?: Script
  preset?: string | null
  rpm?: number
}

export const ADMIN_KEY = canarySecret('admin-key-')
export const MASTER_KEY = canaryMasterKey()
canaries.secret('the master key', MASTER_KEY)
canaries.secret('the bytes of the master key', Buffer.from(MASTER_KEY, 'base64url'))

const METRICS_MS = 5_000
const LEFT_OPEN_MS = 60_000

export async function startEarthflow({ engine = 'postgres', environment = {}, databaseUrl, script, preset = null, rpm = 1_000_000 }: FlowOptions = {}) {
  const dataDir = mkdtempSync(join(tmpdir(), 'earthflow-flow-'))
  if (engine === 'pglite') await createEmbeddedDatabase(join(dataDir, 'database'))
  const hasOwnServerDatabase = engine === 'postgres' && databaseUrl === undefined
  const database = hasOwnServerDatabase ? await createServerDatabase() : { url: databaseUrl ?? '', drop: async () => {} }
  const config = readConfig(
    {
      EARTHFLOW_ENV: 'development',
      EARTHFLOW_PORT: '0',
      EARTHFLOW_SERVICES: 'proxy',
      EARTHFLOW_DASHBOARD_PORT: '0',
      EARTHFLOW_DATA_DIR: dataDir,
      EARTHFLOW_DRAIN_SECONDS: '1',
      EARTHFLOW_MASTER_KEY: MASTER_KEY,
      EARTHFLOW_ADMIN_API_KEY: ADMIN_KEY,
      DATABASE_URL: database.url,
      ...environment,
    },
    { dotenv: null, provide: provideSecret },
  )
  const logged: string[] = []
  const lines = new Writable({
    write(chunk, _encoding, done) {
      logged.push(String(chunk))
      done()
    },
  })
  const log = createLog(config.logLevel, lines, config.secrets)
  const earthflow = await createEarthflow(config, log)
  const provider = await startProvider(script)
  let tenant: Tenant = { tenant_id: '', api_key: '' }
  const client = createClient({ port: earthflow.port, adminKey: ADMIN_KEY, tenant: () => tenant })
  const newTenant = (fields: Record<string, unknown> = {}): Promise<Tenant> =>
    client.newTenant({ rules_preset: preset, max_requests_per_minute: rpm, ...fields })
  if (databaseUrl === undefined) {
    tenant = await newTenant()
    await client.addUpstream({ name: 'openai-like', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    await client.addUpstream({ name: 'anthropic-like', dialects: ['anthropic-messages'], base_url: provider.origin })
  }

  let stopped: Promise<void> | undefined
  const flow = {
    ...earthflow,
    ...client,
    newTenant,
    dataDir,
    databaseUrl: database.url,
    config,
    logged,
    provider: provider as Provider,
    tenant,
    /** Stops Earthflow and leaves its data where it is. */
    stopEarly: () => (stopped ??= earthflow.stop(AbortSignal.abort())),
    /** Stops Earthflow, looks through all it leaves behind for what must never come to rest (see canaries.ts), and removes it. Throws where it finds any. */
    async close() {
      try {
        const metrics = stopped ? '' : await metricsOf(client.origin)
        provider.close()
        await flow.stopEarly()
        for (const { url, body } of provider.seen) canaries.call(url, body)
        await canaries.check(leftBehind(metrics))
      } catch (error) {
        // Who closes several things one after the other comes no further, and what stays open would keep the process alive for ever.
        setTimeout(() => process.exit(1), LEFT_OPEN_MS).unref()
        throw error
      } finally {
        await database.drop()
        rmSync(dataDir, { recursive: true, force: true })
      }
    },
  }
  return flow

  async function* leftBehind(metrics: string): AsyncGenerator<Place> {
    yield { name: 'the metrics', bytes: Buffer.from(metrics) }
    yield { name: 'the log', bytes: Buffer.from(logged.join('')) }
    yield* filesOf(dataDir)
    if (config.database.kind === 'postgres') yield* await tablesOf(database.url === '' ? config.database.url : database.url)
  }
}

/** Empty where nobody answers, or only over TLS. */
const metricsOf = (origin: string): Promise<string> =>
  fetch(`${origin}/v1/dashboard/metrics`, { headers: { authorization: `Bearer ${ADMIN_KEY}` }, signal: AbortSignal.timeout(METRICS_MS) }).then(
    (answer) => answer.text(),
    () => '',
  )
