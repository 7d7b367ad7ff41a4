/** The management API on a database of its own, as a client sees it. Every answer is held to the schema its route promises. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { z } from 'zod'
import { createKeys, type Keys } from '../../src/access/keys.ts'
import { createLoginThrottle } from '../../src/access/login-throttle.ts'
import { createLoginTokens } from '../../src/access/login-token.ts'
import { createPasswords } from '../../src/access/passwords.ts'
import type { Peer } from '../../src/access/peer.ts'
import type { People } from '../../src/access/people.ts'
import { createSessions, type Sessions } from '../../src/access/sessions.ts'
import { type Admin, createAdmin } from '../../src/admin/app.ts'
import type { AdminParts } from '../../src/admin/parts.ts'
import type { Route } from '../../src/admin/route.ts'
import { createLogKey } from '../../src/audit/chain/note.ts'
import { createHashOf, type HashMode } from '../../src/audit/prompt-hash.ts'
import { createKeyProvider } from '../../src/crypto/key-provider.ts'
import { createKeyring } from '../../src/crypto/keyring.ts'
import { createRewrap } from '../../src/crypto/rewrap.ts'
import { type Change, watchChanges } from '../../src/db/changes.ts'
import type { Db } from '../../src/db/connect.ts'
import { dialects } from '../../src/dialects/index.ts'
import { parseEgressAllow } from '../../src/egress/allow.ts'
import { EgressRefused } from '../../src/egress/check-url.ts'
import { createGuard } from '../../src/egress/guard.ts'
import { createEscalations } from '../../src/escalations/escalations.ts'
import { createCatalogue } from '../../src/prices/catalogue.ts'
import { createPolicies, type Policies } from '../../src/rules/store.ts'
import { createUpstreamCheck } from '../../src/upstreams/check.ts'
import { createUpstreamStore, type UpstreamStore } from '../../src/upstreams/store.ts'
import { createEndpoints, type Endpoints } from '../../src/webhooks/endpoints.ts'
import { seal } from '../audit/entries.ts'
import type { TestDatabase } from '../db/engines.ts'

export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: the schema of the route has been checked; a test reads what it wants
  json: any
}

export interface Ask {
  key?: string | null
  body?: unknown
  /** Sent as it is. */
  raw?: string | Uint8Array
  tenant?: string
  headers?: Record<string, string>
  /** From whom it is. */
  peer?: Peer
}

export interface Management {
  admin: Admin
  db: Db
  keys: Keys
  sessions: Sessions
  policies: Policies
  upstreams: UpstreamStore
  endpoints: Endpoints
  reported: unknown[]
  /** As the administrator, unless `key` says otherwise (null: nobody). */
  ask(method: string, path: string, ask?: Ask): Promise<Answer>
  createTenant(fields?: Record<string, unknown>): Promise<{ id: string; key: string }>
}

export const adminKey = 'admin-key-of-the-tests-0123456789'
export const NOW = Date.UTC(2026, 10, 20, 12)

const names: Record<string, readonly string[]> = { 'api.openai.com': ['104.18.7.192'], 'api.example.com': ['104.18.7.193'], 'inside.example.com': ['10.0.0.7'] }

const withoutNetwork = (): never => {
  throw new EgressRefused('Nothing is asked in this test.')
}

/** Its data come with the package. */
const catalogue = createCatalogue()

