import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, test } from 'node:test'
import type { Role } from '../../src/access/roles.ts'
import type { Management } from '../../src/dashboard/api.ts'
import { createDashboard } from '../../src/dashboard/dashboard.ts'
import { pages } from '../../src/dashboard/pages/pages.ts'
import { openTestDatabase, type TestDatabase } from '../db/engines.ts'
import { type DashboardUnderTest, openDashboard } from './dashboard-people.ts'

let database: TestDatabase
let dashboard: DashboardUnderTest
before(async () => {
  database = await openTestDatabase('pglite')
  dashboard = await openDashboard(database)
})
after(async () => {
  await dashboard.close()
  await database.drop()
})

const linksIn = (text: string): string[] =>
  [...text.matchAll(/<nav class="side"[\s\S]*?<\/nav>/g)].flatMap(([nav]) => [...nav.matchAll(/href="([^"]+)"/g)].map(([, to]) => to!))

test('every file a page names is served, unchanged for ever and with its type, and nothing else of the disk is', async () => {
  const { get } = await dashboard.signedIn('owner')
  const { text } = await get('/')
  const named = [...new Set([...text.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path]) => path!))]
  assert.ok(named.length >= 8, named.join())
  const [, edition] = /^\/assets\/([0-9a-f]{16})\//.exec(named[0]!) ?? assert.fail(named[0])
  for (const name of dashboard.assetNames) {
    const path = `/assets/${edition}/${name}`
    const file = await dashboard.visitor().get(path)
    assert.equal(file.status, 200, name)
    assert.match(file.headers.get('cache-control') ?? '', /immutable/)
    assert.match(file.headers.get('content-type') ?? '', name.endsWith('.js') ? /^text\/javascript/ : name.endsWith('.css') ? /^text\/css/ : /^image\/svg/)
    assert.ok(file.text.length > 10, name)
    const again = await dashboard.visitor().get(path, { 'if-none-match': file.headers.get('etag') ?? '' })
    assert.deepEqual([again.status, again.text], [304, ''])
  }
  for (const path of [
    '/assets/0000000000000000/base.css',
    `/assets/${edition}/../package.json`,
    `/assets/${edition}/%2e%2e/layout.ts`,
    '/assets/',
    '/layout.ts',
  ])
    assert.notEqual((await dashboard.visitor().get(path)).status, 200, path)
  for (const path of named) assert.equal((await get(path)).status, 200, path)
})

