/** What a browser does with a login's cookie, over a real connection: node's server, its bodies and its headers. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { request } from '../harness/client.ts'
import { type Flow, startEarthflow } from '../harness/earthflow.ts'

const PASSWORD = 'four words nobody says'
let flow: Flow
before(async () => {
  flow = await startEarthflow({ environment: { ALLOWED_ORIGINS: 'https://admin.example.com' } })
})
after(() => flow.close())

let people = 0
async function loggedIn(role = 'owner'): Promise<{ id: string; cookie: string }> {
  const email = `person-${++people}@example.com`
  const made = (await flow.admin('POST', '/v1/users', { email, role, password: PASSWORD })).json as { id: string }
  const answer = await request(flow.origin, 'POST', '/v1/auth/login', JSON.stringify({ email, password: PASSWORD }), { origin: flow.origin })
  assert.equal(answer.status, 200)
  return { id: made.id, cookie: (answer.headers.get('set-cookie') ?? '').split(';')[0] }
}
const ask = async (cookie: string, method: string, path: string, headers: Record<string, string>, body?: string) =>
  (await request(flow.origin, method, path, body, { cookie, ...headers })).status
const own = () => ({ origin: flow.origin, 'sec-fetch-site': 'same-origin' })

test('with the cookie our own pages do everything, with a body or without one, and log out', async () => {
  const { cookie } = await loggedIn()
  const other = await loggedIn('viewer')
  assert.equal(await ask(cookie, 'GET', '/v1/auth/me', {}), 200)
  assert.equal(await ask(cookie, 'POST', '/v1/sessions/unlock', { ...own(), 'content-type': 'application/json' }, '{}'), 200)
  assert.equal(await ask(cookie, 'POST', '/v1/sessions/unlock', own()), 200, 'without a body')
  assert.equal(await ask(cookie, 'DELETE', `/v1/users/${other.id}`, own()), 204)
  assert.equal(await ask(cookie, 'POST', '/v1/auth/logout', own()), 204)
  assert.equal(await ask(cookie, 'GET', '/v1/auth/me', {}), 401)
})

test('nobody else’s page does anything with it, nor who does not say where it comes from, nor a form', async () => {
  const { cookie } = await loggedIn()
  const json = { 'content-type': 'application/json' }
  for (const [status, headers] of [
    [403, { ...json, origin: 'https://evil.example' }],
    [403, { ...json, origin: 'null' }],
    [403, { ...json }],
    [403, { ...json, 'sec-fetch-site': 'cross-site' }],
    [403, { ...json, 'sec-fetch-site': 'same-site' }],
    [403, { ...json, origin: flow.origin, 'sec-fetch-site': 'cross-site' }],
    [403, { ...json, origin: flow.origin.replace(/:\d+$/, ':1') }],
    [415, { 'content-type': 'text/plain', ...own() }],
    [415, { 'content-type': 'application/x-www-form-urlencoded', ...own() }],
    [200, { ...json, ...own() }],
    [200, { ...json, origin: 'https://admin.example.com', 'sec-fetch-site': 'cross-site' }],
  ] as [number, Record<string, string>][]) {
    assert.equal(await ask(cookie, 'POST', '/v1/sessions/unlock', headers, '{}'), status, JSON.stringify(headers))
  }
  assert.equal(await ask(`${cookie}; ${cookie}`, 'GET', '/v1/auth/me', {}), 401, 'two cookies of the name are none')
})

test('nobody is logged in from elsewhere, as whoever they are not', async () => {
  const body = JSON.stringify({ email: 'person-1@example.com', password: PASSWORD })
  for (const headers of [{ origin: 'https://evil.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }] as Record<string, string>[]) {
    assert.equal((await request(flow.origin, 'POST', '/v1/auth/login', body, { 'content-type': 'text/plain', ...headers })).status, 403)
  }
})
