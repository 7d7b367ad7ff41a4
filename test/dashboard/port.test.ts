import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { readConfig } from '../../src/config.ts'
import { generateMasterKey } from '../../src/crypto/master-key.ts'
import { ensureOwner, provideSecret } from '../../src/first-run.ts'
import { createEarthflow, type Earthflow } from '../../src/services.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { whyNot } from '../../src/why-not.ts'
import { createEmbeddedDatabase } from '../db/engines.ts'
import { formIn } from './form-in.ts'

interface Answer {
  status: number
  location: string | undefined
  headers: NodeJS.Dict<string | string[]>
  text: string
}

function ask(port: number, path: string, { isTls = false, headers = {} }: { isTls?: boolean; headers?: Record<string, string> } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, headers, agent: false, rejectUnauthorized: false }
    const outgoing = (isTls ? tlsRequest : plainRequest)(options, (incoming) => {
      let text = ''
      incoming.on('data', (chunk) => (text += String(chunk)))
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, location: incoming.headers.location, headers: incoming.headers, text }))
    })
    outgoing.on('error', reject).end()
  })
}

const isClosed = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => resolve(false)).once('error', () => resolve(true))
    socket.once('connect', () => socket.destroy())
  })

async function start(t: TestContext, environment: Record<string, string>): Promise<{ earthflow: Earthflow; config: ReturnType<typeof readConfig> }> {
  const dataDir = mkdtempSync(join(tmpdir(), 'earthflow-dashboard-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  await createEmbeddedDatabase(join(dataDir, 'database'))
  const given = {
    EARTHFLOW_ENV: 'development',
    EARTHFLOW_DATA_DIR: dataDir,
    EARTHFLOW_PORT: '0',
    EARTHFLOW_DASHBOARD_PORT: '0',
    EARTHFLOW_DRAIN_SECONDS: '1',
    EARTHFLOW_MASTER_KEY: generateMasterKey(),
    EARTHFLOW_ADMIN_API_KEY: 'k9Zs8dfTq2Lw0xVb7Rn4Yc1Hm6Jg3Pe5',
  }
  const config = readConfig({ ...given, ...environment }, { dotenv: null, provide: provideSecret })
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const earthflow = await createEarthflow(config, createLog('ERROR', silent, []))
  t.after(() => earthflow.stop(AbortSignal.abort()))
  return { earthflow, config }
}

test('the dashboard has a port of its own, which speaks what the proxy’s does, tells health, and closes with it', async (t) => {
  const { earthflow, config } = await start(t, {})
  const { dashboardPort, port } = earthflow
  assert.ok(dashboardPort !== null && dashboardPort !== port)
  for (const isTls of [false, true]) {
    const page = await ask(dashboardPort, '/rules', { isTls })
    assert.deepEqual([page.status, page.location], [303, '/sign-in?next=%2Frules'])
    for (const path of ['/health', '/health/live', '/health/ready']) assert.equal((await ask(dashboardPort, path, { isTls })).status, 200, path)
  }
  assert.equal((await ask(dashboardPort, '/v1/dashboard/metrics')).status, 401)
  const metrics = await ask(dashboardPort, '/v1/dashboard/metrics', { headers: { authorization: `Bearer ${config.adminKey}` } })
  assert.match(metrics.text, /^earthflow_/m)
  // Neither API nor proxy is there.
  assert.equal((await ask(dashboardPort, '/v1/audit', { headers: { authorization: `Bearer ${config.adminKey}` } })).status, 303)
  assert.equal((await ask(port, '/sign-in')).status, 404)
  await earthflow.stop(AbortSignal.abort())
  assert.deepEqual(await Promise.all([dashboardPort, port].map(isClosed)), [true, true])
})

test('an owner signs in over TLS with the API’s own cookie, which browsers keep for this host alone', async (t) => {
  const { earthflow, config } = await start(t, {})
  const path = await ensureOwner(earthflow, config)
  const body = new URLSearchParams({ email: 'owner@earthflow.test', password: readFileSync(path, 'utf8').trim() }).toString()
  const port = earthflow.dashboardPort ?? 0
  const headers = { origin: `https://127.0.0.1:${port}`, 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length) }
  const cookies = await new Promise<string[]>((resolve, reject) => {
    const outgoing = tlsRequest({ host: '127.0.0.1', port, path: '/sign-in', method: 'POST', headers, agent: false, rejectUnauthorized: false }, (incoming) => {
      incoming.resume()
      resolve(incoming.headers['set-cookie'] ?? [])
    })
    outgoing.on('error', reject).end(body)
  })
  assert.match(cookies[0] ?? '', /^__Host-earthflow-login=[^;]+; Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=43200$/)
  const page = await ask(port, '/', { isTls: true, headers: { cookie: cookies[0]!.split(';')[0]! } })
  assert.equal(page.status, 200)
  assert.match(page.text, /<a href="\/account">Owner<\/a>/)
  // The name that plain HTTP has is none here, so nobody can plant a login from there.
  const planted = await ask(port, '/', { isTls: true, headers: { cookie: cookies[0]!.split(';')[0]!.replace('__Host-', '') } })
  assert.equal(planted.status, 303)
})

test('the dashboard alone leaves the proxy’s port to others, and the proxy alone has no dashboard', async (t) => {
  const free = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => free.once('listening', resolve))
  const { port } = free.address() as AddressInfo
  const { earthflow } = await start(t, { EARTHFLOW_SERVICES: 'dashboard', EARTHFLOW_PORT: String(port) })
  free.close()
  assert.equal((await ask(earthflow.dashboardPort ?? 0, '/health/ready')).status, 200)
  assert.equal(await isClosed(port), true)
  const proxy = await start(t, { EARTHFLOW_SERVICES: 'proxy', EARTHFLOW_DASHBOARD_PORT: '1' })
  assert.equal(proxy.earthflow.dashboardPort, null)
  assert.equal((await ask(proxy.earthflow.port, '/health')).status, 200)
})

