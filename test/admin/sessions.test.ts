import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import type { Person } from '../../src/access/person.ts'
import { type Role, scopesOf } from '../../src/access/roles.ts'
import { SESSIONS_PER_TENANT_MAX } from '../../src/access/session-store.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { type Management, manage } from './management.ts'

forEachEngine((engine, open) => {
  let database: TestDatabase
  let api: Management
  const people = new Map<string, Person>()
  before(async () => {
    database = await open()
    api = manage(database, { people: { find: (token) => people.get(token) ?? null } })
  })
  after(() => database.drop())

  const login = (role: Role, tenantId: string | null): string => {
    const token = `login-${randomBytes(8).toString('hex')}`
    const email = `${role}@example.com`
    people.set(token, { id: 'usr_1', email, name: role, role, tenantId, scopes: scopesOf(role, tenantId), loginId: null })
    return token
  }
  const make = async (ask: { key?: string; tenant?: string }, body: object = {}) => {
    const { status, json } = await api.ask('POST', '/v1/sessions', { ...ask, body })
    assert.equal(status, 201, JSON.stringify(json))
    return json as { session_id: string; token: string; profile: string; expires_at: string }
  }
  const found = async (token: string) => api.sessions.find(token)
  const changesOf = async (action: string) =>
    (await database.sql<{ metadata: Record<string, unknown>; tenant_id: string | null }[]>`
      select metadata, tenant_id from audit_entries where reason = ${action} order by timestamp`) as {
      metadata: Record<string, unknown>
      tenant_id: string | null
    }[]
  const unlockAll = () => api.ask('POST', '/v1/sessions/unlock', { body: {} })

  test('a key makes a session of its own, an hour long unless it says otherwise, whose token is shown once', async () => {
    const { id, key } = await api.createTenant()
    const made = await make({ key })
    assert.equal(made.profile, 'quick_lock')
    const caller = await found(made.token)
    assert.deepEqual([caller?.tenant.id, caller?.keyPrefix, caller?.session?.id], [id, key.slice(0, 16), made.session_id])
    const shown = (await api.ask('GET', `/v1/sessions/${made.session_id}`, { key })).json
    assert.equal(Math.round((Date.parse(shown.expires_at) - Date.parse(shown.created_at)) / 1_000), 3_600)
    assert.deepEqual(
      [shown.tenant_id, shown.profile, shown.created_by, shown.ended_at, shown.active, shown.expires_at],
      [id, 'quick_lock', key.slice(0, 16), null, true, made.expires_at],
    )
    assert.ok(!JSON.stringify((await api.ask('GET', '/v1/sessions', { key })).json).includes(made.token.slice(20)))
    const black = await make({ key }, { profile: 'black_vault' })
    assert.equal(Math.round((Date.parse(black.expires_at) - Date.parse(shown.created_at)) / 1_000), 300)
    const recorded = (await changesOf('session.create')).filter(({ tenant_id }) => tenant_id === id)
    assert.deepEqual(
      recorded.map(({ metadata }) => [metadata.actor, metadata.subject]),
      [
        [key.slice(0, 16), made.session_id],
        [key.slice(0, 16), black.session_id],
      ],
    )
  })

  test('an administrator and people who may make them do so for a tenant they name, and no key stands behind it', async () => {
    const { id } = await api.createTenant()
    const made = await make({ tenant: id }, { profile: 'ritual_lock' })
    assert.equal((await found(made.token))?.keyPrefix, made.session_id)
    const byPerson = await make({ key: login('operator', id) })
    assert.equal((await api.ask('GET', `/v1/sessions/${byPerson.session_id}`)).json.created_by, 'operator@example.com')
    const { status, json } = await api.ask('POST', '/v1/sessions', { body: {} })
    assert.deepEqual([status, json.context.field], [400, 'tenant_id'])
    for (const role of ['viewer', 'rule_author', 'arbiter', 'auditor'] as const) {
      assert.equal((await api.ask('POST', '/v1/sessions', { key: login(role, id), body: {} })).status, 403, role)
    }
  })

  test('what is no profile, unknown fields and malformed ids are refused in the usual way', async () => {
    const { key } = await api.createTenant()
    for (const body of [{ profile: 'constructor' }, { profile: '' }, { profile: null }, { profile: 'quick_lock', seconds: 9 }, []]) {
      assert.equal((await api.ask('POST', '/v1/sessions', { key, body })).status, 400, JSON.stringify(body))
    }
    assert.equal((await api.ask('GET', '/v1/sessions?active=maybe', { key })).status, 400)
    for (const id of ['ses_nobody', "ses_'--", 'x'.repeat(2_000)]) {
      assert.equal((await api.ask('GET', `/v1/sessions/${encodeURIComponent(id)}`, { key })).status, 404)
      assert.equal((await api.ask('DELETE', `/v1/sessions/${encodeURIComponent(id)}`, { key })).status, 404)
    }
  })

  test('a key that may not send calls makes no session, and a session makes none either', async () => {
    const { id, key } = await api.createTenant()
    const weak = (await api.ask('POST', `/v1/tenants/${id}/keys`, { body: { name: 'weak', scopes: ['sessions:write', 'sessions:read'] } })).json.api_key
    const { status, json } = await api.ask('POST', '/v1/sessions', { key: weak, body: {} })
    assert.deepEqual([status, json.error, json.context.scope], [403, 'FORBIDDEN', 'proxy:write'])
    const { token } = await make({ key })
    for (const [method, path] of [
      ['POST', '/v1/sessions'],
      ['GET', '/v1/sessions'],
      ['GET', '/v1/rules'],
    ]) {
      assert.equal((await api.ask(method, path, { key: token, ...(method === 'POST' && { body: {} }) })).status, 401, `${method} ${path}`)
    }
  })

  test('a key sees and ends the sessions that were made with it, and no others', async () => {
    const { id, key } = await api.createTenant()
    const second = (await api.ask('POST', `/v1/tenants/${id}/keys`, { body: { name: 'second' } })).json.api_key
    const mine = await make({ key })
    const theirs = await make({ key: second })
    const nobodys = await make({ tenant: id })
    const listed = (await api.ask('GET', '/v1/sessions', { key })).json
    assert.deepEqual([listed.sessions.map((one: { session_id: string }) => one.session_id), listed.count, listed.total], [[mine.session_id], 1, 1])
    for (const { session_id } of [theirs, nobodys]) {
      assert.equal((await api.ask('GET', `/v1/sessions/${session_id}`, { key })).status, 404)
      assert.equal((await api.ask('DELETE', `/v1/sessions/${session_id}`, { key })).status, 404)
    }
    assert.ok(await found(theirs.token))
    assert.equal((await api.ask('DELETE', `/v1/sessions/${mine.session_id}`, { key })).status, 204)
    assert.equal((await api.ask('DELETE', `/v1/sessions/${mine.session_id}`, { key })).status, 204, 'again')
    assert.equal(await found(mine.token), null, 'this process knows at once')
    const other = await api.createTenant()
    assert.equal((await api.ask('GET', `/v1/sessions/${theirs.session_id}`, { key: other.key })).status, 404)
    assert.equal((await api.ask('DELETE', `/v1/sessions/${theirs.session_id}`, { tenant: other.id })).status, 404)
    assert.ok(await found(theirs.token))
  })

  test('the list shows live ones newest first and page by page; those that are over when asked', async () => {
    const { id } = await api.createTenant()
    const made: string[] = []
    for (let i = 0; i < 3; i++) made.push((await make({ tenant: id })).session_id)
    const idsOf = ({ sessions }: { sessions: { session_id: string }[] }) => sessions.map(({ session_id }) => session_id)
    const page = (await api.ask('GET', '/v1/sessions?limit=2', { tenant: id })).json
    assert.deepEqual([idsOf(page), page.count, page.total, page.limit, page.offset], [[made[2], made[1]], 2, 3, 2, 0])
    assert.deepEqual(idsOf((await api.ask('GET', '/v1/sessions?limit=2&offset=2', { tenant: id })).json), [made[0]])
    await api.ask('DELETE', `/v1/sessions/${made[1]}`, { tenant: id })
    await database.sql`update sessions set created_at = created_at - interval '2 hours', expires_at = expires_at - interval '2 hours' where id = ${made[0]}`
    assert.deepEqual(idsOf((await api.ask('GET', '/v1/sessions', { tenant: id })).json), [made[2]])
    const over = (await api.ask('GET', '/v1/sessions?active=false', { tenant: id })).json
    assert.deepEqual(
      over.sessions.map((one: { session_id: string; active: boolean; ended_at: string | null }) => [one.session_id, one.active, one.ended_at !== null]),
      [
        [made[1], false, true],
        [made[0], false, false],
      ],
    )
    assert.ok((await api.ask('GET', '/v1/sessions')).json.total >= 1, 'without a tenant: every one’s')
  })

  test('a session ends with its key and with its tenant', async () => {
    const { id, key } = await api.createTenant()
    const withKey = await make({ key })
    const without = await make({ tenant: id })
    await api.ask('DELETE', `/v1/tenants/${id}/keys/${key.slice(0, 16)}`)
    assert.deepEqual([await found(withKey.token), (await found(without.token)) !== null], [null, true])
    await api.ask('DELETE', `/v1/tenants/${id}`)
    assert.equal(await found(without.token), null)
    assert.equal((await api.ask('POST', '/v1/sessions', { tenant: id, body: {} })).status, 409)
  })

  test('lock-all of a tenant ends its sessions and refuses new ones until it is unlocked; others go on', async () => {
    const [one, two] = [await api.createTenant(), await api.createTenant()]
    const mine = [await make({ key: one.key }), await make({ tenant: one.id })]
    const theirs = await make({ key: two.key })
    const owner = login('owner', one.id)
    const { status, json } = await api.ask('POST', '/v1/sessions/lock-all', { key: login('operator', one.id), body: { reason: 'A laptop was lost.' } })
    assert.deepEqual([status, json], [200, { ended: 2, locked: true }])
    for (const { token } of mine) assert.equal(await found(token), null)
    assert.ok(await found(theirs.token))
    const refused = await api.ask('POST', '/v1/sessions', { key: one.key, body: {} })
    assert.deepEqual([refused.status, refused.json.error], [403, 'FORBIDDEN'])
    await make({ key: two.key })
    assert.equal(
      (await api.ask('POST', '/v1/sessions/unlock', { key: login('operator', one.id), body: {} })).status,
      403,
      'an operator locks, an owner unlocks',
    )
    assert.deepEqual((await api.ask('POST', '/v1/sessions/unlock', { key: owner, body: {} })).json, { locked: false })
    await make({ key: one.key })
    assert.equal(await found(mine[0].token), null, 'what was ended stays so')
    const [locked] = (await changesOf('sessions.lock')).filter(({ tenant_id }) => tenant_id === one.id)
    assert.deepEqual([locked.metadata.actor, locked.metadata.subject, locked.metadata.reason], ['operator@example.com', one.id, 'A laptop was lost.'])
  })

  test('lock-all of the installation ends everybody’s; no tenant lifts it for itself, and its own lock outlives it', async () => {
    const [one, two] = [await api.createTenant(), await api.createTenant()]
    const tokens = [(await make({ key: one.key })).token, (await make({ tenant: two.id })).token]
    await api.ask('POST', '/v1/sessions/lock-all', { tenant: two.id, body: {} })
    const { json } = await api.ask('POST', '/v1/sessions/lock-all', { body: {} })
    assert.equal(json.locked, true)
    for (const token of tokens) assert.equal(await found(token), null)
    for (const ask of [{ key: login('owner', one.id) }, { tenant: one.id }]) {
      const { status, json } = await api.ask('POST', '/v1/sessions/unlock', { ...ask, body: {} })
      assert.deepEqual([status, json.error], [409, 'CONFLICT'])
      assert.match(json.message, /whole installation/)
    }
    assert.equal((await api.ask('POST', '/v1/sessions', { key: one.key, body: {} })).status, 403)
    assert.equal((await unlockAll()).status, 200)
    assert.equal((await unlockAll()).status, 200, 'again')
    await make({ key: one.key })
    assert.equal((await api.ask('POST', '/v1/sessions', { key: two.key, body: {} })).status, 403)
    await api.ask('POST', '/v1/sessions/unlock', { tenant: two.id, body: {} })
    await make({ key: two.key })
  })

  test('neither keys nor people below an operator lock, unlock or clear away', async () => {
    const { id, key } = await api.createTenant()
    const asking = [key, ...(['viewer', 'rule_author', 'arbiter', 'auditor'] as const).map((role) => login(role, id))]
    for (const who of asking)
      for (const verb of ['lock-all', 'unlock', 'cleanup']) assert.equal((await api.ask('POST', `/v1/sessions/${verb}`, { key: who, body: {} })).status, 403)
    assert.equal((await api.ask('POST', '/v1/sessions/lock-all', { key: login('operator', id), body: { reason: 'a\u0007b' } })).status, 400)
    await make({ key })
  })

  test('cleanup removes what is over and nothing else', async () => {
    const [one, two] = [await api.createTenant(), await api.createTenant()]
    const alive = await make({ key: one.key })
    for (const { id, key } of [one, two]) {
      const { session_id } = await make({ key })
      await api.ask('DELETE', `/v1/sessions/${session_id}`, { tenant: id })
    }
    assert.deepEqual((await api.ask('POST', '/v1/sessions/cleanup', { key: login('operator', one.id), body: {} })).json, { removed: 1 })
    assert.equal((await api.ask('GET', '/v1/sessions?active=false', { tenant: one.id })).json.total, 0)
    assert.equal((await api.ask('GET', '/v1/sessions?active=false', { tenant: two.id })).json.total, 1)
    assert.ok(await found(alive.token))
    assert.ok((await api.ask('POST', '/v1/sessions/cleanup', { body: {} })).json.removed >= 1)
  })

  test('a tenant has a bounded number of live sessions; those that are over do not count', async () => {
    const { id, key } = await api.createTenant()
    await make({ key })
    await database.sql`
      insert into sessions (id, tenant_id, profile, created_by, created_at, expires_at)
      select 'ses_many_' || n, ${id}, 'quick_lock', 'admin', s.created_at, s.expires_at
      from generate_series(1, ${SESSIONS_PER_TENANT_MAX - 1}) n, (select created_at, expires_at from sessions where tenant_id = ${id} limit 1) s`
    const { status, json } = await api.ask('POST', '/v1/sessions', { key, body: {} })
    assert.deepEqual([status, json.error], [422, 'CONFIG_ERROR'])
    await api.ask('DELETE', '/v1/sessions/ses_many_7', { tenant: id })
    await make({ key })
  })

  // The embedded database has one connection: nothing there happens at the same time.
  if (engine === 'postgres')
    test('of sessions that are asked for while all are being locked, none outlives the lock', async () => {
      const { id, key } = await api.createTenant()
      const elsewhere = manage(database)
      const asked = Array.from({ length: 40 }, (_, i) => (i % 2 ? api : elsewhere).ask('POST', '/v1/sessions', { key, body: {} }))
      await asked[0]
      const locked = await elsewhere.ask('POST', '/v1/sessions/lock-all', { body: {} })
      assert.equal(locked.status, 200)
      const answers = await Promise.all(asked)
      const made = answers.filter(({ status }) => status === 201)
      assert.ok(answers.every(({ status }) => status === 201 || status === 403))
      assert.ok(made.length >= 1)
      await Promise.all([api.ask('GET', '/v1/tenants'), api.sessions.forget(null)])
      for (const { json } of made) assert.equal(await found(json.token), null)
      assert.equal((await api.ask('GET', '/v1/sessions', { tenant: id })).json.total, 0)
      await unlockAll()
    })
})
