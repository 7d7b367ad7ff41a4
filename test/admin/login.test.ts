import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { LOGIN_MS, LOGINS_PER_USER_MAX } from '../../src/access/logins.ts'
import { roles, scopesOf } from '../../src/access/roles.ts'
import { LOGIN_COOKIE } from '../../src/admin/credentials.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { adminKey } from './management.ts'
import { managePeople, PASSWORD, type PeopleManagement } from './people.ts'

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: PeopleManagement
  before(async () => {
    database = await open()
    api = managePeople(database)
  })
  after(() => database.drop())

  const me = (token: string) => api.ask('GET', '/v1/auth/me', { key: token })
  const withCookie = (token: string, method: string, path: string, headers: Record<string, string>, raw?: string) =>
    api.ask(method, path, { key: null, headers: { cookie: `${LOGIN_COOKIE}=${token}`, host: 'earthflow.test', ...headers }, ...(raw !== undefined && { raw }) })

  test('a right password gives a token that says who one is, for twelve hours, and is written down', async () => {
    const { id: tenantId } = await api.createTenant()
    const { id, email } = await api.person('rule_author', tenantId)
    const { status, json, headers } = await api.login(email.toUpperCase())
    assert.equal(status, 200)
    assert.equal(json.expires_at, new Date(api.clock.now + LOGIN_MS).toISOString())
    assert.deepEqual([json.user.id, json.user.last_login_at], [id, new Date(api.clock.now).toISOString()])
    const cookie = headers.get('set-cookie')
    assert.equal(cookie, `${LOGIN_COOKIE}=${json.token}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=${LOGIN_MS / 1_000}`)
    assert.deepEqual((await me(json.token)).json, {
      kind: 'person',
      id,
      email,
      name: email,
      role: 'rule_author',
      tenant_id: tenantId,
      scopes: [...scopesOf('rule_author', tenantId)].sort(),
    })
    const { json: log } = await api.ask('GET', '/v1/audit?kind=change', { tenant: tenantId })
    const record = log.entries.find(({ reason }: { reason: string }) => reason === 'login')
    assert.deepEqual([record.metadata.actor, record.metadata.subject], [email, id])
    assert.doesNotMatch(JSON.stringify(log), /four words/)
  })

  test('whoever knows their password changes it, which ends all their logins; a wrong one is 403 and counts like any guess', async () => {
    const { token, email } = await api.tokenOf('viewer')
    const { json: elsewhere } = await api.login(email)
    const change = (current: string, password: string, key = token) =>
      api.ask('POST', '/v1/auth/password', { key, body: { current_password: current, password }, peer: { address: '203.0.113.7', certificate: null } })
    const failed = api.failed.length
    assert.deepEqual([(await change('not my password', 'four other words instead')).status, api.failed.length], [403, failed + 1])
    const weak = await change(PASSWORD, 'short')
    assert.deepEqual([weak.status, weak.json.context.field], [400, 'password'])
    assert.equal((await me(token)).status, 200)
    const { status, headers } = await change(PASSWORD, 'four other words instead')
    assert.deepEqual([status, headers.get('set-cookie')?.includes('Max-Age=0')], [204, true])
    for (const each of [token, elsewhere.token]) assert.equal((await me(each)).status, 401)
    assert.equal((await api.login(email)).status, 401)
    assert.equal((await api.login(email, 'four other words instead')).status, 200)
    for (const each of [adminKey, (await api.createTenant()).key]) assert.equal((await change(PASSWORD, PASSWORD, each)).status, 409)
  })

  test('the administrator and a key are told who they are, and have no login to end', async () => {
    const { id, key } = await api.createTenant()
    assert.deepEqual([(await me(adminKey)).json.kind, (await me(adminKey)).json.tenant_id], ['admin', null])
    const { json } = await me(key)
    assert.deepEqual([json.kind, json.tenant_id, json.id, json.scopes.includes('rules:write')], ['key', id, key.slice(0, 16), true])
    for (const each of [adminKey, key]) assert.equal((await api.ask('POST', '/v1/auth/logout', { key: each })).status, 409)
  })

  test('wrong, unknown, without a password, deactivated, of a closed tenant: one answer, and none of them says who it was', async () => {
    const { id: closed } = await api.createTenant()
    const known = await api.person('viewer')
    const inactive = await api.person('viewer')
    await api.ask('DELETE', `/v1/users/${inactive.id}`)
    const orphan = await api.person('viewer', closed)
    await api.ask('DELETE', `/v1/tenants/${closed}`)
    await api.ask('POST', '/v1/users', { body: { email: 'sso-only@example.com', role: 'viewer' } })
    api.failed.length = 0
    api.state.computed = 0
    const answers = [
      await api.login(known.email, 'another password'),
      await api.login('nobody@example.com'),
      await api.login('sso-only@example.com'),
      await api.login(inactive.email),
      await api.login(orphan.email),
    ]
    const seen = new Set(
      answers.map(({ status, headers, json: { error, message, context } }) => JSON.stringify([status, headers.get('set-cookie'), error, message, context])),
    )
    assert.deepEqual([...seen], [JSON.stringify([401, null, 'AUTH_ERROR', 'The e-mail address or the password is wrong.', {}])])
    assert.deepEqual(api.failed, Array(5).fill('credentials'))
    assert.equal(api.state.computed, 5, 'whom nobody knows costs as much as a wrong password')
  })

  test('a body that is no login is 400', async () => {
    for (const body of [
      {},
      { email: 'a@example.com' },
      { email: 'no address', password: 'x' },
      { email: 'a@example.com', password: 7 },
      { email: 'a@example.com', password: PASSWORD, id_token: 'x' },
    ])
      assert.equal((await api.ask('POST', '/v1/auth/login', { key: null, body })).status, 400, JSON.stringify(body))
  })

  test('five wrong passwords, and the right one waits too: from this address, and not from another', async () => {
    const { email } = await api.person('viewer')
    for (let i = 0; i < 5; i++) assert.equal((await api.login(email, `wrong password ${i}`, '198.51.100.1')).status, 401)
    const { status, json, headers } = await api.login(email, PASSWORD, '198.51.100.1')
    assert.equal(status, 429)
    assert.equal(Number(headers.get('retry-after')), json.context.retry_after_seconds)
    assert.ok(json.context.retry_after_seconds > 0 && json.context.retry_after_seconds <= 900)
    assert.equal(api.failed.at(-1), 'throttled')
    assert.equal((await api.login(email, PASSWORD, '198.51.100.2')).status, 200)
  })

  test('a cookie opens what a bearer token opens, and changes something only for our own pages and only with JSON', async () => {
    const { token } = await api.tokenOf('owner')
    assert.equal((await withCookie(token, 'GET', '/v1/auth/me', {})).status, 200)
    const body = JSON.stringify({ email: 'made-by-cookie@example.com', role: 'viewer' })
    const json = { 'content-type': 'application/json' }
    const post = (headers: Record<string, string>) => withCookie(token, 'POST', '/v1/users', headers, body)
    assert.equal((await post({ ...json, origin: 'https://evil.example' })).status, 403, 'a foreign page')
    assert.equal((await post({ ...json, origin: 'null' })).status, 403, 'a sandboxed page')
    assert.equal((await post(json)).status, 403, 'neither Origin nor Sec-Fetch-Site')
    assert.equal((await post({ ...json, 'sec-fetch-site': 'cross-site' })).status, 403)
    assert.equal((await post({ 'content-type': 'text/plain', origin: 'http://earthflow.test' })).status, 415)
    assert.equal((await database.sql`select 1 from users where email = 'made-by-cookie@example.com'`).length, 0)
    assert.equal((await post({ ...json, origin: 'http://earthflow.test' })).status, 201)
    const foreign = { origin: 'https://evil.example', 'content-type': 'application/json' }
    assert.equal(
      (await api.ask('POST', '/v1/auth/login', { key: null, headers: foreign, body: { email: 'a@example.com', password: 'x' } })).status,
      403,
      'no page logs its visitor in',
    )
  })

  test('logging out ends this login, clears the cookie, and leaves the other logins of the person', async () => {
    const { email, token } = await api.tokenOf('viewer')
    const other = (await api.login(email)).json.token
    const { status, headers } = await withCookie(token, 'POST', '/v1/auth/logout', { 'sec-fetch-site': 'same-origin' })
    assert.equal(status, 204)
    assert.equal(headers.get('set-cookie'), `${LOGIN_COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0`)
    assert.deepEqual([(await me(token)).status, (await me(other)).status], [401, 200])
  })

  test('another role, another password, deactivation and the end of the tenant end all logins; another name does not', async () => {
    const { id: tenantId } = await api.createTenant()
    for (const [change, isEnd] of [
      [{ name: 'Ada' }, false],
      [{ role: 'viewer' }, false], // what it was
      [{ role: 'auditor' }, true],
      [{ password: 'another four words said' }, true],
      [{ active: false }, true],
    ] as const) {
      const { id, token } = await api.tokenOf('viewer', tenantId)
      assert.equal((await me(token)).status, 200)
      assert.equal((await api.ask('PATCH', `/v1/users/${id}`, { body: change })).status, 200)
      assert.equal((await me(token)).status, isEnd ? 401 : 200, JSON.stringify(change))
      assert.equal((await database.sql`select 1 from logins where user_id = ${id}`).length, isEnd ? 0 : 1)
    }
    const { token } = await api.tokenOf('viewer', tenantId)
    assert.equal((await me(token)).status, 200)
    await api.ask('DELETE', `/v1/tenants/${tenantId}`)
    assert.equal((await me(token)).status, 401)
  })

  test('a login ends after twelve hours, and the next one clears its row away', async () => {
    const { id, email, token } = await api.tokenOf('viewer')
    assert.equal((await me(token)).status, 200)
    const began = api.clock.now
    api.clock.now = began + LOGIN_MS - 1
    assert.equal((await me(token)).status, 200)
    api.clock.now = began + LOGIN_MS
    assert.equal((await me(token)).status, 401)
    assert.equal((await api.login(email)).status, 200)
    assert.equal((await database.sql`select 1 from logins where user_id = ${id}`).length, 1)
    assert.equal((await database.sql`select 1 from logins where expires_at <= ${new Date(api.clock.now)}`).length, 0)
  })

  test('one person has a bounded number of logins: the oldest ends', async () => {
    const { id, email, token } = await api.tokenOf('viewer')
    assert.equal((await me(token)).status, 200)
    await database.sql`insert into logins (id, user_id, created_at, expires_at)
      select 'login_' || n, ${id}, now() + n * interval '1 second', now() + interval '10 years' from generate_series(1, ${LOGINS_PER_USER_MAX - 1}) n`
    api.clock.now += 40 * 86_400_000
    const later = (await api.login(email)).json.token
    assert.equal((await database.sql`select 1 from logins where user_id = ${id}`).length, LOGINS_PER_USER_MAX)
    assert.deepEqual([(await me(token)).status, (await me(later)).status], [401, 200])
  })

  test('every role logs in and may do what its role says, no more', async () => {
    for (const role of Object.keys(roles) as (keyof typeof roles)[]) {
      const { token } = await api.tokenOf(role)
      const may = scopesOf(role, null)
      assert.equal((await api.ask('GET', '/v1/users', { key: token })).status, may.has('users:read') ? 200 : 403, role)
      assert.equal((await api.ask('POST', '/v1/tenants', { key: token, body: { name: role } })).status, may.has('tenants:write') ? 201 : 403, role)
    }
  })
})