test('the first call that a new tenant is shown trusts the authority that Earthflow made itself', async (t) => {
  const { earthflow, config } = await start(t, {})
  const origin = `http://127.0.0.1:${earthflow.dashboardPort}`
  const post = (path: string, form: URLSearchParams, cookie = ''): Promise<Response> =>
    fetch(`${origin}${path}`, { method: 'POST', redirect: 'manual', headers: { origin, cookie }, body: form })
  const password = readFileSync(await ensureOwner(earthflow, config), 'utf8').trim()
  const [login] = (await post('/sign-in', new URLSearchParams({ email: 'owner@earthflow.test', password }))).headers.getSetCookie()
  const cookie = login!.split(';')[0]!
  const asked = await fetch(`${origin}/tenants/new`, { headers: { cookie } })
  const form = formIn(await asked.text(), '/tenants')
  form.set('name', 'Acme')
  const created = await post('/tenants', form, cookie)
  const text = await created.text()
  assert.equal(created.status, 201, text)
  const [, path] = /curl --cacert &#39;([^&]+)&#39; &#39;https:\/\/localhost:\d+\/v1\/chat\/completions&#39;/.exec(text) ?? assert.fail(text)
  assert.match(readFileSync(path!, 'utf8'), /BEGIN CERTIFICATE/)
})

test('how upstreams fare is told only by a process that sends calls to them', async (t) => {
  for (const [services, isKnown] of [
    ['both', true],
    ['dashboard', false],
  ] as const) {
    const { earthflow, config } = await start(t, { EARTHFLOW_SERVICES: services })
    const request = new Request('http://localhost/v1/upstreams', { headers: { authorization: `Bearer ${config.adminKey}` } })
    const { upstreams } = (await (await earthflow.admin.fetch(request)).json()) as { upstreams: { name: string; status: object | null }[] }
    assert.deepEqual(
      upstreams.map(({ name, status }) => [name, status !== null]),
      [['sandbox', isKnown]],
      services,
    )
  }
})

test('a port that is taken is told with the setting that names it', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  t.after(() => taken.close())
  const { port } = taken.address() as AddressInfo
  const ports = { proxy: 8443, dashboard: port }
  const error = await start(t, { EARTHFLOW_DASHBOARD_PORT: String(port) }).then(
    () => assert.fail('it started'),
    (reason: unknown) => reason,
  )
  assert.equal(whyNot(error, ports), `port ${port} is in use; set EARTHFLOW_DASHBOARD_PORT to another.`)
  const other = await start(t, { EARTHFLOW_PORT: String(port) }).then(
    () => assert.fail('it started'),
    (reason: unknown) => reason,
  )
  assert.equal(whyNot(other, { proxy: port, dashboard: 8080 }), `port ${port} is in use; set EARTHFLOW_PORT to another.`)
})

test('where names are settled, the dashboard is asked by them, or by those of this machine', async (t) => {
  const { earthflow } = await start(t, { ALLOWED_HOSTS: 'ai.example.com' })
  const port = earthflow.dashboardPort ?? 0
  const statusFor = async (host: string): Promise<number> => (await ask(port, '/', { headers: { host } })).status
  for (const host of ['ai.example.com', 'localhost', `127.0.0.1:${port}`]) assert.equal(await statusFor(host), 303, host)
  assert.equal(await statusFor('evil.example'), 421)
  assert.equal((await ask(port, '/health', { headers: { host: 'evil.example' } })).status, 200)
})

test('both on one port is a contradiction that is told', () => {
  const given = {
    EARTHFLOW_ENV: 'development',
    EARTHFLOW_PORT: '9000',
    EARTHFLOW_DASHBOARD_PORT: '9000',
    EARTHFLOW_MASTER_KEY: generateMasterKey(),
    EARTHFLOW_ADMIN_API_KEY: 'k9Zs8dfTq2Lw0xVb7Rn4Yc1Hm6Jg3Pe5',
  }
  const read = (more: Record<string, string>) => readConfig({ ...given, ...more }, { dotenv: null, provide: provideSecret })
  assert.throws(() => read({}), /EARTHFLOW_DASHBOARD_PORT must be another port/)
  assert.equal(read({ EARTHFLOW_SERVICES: 'proxy' }).services, 'proxy')
  assert.throws(
    () => read({ EARTHFLOW_DASHBOARD_PORT: '9001', EARTHFLOW_PUBLIC_URL: 'https://user:secret@ai.example.com' }),
    (error: Error) => /EARTHFLOW_PUBLIC_URL must be a URL without/.test(error.message) && !/secret/.test(error.message),
  )
  assert.equal(read({ EARTHFLOW_DASHBOARD_PORT: '9001', EARTHFLOW_PUBLIC_URL: 'https://ai.example.com/' }).publicUrl, 'https://ai.example.com')
})
