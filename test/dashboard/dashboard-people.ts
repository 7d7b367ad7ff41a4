/** The dashboard on a real port, over the management API on a database of its own, and browsers without JavaScript that look at it. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before } from 'node:test'
import { Hono } from 'hono'
import type { Role } from '../../src/access/roles.ts'
import type { AdminParts } from '../../src/admin/parts.ts'
import { CONTENT_SECURITY_POLICY, createDashboard } from '../../src/dashboard/dashboard.ts'
import { createRequestListener } from '../../src/dashboard/request-listener.ts'
import { managePeople, PASSWORD, type PeopleManagement } from '../admin/people.ts'
import { openTestDatabase, type TestDatabase } from '../db/engines.ts'

export interface Page {
  status: number
  headers: Headers
  text: string
  /** Where it leads, or null. */
  location: string | null
}

export interface Visitor {
  get(path: string, headers?: Record<string, string>): Promise<Page>
  /** As a form of the dashboard's own sends it, unless the headers say otherwise. */
  post(path: string, form?: Record<string, string> | URLSearchParams, headers?: Record<string, string>): Promise<Page>
  /** Posts, and goes where that leads. */
  done(path: string, form?: Record<string, string> | URLSearchParams): Promise<Page>
}

export interface DashboardUnderTest {
  api: PeopleManagement
  origin: string
  assetNames: readonly string[]
  /** Nobody is logged in there yet. */
  visitor(): Visitor
  /** Somebody new of this role, logged in. */
  signedIn(role: Role, tenantId?: string | null): Promise<Visitor & { email: string }>
  close(): Promise<void>
}

/** One for all tests of a file, on the embedded database. */
export function useDashboard(): DashboardUnderTest {
  const dashboard = {} as DashboardUnderTest
  let database: TestDatabase
  before(async () => {
    database = await openTestDatabase('pglite')
    Object.assign(dashboard, await openDashboard(database))
  })
  after(async () => {
    await dashboard.close()
    await database.drop()
  })
  return dashboard
}

/** `more` stands in place of what the management API of the tests is made of. */
export async function openDashboard(database: TestDatabase, more: Partial<AdminParts> = {}): Promise<DashboardUnderTest> {
  const api = managePeople(database, { more })
  const dashboard = createDashboard({
    management: api.admin,
    version: '1.2.3',
    proxyUrl: () => 'https://proxy.example.com',
    now: () => api.clock.now,
    report: (error) => void api.reported.push(error),
  })
  const server = createServer(
    createRequestListener({
      dashboard,
      operations: new Hono().get('/health', (c) => c.json({ status: 'OK' })),
      peerOf: () => ({ address: '203.0.113.7', certificate: null }),
      isAllowedHost: null,
      needsCertificate: false,
      isTerminated: false,
      isStrictTransport: false,
      report: (error) => void api.reported.push(error),
    }),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  function visitor(): Visitor {
    const cookies = new Map<string, string>()
    const ask = async (path: string, init: RequestInit): Promise<Page> => {
      const headers = { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '), ...(init.headers as Record<string, string>) }
      const response = await fetch(`${origin}${path}`, { redirect: 'manual', ...init, headers })
      for (const cookie of response.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie) ?? assert.fail(cookie)
        if (/Max-Age=0/.test(cookie)) cookies.delete(name!)
        else cookies.set(name!, value!)
      }
      assert.equal(response.headers.get('content-security-policy'), CONTENT_SECURITY_POLICY, path)
      return { status: response.status, headers: response.headers, text: await response.text(), location: response.headers.get('location') }
    }
    const post: Visitor['post'] = (path, form = {}, headers = {}) =>
      ask(path, { method: 'POST', body: new URLSearchParams(form), headers: { origin, 'sec-fetch-site': 'same-origin', ...headers } })
    return {
      get: (path, headers = {}) => ask(path, { headers }),
      post,
      async done(path, form) {
        const { status, location, text } = await post(path, form)
        assert.equal(status, 303, text)
        return ask(location ?? '', {})
      },
    }
  }

  return {
    api,
    origin,
    assetNames: dashboard.assetNames,
    visitor,
    async signedIn(role, tenantId = null) {
      const { email } = await api.person(role, tenantId)
      const someone = visitor()
      const { status, text } = await someone.post('/sign-in', { email, password: PASSWORD })
      assert.equal(status, 303, text)
      return { ...someone, email }
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