test('each page names its title, its language and its landmarks, and holds no style, script or handler of its own', async () => {
  const { get } = await dashboard.signedIn('owner')
  const paths = pages.filter(({ get: shows, path }) => shows && !path.includes(':')).map(({ path }) => path)
  let pagesSeen = 0
  for (const path of paths) {
    const { status, text, headers } = await get(path)
    if (status === 303 || headers.has('content-disposition')) continue
    pagesSeen++
    assert.equal(status, 200, `${path}: ${text}`)
    assert.match(text, /<html lang="en">/)
    assert.match(text, /<title>[^<]+ · Earthflow<\/title>/)
    for (const landmark of ['<main id="main"', '<nav class="side" aria-label="Main"', '<a class="skip" href="#main"', '<h1>'])
      assert.equal(text.split(landmark).length, 2, `${path} ${landmark}`)
    assert.doesNotMatch(text, /\sstyle=|<style|\son\w+=|<script(?! src=)|javascript:/, path)
    assert.doesNotMatch(text, /(?:src|href|action)="(?:https?:)?\/\//, path)
  }
  assert.ok(pagesSeen >= 15, String(pagesSeen))
})

test('a path that no page has is a page that says so, for whoever is signed in', async () => {
  const { get } = await dashboard.signedIn('viewer')
  const { status, text } = await get('/nowhere')
  assert.equal(status, 404)
  assert.match(text, /<h1>Page not found<\/h1>/)
})

test('each role is offered the pages it may see, and every page that is offered opens', async () => {
  const { id } = await dashboard.api.createTenant()
  const offered: Partial<Record<Role, string[]>> = {}
  for (const role of ['owner', 'operator', 'rule_author', 'arbiter', 'auditor', 'viewer'] as const) {
    for (const tenantId of [null, id]) {
      const { get } = await dashboard.signedIn(role, tenantId)
      const links = linksIn((await get('/account')).text)
      for (const path of links) assert.ok([200, 303].includes((await get(path)).status), `${role} ${path}`)
      if (tenantId === null) offered[role] = links
    }
  }
  assert.ok(offered.owner?.includes('/exchanges'))
  assert.ok(!offered.viewer?.includes('/exchanges'))
  assert.ok(offered.viewer?.includes('/rules'))
})

test('a page the API refuses shows the API’s sentence and its status', async () => {
  const { get } = await dashboard.signedIn('viewer')
  const { status, text } = await get('/exchanges')
  assert.equal(status, 403)
  assert.match(text, /This needs the scope audit:read\./)
  assert.match(text, /role="alert"/)
})

test('what another site makes a browser send changes nothing, whatever it leaves out', async () => {
  const { post, get } = await dashboard.signedIn('owner')
  const { id } = await dashboard.api.createTenant()
  const rule = {
    name: 'From elsewhere',
    action: 'WARN',
    mode: 'enforce',
    priority: '1',
    active: 'true',
    condition_by: 'rows',
    'operator-0': 'contains',
    'value-0': 'x',
    do: 'save',
  }
  const path = `/rules/new?tenant_id=${id}`
  const foreign: Record<string, string>[] = [
    { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    { origin: dashboard.origin, 'sec-fetch-site': 'cross-site' },
    { origin: dashboard.origin, 'sec-fetch-site': 'same-site' },
    { origin: 'null', 'sec-fetch-site': 'same-origin' },
    { origin: `${dashboard.origin}0`, 'sec-fetch-site': 'same-origin' },
    { origin: '', 'sec-fetch-site': '' },
  ]
  for (const headers of foreign) {
    const { status, text } = await post(path, rule, headers)
    assert.equal(status, 403, JSON.stringify(headers))
    assert.match(text, /another site/)
  }
  assert.doesNotMatch((await get('/rules')).text, /From elsewhere/)
  assert.equal((await post(path, rule)).status, 303)
  assert.match((await get('/rules')).text, /From elsewhere/)
})

test('a body that is no form, or too large, is refused before anything is asked', async () => {
  const { post } = await dashboard.signedIn('owner')
  assert.equal((await post('/account', {}, { 'content-type': 'application/json' })).status, 415)
  assert.equal((await post('/account', { password: 'x'.repeat(2 * 1024 * 1024) })).status, 413)
})

test('a form of more fields than any of ours has is refused, whoever sends it: to read a million would stop everything else', async () => {
  const { post } = await dashboard.signedIn('viewer')
  const fields = (count: number): URLSearchParams => new URLSearchParams(Array.from({ length: count }, () => ['a', '']))
  const { status, text } = await post('/account', fields(10_001))
  assert.equal(status, 413)
  assert.match(text, /at most 10000 fields/)
  assert.equal((await post('/account', fields(10_000))).status, 400)
  assert.equal((await dashboard.visitor().post('/sign-in', fields(10_001))).status, 413)
})

test('of somebody who is not signed in nothing large is read: they are answered while they still send', async () => {
  const announced = (path: string): Promise<(string | number | undefined)[]> =>
    new Promise((resolve, reject) => {
      const headers = { 'sec-fetch-site': 'same-origin', 'content-type': 'application/x-www-form-urlencoded', 'content-length': 1024 * 1024 }
      const outgoing = request(`${dashboard.origin}${path}`, { method: 'POST', headers, agent: false }, ({ statusCode, headers: { location, connection } }) => {
        resolve([statusCode, location, connection])
        outgoing.destroy()
      })
      outgoing.on('error', reject).flushHeaders()
    })
  assert.deepEqual(await announced('/account'), [303, '/sign-in', 'close'])
  assert.deepEqual(await announced('/sign-in'), [413, undefined, 'close'])
})

test('while the API cannot say who it is, nobody is signed out: any path tells so', async () => {
  const away: Management = { fetch: async () => Response.json({ error: 'UNAVAILABLE', message: 'The database cannot be reached.' }, { status: 503 }) }
  const { fetch } = createDashboard({
    management: away,
    version: '1',
    proxyUrl: () => '',
    now: Date.now,
    report: (error) => assert.fail(String(error)),
  })
  for (const path of ['/', '/rules', '/nowhere', '/assets/0000000000000000/base.css']) {
    const request = new Request(`http://localhost${path}`, { headers: { cookie: 'earthflow-login=token' } })
    const answer = await fetch(request, { peer: { address: '', certificate: null }, isEncrypted: false })
    assert.deepEqual([answer.status, answer.headers.getSetCookie()], [503, []], path)
    assert.match(await answer.text(), /The database cannot be reached\./)
  }
})

test('parts that are asked for anew do not ask each time for every tenant; a page does', async () => {
  let asked = 0
  let at = 0
  const me = { id: 'usr_1', email: null, name: null, role: 'owner', tenant_id: null, scopes: ['tenants:read'] }
  const management: Management = {
    async fetch({ url }) {
      const { pathname } = new URL(url)
      if (pathname === '/v1/auth/me') return Response.json(me)
      if (pathname !== '/v1/tenants') return Response.json({ error: 'FORBIDDEN', message: 'No.' }, { status: 403 })
      asked++
      return Response.json({ tenants: [] })
    },
  }
  const { fetch } = createDashboard({ management, version: '1', proxyUrl: () => '', now: () => at, report: (error) => assert.fail(String(error)) })
  const look = (headers: Record<string, string>): Promise<Response> =>
    fetch(new Request('http://localhost/', { headers: { cookie: 'earthflow-login=token', ...headers } }), {
      peer: { address: '', certificate: null },
      isEncrypted: false,
    })
  for (let i = 0; i < 10; i++) assert.equal((await look({ 'hx-request': 'true' })).status, 403)
  assert.equal(asked, 1)
  await look({})
  assert.equal(asked, 2)
  at += 5_000
  await look({ 'hx-request': 'true' })
  assert.equal(asked, 3)
})

test('the tenant that is shown is the one that is chosen, also where there are too many to choose among', async () => {
  const answers: Record<string, object> = {
    '/v1/auth/me': { id: 'usr_1', email: null, name: null, role: 'owner', tenant_id: null, scopes: ['tenants:read'] },
    '/v1/tenants': { tenants: [{ tenant_id: 't_1', name: 'One', active: true }] },
  }
  const { fetch } = createDashboard({
    management: { fetch: async ({ url }) => Response.json(answers[new URL(url).pathname] ?? {}, { status: new URL(url).pathname in answers ? 200 : 403 }) },
    version: '1',
    proxyUrl: () => '',
    now: Date.now,
    report: (error) => assert.fail(String(error)),
  })
  const chosen = async (path: string): Promise<string[]> => {
    const request = new Request(`http://localhost${path}`, { headers: { cookie: 'earthflow-login=token' } })
    const answer = await fetch(request, { peer: { address: '', certificate: null }, isEncrypted: false })
    return [...(await answer.text()).matchAll(/<option value="([^"]*)" selected/g)].map(([, id]) => id!)
  }
  assert.deepEqual(await chosen('/'), [])
  assert.deepEqual(await chosen('/?tenant_id=t_1'), ['t_1'])
  assert.deepEqual(await chosen('/?tenant_id=t_2'), ['t_2'])
})

test('over plain HTTP cookies go by names that a browser takes there, and nothing is kept by caches', async () => {
  const { email } = await dashboard.api.person('owner')
  const { headers } = await dashboard.visitor().post('/sign-in', { email, password: 'four words nobody says' })
  const [cookie] = headers.getSetCookie()
  assert.match(cookie ?? '', /^earthflow-login=[^;]+; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/)
  assert.equal(headers.get('cache-control'), 'no-store')
})
