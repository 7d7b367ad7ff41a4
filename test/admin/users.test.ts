import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { scopesOf } from '../../src/access/roles.ts'
import { forEachEngine, type TestDatabase } from '../db/engines.ts'
import { managePeople, type PeopleManagement } from './people.ts'

forEachEngine((_engine, open) => {
  let database: TestDatabase
  let api: PeopleManagement
  before(async () => {
    database = await open()
    api = managePeople(database)
  })
  after(() => database.drop())

  test('people are listed newest first, a page at a time, and without anything of their passwords', async () => {
    const { id: tenantId } = await api.createTenant()
    const made = []
    for (let i = 0; i < 3; i++) {
      made.unshift((await api.person('viewer', tenantId)).id)
      await database.sql`update users set created_at = to_timestamp(${1_700_000_000 + i}) where id = ${made[0]}`
    }
    const { json } = await api.ask('GET', '/v1/users?limit=2&offset=1', { tenant: tenantId })
    assert.deepEqual([json.users.map(({ id }: { id: string }) => id), json.total], [made.slice(1), 3])
    assert.doesNotMatch(JSON.stringify(json), /scrypt|password/)
    assert.ok((await api.ask('GET', '/v1/users')).json.total > 3 - 1)
  })

  test('an e-mail address belongs to one person in the whole installation, however it is written', async () => {
    const { id: tenantId } = await api.createTenant()
    const first = await api.ask('POST', '/v1/users', { body: { email: 'Ada@Example.com', role: 'viewer' } })
    assert.deepEqual([first.status, first.json.email, first.json.tenant_id], [201, 'ada@example.com', null])
    const again = await api.ask('POST', '/v1/users', { tenant: tenantId, body: { email: 'ADA@example.com', role: 'viewer' } })
    assert.deepEqual([again.status, again.json.context.field], [409, 'email'])
  })

  test('a new password that is too short, too plain or the e-mail address is refused with what to change', async () => {
    const create = (password: string) => api.ask('POST', '/v1/users', { body: { email: 'somebody@example.com', role: 'viewer', password } })
    for (const [password, message] of [
      ['eleven char', /at least 12 characters/],
      ['Somebody@Example.com', /must not be the e-mail address/i],
      ['aaaaaaaaaaaaaaaa', /different characters/],
      ['abcabcabcabcabc', /different characters/],
      [`${'x'.repeat(190)}abcdefghijk`, /at most 200 characters/],
    ] as const) {
      const { status, json } = await create(password)
      assert.deepEqual([status, json.context.field], [400, 'password'], password)
      assert.match(json.message, message)
      assert.ok(!json.message.includes(password))
    }
    const { id } = await api.person('viewer')
    assert.equal((await api.ask('PATCH', `/v1/users/${id}`, { body: { password: 'short' } })).status, 400)
  })

  test('nobody of a tenant sees or changes people of the installation or of another tenant', async () => {
    const [mine, other] = [await api.createTenant(), await api.createTenant()]
    const owner = await api.tokenOf('owner', mine.id)
    const foreign = [await api.person('viewer', other.id), await api.person('viewer')]
    const asOwner = (method: string, path: string, more: { body?: unknown; tenant?: string } = {}) => api.ask(method, path, { key: owner.token, ...more })
    const { json } = await asOwner('GET', '/v1/users?limit=1000')
    assert.deepEqual(
      json.users.map(({ id }: { id: string }) => id),
      [owner.id],
    )
    assert.equal((await asOwner('GET', '/v1/users', { tenant: other.id })).status, 404)
    for (const { id } of foreign) {
      for (const body of [{ name: 'x' }, { role: 'owner' }, { active: false }]) assert.equal((await asOwner('PATCH', `/v1/users/${id}`, { body })).status, 404)
      assert.equal((await asOwner('DELETE', `/v1/users/${id}`)).status, 404)
      const [row] = await database.sql`select name, role, active from users where id = ${id}`
      assert.deepEqual([row?.role, row?.active, row?.name !== 'x'], ['viewer', true, true])
    }
    assert.equal((await asOwner('POST', '/v1/users', { tenant: other.id, body: { email: 'x@example.com', role: 'viewer' } })).status, 404)
    const made = await asOwner('POST', '/v1/users', { body: { email: 'made-by-owner@example.com', role: 'owner' } })
    assert.deepEqual([made.status, made.json.tenant_id], [201, mine.id])
    assert.equal((await asOwner('POST', '/v1/tenants', { body: { name: 'x' } })).status, 403, 'the owner of a tenant owns no installation')
  })

  test('nobody changes their own role or deactivates themselves', async () => {
    const { id: tenantId } = await api.createTenant()
    for (const where of [null, tenantId]) {
      const { id, token } = await api.tokenOf('owner', where)
      await api.person('owner', where) // not the last one
      for (const body of [{ role: 'viewer' }, { active: false }]) assert.equal((await api.ask('PATCH', `/v1/users/${id}`, { key: token, body })).status, 409)
      assert.equal((await api.ask('DELETE', `/v1/users/${id}`, { key: token })).status, 409)
      const own = await api.ask('PATCH', `/v1/users/${id}`, { key: token, body: { password: 'another four words instead' } })
      assert.deepEqual([own.status, own.json.context.field], [409, 'password'])
      assert.equal((await api.ask('PATCH', `/v1/users/${id}`, { key: token, body: { name: 'Me', role: 'owner', active: true } })).status, 200)
    }
  })

  test('of two owners who demote each other at once one stays; the administrator may demote the last', async () => {
    await database.sql`update users set active = false where tenant_id is null`
    const [one, two] = [await api.tokenOf('owner'), await api.tokenOf('owner')]
    const demote = (token: string, id: string) => api.ask('PATCH', `/v1/users/${id}`, { key: token, body: { role: 'viewer' } })
    const answers = await Promise.all([demote(one.token, two.id), demote(two.token, one.id)])
    assert.deepEqual(
      answers.map(({ status }) => status).filter((status) => status === 200),
      [200],
      JSON.stringify(answers.map(({ json }) => json)),
    )
    const left = await database.sql`select id from users where tenant_id is null and role = 'owner' and active`
    assert.equal(left.length, 1)
    assert.equal((await api.ask('PATCH', `/v1/users/${left[0]?.id}`, { body: { role: 'viewer' } })).status, 200)
  })

  test('the last owner of the installation is not demoted by somebody whom an identity provider calls owner', async () => {
    await database.sql`update users set active = false where tenant_id is null`
    const last = await api.person('owner')
    const person = { id: 'sso_x', email: 'x@example.com', name: 'x', role: 'owner' as const, tenantId: null, scopes: scopesOf('owner', null), loginId: null }
    const viaProvider = managePeople(database, { oidc: { find: (token) => Promise.resolve(token === 'a.b.c' ? person : null), forget() {} } })
    assert.equal((await viaProvider.ask('DELETE', `/v1/users/${last.id}`, { key: 'a.b.c' })).status, 409)
    assert.equal((await viaProvider.ask('POST', '/v1/auth/logout', { key: 'a.b.c' })).status, 409)
    await api.person('owner')
    assert.equal((await viaProvider.ask('DELETE', `/v1/users/${last.id}`, { key: 'a.b.c' })).status, 204)
  })

  test('what was done to people is in the audit log, under who did it', async () => {
    const { id: tenantId } = await api.createTenant()
    const owner = await api.tokenOf('owner', tenantId)
    const { json } = await api.ask('POST', '/v1/users', {
      key: owner.token,
      body: { email: 'logged@example.com', role: 'viewer', password: 'written down nowhere' },
    })
    await api.ask('DELETE', `/v1/users/${json.id}`, { key: owner.token })
    const log = (await api.ask('GET', '/v1/audit?kind=change', { key: owner.token })).json
    const mine = log.entries.filter(({ metadata }: { metadata: { subject: string } }) => metadata.subject === json.id)
    assert.deepEqual(mine.map(({ reason, metadata }: { reason: string; metadata: { actor: string } }) => [reason, metadata.actor]).sort(), [
      ['user.create', owner.email],
      ['user.delete', owner.email],
    ])
    assert.doesNotMatch(JSON.stringify(log), /written down nowhere/)
  })
})