/** Time passes by a millisecond each time somebody looks. */
export function manage(
  database: TestDatabase,
  {
    db = database.db,
    pool = withoutNetwork,
    hashPrompts = true,
    hashMode = 'sha256',
    people = { find: () => null },
    now: told,
    more = {},
    hear = () => {},
  }: {
    people?: People
    now?: () => number
    /** In place of what is made here. */
    more?: Partial<AdminParts>
    hear?: (changed: readonly Change[]) => void
    db?: Db
    pool?: Parameters<typeof createUpstreamCheck>[0]['pool']
    hashPrompts?: boolean
    hashMode?: HashMode
  } = {},
): Management {
  let clock = NOW
  const now = told ?? ((): number => clock++)
  const reported: unknown[] = []
  const report = (error: unknown): void => {
    reported.push(error)
  }
  const provider = createKeyProvider([Buffer.alloc(32, 7)])
  const keyring = createKeyring(database.db, provider)
  const guard = createGuard({ allow: parseEgressAllow(''), lookup: async (host) => names[host] ?? Promise.reject(new Error('no such name')), own: () => [] })
  const keys = createKeys({ db, keyring, now, defaultRequestsPerMinute: 1_000, kind: 'test' })
  const sessions = createSessions({ db, keyring, now, defaultRequestsPerMinute: 1_000 })
  const policies = createPolicies({ db, now, report, redactionKey: (tenantId) => keyring.redactionKey(tenantId) })
  const checkUrl = (url: string): Promise<unknown> => guard.check(url, { https: 'required' })
  const upstreams = createUpstreamStore({ db, keyring, checkUrl, dialects: dialects.map(({ name }) => name), report })
  const endpoints = more.endpoints ?? createEndpoints({ db, keyring, checkUrl, now })
  const escalations = createEscalations({ db, masterKeys: provider, record: async () => {}, told: () => {}, report })
  const watcher = watchChanges(database, {
    async onChange(changed) {
      hear(changed)
      for (const { kind, tenantId } of changed) {
        if (kind === 'keys' || kind === 'tenants') keys.forget(tenantId)
        if (kind === 'keys' || kind === 'tenants' || kind === 'sessions') sessions.forget(tenantId)
        if (kind === 'policies') await policies.forget(tenantId)
      }
    },
    onError: report,
  })
  const admin = createAdmin({
    db,
    database,
    logKey: createLogKey({ db, checkpointKey: () => keyring.checkpointKey() }),
    keys,
    people,
    sessions,
    rewrap: createRewrap(db, provider),
    settings: [],
    doctor: { examine: async () => ({ checks: [], findings: [] }), services: async () => null },
    throttle: createLoginThrottle({ redis: null, now }),
    openCalls: () => 0,
    passwords: createPasswords(),
    loginTokens: createLoginTokens({ keyring, now }),
    loginFailed: () => {},
    allowedOrigins: [],
    upstreams,
    endpoints,
    webhooks: { deliver: async () => {} },
    escalations,
    catalogue,
    checkUpstream: createUpstreamCheck({ credentialOf: (row) => upstreams.credentialOf(row), pool, sandbox: null }),
    adminKey,
    defaultRequestsPerMinute: 1_000,
    dialects,
    hashPrompts,
    hashMode,
    hashOf: createHashOf({ mode: hashMode, keyOf: (tenantId) => keyring.hashKey(tenantId) }),
    version: '1.2.3',
    now,
    changed: () => watcher.poll(),
    seal,
    recorded: async () => {},
    report,
    ...more,
  })

  const ask = async (method: string, path: string, { key = adminKey, body, raw, tenant, headers = {}, peer }: Ask = {}): Promise<Answer> => {
    const response = await admin.fetch(
      new Request(`http://earthflow.test${path}`, {
        method,
        headers: { ...(key !== null && { authorization: `Bearer ${key}` }), ...(tenant !== undefined && { 'x-earthflow-tenant': tenant }), ...headers },
        ...((raw ?? body) !== undefined && { body: (raw as string) ?? JSON.stringify(body) }),
      }),
      peer,
    )
    const text = await response.text()
    const type = response.headers.get('content-type')
    const json: unknown = type === null ? null : type.startsWith('application/json') ? JSON.parse(text) : text
    assert.match(response.headers.get('x-earthflow-request-id') ?? '', /^req_[0-9a-z]{26}$/)
    if (response.ok) promised(admin.routes, method, path, response.status).parse(json)
    else assertEnvelope(response, json)
    return { status: response.status, headers: response.headers, json }
  }

  return {
    admin,
    db,
    keys,
    sessions,
    policies,
    upstreams,
    endpoints,
    reported,
    ask,
    async createTenant(fields = {}) {
      const { status, json } = await ask('POST', '/v1/tenants', { body: { name: `Tenant ${randomBytes(4).toString('hex')}`, ...fields } })
      assert.equal(status, 201, JSON.stringify(json))
      return { id: json.tenant_id, key: json.api_key }
    },
  }
}

function promised(routes: readonly Route[], method: string, path: string, status: number): Pick<z.ZodType, 'parse'> {
  const [bare] = path.split('?')
  const fits = (route: Route): boolean => route.method === method && new RegExp(`^${route.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(bare)
  const [route] = routes.filter(fits).sort((a, b) => a.path.split('{').length - b.path.split('{').length)
  assert.equal(status, route.status)
  return route.answer ?? { parse: (value) => assert.equal(typeof value, route.media.length > 0 ? 'string' : 'object') }
}

function assertEnvelope(response: Response, json: unknown): void {
  const { error, message, context, timestamp, request_id, ...rest } = json as Record<string, unknown>
  assert.match(String(error), /^[A-Z_]+$/)
  assert.equal(typeof message, 'string')
  assert.equal(typeof context, 'object')
  assert.equal(new Date(String(timestamp)).toISOString(), timestamp)
  assert.equal(request_id, response.headers.get('x-earthflow-request-id'))
  assert.deepEqual(rest, {})
}
