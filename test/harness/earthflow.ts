/** A whole Earthflow on loopback, on a database of its own; nothing inside it is mocked. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { readConfig } from '../../src/config.ts'
import { provideSecret } from '../../src/first-run.ts'
import { createEarthflow } from '../../src/services.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { createServerDatabase } from '../db/engines.ts'
import { type Provider, type Script, startProvider } from './provider.ts'

export interface Flow extends Awaited<ReturnType<typeof startEarthflow>> {}

export interface FlowOptions {
  environment?: Record<string, string>
  /** Shares another one's database: two processes of one installation, as far as Earthflow can tell. */
  databaseUrl?: string
  script?: Script
  preset?: string | null
  rpm?: number
}

export const ADMIN_KEY = 'admin-key-0123456789-abcdefghijklmnopqrstuvwxyz'
export const MASTER_KEY = randomBytes(32).toString('base64url')
const CREDENTIAL = 'sk-upstream-credential'

export async function startEarthflow({ environment = {}, databaseUrl, script, preset = null, rpm = 1_000_000 }: FlowOptions = {}) {
  const database = databaseUrl === undefined ? await createServerDatabase() : { url: databaseUrl, drop: async () => {} }
  const dataDir = mkdtempSync(join(tmpdir(), 'earthflow-flow-'))
  const config = readConfig(
    {
      EARTHFLOW_ENV: 'development',
      EARTHFLOW_PORT: '0',
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
  const log = createLog(config.logLevel, lines)
  const earthflow = await createEarthflow(config, log)
  const provider = await startProvider(script)
  const origin = `http://127.0.0.1:${earthflow.port}`

  const admin = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    request(origin, method, path, body === undefined ? undefined : JSON.stringify(body), {
      authorization: `Bearer ${ADMIN_KEY}`,
      'content-type': 'application/json',
      ...headers,
    })

  const newTenant = async (fields: Record<string, unknown> = {}): Promise<{ tenant_id: string; api_key: string }> => {
    const made = await admin('POST', '/v1/tenants', { name: 'Test', rules_preset: preset, max_requests_per_minute: rpm, ...fields })
    if (made.status !== 201) throw new Error(`The tenant was not created: ${made.status} ${made.text}`)
    return made.json as { tenant_id: string; api_key: string }
  }
  const addUpstream = async (fields: Record<string, unknown>) => {
    const made = await admin('POST', '/v1/upstreams', { credential: CREDENTIAL, ...fields })
    if (made.status !== 201) throw new Error(`The upstream was not created: ${made.status} ${made.text}`)
  }
  let tenant = { tenant_id: '', api_key: '' }
  if (databaseUrl === undefined) {
    tenant = await newTenant()
    await addUpstream({ name: 'openai-like', dialects: ['openai-chat'], base_url: `${provider.origin}/v1` })
    await addUpstream({ name: 'anthropic-like', dialects: ['anthropic-messages'], base_url: provider.origin })
  }

  let stopped: Promise<void> | undefined
  const flow = {
    ...earthflow,
    origin,
    dataDir,
    databaseUrl: database.url,
    config,
    logged,
    provider: provider as Provider,
    tenant,
    credential: CREDENTIAL,
    admin,
    newTenant,
    addUpstream,
    /** Adds a rule to the first tenant. */
    rule: async (rule: Record<string, unknown>) => {
      const made = await admin('POST', `/v1/rules?tenant_id=${tenant.tenant_id}`, rule)
      if (made.status !== 201) throw new Error(`The rule was not created: ${made.status} ${made.text}`)
      return made.json as { id: string }
    },
    /** A model call with the first tenant's key. */
    post: (path: string, body: string | Buffer, headers: Record<string, string> = {}) =>
      request(origin, 'POST', path, body, { authorization: `Bearer ${tenant.api_key}`, 'content-type': 'application/json', ...headers }),
    open: (): Socket => connect({ port: earthflow.port, host: '127.0.0.1' }).on('error', () => {}),
    /** The first tenant's rows, newest first. */
    rows: async (query = ''): Promise<AuditEntry[]> => {
      const answer = await admin('GET', `/v1/audit?tenant_id=${tenant.tenant_id}&limit=1000${query}`)
      if (answer.status !== 200) throw new Error(`The rows could not be read: ${answer.status} ${answer.text}`)
      return (answer.json as { entries: AuditEntry[] }).entries
    },
    /** Read off the metrics. */
    openExchanges: async (): Promise<number> => Number(/^earthflow_open_exchanges (\d+)$/m.exec((await admin('GET', '/v1/dashboard/metrics')).text)?.[1]),
    /** Waits until there are so many rows. */
    rowsOf: async (count: number): Promise<AuditEntry[]> => {
      let rows: AuditEntry[] = []
      await until(async () => (rows = await flow.rows()).length >= count, `${count} rows`)
      return rows
    },
    /** Stops Earthflow and leaves its data where it is. */
    stopEarly: () => (stopped ??= earthflow.stop(AbortSignal.abort())),
    async close() {
      provider.close()
      await flow.stopEarly()
      await database.drop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
  return flow
}

export async function request(origin: string, method: string, path: string, body: string | Buffer | undefined, headers: Record<string, string>) {
  const response = await fetch(`${origin}${path}`, { method, headers, ...(body === undefined ? {} : { body }) })
  const bytes = Buffer.from(await response.arrayBuffer())
  const text = bytes.toString()
  return {
    status: response.status,
    headers: response.headers,
    bytes,
    text,
    get json(): unknown {
      return JSON.parse(text)
    },
  }
}

export const chat = (content: string, more: object = {}): string => JSON.stringify({ model: 'm', messages: [{ role: 'user', content }], ...more })

/** A request as it goes over the wire. */
export const wire = (path: string, key: string, body: string, more = ''): string =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\n${more}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

export async function until(condition: () => boolean | Promise<boolean>, what: string, limitMs = 8000): Promise<void> {
  for (const stop = Date.now() + limitMs; !(await condition()); ) {
    if (Date.now() > stop) throw new Error(`Waited ${limitMs} ms for: ${what}`)
    await sleep(5)
  }
}
