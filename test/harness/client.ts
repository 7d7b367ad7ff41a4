/** What a test does with a running Earthflow, in this process or another: manage it, call it, read its rows. */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { canaries } from './canaries.ts'
import { canarySecret } from './canary-word.ts'

export interface Tenant {
  tenant_id: string
  api_key: string
}

/** The credential of every upstream a test adds, unless it says otherwise. */
export const CREDENTIAL = canarySecret('sk-upstream-')

export type Client = ReturnType<typeof createClient>

export function createClient({ port, adminKey, tenant }: { port: number; adminKey: string; tenant: () => Tenant }) {
  const origin = `http://127.0.0.1:${port}`
  const json = { 'content-type': 'application/json' }
  canaries.secret('the admin key', adminKey)
  canaries.secret("an upstream's credential", CREDENTIAL)
  const admin = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const answer = await request(origin, method, path, body === undefined ? undefined : JSON.stringify(body), {
      authorization: `Bearer ${adminKey}`,
      ...json,
      ...headers,
    })
    canaries.management(path, body, answer)
    return answer
  }
  const made = async (path: string, body: Record<string, unknown>): Promise<unknown> => {
    const answer = await admin('POST', path, body)
    if (answer.status !== 201) throw new Error(`POST ${path} answered ${answer.status}: ${answer.text}`)
    return answer.json
  }
  const client = {
    origin,
    credential: CREDENTIAL,
    admin,
    newTenant: async (fields: Record<string, unknown> = {}) =>
      (await made('/v1/tenants', { name: 'Test', rules_preset: null, max_requests_per_minute: 1_000_000, ...fields })) as Tenant,
    addUpstream: async (fields: Record<string, unknown>) => void (await made('/v1/upstreams', { credential: CREDENTIAL, ...fields })),
    /** Adds a rule to the first tenant. */
    rule: async (rule: Record<string, unknown>) => (await made(`/v1/rules?tenant_id=${tenant().tenant_id}`, rule)) as { id: string },
    /** A model call with the first tenant's key. */
    post(path: string, body: string | Buffer, headers: Record<string, string> = {}) {
      for (const value of Object.values(headers)) canaries.kept(value)
      canaries.call(path, body)
      return request(origin, 'POST', path, body, { authorization: `Bearer ${tenant().api_key}`, ...json, ...headers })
    },
    open: (): Socket => connect({ port, host: '127.0.0.1' }).on('error', () => {}),
    /** The first tenant's rows, newest first. */
    rows: async (query = ''): Promise<AuditEntry[]> => {
      const answer = await admin('GET', `/v1/audit?tenant_id=${tenant().tenant_id}&limit=1000${query}`)
      if (answer.status !== 200) throw new Error(`The rows could not be read: ${answer.status} ${answer.text}`)
      return (answer.json as { entries: AuditEntry[] }).entries
    },
    /** Waits until there are so many rows. */
    rowsOf: async (count: number): Promise<AuditEntry[]> => {
      let rows: AuditEntry[] = []
      await until(async () => (rows = await client.rows()).length >= count, `${count} rows`)
      return rows
    },
    /** Read off the metrics. */
    openExchanges: async (): Promise<number> => Number(/^earthflow_open_exchanges (\d+)$/m.exec((await admin('GET', '/v1/dashboard/metrics')).text)?.[1]),
  }
  return client
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

export const chat = (content: string, more: object = {}): string => {
  const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content }], ...more })
  canaries.call('', body)
  return body
}

/** A request as it goes over the wire. */
export const wire = (path: string, key: string, body: string, more = ''): string =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\n${more}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

/** A busy machine is no fault: only what never happens fails. */
const WAIT_MAX_MS = 60_000
/** Between two looks, growing: who asks an Earthflow that is starting whether it is ready takes the time it needs to start. */
const PAUSE_MS = { first: 5, most: 40, growth: 1.1 }

export async function until(condition: () => boolean | Promise<boolean>, what: string, limitMs = WAIT_MAX_MS): Promise<void> {
  const stop = Date.now() + limitMs
  for (let pause = PAUSE_MS.first; !(await condition()); pause = Math.min(pause * PAUSE_MS.growth, PAUSE_MS.most)) {
    if (Date.now() > stop) throw new Error(`Waited ${limitMs} ms for: ${what}`)
    await sleep(pause)
  }
}
